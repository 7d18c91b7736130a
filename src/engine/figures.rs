//! What a run looked like, for whoever asks afterwards: counted once for each request, never for each record.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::order::Order;
use super::queues::{Flight, Lane, Work};
use super::reading::{Meaning, TroubleKind};
use super::record::Kind;
use super::timeline::Timeline;
use super::Time;

/// A time without one served request is worth telling from here on.
const LEAST_STALL: Duration = Duration::from_secs(1);
/// So many of them are kept, the longest.
const STALLS: usize = 16;

/// Why something is sent again, or in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Cause {
    Fault(TroubleKind),
    /// The body was too large.
    TooLarge,
    /// The endpoint is not there.
    NoRoute,
    /// Refused as a whole.
    Refused,
    /// The server had no room for some rows.
    RowsOverload,
    /// It failed on some rows.
    RowsFailed,
    /// It said nothing about some rows.
    RowsUnanswered,
    /// What a record names was not there yet.
    Missing,
    /// Records at the end of their time.
    LastAttempt,
}

impl Cause {
    /// A short name; the words for people are the reader's.
    fn name(self) -> String {
        let name = match self {
            Self::Fault(TroubleKind::Connect) => "not-reached",
            Self::Fault(TroubleKind::NotSent) => "not-sent",
            Self::Fault(TroubleKind::Closed) => "closed",
            Self::Fault(TroubleKind::Broken) => "broken",
            Self::Fault(TroubleKind::Silent) => "no-answer",
            Self::Fault(TroubleKind::Overload) => "overload",
            Self::Fault(TroubleKind::Unavailable) => "unavailable",
            Self::Fault(TroubleKind::NoEndpoint) | Self::NoRoute => "no-endpoint",
            Self::Fault(TroubleKind::Status(status)) => return format!("status-{status}"),
            Self::Fault(TroubleKind::Unreadable) => "unreadable",
            Self::Fault(TroubleKind::Unbuildable) => "unbuildable",
            Self::Fault(TroubleKind::Rebuffed) => "turned-away",
            Self::TooLarge => "too-large",
            Self::Refused => "refused",
            Self::RowsOverload => "rows-overload",
            Self::RowsFailed => "rows-failed",
            Self::RowsUnanswered => "rows-unanswered",
            Self::Missing => "missing",
            Self::LastAttempt => "last-attempt",
        };
        name.to_owned()
    }

    /// Why a request was not served. None where it was, whatever became of its rows.
    fn of(meaning: &Meaning) -> Option<Self> {
        match meaning {
            Meaning::Fault(trouble) => Some(Self::Fault(trouble.kind)),
            Meaning::TooLarge(_) => Some(Self::TooLarge),
            Meaning::Rebuffed(_) => Some(Self::Fault(TroubleKind::Rebuffed)),
            Meaning::NoRoute { .. } => Some(Self::NoRoute),
            Meaning::Rows(_)
            | Meaning::Done { .. }
            | Meaning::Missing(..)
            | Meaning::Exists(_)
            | Meaning::Refused(_)
            | Meaning::NewToken(_) => None,
        }
    }
}

/// How long requests took: four buckets for each doubling, from a microsecond to days.
#[derive(Debug, Clone)]
pub struct Times {
    counts: [u32; Self::LEN],
    total: Duration,
    longest: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            counts: [0; Self::LEN],
            total: Duration::ZERO,
            longest: Duration::ZERO,
        }
    }
}

impl Times {
    const LEN: usize = 160;

    fn add(&mut self, took: Duration) {
        self.total += took;
        self.longest = self.longest.max(took);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let number = Self::bucket(micros).min(Self::LEN - 1);
        if let Some(count) = self.counts.get_mut(number) {
            *count = count.saturating_add(1);
        }
    }

    fn bucket(micros: u64) -> usize {
        if micros < 4 {
            return micros as usize;
        }
        let octave = micros.ilog2();
        ((octave - 1) * 4) as usize + ((micros >> (octave - 2)) & 3) as usize
    }

