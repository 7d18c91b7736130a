//! The policy of the sink, as one pure state machine: what may be sent when, what an answer means, what to do next.
//!
//! There is no networking here, no thread, no Python, and no reading of the clock: time is an argument. Whoever drives an
//! [`Engine`] calls methods of four kinds:
//!
//! - **commands** from the application: [`Engine::submit`], [`Engine::submit_life_cycle`], [`Engine::wait_for`],
//!   [`Engine::cancel`], [`Engine::forget_written`], [`Engine::close`], [`Engine::abandon`];
//! - **handlers**, when something happened: [`Engine::handle_answer`], [`Engine::handle_timeout`];
//! - **polls**, for what to do now: [`Engine::poll_request`] until it gives None, then [`Engine::poll_outcome`],
//!   [`Engine::poll_wait`] and [`Engine::poll_notice`] until they do, then [`Engine::poll_timeout`] for when to call
//!   `handle_timeout`. After any command or handler the polls may have something new;
//! - **getters**, which change nothing: [`Engine::stats`], [`Engine::pending_body`] and the like.
//!
//! Time must not run backwards. Each submitted record gets exactly one [`Outcome`].
//!
//! | file | what it decides |
//! |---|---|
//! | `record.rs` | what a record and its name are, and how it ends |
//! | `request.rs` | the values exchanged with whoever does the I/O |
//! | `accounting.rs` | one outcome for each record, and the counts (E11) |
//! | `admission.rs` | what becomes of a record as it comes (E3) |
//! | `order.rs` | which record waits for which (E1, E3), parking |
//! | `batch.rs` | when a batch is sealed and how it is split (E2) |
//! | `scheduler.rs` | what is sent next (E2, E4, E6, E10) |
//! | `delivery.rs` | what an answer does to a batch and its rows (E7, E8) |
//! | `splitting.rs` | how a batch is sent again in parts (E7) |
//! | `giving_up.rs` | the deadline, unknown results, the breaker (E9) |
//! | `authorization.rs` | a token that the server refuses (E7) |
//! | `inquest.rs` | whether a collection refuses everything (E7) |
//! | `lifecycle.rs` | life cycle patches (E10) |
//! | `repeats.rs` | which bodies need not be sent again (E3) |
//! | `answer.rs` | a bulk answer -> one verdict for each row (E8) |
//! | `reading.rs` | what an answer means, without the engine (E5, E7, E8) |
//! | `retry.rs` | what a status means, back-off (E7) |
//! | `health.rs` | whether the server seems overloaded or dead, the breaker (E9) |
//! | `written_lately.rs` | what was written while requests are under way (E8) |
//! | `limiter.rs` | how many requests may be in flight (E5) |
//! | `compression.rs` | which requests go compressed, and whether that works (E7) |
//! | `defects.rs` | deliberate defects, for testing the tests |
//! | `testing.rs` | what the unit tests of these files share |
//! | `waits.rs` | who waits for what |

mod accounting;
mod admission;
mod answer;
mod authorization;
mod batch;
mod compression;
pub mod defects;
mod delivery;
mod giving_up;
mod health;
mod inquest;
mod lifecycle;
mod limiter;
mod order;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the engine takes answers that were read from its next step on")
)]
mod reading;
mod record;
mod repeats;
mod request;
mod retry;
mod scheduler;
mod splitting;
#[cfg(test)]
mod testing;
mod waits;
mod written_lately;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};

pub use record::{quote_name, Ending, Fqn, FqnError, Kind, Outcome, Payload, Record, Sequence};
pub use request::{Answer, Call, Entity, Fault, Request, RequestId, Response};
pub use waits::{Scope, WaitId};

use admission::first_failed;
use authorization::Authorization;
use batch::{Batch, InquestId, Sealing};
use compression::Compression;
use defects::broken;
use giving_up::{with_doubt, ReadBack};
use health::Health;
use inquest::Inquest;
use lifecycle::Patch;
use limiter::Limiter;
use order::{CollectionId, Order};
use repeats::Repeats;
use retry::Refusals;
use waits::Waits;
use written_lately::WrittenLately;

/// Time since some fixed point, as the driver counts it.
pub type Time = Duration;

