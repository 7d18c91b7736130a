//! The chain of an entity's pending writers, create requests and life cycle patches: each waits for the one before (E3).

use std::collections::VecDeque;
use std::ops::Bound;

use super::{CollectionId, Edge, Entry, Order, Place, Slot};
use crate::engine::defects::broken;
use crate::engine::record::{Fqn, Kind, Record, Sequence};

impl Order {
    /// The pending record whose outcome a new one can share, and the share: a repeat of the last unsent record byte for byte, or,
    /// with `first_wins`, any pending create request of that entity. Records that wait for different firsts do not share.
    pub fn leader(&self, record: &Record, key: &Fqn, first: Option<Sequence>) -> Option<Sequence> {
        let collection = self.known_collection(&record.collection)?;
        if record.first_wins {
            return self
                .writers_of(key, collection)
                .find(|sequence| self.is_create(*sequence));
        }
        let last = *self.chain(key, collection)?.back()?;
        let entry = self.get(last)?;
        let same = entry.kind() == record.payload.kind() && entry.whole() == record.payload.bytes();
        (same && entry.is_unsent() && self.pending_first(entry) == first).then_some(last)
    }

    /// Whether anything of an entity is pending.
    pub fn has_writers(&self, collection: CollectionId, key: &Fqn) -> bool {
        self.writers_of(key, collection).next().is_some()
    }

    /// The last create request of an entity, if it is the entity's last writer and unsent: its body may still be changed.
    pub fn unsent_create(&self, collection: &str, key: &Fqn) -> Option<Sequence> {
        let last = *self.chain(key, self.known_collection(collection)?)?.back()?;
        let entry = self.get(last)?;
        (entry.kind() == Kind::Create && entry.is_unsent()).then_some(last)
    }

    /// The last pending create request of an entity.
    pub fn last_create(&self, collection: &str, key: &Fqn) -> Option<Sequence> {
        let collection = self.known_collection(collection)?;
        self.writers_of(key, collection)
            .filter(|sequence| self.is_create(*sequence))
            .max()
    }

