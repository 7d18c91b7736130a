//! How long to wait before another attempt of the same (E7).

use std::time::Duration;

use super::limiter::LONGEST_PAUSE;

const FIRST_BACK_OFF: Duration = Duration::from_millis(200);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(30);
/// Where the first attempt may still be at work, it gets some time to end before the second starts.
const UNKNOWN_BACK_OFF: Duration = Duration::from_secs(5);

/// How long to wait before attempt number `attempts + 1` (full jitter). `chance` is in [0, 1). `unknown`: one of the records may have
/// been written, and has not had its pause yet. Where the whole server seems
/// dead, the limiter's pauses spare it already, and a longer wait of one batch would only delay the news that it is back.
pub(super) fn back_off(attempts: u32, unknown: bool, seems_dead: bool, chance: f64) -> Duration {
    if unknown {
        return UNKNOWN_BACK_OFF;
    }
    FIRST_BACK_OFF
        .saturating_mul(1u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX))
        .min(if seems_dead { LONGEST_PAUSE } else { LONGEST_BACK_OFF })
        .mul_f64(chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_to_half_a_minute_and_waits_where_the_result_is_unknown() {
        assert_eq!(back_off(1, true, false, 0.0), UNKNOWN_BACK_OFF);
        assert_eq!(back_off(9, true, false, 0.0), UNKNOWN_BACK_OFF);
        assert_eq!(back_off(1, false, false, 0.5), Duration::from_millis(100));
        assert_eq!(back_off(3, false, false, 0.5), Duration::from_millis(400));
        assert_eq!(back_off(100, false, false, 0.5), LONGEST_BACK_OFF / 2);
        assert_eq!(back_off(100, false, true, 0.5), LONGEST_PAUSE / 2);
    }
}
