//! `BulkSink`: conversion of arguments and results, and nothing else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyException;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::arguments::{json_object, scope, First};
use super::awaitable::Loop;
use super::figures::{described, For, Waits};
use super::held::Held;
use super::settings::Settings;
use super::values::{Outcome, Stats};
use super::wait::{wait_for, wait_in_line, Timeout};
use super::{errors, process};
use crate::driver::Driver;
use crate::engine::{Embed, Engine, Fqn, Payload, Record, Scope, Sequence};

/// Smaller bodies fit into what TCP sends before the first acknowledgement, or nearly: compressing them saves no round trip.
const WORTH_COMPRESSING: usize = 16 << 10;

/// Writes records to one server.
#[pyclass(frozen, module = "openmetadata_bulksink._native")]
pub(super) struct BulkSink {
    settings: Settings,
    /// Locked only with the GIL held, so that it is free at a fork.
    live: Mutex<Live>,
}

/// What belongs to one process.
struct Live {
    pid: u32,
    driver: Arc<Driver>,
    started: bool,
    closed: bool,
    blocked: Duration,
    waits: Waits,
    collections: HashMap<String, Arc<str>>,
}

#[pymethods]
impl BulkSink {
    #[new]
    #[pyo3(signature = (
        base_url, *, headers=None, token=None, bulk_query="async=false", ca_certificates=None, verify=true,
        client_certificate=None, proxy=None, connect_timeout=10.0, read_timeout=300.0, batch_size=100,
        batch_bytes=4_194_304, workers=4, linger=2.0, delivery_timeout=300.0, budget_bytes=67_108_864,
        synchronous=false, embed_life_cycle=false, keep_source_hash=false, gzip=false, dead_letters=None, on_notice=None
    ))]
    #[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)]
    fn new(
        py: Python<'_>,
        base_url: &str,
        headers: Option<HashMap<String, String>>,
        token: Option<Bound<'_, PyAny>>,
        bulk_query: &str,
        ca_certificates: Option<Vec<u8>>,
        verify: bool,
        client_certificate: Option<Vec<u8>>,
        proxy: Option<&str>,
        connect_timeout: f64,
        read_timeout: f64,
        batch_size: usize,
        batch_bytes: usize,
        workers: usize,
        linger: f64,
        delivery_timeout: f64,
        budget_bytes: usize,
        synchronous: bool,
        embed_life_cycle: bool,
        keep_source_hash: bool,
        gzip: bool,
        dead_letters: Option<std::path::PathBuf>,
        on_notice: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let checked = super::settings::Checked::new(py);
        let settings = Settings {
            http: checked.http(
                base_url,
                headers.unwrap_or_default(),
                bulk_query,
                (ca_certificates, verify, client_certificate),
                proxy,
                (connect_timeout, read_timeout),
            )?,
            token: checked.token(token)?,
            engine: crate::engine::Config {
                workers: if synchronous { 1 } else { checked.workers(workers)? },
                batch_rows: checked.at_least_one("batch_size", batch_size)?,
                batch_bytes: checked.at_least_one("batch_bytes", batch_bytes)?,
                linger: checked.seconds("linger", linger)?,
                delivery_timeout: checked.seconds("delivery_timeout", delivery_timeout)?,
                attempt_timeout: checked.seconds("read_timeout", connect_timeout + read_timeout)?,
                budget_bytes: checked.at_least_one("budget_bytes", budget_bytes)?,
                embed: match (embed_life_cycle, keep_source_hash) {
                    (false, _) => Embed::Never,
                    (true, false) => Embed::WithNewHash,
                    (true, true) => Embed::WithOldHash,
                },
                gzip_from: gzip.then_some(WORTH_COMPRESSING),
                ..crate::engine::Config::default()
            },
            synchronous,
            dead_letters,
            on_notice: Held::new(on_notice),
        };
        let live = Mutex::new(Live::new(py, &settings)?);
        Ok(Self { settings, live })
    }

    #[pyo3(signature = (
        collection, fqn, body, parent=None, needs=None, *, first_wins=false, once=false, first=None, label=None
    ))]
    #[allow(clippy::too_many_arguments)]
    fn submit(
        &self,
        py: Python<'_>,
        collection: &str,
        fqn: &str,
        body: &Bound<'_, PyAny>,
        parent: Option<&str>,
        needs: Option<Vec<String>>,
        first_wins: bool,
        once: bool,
        first: Option<First<'_>>,
        label: Option<&str>,
    ) -> PyResult<Sequence> {
        let body = json_object("body", body)?;
        let record = self.record(py, collection, fqn, Payload::Create(body), parent, needs, first_wins)?;
        let record = self.with_first(py, record, once, first, label)?;
        self.take(py, record)
    }

    fn submit_life_cycle(
        &self,
        py: Python<'_>,
        collection: &str,
        fqn: &str,
        life_cycle: &Bound<'_, PyAny>,
    ) -> PyResult<Sequence> {
        let life_cycle = json_object("life_cycle", life_cycle)?;
        let record = self.record(py, collection, fqn, Payload::LifeCycle(life_cycle), None, None, false)?;
        self.take(py, record)
    }

    #[pyo3(signature = (
        *, fqn=None, subtree=false, collection=None, under=None, except_fqns=None, up_to=None, timeout=None
    ))]
    #[allow(clippy::too_many_arguments)]
    fn wait(
        &self,
        py: Python<'_>,
        fqn: Option<&str>,
        subtree: bool,
        collection: Option<&str>,
        under: Option<&str>,
        except_fqns: Option<Bound<'_, PyAny>>,
        up_to: Option<Sequence>,
        timeout: Option<f64>,
    ) -> PyResult<f64> {
        let scope = scope(
            fqn,
            subtree,
            collection,
            under,
            except_fqns,
            up_to.unwrap_or(Sequence::MAX),
        )?;
        let timeout = Timeout::starting_now(timeout)?;
        self.block(py, &scope, timeout, For::Fence)
    }

    #[pyo3(signature = (timeout=None))]
    fn drain(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<f64> {
        let timeout = Timeout::starting_now(timeout)?;
        self.block(py, &Scope::FinalDrain, timeout, For::Drain)
    }

    #[pyo3(signature = (timeout=None))]
    fn close(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        let timeout = Timeout::starting_now(timeout)?;
        let driver = self.driver(py)?;
        driver.begin_close();
        match self.block(py, &Scope::FinalDrain, timeout, For::Drain) {
            Ok(_) => {}
            Err(error)
                if timeout.end().is_some_and(|end| Instant::now() >= end) && errors::is_drain_timeout(py, &error) => {}
            // A signal: the sink stays usable, so that close can be called again.
            Err(error) => return Err(error),
        }
        py.detach(|| driver.end("not delivered before the time-out of close"));
        self.lock(py)?.closed = true;
        self.tell(py, &driver)
    }

    fn take_outcomes(&self, py: Python<'_>) -> PyResult<Vec<Outcome>> {
        let driver = self.driver(py)?;
        self.tell(py, &driver)?;
        Ok(driver.take_outcomes().into_iter().map(Outcome).collect())
    }

    fn pending_body<'py>(&self, py: Python<'py>, collection: &str, fqn: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let body = self.driver(py)?.ask(|engine, _| engine.pending_body(collection, fqn));
        Ok(body.map(|body| PyBytes::new(py, &body)))
    }

    fn pending_depth(&self, py: Python<'_>, collection: &str, fqn: &str) -> PyResult<Option<usize>> {
        Ok(self.driver(py)?.ask(|engine, _| engine.pending_depth(collection, fqn)))
    }

    fn forget_written(&self, py: Python<'_>) -> PyResult<()> {
        self.driver(py)?.forget_written();
        Ok(())
    }

    fn cut_chains(&self, py: Python<'_>) -> PyResult<()> {
        self.driver(py)?.cut_chains();
        Ok(())
    }

    fn mark(&self, py: Python<'_>) -> PyResult<Sequence> {
        Ok(self.driver(py)?.ask(|engine, _| engine.last_sequence()))
    }

    fn stats(&self, py: Python<'_>) -> PyResult<Stats> {
        let driver = self.driver(py)?;
        // Whoever holds the engine may hold it for a while: other Python threads go on meanwhile.
        let counts = driver.stats_now().unwrap_or_else(|| py.detach(|| driver.stats()));
        let blocked_seconds = self.lock(py)?.blocked.as_secs_f64();
        Ok(Stats {
            counts,
            blocked_seconds,
        })
    }

    fn figures<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let driver = self.driver(py)?;
        let picture = py.detach(|| driver.ask(Engine::picture));
        let mut live = self.lock(py)?;
        live.waits.up_to(picture.now);
        described(py, picture, &live.waits)
    }

    #[pyo3(signature = (timeout=10.0))]
    fn server_version(&self, py: Python<'_>, timeout: f64) -> PyResult<String> {
        let timeout = Duration::try_from_secs_f64(timeout)
            .map_err(|_| errors::value("timeout: must be a number of seconds, 0 or more".into()))?;
        let driver = self.driver(py)?;
        self.settings.give_token(py, &driver)?;
        let asked = py.detach(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| format!("no thread for the request: {error}"))?;
            runtime
                .block_on(driver.client().server_version(timeout))
                .map_err(|error| error.to_string())
        });
        py.check_signals()?;
        asked.map_err(|text| errors::transport(py, text))
    }

    #[pyo3(signature = (
        collection, fqn, body, parent=None, needs=None, *, first_wins=false, once=false, first=None, label=None
    ))]
    #[allow(clippy::too_many_arguments)]
    fn submit_async<'py>(
        &self,
        py: Python<'py>,
        collection: &str,
        fqn: &str,
        body: &Bound<'_, PyAny>,
        parent: Option<&str>,
        needs: Option<Vec<String>>,
        first_wins: bool,
        once: bool,
        first: Option<First<'_>>,
        label: Option<&str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let body = json_object("body", body)?;
        let record = self.record(py, collection, fqn, Payload::Create(body), parent, needs, first_wins)?;
        let record = self.with_first(py, record, once, first, label)?;
        let driver = self.start(py)?;
        let (synchronous, rows) = (self.settings.synchronous, self.settings.engine.batch_rows);
        let event_loop = Loop::current(py)?;
        // By the call itself, so that the order of the calls is the order of the records.
        let submitted = driver.submit_async(record);
        event_loop.awaitable(py, async move {
            let sequence = match submitted {
                Ok(sequence) => sequence,
                Err(mut wait) => {
                    wait.ended().await;
                    driver.admitted(wait.id()).unwrap_or_default()
                }
            };
            if let Some(scope) = after_submit(&driver, synchronous, rows, sequence) {
                if let Some(mut wait) = driver.wait_for_async(&scope) {
                    wait.ended().await;
                }
            }
            Ok(sequence)
        })
    }

    #[pyo3(signature = (timeout=None))]
    fn drain_async<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        let timeout = Timeout::starting_now(timeout)?;
        let driver = self.driver(py)?;
        Loop::current(py)?.awaitable(py, async move {
            let start = Instant::now();
            if drained(&driver, timeout).await {
                Ok(start.elapsed().as_secs_f64())
            } else {
                Err(Python::attach(|py| timeout.error(py)))
            }
        })
    }

    #[pyo3(signature = (timeout=None))]
    fn close_async<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        let timeout = Timeout::starting_now(timeout)?;
        let driver = self.driver(py)?;
        let event_loop = Loop::current(py)?;
        driver.begin_close();
        event_loop.awaitable(py, async move {
            drained(&driver, timeout).await;
            // It waits for threads, so it must not run on the thread that serves all awaitables.
            let ended = tokio::task::spawn_blocking(move || driver.end("not delivered before the time-out of close"));
            ended
                .await
                .map_err(|error| Python::attach(|py| errors::error(py, error.to_string())))
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.settings.held().try_for_each(|held| held.traverse(&visit))
    }

    fn __clear__(&self) {
        self.settings.held().for_each(Held::clear);
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _exc_type: &Bound<'_, PyAny>,
        _exc_value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.close(py, None)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let counts = self.driver(py)?.stats();
        Ok(format!(
            "<BulkSink {} workers={} written={} failed={} pending={}>",
            self.settings.shown_url(),
            self.settings.engine.workers,
            counts.written,
            counts.failed,
            counts.pending
        ))
    }
}

