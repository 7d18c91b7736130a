//! How many requests may be in flight now, and the pause that all of them share.
//!
//! Additive increase, multiplicative decrease, as TCP does it: overload takes the limit times 0.9, or halves it where nothing was
//! served since the last one; successes of requests that
//! were sent after the pause add one for each limit's worth of them. Latency is not a signal: one row may cost 20 ms or 200.

use std::time::Duration;

use super::Time;

/// The first pause after an overload without `Retry-After`; it doubles with each overload in a row.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A pause that we choose ourselves is no longer than this: one probe each few seconds is no storm, and work goes on soon after
/// the overload ends.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A pause that the server asks for is obeyed up to here.
pub(super) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);
/// How soon a level that was refused is tried again, at first and at the most.
const FIRST_RETEST: Duration = Duration::from_secs(8);
const LONGEST_RETEST: Duration = Duration::from_secs(30);

/// The limit on requests in flight.
#[derive(Debug)]
pub(super) struct Limiter {
    most: usize,
    limit: usize,
    successes: usize,
    pause_until: Time,
    /// When the last overload was taken into account: answers to older requests tell nothing new.
    last_overload: Option<Time>,
    in_a_row: u32,
    refused: Option<Refused>,
}

/// The lowest number of requests in flight that was too many while fewer were not.
#[derive(Debug, Clone, Copy)]
struct Refused {
    level: usize,
    retest_at: Time,
    retest_after: Duration,
}

impl Limiter {
    pub fn new(workers: usize) -> Self {
        let most = workers.max(1);
        Self {
            most,
            limit: most,
            successes: 0,
            pause_until: Time::ZERO,
            last_overload: None,
            in_a_row: 0,
            refused: None,
        }
    }

    /// Requests that may be in flight at once.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// What the limit may be at the most.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Nothing may be sent before this.
    pub fn pause_until(&self) -> Time {
        self.pause_until
    }

    /// A request that was sent at `sent` met an overload. `chance` is in [0, 1).
    pub fn overloaded(&mut self, sent: Time, now: Time, retry_after: Option<Duration>, chance: f64) {
        let asked = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        if self.last_overload.is_some_and(|last| sent < last) {
            self.pause_until = self.pause_until.max(now + asked);
            return;
        }
        self.last_overload = Some(now);
        let own = FIRST_PAUSE
            .saturating_mul(1u32.checked_shl(self.in_a_row).unwrap_or(u32::MAX))
            .min(LONGEST_PAUSE)
            .mul_f64(chance);
        let nothing_served = self.in_a_row > 0;
        self.in_a_row = (self.in_a_row + 1).min(31);
        self.pause_until = self.pause_until.max(now + own.max(asked));
        self.successes = 0;
        // Refused even alone: the server is down or closed to us, and no level is to blame.
        self.refused = (self.limit > 1).then(|| {
            let again = self.refused.filter(|refused| refused.level == self.limit);
            let retest_after = again.map_or(FIRST_RETEST, |r| (r.retest_after * 2).min(LONGEST_RETEST));
            Refused {
                level: self.limit,
                retest_at: now + retest_after,
                retest_after,
            }
        });
        self.limit = if nothing_served {
            self.limit / 2
        } else {
            self.limit * 9 / 10
        }
        .max(1);
    }

    /// A request that was sent at `sent` was served.
    pub fn served(&mut self, sent: Time, now: Time) {
        if self.last_overload.is_some_and(|last| sent < last) {
            return;
        }
        self.in_a_row = 0;
        if self.limit >= self.most {
            return;
        }
        self.successes += 1;
        if self.successes < self.limit {
            return;
        }
        let next = self.limit + 1;
        if self
            .refused
            .is_some_and(|refused| next >= refused.level && now < refused.retest_at)
        {
            return;
        }
        self.limit = next;
        self.successes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Time {
        Time::from_secs(seconds)
    }

    #[test]
    fn a_dead_server_sees_one_probe_a_pause() {
        let mut limiter = Limiter::new(16);
        for second in 0..20 {
            limiter.overloaded(s(second * 10), s(second * 10 + 1), None, 0.99);
        }
        assert_eq!(limiter.limit(), 1);
        let pause = limiter.pause_until() - s(191);
        assert!(pause > s(4) && pause <= LONGEST_PAUSE, "{pause:?}");
    }

    #[test]
    fn answers_to_requests_of_one_burst_count_once() {
        let mut limiter = Limiter::new(4);
        for _ in 0..4 {
            limiter.overloaded(s(0), s(1), None, 0.5);
        }
        assert_eq!(limiter.limit(), 3);
    }

    #[test]
    fn retry_after_is_obeyed_up_to_a_minute() {
        let mut limiter = Limiter::new(4);
        limiter.overloaded(s(0), s(1), Some(s(7)), 0.0);
        assert_eq!(limiter.pause_until(), s(8));
        limiter.overloaded(s(0), s(2), Some(s(1_000_000)), 0.0);
        assert_eq!(limiter.pause_until(), s(62));
    }

    #[test]
    fn only_successes_after_the_pause_raise_the_limit() {
        let mut limiter = Limiter::new(3);
        limiter.overloaded(s(11), s(12), None, 0.0);
        assert_eq!(limiter.limit(), 2);
        limiter.served(s(9), s(13));
        limiter.served(s(11), s(13));
        limiter.served(s(13), s(14));
        assert_eq!(limiter.limit(), 2);
        limiter.served(s(13), s(25));
        assert_eq!(
            limiter.limit(),
            3,
            "a limit's worth adds one once the refused level may be tried again"
        );
    }

    #[test]
    fn the_limit_halves_where_nothing_was_served_since_the_last_overload() {
        let mut limiter = Limiter::new(64);
        let limits = [1, 2, 3, 4, 5].map(|second| {
            limiter.overloaded(s(second), s(second), None, 0.0);
            limiter.limit()
        });
        assert_eq!(limits, [57, 28, 14, 7, 3]);
        limiter.served(s(6), s(6));
        limiter.overloaded(s(7), s(7), None, 0.0);
        assert_eq!(limiter.limit(), 2, "served in between: times 0.9");
    }

    #[test]
    fn a_refused_level_is_tried_again_only_after_a_while() {
        let mut limiter = Limiter::new(4);
        let mut raised = Vec::new();
        for second in 0..100 {
            let before = limiter.limit();
            if before == 4 {
                limiter.overloaded(s(second), s(second), None, 0.0);
                raised.push(second);
            } else {
                limiter.served(s(second), s(second));
            }
        }
        let gaps: Vec<u64> = raised.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(
            gaps.iter().all(|gap| *gap >= 8) && gaps.last().is_some_and(|gap| *gap >= 30),
            "{gaps:?}"
        );
    }

    #[test]
    fn an_outage_leaves_no_level_behind() {
        let mut limiter = Limiter::new(4);
        for second in 0..10 {
            limiter.overloaded(s(second), s(second), None, 0.0);
        }
        for _ in 0..10 {
            limiter.served(s(20), s(20));
        }
        assert_eq!(limiter.limit(), 4);
    }
}
