//! Who has room for one more record (E6): tickets, given in the order of asking. What a ticket was given for is kept for its owner until
//! the record comes, or the owner goes.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::order::WITHOUT_PLACE;
use super::waits::WaitId;

/// What is free.
#[derive(Debug, Clone, Copy)]
pub(super) struct Free {
    pub bytes: usize,
    pub places: usize,
    /// One record is always admitted when no other is pending, whatever its size.
    pub nothing_pending: bool,
}

/// What one record takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    pub bytes: usize,
    /// A create request needs a place, too.
    pub place: bool,
}

impl Need {
    /// Of a record with a body of so many bytes.
    pub fn of(bytes: usize, place: bool) -> Self {
        let without_place = if place { 0 } else { WITHOUT_PLACE };
        Self {
            bytes: bytes + without_place,
            place,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Tickets {
    line: VecDeque<(WaitId, Need)>,
    given: FxHashMap<WaitId, Need>,
}

impl Tickets {
    /// Whether somebody who comes now, and has not asked before, may enter: there is room, and nobody waits who would be overtaken. A
    /// life cycle overtakes those who wait for a place.
    pub fn may_enter(&self, need: Need, free: Free) -> bool {
        let free = self.left(free);
        let overtakes = self
            .line
            .iter()
            .any(|(_, earlier)| need.place || !earlier.place || !fits_bytes(*earlier, free));
        !overtakes && fits(need, free)
    }

    /// Somebody asks.
    pub fn ask(&mut self, id: WaitId, need: Need) {
        self.line.push_back((id, need));
    }

    /// The tickets that can be given now, in the order of asking.
    pub fn give(&mut self, free: Free) -> Vec<WaitId> {
        let mut given = Vec::new();
        let mut waits_for_a_place = false;
        let mut at = 0;
        while let Some((id, need)) = self.line.get(at).copied() {
            let free = self.left(free);
            if !(fits_bytes(need, free) || free.nothing_pending) {
                break;
            }
            if fits(need, free) && !(need.place && waits_for_a_place) {
                self.line.remove(at);
                self.given.insert(id, need);
                given.push(id);
            } else {
                waits_for_a_place |= need.place;
                at += 1;
            }
        }
        given
    }

    /// Its owner comes with the record, or goes.
    pub fn redeem(&mut self, id: WaitId) {
        self.given.remove(&id);
        self.line.retain(|(other, _)| *other != id);
    }

    /// Whether a record is about to come.
    pub fn is_owed(&self) -> bool {
        !self.given.is_empty()
    }

    pub fn somebody_waits(&self) -> bool {
        !self.line.is_empty()
    }

    /// Whoever asked first.
    pub fn head(&self) -> Option<Need> {
        self.line.front().map(|(_, need)| *need)
    }

    /// Everybody goes.
    pub fn take_all(&mut self) -> Vec<WaitId> {
        self.given.clear();
        self.line.drain(..).map(|(id, _)| id).collect()
    }

    fn left(&self, free: Free) -> Free {
        let given = self.given.values();
        Free {
            bytes: free.bytes.saturating_sub(given.clone().map(|need| need.bytes).sum()),
            places: free
                .places
                .saturating_sub(given.clone().filter(|need| need.place).count()),
            nothing_pending: free.nothing_pending && self.given.is_empty(),
        }
    }
}

fn fits_bytes(need: Need, free: Free) -> bool {
    need.bytes <= free.bytes
}

fn fits(need: Need, free: Free) -> bool {
    free.nothing_pending || (fits_bytes(need, free) && (!need.place || free.places > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn create(bytes: usize) -> Need {
        Need { bytes, place: true }
    }

    const fn life_cycle(bytes: usize) -> Need {
        Need { bytes, place: false }
    }

    const fn free(bytes: usize, places: usize) -> Free {
        Free {
            bytes,
            places,
            nothing_pending: false,
        }
    }

    fn id(number: u64) -> WaitId {
        WaitId(number)
    }

    #[test]
    fn who_asked_first_gets_room_first_whatever_its_size() {
        let mut tickets = Tickets::default();
        tickets.ask(id(1), create(100));
        tickets.ask(id(2), create(1));
        assert!(!tickets.may_enter(create(1), free(50, 9)), "nobody is overtaken");
        assert_eq!(tickets.give(free(50, 9)), []);
        assert_eq!(tickets.give(free(100, 9)), [id(1)]);
        assert_eq!(tickets.give(free(100, 9)), [], "it is kept for its owner");
        tickets.redeem(id(1));
        assert_eq!(tickets.give(free(1, 9)), [id(2)]);
    }

    #[test]
    fn what_is_given_is_not_given_twice() {
        let mut tickets = Tickets::default();
        for number in 1..=3 {
            tickets.ask(id(number), create(40));
        }
        assert_eq!(tickets.give(free(100, 9)), [id(1), id(2)]);
        assert!(!tickets.may_enter(life_cycle(30), free(100, 9)));
        tickets.redeem(id(2));
        assert_eq!(tickets.give(free(100, 9)), [id(3)]);
    }

    #[test]
    fn a_life_cycle_waits_for_no_place() {
        let mut tickets = Tickets::default();
        tickets.ask(id(1), create(10));
        assert!(tickets.may_enter(life_cycle(10), free(100, 0)));
        assert!(!tickets.may_enter(create(10), free(100, 0)));
        tickets.ask(id(2), life_cycle(10));
        assert_eq!(tickets.give(free(100, 0)), [id(2)]);
        assert_eq!(tickets.give(free(100, 1)), [id(1)]);
    }

    #[test]
    fn one_record_is_always_admitted_when_no_other_is_pending() {
        let empty = Free {
            nothing_pending: true,
            ..free(10, 0)
        };
        let mut tickets = Tickets::default();
        assert!(tickets.may_enter(create(1_000), empty));
        tickets.ask(id(1), create(1_000));
        tickets.ask(id(2), create(1_000));
        assert_eq!(tickets.give(empty), [id(1)]);
        assert_eq!(tickets.give(empty), []);
    }

    #[test]
    fn who_goes_makes_room() {
        let mut tickets = Tickets::default();
        tickets.ask(id(1), create(100));
        tickets.ask(id(2), create(10));
        tickets.redeem(id(1));
        assert_eq!(tickets.give(free(10, 1)), [id(2)]);
        assert!(!tickets.somebody_waits());
    }
}
