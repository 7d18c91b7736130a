//! What is sent next (E2, E4, E6, the priorities of E10), and when to look again.

use super::batch::Batch;
use super::defects::broken;
use super::inquest::Inquest;
use super::order::CollectionId;
use super::record::{Ending, Kind, Sequence};
use super::request::{Call, Request, RequestId};
use super::{Engine, Flight, Time, Waiting, Work};

/// What to do now.
#[derive(Debug)]
enum Step {
    RenewToken,
    /// The last of the work that is to be sent at once.
    AtOnce,
    /// The first of the work that waited for its back-off.
    Later,
    ReadBack,
    /// A batch of ready records.
    Fresh {
        collection: CollectionId,
        urgent_only: bool,
        rows: usize,
    },
    Patch(Sequence),
    /// Nothing, until then.
    Rest(Option<Time>),
}

impl Work {
    /// The records that it carries.
    pub(super) fn sequences(&self) -> Vec<Sequence> {
        match self {
            Self::Batch(batch) => batch.members.clone(),
            Self::Patch(patch) => vec![patch.sequence],
            Self::ReadBack(sequence) => vec![*sequence],
            Self::RenewToken => Vec::new(),
        }
    }
}

impl Engine {
    /// The next attempt to perform now, if any.
    pub fn poll_request(&mut self, now: Time) -> Option<Request> {
        loop {
            let work = match self.next_step(now) {
                Step::Rest(_) => return None,
                Step::RenewToken => {
                    self.authorization.start_renewal(now);
                    Some(Work::RenewToken)
                }
                Step::AtOnce => self.at_once.pop(),
                Step::Later => self.later.pop_first().map(|(_, waiting)| waiting.work),
                Step::ReadBack => self.read_back.next(now).map(Work::ReadBack),
                Step::Patch(sequence) => {
                    self.order.take(&[sequence]);
                    Some(Work::Patch(super::lifecycle::Patch::new(sequence)))
                }
                Step::Fresh {
                    collection,
                    urgent_only,
                    rows,
                } => self.fresh_batch(collection, urgent_only, rows, now).map(Work::Batch),
            };
            if let Some(request) = work.and_then(|work| self.depart(work, now)) {
                return Some(request);
            }
        }
    }