impl BulkSink {
    /// The part that belongs to this process. After a fork the child starts afresh; what it inherited is let go untouched, since the
    /// threads behind it do not exist here and its locks may be held for ever.
    fn lock(&self, py: Python<'_>) -> PyResult<MutexGuard<'_, Live>> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if live.pid != std::process::id() {
            let fresh = Live::new(py, &self.settings)?;
            std::mem::forget(std::mem::replace(&mut *live, fresh));
        }
        Ok(live)
    }

    fn driver(&self, py: Python<'_>) -> PyResult<Arc<Driver>> {
        Ok(self.lock(py)?.driver.clone())
    }

    /// The driver with its threads; the token is asked for when they start.
    fn start(&self, py: Python<'_>) -> PyResult<Arc<Driver>> {
        let live = self.lock(py)?;
        let driver = live.driver.clone();
        if live.started || live.closed {
            return Ok(driver);
        }
        // The callable may take long and may use this sink: not under the lock.
        drop(live);
        self.settings.give_token(py, &driver)?;
        driver
            .start()
            .map_err(|error| errors::error(py, format!("the threads of the sink cannot be started: {error}")))?;
        process::started(&driver);
        self.lock(py)?.started = true;
        Ok(driver)
    }

    #[allow(clippy::too_many_arguments)]
    fn record(
        &self,
        py: Python<'_>,
        collection: &str,
        fqn: &str,
        payload: Payload,
        parent: Option<&str>,
        needs: Option<Vec<String>>,
        first_wins: bool,
    ) -> PyResult<Record> {
        if fqn.is_empty() {
            return Err(errors::value("fqn: must not be empty".into()));
        }
        Ok(Record {
            collection: self.collection(py, collection)?,
            fqn: fqn.into(),
            parent: parent.filter(|parent| !parent.is_empty()).map(Fqn::canonical),
            needs: needs.iter().flatten().map(|fqn| Fqn::canonical(fqn)).collect(),
            payload,
            first_wins,
            once: false,
            first: None,
            label: None,
        })
    }

