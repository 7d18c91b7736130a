//! A token from a Python callable.

use std::sync::Arc;

use pyo3::prelude::*;
use secrecy::SecretString;

use crate::driver::TokenSource;

/// Calls the callable on a thread of its own: it may block, and no thread of the runtime may touch Python.
pub(super) struct Callable(Arc<Py<PyAny>>);

type Done = Box<dyn FnOnce(Result<SecretString, String>) + Send>;

impl Callable {
    pub fn new(callable: Py<PyAny>) -> Self {
        Self(Arc::new(callable))
    }

    /// Calls it on this thread.
    pub fn call(&self, py: Python<'_>) -> PyResult<SecretString> {
        let token: String = self.0.bind(py).call0()?.extract()?;
        Ok(token.into())
    }
}

impl TokenSource for Callable {
    fn renew(&self, done: Done) {
        let callable = self.0.clone();
        let thread = std::thread::Builder::new().name("bulksink-token".into());
        // Where no thread can be had, `done` is dropped with the closure; the engine then waits for the answer until it is closed,
        // so it is told by the guard.
        let done = Guarded(Some(done));
        let started = thread.spawn(move || {
            let mut done = done;
            let token = Python::try_attach(|py| {
                let called = Self(callable).call(py);
                called.map_err(|error| {
                    let kind = error
                        .get_type(py)
                        .name()
                        .map_or_else(|_| "an exception".to_owned(), |name| name.to_string());
                    format!("the token callable raised {kind}")
                })
            });
            done.tell(token.unwrap_or_else(|| Err("the interpreter is being taken down".into())));
        });
        drop(started);
    }
}

struct Guarded(Option<Done>);

impl Guarded {
    fn tell(&mut self, token: Result<SecretString, String>) {
        if let Some(done) = self.0.take() {
            done(token);
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.tell(Err("no thread could be started for the token callable".into()));
    }
}
