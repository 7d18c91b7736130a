//! Records that were refused because something that they name is not there: set aside until it is (the parking half of E8).
//!
//! A parked record is in no chain and blocks nobody but later records of its own entity, which are parked with it: bodies are merged
//! by the server, so that a later one alone would leave another entity than both in their order.

use super::{Edge, Entry, Order, Place};
use crate::engine::defects::broken;
use crate::engine::queues::Lane;
use crate::engine::record::{Kind, Missing, Sequence};

/// Pending records that are not parked, by collection: create requests, life cycles.
#[derive(Debug, Default)]
pub(super) struct Unparked(Vec<[usize; 2]>);

impl Unparked {
    /// A collection of which nothing is pending.
    pub fn one_more(&mut self) {
        self.0.push([0, 0]);
    }

    pub fn change(&mut self, (collection, kind): Lane, by: isize) {
        if let Some([creates, patches]) = self.0.get_mut(usize::from(collection.0)) {
            let count = if kind == Kind::Create { creates } else { patches };
            *count = count.saturating_add_signed(by);
        }
    }

    /// Whether there is none of a lane.
    pub fn is_none(&self, (collection, kind): Lane) -> bool {
        let counts = self.0.get(usize::from(collection.0));
        counts.is_none_or(|[creates, patches]| *(if kind == Kind::Create { creates } else { patches }) == 0)
    }
}

impl Order {
    /// Sets a record aside until `missing` ends. Waits go past it, and whoever waited for it goes on.
    pub fn park(&mut self, sequence: Sequence, missing: Missing) {
        let Some(entry) = self.entries.get_mut(&sequence).filter(|entry| !entry.is_parked()) else {
            return;
        };
        entry.urgent = false;
        entry.parked_for = Some(missing.clone());
        self.settled.append(&mut entry.waits);
        let followers = self.followers(sequence);
        self.move_to(sequence, Place::Parked);
        self.parked_for.entry(missing.fqn).or_default().insert(sequence);
        if !broken!(self.defect, ParkingHoldsDependants) {
            self.step_aside(sequence);
        }
        let Some(entry) = self.get(sequence) else { return };
        if entry.kind() == Kind::Create {
            let itself = Missing::of(&entry.record.collection, entry.key.clone());
            let waits = |second: &Sequence| self.get(*second).is_some_and(|entry| !entry.is_parked());
            let seconds: Vec<Sequence> = entry.seconds.iter().copied().filter(waits).collect();
            for with_it in seconds.into_iter().chain(followers) {
                self.park(with_it, itself.clone());
            }
        }
    }

    /// The records that follow a create request of their entity in line.
    fn followers(&self, sequence: Sequence) -> Vec<Sequence> {
        let Some(entry) = self.get(sequence).filter(|entry| entry.kind() == Kind::Create) else {
            return Vec::new();
        };
        let chain = self.chain(&entry.key, entry.collection).into_iter().flatten().copied();
        chain.skip_while(|other| *other != sequence).skip(1).collect()
    }

    /// What a new record waits for because an earlier create request of its entity is parked.
    pub(super) fn waits_with_its_entity(&self, sequence: Sequence) -> Option<Missing> {
        if self.parked.is_empty() {
            return None;
        }
        let entry = self.get(sequence)?;
        let parked = !self.parked_before(entry).is_empty();
        parked.then(|| Missing::of(&entry.record.collection, entry.key.clone()))
    }

    /// Puts a parked record back into the queues, unless what must be written first is parked itself.
    pub fn unpark(&mut self, sequence: Sequence) {
        let first = self.get(sequence).and_then(|entry| self.pending_first(entry));
        let first_is_parked = first.and_then(|first| self.get(first)).is_some_and(Entry::is_parked);
        if first_is_parked || !self.parked.contains(&sequence) {
            return;
        }
        if self.stays_behind(sequence) {
            return;
        }
        let Some(entry) = self.entries.get_mut(&sequence) else {
            return;
        };
        entry.first_attempt = None;
        entry.alone = None;
        let missing = entry.parked_for.take();
        let waits_for_first = first.filter(|first| entry.edges.iter().all(|(known, _)| known != first));
        if let Some(missing) = missing {
            super::remove_from(&mut self.parked_for, &missing.fqn, sequence);
        }
        self.move_to(sequence, Place::Blocked);
        if let Some(first) = waits_for_first {
            self.add_edge(first, sequence, Edge::Parent);
        }
        self.join_chain(sequence);
        self.make_ready_if_free(sequence);
    }

    /// Whether an earlier record of its entity is still parked: then that is what it waits for from now on.
    fn stays_behind(&mut self, sequence: Sequence) -> bool {
        let Some(entry) = self.get(sequence) else { return false };
        if self.parked_before(entry).is_empty() {
            return false;
        }
        let itself = Missing::of(&entry.record.collection, entry.key.clone());
        let Some(entry) = self.entries.get_mut(&sequence) else {
            return false;
        };
        if let Some(missing) = entry.parked_for.replace(itself.clone()) {
            super::remove_from(&mut self.parked_for, &missing.fqn, sequence);
        }
        self.parked_for.entry(itself.fqn).or_default().insert(sequence);
        true
    }

    /// The records of an entity that wait for an earlier one of it, oldest first.
    pub fn parked_with(&self, entity: &Entry) -> Vec<Sequence> {
        let aside = self.aside.get(&entity.slot()).into_iter().flatten().copied();
        let with_it = |one: &Entry| one.parked_for.as_ref().is_some_and(|missing| missing.fqn == one.key);
        aside.filter(|one| self.get(*one).is_some_and(with_it)).collect()
    }

    /// The parked records that wait for this entity, oldest first.
    pub fn parked_for(&self, entity: &Entry) -> Vec<Sequence> {
        let waits_for_it = |sequence: &Sequence| {
            self.get(*sequence)
                .and_then(|parked| parked.parked_for.as_ref())
                .is_some_and(|missing| {
                    missing.is_in(&entity.record.collection) || broken!(self.defect, MixesUpCollections)
                })
        };
        let named = self.parked_for.get(&entity.key).into_iter().flatten();
        named.copied().filter(waits_for_it).collect()
    }

    /// The parked life cycles of this entity, oldest first.
    pub fn parked_patches(&self, entity: &Entry) -> Vec<Sequence> {
        let is_its_patch = |sequence: &Sequence| self.get(*sequence).is_some_and(|other| other.is_patch_of(entity));
        self.parked_for(entity).into_iter().filter(is_its_patch).collect()
    }

    /// Whether a life cycle of this entity is pending.
    pub fn has_patch(&self, entity: &Entry) -> bool {
        let chain = self.chain(&entity.key, entity.collection).into_iter().flatten();
        let is_its_patch = |sequence: &Sequence| self.get(*sequence).is_some_and(|other| other.is_patch_of(entity));
        chain.copied().any(|sequence| is_its_patch(&sequence)) || !self.parked_patches(entity).is_empty()
    }

    /// Those of the parked records that do not wait for another parked record, oldest first; all of them if each waits for another.
    pub fn parked_roots(&self) -> Vec<Sequence> {
        let waits_for_parked = |sequence: &Sequence| {
            self.get(*sequence)
                .and_then(|entry| entry.parked_for.as_ref())
                .is_some_and(|missing| self.is_pending(missing, *sequence))
        };
        let roots: Vec<Sequence> = self.parked.iter().copied().filter(|s| !waits_for_parked(s)).collect();
        if roots.is_empty() {
            self.parked.iter().copied().take(1).collect()
        } else {
            roots
        }
    }
}
