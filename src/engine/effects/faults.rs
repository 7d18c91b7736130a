//! What a fault does to the records that met it (E7): again, in parts, lost.

use std::sync::Arc;

use crate::engine::accounting::with_doubt;
use crate::engine::batch::Batch;
use crate::engine::decide::{Decision, Facts, Streak};
use crate::engine::defects::broken;
use crate::engine::figures::Cause;
use crate::engine::lifecycle::Patch;
use crate::engine::order::{Entry, Met};
use crate::engine::queues::{lane_of, Lane, Work};
use crate::engine::reading::{Trouble, TroubleKind};
use crate::engine::record::{Ending, Kind, Sequence};
use crate::engine::retry::back_off;
use crate::engine::server::Admission;
use crate::engine::{Engine, Time};

use super::answers::is_probe;

impl Engine {
    /// A request met a fault.
    pub(super) fn in_trouble(&mut self, work: Work, lane: Lane, mut trouble: Trouble, sent: Time, now: Time) {
        let Some(first) = work.sequences().first().copied() else {
            return;
        };
        if broken!(self.config.defect, IgnoresRetryAfter) {
            trouble.retry_after = None;
        }
        let reason: Arc<str> = trouble.reason.as_str().into();
        let how = Met::among(work.sequences().len(), trouble.kind.is_passing());
        for sequence in work.sequences() {
            if let Some(entry) = self.order.get_mut(*sequence) {
                entry.met(reason.clone(), now, how);
                entry.unknown |= trouble.unknown && !broken!(self.config.defect, ForgetsDoubts);
            }
        }
        let chance = self.random.f64();
        let carried = (first, work.sequences().len());
        self.server.failed(lane, carried, sent, &trouble, now, chance);
        if trouble.kind == TroubleKind::Overload {
            let others_are_ready = self.order.ready_lanes().any(|other| other != lane);
            self.server.overloaded(lane, trouble.retry_after, others_are_ready, now);
        }
        let probe = is_probe(&work);
        if probe {
            self.server.tried_in_vain(lane, now);
            // The server is there, so it may be the lane; and where another one has met no fault yet, that is the next to try.
            if self.server.is_alone_in_trouble(lane) {
                self.consider_giving_up_lane(lane, true, now);
            } else if !self.situation(now).is_one_untried() {
                self.consider_giving_up(now);
            }
        }
        if let Some(why) = self.server.given_up(lane).cloned() {
            self.lose_all(&work, Some(&reason), now);
            if probe {
                // What came while it was on its way was held for its answer.
                let scope = (!self.server.is_given_up()).then_some(lane);
                self.give_up_pending(scope, &why);
            }
            return;
        }
        self.met_fault(work, lane, &trouble, sent, now);
        self.consider_giving_up_lane(lane, false, now);
    }

    /// What becomes of the records that met a fault.
    pub(super) fn met_fault(&mut self, work: Work, lane: Lane, trouble: &Trouble, sent: Time, now: Time) {
        match work {
            Work::Batch(batch) if batch.last_attempt && batch.members.len() > 1 => {
                self.last_attempt_failed(batch, lane, sent, now);
            }
            Work::Batch(batch) => self.batch_in_trouble(batch, lane, trouble, now),
            Work::Patch(patch) => self.patch_in_trouble(patch, lane, trouble, now),
            Work::LookUp(_) | Work::Probe | Work::RenewToken => {}
        }
    }

    fn batch_in_trouble(&mut self, mut batch: Batch, lane: Lane, trouble: &Trouble, now: Time) {
        if let Some(rest) = batch.members.first().and_then(|row| self.trials.end(*row)) {
            // The row met it alone as well: that says nothing about the batch.
            self.met_alone(&batch.members, trouble.kind, now);
            if rest.last_attempt && rest.tried_alone.len() == 1 && self.was_any_passed_over(&rest.members) {
                // It may be the one that costs the others theirs: another one tells.
                self.lose_all(&Work::Batch(batch), None, now);
                self.try_one_alone(rest);
                return;
            }
            let mut members = rest.members;
            members.append(&mut batch.members);
            members.sort_unstable();
            let members = self.in_time(members, rest.last_attempt, now);
            if self.nothing_else_tells(&members) {
                // Each has met it alone, again and again: each is on its own from here on.
                for member in members {
                    let attempts = rest.attempts;
                    let one = Batch::of_one(rest.collection, member);
                    self.put_off(Work::Batch(one), attempts, Some(trouble), now);
                }
            } else {
                self.again(Batch { members, ..rest }, trouble, now);
            }
            return;
        }
        let alone = match batch.members.as_slice() {
            [_] => self.met_alone(&batch.members, trouble.kind, now),
            _ => None,
        };
        batch.members = self.in_time(std::mem::take(&mut batch.members), batch.last_attempt, now);
        let served = self.server.served_so_far();
        let Some(streak) = (match batch.members.as_slice() {
            [] => return,
            [_] => alone.or_else(|| self.met_alone(&batch.members, trouble.kind, now)),
            _ => Some(Streak::one_more(batch.streak, trouble.kind, served, now)),
        }) else {
            return;
        };
        if batch.members.len() > 1 {
            batch.streak = Some(streak);
        }
        let facts = Facts {
            streak,
            rows: batch.members.len(),
            suspect_since: batch.suspect_since,
            served,
            others_served: self.others_were_served(streak, lane),
            nothing_else: self.nothing_else_tells(&batch.members),
            patience: self.patience(),
            now,
        };
        match Decision::about(&facts) {
            Decision::Again => self.again(batch, trouble, now),
            Decision::Split => self.split(batch),
            Decision::OneAlone => self.try_one_alone(batch),
            Decision::Prove => self.prove(Work::Batch(batch), trouble, now),
            Decision::Lost => self.lose_all(&Work::Batch(batch), Some(&trouble.reason), now),
        }
    }

