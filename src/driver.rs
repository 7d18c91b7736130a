//! The driver: brings the engine, the clock, the network and the waiting callers together, and decides nothing.
//!
//! The engine stands behind one mutex, as in quinn: a caller's thread submits to it directly, one task sends what it asks for, and
//! each attempt's task gives it the answer. The lock is held for microseconds and never across I/O or a wait.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, Notify};

use crate::dead_letters::DeadLetters;
use crate::engine::{
    Call, Config, Ending, Engine, Fault, Kind, Outcome, Payload, Reading, Record, Request, RequestId, Scope, Sequence,
    Stats, Time, WaitId,
};
use crate::http::Client;

/// Threads of the runtime; attempts spend their time waiting for the network.
const THREADS: usize = 2;
/// How long the end of the runtime waits for tasks that are being dropped.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// Gives a new token when the server has refused the one in use.
pub trait TokenSource: Send + Sync {
    /// Asks for a token; `done` is called from any thread, once. Must not block.
    fn renew(&self, done: Box<dyn FnOnce(Result<SecretString, String>) + Send>);
}

/// An engine with a network.
pub struct Driver {
    shared: Arc<Shared>,
    runtime: Mutex<Option<Runtime>>,
}

struct Shared {
    state: Mutex<State>,
    client: Client,
    token: Option<Arc<dyn TokenSource>>,
    dead_letters: Mutex<Option<DeadLetters>>,
    /// Tells the driving task that the engine may have something new.
    wake: Notify,
    has_notices: AtomicBool,
    origin: Instant,
}

struct State {
    engine: Engine,
    waiting: HashMap<WaitId, Waiter>,
    /// Records whose submitters wait for room, and those that were admitted since.
    in_line: HashMap<WaitId, Record>,
    admitted: HashMap<WaitId, Sequence>,
    outcomes: Vec<Outcome>,
    /// Lost records on their way to the dead letters.
    lost: Vec<Outcome>,
    notices: VecDeque<String>,
    /// Until when the driving task sleeps; None while it is at work.
    asleep_until: Option<Option<Time>>,
}

enum Waiter {
    Thread(crossbeam_channel::Sender<()>),
    Task(oneshot::Sender<()>),
}

/// A wait that a thread can block on. Dropping it cancels it.
pub struct Wait {
    shared: Arc<Shared>,
    id: WaitId,
    done: crossbeam_channel::Receiver<()>,
}

/// A wait that a task can await. Dropping it cancels it.
pub struct AsyncWait {
    shared: Arc<Shared>,
    id: WaitId,
    done: oneshot::Receiver<()>,
}

impl Driver {
    /// Nothing runs before [`Driver::start`].
    #[must_use]
    pub fn new(
        config: Config,
        client: Client,
        token: Option<Arc<dyn TokenSource>>,
        dead_letters: Option<PathBuf>,
    ) -> Self {
        let shared = Shared {
            state: Mutex::new(State {
                engine: Engine::new(config),
                waiting: HashMap::new(),
                in_line: HashMap::new(),
                admitted: HashMap::new(),
                outcomes: Vec::new(),
                lost: Vec::new(),
                notices: VecDeque::new(),
                asleep_until: None,
            }),
            client,
            token,
            dead_letters: Mutex::new(dead_letters.map(DeadLetters::new)),
            wake: Notify::new(),
            has_notices: AtomicBool::new(false),
            origin: Instant::now(),
        };
        Self {
            shared: Arc::new(shared),
            runtime: Mutex::new(None),
        }
    }

    /// Starts the threads, if they do not run yet.
    ///
    /// # Errors
    /// The operating system gives no more threads.
    pub fn start(&self) -> std::io::Result<()> {
        let mut runtime = lock(&self.runtime);
        if runtime.is_some() || self.ask(|engine, _| engine.is_closed()) {
            return Ok(());
        }
        let new = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("bulksink")
            .enable_io()
            .enable_time()
            .build()?;
        new.spawn(supervise(self.shared.clone()));
        *runtime = Some(new);
        Ok(())
    }

