//! One row of a batch that meets fault after fault goes alone while the others wait: where nobody is served, its answer tells whether
//! the fault is the batch's or the server's (E7).

use rustc_hash::FxHashMap;

use super::batch::Batch;
use super::order::CollectionId;
use super::record::Sequence;

/// Batches that wait for the answer of one of their rows.
#[derive(Debug, Default)]
pub(super) struct Trials {
    waiting: FxHashMap<Sequence, Batch>,
}

impl Trials {
    /// Takes one row out of a batch, another one each time, and keeps the rest. The row.
    pub fn begin(&mut self, mut batch: Batch, random: &mut fastrand::Rng) -> Option<Sequence> {
        let untried = |member: &&Sequence| !batch.tried_alone.contains(member);
        if !batch.members.iter().any(|member| untried(&member)) {
            batch.tried_alone.clear();
        }
        let candidates: Vec<Sequence> = batch
            .members
            .iter()
            .filter(|member| !batch.tried_alone.contains(member))
            .copied()
            .collect();
        let row = *candidates.get(random.usize(..candidates.len().max(1)))?;
        batch.members.retain(|member| *member != row);
        batch.tried_alone.push(row);
        self.waiting.insert(row, batch);
        Some(row)
    }

    /// The batch that waits for this row, if one does.
    pub fn end(&mut self, row: Sequence) -> Option<Batch> {
        self.waiting.remove(&row)
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The records that are held.
    pub fn custody(&self) -> impl Iterator<Item = Sequence> + '_ {
        self.waiting.values().flat_map(|batch| batch.members.iter().copied())
    }

    /// Ends those of a collection, or all of them. The records that were held.
    pub fn take_all(&mut self, collection: Option<CollectionId>) -> Vec<Sequence> {
        let mut held = Vec::new();
        self.waiting.retain(|_, batch| {
            let ends = collection.is_none_or(|collection| batch.collection == collection);
            if ends {
                held.append(&mut batch.members);
            }
            !ends
        });
        held
    }
}

#[cfg(test)]
mod tests {
    use super::super::order::Order;
    use super::*;

    #[test]
    fn each_row_has_its_turn_before_one_has_another() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut trials = Trials::default();
        let mut batch = Batch::new(Order::default().collection(&"tables".into()), vec![1, 2, 3]);
        let mut rows = Vec::new();
        for _ in 0..6 {
            let row = trials.begin(batch, &mut random).unwrap();
            rows.push(row);
            batch = trials.end(row).unwrap();
            assert_eq!(batch.members.len(), 2);
            batch.members.push(row);
        }
        for round in rows.chunks_mut(3) {
            round.sort_unstable();
            assert_eq!(round, [1, 2, 3]);
        }
        assert!(trials.is_empty());
    }
}
