//! Waits: somebody needs a scope to be settled. One mechanism for fences, drains, synchronous writing and the budget.

use std::collections::{BTreeSet, VecDeque};

use rustc_hash::{FxHashMap, FxHashSet};

use super::defects::broken;
use super::record::{Fqn, Sequence};
use super::{Engine, Time};

/// Names one wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WaitId(pub u64);

/// What a wait is for. `up_to` leaves out records with a higher sequence number.
#[derive(Debug, Clone)]
pub enum Scope {
    /// All records of a name, with `subtree` also those below it.
    Name {
        /// The name.
        fqn: Fqn,
        /// Also what is below it.
        subtree: bool,
        /// The last record that counts.
        up_to: Sequence,
    },
    /// All records of a collection.
    Collection {
        /// Path of the collection.
        collection: String,
        /// Only those below this name.
        under: Option<Fqn>,
        /// Not these.
        except: FxHashSet<Fqn>,
        /// The last record that counts.
        up_to: Sequence,
    },
    /// All records.
    All {
        /// The last record that counts.
        up_to: Sequence,
    },
    /// All records, parked ones and life cycles included: nothing is pending afterwards.
    FinalDrain,
    /// Room in the budget for a record of this size.
    Room {
        /// Bytes of its body.
        bytes: usize,
        /// Whether it is a create request, which also needs a place.
        place: bool,
    },
}

/// The open waits.
#[derive(Debug, Default)]
pub(super) struct Waits {
    next: u64,
    /// How many records each wait still waits for.
    open: FxHashMap<WaitId, usize>,
    final_drains: BTreeSet<WaitId>,
    rooms: VecDeque<(WaitId, usize, bool)>,
    settled: VecDeque<WaitId>,
}

impl Waits {
    fn id(&mut self) -> WaitId {
        self.next += 1;
        WaitId(self.next)
    }

    /// A wait for so many records.
    pub fn for_records(&mut self, records: usize) -> WaitId {
        let id = self.id();
        self.open.insert(id, records);
        id
    }

    pub fn for_final_drain(&mut self) -> WaitId {
        let id = self.id();
        self.final_drains.insert(id);
        id
    }

    pub fn for_room(&mut self, bytes: usize, place: bool) -> WaitId {
        let id = self.id();
        self.rooms.push_back((id, bytes, place));
        id
    }

    /// One record of this wait has settled.
    pub fn one_settled(&mut self, id: WaitId) {
        if let Some(left) = self.open.get_mut(&id) {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.open.remove(&id);
                self.settled.push_back(id);
            }
        }
    }

    /// Ends the waits for room that `fits` allows, first come first served.
    pub fn give_room(&mut self, fits: impl Fn(usize, bool) -> bool) {
        while let Some((id, bytes, place)) = self.rooms.front().copied() {
            if !fits(bytes, place) {
                return;
            }
            self.rooms.pop_front();
            self.settled.push_back(id);
        }
    }

    /// Nothing is pending any more.
    pub fn all_done(&mut self) {
        self.settled.extend(std::mem::take(&mut self.final_drains));
    }

    /// Whether a final drain is under way.
    pub fn is_draining(&self) -> bool {
        !self.final_drains.is_empty()
    }

    /// Whether somebody waits for room.
    pub fn wants_room(&self) -> bool {
        !self.rooms.is_empty()
    }

    /// Nobody waits for it any more.
    pub fn cancel(&mut self, id: WaitId) {
        self.open.remove(&id);
        self.final_drains.remove(&id);
        self.rooms.retain(|(other, ..)| *other != id);
        self.settled.retain(|other| *other != id);
    }

    /// Ends every wait.
    pub fn end_all(&mut self) {
        self.settled.extend(self.open.drain().map(|(id, _)| id));
        self.settled.extend(self.rooms.drain(..).map(|(id, ..)| id));
        self.all_done();
    }

    pub fn next_settled(&mut self) -> Option<WaitId> {
        self.settled.pop_front()
    }
}