    /// The least number of microseconds in a bucket.
    fn least(bucket: usize) -> u64 {
        if bucket < 4 {
            return bucket as u64;
        }
        let octave = bucket / 4 + 1;
        (4 + bucket as u64 % 4) << (octave - 2)
    }

    /// All of it together.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.total
    }

    /// The longest.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// The time that a share of the requests did not exceed, within a tenth. Zero where there were none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        let all: u64 = self.counts.iter().map(|count| u64::from(*count)).sum();
        let rank = (share * all as f64).ceil().max(1.0);
        let mut before = 0.0;
        for (bucket, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = f64::from(*count);
            if before + count >= rank {
                let (least, next) = (Self::least(bucket) as f64, Self::least(bucket + 1) as f64);
                let micros = least + (next - least) * (rank - before - 0.5) / count;
                return Duration::from_secs_f64(micros / 1e6).min(self.longest);
            }
            before += count;
        }
        Duration::ZERO
    }
}

/// What became of the requests of one collection. Those that were not served count in `requests` and `rows` too, not in `times`.
#[derive(Debug, Clone, Default)]
pub struct OfLane {
    /// Requests that came back.
    pub requests: u64,
    /// Records in them.
    pub rows: u64,
    /// Those that were not served.
    pub faults: u64,
    /// How long the others took.
    pub times: Times,
}

/// How often, and how many records were in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Often {
    /// Requests.
    pub requests: u64,
    /// Records.
    pub rows: u64,
}

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Figures {
    line: Timeline<LINES>,
    noted: Time,
    taken: u64,
    lanes: FxHashMap<Lane, OfLane>,
    again: FxHashMap<Cause, Often>,
    splits: FxHashMap<Cause, u64>,
    stalls: Vec<(Time, Time)>,
    stalled_since: Option<Time>,
    last_served: Time,
}

/// Records taken, seconds of requests in flight, requests served, requests not served.
const LINES: usize = 4;

/// The figures of a run up to now.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Now.
    pub now: Time,
    /// Records taken, seconds of requests in flight, requests served, requests not served.
    pub line: Timeline<LINES>,
    /// Of each collection that was written.
    pub lanes: Vec<(Arc<str>, Kind, OfLane)>,
    /// Why records went again, by the cause's name.
    pub again: Vec<(String, Often)>,
    /// Why batches went in parts.
    pub splits: Vec<(String, u64)>,
    /// From when to when nothing was served although something was sent, the longest times first.
    pub stalls: Vec<(Time, Time)>,
}

impl Figures {
    /// Time has passed with so many requests in flight, and so many records were taken until now. To be called before either
    /// changes.
    pub fn passed(&mut self, in_flight: usize, taken: u64, now: Time) {
        let since = std::mem::replace(&mut self.noted, now);
        let more = taken - std::mem::replace(&mut self.taken, taken);
        let seconds = now.saturating_sub(since).as_secs_f64();
        self.line
            .spread(since, now, [more as f64, in_flight as f64 * seconds, 0.0, 0.0]);
    }

    /// A request has ended.
    pub fn answered(&mut self, flight: &Flight, meaning: &Meaning, now: Time) {
        let (Some(lane), Work::Batch(_) | Work::Patch(_)) = (flight.lane, &flight.work) else {
            return;
        };
        let rows = flight.work.sequences().len();
        let cause = Cause::of(meaning);
        let of_lane = self.lanes.entry(lane).or_default();
        of_lane.requests += 1;
        of_lane.rows += rows as u64;
        match cause {
            None => of_lane.times.add(now.saturating_sub(flight.sent)),
            Some(_) => of_lane.faults += 1,
        }
        if let Some(cause) = cause {
            self.again(cause, rows);
        }
        // What is too large is a sign of life.
        if matches!(cause, None | Some(Cause::TooLarge)) {
            self.line.spread(now, now, [0.0, 0.0, 1.0, 0.0]);
            self.last_served = now;
            if let Some(since) = self.stalled_since.take() {
                keep_longest(&mut self.stalls, since, now);
            }
        } else {
            self.line.spread(now, now, [0.0, 0.0, 0.0, 1.0]);
            self.stalled_since.get_or_insert(flight.sent.max(self.last_served));
        }
    }

