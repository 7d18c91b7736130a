//! What makes a run, and what it was like.

use std::collections::BTreeMap;
use std::time::Duration;

use openmetadata_bulksink::engine::{Config, Scope};

use crate::sabotage::Sabotage;
use crate::server::Profile;
use crate::stream::Stream;
use crate::verdicts::Tolerance;
use crate::weather::Weather;

/// What one thread of the application does next.
#[derive(Debug, Clone)]
pub enum Step {
    /// Submits the body of this number; blocks while there is no room.
    Submit(usize),
    /// Works on something else.
    Pause(Duration),
    /// Waits for a scope, up to the record so many before the last one; for so long at the most.
    Wait {
        scope: Scope,
        ago: u64,
        patience: Option<Duration>,
    },
    /// Somebody else changes everything of which bodies repeat, and the engine is told.
    Meddle,
    Close,
    Abandon,
}

/// Everything that makes one run.
pub struct Setup {
    pub seed: u64,
    /// What the run turns on.
    pub kind: &'static str,
    pub config: Config,
    pub stream: Stream,
    pub profile: Profile,
    pub weather: Weather,
    /// The scripts of the application's threads.
    pub threads: Vec<Vec<Step>>,
    /// What the first of them does when all have come to their end.
    pub ending: Vec<Step>,
    pub tolerance: Tolerance,
    /// How long the driver takes to notice something.
    pub lag: Duration,
    /// Read time-out of one attempt.
    pub time_out: Duration,
    /// How the engine's view of the world is bent.
    pub sabotage: Option<Sabotage>,
    /// Whether the driver wakes up for nothing now and then.
    pub wakes_often: bool,
}

/// What a run was like.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// When the last step of the scripts, and when everything had ended.
    pub submitted_at: Duration,
    pub ended_at: Duration,
    pub requests: u64,
    pub bulk_requests: u64,
    pub rows: u64,
    pub written: u64,
    pub failed: u64,
    pub warned: u64,
    /// How long threads waited for room.
    pub blocked: Duration,
    pub notices: Vec<String>,
    pub most_in_flight: usize,
    /// Reasons of failures, each with the number of records.
    pub reasons: BTreeMap<String, usize>,
    pub requests_while_down: u64,
    pub retries: u64,
    /// Rows of each bulk request.
    pub batches: Vec<usize>,
    /// When each request was sent.
    pub sent_at: Vec<Duration>,
    pub rounds: u64,
}