    /// A record with what must be written before it, which is sent as often as it and bears its label.
    fn with_first(
        &self,
        py: Python<'_>,
        record: Record,
        once: bool,
        first: Option<First<'_>>,
        label: Option<&str>,
    ) -> PyResult<Record> {
        let label: Option<Arc<str>> = label.map(Into::into);
        let first = match first {
            None => None,
            Some((collection, fqn, body)) => {
                let payload = Payload::Create(json_object("first", &body)?);
                let first = self.record(py, collection, fqn, payload, None, None, false)?;
                Some(Box::new(Record {
                    once,
                    label: label.clone(),
                    ..first
                }))
            }
        };
        Ok(Record {
            once,
            first,
            label,
            ..record
        })
    }

    /// One shared text for each collection.
    fn collection(&self, py: Python<'_>, path: &str) -> PyResult<Arc<str>> {
        let mut live = self.lock(py)?;
        if let Some(known) = live.collections.get(path) {
            return Ok(known.clone());
        }
        let is_path = !path.is_empty()
            && path
                .split('/')
                .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
        if !is_path {
            return Err(errors::value(format!(
                "collection: {path:?} is no path below the base URL, such as \"tables\" or \"dashboard/datamodels\""
            )));
        }
        let shared: Arc<str> = path.into();
        live.collections.insert(path.to_owned(), shared.clone());
        Ok(shared)
    }

