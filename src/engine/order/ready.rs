//! The ready records of one collection, oldest first, those that somebody waits for apart.

use std::collections::BTreeSet;

use super::CollectionId;
use crate::engine::record::{Kind, Sequence};

/// The ready records of one collection.
#[derive(Debug, Default)]
pub(in crate::engine) struct Ready {
    pub(super) plain: BTreeSet<Sequence>,
    pub(super) urgent: BTreeSet<Sequence>,
    pub(super) bytes: usize,
}

impl Ready {
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
