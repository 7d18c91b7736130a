//! Chains of records of one collection, each of which waits for the one that its body names (E3).

use super::{CollectionId, Edge, Entry, Order};
use crate::engine::record::{Fqn, Sequence};

impl Order {
    /// Length of the longest chain of needs of one collection behind a record, up to `most`.
    pub fn depth(&self, sequence: Sequence, most: usize) -> usize {
        self.longest_chain(vec![sequence], most + 1).saturating_sub(1)
    }

    /// How many records one after the other whoever needs `fqn` would wait for in one collection, up to `most`.
    pub fn chain_to(&self, fqn: &Fqn, collection: CollectionId, most: usize) -> usize {
        let mut pending = self.creates_of(fqn);
        pending.retain(|sequence| self.get(*sequence).is_some_and(|entry| entry.collection == collection));
        self.longest_chain(pending, most)
    }

    /// How many records the longest chain has that ends in one of `ends`, up to `most`. Each is looked at once for each length, however
    /// many chains it is in.
    fn longest_chain(&self, mut ends: Vec<Sequence>, most: usize) -> usize {
        let mut length = 0;
        while !ends.is_empty() && length < most {
            length += 1;
            let before = ends.iter().filter_map(|sequence| self.get(*sequence));
            ends = before.flat_map(|entry| self.needed_by(entry)).collect();
            ends.sort_unstable();
            ends.dedup();
        }
        length
    }

    /// What a record waits for of its own collection, because its body names it.
    fn needed_by<'a>(&'a self, entry: &'a Entry) -> impl Iterator<Item = Sequence> + 'a {
        let of_its_own = |blocker: &Sequence| {
            let other = self.get(*blocker);
            other.is_some_and(|other| other.collection == entry.collection)
        };
        let needs = entry.edges.iter().filter(|(_, edge)| *edge == Edge::Need);
        needs.map(|(blocker, _)| *blocker).filter(of_its_own)
    }
}