    /// The HTTP client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.shared.client
    }

    /// Takes a record, or puts it in line where the budget has no room for it: it is admitted in its turn.
    ///
    /// # Errors
    /// What to wait for, then [`Driver::admitted`] gives its number. Dropping it takes the record out of the line.
    pub fn submit(&self, record: Record) -> Result<Sequence, Wait> {
        let (sender, done) = crossbeam_channel::bounded(1);
        self.take_or_line_up(record, Waiter::Thread(sender)).map_err(|id| Wait {
            shared: self.shared.clone(),
            id,
            done,
        })
    }

    /// As [`Driver::submit`], for a task.
    ///
    /// # Errors
    /// What to wait for.
    pub fn submit_async(&self, record: Record) -> Result<Sequence, AsyncWait> {
        let (sender, done) = oneshot::channel();
        self.take_or_line_up(record, Waiter::Task(sender))
            .map_err(|id| AsyncWait {
                shared: self.shared.clone(),
                id,
                done,
            })
    }

    fn take_or_line_up(&self, record: Record, waiter: Waiter) -> Result<Sequence, WaitId> {
        let copy = record.clone();
        let taken = self.shared.with(|state, now| {
            let scope = Scope::Room {
                bytes: record.size(),
                place: record.payload.kind() == Kind::Create,
            };
            match state.engine.wait_for(&scope, now) {
                None => Ok(take(&mut state.engine, record, now)),
                Some(id) => {
                    state.waiting.insert(id, waiter);
                    state.in_line.insert(id, record);
                    Err(id)
                }
            }
        });
        // The engine panicked over this record, and has failed all others: this one is named here.
        taken.unwrap_or_else(|| Ok(self.shared.fail_unnamed(copy)))
    }

    /// The number of a record that was in line, once its wait has ended. None if it has not.
    #[must_use]
    pub fn admitted(&self, wait: WaitId) -> Option<Sequence> {
        self.shared.lock_state().admitted.remove(&wait)
    }

    /// Takes a record that is in line whether there is room for it or not: its submitter was interrupted and will not come again.
    pub fn insist(&self, wait: &Wait) {
        self.shared.with(|state, now| {
            if let Some(record) = state.in_line.remove(&wait.id) {
                state.engine.submit_with_ticket(wait.id, record, now);
            }
        });
    }

    /// The server has none of the tables that are pending.
    pub fn cut_chains(&self) {
        self.shared.with(|state, _| state.engine.cut_chains());
    }

    /// Somebody else may have written what records that say `once` have written.
    pub fn forget_written(&self) {
        self.shared.with(|state, _| state.engine.forget_written());
    }

    /// Opens a wait for a thread; None where the scope is settled already.
    #[must_use]
    pub fn wait_for(&self, scope: &Scope) -> Option<Wait> {
        let (sender, done) = crossbeam_channel::bounded(1);
        let id = self.shared.open_wait(scope, Waiter::Thread(sender))?;
        Some(Wait {
            shared: self.shared.clone(),
            id,
            done,
        })
    }

    /// Opens a wait for a task; None where the scope is settled already.
    #[must_use]
    pub fn wait_for_async(&self, scope: &Scope) -> Option<AsyncWait> {
        let (sender, done) = oneshot::channel();
        let id = self.shared.open_wait(scope, Waiter::Task(sender))?;
        Some(AsyncWait {
            shared: self.shared.clone(),
            id,
            done,
        })
    }

    /// Starts the end; it is reached when a wait for [`Scope::FinalDrain`] ends.
    pub fn begin_close(&self) {
        self.shared.with(|state, now| state.engine.close(now));
    }

    /// Ends everything: what is still pending fails with `reason`, threads and connections go. Must not be called by one of the
    /// driver's own threads, nor with a lock that an attempt could need (the GIL, for one).
    pub fn end(&self, reason: &str) {
        self.shared.with(|state, _| {
            if !state.engine.is_closed() {
                state.engine.abandon(reason);
            }
        });
        let runtime = lock(&self.runtime).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_timeout(SHUTDOWN);
        }
    }

    /// The outcomes since the last call.
    #[must_use]
    pub fn take_outcomes(&self) -> Vec<Outcome> {
        std::mem::take(&mut self.shared.lock_state().outcomes)
    }

    /// The next line for people.
    #[must_use]
    pub fn next_notice(&self) -> Option<String> {
        if !self.shared.has_notices.load(Ordering::Acquire) {
            return None;
        }
        let mut state = self.shared.lock_state();
        let notice = state.notices.pop_front();
        if notice.is_none() {
            // Under the lock: whoever adds one says so afterwards.
            self.shared.has_notices.store(false, Ordering::Release);
        }
        notice
    }

    /// Asks the engine something that changes nothing.
    pub fn ask<R>(&self, question: impl FnOnce(&Engine, Time) -> R) -> R {
        question(&self.shared.lock_state().engine, self.shared.now())
    }

    /// The time, as the engine counts it.
    #[must_use]
    pub fn time(&self) -> Time {
        self.shared.now()
    }

    /// The counts now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.ask(Engine::stats)
    }

    /// The counts now; None where that would take a wait.
    #[must_use]
    pub fn stats_now(&self) -> Option<Stats> {
        let state = self.shared.state.try_lock().ok()?;
        Some(state.engine.stats(self.shared.now()))
    }
}

