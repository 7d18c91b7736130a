//! The sinks of this process: what a fork leaves behind, and what the end of the interpreter must not wait for.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use super::awaitable;
use crate::driver::Driver;

/// Drivers that were started, with the process that started them. Locked only with the GIL held, so that it is free at a fork.
static STARTED: Mutex<Vec<(u32, Weak<Driver>)>> = Mutex::new(Vec::new());

/// Remembers a driver that has threads.
pub(super) fn started(driver: &Arc<Driver>) {
    let pid = std::process::id();
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    started.retain(|(owner, driver)| *owner == pid && driver.strong_count() > 0);
    started.push((pid, Arc::downgrade(driver)));
}

/// Has `end_all` called at the end of the interpreter. A child of a fork inherits that. To be called at the import: whatever an
/// application registers later runs earlier, so that it may still close a sink.
pub(super) fn arrange_end(py: Python<'_>) -> PyResult<()> {
    let at_exit = PyCFunction::new_closure(py, None, None, |arguments, _| end_all(arguments.py()))?;
    py.import("atexit")?.call_method1("register", (at_exit,))?;
    Ok(())
}

/// The interpreter ends: says what nobody delivered, and lets no thread of ours outlive it.
fn end_all(py: Python<'_>) {
    awaitable::end(py);
    let pid = std::process::id();
    let started = std::mem::take(&mut *STARTED.lock().unwrap_or_else(PoisonError::into_inner));
    for driver in started
        .iter()
        .filter(|(owner, _)| *owner == pid)
        .filter_map(|(_, driver)| driver.upgrade())
    {
        let pending = driver.stats().pending;
        if pending > 0 {
            let text =
                format!("openmetadata-bulksink: {pending} records were not delivered: the sink was not closed\n");
            let _ = py
                .import("sys")
                .and_then(|sys| sys.getattr("stderr")?.call_method1("write", (text,)));
        }
        py.detach(|| driver.end("the interpreter ended before the sink was closed"));
    }
}
