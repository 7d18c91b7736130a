//! When a record is given up, and when the server is (E9): the deadline, unknown results, the breaker, and what people are told.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::Value;

use super::batch::Batch;
use super::defects::broken;
use super::record::{Ending, Kind, Sequence};
use super::request::{Answer, RequestId};
use super::retry::{back_off, meaning, Asked, Meaning};
use super::{Engine, Flight, Time, Work};

/// Unknown results are read back for so long in all.
const READ_BACK_FOR: Duration = Duration::from_secs(10);
/// Nothing written for so long because of faults: people are told.
const TELL_AFTER: Duration = Duration::from_secs(10);

/// Records whose last attempts may have been carried out, to be looked up at the server before they are called lost.
#[derive(Debug, Default)]
pub(super) struct ReadBack {
    waiting: VecDeque<Sequence>,
    reasons: FxHashMap<Sequence, String>,
    until: Option<Time>,
    over: bool,
}

impl ReadBack {
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty() && !self.over
    }

    /// Whether a record waits for its look-up or for the answer to it.
    pub fn is_busy(&self) -> bool {
        !self.reasons.is_empty()
    }

    /// The server works again: there may be another ten seconds.
    pub fn start_anew(&mut self) {
        if self.over && !self.is_busy() {
            *self = Self::default();
        }
    }

    pub fn is_over(&self) -> bool {
        self.over
    }

    pub fn until(&self) -> Option<Time> {
        self.until.filter(|_| !self.over && self.is_busy())
    }

    pub fn next(&mut self, now: Time) -> Option<Sequence> {
        self.until.get_or_insert(now + READ_BACK_FOR);
        self.waiting.pop_front()
    }

    fn add(&mut self, sequence: Sequence, reason: String, now: Time) {
        self.until.get_or_insert(now + READ_BACK_FOR);
        self.waiting.push_back(sequence);
        self.reasons.insert(sequence, reason);
    }

    /// A record has ended in another way.
    pub fn forget(&mut self, sequence: Sequence) {
        self.reasons.remove(&sequence);
    }

    /// The records that need not be asked for any more, once the time for it is over.
    pub fn expire(&mut self, now: Time) -> Vec<Sequence> {
        self.over |= self.until.is_some_and(|until| until <= now);
        if self.over {
            self.waiting.drain(..).collect()
        } else {
            Vec::new()
        }
    }
}

impl Engine {
    /// Sends work again after its back-off, without those of its records that are past their deadline.
    pub(super) fn retry_or_give_up(
        &mut self,
        work: Work,
        attempts: u32,
        unknown: bool,
        asked: Option<Duration>,
        now: Time,
    ) {
        let chance = self.random.f64();
        let seems_dead = self.health.dead_since().is_some();
        let wait = back_off(attempts, unknown, seems_dead, chance).max(asked.unwrap_or_default());
        if let Some(work) = self.without_expired(work, now) {
            self.put_off(work, now + wait);
        }
    }

    /// Gives up the records that are past their deadline; the work that is left.
    pub(super) fn without_expired(&mut self, work: Work, now: Time) -> Option<Work> {
        match work {
            Work::Batch(mut batch) => {
                let (expired, members) = batch.members.into_iter().partition(|m| self.is_past_deadline(*m, now));
                batch.members = members;
                let expired: Vec<Sequence> = expired;
                for member in expired {
                    self.give_up_one(member, None, now);
                }
                (!batch.members.is_empty()).then_some(Work::Batch(batch))
            }
            work => {
                let (expired, left): (Vec<_>, Vec<_>) = work
                    .sequences()
                    .into_iter()
                    .partition(|s| self.is_past_deadline(*s, now));
                for sequence in expired {
                    self.give_up_one(sequence, None, now);
                }
                (!left.is_empty()).then_some(work)
            }
        }
    }

    pub(super) fn is_past_deadline(&self, sequence: Sequence, now: Time) -> bool {
        let first = self.order.get(sequence).and_then(|entry| entry.first_attempt);
        let patience = if broken!(self.config.defect, GivesUpEarly) {
            self.config.delivery_timeout / 20
        } else {
            self.config.delivery_timeout
        };
        first.is_some_and(|first| now >= first + patience)
    }

