//! Amounts over the time of a run, in a bounded number of buckets: when a run outgrows them, they become twice as wide.

use std::time::Duration;

use super::Time;

/// Buckets at the most.
pub const BUCKETS: usize = 256;
/// How wide they are at first.
const FINEST: Duration = Duration::from_micros(62_500);

/// `N` amounts over time.
#[derive(Debug, Clone)]
pub struct Timeline<const N: usize> {
    width: Duration,
    buckets: Vec<[f64; N]>,
}

impl<const N: usize> Default for Timeline<N> {
    fn default() -> Self {
        Self {
            width: FINEST,
            buckets: Vec::new(),
        }
    }
}

impl<const N: usize> Timeline<N> {
    /// How much time a bucket holds.
    #[must_use]
    pub fn width(&self) -> Duration {
        self.width
    }

    /// The amounts in each bucket, from the start on.
    #[must_use]
    pub fn buckets(&self) -> &[[f64; N]] {
        &self.buckets
    }

    /// Adds amounts that came evenly between two times.
    pub fn spread(&mut self, from: Time, to: Time, amounts: [f64; N]) {
        self.cover(to);
        let (from, to, width) = (from.min(to).as_secs_f64(), to.as_secs_f64(), self.width.as_secs_f64());
        let whole = to - from;
        let first = from / width;
        let mut start = from;
        for (number, bucket) in self.buckets.iter_mut().enumerate().skip(first as usize) {
            let end = to.min((number + 1) as f64 * width);
            let share = if whole > 0.0 {
                (end - start).max(0.0) / whole
            } else {
                1.0
            };
            for (sum, amount) in bucket.iter_mut().zip(amounts) {
                *sum += amount * share;
            }
            if end >= to {
                break;
            }
            start = end;
        }
    }

    /// Makes sure that there is a bucket for this time.
    pub fn cover(&mut self, time: Time) {
        while time >= self.width * BUCKETS as u32 {
            let halves = std::mem::take(&mut self.buckets);
            self.buckets = halves.chunks(2).map(sum_of).collect();
            self.width *= 2;
        }
        let number = (time.as_secs_f64() / self.width.as_secs_f64()) as usize;
        if self.buckets.len() <= number {
            self.buckets.resize(number.min(BUCKETS - 1) + 1, [0.0; N]);
        }
    }
}

fn sum_of<const N: usize>(buckets: &[[f64; N]]) -> [f64; N] {
    let mut sums = [0.0; N];
    for bucket in buckets {
        for (sum, amount) in sums.iter_mut().zip(bucket) {
            *sum += amount;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Time {
        Time::from_millis(milliseconds)
    }

    fn total(line: &Timeline<2>) -> [f64; 2] {
        sum_of(line.buckets())
    }

    #[test]
    fn amounts_are_spread_over_the_time_in_which_they_came() {
        let mut line = Timeline::<2>::default();
        line.spread(ms(0), ms(125), [4.0, 0.0]);
        line.spread(ms(125), ms(125), [0.0, 3.0]);
        assert_eq!(line.buckets(), [[2.0, 0.0], [2.0, 0.0], [0.0, 3.0]]);
    }

    #[test]
    fn a_week_takes_no_more_buckets_than_a_minute_and_nothing_is_lost() {
        let mut line = Timeline::<2>::default();
        let mut from = Time::ZERO;
        for step in 1..=5_000_u64 {
            let to = from + Duration::from_millis(1 + step * step % 240_000);
            line.spread(from, to, [1.0, (to - from).as_secs_f64()]);
            from = to;
        }
        assert!(from > Duration::from_secs(5 * 24 * 3600), "{from:?}");
        assert!(line.buckets().len() <= BUCKETS && line.buckets().len() > BUCKETS / 2);
        let [records, seconds] = total(&line);
        assert!((records - 5_000.0).abs() < 1e-6, "{records}");
        assert!((seconds - from.as_secs_f64()).abs() < 1e-3, "{seconds}");
        let widest = line.width().as_secs_f64();
        let full = &line.buckets()[..line.buckets().len() - 1];
        assert!(full.iter().all(|[_, seconds]| (seconds - widest).abs() < 1e-6));
    }
}