    fn patch_in_trouble(&mut self, patch: Patch, lane: Lane, trouble: &Trouble, now: Time) {
        let streak = self.met_alone(&[patch.sequence], trouble.kind, now);
        let members = self.in_time(vec![patch.sequence], patch.last_attempt, now);
        let Some(streak) = streak.filter(|_| !members.is_empty()) else {
            return;
        };
        let facts = Facts {
            streak,
            rows: 1,
            suspect_since: None,
            served: self.server.served_so_far(),
            others_served: self.others_were_served(streak, lane),
            nothing_else: self.nothing_else_tells(&members),
            patience: self.patience(),
            now,
        };
        match Decision::about(&facts) {
            Decision::Lost => self.lose(patch.sequence, Some(&trouble.reason), now),
            Decision::Prove => self.prove(Work::Patch(patch), trouble, now),
            Decision::Again | Decision::Split | Decision::OneAlone => {
                let attempts = patch.attempts;
                self.put_off(Work::Patch(patch), attempts, Some(trouble), now);
            }
        }
    }

    /// A record met a fault alone. How often by now.
    fn met_alone(&mut self, members: &[Sequence], kind: TroubleKind, now: Time) -> Option<Streak> {
        let served = self.server.served_so_far();
        let entry = self.order.get_mut(*members.first()?)?;
        entry.alone = Some(Streak::one_more(entry.alone, kind, served, now));
        entry.alone
    }

    /// Whether a request that was sent after the first fault of a streak was served, as far as that says something about faults of its
    /// kind: what turns a collection away may let others in.
    fn others_were_served(&self, streak: Streak, lane: Lane) -> bool {
        if streak.kind == TroubleKind::Rebuffed {
            self.server.last_success(lane) >= Some(streak.first)
        } else {
            self.server.last_served_sent() >= Some(streak.first)
        }
    }

    /// Whether nothing but these records could show that the server works: whatever else is pending has met faults alone as often.
    fn nothing_else_tells(&self, members: &[Sequence]) -> bool {
        let is_in_doubt = |sequence: &Sequence| self.order.get(*sequence).is_some_and(Entry::is_in_doubt);
        if !members.iter().all(is_in_doubt) {
            return false;
        }
        let ready = self.order.ready().any(|(_, ready)| ready.len() > 0) || self.order.ready_patches().len() > 0;
        !ready
            && self.queues.in_flight() == 0
            && self.inquests.is_empty()
            && self.trials.is_empty()
            && !self.look_ups.is_busy()
            && self
                .queues
                .unsent()
                .all(|work| work.sequences().iter().all(is_in_doubt))
    }

    /// The same batch after its back-off.
    fn again(&mut self, batch: Batch, trouble: &Trouble, now: Time) {
        if !batch.members.is_empty() {
            let attempts = batch.attempts;
            self.put_off(Work::Batch(batch), attempts, Some(trouble), now);
        }
    }

    /// Two halves of a batch that holds what causes its faults.
    pub(super) fn split(&mut self, batch: Batch) {
        let served = self.server.served_so_far();
        let cause = batch.streak.map_or(Cause::Refused, |streak| Cause::Fault(streak.kind));
        self.send_halves(batch, Some(served), cause);
    }

    /// Sends both halves of a batch, the older records first.
    pub(super) fn send_halves(&mut self, batch: Batch, suspect_since: Option<u64>, cause: Cause) {
        if batch.members.len() < 2 {
            self.at_once(Work::Batch(batch));
            return;
        }
        self.figures.split(cause);
        let Some((first, second)) = batch.halves() else { return };
        for (half, forgotten) in [(second, broken!(self.config.defect, ForgetsHalf)), (first, false)] {
            let half = Batch { suspect_since, ..half };
            if !forgotten {
                self.at_once(Work::Batch(half));
            }
        }
    }

    pub(super) fn try_one_alone(&mut self, batch: Batch) {
        let (collection, last_attempt) = (batch.collection, batch.last_attempt);
        self.hold(&batch.members);
        if let Some(row) = self.trials.begin(batch, &mut self.random) {
            let alone = Batch {
                last_attempt,
                ..Batch::of_one(collection, row)
            };
            self.at_once(Work::Batch(alone));
        }
    }