impl Shared {
    fn now(&self) -> Time {
        self.origin.elapsed()
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Does something with the engine, then hands out whatever came of it. A panic in the engine ends the run, with every record
    /// accounted for, rather than the process: then there is no result.
    fn with<R>(&self, action: impl FnOnce(&mut State, Time) -> R) -> Option<R> {
        let mut guard = self.lock_state();
        let state = &mut *guard;
        let result = catch_unwind(AssertUnwindSafe(|| {
            // The clock is read under the lock: time does not run backwards for the engine.
            let now = self.now();
            #[cfg(feature = "panics")]
            crate::panics::pass(crate::panics::Place::Engine);
            let result = action(state, now);
            state.collect(now);
            if state.wants_attention(self.now()) {
                self.wake.notify_one();
            }
            result
        }));
        let result = result.map_err(|panic| {
            let text = internal_error(panic.as_ref());
            let _ = catch_unwind(AssertUnwindSafe(|| {
                state.engine.abandon(&text);
                state.notices.push_back(text.clone());
                state.collect(self.now());
            }));
            self.wake.notify_one();
        });
        let lost = std::mem::take(&mut state.lost);
        let notices = !state.notices.is_empty();
        drop(guard);
        if notices {
            self.has_notices.store(true, Ordering::Release);
        }
        if !lost.is_empty() {
            self.bury(&lost);
        }
        result.ok()
    }

    /// Appends lost records to the dead letters.
    fn bury(&self, lost: &[Outcome]) {
        let mut dead_letters = lock(&self.dead_letters);
        if let Some(Err(warning)) = dead_letters.as_mut().map(|file| file.append(lost)) {
            drop(dead_letters);
            self.lock_state().notices.push_back(warning);
            self.has_notices.store(true, Ordering::Release);
        }
    }

    /// Adds the outcome of a record that the engine took but cannot name.
    fn fail_unnamed(&self, record: Record) -> Sequence {
        let mut state = self.lock_state();
        let sequence = state.engine.last_sequence();
        if !state
            .outcomes
            .iter()
            .any(|outcome| outcome.sequence == sequence && outcome.fqn == record.fqn)
        {
            state.outcomes.push(Outcome {
                sequence,
                kind: record.payload.kind(),
                collection: record.collection,
                fqn: record.fqn,
                ending: Ending::Failed("internal error while it was taken, please report it".into()),
                attempts: 0,
                body: None,
                label: record.label,
            });
        }
        sequence
    }

    fn open_wait(&self, scope: &Scope, waiter: Waiter) -> Option<WaitId> {
        self.with(|state, now| {
            let id = state.engine.wait_for(scope, now)?;
            state.waiting.insert(id, waiter);
            Some(id)
        })?
    }

    fn cancel(&self, id: WaitId) {
        self.with(|state, _| {
            state.in_line.remove(&id);
            state.admitted.remove(&id);
            if state.waiting.remove(&id).is_some() {
                state.engine.cancel(id);
            }
        });
    }
}

impl State {
    /// Takes out of the engine what callers wait for.
    fn collect(&mut self, now: Time) {
        while let Some(id) = self.engine.poll_wait() {
            if let Some(record) = self.in_line.remove(&id) {
                let sequence = self.engine.submit_with_ticket(id, record, now);
                self.admitted.insert(id, sequence);
            }
            match self.waiting.remove(&id) {
                // Whoever waited may have gone: then nobody needs to know.
                Some(Waiter::Thread(sender)) => drop(sender.try_send(())),
                Some(Waiter::Task(sender)) => drop(sender.send(())),
                None => {}
            }
        }
        while let Some(outcome) = self.engine.poll_outcome() {
            if matches!(outcome.ending, Ending::Failed(_) | Ending::WrittenInPart(_)) {
                self.lost.push(outcome.clone());
            }
            self.outcomes.push(Outcome { body: None, ..outcome });
        }
        while let Some(notice) = self.engine.poll_notice() {
            self.notices.push_back(notice);
        }
    }

