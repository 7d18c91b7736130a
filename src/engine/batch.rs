//! A batch: records of one collection in one request; when it is sealed, and how it is split (E2, E7).

use std::time::Duration;

use super::decide::Streak;
use super::order::{CollectionId, Entry, Order, Ready};
use super::record::Sequence;
use super::Time;

/// At a drain the rest is shared among the workers, but not into batches smaller than this.
const SMALLEST_SHARE: usize = 20;
/// While its collection goes on growing and nobody waits for one of its records, a batch that is not half full may fill for so many
/// lingers.
const LINGERS: u32 = 5;
/// How soon larger bodies are tried again.
const LARGER_AFTER: Duration = Duration::from_secs(60);

/// Records that travel together until each has its outcome.
#[derive(Debug)]
pub(super) struct Batch {
    pub collection: CollectionId,
    pub members: Vec<Sequence>,
    /// Attempts with exactly these members.
    pub attempts: u32,
    /// Faults alike in a row.
    pub streak: Option<Streak>,
    /// It holds what causes the faults: so many requests had been served when that was found out.
    pub suspect_since: Option<u64>,
    /// Rows that were tried alone in vain.
    pub tried_alone: Vec<Sequence>,
    /// Past its deadline, for one last attempt.
    pub last_attempt: bool,
    /// It was last sent to the bulk endpoint.
    pub in_bulk: bool,
    /// It tells whether the server, or its collection, is there again.
    pub probe: bool,
    /// It was last sent compressed.
    pub compressed: bool,
    /// It is not to be compressed.
    pub plain: bool,
    /// What was answered when it was compressed; it goes again only to see whether that was why.
    pub refused_compressed: Option<Box<str>>,
}

impl Batch {
    pub fn new(collection: CollectionId, members: Vec<Sequence>) -> Self {
        Self {
            collection,
            members,
            attempts: 0,
            streak: None,
            suspect_since: None,
            tried_alone: Vec::new(),
            last_attempt: false,
            in_bulk: false,
            probe: false,
            compressed: false,
            plain: false,
            refused_compressed: None,
        }
    }

    /// One record by itself.
    pub fn of_one(collection: CollectionId, member: Sequence) -> Self {
        Self::new(collection, vec![member])
    }

    /// Two halves, the first with the older records; None where there is nothing to split.
    pub fn halves(mut self) -> Option<(Self, Self)> {
        if self.members.len() < 2 {
            return None;
        }
        let second = self.members.split_off(self.members.len() / 2);
        let half = |members| Self {
            last_attempt: self.last_attempt,
            plain: self.plain,
            ..Self::new(self.collection, members)
        };
        let second = half(second);
        Some((half(std::mem::take(&mut self.members)), second))
    }
}

/// The sizes at which batches are sealed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sealing {
    pub rows: usize,
    bytes: usize,
    pub linger: Duration,
    /// The bytes that were asked for.
    most_bytes: usize,
    /// The largest body that was taken.
    largest_taken: usize,
    /// When larger bodies are tried again, after one was too large.
    larger_at: Option<Time>,
}

impl Sealing {
    pub fn new(rows: usize, bytes: usize, linger: Duration) -> Self {
        Self {
            rows: rows.max(1),
            bytes,
            linger,
            most_bytes: bytes,
            largest_taken: 0,
            larger_at: None,
        }
    }

    /// A body of so many bytes was too large: what is sealed from here on is smaller, and grows again each minute, for it may have been a
    /// passing setting.
    pub fn too_large(&mut self, bytes: usize, now: Time) {
        self.bytes = self.bytes.min(self.largest_taken.max(bytes / 2).max(1));
        self.larger_at = Some(now + LARGER_AFTER);
    }

    /// A body was taken. `bytes`: its size, where it was sent as it is; compressed it may have been smaller than what is too large.
    pub fn taken(&mut self, bytes: Option<usize>, now: Time) {
        self.largest_taken = self.largest_taken.max(bytes.unwrap_or_default());
        if self.larger_at.is_some_and(|at| at <= now) {
            self.bytes = self.bytes.saturating_mul(2).min(self.most_bytes);
            self.larger_at = (self.bytes < self.most_bytes).then(|| now + LARGER_AFTER);
        }
    }

    /// Whether a full batch is ready.
    pub fn is_full(&self, ready: &Ready) -> bool {
        ready.len() >= self.rows || ready.bytes() >= self.bytes
    }

