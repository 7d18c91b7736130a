//! Which record must wait for which: entries, edges, chains and ready sets (E1, E3).
//!
//! Edges always point to an earlier record, so there are no cycles. All writers of one entity (create requests and life cycle
//! patches) form a chain in which each waits for the one before (`order/writers.rs`). What is known of a record is in
//! `order/entry.rs`; records that are set aside are in `order/parking.rs`, chains of needs in `order/needs.rs`, ready records in
//! `order/ready.rs`, what travels without its keys in `order/second_form.rs`. Nothing here knows requests, answers or time-outs.
//!
//! Each record is in exactly one [`Place`], and [`Order::move_to`] is the only way from one to another.

mod entry;
mod needs;
mod parking;
mod ready;
mod second_form;
mod writers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

pub use entry::Place;
use entry::{Edge, Slot};
pub(super) use entry::{Entry, Met, Sharer, WITHOUT_PLACE};
use parking::Unparked;
use ready::ready_set;
pub(super) use ready::Ready;
pub(super) use second_form::SecondForm;

use super::defects::{broken, Planted};
use super::queues::Lane;
use super::record::{Fqn, Kind, Missing, Record, Sequence};
use super::waits::{Scope, WaitId};
use super::Time;

/// A collection, as a small number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct CollectionId(u16);

/// All pending records and what they wait for.
#[derive(Debug, Default)]
pub(super) struct Order {
    entries: FxHashMap<Sequence, Entry>,
    /// The pending writers of each entity, in the order in which they write.
    chains: BTreeMap<Slot, VecDeque<Sequence>>,
    /// The parked records of each entity, which are in no chain.
    aside: BTreeMap<Slot, BTreeSet<Sequence>>,
    collections: Vec<Arc<str>>,
    ready: Vec<Ready>,
    ready_patches: Ready,
    parked: BTreeSet<Sequence>,
    parked_for: BTreeMap<Fqn, BTreeSet<Sequence>>,
    /// Waits for which one more record has settled.
    settled: Vec<WaitId>,
    last: Sequence,
    places: usize,
    unparked: Unparked,
    bytes: usize,
    defect: Planted,
}

/// The server lower-cases these names.
const FOLDED: &str = "users";

impl Order {
    pub fn with(defect: Planted) -> Self {
        Self {
            defect,
            ..Self::default()
        }
    }

    /// The number of a collection; the same for the same path.
    pub fn collection(&mut self, path: &Arc<str>) -> CollectionId {
        let at = self
            .collections
            .iter()
            .position(|known| known == path)
            .unwrap_or_else(|| {
                self.collections.push(path.clone());
                self.ready.push(Ready::default());
                self.unparked.one_more();
                self.collections.len() - 1
            });
        CollectionId(u16::try_from(at).unwrap_or(u16::MAX))
    }

    /// The number of a collection that has been seen.
    pub fn known_collection(&self, path: &str) -> Option<CollectionId> {
        let at = self.collections.iter().position(|known| &**known == path)?;
        u16::try_from(at).ok().map(CollectionId)
    }

    /// The path of a collection.
    pub fn path(&self, collection: CollectionId) -> Option<&Arc<str>> {
        self.collections.get(usize::from(collection.0))
    }

    /// The name under which an entity is known here.
    pub fn key(collection: &str, fqn: &str) -> Fqn {
        let key = Fqn::canonical(fqn);
        if collection == FOLDED {
            key.to_lowercase()
        } else {
            key
        }
    }

    pub fn get(&self, sequence: Sequence) -> Option<&Entry> {
        self.entries.get(&sequence)
    }

    pub fn get_mut(&mut self, sequence: Sequence) -> Option<&mut Entry> {
        self.entries.get_mut(&sequence)
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The sequence number of the last record.
    pub fn last(&self) -> Sequence {
        self.last
    }

    /// Pending create requests that are not parked.
    pub fn places(&self) -> usize {
        self.places
    }

    /// Whether nothing is pending in a lane but what is parked.
    pub fn is_idle(&self, lane: Lane) -> bool {
        self.unparked.is_none(lane)
    }

    /// Bytes that everything pending takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn parked_len(&self) -> usize {
        self.parked.len()
    }

