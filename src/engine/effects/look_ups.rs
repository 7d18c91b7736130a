//! What is looked up, and what its answer does (E9): whether the server has what it may have been told, and whether it works at all.

use crate::engine::accounting::with_doubt;
use crate::engine::batch::Batch;
use crate::engine::defects::broken;
use crate::engine::lifecycle::Patch;
use crate::engine::lookups::{Found, Then};
use crate::engine::order::{Entry, Place};
use crate::engine::queues::Work;
use crate::engine::reading::{Meaning, Trouble};
use crate::engine::record::{source_hash, Ending, Kind, Sequence};
use crate::engine::{Engine, Time};

impl Engine {
    /// Looks a record up to see whether the server works.
    pub(super) fn prove(&mut self, work: Work, trouble: &Trouble, now: Time) {
        match work.sequences().first() {
            Some(sequence) if self.look_ups.are_open(now) => {
                self.order.move_to(*sequence, Place::LookUp);
                self.look_ups.add(*sequence, Then::Again);
            }
            _ => self.put_off(work, 4, Some(trouble), now),
        }
    }

    pub(super) fn can_be_looked_up(&self, sequence: Sequence) -> bool {
        let Some(entry) = self.order.get(sequence) else {
            return false;
        };
        let readable = entry.kind() == Kind::Create && source_hash(entry.record.payload.bytes()).is_some();
        entry.unknown
            && readable
            && self.look_ups.are_open(self.now)
            && !self.closing.is_over()
            && entry.place() != Place::Parked
    }

    /// Loses a record for this reason, unless it may have been written and a look-up can show it.
    pub(super) fn lose_or_look_up(&mut self, sequence: Sequence, reason: String) {
        if self.can_be_looked_up(sequence) {
            self.order.move_to(sequence, Place::LookUp);
            self.look_ups.add(sequence, Then::Lost(reason));
        } else {
            let ending = self.failure(sequence, &reason);
            self.finish(sequence, ending);
        }
    }

    pub(super) fn look_up_answered(&mut self, sequence: Sequence, meaning: Meaning, sent: Time, now: Time) {
        if let Meaning::Fault(trouble) = &meaning {
            let chance = self.random.f64();
            self.server.met_beside(sent, trouble, now, chance);
        }
        let Some(entry) = self.order.get_mut(sequence) else {
            return;
        };
        let ours = source_hash(entry.record.payload.bytes());
        let alive = |entry: &mut Entry| {
            if let Some(streak) = &mut entry.alone {
                streak.seen_alive = true;
            }
        };
        let found = match meaning {
            Meaning::Done { source_hash: there, .. } => {
                alive(entry);
                let same = there.as_deref() == ours.as_deref();
                if there.is_some() && (same || broken!(self.config.defect, ReadsBackCarelessly)) {
                    Found::Same
                } else {
                    Found::Unknown
                }
            }
            Meaning::Missing(..) => {
                alive(entry);
                Found::Nothing
            }
            Meaning::Refused(_) | Meaning::NoRoute { page: false, .. } => {
                alive(entry);
                Found::Unknown
            }
            Meaning::Fault(_) => {
                self.look_ups.stop(now);
                Found::Unknown
            }
            _ => {
                self.look_ups.stop(now);
                Found::Unknown
            }
        };
        self.looked_up(sequence, found, now);
    }

    fn looked_up(&mut self, sequence: Sequence, found: Found, now: Time) {
        let then = self.look_ups.done(sequence);
        let Some(entry) = self.order.get_mut(sequence) else {
            return;
        };
        if found == Found::Same && entry.unknown {
            if let Some(Then::LastAttempt(batch)) = then {
                let ready = self.look_ups.one_of_batch(batch, None);
                self.send_last(ready);
            }
            self.finish(sequence, Ending::Written);
            return;
        }
        match then {
            Some(Then::Lost(reason)) => {
                let doubt = found != Found::Nothing && entry.unknown;
                self.finish(sequence, Ending::Failed(with_doubt(&reason, doubt).into()));
            }
            Some(Then::LastAttempt(batch)) => {
                self.order.move_to(sequence, Place::LookUp);
                let ready = self.look_ups.one_of_batch(batch, Some(sequence));
                self.send_last(ready);
            }
            Some(Then::Again) | None => {
                let attempts = entry.attempts;
                let work = match entry.kind() {
                    Kind::Create => Work::Batch(Batch::of_one(entry.collection, sequence)),
                    Kind::LifeCycle => Work::Patch(Patch::new(sequence)),
                };
                self.put_off(work, attempts.min(5), None, now);
            }
        }
    }

    pub(super) fn expire_look_ups(&mut self, now: Time) {
        if !self.look_ups.is_busy() {
            return;
        }
        let late = self.look_ups.are_late(now);
        for sequence in self.look_ups.take_unasked(now) {
            self.looked_up(sequence, Found::Unknown, now);
        }
        if !late {
            return;
        }
        for id in self.queues.flights_of(|work| matches!(work, Work::LookUp(_))) {
            if let Some(Work::LookUp(sequence)) = self.queues.landed(id).map(|flight| flight.work) {
                self.looked_up(sequence, Found::Unknown, now);
            }
        }
    }
}
