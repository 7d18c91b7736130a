//! The exception tree.

use pyo3::exceptions::{PyException, PyTimeoutError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

static BASE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static CONFIGURATION: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static TRANSPORT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static DRAIN_TIMEOUT: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// Puts the exceptions into the module.
pub(super) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("BulkSinkError", base(py)?)?;
    module.add("ConfigurationError", configuration_type(py)?)?;
    module.add("TransportError", transport_type(py)?)?;
    module.add("DrainTimeout", drain_timeout_type(py)?)
}

fn base(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let doc = "Base of every error that this module raises by itself.";
    new(py, &BASE, "BulkSinkError", doc, || {
        Ok(vec![py.get_type::<PyException>()])
    })
}

fn configuration_type(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let doc = "A setting cannot be used; the text names the argument and says what to change.";
    new(py, &CONFIGURATION, "ConfigurationError", doc, || {
        Ok(vec![base(py)?, py.get_type::<PyValueError>()])
    })
}

fn transport_type(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let doc = "The server could not be asked; the text says what happened and what to check.";
    new(py, &TRANSPORT, "TransportError", doc, || Ok(vec![base(py)?]))
}

fn drain_timeout_type(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let doc = "A wait ended by its own timeout; everything that was pending still is.";
    new(py, &DRAIN_TIMEOUT, "DrainTimeout", doc, || {
        Ok(vec![base(py)?, py.get_type::<PyTimeoutError>()])
    })
}

/// An exception type with any number of bases, made once.
fn new<'py>(
    py: Python<'py>,
    cell: &PyOnceLock<Py<PyType>>,
    name: &str,
    doc: &str,
    bases: impl FnOnce() -> PyResult<Vec<Bound<'py, PyType>>>,
) -> PyResult<Bound<'py, PyType>> {
    let made = cell.get_or_try_init(py, || {
        let fields = PyDict::new(py);
        fields.set_item("__module__", "openmetadata_bulksink._native")?;
        fields.set_item("__doc__", doc)?;
        let bases = PyTuple::new(py, bases()?)?;
        let made = py.get_type::<PyType>().call1((name, bases, fields))?;
        Ok::<_, PyErr>(made.cast_into::<PyType>()?.unbind())
    })?;
    Ok(made.bind(py).clone())
}

fn raise(made: PyResult<Bound<'_, PyType>>, text: String) -> PyErr {
    match made {
        Ok(made) => PyErr::from_type(made, text),
        Err(error) => error,
    }
}

pub(super) fn error(py: Python<'_>, text: String) -> PyErr {
    raise(base(py), text)
}

pub(super) fn configuration(py: Python<'_>, text: String) -> PyErr {
    raise(configuration_type(py), text)
}

pub(super) fn transport(py: Python<'_>, text: String) -> PyErr {
    raise(transport_type(py), text)
}

pub(super) fn drain_timeout(py: Python<'_>, text: String) -> PyErr {
    raise(drain_timeout_type(py), text)
}

/// Whether an error is the end of a caller's own time-out.
pub(super) fn is_drain_timeout(py: Python<'_>, error: &PyErr) -> bool {
    drain_timeout_type(py).is_ok_and(|kind| error.matches(py, kind).unwrap_or(false))
}

pub(super) fn value(text: String) -> PyErr {
    PyValueError::new_err(text)
}
