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
}

impl Waits {
    /// Of the sink that this thread makes.
    pub fn of_this_thread() -> Self {
        Self {
            owner: std::thread::current().id(),
            line: Timeline::default(),
            total: [Duration::ZERO; 5],
        }
    }

    /// This thread has waited.
    pub fn add(&mut self, what: For, from: Time, to: Time) {
        let here = std::thread::current().id() == self.owner;
        let number = if here { what as usize } else { NAMES.len() - 1 };
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
