//! Which record must wait for which: entries, edges, chains and ready sets (E1, E3).
//!
//! Edges always point to an earlier record, so there are no cycles. All writers of one entity (create requests and life cycle
//! patches) form a chain in which each waits for the one before (`order/writers.rs`). Records that are set aside are in
//! `order/parking.rs`, ready ones in `order/ready.rs`. Nothing here knows requests, answers or time-outs.

mod parking;
mod ready;
mod writers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use parking::forget_parked;
use ready::ready_set;
pub(super) use ready::Ready;

use super::defects::broken;
use super::record::{Fqn, Kind, Missing, Record, Sequence};
use super::waits::WaitId;
use super::Time;

/// A collection, as a small number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct CollectionId(u16);

/// Why one record waits for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    /// It is the parent.
    Parent,
    /// It is named in the body.
    Need,
    /// It writes the same entity.
    Writer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for its edges.
    Blocked,
    /// May be sent.
    Ready,
    /// Part of a batch: in flight, or waiting for its back-off.
    Taken,
    /// Refused because something that it names is not there; outside the queues.
    Parked,
}

/// A record that shares the outcome of another one.
#[derive(Debug)]
pub(super) struct Sharer {
    pub sequence: Sequence,
    pub kind: Kind,
    pub fqn: Arc<str>,
    pub body: bytes::Bytes,
    pub label: Option<Arc<str>>,
}

impl Sharer {
    pub fn of(sequence: Sequence, record: &Record) -> Self {
        Self {
            sequence,
            kind: record.payload.kind(),
            fqn: record.fqn.clone(),
            body: record.payload.bytes().clone(),
            label: record.label.clone(),
        }
    }
}

/// One pending record.
#[derive(Debug)]
pub(super) struct Entry {
    pub sequence: Sequence,
    pub record: Record,
    pub collection: CollectionId,
    /// The canonical FQN; lower-case where the server folds case.
    pub key: Fqn,
    pub submitted: Time,
    pub first_attempt: Option<Time>,
    pub attempts: u32,
    /// An earlier attempt may have been carried out.
    pub unknown: bool,
    /// The server said, after an unknown result, that it has it already.
    pub exists: bool,
    /// An answer came that did not mention it.
    pub unanswered: bool,
    /// Row answers of 5xx so far.
    pub server_errors: u8,
    /// Its next refusal is final.
    pub last_chance: bool,
    /// The last fault that a request with it met.
    pub last_fault: Option<Arc<str>>,
    /// Why the create request before this life cycle failed.
    pub entity_failed: Option<Arc<str>>,
    /// What it was refused for already.
    pub refused_for: Vec<Missing>,
    pub sharers: Vec<Sharer>,
    /// Records that must not be sent before this one is written.
    pub seconds: Vec<Sequence>,
    /// The record of which this is a second.
    first: Option<Sequence>,
    pub waits: Vec<WaitId>,
    state: State,
    /// An earlier writer of this entity is parked, so this one is as good as parked.
    behind: bool,
    urgent: bool,
    edges: Vec<(Sequence, Edge)>,
    dependants: Vec<(Sequence, Edge)>,
    parked_for: Option<Missing>,
}

impl Entry {
    pub fn kind(&self) -> Kind {
        self.record.payload.kind()
    }

    pub fn size(&self) -> usize {
        self.record.payload.bytes().len()
    }

    fn is_patch_of(&self, entity: &Self) -> bool {
        self.kind() == Kind::LifeCycle && self.collection == entity.collection && self.key == entity.key
    }

    /// Whether a wait goes past it.
    pub fn is_parked(&self) -> bool {
        self.state == State::Parked || self.behind
    }

    fn has_place(&self) -> bool {
        self.kind() == Kind::Create && !self.is_parked()
    }

    /// Whether no request has carried it and none is about to.
    fn is_unsent(&self) -> bool {
        self.attempts == 0 && matches!(self.state, State::Blocked | State::Ready)
    }
}

/// All pending records and what they wait for.
#[derive(Debug, Default)]
pub(super) struct Order {
    entries: FxHashMap<Sequence, Entry>,
    /// The pending writers of each entity, in the order in which they write.
    chains: BTreeMap<(Fqn, CollectionId), VecDeque<Sequence>>,
    collections: Vec<Arc<str>>,
    ready: Vec<Ready>,
    ready_patches: Ready,
    parked: BTreeSet<Sequence>,
    parked_for: FxHashMap<Fqn, BTreeSet<Sequence>>,
    /// Waits for which one more record has settled.
    settled: Vec<WaitId>,
    last: Sequence,
    places: usize,
    bytes: usize,
    #[cfg(feature = "defects")]
    defect: Option<super::defects::Defect>,
}

/// The server lower-cases these names.
const FOLDED: &str = "users";

