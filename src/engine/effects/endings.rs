//! The end of a record, and what follows from it for others: waits, parked records, those that were held until it was tried, the end
//! of everything.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::engine::accounting::with_doubt;
use crate::engine::batch::Batch;
use crate::engine::defects::broken;
use crate::engine::inquest::{Closed, Verdict, SCOUTS_WHEN_WARY};
use crate::engine::order::Entry;
use crate::engine::queues::Work;
use crate::engine::record::{Ending, Kind, Sequence};
use crate::engine::{Engine, Time};

use super::admission::first_failed;

impl Engine {
    /// Ends one record and does what follows from it for others.
    pub(super) fn finish(&mut self, sequence: Sequence, ending: Ending) {
        let mut todo = vec![(sequence, ending)];
        while let Some((sequence, ending)) = todo.pop() {
            let Some(entry) = self.order.end(sequence) else {
                continue;
            };
            let ending = match &entry.second_form {
                Some(form) => form.stands(ending),
                None => ending,
            };
            if entry.kind() == Kind::Create {
                match &ending {
                    Ending::Failed(reason) => self.follow_failure(&entry, reason, &mut todo),
                    _ => self.follow_success(&entry, &ending),
                }
            }
            self.report_alone(sequence, Some(&ending));
            if entry.second_form.is_some() {
                self.end_in_parts(entry, ending);
            } else {
                let forgets_sharers = broken!(self.config.defect, ForgetsSharers);
                self.books.conclude(entry, ending, forgets_sharers);
            }
        }
    }

    fn follow_failure(&mut self, entry: &Entry, reason: &Arc<str>, todo: &mut Vec<(Sequence, Ending)>) {
        let still_pending = self.order.last_create(&entry.record.collection, &entry.key).is_some();
        if still_pending {
            // The server may have the entity all the same; what was parked with it has its turn, in its order.
            for follower in self.order.parked_with(entry) {
                self.order.unpark(follower);
            }
        } else {
            self.failed.insert((entry.collection, entry.key.clone()));
            for parked in self.order.parked_for(entry) {
                let untried = self.order.get_mut(parked).filter(|parked| {
                    let is_its_patch = parked.kind() == Kind::LifeCycle && parked.key == entry.key;
                    is_its_patch && parked.refused_for.is_empty()
                });
                if let Some(patch) = untried {
                    // The server may have the entity from an earlier run.
                    patch.entity_failed = Some(reason.clone());
                    self.order.unpark(parked);
                    continue;
                }
                let text = format!("{} failed, which this needs: {reason}", entry.record.fqn);
                todo.push((parked, self.failure(parked, &text)));
            }
            if !self.owed.waits_for_nothing() {
                self.pay_for(entry, false);
            }
        }
        self.tell_patch_of_failure(entry, reason);
        for second in entry.seconds.iter().filter(|second| self.order.get(**second).is_some()) {
            todo.push((*second, first_failed(&entry.record.fqn, reason)));
        }
    }

    fn follow_success(&mut self, entry: &Entry, ending: &Ending) {
        if !self.failed.is_empty() {
            self.failed.remove(&(entry.collection, entry.key.clone()));
        }
        self.written_lately.note(entry.collection, &entry.key, self.now);
        if entry.record.once && *ending == Ending::Written {
            let body = entry.record.payload.bytes();
            self.repeats.note(entry.sequence, entry.collection, &entry.key, body);
        }
        for parked in self.order.parked_for(entry) {
            self.order.unpark(parked);
        }
        if !self.owed.waits_for_nothing() {
            self.pay_for(entry, true);
        }
    }

    /// A create request has failed: the life cycle behind it is tried all the same, for the entity may be there from an earlier run.
    /// Where it is not, both failures are told together.
    fn tell_patch_of_failure(&mut self, entity: &Entry, reason: &Arc<str>) {
        let next = self.order.next_writer(entity).and_then(|next| self.order.get_mut(next));
        if let Some(next) = next.filter(|next| next.kind() == Kind::LifeCycle) {
            next.entity_failed = Some(reason.clone());
        }
    }

    /// A record that was tried alone for others has ended, or, without an ending, was set aside: what they waited for is known.
    pub(super) fn report_alone(&mut self, sequence: Sequence, ending: Option<&Ending>) {
        if self.trials.is_empty() && self.inquests.is_empty() {
            return;
        }
        if let Some(rest) = self.trials.end(sequence) {
            // Whatever came of it, the batch goes again as a whole; if it meets the same fault, it is split.
            let served = self.server.served_so_far();
            let batch = Batch {
                suspect_since: Some(served.saturating_sub(1)),
                ..rest
            };
            if batch.last_attempt {
                self.send_each_alone(batch, self.now);
            } else if !batch.members.is_empty() {
                self.at_once(Work::Batch(batch));
            }
        }
        let collection = self.inquests.collection_of(sequence);
        let alike = match (ending, collection) {
            (Some(Ending::Failed(reason)), Some(collection)) => self.server.route(collection).refusals.is_alike(reason),
            _ => false,
        };
        if let Some(closed) = self.inquests.report(sequence, alike) {
            self.conclude_inquest(closed, ending);
        }
    }

