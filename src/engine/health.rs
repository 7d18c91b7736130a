//! Whether something answers at all: the server as a whole, or one lane of it (the giving up of E9).
//!
//! What one request met says something about that request. Only faults of several, over a full deadline without one success, say
//! something about who is asked.

use std::sync::Arc;
use std::time::Duration;

use super::record::Sequence;
use super::Time;

/// So many failed attempts are enough to give it up. One that got no answer at all counts for [`SILENCE`].
const ENOUGH: u32 = 5;
const SILENCE: u32 = 3;
/// What failed before a rest of so long says nothing of what comes after it: it may have passed.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15);

/// What tells one request from another: its first record, and how many it carries.
pub(super) type Carried = (Sequence, usize);

/// What is known of it since its last success.
#[derive(Debug, Default)]
pub(super) struct Health {
    first_fault: Option<Time>,
    attempts: u32,
    /// What the request carried that failed first.
    first: Option<Carried>,
    /// Another request has failed as well.
    several: bool,
    last_begun: Time,
    /// A request got no answer within its read time-out.
    slow: bool,
    last_success: Option<Time>,
    given_up: Option<Arc<str>>,
    /// What failed before nothing was pending.
    before_rest: Option<BeforeRest>,
}

/// Who submits one record after the other lets it rest after each, whatever became of it.
#[derive(Debug)]
struct BeforeRest {
    first_fault: Time,
    first: Option<Carried>,
    rested: Time,
}

impl Health {
    /// An attempt failed that began at `begun`; `first`: what it carried, if anything; `silent`: it got no answer.
    pub fn failed(&mut self, first: Option<Carried>, begun: Time, silent: bool, now: Time) {
        if self.first_fault.is_none() {
            let before = self.before_rest.take();
            let before = before.filter(|before| begun < before.rested + FORGOTTEN_AFTER);
            let (since, first) = before.map_or((now, first), |before| (before.first_fault, before.first));
            self.first_fault = Some(since);
            self.first = first;
        }
        self.several |= first != self.first;
        self.attempts = self.attempts.saturating_add(if silent { SILENCE } else { 1 });
        self.last_begun = self.last_begun.max(begun);
        self.slow |= silent;
    }

    /// Something was written, or refused for a reason of its own. Whether it had been given up.
    pub fn served(&mut self, now: Time) -> bool {
        let was_given_up = self.given_up.is_some();
        *self = Self {
            last_success: Some(now),
            ..Self::default()
        };
        was_given_up
    }

    /// Nothing is pending: what comes later is not to be blamed for what was, and what comes at once has attempts of its own first.
    pub fn rest(&mut self, now: Time) {
        let before_rest = self.first_fault.map(|first_fault| BeforeRest {
            first_fault,
            first: self.first,
            rested: now,
        });
        *self = Self {
            last_success: self.last_success,
            given_up: self.given_up.take(),
            before_rest: before_rest.or_else(|| self.before_rest.take()),
            ..Self::default()
        };
    }

    /// From when on it can be given up, if nothing is served until then.
    pub fn suspect_from(&self, deadline: Duration) -> Option<Time> {
        self.first_fault.map(|first| first + deadline)
    }

    /// Whether enough has failed to give it up: one request says nothing of others, even where there was no other.
    pub fn is_ripe(&self, deadline: Duration, now: Time) -> bool {
        self.first_fault.is_some_and(|first| {
            now >= first + deadline
                && self.attempts >= ENOUGH
                && self.several
                // What was under way together is one incident.
                && self.last_begun >= first
        })
    }

    /// Whether a request got no answer, and none was served since.
    pub fn is_slow(&self) -> bool {
        self.slow
    }

    pub fn last_success(&self) -> Option<Time> {
        self.last_success
    }

    pub fn first_fault(&self) -> Option<Time> {
        self.first_fault
    }

    /// Nothing more is sent but a probe now and then.
    pub fn give_up(&mut self, why: Arc<str>) {
        self.given_up = Some(why);
    }

    /// Why it is given up, if it is.
    pub fn given_up(&self) -> Option<&Arc<str>> {
        self.given_up.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(300);

    fn s(seconds: u64) -> Time {
        Time::from_secs(seconds)
    }

    #[test]
    fn one_lost_answer_gives_nobody_up() {
        let mut health = Health::default();
        health.failed(Some((1, 1)), s(0), true, s(300));
        assert!(!health.is_ripe(DEADLINE, s(300)));
        assert!(!health.is_ripe(DEADLINE, s(9_000)));
    }

    #[test]
    fn a_full_deadline_counts_from_the_first_fault_and_needs_several_requests() {
        let mut health = Health::default();
        health.failed(Some((1, 1)), s(0), false, s(100));
        for second in 0..10 {
            health.failed(Some((1, 1)), s(200 + second), false, s(201 + second));
        }
        assert!(!health.is_ripe(DEADLINE, s(400)), "all of one request");
        health.failed(Some((2, 1)), s(300), false, s(301));
        assert!(!health.is_ripe(DEADLINE, s(399)));
        assert!(health.is_ripe(DEADLINE, s(400)));
        assert!(!health.served(s(400)));
        assert!(!health.is_ripe(DEADLINE, s(900)));
    }

    #[test]
    fn what_hung_in_one_moment_is_one_incident() {
        let mut health = Health::default();
        for record in 1..=4 {
            health.failed(Some((record, 1)), s(0), true, s(300));
        }
        assert!(!health.is_ripe(DEADLINE, s(600)));
        health.failed(Some((5, 1)), s(301), true, s(601));
        assert!(health.is_ripe(DEADLINE, s(601)));
    }

    #[test]
    fn records_that_fail_one_after_the_other_give_up_what_none_is_served_by() {
        let fail = |health: &mut Health, record, from| {
            for second in from..from + 5 {
                health.failed(Some((record, 1)), s(second), false, s(second));
            }
        };
        let mut health = Health::default();
        fail(&mut health, 1, 0);
        health.rest(s(300));
        health.rest(s(301));
        assert_eq!(health.first_fault(), None);
        health.failed(Some((2, 1)), s(302), false, s(302));
        assert!(!health.is_ripe(DEADLINE, s(302)), "it has attempts of its own");
        fail(&mut health, 2, 303);
        assert!(health.is_ripe(DEADLINE, s(307)));
        health.rest(s(307));
        fail(&mut health, 3, 322);
        assert!(!health.is_ripe(DEADLINE, s(400)), "it may have been well meanwhile");
    }

    #[test]
    fn a_rest_forgets_faults_but_not_that_it_is_given_up() {
        let mut health = Health::default();
        health.failed(Some((1, 1)), s(0), false, s(1));
        health.give_up("gone".into());
        health.rest(s(1));
        assert_eq!(health.first_fault(), None);
        assert_eq!(health.given_up().map(|why| &**why), Some("gone"));
        assert!(health.served(s(2)));
    }
}
