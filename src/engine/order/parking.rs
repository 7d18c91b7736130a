//! Records that were refused because something that they name is not there: set aside until it is (the parking half of E8).

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::{CollectionId, Edge, Entry, Order, State};
use crate::engine::defects::broken;
use crate::engine::record::{Fqn, Kind, Missing, Sequence};

impl Order {
    /// Sets a taken record aside until `missing` ends. Records that name it stop waiting for it; writers of its own entity do not,
    /// and count as parked with it. A parked patch blocks nobody.
    pub fn park(&mut self, sequence: Sequence, missing: Missing) {
        let Some(entry) = self.entries.get_mut(&sequence) else {
            return;
        };
        self.places -= usize::from(entry.has_place());
        entry.state = State::Parked;
        entry.urgent = false;
        entry.parked_for = Some(missing.clone());
        self.settled.append(&mut entry.waits);
        let slot = (entry.key.clone(), entry.collection);
        let is_patch = entry.kind() == Kind::LifeCycle;
        self.parked.insert(sequence);
        self.parked_for.entry(missing.fqn).or_default().insert(sequence);
        if is_patch {
            self.leave_chain(&slot, sequence);
            self.release_dependants(sequence, |_| true);
            return;
        }
        self.set_seconds_aside(sequence);
        if !broken!(self.defect, ParkingHoldsDependants) {
            self.release_dependants(sequence, |edge| edge != Edge::Writer);
        }
        let chain = self.chains.get(&slot).into_iter().flatten().copied();
        let followers: Vec<Sequence> = chain.skip_while(|one| *one != sequence).skip(1).collect();
        for follower in followers {
            self.set_behind(follower, true);
            self.set_seconds_aside(follower);
            self.release_dependants(follower, |edge| edge != Edge::Writer);
        }
    }

    /// Parks a record that no batch has taken yet.
    pub(super) fn set_aside(&mut self, sequence: Sequence, missing: Missing) {
        self.leave_ready(sequence);
        self.park(sequence, missing);
    }

    /// Where a record is parked, those that must not be sent before it is written are, too.
    fn set_seconds_aside(&mut self, first: Sequence) {
        let Some(entry) = self.get(first) else { return };
        let missing = Missing::of(&entry.record.collection, entry.key.clone());
        let waits = |second: &Sequence| self.get(*second).is_some_and(|entry| entry.state != State::Parked);
        let seconds: Vec<Sequence> = entry.seconds.iter().copied().filter(waits).collect();
        for second in seconds {
            self.set_aside(second, missing.clone());
        }
    }

    /// Puts a parked record back into the queues, unless what must be written first is parked itself.
    pub fn unpark(&mut self, sequence: Sequence) {
        let first = self.get(sequence).and_then(|entry| self.pending_first(entry));
        let first_is_parked = first.and_then(|first| self.get(first)).is_some_and(Entry::is_parked);
        if first_is_parked || !self.parked.remove(&sequence) {
            return;
        }
        let Some(entry) = self.entries.get_mut(&sequence) else {
            return;
        };
        if let Some(missing) = entry.parked_for.take() {
            forget_parked(&mut self.parked_for, &missing.fqn, sequence);
        }
        entry.state = State::Blocked;
        entry.first_attempt = None;
        let waits_for_first = first.filter(|first| entry.edges.iter().all(|(known, _)| known != first));
        self.places += usize::from(entry.has_place());
        let slot = (entry.key.clone(), entry.collection);
        let is_patch = entry.kind() == Kind::LifeCycle;
        if let Some(first) = waits_for_first {
            self.add_edge(first, sequence, Edge::Parent);
        }
        if is_patch {
            self.join_chain(sequence);
        } else {
            self.see_who_is_behind(&slot);
        }
        self.make_ready_if_free(sequence);
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

    /// After a record has come back from parking, or ended: which of the writers of its entity stand behind a parked one.
    pub(super) fn see_who_is_behind(&mut self, slot: &(Fqn, CollectionId)) {
        let chain: Vec<Sequence> = self.chains.get(slot).into_iter().flatten().copied().collect();
        let mut behind = false;
        for sequence in chain {
            self.set_behind(sequence, behind);
            behind |= self.get(sequence).is_some_and(|entry| entry.state == State::Parked);
        }
    }

    pub(super) fn set_behind(&mut self, sequence: Sequence, behind: bool) {
        let Some(entry) = self.entries.get_mut(&sequence) else {
            return;
        };
        if entry.behind == behind {
            return;
        }
        self.places -= usize::from(entry.has_place());
        entry.behind = behind;
        self.places += usize::from(entry.has_place());
        if behind {
            // Waits go past it now; a later one must be able to hurry it, and what stands before it, once more.
            entry.urgent = false;
            self.settled.append(&mut entry.waits);
        }
    }
}

pub(super) fn forget_parked(parked_for: &mut FxHashMap<Fqn, BTreeSet<Sequence>>, missing: &Fqn, sequence: Sequence) {
    if let Some(set) = parked_for.get_mut(missing) {
        set.remove(&sequence);
        if set.is_empty() {
            parked_for.remove(missing);
        }
    }
}
