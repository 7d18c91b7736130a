//! How the server does as a whole: whether it seems overloaded or dead, and whether it is given up (the breaker of E9).

use super::record::Sequence;
use super::Time;

/// How the server does as a whole: since when nothing is written because of faults, and whether it is given up (the breaker).
#[derive(Debug, Default)]
pub(super) struct Health {
    faulty_since: Option<Time>,
    /// Since when no success came between faults that cannot be blamed on a few records.
    dead_since: Option<Time>,
    /// Records on which the server broke when they came alone: the fault may be theirs.
    suspects: Vec<Sequence>,
    /// There were more of them than can be suspected.
    breaks_on_many: bool,
    last_success: Time,
    in_a_row: u32,
    open: Option<String>,
    last_reason: String,
    successes: u64,
}

/// So many records say nothing of the server: each may be one that it cannot digest. Its answer even shows that it is there.
const SUSPECTS: usize = 3;

impl Health {
    /// An attempt that was sent at `sent` met a fault; `suspect` was alone in it, and may be the cause. Whether faults without one
    /// success between them amount to overload.
    pub fn fault(&mut self, sent: Time, reason: &str, suspect: Option<Sequence>) -> bool {
        let sent = sent.max(self.last_success);
        let earlier = |since: Option<Time>| since.map_or(sent, |since| since.min(sent));
        self.faulty_since = Some(earlier(self.faulty_since));
        let few = |suspect: Sequence| self.suspects.contains(&suspect) || self.suspects.len() < SUSPECTS;
        // A server that has not done anything yet is not known to work at all.
        let its_own = self.successes > 0 && suspect.is_some_and(few);
        self.breaks_on_many |= suspect.is_some() && !its_own;
        if its_own && !self.breaks_on_many {
            self.suspects
                .extend(suspect.filter(|suspect| !self.suspects.contains(suspect)));
            self.dead_since = None;
        } else {
            self.dead_since = Some(earlier(self.dead_since));
        }
        self.in_a_row += 1;
        reason.clone_into(&mut self.last_reason);
        self.in_a_row >= 3
    }

    /// Something was written, or refused for a reason of its own: the server works. Since when it had not, if so.
    pub fn success(&mut self, now: Time) -> Option<Time> {
        self.in_a_row = 0;
        self.successes += 1;
        self.open = None;
        self.dead_since = None;
        self.suspects.clear();
        self.breaks_on_many = false;
        self.last_success = now;
        self.faulty_since.take()
    }

    /// Nothing is pending: what comes next is not to be blamed for what was. `told`: people know of a stall, and will want to know
    /// of its end.
    pub fn rest(&mut self, told: bool) {
        self.dead_since = None;
        self.suspects.clear();
        self.breaks_on_many = false;
        if !told {
            self.faulty_since = None;
        }
    }

    /// Since when the server as a whole seems dead.
    pub fn dead_since(&self) -> Option<Time> {
        self.dead_since
    }

    /// Successes so far.
    pub fn successes(&self) -> u64 {
        self.successes
    }

    pub fn faulty_since(&self) -> Option<Time> {
        self.faulty_since
    }

    pub fn last_reason(&self) -> &str {
        &self.last_reason
    }

    /// Gives the server up until something succeeds.
    pub fn open(&mut self, reason: String) {
        self.open = Some(reason);
    }

    /// Why the server is given up, if it is.
    pub fn is_open(&self) -> Option<&str> {
        self.open.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_faults_without_a_success_amount_to_overload() {
        let mut health = Health::default();
        assert!(!health.fault(Time::ZERO, "x", None));
        assert!(!health.fault(Time::ZERO, "x", None));
        assert!(health.fault(Time::ZERO, "x", None));
        assert_eq!(health.success(Time::ZERO), Some(Time::ZERO));
        assert!(!health.fault(Time::ZERO, "x", None));
    }

    #[test]
    fn a_few_records_that_meet_faults_alone_do_not_make_the_server_dead() {
        let s = Time::from_secs;
        let mut health = Health::default();
        health.success(s(0));
        for second in 0..300 {
            health.fault(s(second), "500", Some(second % 3));
        }
        assert_eq!(health.dead_since(), None);
        health.fault(s(300), "refused", None);
        health.fault(s(301), "500", Some(2));
        assert_eq!(health.dead_since(), None, "the server is there");
        for second in 302..310 {
            health.fault(s(second), "500", Some(second % 4));
        }
        assert_eq!(health.dead_since(), Some(s(303)), "it breaks on whatever comes");
    }

    #[test]
    fn an_attempt_that_began_before_the_last_success_says_nothing_of_the_time_before() {
        let s = Time::from_secs;
        let mut health = Health::default();
        health.success(s(200));
        health.fault(s(0), "no answer in time", None);
        assert_eq!(
            (health.dead_since(), health.faulty_since()),
            (Some(s(200)), Some(s(200)))
        );
    }
}