    pub(super) fn give_up(&mut self, work: Work, reason: &str, now: Time) {
        for sequence in work.sequences() {
            self.give_up_one(sequence, Some(reason), now);
        }
    }

    /// The end of a record that could not be delivered in time: looked up first, where it may have been written.
    fn give_up_one(&mut self, sequence: Sequence, reason: Option<&str>, now: Time) {
        let Some(entry) = self.order.get(sequence) else { return };
        let own = entry.last_fault.as_deref();
        let reason = reason.or(own).unwrap_or_else(|| self.health.last_reason());
        let after = entry
            .first_attempt
            .map_or(0, |first| now.saturating_sub(first).as_secs());
        let text = format!(
            "given up {after} s after the first of {} attempts: {reason}",
            entry.attempts
        );
        let can_be_read = entry.kind() == Kind::Create && source_hash(entry.record.payload.bytes()).is_some();
        if entry.unknown && can_be_read && !self.read_back.over && !self.closed {
            self.read_back.add(sequence, text, now);
        } else {
            let text = with_doubt(&text, entry.unknown);
            self.finish(sequence, Ending::Failed(text.into()));
        }
    }

    pub(super) fn read_back_answered(&mut self, sequence: Sequence, answer: Answer, sent: Time, now: Time) {
        let Some(entry) = self.order.get(sequence) else { return };
        match meaning(Asked::Get, answer) {
            Meaning::Done(body) => {
                let there = source_hash(&body);
                let same = there == source_hash(entry.record.payload.bytes());
                if there.is_some() && (same || broken!(self.config.defect, ReadsBackCarelessly)) {
                    self.read_back.reasons.remove(&sequence);
                    self.recovered(now);
                    self.finish(sequence, Ending::Written);
                } else {
                    self.end_unread(sequence);
                }
            }
            Meaning::Missing(..) => {
                let reason = self.read_back.reasons.remove(&sequence).unwrap_or_default();
                self.finish(sequence, Ending::Failed(reason.into()));
            }
            other => {
                if let Meaning::Again(again) = other {
                    if self.health.fault(sent, &again.reason, None) || again.overload {
                        self.overloaded(sent, again.retry_after, now);
                    }
                }
                self.end_unread(sequence);
                self.read_back.over = true;
                for sequence in self.read_back.expire(now) {
                    self.end_unread(sequence);
                }
            }
        }
    }

    /// Nobody can tell whether this record was written.
    pub(super) fn end_unread(&mut self, sequence: Sequence) {
        let reason = self.read_back.reasons.remove(&sequence).unwrap_or_default();
        self.finish(sequence, Ending::Failed(with_doubt(&reason, true).into()));
    }

    /// The breaker: after a full deadline without one success, nothing more is sent but a probe now and then.
    pub(super) fn consider_giving_up_the_server(&mut self, now: Time) {
        let Some(since) = self.health.dead_since() else {
            return;
        };
        let faulty_for = now.saturating_sub(since);
        if self.health.is_open().is_some() || faulty_for < self.config.delivery_timeout {
            return;
        }
        let text = format!(
            "the server is given up after {} s without one success: {}",
            faulty_for.as_secs(),
            self.health.last_reason()
        );
        self.notices.push_back(text.clone());
        self.health.open(text);
        self.give_everything_up(now);
    }

    /// Records that requests are under way for.
    pub(super) fn sequences_in_flight(&self) -> FxHashSet<Sequence> {
        self.flights
            .values()
            .flat_map(|flight| flight.work.sequences())
            .collect()
    }

    /// Nothing that was to be sent is sent. Its records stay pending: whoever calls ends them.
    pub(super) fn drop_waiting_work(&mut self) {
        self.at_once.clear();
        self.later.clear();
        self.inquests.clear();
        self.scouts.clear();
    }