    /// Gives a record to the engine, once there is room for it.
    fn take(&self, py: Python<'_>, record: Record) -> PyResult<Sequence> {
        let driver = self.start(py)?;
        let sequence = match driver.submit(record) {
            Ok(sequence) => sequence,
            Err(line) => {
                let since = driver.time();
                self.lock(py)?.waits.begin(For::Room, since);
                let waited = wait_in_line(py, &line, &|py| self.tell(py, &driver));
                self.lock(py)?.waits.end(since, driver.time());
                match waited {
                    Ok(blocked) => {
                        self.lock(py)?.blocked += Duration::from_secs_f64(blocked);
                        driver.admitted(line.id()).unwrap_or_default()
                    }
                    Err(interrupted) => {
                        // A signal costs no record: whoever was interrupted will not submit it again.
                        driver.insist(&line);
                        py.detach(|| drop(line));
                        return Err(interrupted);
                    }
                }
            }
        };
        self.tell(py, &driver)?;
        let rows = self.settings.engine.batch_rows;
        if let Some(scope) = after_submit(&driver, self.settings.synchronous, rows, sequence) {
            self.block(py, &scope, Timeout::never(), For::Answer)?;
        }
        Ok(sequence)
    }

    fn block(&self, py: Python<'_>, scope: &Scope, timeout: Timeout, what: For) -> PyResult<f64> {
        let driver = self.driver(py)?;
        let since = driver.time();
        self.lock(py)?.waits.begin(what, since);
        let waited = wait_for(py, &driver, scope, timeout, &|py| self.tell(py, &driver));
        self.lock(py)?.waits.end(since, driver.time());
        let waited = waited?;
        self.tell(py, &driver)?;
        Ok(waited)
    }