    /// Whether the driving task sleeps past something that it has to do.
    fn wants_attention(&mut self, now: Time) -> bool {
        let Some(asleep_until) = self.asleep_until else {
            return false;
        };
        if self.engine.is_closed() {
            return true;
        }
        match (self.engine.poll_timeout(now), asleep_until) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(next), Some(until)) => next < until,
        }
    }
}

/// Keeps the driving task. Should it panic, nothing would be sent any more: the run ends, with every record accounted for.
async fn supervise(shared: Arc<Shared>) {
    if let Err(error) = tokio::spawn(drive(shared.clone())).await {
        if error.is_panic() {
            let text = internal_error(error.into_panic().as_ref());
            shared.with(|state, _| {
                state.engine.abandon(&text);
                state.notices.push_back(text.clone());
            });
        }
    }
}

/// Sends what the engine asks for until it is closed.
async fn drive(shared: Arc<Shared>) {
    loop {
        let step = shared.with(|state, now| {
            state.asleep_until = None;
            state.engine.handle_timeout(now);
            let requests: Vec<Request> = std::iter::from_fn(|| state.engine.poll_request(now)).collect();
            let until = state.engine.poll_timeout(now);
            state.asleep_until = Some(until);
            (requests, until, state.engine.is_closed())
        });
        let Some((requests, until, closed)) = step else { return };
        #[cfg(feature = "panics")]
        crate::panics::pass(crate::panics::Place::Driver);
        for request in requests {
            tokio::spawn(attempt(shared.clone(), request));
        }
        if closed {
            return;
        }
        let sleep = until.map(|until| tokio::time::sleep_until((shared.origin + until).into()));
        tokio::select! {
            () = shared.wake.notified() => {}
            () = async { match sleep { Some(sleep) => sleep.await, None => std::future::pending().await } } => {}
        }
    }
}

/// One attempt of one request.
async fn attempt(shared: Arc<Shared>, request: Request) {
    let id = request.id;
    if matches!(request.call, Call::RenewToken) {
        renew_token(shared, id);
        return;
    }
    let performer = shared.clone();
    let performed = tokio::spawn(async move {
        #[cfg(feature = "panics")]
        crate::panics::pass(crate::panics::Place::Attempt);
        let answer = performer.client.perform(&request.call).await;
        // A large answer takes long to read: before anybody has to wait for it.
        request.read(&answer)
    })
    .await;
    let reading = performed.unwrap_or_else(|error| {
        let text = if error.is_panic() {
            internal_error(error.into_panic().as_ref())
        } else {
            "the sink was ended".to_owned()
        };
        Reading::fault(Fault::NotSent(text))
    });
    shared.with(|state, now| state.engine.handle_answer(id, reading, now));
}

fn renew_token(shared: Arc<Shared>, id: RequestId) {
    let Some(source) = shared.token.clone() else {
        let reading = Reading::token(Err("there is no other token".to_owned()));
        shared.with(|state, now| state.engine.handle_answer(id, reading, now));
        return;
    };
    source.renew(Box::new(move |token| {
        let result = token.and_then(|token| shared.client.set_token(token).map_err(|error| error.to_string()));
        shared.with(|state, now| state.engine.handle_answer(id, Reading::token(result), now));
    }));
}

impl Wait {
    /// Which wait it is.
    #[must_use]
    pub fn id(&self) -> WaitId {
        self.id
    }

    /// Waits for so long. Whether the wait ended.
    #[must_use]
    pub fn ended_within(&self, time: Duration) -> bool {
        // A closed channel: the waiter was dropped because the engine ended.
        !matches!(
            self.done.recv_timeout(time),
            Err(crossbeam_channel::RecvTimeoutError::Timeout)
        )
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.shared.cancel(self.id);
    }
}

impl AsyncWait {
    /// Which wait it is.
    #[must_use]
    pub fn id(&self) -> WaitId {
        self.id
    }

    /// Waits to the end.
    pub async fn ended(&mut self) {
        let _ = (&mut self.done).await;
    }
}

impl Drop for AsyncWait {
    fn drop(&mut self) {
        self.shared.cancel(self.id);
    }
}

fn take(engine: &mut Engine, record: Record, now: Time) -> Sequence {
    match record.payload {
        Payload::LifeCycle(life_cycle) => engine.submit_life_cycle(record.collection, record.fqn, life_cycle, now),
        Payload::Create(_) => engine.submit(record, now),
    }
}

/// The lock, also after a panic: the engine accounts for its records even then.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What people are told of a panic.
fn internal_error(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a text");
    format!("internal error, please report it: {text}")
}
