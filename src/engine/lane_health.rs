//! What is believed of one lane of the server: whether it answers, whether it alone is asked for less, whether it breaks on rows, and,
//! while it is given up, when one record may try it again (E5, E9).

use std::sync::Arc;
use std::time::Duration;

use super::health::Health;
use super::limiter::{FIRST_PAUSE, LONGEST_PAUSE, LONGEST_RETRY_AFTER};
use super::Time;

/// For how long others go first behind the first pause that the server asks for.
const OTHERS_FIRST: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
pub(super) struct LaneHealth {
    pub health: Health,
    served_sent: Option<Time>,
    broke_on_row: bool,
    healed: Option<Time>,
    trying: bool,
    try_at: Time,
    /// The first time that it was asked for less since it was served.
    overloaded_since: Option<Time>,
    /// How often others went first since.
    overloads: u32,
    pause_until: Time,
}

impl LaneHealth {
    /// A request that was sent at `sent` was served. Whether the lane had been given up.
    pub fn served(&mut self, sent: Time, now: Time) -> bool {
        self.trying = false;
        self.overloaded_since = None;
        self.overloads = 0;
        self.served_sent = self.served_sent.max(Some(sent));
        self.health.served(now)
    }

    /// When the last request was sent that was served.
    pub fn last_served_sent(&self) -> Option<Time> {
        self.served_sent
    }

    /// It is asked for less. The pause is one for all; behind it others that are ready go first, for they may show that it is not for
    /// all. Where they have, and nothing of this lane was served, they go first for longer each time. `others_sent`: when the last
    /// request of another lane was sent that was served.
    pub fn overloaded(
        &mut self,
        retry_after: Option<Duration>,
        others_are_ready: bool,
        others_sent: Option<Time>,
        now: Time,
    ) {
        let asked = retry_after.unwrap_or_default();
        let before = self.overloaded_since.is_some();
        let since = *self.overloaded_since.get_or_insert(now);
        if before && others_sent > Some(since) {
            let (first, longest) = if asked.is_zero() {
                (FIRST_PAUSE, LONGEST_PAUSE)
            } else {
                (asked, LONGEST_RETRY_AFTER)
            };
            let others_go = first.saturating_mul(1 << self.overloads.min(16)).min(longest);
            self.overloads += 1;
            self.pause(now + asked + others_go);
        } else if others_are_ready && !asked.is_zero() {
            self.pause(now + asked + OTHERS_FIRST);
        }
    }

    /// Nothing of it is sent before `until`, or longer where it pauses so long already.
    pub fn pause(&mut self, until: Time) {
        self.pause_until = self.pause_until.max(until);
    }

    /// Nothing of it is sent before this.
    pub fn pause_until(&self) -> Time {
        self.pause_until
    }

    /// The server has failed on a row, while it took others. When one was last written on which it had failed so before.
    pub fn broke_on_row(&mut self) -> Option<Time> {
        self.broke_on_row = true;
        self.healed
    }

    /// Whether it ever has.
    pub fn has_broken_on_rows(&self) -> bool {
        self.broke_on_row
    }

    /// One of these was written.
    pub fn healed(&mut self, now: Time) {
        self.healed = Some(now);
    }

    pub fn give_up(&mut self, why: Arc<str>, now: Time) {
        self.health.give_up(why);
        self.tried_in_vain(now);
    }

    /// Why a record that comes now fails at once, if it does: it is given up, and no record may try it yet, or is trying.
    pub fn refuses(&self, now: Time) -> Option<&Arc<str>> {
        self.health.given_up().filter(|_| !self.trying && now < self.try_at)
    }

    /// Whether it is given up, and one record is on its way to see whether it is back.
    pub fn is_tried(&self) -> bool {
        self.trying
    }

    /// One record leaves alone.
    pub fn tries(&mut self) {
        self.trying = self.health.given_up().is_some();
    }

    /// It was not served; when another one may try.
    pub fn tried_in_vain(&mut self, now: Time) {
        self.trying = false;
        self.try_at = now + LONGEST_PAUSE;
    }

    /// Its request has ended without telling: another may try at once.
    pub fn try_ended(&mut self) {
        self.trying = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Time {
        Time::from_secs(seconds)
    }

    #[test]
    fn others_go_first_for_longer_each_time_until_the_lane_is_served() {
        let mut lane = LaneHealth::default();
        for incident in [0, 1_000] {
            let mut now = s(incident);
            lane.overloaded(Some(s(10)), true, None, now);
            assert_eq!(lane.pause_until(), now + s(10) + OTHERS_FIRST);
            for others_go in [10, 20, 40, 60, 60] {
                let others_sent = Some(now + s(1));
                now += s(100);
                lane.overloaded(Some(s(10)), true, others_sent, now);
                assert_eq!(lane.pause_until(), now + s(10 + others_go));
            }
            lane.served(now, now);
        }
    }

    #[test]
    fn a_lane_for_which_no_other_waits_has_no_pause_of_its_own() {
        let mut lane = LaneHealth::default();
        lane.overloaded(Some(s(10)), false, None, s(0));
        lane.overloaded(None, true, None, s(20));
        lane.overloaded(Some(s(10)), false, Some(s(0)), s(40));
        assert_eq!(lane.pause_until(), Time::ZERO, "and what was sent before says nothing");
    }
}
