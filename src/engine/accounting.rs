//! Rule E11: each record has exactly one outcome, and the counts say so.

use super::defects::broken;
use super::giving_up::with_doubt;
use super::order::{Entry, Sharer};
use super::record::{Ending, Kind, Outcome, Sequence};
use super::Engine;

impl Engine {
    /// One more record was submitted.
    pub(super) fn one_more(&mut self) {
        self.counts.submitted += 1;
        self.counts.pending += 1;
    }

    /// Rule E11, whenever nothing is left: each record has had one outcome. It cannot be otherwise; if it is, that is said rather than
    /// hidden, and nobody waits for what does not exist.
    pub(super) fn check_the_books(&mut self) {
        let missing = self.counts.pending;
        if missing == 0 || self.order.len() > 0 {
            return;
        }
        self.counts.failed += missing;
        self.counts.pending = 0;
        let text = format!(
            "internal error, please report it: {missing} records have no outcome, and their names are not known"
        );
        self.outcomes.push_back(Outcome {
            sequence: self.order.last(),
            kind: Kind::Create,
            collection: "records".into(),
            fqn: "(unknown)".into(),
            ending: Ending::Failed(text.into()),
            attempts: 0,
            body: None,
            label: None,
        });
    }

    /// The failure of a record, with the doubt that its attempts leave.
    pub(super) fn failure(&self, sequence: Sequence, reason: &str) -> Ending {
        let unknown = self.order.get(sequence).is_some_and(|entry| entry.unknown);
        Ending::Failed(with_doubt(reason, unknown).into())
    }

    /// Counts a record that ended, and those that share its outcome.
    pub(super) fn conclude(&mut self, entry: Entry, ending: &Ending) {
        let lost = matches!(ending, Ending::Failed(_));
        let own = Sharer::of(entry.sequence, &entry.record);
        let keeps = usize::from(!broken!(self.config.defect, ForgetsSharers)) * entry.sharers.len();
        for record in std::iter::once(own).chain(entry.sharers.into_iter().take(keeps)) {
            self.tell(Outcome {
                sequence: record.sequence,
                kind: record.kind,
                collection: entry.record.collection.clone(),
                fqn: record.fqn,
                ending: ending.clone(),
                attempts: entry.attempts,
                body: lost.then_some(record.body),
                label: record.label,
            });
        }
    }

    /// Queues an outcome.
    pub(super) fn tell(&mut self, outcome: Outcome) {
        let count = match outcome.ending {
            Ending::Written => &mut self.counts.written,
            Ending::Failed(_) => &mut self.counts.failed,
            Ending::Warned(_) => &mut self.counts.warned,
        };
        *count += 1;
        self.counts.pending = self.counts.pending.saturating_sub(1);
        self.outcomes.push_back(outcome);
    }
}
