//! Since when nothing is served because of faults, and what people are told of it.

use std::time::Duration;

use super::Time;

/// Nothing written for so long because of faults: people are told.
const TELL_AFTER: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Stall {
    since: Option<Time>,
    last_served: Time,
    reason: String,
    told: bool,
}

impl Stall {
    /// A request that was sent at `sent` met a fault, or was turned away.
    pub fn met(&mut self, sent: Time, reason: &str) {
        let since = sent.max(self.last_served);
        self.since = Some(self.since.map_or(since, |earlier| earlier.min(since)));
        reason.clone_into(&mut self.reason);
    }

    /// A request was served; what people are to be told, if they were told of the stall.
    pub fn served(&mut self, now: Time) -> Option<String> {
        self.last_served = now;
        let since = self.since.take();
        let told = std::mem::take(&mut self.told);
        since.filter(|_| told).map(|since| {
            let time = now.saturating_sub(since).as_secs();
            format!("writing goes on after {time} s without success")
        })
    }

    /// Nothing is pending.
    pub fn rest(&mut self) {
        if !self.told {
            self.since = None;
        }
    }

    /// Since when nothing is served because of faults.
    pub fn since(&self) -> Option<Time> {
        self.since
    }

    /// The last fault.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// When people are to be told that nothing is being written.
    pub fn notice_at(&self) -> Option<Time> {
        let since = self.since.filter(|_| !self.told)?;
        Some(since + TELL_AFTER)
    }

    /// What people are to be told of it, once. `patience`: how long each record is tried.
    pub fn tell(&mut self, pending: u64, patience: Duration, now: Time) -> Option<String> {
        let since = self.notice_at()?.saturating_sub(TELL_AFTER);
        if now < since + TELL_AFTER {
            return None;
        }
        self.told = true;
        if pending == 0 {
            return None;
        }
        Some(format!(
            "nothing could be written for {} s; {pending} records wait; {}; each record is tried for {} s from its first attempt",
            now.saturating_sub(since).as_secs(),
            self.reason,
            patience.as_secs(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Time {
        Time::from_secs(seconds)
    }

    #[test]
    fn people_are_told_once_that_nothing_is_written_and_once_that_it_goes_on() {
        let mut stall = Stall::default();
        stall.met(s(5), "503");
        assert_eq!(stall.notice_at(), Some(s(15)));
        assert_eq!(stall.tell(7, s(300), s(14)), None);
        let told = stall.tell(7, s(300), s(15)).unwrap();
        assert!(told.starts_with("nothing could be written for 10 s; 7 records wait; 503"));
        assert_eq!(stall.tell(7, s(300), s(99)), None);
        let notice = stall.served(s(100)).unwrap();
        assert_eq!(notice, "writing goes on after 95 s without success");
    }
}
