//! A Python object that a sink holds: Python's garbage collector sees it, and can take it away.

use std::sync::{Mutex, PoisonError};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

/// Held until the collector takes it away, which it does only where nobody can reach the sink any more. Locked only with the GIL held.
pub(super) struct Held(Mutex<Option<Py<PyAny>>>);

impl Held {
    pub fn new(object: Option<Py<PyAny>>) -> Self {
        Self(Mutex::new(object))
    }

    pub fn get<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let object = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        object.as_ref().map(|object| object.bind(py).clone())
    }

    /// Shows it to the collector.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.0.try_lock() {
            Ok(object) => visit.call(&*object),
            Err(_) => Ok(()),
        }
    }

    /// Lets it go.
    pub fn clear(&self) {
        let object = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(object);
    }
}
