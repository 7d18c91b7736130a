//! What can be asked of the engine: nothing changes by it.

use std::time::Duration;

use bytes::Bytes;

use super::order::{Order, Place};
use super::record::Sequence;
use super::{Engine, Picture, Stats, Time};

impl Engine {
    /// The sequence number of the last record.
    #[must_use]
    pub fn last_sequence(&self) -> Sequence {
        self.order.last()
    }

    /// The body of the last pending create request of an entity.
    #[must_use]
    pub fn pending_body(&self, collection: &str, fqn: &str) -> Option<Bytes> {
        let last = self.order.last_create(collection, &Order::key(collection, fqn))?;
        Some(self.order.get(last)?.record.payload.bytes().clone())
    }

    /// Length of the longest chain of needs, within the collection, that the last pending record of an entity waits for. Chains
    /// longer than 16 count as 16.
    #[must_use]
    pub fn pending_depth(&self, collection: &str, fqn: &str) -> Option<usize> {
        let last = self.order.last_create(collection, &Order::key(collection, fqn))?;
        Some(self.order.depth(last, 16))
    }

    /// How many create requests are pending that no request has carried.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.order.unsent()
    }

    /// The counts now.
    #[must_use]
    pub fn stats(&self, now: Time) -> Stats {
        Stats {
            pending_bytes: self.pending_bytes(),
            parked: self.order.parked_len() + self.owed.len(),
            in_flight: self.queues.in_flight(),
            limit: self.server.limit(),
            stalled: self
                .server
                .stall
                .since()
                .map_or(Duration::ZERO, |since| now.saturating_sub(since)),
            ..self.books.counts
        }
    }

    /// What the run looked like so far.
    #[must_use]
    pub fn picture(&self, now: Time) -> Picture {
        let counts = &self.books.counts;
        self.figures
            .picture(&self.order, self.queues.in_flight(), counts.submitted, now)
    }

    /// For tests: which place holds which record. Each pending record must be in exactly one.
    #[must_use]
    pub fn custody(&self) -> Vec<(Sequence, Place)> {
        let held = self.inquests.custody().chain(self.trials.custody());
        let held = held.map(|sequence| (sequence, Place::Held));
        let look_ups = self.look_ups.custody().map(|sequence| (sequence, Place::LookUp));
        let owed = self.owed.sequences().map(|sequence| (sequence, Place::Owed));
        self.order
            .custody(self.queues.custody().chain(held).chain(look_ups).chain(owed))
    }
}