    /// When the oldest of the ready records has lingered long enough. It may wait longer while others come to fill its batch.
    pub fn lingered_at(&self, ready: &Ready, order: &Order) -> Option<Time> {
        let oldest = order.get(ready.oldest()?)?;
        let soon = oldest.submitted + self.linger;
        let is_worth_a_request = ready.len() * 2 >= self.rows;
        if is_worth_a_request || ready.is_awaited() || oldest.attempts > 0 {
            return Some(soon);
        }
        let newest = order.get(ready.newest()?)?;
        let filling = newest.submitted + self.linger;
        Some(soon.max(filling.min(oldest.submitted + self.linger * LINGERS)))
    }

    /// The records of the next batch: at most `rows` and about `bytes`, always at least one.
    pub fn select(&self, ready: &Ready, order: &Order, urgent_only: bool, rows: usize) -> Vec<Sequence> {
        let mut bytes = 0;
        let mut chosen = Vec::new();
        for sequence in ready.iter(urgent_only).take(rows.clamp(1, self.rows.max(1))) {
            let size = order.get(sequence).map_or(0, Entry::size);
            if !chosen.is_empty() && bytes + size > self.bytes {
                break;
            }
            bytes += size;
            chosen.push(sequence);
        }
        chosen
    }

    /// These records in batches of allowed size, in the same order.
    pub fn cut(&self, members: &[Sequence], order: &Order) -> Vec<Vec<Sequence>> {
        let mut batches: Vec<Vec<Sequence>> = Vec::new();
        let mut bytes = 0;
        for &member in members {
            let size = order.get(member).map_or(0, Entry::size);
            match batches.last_mut() {
                Some(batch) if batch.len() < self.rows && bytes + size <= self.bytes => {
                    batch.push(member);
                    bytes += size;
                }
                _ => {
                    batches.push(vec![member]);
                    bytes = size;
                }
            }
        }
        batches
    }

    /// How many of `waiting` records one of `idle` workers takes.
    pub fn share(&self, waiting: usize, idle: usize) -> usize {
        waiting.div_ceil(idle.max(1)).max(SMALLEST_SHARE).min(self.rows.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::record::{Payload, Record};

    fn sealing(rows: usize) -> Sealing {
        Sealing::new(rows, 1000, Duration::from_secs(2))
    }

    #[test]
    fn a_drain_shares_the_rest_but_not_into_crumbs() {
        let sealing = sealing(100);
        assert_eq!(sealing.share(400, 4), 100);
        assert_eq!(sealing.share(90, 3), 30);
        assert_eq!(sealing.share(25, 4), 20);
        assert_eq!(sealing.share(5000, 1), 100);
    }

    #[test]
    fn what_was_too_large_is_tried_again_each_minute() {
        let s = Time::from_secs;
        let mut sealing = sealing(100);
        sealing.too_large(800, s(0));
        sealing.too_large(400, s(0));
        assert_eq!(sealing.bytes, 200);
        sealing.taken(Some(190), s(59));
        assert_eq!(sealing.bytes, 200);
        sealing.taken(Some(190), s(60));
        sealing.taken(None, s(61));
        assert_eq!(sealing.bytes, 400, "one step a minute");
        sealing.too_large(390, s(62));
        assert_eq!(sealing.bytes, 195, "never below half of what was too large");
        sealing.too_large(200, s(62));
        assert_eq!(sealing.bytes, 190, "what was taken once is not too large");
        for minute in 3..9 {
            sealing.taken(Some(1), s(60 * minute));
        }
        assert_eq!((sealing.bytes, sealing.larger_at), (1000, None));
    }

    #[test]
    fn halves_keep_every_member_once() {
        let collection = Order::default().collection(&"tables".into());
        let (first, second) = Batch::new(collection, (1..=5).collect()).halves().unwrap();
        assert_eq!((first.members, second.members), (vec![1, 2], vec![3, 4, 5]));
        assert!(Batch::new(collection, vec![1]).halves().is_none());
    }

    #[test]
    fn records_are_cut_into_batches_of_allowed_size_in_order() {
        let mut order = Order::default();
        let mut members = Vec::new();
        for (number, size) in [400, 500, 300, 2000, 10].into_iter().enumerate() {
            let fqn = format!("t{number}");
            let payload = Payload::Create(vec![b'x'; size].into());
            let record = Record::bare("tables".into(), fqn.as_str().into(), payload);
            members.push(order.insert(record, Order::key("tables", &fqn), None, Time::ZERO));
        }
        assert_eq!(
            sealing(100).cut(&members, &order),
            [vec![1, 2], vec![3], vec![4], vec![5]]
        );
        let few = sealing(1);
        assert_eq!(few.cut(&members, &order).len(), 5);
        assert_eq!(sealing(100).cut(&[], &order), [] as [Vec<Sequence>; 0]);
    }
}