impl Order {
    #[cfg(feature = "defects")]
    pub fn with(defect: Option<super::defects::Defect>) -> Self {
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

    /// Bytes of all pending bodies.
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

    /// Create requests that no request has carried.
    pub fn unsent(&self) -> usize {
        self.entries
            .values()
            .filter(|entry| entry.kind() == Kind::Create && entry.is_unsent())
            .count()
    }

    /// Removes everything at once, without looking at what waits for what. Oldest first.
    pub fn take_all(&mut self) -> Vec<Entry> {
        let last = self.last;
        let mut entries: Vec<Entry> = std::mem::take(self).entries.into_values().collect();
        self.last = last;
        entries.sort_unstable_by_key(|entry| entry.sequence);
        entries
    }

    /// All pending records, in no order.
    pub fn sequences(&self) -> Vec<Sequence> {
        self.entries.keys().copied().collect()
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
        self.bytes += record.payload.bytes().len();
        let entry = Entry {
            sequence,
            record,
            collection,
            key,
            submitted: now,
            first_attempt: None,
            attempts: 0,
            unknown: false,
            exists: false,
            unanswered: false,
            server_errors: 0,
            last_chance: false,
            last_fault: None,
            entity_failed: None,
            refused_for: Vec::new(),
            sharers: Vec::new(),
            seconds: Vec::new(),
            first,
            waits: Vec::new(),
            state: State::Blocked,
            behind: false,
            urgent: false,
            edges,
            dependants: Vec::new(),
            parked_for: None,
        };
        self.places += usize::from(entry.has_place());
        self.entries.insert(sequence, entry);
        self.join_chain(sequence);
        self.make_ready_if_free(sequence);
        if let Some(missing) = aside {
            self.set_aside(sequence, missing);
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

    /// Replaces the payload of a record that was not sent yet.
    pub fn set_payload(&mut self, sequence: Sequence, payload: super::record::Payload) {
        if let Some(entry) = self.entries.get_mut(&sequence) {
            let (old, new) = (entry.size(), payload.bytes().len());
            entry.record.payload = payload;
            let ready = entry.state == State::Ready && entry.kind() == Kind::Create;
            let collection = entry.collection;
            self.bytes = (self.bytes + new).saturating_sub(old);
            if ready {
                if let Some(set) = self.ready.get_mut(usize::from(collection.0)) {
                    set.bytes = (set.bytes + new).saturating_sub(old);
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
        let is_meant = |entry: &Entry| missing.is_in(&entry.record.collection);
        self.creates_of(&missing.fqn)
            .into_iter()
            .any(|sequence| sequence != except && self.get(sequence).is_some_and(is_meant))
    }

    /// Whether such a create request will end by itself: it is pending, and not parked.
    pub fn is_coming(&self, missing: &Missing, except: Sequence) -> bool {
        let comes = |entry: &Entry| missing.is_in(&entry.record.collection) && !entry.is_parked();
        self.creates_of(&missing.fqn)
            .into_iter()
            .any(|sequence| sequence != except && self.get(sequence).is_some_and(comes))
    }

    /// Length of the longest chain of needs of one collection behind a record, up to `most`.
    pub fn depth(&self, sequence: Sequence, most: usize) -> usize {
        let Some(entry) = self.get(sequence) else { return 0 };
        if most == 0 {
            return 0;
        }
        entry
            .edges
            .iter()
            .filter(|(blocker, edge)| {
                *edge == Edge::Need
                    && self
                        .get(*blocker)
                        .is_some_and(|other| other.collection == entry.collection)
            })
            .map(|(blocker, _)| 1 + self.depth(*blocker, most - 1))
            .max()
            .unwrap_or(0)
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

    /// Marks records as taken by a batch.
    pub fn take(&mut self, sequences: &[Sequence]) {
        for &sequence in sequences {
            self.leave_ready(sequence);
            if let Some(entry) = self.entries.get_mut(&sequence) {
                entry.state = State::Taken;
            }
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
            if entry.state == State::Ready {
                let (collection, kind) = (entry.collection, entry.kind());
                let ready = ready_set(&mut self.ready, &mut self.ready_patches, collection, kind);
                if let Some(ready) = ready {
                    ready.plain.remove(&sequence);
                    ready.urgent.insert(sequence);
                }
            }
        }
    }

    /// Ends a record: whatever waits for it goes on. The entry, for its outcome.
    pub fn end(&mut self, sequence: Sequence) -> Option<Entry> {
        self.leave_ready(sequence);
        self.close_ranks(sequence);
        self.release_dependants(sequence, |_| true);
        let mut entry = self.entries.remove(&sequence)?;
        self.settled.append(&mut entry.waits);
        self.places -= usize::from(entry.has_place());
        self.bytes = self.bytes.saturating_sub(entry.size());
        for (blocker, _) in entry.edges.drain(..) {
            if let Some(blocker) = self.entries.get_mut(&blocker) {
                blocker.dependants.retain(|(dependant, _)| *dependant != sequence);
            }
        }
        let slot = (entry.key.clone(), entry.collection);
        self.leave_chain(&slot, sequence);
        if entry.state == State::Parked {
            self.parked.remove(&sequence);
            if let Some(missing) = entry.parked_for.take() {
                forget_parked(&mut self.parked_for, &missing.fqn, sequence);
            }
            self.see_who_is_behind(&slot);
        }
        Some(entry)
    }

    /// Makes one record wait for another.
    fn add_edge(&mut self, blocker: Sequence, dependant: Sequence, edge: Edge) {
        if let Some(entry) = self.entries.get_mut(&blocker) {
            entry.dependants.push((dependant, edge));
        }
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
        if entry.state != State::Blocked || !entry.edges.is_empty() {
            return;
        }
        entry.state = State::Ready;
        let (collection, kind, urgent, size) = (entry.collection, entry.kind(), entry.urgent, entry.size());
        if let Some(ready) = ready_set(&mut self.ready, &mut self.ready_patches, collection, kind) {
            let set = if urgent { &mut ready.urgent } else { &mut ready.plain };
            if set.insert(sequence) {
                ready.bytes += size;
            }
        }
    }

    fn leave_ready(&mut self, sequence: Sequence) {
        let Some(entry) = self.entries.get(&sequence) else {
            return;
        };
        let (collection, kind, size) = (entry.collection, entry.kind(), entry.size());
        if let Some(ready) = ready_set(&mut self.ready, &mut self.ready_patches, collection, kind) {
            if ready.plain.remove(&sequence) || ready.urgent.remove(&sequence) {
                ready.bytes = ready.bytes.saturating_sub(size);
            }
        }
    }
}

#[cfg(test)]
mod tests;
