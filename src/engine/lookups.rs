//! Look-ups by name (E9): whether the server has what it may have been told before an answer was lost, and whether it answers at all.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::record::Sequence;
use super::Time;

/// Unknown results are looked up for so long in each incident.
const FOR: Duration = Duration::from_secs(10);
/// After one that failed there are none for so long.
const PAUSE: Duration = Duration::from_secs(30);

/// What becomes of a record that the server does not have, or that nobody can tell of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Then {
    /// It is lost, for this reason.
    Lost(String),
    /// One last attempt, with the others of its batch.
    LastAttempt(BatchId),
    /// It is sent again after its back-off: the look-up was to show whether the server works.
    Again,
}

/// A batch whose records are looked up before its last attempt.
pub(super) type BatchId = u64;

/// What the server said of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It has it as it was sent.
    Same,
    /// It has nothing of that name.
    Nothing,
    /// It has something else, or nobody can tell.
    Unknown,
}

/// Records to be looked up, and what they wait for.
#[derive(Debug, Default)]
pub(super) struct LookUps {
    waiting: VecDeque<Sequence>,
    then: FxHashMap<Sequence, Then>,
    /// Records of a batch that have not been looked up, and those that the server does not have.
    batches: FxHashMap<BatchId, (usize, Vec<Sequence>)>,
    next: BatchId,
    until: Option<Time>,
    /// When a read failed: no more of them until something is served, or for a while.
    failed_at: Option<Time>,
}

impl LookUps {
    /// Whether a look-up would be made now.
    pub fn are_open(&self, now: Time) -> bool {
        self.failed_at.is_none_or(|failed| now >= failed + PAUSE)
    }

    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next record to be looked up.
    pub fn first(&self) -> Option<Sequence> {
        self.waiting.front().copied()
    }

    /// Whether a record waits for its look-up or for the answer to it.
    pub fn is_busy(&self) -> bool {
        !self.then.is_empty()
    }

    /// When the look-ups of this incident end.
    pub fn until(&self) -> Option<Time> {
        self.until.filter(|_| self.is_busy())
    }

    /// The next record to be looked up; the ten seconds begin with the first.
    pub fn next(&mut self, now: Time) -> Option<Sequence> {
        self.until.get_or_insert(now + FOR);
        self.waiting.pop_front()
    }

    pub fn add(&mut self, sequence: Sequence, then: Then) {
        self.waiting.push_back(sequence);
        self.then.insert(sequence, then);
    }

    /// The records of one batch, for its last attempt.
    pub fn add_batch(&mut self, members: &[Sequence]) {
        self.next += 1;
        self.batches.insert(self.next, (members.len(), Vec::new()));
        for member in members {
            self.add(*member, Then::LastAttempt(self.next));
        }
    }

    /// A record's look-up is over. What was to become of it.
    pub fn done(&mut self, sequence: Sequence) -> Option<Then> {
        let then = self.then.remove(&sequence);
        if self.then.is_empty() {
            self.until = None;
        }
        then
    }

    /// One record of a batch has been looked up; `absent`: it is to be sent once more. Those of the batch that are, once all have been.
    pub fn one_of_batch(&mut self, batch: BatchId, absent: Option<Sequence>) -> Vec<Sequence> {
        let Some((left, members)) = self.batches.get_mut(&batch) else {
            return absent.into_iter().collect();
        };
        members.extend(absent);
        *left = left.saturating_sub(1);
        if *left > 0 {
            return Vec::new();
        }
        let (_, mut members) = self.batches.remove(&batch).unwrap_or_default();
        members.sort_unstable();
        members
    }

    /// A read has failed: the others would, too.
    pub fn stop(&mut self, now: Time) {
        self.failed_at = Some(now);
    }

    /// Something was served: the next incident has look-ups of its own.
    pub fn start_anew(&mut self) {
        self.failed_at = None;
    }

    /// The records that are not asked for any more: the time is over, or reads fail.
    pub fn take_unasked(&mut self, now: Time) -> Vec<Sequence> {
        if !self.are_open(now) || self.until.is_some_and(|until| until <= now) {
            self.waiting.drain(..).collect()
        } else {
            Vec::new()
        }
    }

    /// Whether the answers that are still to come are too late.
    pub fn are_late(&self, now: Time) -> bool {
        !self.are_open(now) || self.until.is_some_and(|until| until <= now)
    }

    /// The records that wait for their look-up, or for those of the others of their batch.
    pub fn custody(&self) -> impl Iterator<Item = Sequence> + '_ {
        let absent = self.batches.values().flat_map(|(_, absent)| absent);
        self.waiting.iter().chain(absent).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Time {
        Time::from_secs(seconds)
    }

    #[test]
    fn each_incident_has_its_ten_seconds() {
        let mut look_ups = LookUps::default();
        look_ups.add(1, Then::Again);
        assert_eq!((look_ups.until(), look_ups.next(s(0))), (None, Some(1)));
        assert_eq!(look_ups.until(), Some(s(10)));
        assert_eq!(look_ups.done(1), Some(Then::Again));
        assert_eq!(look_ups.until(), None);
        look_ups.add(2, Then::Again);
        look_ups.add(3, Then::Again);
        assert_eq!(look_ups.next(s(100)), Some(2));
        assert_eq!(
            (look_ups.until(), look_ups.take_unasked(s(109))),
            (Some(s(110)), vec![])
        );
        assert_eq!(look_ups.take_unasked(s(110)), [3]);
    }

    #[test]
    fn a_batch_goes_once_more_when_all_of_it_was_looked_up() {
        let mut look_ups = LookUps::default();
        look_ups.add_batch(&[1, 2, 3]);
        let Some(Then::LastAttempt(batch)) = look_ups.done(1) else {
            panic!("a batch")
        };
        assert_eq!(look_ups.one_of_batch(batch, Some(3)), [] as [Sequence; 0]);
        assert_eq!(look_ups.one_of_batch(batch, None), [] as [Sequence; 0]);
        assert_eq!(look_ups.one_of_batch(batch, Some(1)), [1, 3]);
    }

    #[test]
    fn after_a_read_that_failed_there_is_none_until_something_is_served_or_for_a_while() {
        let mut look_ups = LookUps::default();
        look_ups.add(1, Then::Lost("x".into()));
        look_ups.stop(s(1));
        assert!(!look_ups.are_open(s(30)));
        assert_eq!(look_ups.take_unasked(s(1)), [1]);
        assert!(look_ups.are_open(s(31)));
        look_ups.start_anew();
        assert!(look_ups.are_open(s(30)));
    }
}
