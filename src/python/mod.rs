//! The Python face: conversion, the GIL and waiting; no policy.
//!
//! | file | what it holds |
//! |---|---|
//! | `sink.rs` | `BulkSink` |
//! | `arguments.rs` | arguments of its methods -> values of the engine |
//! | `settings.rs` | constructor arguments -> settings of engine and HTTP client |
//! | `values.rs` | `Outcome`, `Stats` |
//! | `figures.rs` | what a run looked like, and who waited |
//! | `held.rs` | a Python object that a sink holds, as the garbage collector sees it |
//! | `source_text.rs` | the text behind upstream's source hash |
//! | `wait.rs` | the one place where a Python thread blocks |
//! | `awaitable.rs` | the bridge to asyncio |
//! | `token.rs` | a token from a Python callable |
//! | `process.rs` | forks and the end of the interpreter |
//! | `errors.rs` | the exception tree |

mod arguments;
mod awaitable;
mod errors;
mod figures;
mod held;
mod process;
mod settings;
mod sink;
mod source_text;
mod token;
mod values;
mod wait;

use pyo3::prelude::*;

use crate::engine::{quote_name as quoted, Fqn};

/// The native module.
#[pymodule]
mod _native {
    #[pymodule_export]
    use super::{canonical_fqn, hash_text, quote_name, sink::BulkSink, values::Outcome, values::Stats};

    use super::{errors, process};
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        errors::add_to(module)?;
        process::arrange_end(module.py())
    }
}

/// The canonical form of an FQN.
#[pyfunction]
fn canonical_fqn(fqn: &str) -> PyResult<String> {
    Fqn::parse(fqn)
        .map(|fqn| fqn.to_string())
        .map_err(|error| errors::value(format!("fqn: {error}")))
}

/// The text that upstream's source hash of a create request is made of.
#[pyfunction]
#[pyo3(signature = (request, *, sorts_aliases))]
fn hash_text(request: &Bound<'_, PyAny>, sorts_aliases: bool) -> Option<String> {
    source_text::hash_text(request, sorts_aliases)
}

/// One name as a part of an FQN.
#[pyfunction]
fn quote_name(name: &str) -> PyResult<String> {
    quoted(name)
        .map(std::borrow::Cow::into_owned)
        .map_err(|error| errors::value(format!("name: {error}")))
}