/// What the engine is told at the start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Requests in flight at the most.
    pub workers: usize,
    /// Records in a batch at the most.
    pub batch_rows: usize,
    /// Bytes in a batch at the most (a larger record travels alone).
    pub batch_bytes: usize,
    /// How long a record may wait for its batch to fill while a worker is idle.
    pub linger: Duration,
    /// How long after its first attempt another attempt of a record may start.
    pub delivery_timeout: Duration,
    /// How long one attempt may take; only the end of `close` depends on it.
    pub attempt_timeout: Duration,
    /// Bytes of pending bodies beyond which there is no room.
    pub budget_bytes: usize,
    /// Put life cycles into create requests that were not sent yet.
    pub embed: Embed,
    /// Bulk requests of at least so many bytes go compressed, if the server takes them so.
    pub gzip_from: Option<usize>,
    /// Whether [`Call::RenewToken`] can give another token.
    pub renewable_token: bool,
    /// Seed of the jitter.
    pub seed: u64,
    /// What is broken on purpose.
    #[cfg(feature = "defects")]
    pub defect: Option<defects::Defect>,
}

/// Whether a life cycle rides in the create request of its entity while that is unsent, and what becomes of its `sourceHash`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Embed {
    /// It is always a request of its own.
    Never,
    /// It does; the hash is made anew from both. For servers that skip rows whose hash they know (2.0): they would skip the life
    /// cycle too.
    WithNewHash,
    /// It does; the hash stays. For clients that compare the hash with one of their own (up to 1.13).
    WithOldHash,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: 4,
            batch_rows: 100,
            batch_bytes: 4 << 20,
            linger: Duration::from_secs(2),
            delivery_timeout: Duration::from_secs(300),
            attempt_timeout: Duration::from_secs(310),
            budget_bytes: 64 << 20,
            embed: Embed::Never,
            gzip_from: None,
            renewable_token: false,
            seed: 0,
            #[cfg(feature = "defects")]
            defect: None,
        }
    }
}

/// Counts since the start. `submitted == written + failed + warned + pending`, always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records taken.
    pub submitted: u64,
    /// Records that the server has.
    pub written: u64,
    /// Records that are lost, each with an outcome that says why.
    pub failed: u64,
    /// Records that the server has in another form.
    pub warned: u64,
    /// Records without an outcome.
    pub pending: u64,
    /// Bytes of their bodies.
    pub pending_bytes: usize,
    /// Pending records that wait for something the server does not have.
    pub parked: usize,
    /// Requests sent.
    pub requests: u64,
    /// Requests that sent something again.
    pub retries: u64,
    /// Create rows sent.
    pub rows: u64,
    /// Requests in flight now.
    pub in_flight: usize,
    /// Requests in flight at the most so far.
    pub max_in_flight: usize,
    /// Requests that may be in flight now.
    pub limit: usize,
    /// Time since the last success, while faults keep everything from being written.
    pub stalled: Duration,
}

/// What one request carries.
#[derive(Debug)]
enum Work {
    Batch(Batch),
    Patch(Patch),
    ReadBack(Sequence),
    RenewToken,
}

#[derive(Debug)]
struct Flight {
    work: Work,
    sent: Time,
}

/// Work that waits for its back-off to end.
#[derive(Debug)]
struct Waiting {
    work: Work,
    /// When the first of its records is past its deadline.
    deadline: Option<Time>,
}

/// The state machine. See the module's documentation for how to drive it.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    order: Order,
    waits: Waits,
    sealing: Sealing,
    /// The largest body that was accepted, for learning from a 413.
    largest_accepted: usize,
    compression: Compression,
    limiter: Limiter,
    health: Health,
    authorization: Authorization,
    routes: FxHashMap<CollectionId, Route>,
    patch_by_name: Option<bool>,
    /// Work to be sent as soon as a worker is free, the next one last: parts of a split go depth first.
    at_once: Vec<Work>,
    /// Work to be sent again, by time; the number keeps entries of one time apart.
    later: BTreeMap<(Time, u64), Waiting>,
    inquests: FxHashMap<InquestId, Inquest>,
    scouts: FxHashMap<Sequence, InquestId>,
    flights: BTreeMap<RequestId, Flight>,
    read_back: ReadBack,
    failed: FxHashSet<(CollectionId, Fqn)>,
    written_lately: WrittenLately,
    repeats: Repeats,
    outcomes: VecDeque<Outcome>,
    notices: VecDeque<String>,
    /// Whether people were told that nothing is being written.
    stall_told: bool,
    counts: Stats,
    /// When `close` stops waiting.
    closing: Option<Time>,
    closed: bool,
    /// The time of the last event.
    now: Time,
    random: fastrand::Rng,
    next_number: u64,
}

/// What is known of one collection's endpoints.
#[derive(Debug, Default)]
struct Route {
    /// Whether it has a bulk endpoint, once that is known.
    bulk: Option<bool>,
    refusals: Refusals,
}

