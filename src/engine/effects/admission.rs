//! What becomes of a record as it comes: it ends at once, shares the outcome of another one, or waits for its turn (E3); and of a
//! caller's wait, which may have nothing to wait for.

use crate::engine::budget::Need;
use crate::engine::defects::broken;
use crate::engine::lifecycle::with_life_cycle;
use crate::engine::order::{Order, Sharer};
use crate::engine::record::{Ending, Fqn, Kind, Payload, Record, Sequence};
use crate::engine::server::Admission;
use crate::engine::waits::{Scope, WaitId};
use crate::engine::{Embed, Engine, Time};

/// What became of a record as it was submitted.
#[derive(Debug)]
enum Admitted {
    /// It is pending, or shares the outcome of that one.
    Pending(Sequence),
    /// It has its outcome.
    Ended(Ending),
}

const AFTER_CLOSE: &str = "submitted after close";

/// Collections that no release of the server takes in bulk: asking for it would cost a request, and the time until there is one.
const SINGLY: [&str; 2] = ["classifications", "tags"];

impl Engine {
    /// Opens a wait; None where its scope is settled already.
    pub(in crate::engine) fn open_wait(&mut self, scope: &Scope) -> Option<WaitId> {
        match scope {
            Scope::FinalDrain => (self.books.counts.pending > 0).then(|| self.waits.for_final_drain()),
            Scope::Room { bytes, place } => {
                (!self.has_room(*bytes, *place)).then(|| self.waits.for_room(Need::of(*bytes, *place)))
            }
            _ => {
                let wanted = self.order.in_scope(scope);
                (!wanted.is_empty()).then(|| {
                    let early = broken!(self.config.defect, WaitsEndEarly);
                    let id = self.waits.for_records(if early { 1 } else { wanted.len() });
                    for sequence in wanted {
                        self.order.await_one(sequence, id);
                    }
                    id
                })
            }
        }
    }

    /// The number of a record that came after `close`, and of the one that must come first, which have failed.
    pub(in crate::engine) fn fail_after_close(&mut self, mut record: Record) -> Sequence {
        for late in record.first.take().map(|first| *first).into_iter().chain([record]) {
            self.books.one_submitted();
            self.end_at_once(late, Ending::Failed(AFTER_CLOSE.into()));
        }
        self.order.last()
    }

    /// Takes one record, and the one that must come first, if there is one.
    pub(in crate::engine) fn admit_with_first(&mut self, mut record: Record, now: Time) -> Sequence {
        let first = record.first.take().map(|first| {
            let fqn = first.fqn.clone();
            (fqn, self.admit(*first, None, now).1)
        });
        let (sequence, _) = match first {
            Some((fqn, Admitted::Ended(Ending::Failed(reason)))) => {
                self.books.one_submitted();
                self.end_at_once(record, first_failed(&fqn, &reason))
            }
            Some((_, Admitted::Pending(first))) if !broken!(self.config.defect, ForgetsFirsts) => {
                self.admit(record, Some(first), now)
            }
            _ => self.admit(record, None, now),
        };
        sequence
    }

    /// Takes one record. first: the pending one that must be written before. Its number, and what becomes of it.
    fn admit(&mut self, mut record: Record, first: Option<Sequence>, now: Time) -> (Sequence, Admitted) {
        self.books.one_submitted();
        let key = Order::key(&record.collection, &record.fqn);
        if record.once && first.is_none() && self.is_written(&record, &key) {
            return self.end_at_once(record, Ending::Written);
        }
        if let Some(leader) = self.order.leader(&record, &key, first) {
            return (self.share(leader, &record), Admitted::Pending(leader));
        }
        if self.closing.is_over() {
            return self.end_at_once(record, Ending::Failed(AFTER_CLOSE.into()));
        }
        let collection = self.order.collection(&record.collection);
        let lane = (collection, record.payload.kind());
        if let Admission::GivenUp(why) = self.server.admission(lane, now) {
            return self.end_at_once(record, Ending::Failed(format!("not sent: {why}").into()));
        }
        if self.server.route(collection).is_missing(now) {
            let text = format!("not sent: the server has no collection {}", record.collection);
            return self.end_at_once(record, Ending::Failed(text.into()));
        }
        if SINGLY.contains(&&*record.collection) {
            self.server.route(collection).go_singly();
        }
        if !self.owed.is_empty() && record.payload.kind() == Kind::Create {
            self.supersede(collection, &key);
        }
        let cut = self.cut_chain(&mut record, collection);
        let sequence = self.order.insert(record, key, first, now);
        if let Some(form) = cut {
            self.goes_ahead(sequence, form);
        }
        (sequence, Admitted::Pending(sequence))
    }

    /// Whether the server took the same body last, and nothing of this entity is on its way.
    fn is_written(&mut self, record: &Record, key: &Fqn) -> bool {
        let collection = self.order.collection(&record.collection);
        let body = record.payload.bytes();
        !self.order.has_writers(collection, key) && self.repeats.is_last(collection, key, body)
    }

    /// Ends a new record of which nothing need be sent.
    fn end_at_once(&mut self, record: Record, ending: Ending) -> (Sequence, Admitted) {
        let sequence = self.order.number();
        self.books.end_unsent(sequence, record, ending.clone());
        (sequence, Admitted::Ended(ending))
    }

    /// Gives a new record the outcome of `leader`.
    fn share(&mut self, leader: Sequence, record: &Record) -> Sequence {
        let sequence = self.order.number();
        self.order.share(leader, Sharer::of(sequence, record));
        sequence
    }

    /// Puts a life cycle into the create request of its entity, if that is wanted and it was not sent yet. Its number, if so.
    pub(in crate::engine) fn embed(&mut self, record: &Record) -> Option<Sequence> {
        if self.config.embed == Embed::Never {
            return None;
        }
        let key = Order::key(&record.collection, &record.fqn);
        let leader = self.order.unsent_create(&record.collection, &key)?;
        let entity = self.order.get(leader)?;
        if self.order.has_patch(entity) {
            // An earlier life cycle comes first, on its own.
            return None;
        }
        let new_hash = self.config.embed == Embed::WithNewHash;
        let life_cycle = record.payload.bytes();
        let body = with_life_cycle(entity.record.payload.bytes(), life_cycle, new_hash)?;
        self.order.set_payload(leader, Payload::Create(body));
        self.books.one_submitted();
        Some(self.share(leader, record))
    }
}

/// How a record ends whose first has failed.
pub(super) fn first_failed(first: &str, reason: &str) -> Ending {
    Ending::Failed(format!("{first} failed, which must be written first: {reason}").into())
}