    /// Records go again.
    pub fn again(&mut self, cause: Cause, rows: usize) {
        let often = self.again.entry(cause).or_default();
        often.requests += 1;
        often.rows += rows as u64;
    }

    /// A batch goes in parts.
    pub fn split(&mut self, cause: Cause) {
        *self.splits.entry(cause).or_default() += 1;
    }

    /// What was counted.
    pub fn picture(&self, order: &Order, in_flight: usize, taken: u64, now: Time) -> Picture {
        let mut open = Self {
            line: self.line.clone(),
            noted: self.noted,
            taken: self.taken,
            ..Self::default()
        };
        open.passed(in_flight, taken, now);
        let mut stalls = self.stalls.clone();
        if let Some(since) = self.stalled_since {
            keep_longest(&mut stalls, since, now);
        }
        let lanes = self.lanes.iter().map(|((collection, kind), of_lane)| {
            let path = order.path(*collection).cloned().unwrap_or_default();
            (path, *kind, of_lane.clone())
        });
        let again = self.again.iter().map(|(cause, often)| (cause.name(), *often));
        let splits = self.splits.iter().map(|(cause, count)| (cause.name(), *count));
        Picture {
            now,
            line: open.line,
            lanes: sorted(lanes.collect(), |(_, _, lane): &(_, _, OfLane)| lane.rows),
            again: sorted(again.collect(), |(_, often): &(_, Often)| often.rows),
            splits: sorted(splits.collect(), |(_, count): &(_, u64)| *count),
            stalls,
        }
    }
}

fn keep_longest(stalls: &mut Vec<(Time, Time)>, since: Time, until: Time) {
    if until.saturating_sub(since) >= LEAST_STALL {
        stalls.push((since, until));
        stalls.sort_by_key(|(since, until)| std::cmp::Reverse(*until - *since));
        stalls.truncate(STALLS);
    }
}

/// The largest first.
fn sorted<T>(mut all: Vec<T>, size: impl Fn(&T) -> u64) -> Vec<T> {
    all.sort_by_key(|one| std::cmp::Reverse(size(one)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn each_time_is_in_the_bucket_whose_bounds_hold_it() {
        for micros in (0..10_000_u64).chain([u64::from(u32::MAX), 1 << 40]) {
            let bucket = Times::bucket(micros);
            assert!(
                Times::least(bucket) <= micros && micros < Times::least(bucket + 1),
                "{micros}"
            );
        }
    }

    #[test]
    fn quantiles_are_right_within_a_tenth() {
        let mut times = Times::default();
        for number in 1..=1_000 {
            times.add(ms(number));
        }
        let near = |found: Duration, wanted: u64| {
            let ratio = found.as_secs_f64() / ms(wanted).as_secs_f64();
            assert!((0.9..1.1).contains(&ratio), "{found:?} instead of {wanted} ms");
        };
        near(times.quantile(0.5), 500);
        near(times.quantile(0.95), 950);
        assert_eq!((times.quantile(1.0), times.longest()), (ms(1_000), ms(1_000)));
        assert_eq!(Times::default().quantile(0.5), Duration::ZERO);
    }

    #[test]
    fn of_many_stalls_the_longest_are_kept() {
        let mut stalls = Vec::new();
        for number in 0..100_u64 {
            let since = Time::from_secs(1_000 * number);
            keep_longest(&mut stalls, since, since + ms(100 * number));
        }
        assert_eq!(stalls.len(), STALLS);
        assert_eq!(
            stalls[0],
            (Time::from_secs(99_000), Time::from_secs(99_000) + ms(9_900))
        );
        keep_longest(&mut stalls, Time::ZERO, ms(999));
        assert!(!stalls.contains(&(Time::ZERO, ms(999))));
    }
}