    fn conclude_inquest(&mut self, closed: Closed, ending: Option<&Ending>) {
        let now = self.now;
        let Closed {
            verdict,
            collection,
            rest,
            since,
        } = closed;
        // Their deadlines stood still.
        for member in &rest {
            if let Some(entry) = self.order.get_mut(*member) {
                entry.first_attempt = entry.first_attempt.map(|first| first + now.saturating_sub(since));
            }
        }
        match (verdict, ending) {
            (Verdict::TryMore, _) => self.try_some(collection, rest, SCOUTS_WHEN_WARY, now),
            (Verdict::Condemned(scouts), Some(Ending::Failed(reason))) => {
                self.server.route(collection).refusals.wary = true;
                let path = self.order.path(collection).cloned().unwrap_or_default();
                let text: Arc<str> =
                    format!("{reason}; this one was not tried alone: {scouts} others of {path} were refused alike")
                        .into();
                for sequence in rest {
                    self.finish(sequence, Ending::Failed(text.clone()));
                }
            }
            _ => {
                self.server.route(collection).refusals.differ();
                if broken!(self.config.defect, ForgetsTheInquest) {
                    return;
                }
                // The rest of several batches may have come together.
                for members in self.sealing.cut(&rest, &self.order).into_iter().rev() {
                    let batch = Batch::new(collection, members);
                    self.at_once(Work::Batch(batch));
                }
            }
        }
    }

    /// Brings everything that depends on other parts up to date: waits, room, the last chances of parked records, the end.
    pub(in crate::engine) fn settle(&mut self, now: Time) {
        loop {
            for wait in self.order.take_settled() {
                self.waits.one_settled(wait);
            }
            if !self.give_last_chances(now) {
                break;
            }
        }
        if self.waits.wants_room() && !broken!(self.config.defect, GivesNoRoom) {
            let free = self.free();
            self.waits.give_room(free);
        }

        self.rest_where_idle(now);
        self.books.check(self.order.len() + self.owed.len(), self.order.last());
        if self.books.counts.pending == 0 && !self.waits.tickets.is_owed() {
            self.server.rest(now);
            self.waits.all_done();
            if self.closing.is_called() {
                self.closing.end();
                self.waits.end_all();
            }
        }
    }

    /// Faults are counted for as long as something is pending that could be sent: idle time says nothing of the server.
    fn rest_where_idle(&mut self, now: Time) {
        if !self.server.is_in_trouble() {
            return;
        }
        if self.is_quiet() {
            self.server.rest(now);
        } else {
            let order = &self.order;
            self.server.rest_where(|lane| order.is_idle(lane), now);
        }
    }

    /// Whether there is nothing to do but for what is parked or owed.
    fn is_quiet(&self) -> bool {
        self.order.places() == 0
            && self.order.ready_patches().len() == 0
            && self.queues.is_quiet()
            && !self.look_ups.is_busy()
            && self.inquests.is_empty()
            && self.trials.is_empty()
            && self.sweeps.is_empty()
    }

    /// Parked records hold nothing up for ever: once nothing else is left to do, in a final drain or for a submit that waits for
    /// room, they are sent once more and whatever comes then is final. Whether any were.
    fn give_last_chances(&mut self, now: Time) -> bool {
        let draining = self.is_draining();
        let stuck = self.is_quiet() && self.order.parked_len() + self.owed.len() > 0;
        if broken!(self.config.defect, GivesNoLastChance)
            || self.closing.is_over()
            || !stuck
            || !(draining || self.waits.wants_room())
        {
            return false;
        }
        // For room, no more of them than whoever waits needs.
        let mut wanted = match self.waits.tickets.head() {
            Some(need) if !draining => need.bytes.saturating_sub(self.free().bytes).max(1),
            _ => usize::MAX,
        };
        for sequence in self.order.parked_roots() {
            if wanted == 0 {
                break;
            }
            wanted = wanted.saturating_sub(self.order.get(sequence).map_or(0, Entry::charge));
            let lane = self.order.get(sequence).map(|entry| (entry.collection, entry.kind()));
            if let Some(why) = lane.and_then(|lane| self.server.given_up(lane)).cloned() {
                self.finish(sequence, Ending::Failed(why));
                continue;
            }
            if let Some(entry) = self.order.get_mut(sequence) {
                entry.last_chance = true;
                entry.submitted = entry.submitted.min(now);
            }
            self.order.unpark(sequence);
            self.order.hurry(sequence);
        }
        self.call_in(&mut wanted);
        true
    }

    /// Ends everything at once. Relies on nothing but the list of pending records.
    pub(in crate::engine) fn abandon_all(&mut self, reason: &str) {
        let flights = self.queues.clear_flights();
        let in_flight: FxHashSet<Sequence> = flights
            .iter()
            .flat_map(|flight| flight.work.sequences())
            .copied()
            .collect();
        self.queues.take_unsent(|_| true);
        self.inquests.take_all(None);
        self.trials.take_all(None);
        self.look_ups = crate::engine::lookups::LookUps::default();
        self.sweeps.clear();
        for entry in self.order.take_all() {
            let may_be_written = entry.unknown || in_flight.contains(&entry.sequence);
            let reason = match &entry.last_fault {
                Some(fault) => format!("{reason}; {}", fault.text),
                None => reason.to_owned(),
            };
            let reason = with_doubt(&reason, may_be_written);
            self.conclude(entry, Ending::Failed(reason.into()));
        }
        for entry in self.owed.take_all() {
            self.conclude(entry, Ending::Failed(reason.into()));
        }
        self.books.check(self.order.len(), self.order.last());
        self.closing.end();
        self.waits.end_all();
    }
}