    /// All pending writers of an entity: the parked ones, then those in line.
    fn writers_of(&self, key: &Fqn, collection: CollectionId) -> impl Iterator<Item = Sequence> + '_ {
        let slot = (key.clone(), collection);
        let aside = self.aside.get(&slot).into_iter().flatten().copied();
        aside.chain(self.chains.get(&slot).into_iter().flatten().copied())
    }

    pub(super) fn is_create(&self, sequence: Sequence) -> bool {
        self.get(sequence).is_some_and(|entry| entry.kind() == Kind::Create)
    }

    /// The parked create requests of an entity that were submitted before one of its records, oldest first.
    pub fn parked_before(&self, entity: &Entry) -> Vec<Sequence> {
        let aside = self.aside.get(&entity.slot()).into_iter().flatten().copied();
        aside
            .filter(|sequence| *sequence < entity.sequence && self.is_create(*sequence))
            .collect()
    }

    /// A record that ends before its turn: the next writer of its entity, and whoever waited for the entity, wait for the one before
    /// it.
    pub(super) fn close_ranks(&mut self, sequence: Sequence) {
        let Some(entry) = self.get(sequence) else { return };
        if !entry.edges.iter().any(|(_, edge)| *edge == Edge::Writer) {
            return; // it is its turn
        }
        let Some(chain) = self.chain(&entry.key, entry.collection) else {
            return;
        };
        let Some(at) = chain.iter().position(|one| *one == sequence) else {
            return;
        };
        let before = at.checked_sub(1).and_then(|at| chain.get(at)).copied();
        let create = chain.iter().take(at).rev().copied().find(|one| self.is_create(*one));
        if let (Some(before), Some(after)) = (before, chain.get(at + 1).copied()) {
            self.add_edge(before, after, Edge::Writer);
        }
        if let Some(create) = create {
            self.hand_dependants_over(sequence, create);
        }
    }

    /// Those that wait for a record as a parent, or because they name it, wait for another one of its entity.
    fn hand_dependants_over(&mut self, from: Sequence, to: Sequence) {
        let Some(entry) = self.entries.get(&from) else { return };
        let dependants: Vec<_> = entry
            .dependants
            .iter()
            .filter(|(_, edge)| *edge != Edge::Writer)
            .copied()
            .collect();
        for (dependant, edge) in dependants {
            let known = self
                .get(dependant)
                .is_some_and(|entry| entry.edges.iter().any(|(blocker, _)| *blocker == to));
            if !known {
                self.add_edge(to, dependant, edge);
            }
        }
    }

    /// The next writer of an entity after one of its records ended, if it was not taken before.
    pub fn next_writer(&self, entry: &Entry) -> Option<Sequence> {
        let next = self.chain(&entry.key, entry.collection)?.front().copied()?;
        self.get(next)
            .is_some_and(|entry| entry.place.is_idle())
            .then_some(next)
    }

    pub(super) fn chain(&self, key: &Fqn, collection: CollectionId) -> Option<&VecDeque<Sequence>> {
        self.chains.get(&(key.clone(), collection))
    }

    pub(super) fn chains_of(&self, fqn: &Fqn) -> impl Iterator<Item = (&Slot, &VecDeque<Sequence>)> {
        self.chains.range(slots_of(fqn))
    }

    /// The parked records of that name, in all collections.
    pub(super) fn aside_of(&self, fqn: &Fqn) -> impl Iterator<Item = Sequence> + '_ {
        self.aside
            .range(slots_of(fqn))
            .flat_map(|(_, parked)| parked.iter().copied())
    }

    /// The last pending create request of that name in each collection. Users are known by their lower-case names.
    pub(super) fn creates_of(&self, fqn: &Fqn) -> Vec<Sequence> {
        self.chains_of(fqn)
            .filter_map(|(_, chain)| {
                chain
                    .iter()
                    .rev()
                    .copied()
                    .find(|sequence| self.get(*sequence).is_some_and(|entry| entry.kind() == Kind::Create))
            })
            .collect()
    }

    /// Makes a record a writer of its entity: the last one, or, where it comes back from parking, before the later ones that have not
    /// been sent.
    pub(super) fn join_chain(&mut self, sequence: Sequence) {
        let Some(slot) = self.get(sequence).map(Entry::slot) else {
            return;
        };
        let waits = |entry: &Entry| entry.place.is_idle();
        let chain = self.chains.entry(slot).or_default();
        let goes_last = broken!(self.defect, ParkedLifeCyclesGoLast);
        let at = chain
            .iter()
            .position(|other| *other > sequence && !goes_last && self.entries.get(other).is_some_and(waits))
            .unwrap_or(chain.len());
        let before = at.checked_sub(1).and_then(|at| chain.get(at)).copied();
        let after = chain.get(at).copied();
        chain.insert(at, sequence);
        if let Some(before) = before.filter(|_| !broken!(self.defect, ForgetsWriters)) {
            self.add_edge(before, sequence, Edge::Writer);
        }
        if let Some(after) = after {
            self.add_edge(sequence, after, Edge::Writer);
            self.move_to(after, Place::Blocked);
            if self.get(after).is_some_and(|entry| entry.urgent) {
                self.hurry(sequence);
            }
        }
    }

    pub(super) fn leave_chain(&mut self, slot: &Slot, sequence: Sequence) {
        if let Some(chain) = self.chains.get_mut(slot) {
            if let Some(at) = chain.iter().position(|other| *other == sequence) {
                chain.remove(at);
            }
            if chain.is_empty() {
                self.chains.remove(slot);
            }
        }
    }
}

fn slots_of(fqn: &Fqn) -> (Bound<Slot>, Bound<Slot>) {
    (
        Bound::Included((fqn.clone(), CollectionId(0))),
        Bound::Included((fqn.clone(), CollectionId(u16::MAX))),
    )
}