impl Engine {
    /// Opens a wait; None where its scope is settled already. What the scope needs is sent at once.
    pub fn wait_for(&mut self, scope: &Scope, now: Time) -> Option<WaitId> {
        let id = match scope {
            Scope::FinalDrain => (self.counts.pending > 0).then(|| self.waits.for_final_drain()),
            Scope::Room { bytes, place } => {
                (!self.has_room(*bytes, *place)).then(|| self.waits.for_room(*bytes, *place))
            }
            _ => {
                let wanted = self.in_scope(scope);
                (!wanted.is_empty()).then(|| {
                    let early = broken!(self.config.defect, WaitsEndEarly);
                    let id = self.waits.for_records(if early { 1 } else { wanted.len() });
                    for sequence in wanted {
                        if let Some(entry) = self.order.get_mut(sequence) {
                            entry.waits.push(id);
                        }
                        self.order.hurry(sequence);
                    }
                    id
                })
            }
        };
        self.settle(now);
        id
    }

    /// The unsettled records of a scope.
    fn in_scope(&self, scope: &Scope) -> Vec<Sequence> {
        let (found, limit) = match scope {
            Scope::Name { fqn, subtree, up_to } => {
                let mut found = self.order.named(fqn, *subtree);
                let folded = fqn.to_lowercase();
                if folded != *fqn {
                    found.extend(self.order.named(&folded, *subtree));
                }
                (found, *up_to)
            }
            Scope::Collection {
                collection,
                under,
                except,
                up_to,
            } => {
                let Some(wanted) = self.order.known_collection(collection) else {
                    return Vec::new();
                };
                let found = match under {
                    Some(fqn) => self.order.named(fqn, true),
                    None => self.order.sequences(),
                };
                let mut found = found;
                found.retain(|sequence| {
                    self.order
                        .get(*sequence)
                        .is_some_and(|entry| entry.collection == wanted && !except.contains(&entry.key))
                });
                (found, *up_to)
            }
            Scope::All { up_to } => (self.order.sequences(), *up_to),
            Scope::FinalDrain | Scope::Room { .. } => return Vec::new(),
        };
        let mut found = found;
        found
            .retain(|sequence| *sequence <= limit && self.order.get(*sequence).is_some_and(|entry| !entry.is_parked()));
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Nobody waits for this any more.
    pub fn cancel(&mut self, wait: WaitId) {
        if !broken!(self.config.defect, CancelsNothing) {
            self.waits.cancel(wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_the_last_of_its_records() {
        let mut waits = Waits::default();
        let id = waits.for_records(2);
        waits.one_settled(id);
        assert_eq!(waits.next_settled(), None);
        waits.one_settled(id);
        assert_eq!(waits.next_settled(), Some(id));
        waits.one_settled(id);
        assert_eq!(waits.next_settled(), None, "it ends once");
    }

    #[test]
    fn who_asked_for_room_first_gets_it_first() {
        let mut waits = Waits::default();
        let large = waits.for_room(100, true);
        let small = waits.for_room(1, true);
        waits.give_room(|bytes, _| bytes < 50);
        assert_eq!(
            waits.next_settled(),
            None,
            "the small one does not overtake the large one"
        );
        waits.give_room(|_, _| true);
        assert_eq!((waits.next_settled(), waits.next_settled()), (Some(large), Some(small)));
        assert!(!waits.wants_room());
    }

    #[test]
    fn nobody_hears_of_a_wait_that_was_cancelled() {
        let mut waits = Waits::default();
        let (records, drain, room) = (waits.for_records(1), waits.for_final_drain(), waits.for_room(1, true));
        waits.one_settled(records);
        for id in [records, drain, room] {
            waits.cancel(id);
        }
        assert!(!waits.is_draining() && !waits.wants_room());
        waits.all_done();
        waits.end_all();
        assert_eq!(waits.next_settled(), None);
    }

    #[test]
    fn the_end_ends_them_all() {
        let mut waits = Waits::default();
        let mut open = vec![waits.for_records(3), waits.for_room(1, false), waits.for_final_drain()];
        waits.end_all();
        let mut ended: Vec<WaitId> = std::iter::from_fn(|| waits.next_settled()).collect();
        ended.sort_unstable();
        open.sort_unstable();
        assert_eq!(ended, open);
    }
}
