//! The ready records of one collection, oldest first, those that somebody waits for apart.

use std::collections::BTreeSet;

use super::CollectionId;
use crate::engine::record::{Kind, Sequence};

/// The ready records of one collection.
#[derive(Debug, Default)]
pub(in crate::engine) struct Ready {
    plain: BTreeSet<Sequence>,
    urgent: BTreeSet<Sequence>,
    bytes: usize,
    /// How many of them other records wait for.
    awaited: usize,
}

impl Ready {
    pub(super) fn insert(&mut self, sequence: Sequence, size: usize, urgent: bool) {
        let set = if urgent { &mut self.urgent } else { &mut self.plain };
        if set.insert(sequence) {
            self.bytes += size;
        }
    }

    pub(super) fn remove(&mut self, sequence: Sequence, size: usize) {
        if self.plain.remove(&sequence) || self.urgent.remove(&sequence) {
            self.bytes = self.bytes.saturating_sub(size);
        }
    }

    pub(super) fn one_awaited(&mut self) {
        self.awaited += 1;
    }

    pub(super) fn one_awaited_left(&mut self) {
        self.awaited = self.awaited.saturating_sub(1);
    }

    /// The body of one of them has another size now.
    pub(super) fn resize(&mut self, old: usize, new: usize) {
        self.bytes = (self.bytes + new).saturating_sub(old);
    }

    /// Whether another record waits for one of them.
    pub fn is_awaited(&self) -> bool {
        self.awaited > 0
    }

    /// The one that was submitted last.
    pub fn newest(&self) -> Option<Sequence> {
        self.plain.last().max(self.urgent.last()).copied()
    }

    pub(super) fn hurry(&mut self, sequence: Sequence) {
        if self.plain.remove(&sequence) {
            self.urgent.insert(sequence);
        }
    }

    pub fn len(&self) -> usize {
        self.plain.len() + self.urgent.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn oldest(&self) -> Option<Sequence> {
        match (self.plain.first(), self.urgent.first()) {
            (Some(plain), Some(urgent)) => Some(*plain.min(urgent)),
            (plain, urgent) => plain.or(urgent).copied(),
        }
    }

    pub fn oldest_urgent(&self) -> Option<Sequence> {
        self.urgent.first().copied()
    }

    pub fn urgent_len(&self) -> usize {
        self.urgent.len()
    }

    /// All of them, oldest first; with `urgent_only`, those that somebody waits for.
    pub fn iter(&self, urgent_only: bool) -> impl Iterator<Item = Sequence> + '_ {
        let mut plain = self.plain.iter().copied().peekable();
        let mut urgent = self.urgent.iter().copied().peekable();
        std::iter::from_fn(move || {
            if urgent_only {
                return urgent.next();
            }
            match (plain.peek(), urgent.peek()) {
                (Some(p), Some(u)) if p < u => plain.next(),
                (_, Some(_)) => urgent.next(),
                _ => plain.next(),
            }
        })
    }
}

pub(super) fn ready_set<'a>(
    ready: &'a mut [Ready],
    patches: &'a mut Ready,
    collection: CollectionId,
    kind: Kind,
) -> Option<&'a mut Ready> {
    match kind {
        Kind::Create => ready.get_mut(usize::from(collection.0)),
        Kind::LifeCycle => Some(patches),
    }
}