    /// Hands lines for people to the callback, on this thread. An exception of the callback's is its own affair; what is meant to end
    /// the program (a signal that came meanwhile, `SystemExit`) ends the call.
    fn tell(&self, py: Python<'_>, driver: &Driver) -> PyResult<()> {
        let Some(on_notice) = self.settings.on_notice.get(py) else {
            return Ok(());
        };
        while let Some(line) = driver.next_notice() {
            if let Err(error) = on_notice.call1((line,)) {
                if !error.is_instance_of::<PyException>(py) {
                    return Err(error);
                }
                error.write_unraisable(py, Some(&on_notice));
            }
        }
        Ok(())
    }
}

impl Live {
    fn new(py: Python<'_>, settings: &Settings) -> PyResult<Self> {
        Ok(Self {
            pid: std::process::id(),
            driver: Arc::new(settings.driver(py)?),
            started: false,
            closed: false,
            blocked: Duration::ZERO,
            waits: Waits::of_this_thread(),
            collections: HashMap::new(),
        })
    }
}

impl Drop for BulkSink {
    fn drop(&mut self) {
        let live = self.live.get_mut().unwrap_or_else(PoisonError::into_inner);
        let driver = live.driver.clone();
        if live.pid != std::process::id() {
            // Forked: the threads that a drop would wait for do not exist here.
            std::mem::forget(live.driver.clone());
            std::mem::forget(driver);
            return;
        }
        if live.started && !live.closed {
            Python::attach(|py| py.detach(|| driver.end("the sink was dropped before it was closed")));
        }
    }
}

/// What a submit waits for: in synchronous writing, until what it sealed is final.
fn after_submit(driver: &Driver, synchronous: bool, rows: usize, sequence: Sequence) -> Option<Scope> {
    let waits = synchronous && (rows <= 1 || driver.ask(|engine, _| engine.unsent()) >= rows);
    waits.then_some(Scope::All { up_to: sequence })
}

/// Whether everything ended before the time-out.
async fn drained(driver: &Driver, timeout: Timeout) -> bool {
    let Some(mut wait) = driver.wait_for_async(&Scope::FinalDrain) else {
        return true;
    };
    match timeout.end() {
        None => {
            wait.ended().await;
            true
        }
        Some(end) => tokio::time::timeout_at(end.into(), wait.ended()).await.is_ok(),
    }
}
