//! The bridge to asyncio: a runtime of one thread that the first awaitable starts and the engine never uses.
//!
//! It belongs to one process: in the child of a fork the parent's runtime is let go and a new one is started.

use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use pyo3::prelude::*;
use pyo3_async_runtimes::generic::{self, ContextExt, JoinError, Runtime};
use pyo3_async_runtimes::TaskLocals;
use tokio::runtime::Handle;

/// Locked only by threads that hold the GIL, so that it is free at a fork.
static RUNTIME: Mutex<Option<Owned>> = Mutex::new(None);

/// How long the end waits.
const SHUTDOWN: std::time::Duration = std::time::Duration::from_secs(2);

struct Owned {
    pid: u32,
    /// Dropped by `end` alone: a drop in the child of a fork would wait for threads that do not exist there.
    runtime: ManuallyDrop<tokio::runtime::Runtime>,
}

/// The event loop that a call comes from, and the thread that serves its awaitables: from here on an awaitable cannot fail to be made.
pub(super) struct Loop(TaskLocals);

impl Loop {
    /// Of the call that is running.
    pub fn current(py: Python<'_>) -> PyResult<Self> {
        handle().map_err(|error| {
            super::errors::error(py, format!("the thread for awaitables cannot be started: {error}"))
        })?;
        Ok(Self(generic::get_current_locals::<Bridge>(py)?))
    }

    /// A Python awaitable for a future.
    pub fn awaitable<F, T>(self, py: Python<'_>, future: F) -> PyResult<Bound<'_, PyAny>>
    where
        F: Future<Output = PyResult<T>> + Send + 'static,
        T: for<'py> IntoPyObject<'py> + Send + 'static,
    {
        generic::future_into_py_with_locals::<Bridge, F, T>(py, self.0, future)
    }
}

/// Ends the runtime, and waits for threads that are handing a result to Python: the interpreter ends threads that come back to
/// it while it is being taken down, and that must not happen below our frames.
pub(super) fn end(py: Python<'_>) {
    let owned = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(owned) = owned.filter(|owned| owned.pid == std::process::id()) {
        py.detach(|| ManuallyDrop::into_inner(owned.runtime).shutdown_timeout(SHUTDOWN));
    }
}

fn handle() -> std::io::Result<Handle> {
    // Inside a task of the runtime, without the GIL: no lock.
    if let Ok(current) = Handle::try_current() {
        return Ok(current);
    }
    let mut owned = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    match &*owned {
        Some(known) if known.pid == std::process::id() => Ok(known.runtime.handle().clone()),
        _ => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                // Hands results to Python, under the GIL: more of them would only wait for each other.
                .max_blocking_threads(1)
                .thread_name("bulksink-await")
                .enable_time()
                .build()?;
            let handle = runtime.handle().clone();
            *owned = Some(Owned {
                pid: std::process::id(),
                runtime: ManuallyDrop::new(runtime),
            });
            Ok(handle)
        }
    }
}

tokio::task_local! {
    static LOCALS: TaskLocals;
}

struct Bridge;

/// A task's handle, as the bridge wants it. `None`: there was no runtime to run it on.
struct Joining(Option<tokio::task::JoinHandle<()>>);

struct Joined(tokio::task::JoinError);

impl JoinError for Joined {
    fn is_panic(&self) -> bool {
        self.0.is_panic()
    }

    fn into_panic(self) -> Box<dyn std::any::Any + Send + 'static> {
        self.0.into_panic()
    }
}

impl Future for Joining {
    type Output = Result<(), Joined>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Some(handle) => Pin::new(handle).poll(cx).map_err(Joined),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl Runtime for Bridge {
    type JoinError = Joined;
    type JoinHandle = Joining;

    fn spawn<F>(future: F) -> Joining
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Joining(handle().ok().map(|handle| handle.spawn(future)))
    }

    fn spawn_blocking<F>(function: F) -> Joining
    where
        F: FnOnce() + Send + 'static,
    {
        Joining(handle().ok().map(|handle| handle.spawn_blocking(function)))
    }
}

impl ContextExt for Bridge {
    fn scope<F, R>(locals: TaskLocals, future: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static,
    {
        Box::pin(LOCALS.scope(locals, future))
    }

    fn get_task_locals() -> Option<TaskLocals> {
        LOCALS.try_with(Clone::clone).ok()
    }
}
