//! Checks at the end of a run: each record has ended as the server's state and words say, and nothing was lost that need not have been.

use openmetadata_bulksink::engine::{Ending, Kind, Sequence};

use crate::books::{Account, Books, Checked};
use crate::server::{Server, FIREWALL};
use crate::stream::{Stream, Temper};

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
    pub tolerance: Tolerance,
    /// Texts with which the application itself ended things.
    pub own_endings: &'a [&'a str],
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
        for (account, sequence) in self.books.accounts.iter().zip(1..) {
            if let Some((_, Ending::Failed(reason))) = &account.ended {
                self.was_rightly_lost(account, reason)
                    .map_err(|why| format!("{} failed, {why}: {reason}", self.books.describe(sequence, self.stream)))?;
            }
        }
        for (entity, sequences) in &self.books.by_entity {
            self.last_body_won(*entity, sequences)?;
        }
        Ok(())
    }

    fn was_rightly_lost(&self, account: &Account, reason: &str) -> Checked {
        if self.own_endings.iter().any(|text| reason.contains(text)) {
            return Ok(());
        }
        // A record that no request has carried may share the outcome of an earlier one of its entity.
        let leaders = self
            .books
            .of_entity(account.entity)
            .iter()
            .map(|s| self.books.account(*s));
        // A look-up before a PATCH by id names its entity, not its life cycle.
        let shares = account.attempts == 0 || account.kind == Kind::LifeCycle;
        let mut why = self.explains(account, account, reason, shares);
        for leader in leaders.filter(|_| shares) {
            if why.is_err() {
                why = self.explains(leader, account, reason, shares).or(why);
            }
        }
        why
    }

    /// Whether what happened to `told` explains why `account` failed for this reason.
    fn explains(&self, told: &Account, account: &Account, reason: &str, shares: bool) -> Checked {
        use Temper::{Duplicate, Offensive, Refused, RefusedAlike, RefusedMutely, RowError, Silent, Toxic};
        if reason.contains("which must be written first: ") {
            return self.first_failed(told);
        }
        if reason.contains("which this needs: ") || reason.starts_with("its entity ") {
            return self.needed_something_that_failed(told, reason);
        }
        if reason.contains(" instance for ") {
            return self.lacked_something(told, account, reason);
        }
        let own = told.told.iter().any(|text| reason.contains(&**text));
        let by_rule = ["takes nothing today", "the server answered 413"];
        let by_nature = match self.stream.specs[told.spec].temper {
            _ if by_rule.iter().any(|text| reason.contains(text)) => true,
            RefusedMutely => reason.contains("no text") || reason.contains("the server answered 400"),
            Silent(_) => reason.contains("said nothing"),
            Refused | RefusedAlike | RowError | Offensive | Toxic | Duplicate => own,
            _ => false,
        };
        // After many equal refusals of whole requests, three more condemn the rest.
        let condemned = reason.contains(FIREWALL) && self.count(|temper| temper == Offensive) >= 15;
        if by_nature || condemned {
            return Ok(());
        }
        // Many records on which the server breaks, or the very first ones, are not told from a server that is broken.
        let toxic = self.count(|temper| matches!(temper, Toxic | RowError));
        let ended = account.ended.as_ref().map(|(at, _)| *at);
        let was_known_to_work = self.books.works_since.is_some() && self.books.works_since < ended;
        let looks_dead = (toxic > 3 || !was_known_to_work) && reason.contains("given up");
        if self.tolerance == Tolerance::Nothing && !looks_dead {
            return Err("and nothing had to be lost".to_owned());
        }
        let given_up = reason.contains("given up") || shares;
        let by_the_breaker = given_up && self.books.told_to_any.iter().any(|text| reason.contains(&**text));
        if own || by_the_breaker {
            return Ok(());
        }
        Err("and its reason was never told".to_owned())
    }

    /// Records of such a temper.
    fn count(&self, is_such: impl Fn(Temper) -> bool) -> usize {
        let accounts = self.books.accounts.iter();
        accounts.filter(|a| is_such(self.stream.specs[a.spec].temper)).count()
    }

    fn first_failed(&self, account: &Account) -> Checked {
        match account.first.map(|first| &self.books.account(first).ended) {
            Some(Some((_, Ending::Failed(_)))) => Ok(()),
            _ => Err("and what had to be written first did not".to_owned()),
        }
    }

    fn needed_something_that_failed(&self, account: &Account, reason: &str) -> Checked {
        let others = if account.kind == Kind::LifeCycle && reason.starts_with("its entity ") {
            vec![account.entity]
        } else {
            account.missing.clone()
        };
        let failed = |entity: &usize| {
            self.books.of_entity(*entity).iter().any(|s| {
                let other = self.books.account(*s);
                other.kind == Kind::Create && matches!(other.ended, Some((_, Ending::Failed(_))))
            })
        };
        if others.iter().any(failed) {
            Ok(())
        } else {
            Err("and nothing that it names did".to_owned())
        }
    }

    fn lacked_something(&self, told: &Account, account: &Account, reason: &str) -> Checked {
        let (when, _) = account.ended.as_ref().unwrap();
        let Some(named) = told.missing.iter().rev().find(|entity| {
            let entity = &self.stream.entities[**entity];
            reason.contains(&format!("{} instance for {} not found", entity.word, entity.key))
        }) else {
            return Err("and it was never told so".to_owned());
        };
        let came = self.books.of_entity(*named).iter().find_map(|s| {
            let other = self.books.account(*s);
            match &other.ended {
                Some((at, Ending::Written)) if other.kind == Kind::Create => Some(*at),
                _ => None,
            }
        });
        let failed_before = self.books.of_entity(*named).iter().any(|s| {
            let other = &self.books.account(*s).ended;
            matches!(other, Some((at, Ending::Failed(_))) if at <= when)
        });
        if reason.contains("failed in this run") && failed_before {
            return Ok(());
        }
        match came {
            _ if self.server.vanished[*named] => Ok(()),
            Some(at) if at <= *when => Err("and that was there by then".to_owned()),
            Some(_) if !self.books.last_chances => Err("and that came later".to_owned()),
            _ => Ok(()),
        }
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
                account.kind == kind && is_own && matches!(account.ended, Some((_, Ending::Written)))
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
