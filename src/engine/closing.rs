//! The end (E12): `close` goes on for as long as the server works, and a while longer; then whatever is left is abandoned.

use std::time::Duration;

use super::{Config, Time};

/// After the last record that the server wrote or refused, `close` goes on for the deadline, one attempt and this.
const MARGIN: Duration = Duration::from_secs(10);

/// How far the end has come.
#[derive(Debug, Default)]
pub(super) struct Closing {
    called: Option<Time>,
    /// When the server last wrote or refused something.
    last_verdict: Time,
    over: bool,
}

impl Closing {
    /// `close` was called, perhaps once more.
    pub fn call(&mut self, now: Time) {
        self.called.get_or_insert(now);
    }

    pub fn is_called(&self) -> bool {
        self.called.is_some()
    }

    /// The server wrote something, or refused it.
    pub fn verdict_came(&mut self, now: Time) {
        self.last_verdict = now;
    }

    /// When `close` stops waiting, if nothing is written or refused until then.
    pub fn ends_at(&self, config: &Config) -> Option<Time> {
        let patience = config.delivery_timeout + config.attempt_timeout + MARGIN;
        self.called.map(|called| called.max(self.last_verdict) + patience)
    }

    /// Nothing more is sent, and nothing is taken.
    pub fn end(&mut self) {
        self.over = true;
    }

    pub fn is_over(&self) -> bool {
        self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_waits_for_as_long_as_the_server_works_and_one_deadline_more() {
        let s = Time::from_secs;
        let config = Config {
            delivery_timeout: s(300),
            attempt_timeout: s(60),
            ..Config::default()
        };
        let mut closing = Closing::default();
        closing.verdict_came(s(5));
        assert_eq!(closing.ends_at(&config), None, "nobody has called it");
        closing.call(s(10));
        closing.call(s(20));
        assert_eq!(closing.ends_at(&config), Some(s(380)), "the first call counts");
        closing.verdict_came(s(100));
        assert_eq!(closing.ends_at(&config), Some(s(470)));
        assert!(!closing.is_over());
    }
}
