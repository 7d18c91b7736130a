//! What becomes of a record as it comes: it ends at once, shares the outcome of another one, or waits for its turn (E3).

use super::defects::broken;
use super::order::{Order, Sharer};
use super::record::{Ending, Fqn, Outcome, Record, Sequence};
use super::{Engine, Time};

/// What became of a record as it was submitted.
#[derive(Debug)]
enum Admitted {
    /// It is pending, or shares the outcome of that one.
    Pending(Sequence),
    /// It has its outcome.
    Ended(Ending),
}

/// Collections that no release of the server takes in bulk: asking for it would cost a request, and the time until there is one.
const SINGLY: [&str; 2] = ["classifications", "tags"];

impl Engine {
    /// Takes one create request, and the one that must come first, if there is one, which gets the number before. There should be
    /// room for it ([`Engine::has_room`]); it is taken all the same.
    pub fn submit(&mut self, mut record: Record, now: Time) -> Sequence {
        let first = record.first.take().map(|first| {
            let fqn = first.fqn.clone();
            (fqn, self.admit(*first, None, now).1)
        });
        let (sequence, _) = match first {
            Some((fqn, Admitted::Ended(Ending::Failed(reason)))) => {
                self.one_more();
                self.end_at_once(record, first_failed(&fqn, &reason))
            }
            Some((_, Admitted::Pending(first))) if !broken!(self.config.defect, ForgetsFirsts) => {
                self.admit(record, Some(first), now)
            }
            _ => self.admit(record, None, now),
        };
        self.settle(now);
        sequence
    }

    /// Takes one record. first: the pending one that must be written before. Its number, and what becomes of it.
    fn admit(&mut self, record: Record, first: Option<Sequence>, now: Time) -> (Sequence, Admitted) {
        self.one_more();
        let key = Order::key(&record.collection, &record.fqn);
        if record.once && first.is_none() && self.is_written(&record, &key) {
            return self.end_at_once(record, Ending::Written);
        }
        if let Some(leader) = self.order.leader(&record, &key, first) {
            return (self.share(leader, &record), Admitted::Pending(leader));
        }
        if SINGLY.contains(&&*record.collection) {
            let collection = self.order.collection(&record.collection);
            self.routes.entry(collection).or_default().bulk = Some(false);
        }
        let sequence = self.order.insert(record, key, first, now);
        let ended = self.admit_while_given_up(sequence, now);
        (sequence, ended.map_or(Admitted::Pending(sequence), Admitted::Ended))
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
        self.tell(Outcome {
            sequence,
            kind: record.payload.kind(),
            collection: record.collection,
            fqn: record.fqn,
            body: matches!(ending, Ending::Failed(_)).then(|| record.payload.bytes().clone()),
            ending: ending.clone(),
            attempts: 0,
            label: record.label,
        });
        (sequence, Admitted::Ended(ending))
    }

    /// Gives a new record the outcome of `leader`.
    pub(super) fn share(&mut self, leader: Sequence, record: &Record) -> Sequence {
        let sequence = self.order.number();
        if let Some(entry) = self.order.get_mut(leader) {
            entry.sharers.push(Sharer::of(sequence, record));
        }
        sequence
    }
}

/// How a record ends whose first has failed.
pub(super) fn first_failed(first: &str, reason: &str) -> Ending {
    Ending::Failed(format!("{first} failed, which must be written first: {reason}").into())
}
