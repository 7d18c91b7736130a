//! The deadline of a record (E9): whether it has another attempt, and its last one.

use crate::engine::batch::Batch;
use crate::engine::decide::{Due, Standing};
use crate::engine::defects::broken;
use crate::engine::figures::Cause;
use crate::engine::lifecycle::Patch;
use crate::engine::order::{Entry, Met, Place};
use crate::engine::queues::{Lane, Work};
use crate::engine::record::{Kind, Sequence};
use crate::engine::{Engine, Time};

/// Last attempts of a record that do not count, at most.
const NOT_COUNTED: u8 = 4;

impl Engine {
    /// Ends what is past its deadline while it waits, and what is waited for no longer.
    pub(in crate::engine) fn expire(&mut self, now: Time) {
        while let Some((work, at)) = self.queues.take_expired(now) {
            match work {
                Work::Batch(mut batch) => {
                    batch.members = self.in_time(std::mem::take(&mut batch.members), batch.last_attempt, now);
                    if !batch.members.is_empty() {
                        self.put_off_until(Work::Batch(batch), at);
                    }
                }
                Work::Patch(patch) => {
                    if !self.in_time(vec![patch.sequence], patch.last_attempt, now).is_empty() {
                        self.put_off_until(Work::Patch(patch), at);
                    }
                }
                Work::LookUp(_) | Work::Probe | Work::RenewToken => {}
            }
        }
        self.expire_look_ups(now);
        self.expire_renewal(now);
    }

    pub(super) fn patience(&self) -> Time {
        if broken!(self.config.defect, GivesUpEarly) {
            self.config.delivery_timeout / 20
        } else {
            self.config.delivery_timeout
        }
    }

    /// Those that have time for another attempt. The others have their last one, or are lost. `last`: this was it.
    pub(super) fn in_time(&mut self, members: Vec<Sequence>, last: bool, now: Time) -> Vec<Sequence> {
        let patience = self.patience();
        let (mut in_time, mut once_more) = (Vec::with_capacity(members.len()), Vec::new());
        for member in members {
            let Some(entry) = self.order.get(member) else { continue };
            let standing = Standing {
                does_not_count: self.does_not_count(entry, now),
                ..self.standing(entry, last)
            };
            match Due::of(&standing, patience, now) {
                Due::InTime => in_time.push(member),
                Due::LastAttempt => once_more.push(member),
                Due::LastAttemptAgain => self.put_last_off(member, now),
                Due::Over => self.lose(member, None, now),
            }
        }
        self.give_last_attempts(once_more);
        in_time
    }

    /// Where a record stands with its deadline while it waits. `last`: it had its last attempt.
    pub(super) fn standing(&self, entry: &Entry, last: bool) -> Standing {
        Standing {
            first_attempt: entry.first_attempt,
            attempts: entry.attempts,
            last,
            passed_over: self.was_passed_over(entry),
            does_not_count: false,
        }
    }

    /// Whether others of its lane were served since a record's last fault: then it has waited for its turn, not for the server. Where
    /// it met that in company, whether any was that left after its first attempt: then it may have waited for a row that was with it.
    pub(super) fn was_passed_over(&self, entry: &Entry) -> bool {
        let lane = (entry.collection, entry.kind());
        let Some(fault) = &entry.last_fault else { return false };
        self.server.last_success(lane) > Some(fault.at)
            || (fault.how == Met::InCompany && self.server.last_served_sent_in(lane) > entry.first_attempt)
    }

    /// Whether a record's attempt has just met what says little of it. The first of them does not count where others of its lane were
    /// served since its fault before.
    fn does_not_count(&self, entry: &Entry, now: Time) -> bool {
        let lane = (entry.collection, entry.kind());
        entry.last_fault.as_ref().is_some_and(|fault| {
            let is_passing = fault.at == now && fault.how == Met::InPassing;
            let others_were_served = entry.not_counted > 0 || self.server.last_success(lane) > fault.before;
            is_passing && others_were_served && entry.not_counted < NOT_COUNTED
        })
    }

    pub(super) fn was_any_passed_over(&self, members: &[Sequence]) -> bool {
        let mut entries = members.iter().filter_map(|one| self.order.get(*one));
        entries.any(|entry| self.was_passed_over(entry))
    }

    /// Records whose time is over, but that have an attempt left: looked up where that can help, then sent once more.
    fn give_last_attempts(&mut self, members: Vec<Sequence>) {
        let (look_up, send): (Vec<_>, Vec<_>) = members.into_iter().partition(|one| self.can_be_looked_up(*one));
        for member in &look_up {
            self.order.move_to(*member, Place::LookUp);
        }
        if !look_up.is_empty() {
            self.look_ups.add_batch(&look_up);
        }
        self.send_last(send);
    }

    /// One last attempt, in halves.
    pub(super) fn send_last(&mut self, members: Vec<Sequence>) {
        let Some(entry) = members.first().and_then(|first| self.order.get(*first)) else {
            return;
        };
        if entry.kind() == Kind::Create {
            let batch = Batch {
                last_attempt: true,
                ..Batch::new(entry.collection, members)
            };
            self.send_halves(batch, None, Cause::LastAttempt);
            return;
        }
        for sequence in members {
            if let Some(work) = self.last_attempt_of(sequence) {
                self.at_once(work);
            }
        }
    }

    /// A last attempt that does not count: another one, alone, after a back-off.
    fn put_last_off(&mut self, sequence: Sequence, now: Time) {
        let Some(entry) = self.order.get_mut(sequence) else {
            return;
        };
        entry.not_counted += 1;
        let attempts = entry.attempts;
        if let Some(work) = self.last_attempt_of(sequence) {
            self.put_off(work, attempts, None, now);
        }
    }

    /// The last attempt of one record.
    fn last_attempt_of(&self, sequence: Sequence) -> Option<Work> {
        let entry = self.order.get(sequence)?;
        Some(match entry.kind() {
            Kind::Create => Work::Batch(Batch {
                last_attempt: true,
                ..Batch::of_one(entry.collection, sequence)
            }),
            Kind::LifeCycle => Work::Patch(Patch {
                last_attempt: true,
                ..Patch::new(sequence)
            }),
        })
    }

    /// The last attempt of a batch failed: one row of it may have cost all of them theirs. Where others of its lane were served meanwhile
    /// each has one of its own; else one row shows whether any is served.
    pub(super) fn last_attempt_failed(&mut self, batch: Batch, lane: Lane, sent: Time, now: Time) {
        if self.server.last_served_sent_in(lane) >= Some(sent) {
            self.send_each_alone(batch, now);
        } else {
            self.try_one_alone(batch);
        }
    }

    /// The last attempt of each row, by itself, behind what goes at once.
    pub(super) fn send_each_alone(&mut self, batch: Batch, now: Time) {
        for member in batch.members {
            if let Some(alone) = self.last_attempt_of(member) {
                self.put_off_until(alone, now);
            }
        }
    }
}
