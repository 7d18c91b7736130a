//! Checks at the end of a run: each record has ended as the server's state says. `losses.rs` judges what was lost.

use openmetadata_bulksink::engine::{Ending, Kind, Sequence};

use crate::books::{Books, Checked};
use crate::server::Server;
use crate::stream::Stream;

/// What the run as a whole allows to be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tolerance {
    /// Nothing but what the server itself refuses for good.
    Nothing,
    /// Whatever could not be delivered in time.
    Undelivered,
}

/// Checks at the end of a run.
pub struct Verdicts<'a> {
    pub books: &'a Books,
    pub stream: &'a Stream,
    pub server: &'a Server,
}

impl Verdicts<'_> {
    /// Each record has ended as the server's state and words say.
    pub fn check(&self) -> Checked {
        if let Some(sequence) = self.books.pending.first() {
            return Err(format!(
                "{} has no outcome",
                self.books.describe(*sequence, self.stream)
            ));
        }
        for (entity, sequences) in &self.books.by_entity {
            self.last_body_won(*entity, sequences)?;
        }
        Ok(())
    }

    /// The last body that was reported written is the one that the server holds.
    fn last_body_won(&self, entity: usize, sequences: &[Sequence]) -> Checked {
        if self.server.overtaken[entity] || self.server.vanished[entity] || self.server.meddled[entity] {
            return Ok(());
        }
        let stored = &self.server.stored[entity];
        let last = |kind: Kind| {
            sequences.iter().rev().copied().find(|s| {
                let account = self.books.account(*s);
                let is_own = !self.stream.specs[account.spec].first_wins;
                account.kind == kind && is_own && account.is_written()
            })
        };
        for (kind, held) in [(Kind::Create, stored.spec), (Kind::LifeCycle, stored.life_cycle)] {
            let Some(sequence) = last(kind) else { continue };
            let spec = self.books.account(sequence).spec;
            // A later one may have been applied without an answer, and count as lost.
            let later_in_doubt = sequences.iter().any(|later| {
                let account = self.books.account(*later);
                let is_lost = matches!(&account.ended, Some((_, Ending::Failed(_))));
                *later > sequence && Some(account.spec) == held && is_lost
            });
            if held != Some(spec) && !later_in_doubt {
                return Err(format!(
                    "{} was the last to be written, and the server holds body {held:?}",
                    self.books.describe(sequence, self.stream)
                ));
            }
        }
        Ok(())
    }
}
