//! A token from a Python callable.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyCFunction;
use secrecy::SecretString;

use super::errors;
use super::held::Held;
use crate::driver::TokenSource;

/// Called on a Python thread of its own (`renewal.py`): it may block, and no thread of the runtime may touch Python.
pub(super) struct Callable(Arc<Held>);

type Done = Box<dyn FnOnce(Result<SecretString, String>) + Send>;

impl Callable {
    pub fn new(callable: Py<PyAny>) -> Self {
        Self(Arc::new(Held::new(Some(callable))))
    }

    /// The callable, as the garbage collector sees it.
    pub fn held(&self) -> &Held {
        &self.0
    }

    /// Calls it on this thread.
    pub fn call(&self, py: Python<'_>) -> PyResult<SecretString> {
        let callable = self.0.get(py).ok_or_else(|| gone(py))?;
        let token: String = callable.call0()?.extract()?;
        Ok(token.into())
    }
}

impl TokenSource for Callable {
    fn renew(&self, done: Done) {
        let callable = self.0.clone();
        let answer = Arc::new(Once(Mutex::new(Some(done))));
        let unstarted = answer.clone();
        // This thread only starts the one that calls: it leaves Python at once, so that the interpreter cannot end below it.
        let starter = std::thread::Builder::new()
            .name("bulksink-token".into())
            .spawn(move || {
                let started = Python::try_attach(|py| start(py, &callable, answer));
                if !matches!(started, Some(Ok(()))) {
                    unstarted.tell(Err("no thread could be started for the token callable".into()));
                }
            });
        drop(starter);
    }
}

/// The collector takes the callable only of a sink that nobody can reach.
fn gone(py: Python<'_>) -> PyErr {
    errors::error(py, "the token callable is gone with its sink".to_owned())
}

fn start(py: Python<'_>, callable: &Held, answer: Arc<Once>) -> PyResult<()> {
    let callable = callable.get(py).ok_or_else(|| gone(py))?;
    let done = PyCFunction::new_closure(py, None, None, move |arguments, _| {
        let told = arguments.extract::<(Option<String>, Option<String>)>();
        answer.tell(match told {
            Ok((Some(token), _)) => Ok(token.into()),
            Ok((None, Some(problem))) => Err(problem),
            Ok((None, None)) | Err(_) => Err("the token callable returned no text".into()),
        });
    })?;
    py.import("openmetadata_bulksink.renewal")?
        .call_method1("start", (callable, done))?;
    Ok(())
}

/// An answer that is given once; dropped without one, it says so.
struct Once(Mutex<Option<Done>>);

impl Once {
    fn tell(&self, token: Result<SecretString, String>) {
        let done = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(done) = done {
            done(token);
        }
    }
}

impl Drop for Once {
    fn drop(&mut self) {
        self.tell(Err("the token callable did not answer".into()));
    }
}
