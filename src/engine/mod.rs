//! The policy of the sink, as one pure state machine: what may be sent when, what an answer means, what to do next.
#![doc = include_str!("README.md")]

mod accounting;
mod authorization;
mod batch;
mod budget;
mod closing;
mod compression;
mod config;
mod decide;
pub mod defects;
mod effects;
mod figures;
mod getters;
mod health;
mod inquest;
mod keys;
mod lane_health;
mod lifecycle;
mod limiter;
mod lookups;
mod order;
mod owed;
mod queues;
mod reading;
mod record;
mod repeats;
mod request;
mod retry;
mod routes;
mod scheduler;
mod server;
mod shallow;
mod stall;
#[cfg(test)]
mod testing;
mod timeline;
mod trials;
mod waits;
mod written_lately;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustc_hash::FxHashSet;

pub use config::{Config, Embed, Stats};
pub use figures::{OfLane, Often, Picture, Times};
pub use order::Place;
pub use reading::{Question, Reading};
pub use record::{quote_name, Ending, Fqn, FqnError, Kind, Outcome, Payload, Record, Sequence};
pub use request::{Answer, Call, Entity, Fault, Request, RequestId, Response};
pub use timeline::Timeline;
pub use waits::{Scope, WaitId};

use accounting::Books;
use batch::Sealing;
use budget::{Free, Need};
use closing::Closing;
use defects::broken;
use effects::Sweep;
use figures::Figures;
use inquest::Inquests;
use lookups::LookUps;
use order::{CollectionId, Order};
use owed::Owed;
use queues::{Lane, Queues};
use repeats::Repeats;
use scheduler::{Situation, Step};
use server::Server;
use trials::Trials;
use waits::Waits;
use written_lately::WrittenLately;

/// Time since some fixed point, as the driver counts it.
pub type Time = Duration;

/// The state machine. See the module's documentation for how to drive it.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    order: Order,
    waits: Waits,
    sealing: Sealing,
    server: Server,
    queues: Queues,
    inquests: Inquests,
    trials: Trials,
    look_ups: LookUps,
    /// What was pending when the server, or a lane of it, was given up.
    sweeps: VecDeque<Sweep>,
    failed: FxHashSet<(CollectionId, Fqn)>,
    owed: Owed,
    cuts_chains: bool,
    written_lately: WrittenLately,
    repeats: Repeats,
    books: Books,
    figures: Figures,
    notices: VecDeque<String>,
    last_lane: Option<Lane>,
    closing: Closing,
    /// The time of the last event.
    now: Time,
    random: fastrand::Rng,
}

