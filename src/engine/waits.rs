//! Waits: somebody needs a scope to be settled. One mechanism for fences, drains, synchronous writing and the budget.

use std::collections::{BTreeSet, VecDeque};

use rustc_hash::{FxHashMap, FxHashSet};

use super::budget::{Free, Need, Tickets};
use super::record::{Fqn, Sequence};

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
    pub tickets: Tickets,
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

    pub fn for_room(&mut self, need: Need) -> WaitId {
        let id = self.id();
        self.tickets.ask(id, need);
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

    /// Gives the tickets for which there is room.
    pub fn give_room(&mut self, free: Free) {
        self.settled.extend(self.tickets.give(free));
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
        self.tickets.somebody_waits()
    }

    /// Nobody waits for it any more.
    pub fn cancel(&mut self, id: WaitId) {
        self.open.remove(&id);
        self.final_drains.remove(&id);
        self.tickets.redeem(id);
        self.settled.retain(|other| *other != id);
    }

    /// Ends every wait.
    pub fn end_all(&mut self) {
        self.settled.extend(self.open.drain().map(|(id, _)| id));
        self.settled.extend(self.tickets.take_all());
        self.all_done();
    }

    pub fn next_settled(&mut self) -> Option<WaitId> {
        self.settled.pop_front()
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
    fn nobody_hears_of_a_wait_that_was_cancelled() {
        let mut waits = Waits::default();
        let (records, drain, room) = (
            waits.for_records(1),
            waits.for_final_drain(),
            waits.for_room(Need { bytes: 1, place: true }),
        );
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
        let mut open = vec![
            waits.for_records(3),
            waits.for_room(Need { bytes: 1, place: false }),
            waits.for_final_drain(),
        ];
        waits.end_all();
        let mut ended: Vec<WaitId> = std::iter::from_fn(|| waits.next_settled()).collect();
        ended.sort_unstable();
        open.sort_unstable();
        assert_eq!(ended, open);
    }
}
