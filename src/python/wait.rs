//! The one place where a Python thread blocks: without the GIL, in short ticks, looking for signals.

use std::time::{Duration, Instant};

use pyo3::prelude::*;

use super::errors;
use crate::driver::{Driver, Wait};
use crate::engine::Scope;

/// A signal is noticed within this.
const TICK: Duration = Duration::from_millis(50);

/// The end of a call's patience.
#[derive(Clone, Copy)]
pub(super) struct Timeout {
    seconds: Option<f64>,
    end: Option<Instant>,
}

impl Timeout {
    /// From the argument `timeout` of a call that starts now.
    pub fn starting_now(seconds: Option<f64>) -> PyResult<Self> {
        let end = match seconds {
            None => None,
            Some(seconds) => match Duration::try_from_secs_f64(seconds) {
                // Longer than anybody lives: the same as none.
                Ok(time) => Instant::now().checked_add(time),
                Err(_) => return Err(errors::value("timeout: must be a number of seconds, 0 or more".into())),
            },
        };
        Ok(Self { seconds, end })
    }

    pub fn never() -> Self {
        Self {
            seconds: None,
            end: None,
        }
    }

    /// The instant at which it ends, if it does.
    pub fn end(self) -> Option<Instant> {
        self.end
    }

    pub fn error(self, py: Python<'_>) -> PyErr {
        let seconds = self.seconds.unwrap_or_default();
        errors::drain_timeout(
            py,
            format!("still pending after {seconds} s; wait again, or close the sink"),
        )
    }
}

/// Blocks until the scope is settled, or until `on_tick` fails. The seconds that took.
pub(super) fn wait_for(
    py: Python<'_>,
    driver: &Driver,
    scope: &Scope,
    timeout: Timeout,
    on_tick: &dyn Fn(Python<'_>) -> PyResult<()>,
) -> PyResult<f64> {
    let Some(wait) = driver.wait_for(scope) else {
        return Ok(0.0);
    };
    let start = Instant::now();
    let result = wait_on(py, &wait, timeout, on_tick);
    // The driver's lock may be waited for, and must not be with the GIL held for long.
    py.detach(|| drop(wait));
    result.map(|()| start.elapsed().as_secs_f64())
}

/// Blocks until a record that is in line was admitted. The seconds that took.
pub(super) fn wait_in_line(py: Python<'_>, line: &Wait, on_tick: &dyn Fn(Python<'_>) -> PyResult<()>) -> PyResult<f64> {
    let start = Instant::now();
    wait_on(py, line, Timeout::never(), on_tick)?;
    Ok(start.elapsed().as_secs_f64())
}

fn wait_on(
    py: Python<'_>,
    wait: &Wait,
    timeout: Timeout,
    on_tick: &dyn Fn(Python<'_>) -> PyResult<()>,
) -> PyResult<()> {
    loop {
        let left = timeout
            .end
            .map_or(TICK, |end| end.saturating_duration_since(Instant::now()).min(TICK));
        if py.detach(|| wait.ended_within(left)) {
            return Ok(());
        }
        py.check_signals()?;
        on_tick(py)?;
        if timeout.end.is_some_and(|end| Instant::now() >= end) {
            return Err(timeout.error(py));
        }
    }
}
