//! What is sent next (E2, E4, E6, the priorities of E10), and when to look again.

use super::batch::Batch;
use super::defects::broken;
use super::inquest::Inquest;
use super::order::CollectionId;
use super::record::{Ending, Sequence};
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
                    self.authorization.start_renewal();
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
                } => self.fresh_batch(collection, urgent_only, rows).map(Work::Batch),
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
    fn fresh_batch(&mut self, collection: CollectionId, urgent_only: bool, rows: usize) -> Option<Batch> {
        let route = self.routes.entry(collection).or_default();
        let (rows, wary) = if route.bulk == Some(false) {
            (1, false)
        } else {
            (rows, route.refusals.wary)
        };
        let ready = self.order.ready_in(collection)?;
        let mut members = self.sealing.select(ready, &self.order, urgent_only, rows);
        self.order.take(&members);
        if wary && members.len() > 1 {
            let rest = members.split_off(1);
            self.open_inquest(Inquest::wary(collection, rest), &members);
        }
        Some(Batch::new(collection, members))
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
        }
        let call = self.call_of(&work)?;
        for sequence in work.sequences() {
            if let (Some(entry), false) = (self.order.get_mut(sequence), matches!(work, Work::ReadBack(_))) {
                entry.first_attempt.get_or_insert(now);
                entry.attempts += 1;
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
