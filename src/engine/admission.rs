//! What becomes of a record as it comes: it ends at once, shares the outcome of another one, or waits for its turn (E3).

use super::defects::broken;
use super::order::{Order, Sharer};
use super::record::{Ending, Outcome, Record, Sequence};
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
                self.counts.submitted += 1;
                self.counts.pending += 1;
                let text = format!("{fqn} failed, which must be written first: {reason}");
                self.end_at_once(record, Ending::Failed(text.into()))
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
        self.counts.submitted += 1;
        self.counts.pending += 1;
        let key = Order::key(&record.collection, &record.fqn);
        let collection = self.order.collection(&record.collection);
        if record.once && first.is_none() && !self.order.has_writers(collection, &key) {
            let body = record.payload.bytes();
            if self.repeats.is_last(collection, &key, body) {
                return self.end_at_once(record, Ending::Written);
            }
        }
        if let Some(leader) = self.order.leader(&record, &key, first) {
            return (self.share(leader, &record), Admitted::Pending(leader));
        }
        if SINGLY.contains(&&*record.collection) {
            self.routes.entry(collection).or_default().bulk = Some(false);
        }
        let sequence = self.order.insert(record, key, first, now);
        self.admit_while_given_up(sequence, now);
        if self.order.get(sequence).is_some() {
            return (sequence, Admitted::Pending(sequence));
        }
        let outcome = self.outcomes.iter().rev().find(|outcome| outcome.sequence == sequence);
        let ending = outcome.map_or(Ending::Written, |outcome| outcome.ending.clone());
        (sequence, Admitted::Ended(ending))
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
            entry.sharers.push(Sharer {
                sequence,
                kind: record.payload.kind(),
                fqn: record.fqn.clone(),
                body: record.payload.bytes().clone(),
                label: record.label.clone(),
            });
        }
        sequence
    }
}