    /// Work that goes before everything else, unless nothing goes.
    pub(super) fn at_once(&mut self, work: Work) {
        if let Some(why) = self.shut(&work) {
            self.lose_all(&work, Some(&why), self.now);
        } else {
            self.queues.at_once(&mut self.order, work);
        }
    }

    /// Why nothing is sent where this work would go.
    fn shut(&self, work: &Work) -> Option<Arc<str>> {
        match self.server.admission(lane_of(work, &self.order)?, self.now) {
            Admission::GivenUp(why) => Some(why),
            Admission::Open => None,
        }
    }

    /// Puts work off for a back-off.
    pub(super) fn put_off(&mut self, work: Work, attempts: u32, trouble: Option<&Trouble>, now: Time) {
        let in_doubt = trouble.is_some_and(|trouble| trouble.unknown && trouble.kind != TroubleKind::Closed);
        let mut pauses = false;
        if let (true, Work::Batch(batch)) = (in_doubt, &work) {
            for member in &batch.members {
                if let Some(entry) = self.order.get_mut(*member) {
                    pauses |= !std::mem::replace(&mut entry.paused, true);
                }
            }
        }
        let chance = self.random.f64();
        let asked = trouble.and_then(|trouble| trouble.retry_after).unwrap_or_default();
        let wait = match trouble {
            // Nothing else goes in that pause, either.
            Some(trouble) if trouble.kind == TroubleKind::Rebuffed => asked,
            _ => back_off(attempts, pauses, self.server.seems_dead(), chance).max(asked),
        };
        self.put_off_until(work, now + wait);
    }

    /// Puts work off until `at`, or until one of its records is past its deadline.
    pub(super) fn put_off_until(&mut self, work: Work, at: Time) {
        if let Some(why) = self.shut(&work) {
            self.lose_all(&work, Some(&why), self.now);
            return;
        }
        let last_attempt = match &work {
            Work::Batch(batch) => batch.last_attempt,
            Work::Patch(patch) => patch.last_attempt,
            _ => false,
        };
        let entries = work.sequences().iter().filter_map(|one| self.order.get(*one));
        let first = entries.filter_map(|entry| entry.first_attempt).min();
        let deadline = first.filter(|_| !last_attempt).map(|first| first + self.patience());
        self.queues.later(&mut self.order, work, at, deadline);
    }

    pub(super) fn lose_all(&mut self, work: &Work, reason: Option<&str>, now: Time) {
        for sequence in work.sequences() {
            self.lose(*sequence, reason, now);
        }
    }

    /// The end of a record that could not be delivered: looked up first, where it may have been written.
    pub(super) fn lose(&mut self, sequence: Sequence, reason: Option<&str>, now: Time) {
        let Some(entry) = self.order.get(sequence) else { return };
        let own = entry.last_fault.as_ref().map(|fault| &*fault.text);
        let reason = match (reason, own) {
            (Some(reason), Some(own)) if !reason.starts_with(own) => format!("{own}; {reason}"),
            (Some(reason), _) | (None, Some(reason)) => reason.to_owned(),
            (None, None) => self.server.stall.reason().to_owned(),
        };
        let after = entry
            .first_attempt
            .map_or(0, |first| now.saturating_sub(first).as_secs());
        let text = format!(
            "given up {after} s after the first of {} attempts: {reason}",
            entry.attempts
        );
        self.lose_or_look_up(sequence, text);
    }

    /// The failure of a record, with the doubt that its attempts leave.
    pub(super) fn failure(&self, sequence: Sequence, reason: &str) -> Ending {
        let unknown = self.order.get(sequence).is_some_and(|entry| entry.unknown);
        Ending::Failed(with_doubt(reason, unknown).into())
    }

    /// A callable that does not answer counts as one without another token. Should it answer later, its token is used all the same.
    pub(super) fn expire_renewal(&mut self, now: Time) {
        let patience = self.config.delivery_timeout;
        let until = self.server.authorization.renewal_until(patience);
        if until.is_none_or(|until| until > now) {
            return;
        }
        for id in self.queues.flights_of(|work| matches!(work, Work::RenewToken)) {
            self.queues.landed(id);
        }
        let text = format!("the token callable has not answered for {} s", patience.as_secs());
        self.token_answered(Err(text), now);
    }

    /// After a probe: nothing more is sent to a server that has served nothing for a full deadline, but a probe now and then.
    pub(super) fn consider_giving_up(&mut self, now: Time) {
        if let Some(why) = self.server.consider_giving_up(now) {
            self.notices.push_back(why.to_string());
            self.give_up_pending(None, &why);
        }
    }

    /// `alone`: it is known that no other lane is in trouble.
    fn consider_giving_up_lane(&mut self, lane: Lane, alone: bool, now: Time) {
        let path = self.order.path(lane.0).cloned().unwrap_or_default();
        let what = match lane.1 {
            Kind::Create => path.to_string(),
            Kind::LifeCycle => format!("life cycles of {path}"),
        };
        if let Some(why) = self.server.consider_giving_up_lane(lane, &what, alone, now) {
            self.notices.push_back(why.to_string());
            self.give_up_pending(Some(lane), &why);
        }
    }
}