    /// When [`Engine::handle_timeout`] and [`Engine::poll_request`] have something to do next, if nothing else happens before. A
    /// time that has passed means: now.
    #[must_use]
    pub fn poll_timeout(&self, now: Time) -> Option<Time> {
        if self.closed {
            return None;
        }
        let step = match self.next_step(now) {
            Step::Rest(until) => until,
            _ => Some(now),
        };
        let expiry = self.later.values().filter_map(|waiting| waiting.deadline).min();
        [
            step,
            expiry,
            self.stall_notice_at(),
            self.read_back.until(),
            self.authorization.renewal_until(self.config.delivery_timeout),
            self.closing,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn next_step(&self, now: Time) -> Step {
        if self.closed {
            return Step::Rest(None);
        }
        if self.authorization.wants_renewal() {
            return Step::RenewToken;
        }
        if self.authorization.is_renewing() {
            return Step::Rest(None);
        }
        let held_until = self.limiter.pause_until().max(self.authorization.hold_until());
        if now < held_until {
            return Step::Rest(Some(held_until));
        }
        let mut idle = self.limiter.limit().saturating_sub(self.in_flight());
        if broken!(self.config.defect, IgnoresTheLimit) {
            idle = 1;
        }
        if idle == 0 {
            return Step::Rest(None);
        }
        if !self.at_once.is_empty() {
            return Step::AtOnce;
        }
        let mut next = None;
        if let Some(((at, _), _)) = self.later.first_key_value() {
            if *at <= now {
                return Step::Later;
            }
            next = Some(*at);
        }
        if self.read_back.is_waiting() {
            return Step::ReadBack;
        }
        let (patch, patch_overdue_at) = self.next_patch(now);
        if let (Some(sequence), None) = (patch, patch_overdue_at) {
            return Step::Patch(sequence);
        }
        match self.next_batch(now, idle) {
            Step::Rest(lingered_at) => {
                if let Some(sequence) = patch {
                    return Step::Patch(sequence);
                }
                Step::Rest([next, lingered_at].into_iter().flatten().min())
            }
            step => step,
        }
    }

    /// The oldest ready patch, and when it stops giving way to batches; None for that if it need not give way now: somebody waits
    /// for it, or it has waited as long as a record may while no other patch is in flight.
    fn next_patch(&self, now: Time) -> (Option<Sequence>, Option<Time>) {
        let ready = self.order.ready_patches();
        if let Some(sequence) = ready.oldest_urgent() {
            return (Some(sequence), None);
        }
        let Some(sequence) = ready.oldest() else {
            return (None, None);
        };
        let overdue_at = self
            .order
            .get(sequence)
            .map_or(now, |entry| entry.submitted + self.sealing.linger);
        let one_in_flight = self
            .flights
            .values()
            .any(|flight| matches!(flight.work, Work::Patch(_)));
        let gives_way = one_in_flight || now < overdue_at;
        (Some(sequence), gives_way.then_some(overdue_at))
    }

    /// The batch of ready records that should go now, or when one should.
    fn next_batch(&self, now: Time, idle: usize) -> Step {
        let oldest_of = |wanted: &dyn Fn(CollectionId, &super::order::Ready) -> Option<Sequence>| {
            self.order
                .ready()
                .filter_map(|(collection, ready)| Some((wanted(collection, ready)?, collection, ready)))
                .min_by_key(|(oldest, ..)| *oldest)
        };
        if let Some((_, collection, ready)) = oldest_of(&|_, ready| ready.oldest_urgent()) {
            return Step::Fresh {
                collection,
                urgent_only: true,
                rows: self.sealing.share(ready.urgent_len(), idle),
            };
        }
        let full = |collection, ready: &super::order::Ready| {
            let one_by_one = self
                .routes
                .get(&collection)
                .is_some_and(|route| route.bulk == Some(false));
            (self.sealing.is_full(ready) || one_by_one)
                .then(|| ready.oldest())
                .flatten()
        };
        if let Some((_, collection, _)) = oldest_of(&full) {
            return Step::Fresh {
                collection,
                urgent_only: false,
                rows: self.sealing.rows,
            };
        }
        let Some((_, collection, ready)) = oldest_of(&|_, ready| ready.oldest()) else {
            return Step::Rest(None);
        };
        let draining = self.waits.is_draining() || self.closing.is_some();
        let mut lingered_at = self.sealing.lingered_at(ready, &self.order).unwrap_or(now);
        if broken!(self.config.defect, LingersForEver) {
            lingered_at += Time::from_secs(3600);
        }
        if draining || lingered_at <= now || self.waits.wants_room() {
            let rows = if draining {
                self.sealing.share(ready.len(), idle)
            } else {
                self.sealing.rows
            };
            return Step::Fresh {
                collection,
                urgent_only: false,
                rows,
            };
        }
        Step::Rest(Some(lingered_at))
    }

    /// Takes ready records for a batch. Where the collection has just refused everything, the first goes alone before the others.
    fn fresh_batch(&mut self, collection: CollectionId, urgent_only: bool, rows: usize, now: Time) -> Option<Batch> {
        let route = self.routes.entry(collection).or_default();
        let (rows, wary) = if route.bulk == Some(false) {
            (1, false)
        } else {
            (rows, route.refusals.wary)
        };
        let ready = self.order.ready_in(collection)?;
        let mut members = self.sealing.select(ready, &self.order, urgent_only, rows);
        self.order.take(&members);
        if self.end_repeats(&mut members) {
            self.settle(now);
        }
        if members.is_empty() {
            return None;
        }
        if wary && members.len() > 1 {
            let rest = members.split_off(1);
            self.open_inquest(Inquest::wary(collection, rest), &members);
        }
        Some(Batch::new(collection, members))
    }

    /// Takes those out that need not be sent because the server took the same body last, and ends them. Whether there were any.
    fn end_repeats(&mut self, members: &mut Vec<Sequence>) -> bool {
        let is_repeat = |member: &Sequence| {
            self.order.get(*member).is_some_and(|entry| {
                let body = entry.record.payload.bytes();
                entry.record.once && self.repeats.is_last(entry.collection, &entry.key, body)
            })
        };
        let (repeats, rest): (Vec<Sequence>, Vec<Sequence>) = members.drain(..).partition(is_repeat);
        *members = rest;
        for repeat in &repeats {
            self.finish(*repeat, Ending::Written);
        }
        !repeats.is_empty()
    }

    /// Makes work a request in flight. None where nothing of it is left.
    fn depart(&mut self, mut work: Work, now: Time) -> Option<Request> {
        if let Work::Batch(batch) = &mut work {
            batch.members.retain(|member| self.order.get(*member).is_some());
            if batch.members.is_empty() {
                return None;
            }
            let single = self
                .routes
                .get(&batch.collection)
                .is_some_and(|route| route.bulk == Some(false));
            if single && batch.members.len() > 1 {
                let collection = batch.collection;
                self.at_once.extend(
                    batch
                        .members
                        .drain(..)
                        .rev()
                        .map(|member| Work::Batch(Batch::new(collection, vec![member]))),
                );
                return None;
            }
        }
        if let Work::Batch(batch) = &mut work {
            batch.in_bulk = self
                .routes
                .get(&batch.collection)
                .is_none_or(|route| route.bulk != Some(false));
            batch.compressed = self.begin_compression(batch);
        }
        let call = self.call_of(&work)?;
        for sequence in work.sequences() {
            if let (Some(entry), false) = (self.order.get_mut(sequence), matches!(work, Work::ReadBack(_))) {
                entry.first_attempt.get_or_insert(now);
                entry.attempts += 1;
                if entry.kind() == Kind::Create {
                    self.repeats.leaves(entry.collection, &entry.key);
                }
            }
        }
        if !matches!(work, Work::RenewToken) {
            self.authorization.one_more(now);
            self.counts.requests += 1;
            let again = match &mut work {
                Work::Batch(batch) => {
                    self.counts.rows += batch.members.len() as u64;
                    batch.attempts += 1;
                    batch.attempts > 1
                }
                Work::Patch(patch) => {
                    patch.attempts += 1;
                    patch.attempts > 1
                }
                _ => false,
            };
            self.counts.retries += u64::from(again);
        }
        let id = RequestId(self.number());
        self.flights.insert(id, Flight { work, sent: now });
        self.counts.max_in_flight = self.counts.max_in_flight.max(self.in_flight());
        Some(Request { id, call })
    }

    fn call_of(&self, work: &Work) -> Option<Call> {
        Some(match work {
            Work::RenewToken => Call::RenewToken,
            Work::Patch(patch) => self.patch_call(patch)?,
            Work::ReadBack(sequence) => {
                let entry = self.order.get(*sequence)?;
                Call::Get {
                    collection: entry.record.collection.clone(),
                    fqn: entry.key.as_str().into(),
                    fields: "sourceHash",
                }
            }
            Work::Batch(batch) => {
                let collection = self.order.path(batch.collection)?.clone();
                let body = |member: &Sequence| Some(self.order.get(*member)?.record.payload.bytes().clone());
                if batch.in_bulk {
                    Call::PutBulk {
                        collection,
                        rows: batch.members.iter().filter_map(body).collect(),
                        gzip: batch.compressed,
                    }
                } else {
                    Call::PutOne {
                        collection,
                        row: batch.members.first().and_then(body)?,
                    }
                }
            }
        })
    }

    /// Puts work off until `at`, or until one of its records is past its deadline.
    pub(super) fn put_off(&mut self, work: Work, at: Time) {
        let last_attempt = matches!(&work, Work::Batch(batch) if batch.last_attempt);
        let deadline = work
            .sequences()
            .iter()
            .filter_map(|sequence| self.order.get(*sequence)?.first_attempt)
            .min()
            .map(|first| first + self.config.delivery_timeout)
            .filter(|_| !last_attempt);
        let number = self.number();
        self.later.insert((at, number), Waiting { work, deadline });
    }

    /// Parked records hold nothing up for ever: once nothing else is left to do, in a final drain or for a submit that waits for
    /// room, they are sent once more and whatever comes then is final. Whether any were.
    pub(super) fn give_last_chances(&mut self, now: Time) -> bool {
        let draining = self.waits.is_draining() || self.closing.is_some();
        let stuck = self.order.places() == 0
            && self.order.parked_len() > 0
            && self.order.ready_patches().len() == 0
            && self.at_once.is_empty()
            && self.later.is_empty()
            && !self.read_back.is_busy()
            && self
                .flights
                .values()
                .all(|flight| matches!(flight.work, Work::RenewToken))
            && self.inquests.is_empty();
        if broken!(self.config.defect, GivesNoLastChance)
            || self.closed
            || !stuck
            || !(draining || self.waits.wants_room())
        {
            return false;
        }
        let chances = if draining { usize::MAX } else { self.sealing.rows };
        if let Some(why) = self.health.is_open().map(str::to_owned) {
            for sequence in self.order.parked_roots() {
                self.finish(sequence, Ending::Failed(why.as_str().into()));
            }
            return true;
        }
        for sequence in self.order.parked_roots().into_iter().take(chances) {
            if let Some(entry) = self.order.get_mut(sequence) {
                entry.last_chance = true;
                entry.submitted = entry.submitted.min(now);
            }
            self.order.unpark(sequence);
            self.order.hurry(sequence);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::{
        all_written, create, eager, endings, is_patch, life_cycle, requests, respond, rows, s, submit_tables,
    };
    use super::*;
    use crate::engine::{Config, Fqn, Scope};

    fn sizes(engine: &mut Engine, now: Time) -> Vec<usize> {
        requests(engine, now).iter().map(rows).collect()
    }

    fn patient() -> Engine {
        Engine::new(Config::default())
    }

    #[test]
    fn a_full_batch_goes_at_once_and_the_rest_lingers() {
        let mut engine = patient();
        submit_tables(&mut engine, 130, s(0));
        assert_eq!(sizes(&mut engine, s(0)), [100]);
        assert_eq!(engine.poll_timeout(s(1)), Some(s(2)));
        assert_eq!(sizes(&mut engine, s(2)), [30]);
    }

    #[test]
    fn a_parent_does_not_linger_and_takes_nobody_along() {
        let mut engine = patient();
        submit_tables(&mut engine, 3, s(0));
        engine.submit(create("databaseSchemas", "d.s", None), s(0));
        engine.submit(create("databaseSchemas", "d.other", None), s(0));
        assert_eq!(sizes(&mut engine, s(0)), [] as [usize; 0]);
        engine.submit(create("tables", "d.s.t", Some("d.s")), s(0));
        assert_eq!(sizes(&mut engine, s(0)), [1]);
    }

    #[test]
    fn a_wait_seals_what_it_needs_and_nothing_else() {
        let mut engine = patient();
        submit_tables(&mut engine, 5, s(0));
        let scope = Scope::Name {
            fqn: Fqn::canonical("s.t2"),
            subtree: false,
            up_to: engine.last_sequence(),
        };
        let wait = engine.wait_for(&scope, s(0)).unwrap();
        let sent = requests(&mut engine, s(0));
        assert_eq!(sent.iter().map(rows).collect::<Vec<_>>(), [1]);
        all_written(&mut engine, &sent[0], s(1));
        assert_eq!(engine.poll_wait(), Some(wait));
        assert_eq!(engine.wait_for(&scope, s(1)), None, "it is settled");
    }

    #[test]
    fn a_drain_shares_the_rest_among_the_workers() {
        let mut engine = patient();
        submit_tables(&mut engine, 90, s(0));
        engine.wait_for(&Scope::FinalDrain, s(0)).unwrap();
        assert_eq!(sizes(&mut engine, s(0)), [23, 23, 22, 22]);
    }

    #[test]
    fn no_more_requests_than_workers_are_in_flight() {
        let mut engine = eager(2, 1);
        submit_tables(&mut engine, 5, s(0));
        let sent = requests(&mut engine, s(0));
        assert_eq!(sent.len(), 2);
        all_written(&mut engine, &sent[0], s(1));
        assert_eq!(requests(&mut engine, s(1)).len(), 1);
        assert_eq!(engine.stats(s(1)).in_flight, 2);
    }

    #[test]
    fn life_cycles_give_way_to_batches_but_are_not_starved() {
        let mut engine = Engine::new(Config {
            workers: 1,
            batch_rows: 1,
            ..Config::default()
        });
        submit_tables(&mut engine, 8, s(0));
        life_cycle(&mut engine, "old.t", 1, s(0));
        let mut patched_at = None;
        for second in 0..9 {
            let sent = requests(&mut engine, s(second));
            if is_patch(&sent[0]) {
                patched_at = Some(second);
            }
            all_written(&mut engine, &sent[0], s(second));
        }
        assert_eq!(patched_at, Some(2), "after it has lingered as long as a record may");
    }

    #[test]
    fn a_blocked_submit_is_reason_to_send_what_there_is() {
        let mut engine = Engine::new(Config {
            budget_bytes: 100,
            ..Config::default()
        });
        assert!(engine.has_room(1000, true), "one is always admitted");
        submit_tables(&mut engine, 2, s(0));
        assert!(!engine.has_room(50, true));
        let wait = engine.wait_for(&Scope::Room { bytes: 50, place: true }, s(0)).unwrap();
        let sent = requests(&mut engine, s(0));
        assert_eq!(rows(&sent[0]), 2);
        all_written(&mut engine, &sent[0], s(0));
        assert_eq!(engine.poll_wait(), Some(wait));
    }

    #[test]
    fn a_submit_that_only_parked_records_block_gets_room() {
        let mut engine = Engine::new(Config {
            budget_bytes: 60,
            linger: Duration::ZERO,
            ..Config::default()
        });
        engine.submit(create("tables", "s.t", Some("s")), s(0));
        let sent = requests(&mut engine, s(0));
        let missing = r#"{"numberOfRowsPassed":0,"numberOfRowsFailed":1,
            "failedRequest":[{"request":"s.t","status":400,"message":"databaseSchema instance for s not found"}]}"#;
        respond(&mut engine, sent[0].id, 200, missing, s(0));
        assert_eq!(engine.stats(s(0)).parked, 1);
        assert_eq!(requests(&mut engine, s(100)).len(), 0, "its deadline has stopped");
        let wait = engine
            .wait_for(&Scope::Room { bytes: 50, place: true }, s(400))
            .unwrap();
        let sent = requests(&mut engine, s(400));
        respond(&mut engine, sent[0].id, 200, missing, s(400));
        assert_eq!(endings(&mut engine), "f1");
        assert_eq!(engine.poll_wait(), Some(wait));
    }

    #[test]
    fn after_the_end_nothing_is_taken_and_nothing_is_planned() {
        let mut engine = eager(4, 100);
        engine.close(s(0));
        assert!(engine.is_closed());
        engine.submit(create("tables", "s.t", None), s(1));
        assert_eq!(endings(&mut engine), "f1");
        assert_eq!(
            (requests(&mut engine, s(1)).len(), engine.poll_timeout(s(1))),
            (0, None)
        );
    }
}