impl Engine {
    /// An engine with nothing pending.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            sealing: Sealing::new(config.batch_rows, config.batch_bytes, config.linger),
            order: Order::with(config.defect),
            server: Server::new(config.workers, config.gzip_from.is_some(), config.delivery_timeout),
            random: fastrand::Rng::with_seed(config.seed),
            waits: Waits::default(),
            queues: Queues::default(),
            inquests: Inquests::default(),
            trials: Trials::default(),
            look_ups: LookUps::default(),
            sweeps: VecDeque::new(),
            failed: FxHashSet::default(),
            owed: Owed::default(),
            cuts_chains: false,
            written_lately: WrittenLately::default(),
            repeats: Repeats::with(config.defect),
            books: Books::default(),
            figures: Figures::default(),
            notices: VecDeque::new(),
            last_lane: None,
            closing: Closing::default(),
            now: Time::ZERO,
            config,
        }
    }

    /// Takes one create request, and the one that must come first, if there is one, which gets the number before. There should be
    /// room for it ([`Engine::has_room`]); it is taken all the same. After [`Engine::close`] it fails.
    pub fn submit(&mut self, record: Record, now: Time) -> Sequence {
        if self.closing.is_called() {
            return self.fail_after_close(record);
        }
        self.take_in(record, now)
    }

    fn take_in(&mut self, record: Record, now: Time) -> Sequence {
        let sequence = self.admit_with_first(record, now);
        self.settle(now);
        sequence
    }

    /// Takes one life cycle for an entity, pending or not.
    pub fn submit_life_cycle(&mut self, collection: Arc<str>, fqn: Arc<str>, life_cycle: Bytes, now: Time) -> Sequence {
        let record = Record::bare(collection, fqn, Payload::LifeCycle(life_cycle));
        let may_ride = !self.closing.is_called();
        let rides = may_ride.then(|| self.embed(&record)).flatten();
        rides.unwrap_or_else(|| self.submit(record, now))
    }

    /// Somebody else may have changed or deleted what was written: records that say `once` are sent again.
    pub fn forget_written(&mut self) {
        self.repeats.forget(self.order.last());
    }

    /// The server has none of the tables that are pending: a long chain of keys is cut from now on. Tables that it has would lose the
    /// keys for a while.
    pub fn cut_chains(&mut self) {
        self.cuts_chains = true;
    }

    /// Takes a record for which a wait for [`Scope::Room`] has ended: what was given for it is used. To be called as soon as that
    /// wait is polled.
    pub fn submit_with_ticket(&mut self, ticket: WaitId, record: Record, now: Time) -> Sequence {
        self.waits.tickets.redeem(ticket);
        // Who asked before `close` is not late.
        let rides = (record.payload.kind() == Kind::LifeCycle)
            .then(|| self.embed(&record))
            .flatten();
        rides.unwrap_or_else(|| self.take_in(record, now))
    }

    /// Whether the budget has room for one more record of this size, and nobody has asked before. One record is always admitted when
    /// nothing is pending.
    #[must_use]
    pub fn has_room(&self, bytes: usize, place: bool) -> bool {
        self.closing.is_called() || self.waits.tickets.may_enter(Need::of(bytes, place), self.free())
    }

    fn free(&self) -> Free {
        let places = 4 * self.sealing.rows * self.config.workers.max(1);
        Free {
            bytes: self.config.budget_bytes.saturating_sub(self.pending_bytes()),
            places: places.saturating_sub(self.order.places()),
            nothing_pending: self.order.len() == 0 && self.owed.is_empty(),
        }
    }

    fn pending_bytes(&self) -> usize {
        self.order.bytes() + self.owed.bytes()
    }

    /// Opens a wait; None where its scope is settled already. What the scope needs is sent at once.
    pub fn wait_for(&mut self, scope: &Scope, now: Time) -> Option<WaitId> {
        let id = self.open_wait(scope);
        self.settle(now);
        id
    }

    /// Nobody waits for this any more.
    pub fn cancel(&mut self, wait: WaitId) {
        if !broken!(self.config.defect, CancelsNothing) {
            self.waits.cancel(wait);
        }
    }

    /// Starts the end: a final drain that goes on as long as the server works. Whoever closes waits for [`Engine::is_closed`].
    pub fn close(&mut self, now: Time) {
        self.closing.call(now);
        self.settle(now);
    }

    /// Whether everything has ended after [`Engine::close`] or [`Engine::abandon`].
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closing.is_over()
    }

    /// Ends everything now: whatever is pending fails with `reason`, whatever is in flight is forgotten. Relies on nothing but the
    /// list of pending records, so that it works after a panic too.
    pub fn abandon(&mut self, reason: &str) {
        self.abandon_all(reason);
    }

    /// The attempt `id` ended; `reading` is what came of it. Answers to attempts that were forgotten are ignored.
    pub fn handle_answer(&mut self, id: RequestId, reading: Reading, now: Time) {
        self.now = now;
        if let Some(oldest) = self.queues.oldest_sent() {
            self.written_lately.forget_before(oldest);
        }
        self.time_passes(now);
        match self.queues.landed(id) {
            Some(flight) => self.answered(flight, reading.0, now),
            None => self.answered_late(&reading.0, now),
        }
        self.sweep(now);
        self.settle(now);
    }

    /// The time that [`Engine::poll_timeout`] gave has come.
    pub fn handle_timeout(&mut self, now: Time) {
        self.now = now;
        self.sweep(now);
        self.expire(now);
        let (pending, patience) = (self.books.counts.pending, self.config.delivery_timeout);
        self.notices.extend(self.server.stall.tell(pending, patience, now));
        if self.closing.ends_at(&self.config).is_some_and(|end| now >= end) && !self.closing.is_over() {
            self.abandon("not delivered before the end of close");
        }
        self.settle(now);
    }

    /// The next attempt to perform now, if any.
    pub fn poll_request(&mut self, now: Time) -> Option<Request> {
        if self.closing.is_over() || !self.sweeps.is_empty() {
            return None;
        }
        loop {
            match self.situation(now).next_step() {
                Step::Rest(_) => return None,
                step => {
                    if let Some(request) = self.take(step, now) {
                        return Some(request);
                    }
                }
            }
        }
    }

    /// When [`Engine::handle_timeout`] and [`Engine::poll_request`] have something to do next, if nothing else happens before. A
    /// time that has passed means: now.
    #[must_use]
    pub fn poll_timeout(&self, now: Time) -> Option<Time> {
        if self.closing.is_over() {
            return None;
        }
        if !self.sweeps.is_empty() {
            return Some(now);
        }
        let step = match self.situation(now).next_step() {
            Step::Rest(until) => until,
            _ => Some(now),
        };
        let pending = self.books.counts.pending > 0;
        [
            step,
            self.queues.next_deadline(),
            self.server.stall.notice_at().filter(|_| pending),
            self.look_ups.until(),
            self.server.authorization.renewal_until(self.config.delivery_timeout),
            self.closing.ends_at(&self.config),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn situation(&self, now: Time) -> Situation<'_> {
        Situation {
            order: &self.order,
            server: &self.server,
            queues: &self.queues,
            look_ups: &self.look_ups,
            sealing: self.sealing,
            draining: self.is_draining(),
            wants_room: self.waits.wants_room(),
            last_lane: self.last_lane,
            now,
            defect: self.config.defect,
        }
    }

    fn is_draining(&self) -> bool {
        self.waits.is_draining() || self.closing.is_called()
    }

    /// The next record that ended.
    pub fn poll_outcome(&mut self) -> Option<Outcome> {
        self.books.next_outcome()
    }

    /// The next wait that ended.
    pub fn poll_wait(&mut self) -> Option<WaitId> {
        self.waits.next_settled()
    }

    /// The next line for people: writing stalls, writing goes on.
    pub fn poll_notice(&mut self) -> Option<String> {
        self.notices.pop_front()
    }

    /// Notes for the figures what holds until now, before it changes.
    fn time_passes(&mut self, now: Time) {
        self.figures
            .passed(self.queues.in_flight(), self.books.counts.submitted, now);
    }
}
