//! What was written while requests are under way (E8): a row may be refused for something that came into being a moment ago.

use std::collections::VecDeque;
use std::hash::{BuildHasher, BuildHasherDefault};

use rustc_hash::{FxHashMap, FxHasher};

use super::order::CollectionId;
use super::record::Fqn;
use super::Time;

/// What was written while the oldest request in flight was under way: a row of that request may have been refused for something
/// that is there by now. Names are kept as hashes; a false hit costs one more attempt.
#[derive(Debug, Default)]
pub(super) struct WrittenLately {
    by_time: VecDeque<(Time, u64)>,
    last: FxHashMap<u64, Time>,
}

impl WrittenLately {
    fn hash(collection: CollectionId, fqn: &Fqn) -> u64 {
        BuildHasherDefault::<FxHasher>::default().hash_one((collection, fqn.as_str()))
    }

    pub fn note(&mut self, collection: CollectionId, fqn: &Fqn, now: Time) {
        let hash = Self::hash(collection, fqn);
        self.by_time.push_back((now, hash));
        self.last.insert(hash, now);
    }

    /// No request in flight was sent before this.
    pub fn forget_before(&mut self, oldest: Time) {
        while let Some((at, hash)) = self.by_time.front().copied().filter(|(at, _)| *at < oldest) {
            self.by_time.pop_front();
            if self.last.get(&hash) == Some(&at) {
                self.last.remove(&hash);
            }
        }
    }

    /// Whether it was written after a request was sent that is still in flight.
    pub fn since(&self, collection: CollectionId, fqn: &Fqn, sent: Time) -> bool {
        let last = self.last.get(&Self::hash(collection, fqn));
        last.is_some_and(|written| *written >= sent)
    }
}
