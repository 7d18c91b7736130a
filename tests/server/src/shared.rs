//! What all connections share, each part behind a lock of its own that is held for microseconds.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use crate::config::{Config, Profile, Switches};
use crate::faults::{Action, Facts, Plan, Rule, Which};
use crate::latency::{Clockwork, Latency};
use crate::log::Log;
use crate::order::OrderChecker;
use crate::search::Document;
use crate::store::Store;
use crate::waits::Waits;

/// What the listener and the connections are told.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Signal {
    /// Counts restarts: connections of an earlier one end at once.
    pub generation: u64,
    /// No connection is taken until then.
    pub closed_until: Option<Instant>,
    /// The server ends.
    pub stopped: bool,
}

/// The state of one server.
pub struct Shared {
    /// Seeds whatever is random.
    pub seed: u64,
    /// Whether the log keeps bodies.
    pub log_bodies: bool,
    /// Tells the listener and the connections.
    pub signal: watch::Sender<Signal>,
    /// What requests wait for.
    pub waits: Waits,
    keep_bodies: bool,
    initial_latency: Latency,
    started: Instant,
    store: Mutex<Store>,
    log: Mutex<Log>,
    order: Mutex<OrderChecker>,
    plan: Mutex<Plan>,
    clockwork: Mutex<Clockwork>,
    switches: Mutex<Arc<Switches>>,
    profile: Mutex<Profile>,
    documents: Mutex<Vec<Document>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic in one handler must not take the others down.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// The state of a fresh server.
    pub fn new(config: &Config) -> Arc<Self> {
        let signal = Signal {
            generation: 0,
            closed_until: None,
            stopped: false,
        };
        let mut store = Store::new(config.keep_bodies, config.seed);
        store.line = config.profile;
        Arc::new(Shared {
            seed: config.seed,
            log_bodies: config.log_bodies,
            signal: watch::Sender::new(signal),
            waits: Waits::default(),
            keep_bodies: config.keep_bodies,
            initial_latency: config.latency.clone(),
            started: Instant::now(),
            store: Mutex::new(store),
            log: Mutex::default(),
            order: Mutex::default(),
            plan: Mutex::default(),
            clockwork: Mutex::new(Clockwork::new(config.latency.clone())),
            switches: Mutex::new(Arc::new(config.switches.clone())),
            profile: Mutex::new(config.profile),
            documents: Mutex::default(),
        })
    }

    /// Milliseconds since the start.
    pub fn now_ms(&self) -> f64 {
        (self.started.elapsed().as_secs_f64() * 1e6).round() / 1e3
    }

    /// The entities.
    pub fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    /// The request log.
    pub fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    /// The order checker.
    pub fn order(&self) -> MutexGuard<'_, OrderChecker> {
        lock(&self.order)
    }

    /// The latency model in force.
    pub fn clockwork(&self) -> Clockwork {
        lock(&self.clockwork).clone()
    }

    /// Another latency model, for requests that come from now on.
    pub fn set_latency(&self, latency: Latency) {
        *lock(&self.clockwork) = Clockwork::new(latency);
    }

    /// The switches in force.
    pub fn switches(&self) -> Arc<Switches> {
        lock(&self.switches).clone()
    }

    /// Other switches.
    pub fn set_switches(&self, switches: Switches) {
        *lock(&self.switches) = Arc::new(switches);
    }

    /// The release line.
    pub fn profile(&self) -> Profile {
        *lock(&self.profile)
    }

    /// Another release line.
    pub fn set_profile(&self, profile: Profile) {
        *lock(&self.profile) = profile;
        self.store().line = profile;
    }

    /// The fixed search index.
    pub fn documents(&self) -> MutexGuard<'_, Vec<Document>> {
        lock(&self.documents)
    }

    /// The rules in force.
    pub fn rules(&self) -> Vec<Rule> {
        lock(&self.plan).rules().into_iter().cloned().collect()
    }

    /// Another fault plan; its counting begins now.
    pub fn set_rules(&self, rules: Vec<Rule>) {
        *lock(&self.plan) = Plan::new(rules, self.seed);
    }

    /// The fault that hits a request.
    pub fn pick_fault(&self, facts: &Facts<'_>) -> Option<(String, Action)> {
        let mut plan = lock(&self.plan);
        if plan.is_empty() {
            return None;
        }
        plan.pick(facts)
    }

    /// The rows that a fault means.
    pub fn choose_rows(&self, which: &Which, fqns: &[String]) -> Vec<bool> {
        lock(&self.plan).choose(which, fqns)
    }

    /// Drops all connections. Work that is not committed is lost; what is stored stays.
    pub fn restart(&self) {
        self.signal.send_modify(|signal| signal.generation += 1);
    }

    /// Drops all connections and takes none for a while.
    pub fn outage(&self, length: std::time::Duration) {
        self.signal.send_modify(|signal| {
            signal.generation += 1;
            signal.closed_until = Some(Instant::now() + length);
        });
    }

    /// Everything as it was at the start, except profile and switches.
    pub fn reset(&self) {
        let mut fresh = Store::new(self.keep_bodies, self.seed);
        fresh.line = self.profile();
        *self.store() = fresh;
        self.log().reset();
        *self.order() = OrderChecker::default();
        self.set_rules(Vec::new());
        self.set_latency(self.initial_latency.clone());
        self.documents().clear();
    }
}