    /// Ends whatever is not in flight.
    pub(super) fn give_everything_up(&mut self, now: Time) {
        let in_flight = self.sequences_in_flight();
        self.drop_waiting_work();
        let why = self.health.is_open().unwrap_or_default().to_owned();
        let mut all = self.order.sequences();
        all.sort_unstable();
        for sequence in all {
            if in_flight.contains(&sequence) || self.read_back.reasons.contains_key(&sequence) {
                continue;
            }
            let sent = self.order.get(sequence).is_some_and(|entry| entry.attempts > 0);
            if sent {
                self.give_up_one(sequence, Some(&why), now);
            } else {
                self.finish(sequence, Ending::Failed(why.as_str().into()));
            }
        }
    }

    /// When people are to be told that nothing is being written.
    pub(super) fn stall_notice_at(&self) -> Option<Time> {
        let since = self.health.faulty_since().filter(|_| !self.stall_told)?;
        Some(since + TELL_AFTER)
    }

    pub(super) fn tell_of_stall(&mut self, now: Time) {
        let Some(at) = self.stall_notice_at() else { return };
        if now < at || self.counts.pending == 0 {
            self.stall_told |= now >= at;
            return;
        }
        self.stall_told = true;
        self.notices.push_back(format!(
            "nothing could be written for {} s; {} records wait; {}; each record is tried for {} s from its first attempt",
            now.saturating_sub(at - TELL_AFTER).as_secs(),
            self.counts.pending,
            self.health.last_reason(),
            self.config.delivery_timeout.as_secs(),
        ));
    }

    /// Ends what is past its deadline while it waits.
    pub(super) fn expire(&mut self, now: Time) {
        let expired: Vec<(Time, u64)> = self
            .later
            .iter()
            .filter(|(_, waiting)| waiting.deadline.is_some_and(|deadline| deadline <= now))
            .map(|(key, _)| *key)
            .collect();
        let any = !expired.is_empty();
        for key in expired {
            let Some(waiting) = self.later.remove(&key) else {
                continue;
            };
            if let Some(work) = self.without_expired(waiting.work, now) {
                self.put_off(work, key.0);
            }
        }
        if any {
            self.consider_giving_up_the_server(now);
        }
        for sequence in self.read_back.expire(now) {
            self.end_unread(sequence);
        }
        if self.read_back.is_over() {
            let unread: Vec<RequestId> = self
                .flights
                .iter()
                .filter(|(_, flight)| matches!(flight.work, Work::ReadBack(_)))
                .map(|(id, _)| *id)
                .collect();
            for id in unread {
                if let Some(Flight {
                    work: Work::ReadBack(sequence),
                    ..
                }) = self.flights.remove(&id)
                {
                    self.end_unread(sequence);
                }
            }
        }
    }

    /// While the server is given up, one new record a pause is sent to see whether it is back; the others fail at once. How the record
    /// ended, if it did.
    pub(super) fn admit_while_given_up(&mut self, sequence: Sequence, now: Time) -> Option<Ending> {
        let why = if self.closed {
            "submitted after close".to_owned()
        } else {
            let why = self.health.is_open()?.to_owned();
            if self.becomes_a_probe(sequence, now) {
                return None;
            }
            why
        };
        let ending = Ending::Failed(why.into());
        self.finish(sequence, ending.clone());
        Some(ending)
    }

    /// Sends a new record as a probe where it may go at once and nothing else is under way.
    fn becomes_a_probe(&mut self, sequence: Sequence, now: Time) -> bool {
        let Some(entry) = self.order.get(sequence) else {
            return false;
        };
        let collection = entry.collection;
        let is_ready = self
            .order
            .ready_in(collection)
            .is_some_and(|ready| ready.oldest() == Some(sequence));
        let quiet = self.flights.is_empty() && self.at_once.is_empty() && now >= self.limiter.pause_until();
        let probes = entry.kind() == Kind::Create && is_ready && quiet;
        if probes {
            self.order.take(&[sequence]);
            self.at_once.push(Work::Batch(Batch {
                probe: true,
                ..Batch::new(collection, vec![sequence])
            }));
        }
        probes
    }
}

