//! The figures of a run, as values of Python; and the waits of the calling threads, which the engine does not see.

use std::thread::ThreadId;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::engine::{Kind, Picture, Time, Timeline};

/// What a Python thread waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// Room in the budget.
    Room,
    /// In synchronous writing, the answer.
    Answer,
    /// What a fence names.
    Fence,
    /// The end.
    Drain,
}

/// The names of `For`, in its order, and of the waits of other threads.
const NAMES: [&str; 5] = ["room", "answer", "fence", "drain", "elsewhere"];

/// The seconds that threads waited: the one that made the sink by what for, all others together.
pub(super) struct Waits {
    owner: ThreadId,
    line: Timeline<5>,
    total: [Duration; 5],
    /// Waits of the owner that go on, and from when on each is not counted yet. A signal's handler may wait in the middle of one: that
    /// is the next one's time, not both's.
    going_on: Vec<(For, Time)>,
}

impl Waits {
    /// Of the sink that this thread makes.
    pub fn of_this_thread() -> Self {
        Self {
            owner: std::thread::current().id(),
            line: Timeline::default(),
            total: [Duration::ZERO; 5],
            going_on: Vec::new(),
        }
    }

    /// This thread waits from now on.
    pub fn begin(&mut self, what: For, now: Time) {
        if self.is_owner() {
            self.up_to(now);
            self.going_on.push((what, now));
        }
    }

    /// The wait that this thread began last is over.
    pub fn end(&mut self, from: Time, to: Time) {
        if !self.is_owner() {
            self.count(NAMES.len() - 1, from, to);
            return;
        }
        self.up_to(to);
        self.going_on.pop();
        if let Some((_, since)) = self.going_on.last_mut() {
            *since = to;
        }
    }

    /// Counts what goes on, too: whoever asks may be the handler of a signal that came in the middle of a wait, or another thread.
    pub fn up_to(&mut self, now: Time) {
        if let Some((what, since)) = self.going_on.last_mut() {
            let (what, from) = (*what, std::mem::replace(since, now.max(*since)));
            self.count(what as usize, from, now);
        }
    }

    fn is_owner(&self) -> bool {
        std::thread::current().id() == self.owner
    }

    fn count(&mut self, number: usize, from: Time, to: Time) {
        let time = to.saturating_sub(from);
        let mut amounts = [0.0; 5];
        for (at, (amount, total)) in amounts.iter_mut().zip(&mut self.total).enumerate() {
            if at == number {
                *amount = time.as_secs_f64();
                *total += time;
            }
        }
        self.line.spread(from, to, amounts);
    }
}

/// One dictionary of plain values; `_native.pyi` says what is in it.
pub(super) fn described<'py>(py: Python<'py>, picture: Picture, waits: &Waits) -> PyResult<Bound<'py, PyDict>> {
    let Picture {
        now,
        mut line,
        lanes,
        again,
        splits,
        stalls,
    } = picture;
    let mut waited = waits.line.clone();
    line.cover(now);
    waited.cover(now);
    let all = PyDict::new(py);
    all.set_item("seconds", now.as_secs_f64())?;
    all.set_item("width", line.width().as_secs_f64())?;
    for (number, name) in ["taken", "in_flight", "served", "not_served"].into_iter().enumerate() {
        all.set_item(name, column(&line, number))?;
    }
    let over_time = PyDict::new(py);
    let total = PyDict::new(py);
    for (number, (name, time)) in NAMES.into_iter().zip(&waits.total).enumerate() {
        over_time.set_item(name, column(&waited, number))?;
        total.set_item(name, time.as_secs_f64())?;
    }
    all.set_item("waits", over_time)?;
    all.set_item("waited", total)?;
    let of_lanes = PyList::empty(py);
    for (collection, kind, lane) in lanes {
        let one = PyDict::new(py);
        one.set_item("collection", &*collection)?;
        one.set_item("life_cycles", kind == Kind::LifeCycle)?;
        one.set_item("requests", lane.requests)?;
        one.set_item("rows", lane.rows)?;
        one.set_item("not_served", lane.faults)?;
        one.set_item("seconds", lane.times.total().as_secs_f64())?;
        one.set_item("p50", lane.times.quantile(0.5).as_secs_f64())?;
        one.set_item("p95", lane.times.quantile(0.95).as_secs_f64())?;
        one.set_item("longest", lane.times.longest().as_secs_f64())?;
        of_lanes.append(one)?;
    }
    all.set_item("lanes", of_lanes)?;
    let again: Vec<_> = again
        .into_iter()
        .map(|(name, often)| (name, often.requests, often.rows))
        .collect();
    all.set_item("again", again)?;
    all.set_item("splits", splits)?;
    let stalls: Vec<_> = stalls
        .into_iter()
        .map(|(from, to)| (from.as_secs_f64(), to.as_secs_f64()))
        .collect();
    all.set_item("stalls", stalls)?;
    Ok(all)
}

fn column<const N: usize>(line: &Timeline<N>, number: usize) -> Vec<f64> {
    let amounts = line.buckets().iter().filter_map(|bucket| bucket.get(number));
    amounts.copied().collect()
}