    pub fn ready(&self) -> impl Iterator<Item = (CollectionId, &Ready)> {
        (0..).map(CollectionId).zip(&self.ready)
    }

    pub fn ready_in(&self, collection: CollectionId) -> Option<&Ready> {
        self.ready.get(usize::from(collection.0))
    }

    pub fn ready_patches(&self) -> &Ready {
        &self.ready_patches
    }

    pub fn take_settled(&mut self) -> Vec<WaitId> {
        std::mem::take(&mut self.settled)
    }

    /// What has ready records: collections whose create requests are, and the one of the oldest life cycle.
    pub fn ready_lanes(&self) -> impl Iterator<Item = (CollectionId, Kind)> + '_ {
        let creates = self.ready().filter(|(_, ready)| ready.len() > 0);
        let patch = self.ready_patches.oldest().and_then(|sequence| self.get(sequence));
        creates
            .map(|(collection, _)| (collection, Kind::Create))
            .chain(patch.map(|entry| (entry.collection, Kind::LifeCycle)))
    }

    /// Create requests that no request has carried.
    pub fn unsent(&self) -> usize {
        self.entries
            .values()
            .filter(|entry| entry.kind() == Kind::Create && entry.is_unsent())
            .count()
    }

    /// Removes everything at once, without looking at what waits for what. Oldest first.
    pub fn take_all(&mut self) -> Vec<Entry> {
        let taken = std::mem::take(self);
        self.last = taken.last;
        // Figures name collections still.
        for path in &taken.collections {
            self.collection(path);
        }
        let mut entries: Vec<Entry> = taken.entries.into_values().collect();
        entries.sort_unstable_by_key(|entry| entry.sequence);
        entries
    }

    /// Gives a record the next number without making it pending.
    pub fn number(&mut self) -> Sequence {
        self.last += 1;
        self.last
    }

    /// Makes a record pending, behind the earlier records that it names. first: the pending record that must be written before.
    pub fn insert(&mut self, record: Record, key: Fqn, first: Option<Sequence>, now: Time) -> Sequence {
        let sequence = self.number();
        let collection = self.collection(&record.collection);
        let mut edges: Vec<(Sequence, Edge)> = Vec::new();
        let mut parents = Vec::new();
        let named = record.parent.iter().map(|fqn| (fqn, Edge::Parent));
        for (fqn, edge) in named.chain(record.needs.iter().map(|fqn| (fqn, Edge::Need))) {
            let forgets_parents = broken!(self.defect, ForgetsParents);
            let forgets_needs = broken!(self.defect, ForgetsNeeds);
            if (forgets_parents && edge == Edge::Parent) || (forgets_needs && edge == Edge::Need) {
                continue;
            }
            for blocker in self.creates_of(fqn) {
                let Some(entry) = self.entries.get_mut(&blocker) else {
                    continue;
                };
                let same_entity = entry.collection == collection && entry.key == key;
                if same_entity || entry.is_parked() || edges.iter().any(|(known, _)| *known == blocker) {
                    continue;
                }
                entry.dependants.push((sequence, edge));
                edges.push((blocker, edge));
                if edge == Edge::Parent {
                    parents.push(blocker);
                }
            }
        }
        let mut aside = None;
        if let Some((first, entry)) = first.and_then(|first| Some((first, self.entries.get_mut(&first)?))) {
            entry.seconds.push(sequence);
            if entry.is_parked() {
                aside = Some(Missing::of(&entry.record.collection, entry.key.clone()));
            } else if edges.iter().all(|(known, _)| *known != first) {
                entry.dependants.push((sequence, Edge::Parent));
                edges.push((first, Edge::Parent));
                parents.push(first);
            }
        }
        let entry = Entry::new(sequence, record, (collection, key), first, edges, now);
        self.places += usize::from(entry.has_place());
        self.bytes += entry.charge();
        self.unparked.change((collection, entry.kind()), 1);
        let blockers: Vec<Sequence> = entry.edges.iter().map(|(blocker, _)| *blocker).collect();
        self.entries.insert(sequence, entry);
        for blocker in blockers {
            self.see_whether_awaited(blocker);
        }
        self.join_chain(sequence);
        self.make_ready_if_free(sequence);
        if let Some(missing) = aside.or_else(|| self.waits_with_its_entity(sequence)) {
            self.park(sequence, missing);
        }
        for parent in parents {
            self.hurry(parent);
        }
        sequence
    }

    /// The record that must be written before this one and is not yet.
    fn pending_first(&self, entry: &Entry) -> Option<Sequence> {
        entry.first.filter(|first| self.entries.contains_key(first))
    }

    /// A new record shares the outcome of a pending one.
    pub fn share(&mut self, leader: Sequence, sharer: Sharer) {
        if let Some(entry) = self.entries.get_mut(&leader) {
            self.bytes += entry.share(sharer);
        }
    }

    /// Replaces the payload of a record that was not sent yet.
    pub fn set_payload(&mut self, sequence: Sequence, payload: super::record::Payload) {
        if let Some(entry) = self.entries.get_mut(&sequence) {
            let (old, new) = (entry.size(), payload.bytes().len());
            entry.record.payload = payload;
            let ready = entry.place == Place::Ready && entry.kind() == Kind::Create;
            let collection = entry.collection;
            self.bytes = (self.bytes + new).saturating_sub(old);
            if ready {
                if let Some(set) = self.ready.get_mut(usize::from(collection.0)) {
                    set.resize(old, new);
                }
            }
        }
    }

    /// The collections in which that may be.
    pub fn meant_by<'a>(&'a self, missing: &'a Missing) -> impl Iterator<Item = CollectionId> + 'a {
        let numbered = (0..).map(CollectionId).zip(&self.collections);
        numbered
            .filter(|(_, path)| missing.is_in(path))
            .map(|(collection, _)| collection)
    }

    /// Whether a create request for that is pending, other than `except` itself.
    pub fn is_pending(&self, missing: &Missing, except: Sequence) -> bool {
        let is_meant = |entry: &Entry| entry.kind() == Kind::Create && missing.is_in(&entry.record.collection);
        let mut all = self
            .creates_of(&missing.fqn)
            .into_iter()
            .chain(self.aside_of(&missing.fqn));
        all.any(|sequence| sequence != except && self.get(sequence).is_some_and(is_meant))
    }

    /// Whether such a create request will end by itself: it is pending, and not parked.
    pub fn is_coming(&self, missing: &Missing, except: Sequence) -> bool {
        let comes = |entry: &Entry| missing.is_in(&entry.record.collection);
        self.creates_of(&missing.fqn)
            .into_iter()
            .any(|sequence| sequence != except && self.get(sequence).is_some_and(comes))
    }

    /// Everything pending whose name is `fqn`, and with `subtree` what lies below it.
    pub fn named(&self, fqn: &Fqn, subtree: bool) -> Vec<Sequence> {
        let mut found: Vec<Sequence> = self
            .chains_of(fqn)
            .flat_map(|(_, chain)| chain.iter().copied())
            .collect();
        if subtree {
            let below = (Fqn::canonical(&format!("{fqn}.")), CollectionId(0));
            found.extend(
                self.chains
                    .range(below..)
                    .take_while(|((name, _), _)| name.is_below(fqn))
                    .flat_map(|(_, chain)| chain.iter().copied()),
            );
        }
        found
    }

    /// Moves a record from the place where it is to another one.
    pub fn move_to(&mut self, sequence: Sequence, to: Place) {
        let Some(entry) = self.entries.get_mut(&sequence) else {
            return;
        };
        let had_place = entry.has_place();
        let from = std::mem::replace(&mut entry.place, to);
        let has_place = entry.has_place();
        let (collection, kind, urgent, size) = (entry.collection, entry.kind(), entry.urgent, entry.size());
        let slot = (from == Place::Parked || to == Place::Parked).then(|| entry.slot());
        self.places = self.places + usize::from(has_place) - usize::from(had_place);
        match (from == Place::Parked, to == Place::Parked) {
            (true, false) => self.unparked.change((collection, kind), 1),
            (false, true) => self.unparked.change((collection, kind), -1),
            _ => {}
        }
        let was_awaited = std::mem::take(&mut entry.awaited);
        let ready = ready_set(&mut self.ready, &mut self.ready_patches, collection, kind);
        if let Some(ready) = ready {
            if from == Place::Ready {
                ready.remove(sequence, size);
                if was_awaited {
                    ready.one_awaited_left();
                }
            }
            if to == Place::Ready {
                ready.insert(sequence, size, urgent);
            }
        }
        if to == Place::Ready {
            self.see_whether_awaited(sequence);
        }
        if let Some(slot) = slot {
            if from == Place::Parked {
                self.parked.remove(&sequence);
                remove_from(&mut self.aside, &slot, sequence);
            }
            if to == Place::Parked {
                self.parked.insert(sequence);
                self.aside.entry(slot).or_default().insert(sequence);
            }
        }
    }

    /// What was to be sent is in line again.
    pub fn back_in_line(&mut self, sequence: Sequence) {
        self.move_to(sequence, Place::Blocked);
        self.make_ready_if_free(sequence);
    }

    /// A wait needs this record.
    pub fn await_one(&mut self, sequence: Sequence, wait: WaitId) {
        if let Some(entry) = self.entries.get_mut(&sequence) {
            entry.waits.push(wait);
        }
        self.hurry(sequence);
    }

    /// The unsettled records of a scope, oldest first.
    pub fn in_scope(&self, scope: &Scope) -> Vec<Sequence> {
        let (mut found, limit) = match scope {
            Scope::Name { fqn, subtree, up_to } => {
                let mut found = self.named(fqn, *subtree);
                let folded = fqn.to_lowercase();
                if folded != *fqn {
                    found.extend(self.named(&folded, *subtree));
                }
                (found, *up_to)
            }
            Scope::Collection {
                collection,
                under,
                except,
                up_to,
            } => {
                let Some(wanted) = self.known_collection(collection) else {
                    return Vec::new();
                };
                let mut found = match under {
                    Some(fqn) => self.named(fqn, true),
                    None => self.entries.keys().copied().collect(),
                };
                found.retain(|sequence| {
                    self.get(*sequence)
                        .is_some_and(|entry| entry.collection == wanted && !except.contains(&entry.key))
                });
                (found, *up_to)
            }
            Scope::All { up_to } => (self.entries.keys().copied().collect(), *up_to),
            Scope::FinalDrain | Scope::Room { .. } => return Vec::new(),
        };
        found.retain(|sequence| *sequence <= limit && self.get(*sequence).is_some_and(|entry| !entry.is_parked()));
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Which place holds which record; `held`: what containers outside have. A record that says to be elsewhere is named there, too,
    /// and one that is nowhere is named twice.
    pub fn custody(&self, held: impl Iterator<Item = (Sequence, Place)>) -> Vec<(Sequence, Place)> {
        let ready = self.ready.iter().chain([&self.ready_patches]);
        let ready = ready.flat_map(|ready| ready.iter(false)).map(|one| (one, Place::Ready));
        let parked = self.parked.iter().map(|one| (*one, Place::Parked));
        let blocked = self.entries.values().filter(|entry| entry.place == Place::Blocked);
        let blocked = blocked.map(|entry| (entry.sequence, Place::Blocked));
        let mut all: Vec<_> = ready.chain(parked).chain(blocked).chain(held).collect();
        let elsewhere = all.iter().filter_map(|(sequence, place)| {
            let says = self.get(*sequence)?.place;
            (says != *place).then_some((*sequence, says))
        });
        let elsewhere: Vec<_> = elsewhere.collect();
        all.extend(elsewhere);
        let found: FxHashSet<Sequence> = all.iter().map(|(sequence, _)| *sequence).collect();
        let lost = self.entries.values().filter(|entry| !found.contains(&entry.sequence));
        all.extend(lost.flat_map(|entry| [(entry.sequence, entry.place); 2]));
        all
    }

    /// Counts a ready record that others wait for: its batch need not fill.
    fn see_whether_awaited(&mut self, sequence: Sequence) {
        let Some(entry) = self.entries.get_mut(&sequence) else {
            return;
        };
        if entry.place != Place::Ready || entry.awaited || entry.dependants.is_empty() {
            return;
        }
        entry.awaited = true;
        let (collection, kind) = (entry.collection, entry.kind());
        if let Some(ready) = ready_set(&mut self.ready, &mut self.ready_patches, collection, kind) {
            ready.one_awaited();
        }
    }

    /// Somebody waits for this record: it goes first, and so does all that it waits for.
    pub fn hurry(&mut self, sequence: Sequence) {
        let mut stack = vec![sequence];
        if broken!(self.defect, HurriesNobody) {
            stack.clear();
        }
        while let Some(sequence) = stack.pop() {
            let Some(entry) = self.entries.get_mut(&sequence) else {
                continue;
            };
            if entry.urgent {
                continue;
            }
            entry.urgent = true;
            stack.extend(entry.edges.iter().map(|(blocker, _)| *blocker));
            if entry.place == Place::Ready {
                let (collection, kind) = (entry.collection, entry.kind());
                let ready = ready_set(&mut self.ready, &mut self.ready_patches, collection, kind);
                if let Some(ready) = ready {
                    ready.hurry(sequence);
                }
            }
        }
    }

    /// Ends a record: whatever waits for it goes on. The entry, for its outcome.
    pub fn end(&mut self, sequence: Sequence) -> Option<Entry> {
        self.step_aside(sequence);
        // Out of whatever set its place has.
        self.move_to(sequence, Place::Flying);
        let mut entry = self.entries.remove(&sequence)?;
        self.settled.append(&mut entry.waits);
        self.places -= usize::from(entry.has_place());
        self.unparked.change((entry.collection, entry.kind()), -1);
        self.bytes = self.bytes.saturating_sub(entry.charge());
        for (blocker, _) in entry.edges.drain(..) {
            if let Some(blocker) = self.entries.get_mut(&blocker) {
                blocker.dependants.retain(|(dependant, _)| *dependant != sequence);
            }
        }
        if let Some(missing) = entry.parked_for.take() {
            remove_from(&mut self.parked_for, &missing.fqn, sequence);
        }
        Some(entry)
    }

    /// Takes a record out of the chain of its entity's writers; nobody waits for it any more.
    fn step_aside(&mut self, sequence: Sequence) {
        self.close_ranks(sequence);
        self.release_dependants(sequence, |_| true);
        if let Some(slot) = self.get(sequence).map(Entry::slot) {
            self.leave_chain(&slot, sequence);
        }
    }

    /// Makes one record wait for another.
    fn add_edge(&mut self, blocker: Sequence, dependant: Sequence, edge: Edge) {
        if let Some(entry) = self.entries.get_mut(&blocker) {
            entry.dependants.push((dependant, edge));
        }
        self.see_whether_awaited(blocker);
        if let Some(entry) = self.entries.get_mut(&dependant) {
            entry.edges.push((blocker, edge));
        }
    }

    fn release_dependants(&mut self, sequence: Sequence, which: impl Fn(Edge) -> bool) {
        let Some(entry) = self.entries.get_mut(&sequence) else {
            return;
        };
        let (released, kept) = std::mem::take(&mut entry.dependants)
            .into_iter()
            .partition(|(_, edge)| which(*edge));
        entry.dependants = kept;
        let released: Vec<(Sequence, Edge)> = released;
        for (dependant, _) in released {
            if let Some(entry) = self.entries.get_mut(&dependant) {
                entry.edges.retain(|(blocker, _)| *blocker != sequence);
            }
            self.make_ready_if_free(dependant);
        }
    }

    fn make_ready_if_free(&mut self, sequence: Sequence) {
        let Some(entry) = self.entries.get_mut(&sequence) else {
            return;
        };
        if entry.place == Place::Blocked && entry.edges.is_empty() {
            self.move_to(sequence, Place::Ready);
        }
    }
}

/// Takes a record out of a set of an index, and the set out of the index where it was the last one.
fn remove_from<K: Ord>(index: &mut BTreeMap<K, BTreeSet<Sequence>>, key: &K, sequence: Sequence) {
    if let Some(set) = index.get_mut(key) {
        set.remove(&sequence);
        if set.is_empty() {
            index.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
