//! What Python reads: outcomes and counts.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::engine::{self, Ending, Kind};

/// How one record ended.
#[pyclass(frozen, module = "openmetadata_bulksink._native")]
pub(super) struct Outcome(pub engine::Outcome);

#[pymethods]
impl Outcome {
    #[getter]
    fn status(&self) -> &'static str {
        match self.0.ending {
            Ending::Written | Ending::WrittenInPart(_) => "written",
            Ending::Failed(_) => "failed",
            Ending::Warned(_) => "warned",
        }
    }

    #[getter]
    fn kind(&self) -> &'static str {
        match self.0.kind {
            Kind::Create => "create",
            Kind::LifeCycle => "life_cycle",
        }
    }

    #[getter]
    fn collection(&self) -> &str {
        &self.0.collection
    }

    #[getter]
    fn fqn(&self) -> &str {
        &self.0.fqn
    }

    #[getter]
    fn reason(&self) -> Option<&str> {
        match &self.0.ending {
            Ending::Written => None,
            Ending::Failed(reason) | Ending::Warned(reason) | Ending::WrittenInPart(reason) => Some(reason),
        }
    }

    #[getter]
    fn attempts(&self) -> u32 {
        self.0.attempts
    }

    #[getter]
    fn sequence(&self) -> u64 {
        self.0.sequence
    }

    #[getter]
    fn label(&self) -> Option<&str> {
        self.0.label.as_deref()
    }

    fn __repr__(&self) -> String {
        let reason = self.reason().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!(
            "<Outcome {} {}/{}{reason}>",
            self.status(),
            self.collection(),
            self.fqn()
        )
    }
}

/// Counts since the sink was made.
#[pyclass(frozen, module = "openmetadata_bulksink._native")]
pub(super) struct Stats {
    pub counts: engine::Stats,
    pub blocked_seconds: f64,
}

#[pymethods]
impl Stats {
    #[getter]
    fn submitted(&self) -> u64 {
        self.counts.submitted
    }

    #[getter]
    fn written(&self) -> u64 {
        self.counts.written
    }

    #[getter]
    fn failed(&self) -> u64 {
        self.counts.failed
    }

    #[getter]
    fn warned(&self) -> u64 {
        self.counts.warned
    }

    #[getter]
    fn pending(&self) -> u64 {
        self.counts.pending
    }

    #[getter]
    fn pending_bytes(&self) -> usize {
        self.counts.pending_bytes
    }

    #[getter]
    fn parked(&self) -> usize {
        self.counts.parked
    }

    #[getter]
    fn requests(&self) -> u64 {
        self.counts.requests
    }

    #[getter]
    fn retries(&self) -> u64 {
        self.counts.retries
    }

    #[getter]
    fn rows(&self) -> u64 {
        self.counts.rows
    }

    #[getter]
    fn in_flight(&self) -> usize {
        self.counts.in_flight
    }

    #[getter]
    fn max_in_flight(&self) -> usize {
        self.counts.max_in_flight
    }

    #[getter]
    fn limit(&self) -> usize {
        self.counts.limit
    }

    #[getter]
    fn blocked_seconds(&self) -> f64 {
        self.blocked_seconds
    }

    #[getter]
    fn stalled_seconds(&self) -> f64 {
        self.counts.stalled.as_secs_f64()
    }

    fn as_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let all = PyDict::new(py);
        all.set_item("submitted", self.submitted())?;
        all.set_item("written", self.written())?;
        all.set_item("failed", self.failed())?;
        all.set_item("warned", self.warned())?;
        all.set_item("pending", self.pending())?;
        all.set_item("pending_bytes", self.pending_bytes())?;
        all.set_item("parked", self.parked())?;
        all.set_item("requests", self.requests())?;
        all.set_item("retries", self.retries())?;
        all.set_item("rows", self.rows())?;
        all.set_item("in_flight", self.in_flight())?;
        all.set_item("max_in_flight", self.max_in_flight())?;
        all.set_item("limit", self.limit())?;
        all.set_item("blocked_seconds", self.blocked_seconds())?;
        all.set_item("stalled_seconds", self.stalled_seconds())?;
        Ok(all)
    }

    fn __repr__(&self) -> String {
        format!(
            "<Stats submitted={} written={} failed={} warned={} pending={} requests={}>",
            self.submitted(),
            self.written(),
            self.failed(),
            self.warned(),
            self.pending(),
            self.requests()
        )
    }
}
