//! Rule E11: each record has exactly one outcome, and the counts say so.

use std::collections::VecDeque;

use super::config::Stats;
use super::order::{Entry, Sharer};
use super::record::{Ending, Kind, Outcome, Record, Sequence};

/// Outcomes and counts.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub counts: Stats,
    outcomes: VecDeque<Outcome>,
}

impl Books {
    /// One more record was submitted.
    pub fn one_submitted(&mut self) {
        self.counts.submitted += 1;
        self.counts.pending += 1;
    }

    /// Whenever nothing is left, each record has had one outcome. It cannot be otherwise; if it is, that is said rather than hidden,
    /// and nobody waits for what does not exist.
    pub fn check(&mut self, left: usize, last: Sequence) {
        let missing = self.counts.pending;
        if missing == 0 || left > 0 {
            return;
        }
        self.counts.failed += missing;
        self.counts.pending = 0;
        let text = format!(
            "internal error, please report it: {missing} records have no outcome, and their names are not known"
        );
        self.outcomes.push_back(Outcome {
            sequence: last,
            kind: Kind::Create,
            collection: "records".into(),
            fqn: "(unknown)".into(),
            ending: Ending::Failed(text.into()),
            attempts: 0,
            body: None,
            label: None,
        });
    }

    /// Counts a record that ended, and those that share its outcome.
    pub fn conclude(&mut self, entry: Entry, ending: Ending, forgets_sharers: bool) {
        let keeps_body = matches!(ending, Ending::Failed(_) | Ending::WrittenInPart(_));
        let (sequence, attempts) = (entry.sequence, entry.attempts);
        let (record, whole, mut sharers) = entry.into_parts();
        if forgets_sharers {
            sharers.clear();
        }
        let of_sharer = |sharer: Sharer| Outcome {
            sequence: sharer.sequence,
            kind: sharer.kind,
            collection: record.collection.clone(),
            fqn: sharer.fqn,
            ending: ending.clone(),
            attempts,
            body: keeps_body.then_some(sharer.body),
            label: sharer.label,
        };
        let shared: Vec<Outcome> = match sharers.as_slice() {
            [] => Vec::new(),
            _ => sharers.into_iter().map(of_sharer).collect(),
        };
        let body = || whole.unwrap_or_else(|| record.payload.bytes().clone());
        self.tell(Outcome {
            sequence,
            kind: record.payload.kind(),
            collection: record.collection,
            fqn: record.fqn,
            ending,
            attempts,
            body: keeps_body.then(body),
            label: record.label,
        });
        for outcome in shared {
            self.tell(outcome);
        }
    }

    /// The life cycles that rode in the create request of this record are there.
    pub fn riders_arrived(&mut self, entry: &mut Entry) -> bool {
        let riders = entry.take_riders();
        for rider in &riders {
            self.tell(Outcome {
                sequence: rider.sequence,
                kind: rider.kind,
                collection: entry.record.collection.clone(),
                fqn: rider.fqn.clone(),
                ending: Ending::Written,
                attempts: entry.attempts,
                body: None,
                label: rider.label.clone(),
            });
        }
        !riders.is_empty()
    }

    /// The outcome of a record of which nothing was sent.
    pub fn end_unsent(&mut self, sequence: Sequence, record: Record, ending: Ending) {
        self.tell(Outcome {
            sequence,
            kind: record.payload.kind(),
            collection: record.collection,
            fqn: record.fqn,
            body: matches!(ending, Ending::Failed(_)).then(|| record.payload.bytes().clone()),
            ending,
            attempts: 0,
            label: record.label,
        });
    }

    /// Queues an outcome.
    fn tell(&mut self, outcome: Outcome) {
        let count = match outcome.ending {
            Ending::Written | Ending::WrittenInPart(_) => &mut self.counts.written,
            Ending::Failed(_) => &mut self.counts.failed,
            Ending::Warned(_) => &mut self.counts.warned,
        };
        *count += 1;
        self.counts.pending = self.counts.pending.saturating_sub(1);
        self.outcomes.push_back(outcome);
    }

    /// The next record that ended.
    pub fn next_outcome(&mut self) -> Option<Outcome> {
        self.outcomes.pop_front()
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
