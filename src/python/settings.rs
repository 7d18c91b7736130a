//! Constructor arguments -> settings of the engine and of the HTTP client, each checked under its own name.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use secrecy::SecretString;

use super::errors;
use super::held::Held;
use super::token::Callable;
use crate::driver::{Driver, TokenSource};
use crate::engine::Config;
use crate::http::{self, Client, Trust};

/// Requests in flight at the most. Beyond this a server answers later, not sooner.
const MOST_WORKERS: usize = 64;

/// What a sink was made with: enough to start afresh in the child of a fork.
pub(super) struct Settings {
    pub http: http::Settings,
    pub token: Token,
    pub engine: Config,
    pub synchronous: bool,
    pub dead_letters: Option<PathBuf>,
    pub on_notice: Held,
}

/// Where the token comes from.
pub(super) enum Token {
    None,
    Fixed(SecretString),
    Callable(Arc<Callable>),
}

impl Settings {
    /// A driver that has not started.
    pub fn driver(&self, py: Python<'_>) -> PyResult<Driver> {
        let client = Client::new(&self.http).map_err(|error| errors::configuration(py, error.to_string()))?;
        let source = match &self.token {
            Token::Callable(callable) => Some(callable.clone() as Arc<dyn TokenSource>),
            Token::None | Token::Fixed(_) => None,
        };
        let engine = Config {
            renewable_token: source.is_some(),
            seed: fastrand::u64(..),
            ..self.engine.clone()
        };
        Ok(Driver::new(engine, client, source, self.dead_letters.clone()))
    }

    /// Gives the client the token to begin with; calls the callable on this thread.
    pub fn give_token(&self, py: Python<'_>, driver: &Driver) -> PyResult<()> {
        let token = match &self.token {
            Token::None => return Ok(()),
            Token::Fixed(token) => token.clone(),
            Token::Callable(callable) => callable.call(py)?,
        };
        let given = driver.client().set_token(token);
        given.map_err(|error| errors::configuration(py, error.to_string()))
    }

    /// The Python objects among them.
    pub fn held(&self) -> impl Iterator<Item = &Held> {
        let token = match &self.token {
            Token::Callable(callable) => Some(callable.held()),
            Token::None | Token::Fixed(_) => None,
        };
        std::iter::once(&self.on_notice).chain(token)
    }

    /// The base URL without anything that could be a secret.
    pub fn shown_url(&self) -> &str {
        let url = self.http.base_url.as_str();
        let authority = url.split_once("://").map_or(0, |(scheme, _)| scheme.len() + 3);
        match url.rfind('@') {
            Some(at) if at >= authority => url.get(at + 1..).unwrap_or_default(),
            _ => url,
        }
    }
}

/// Checks arguments; each error names its argument and what it must be.
pub(super) struct Checked<'py>(Python<'py>);

impl<'py> Checked<'py> {
    pub fn new(py: Python<'py>) -> Self {
        Self(py)
    }

    /// The bound that the adapter's settings have, too (`MOST_WORKERS` there).
    pub fn workers(&self, value: usize) -> PyResult<usize> {
        if !(1..=MOST_WORKERS).contains(&value) {
            let text = format!("workers: must be from 1 to {MOST_WORKERS}; it is {value}");
            return Err(errors::configuration(self.0, text));
        }
        Ok(value)
    }

    pub fn at_least_one(&self, name: &str, value: usize) -> PyResult<usize> {
        if value == 0 {
            return Err(errors::configuration(self.0, format!("{name}: must be 1 or more")));
        }
        Ok(value)
    }

    pub fn seconds(&self, name: &str, value: f64) -> PyResult<Duration> {
        Duration::try_from_secs_f64(value)
            .ok()
            // Beyond this, sums of times could overflow; nobody waits for a hundred years.
            .filter(|time| time.as_secs() < 100 * 365 * 86_400)
            .ok_or_else(|| {
                errors::configuration(
                    self.0,
                    format!("{name}: must be a number of seconds, 0 or more; it is {value}"),
                )
            })
    }

    pub fn token(&self, token: Option<Bound<'_, PyAny>>) -> PyResult<Token> {
        let Some(token) = token else { return Ok(Token::None) };
        if let Ok(text) = token.cast::<PyString>() {
            Ok(Token::Fixed(text.to_str()?.to_owned().into()))
        } else if token.is_callable() {
            Ok(Token::Callable(Arc::new(Callable::new(token.unbind()))))
        } else {
            let kind = token.get_type().name()?;
            Err(PyTypeError::new_err(format!(
                "token: must be a str or a callable that returns one, not {kind}"
            )))
        }
    }

    pub fn http(
        &self,
        base_url: &str,
        headers: HashMap<String, String>,
        bulk_query: &str,
        (ca_certificates, verify, client_certificate): (Option<Vec<u8>>, bool, Option<Vec<u8>>),
        proxy: Option<&str>,
        (connect_timeout, read_timeout): (f64, f64),
    ) -> PyResult<http::Settings> {
        let trust = match (verify, ca_certificates) {
            (false, _) => Trust::Anything,
            (true, Some(pem)) => Trust::Only(pem),
            (true, None) => Trust::System,
        };
        Ok(http::Settings {
            base_url: base_url.to_owned(),
            headers: headers.into_iter().map(|(name, value)| (name, value.into())).collect(),
            bulk_query: bulk_query.to_owned(),
            trust,
            identity: client_certificate.map(Into::into),
            proxy: proxy.map(Into::into),
            connect_timeout: self.seconds("connect_timeout", connect_timeout)?,
            read_timeout: self.seconds("read_timeout", read_timeout)?,
        })
    }
}