/// A reason, and what it leaves open.
pub(super) fn with_doubt(reason: &str, may_be_written: bool) -> String {
    if may_be_written {
        format!("{reason}; the server may have written it")
    } else {
        reason.to_owned()
    }
}

fn source_hash(body: &[u8]) -> Option<String> {
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(mut fields)) => match fields.remove("sourceHash") {
            Some(Value::String(hash)) if !hash.is_empty() => Some(hash),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{
        all_written, create, eager, endings, fault, life_cycle, next_request, only_reason, outcomes, request, respond,
        s, submit_tables,
    };
    use super::*;
    use crate::engine::request::{Call, Fault, Request};
    use crate::engine::Scope;

    /// Answers every request with `status` until everything has ended. How many there were.
    fn answer_all(engine: &mut Engine, now: &mut Time, status: u16) -> usize {
        let mut count = 0;
        while engine.stats(*now).pending > 0 {
            if let Some(sent) = engine.poll_request(*now) {
                count += 1;
                respond(engine, sent.id, status, "", *now);
            } else {
                *now = engine.poll_timeout(*now).unwrap().max(*now);
                engine.handle_timeout(*now);
            }
        }
        count
    }

    fn notices(engine: &mut Engine) -> Vec<String> {
        std::iter::from_fn(|| engine.poll_notice()).collect()
    }

    fn unknown_until_the_deadline(engine: &mut Engine, now: &mut Time) -> Request {
        loop {
            let sent = next_request(engine, now);
            if matches!(sent.call, Call::Get { .. }) {
                return sent;
            }
            fault(engine, sent.id, Fault::Broken("reset".into()), *now);
        }
    }

    #[test]
    fn a_record_is_tried_for_300_seconds_and_lost_with_its_own_last_fault() {
        let mut engine = eager(4, 100);
        submit_tables(&mut engine, 1, s(0));
        let mut now = s(0);
        answer_all(&mut engine, &mut now, 503);
        assert_eq!(now, s(300));
        let reason = only_reason(&mut engine);
        assert!(
            reason.starts_with("given up 300 s after the first of ") && reason.ends_with("503"),
            "{reason}"
        );
    }

    #[test]
    fn a_dead_server_ends_everything_after_one_deadline_and_sees_few_requests() {
        let mut engine = eager(16, 100);
        submit_tables(&mut engine, 2000, s(0));
        let mut now = s(0);
        let count = answer_all(&mut engine, &mut now, 503);
        assert_eq!((now, outcomes(&mut engine).len()), (s(300), 2000));
        assert!(count < 300, "{count} requests");
        let told = notices(&mut engine);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("nothing could be written for 10 s; 2000 records wait"));
        assert!(told[1].starts_with("the server is given up after 300 s"));
    }

    #[test]
    fn while_the_server_is_given_up_one_record_a_pause_is_tried_and_a_success_ends_it() {
        let mut engine = eager(4, 100);
        submit_tables(&mut engine, 500, s(0));
        let mut now = s(0);
        answer_all(&mut engine, &mut now, 503);
        outcomes(&mut engine);
        now += s(10);
        submit_tables(&mut engine, 3, now);
        let probe = request(&mut engine, now);
        assert_eq!(endings(&mut engine), "f502 f503");
        all_written(&mut engine, &probe, now);
        assert_eq!(endings(&mut engine), "w501");
        submit_tables(&mut engine, 3, now);
        assert_eq!(engine.stats(now).pending, 3, "business as usual");
        assert!(notices(&mut engine)
            .iter()
            .any(|line| line.starts_with("writing goes on after")));
    }

    #[test]
    fn an_unknown_result_is_looked_up_before_it_is_called_lost() {
        for (hash, expected) in [("of s.t0", "w1"), ("of another", "f1")] {
            let mut engine = eager(4, 100);
            submit_tables(&mut engine, 1, s(0));
            let mut now = s(0);
            let look_up = unknown_until_the_deadline(&mut engine, &mut now);
            let body = format!(r#"{{"sourceHash":"{hash}"}}"#);
            respond(&mut engine, look_up.id, 200, &body, now);
            assert_eq!(endings(&mut engine), expected);
        }
    }

    #[test]
    fn where_nobody_can_tell_the_loss_says_so() {
        let mut engine = eager(4, 100);
        submit_tables(&mut engine, 1, s(0));
        let mut now = s(0);
        let look_up = unknown_until_the_deadline(&mut engine, &mut now);
        respond(&mut engine, look_up.id, 503, "", now);
        assert!(only_reason(&mut engine).ends_with("the server may have written it"));
    }

    #[test]
    fn look_ups_take_ten_seconds_in_all() {
        let mut engine = eager(4, 100);
        submit_tables(&mut engine, 1, s(0));
        let mut now = s(0);
        unknown_until_the_deadline(&mut engine, &mut now);
        now = engine.poll_timeout(now).unwrap();
        engine.handle_timeout(now);
        assert_eq!(now, s(300 + 10));
        assert!(only_reason(&mut engine).ends_with("the server may have written it"));
    }

    #[test]
    fn one_record_that_breaks_the_server_does_not_cost_what_waits_behind_it() {
        let mut engine = eager(4, 1);
        submit_tables(&mut engine, 1, s(0));
        let sent = request(&mut engine, s(0));
        all_written(&mut engine, &sent, s(0));
        engine.submit(create("databaseSchemas", "d.s", None), s(0));
        engine.submit(create("tables", "d.s.t", Some("d.s")), s(0));
        let mut now = s(0);
        while engine.stats(now).failed == 0 {
            if let Some(sent) = engine.poll_request(now) {
                respond(&mut engine, sent.id, 500, "", now);
            } else {
                now = engine.poll_timeout(now).unwrap().max(now);
                engine.handle_timeout(now);
            }
        }
        assert_eq!((endings(&mut engine).as_str(), now), ("w1 f2", s(300)));
        let table = next_request(&mut engine, &mut now);
        all_written(&mut engine, &table, now);
        assert_eq!(endings(&mut engine), "w3");
    }

    #[test]
    fn a_life_cycle_that_may_be_written_is_lost_with_that_doubt() {
        let mut engine = eager(4, 1);
        life_cycle(&mut engine, "old.t", 1, s(0));
        let mut now = s(0);
        while engine.stats(now).pending > 0 {
            if let Some(sent) = engine.poll_request(now) {
                fault(&mut engine, sent.id, Fault::Broken("reset".into()), now);
            } else {
                now = engine.poll_timeout(now).unwrap().max(now);
                engine.handle_timeout(now);
            }
        }
        assert!(only_reason(&mut engine).ends_with("the server may have written it"));
    }

    #[test]
    fn a_record_that_gets_lost_in_here_is_a_failure_and_nobody_waits_for_it() {
        let mut engine = eager(4, 100);
        submit_tables(&mut engine, 1, s(0));
        let sent = request(&mut engine, s(0));
        submit_tables(&mut engine, 1, s(0));
        engine.order.end(2);
        let drain = engine.wait_for(&Scope::FinalDrain, s(0));
        all_written(&mut engine, &sent, s(1));
        assert_eq!(engine.poll_wait(), drain);
        let stats = engine.stats(s(1));
        assert_eq!((stats.written, stats.failed, stats.pending), (1, 1, 0));
        let unnamed = outcomes(&mut engine).pop().unwrap();
        assert!(format!("{:?}", unnamed.ending).contains("1 records have no outcome"));
    }

    #[test]
    fn close_is_bounded_and_abandon_is_at_once() {
        let mut engine = eager(4, 100);
        submit_tables(&mut engine, 1, s(0));
        request(&mut engine, s(0));
        engine.close(s(0));
        let end = engine.poll_timeout(s(0)).unwrap();
        assert_eq!(end, s(610));
        engine.handle_timeout(end);
        assert!(engine.is_closed());
        assert!(only_reason(&mut engine).contains("may have written it"));

        let mut engine = eager(4, 100);
        submit_tables(&mut engine, 2, s(0));
        engine.abandon("the driver panicked");
        assert_eq!((endings(&mut engine).as_str(), engine.is_closed()), ("f1 f2", true));
    }
}