impl Engine {
    /// An engine with nothing pending.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            sealing: Sealing {
                rows: config.batch_rows.max(1),
                bytes: config.batch_bytes,
                linger: config.linger,
            },
            #[cfg(not(feature = "defects"))]
            order: Order::default(),
            #[cfg(feature = "defects")]
            order: Order::with(config.defect),
            limiter: Limiter::new(config.workers),
            random: fastrand::Rng::with_seed(config.seed),
            waits: Waits::default(),
            largest_accepted: 0,
            compression: Compression::new(config.gzip_from.is_some()),
            health: Health::default(),
            authorization: Authorization::default(),
            routes: FxHashMap::default(),
            patch_by_name: None,
            at_once: Vec::new(),
            later: BTreeMap::new(),
            inquests: FxHashMap::default(),
            scouts: FxHashMap::default(),
            flights: BTreeMap::new(),
            read_back: ReadBack::default(),
            failed: FxHashSet::default(),
            written_lately: WrittenLately::default(),
            #[cfg(not(feature = "defects"))]
            repeats: Repeats::default(),
            #[cfg(feature = "defects")]
            repeats: Repeats::with(config.defect),
            outcomes: VecDeque::new(),
            notices: VecDeque::new(),
            stall_told: false,
            counts: Stats::default(),
            closing: None,
            closed: false,
            now: Time::ZERO,
            next_number: 0,
            config,
        }
    }

    /// Somebody else may have changed or deleted what was written: records that say `once` are sent again.
    pub fn forget_written(&mut self) {
        self.repeats.forget(self.order.last());
    }

    /// Takes one life cycle for an entity, pending or not.
    pub fn submit_life_cycle(&mut self, collection: Arc<str>, fqn: Arc<str>, life_cycle: Bytes, now: Time) -> Sequence {
        if self.config.embed != Embed::Never {
            if let Some(leader) = self.embed(&collection, &fqn, &life_cycle) {
                self.one_more();
                let payload = Payload::LifeCycle(life_cycle);
                return self.share(leader, &Record::bare(collection, fqn, payload));
            }
        }
        self.submit(Record::bare(collection, fqn, Payload::LifeCycle(life_cycle)), now)
    }

    /// Whether the budget has room for one more record of this size. One record is always admitted when nothing is pending.
    #[must_use]
    pub fn has_room(&self, bytes: usize, place: bool) -> bool {
        let places = 4 * self.sealing.rows * self.config.workers.max(1);
        let fits = self.order.bytes() + bytes <= self.config.budget_bytes && (!place || self.order.places() < places);
        self.closed || fits || self.order.len() == 0
    }

    /// Starts the end: a final drain that is bounded by the delivery time-out plus one attempt. Whoever closes waits for
    /// [`Engine::is_closed`].
    pub fn close(&mut self, now: Time) {
        let end = now + self.config.delivery_timeout + self.config.attempt_timeout;
        self.closing.get_or_insert(end);
        self.settle(now);
    }

    /// Whether everything has ended after [`Engine::close`] or [`Engine::abandon`].
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Ends everything now: whatever is pending fails with `reason`, whatever is in flight is forgotten. Relies on nothing but the
    /// list of pending records, so that it works after a panic too.
    pub fn abandon(&mut self, reason: &str) {
        let in_flight = self.sequences_in_flight();
        self.drop_waiting_work();
        self.flights.clear();
        self.read_back = ReadBack::default();
        for entry in self.order.take_all() {
            let may_be_written = entry.unknown || in_flight.contains(&entry.sequence);
            let reason = with_doubt(reason, may_be_written);
            self.conclude(entry, &Ending::Failed(reason.into()));
        }
        self.check_the_books();
        self.closed = true;
        self.waits.end_all();
    }

    /// The attempt `id` ended with `answer`. Answers to attempts that were forgotten are ignored.
    pub fn handle_answer(&mut self, id: RequestId, answer: Answer, now: Time) {
        self.now = now;
        if let Some(oldest) = self.flights.values().map(|flight| flight.sent).min() {
            self.written_lately.forget_before(oldest);
        }
        let Some(flight) = self.flights.remove(&id) else { return };
        match flight.work {
            Work::Batch(batch) => self.batch_answered(batch, answer, flight.sent, now),
            Work::Patch(patch) => self.patch_answered(patch, answer, flight.sent, now),
            Work::ReadBack(sequence) => self.read_back_answered(sequence, answer, flight.sent, now),
            Work::RenewToken => self.token_answered(answer, now),
        }
        self.settle(now);
    }

    /// The time that [`Engine::poll_timeout`] gave has come.
    pub fn handle_timeout(&mut self, now: Time) {
        self.expire(now);
        self.expire_renewal(now);
        self.tell_of_stall(now);
        if self.closing.is_some_and(|end| now >= end) && !self.closed {
            self.abandon("not delivered before the end of close");
        }
        self.settle(now);
    }

    /// The next record that ended.
    pub fn poll_outcome(&mut self) -> Option<Outcome> {
        self.outcomes.pop_front()
    }

    /// The next wait that ended.
    pub fn poll_wait(&mut self) -> Option<WaitId> {
        self.waits.next_settled()
    }

    /// The next line for people: writing stalls, writing goes on.
    pub fn poll_notice(&mut self) -> Option<String> {
        self.notices.pop_front()
    }

    /// The sequence number of the last record.
    #[must_use]
    pub fn last_sequence(&self) -> Sequence {
        self.order.last()
    }

    /// The body of the last pending create request of an entity.
    #[must_use]
    pub fn pending_body(&self, collection: &str, fqn: &str) -> Option<Bytes> {
        let last = self.order.last_create(collection, &Order::key(collection, fqn))?;
        Some(self.order.get(last)?.record.payload.bytes().clone())
    }

    /// Length of the longest chain of needs, within the collection, that the last pending record of an entity waits for. Chains
    /// longer than 16 count as 16.
    #[must_use]
    pub fn pending_depth(&self, collection: &str, fqn: &str) -> Option<usize> {
        let last = self.order.last_create(collection, &Order::key(collection, fqn))?;
        Some(self.order.depth(last, 16))
    }

    /// How many create requests are pending that no request has carried.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.order.unsent()
    }

    /// The counts now.
    #[must_use]
    pub fn stats(&self, now: Time) -> Stats {
        Stats {
            pending_bytes: self.order.bytes(),
            parked: self.order.parked_len(),
            in_flight: self.in_flight(),
            limit: self.limiter.limit(),
            stalled: self
                .health
                .faulty_since()
                .map_or(Duration::ZERO, |since| now.saturating_sub(since)),
            ..self.counts
        }
    }

    /// Requests at the server now.
    fn in_flight(&self) -> usize {
        self.flights
            .values()
            .filter(|flight| !matches!(flight.work, Work::RenewToken))
            .count()
    }

    /// Brings everything that depends on other parts up to date: waits, room, the last chances of parked records, the end.
    fn settle(&mut self, now: Time) {
        loop {
            for wait in self.order.take_settled() {
                self.waits.one_settled(wait);
            }
            if !self.give_last_chances(now) {
                break;
            }
        }
        if self.waits.wants_room() && !broken!(self.config.defect, GivesNoRoom) {
            let mut waits = std::mem::take(&mut self.waits);
            waits.give_room(|bytes, place| self.has_room(bytes, place));
            self.waits = waits;
        }
        self.check_the_books();
        if self.counts.pending == 0 {
            self.health.rest(self.stall_told);
            self.waits.all_done();
            if self.closing.is_some() {
                self.closed = true;
                self.waits.end_all();
            }
        }
    }

    /// Ends one record and does what follows from it for others.
    fn finish(&mut self, sequence: Sequence, ending: Ending) {
        let mut todo = vec![(sequence, ending)];
        while let Some((sequence, ending)) = todo.pop() {
            let Some(entry) = self.order.end(sequence) else {
                continue;
            };
            self.read_back.forget(sequence);
            self.report_scout(sequence, &ending);
            if entry.kind() == Kind::Create {
                let still_pending = self.order.last_create(&entry.record.collection, &entry.key).is_some();
                match &ending {
                    Ending::Failed(reason) => {
                        if !still_pending {
                            self.failed.insert((entry.collection, entry.key.clone()));
                            for parked in self.order.parked_for(&entry) {
                                let text = format!("{} failed, which this needs: {reason}", entry.record.fqn);
                                todo.push((parked, self.failure(parked, &text)));
                            }
                        } else {
                            // The server may have the entity all the same; its life cycles keep their order.
                            for patch in self.order.parked_patches(&entry) {
                                self.order.unpark(patch);
                            }
                        }
                        self.tell_patch_of_failure(&entry, reason);
                        for second in entry.seconds.iter().filter(|second| self.order.get(**second).is_some()) {
                            todo.push((*second, first_failed(&entry.record.fqn, reason)));
                        }
                    }
                    Ending::Written | Ending::Warned(_) => {
                        if !self.failed.is_empty() {
                            self.failed.remove(&(entry.collection, entry.key.clone()));
                        }
                        self.written_lately.note(entry.collection, &entry.key, self.now);
                        if entry.record.once && ending == Ending::Written {
                            let body = entry.record.payload.bytes();
                            self.repeats.note(entry.sequence, entry.collection, &entry.key, body);
                        }
                        for parked in self.order.parked_for(&entry) {
                            self.order.unpark(parked);
                        }
                    }
                }
            }
            self.conclude(entry, &ending);
        }
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}
