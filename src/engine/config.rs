//! What the engine is told at the start, and what it counts.

use std::time::Duration;

use super::defects::Planted;

/// What the engine is told at the start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Requests in flight at the most.
    pub workers: usize,
    /// Records in a batch at the most.
    pub batch_rows: usize,
    /// Bytes in a batch at the most (a larger record travels alone).
    pub batch_bytes: usize,
    /// How long a record may wait for its batch to fill while a worker is idle.
    pub linger: Duration,
    /// How long after its first attempt another attempt of a record may start.
    pub delivery_timeout: Duration,
    /// How long one attempt may take; only the end of `close` depends on it.
    pub attempt_timeout: Duration,
    /// Bytes of pending bodies beyond which there is no room.
    pub budget_bytes: usize,
    /// Put life cycles into create requests that were not sent yet.
    pub embed: Embed,
    /// Bulk requests of at least so many bytes go compressed, if the server takes them so.
    pub gzip_from: Option<usize>,
    /// Whether [`Call::RenewToken`](super::Call::RenewToken) can give another token.
    pub renewable_token: bool,
    /// Seed of the jitter.
    pub seed: u64,
    /// What is broken on purpose.
    pub defect: Planted,
}

/// Whether a life cycle rides in the create request of its entity while that is unsent, and what becomes of its `sourceHash`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Embed {
    /// It is always a request of its own.
    Never,
    /// It does; the hash is made anew from both. For servers that skip rows whose hash they know (2.0): they would skip the life
    /// cycle too.
    WithNewHash,
    /// It does; the hash stays. For clients that compare the hash with one of their own (up to 1.13).
    WithOldHash,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: 4,
            batch_rows: 100,
            batch_bytes: 4 << 20,
            linger: Duration::from_secs(2),
            delivery_timeout: Duration::from_secs(300),
            attempt_timeout: Duration::from_secs(310),
            budget_bytes: 64 << 20,
            embed: Embed::Never,
            gzip_from: None,
            renewable_token: false,
            seed: 0,
            defect: None,
        }
    }
}

/// Counts since the start. `submitted == written + failed + warned + pending`, always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records taken.
    pub submitted: u64,
    /// Records that the server has.
    pub written: u64,
    /// Records that are lost, each with an outcome that says why.
    pub failed: u64,
    /// Records that the server has in another form.
    pub warned: u64,
    /// Records without an outcome.
    pub pending: u64,
    /// Bytes of their bodies.
    pub pending_bytes: usize,
    /// Pending records that wait for something the server does not have.
    pub parked: usize,
    /// Requests sent.
    pub requests: u64,
    /// Requests that sent something again.
    pub retries: u64,
    /// Create rows sent.
    pub rows: u64,
    /// Requests in flight now.
    pub in_flight: usize,
    /// Requests in flight at the most so far.
    pub max_in_flight: usize,
    /// Requests that may be in flight now.
    pub limit: usize,
    /// Time since the last success, while faults keep everything from being written.
    pub stalled: Duration,
}
