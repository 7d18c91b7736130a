//! Panics on demand, for the tests that show what becomes of one (feature `panics`, never in a wheel).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Where a panic can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the engine, with its lock held.
    Engine,
    /// In one attempt of a request.
    Attempt,
    /// In the task that sends what the engine asks for, outside of the engine.
    Driver,
}

static ARMED: Mutex<Option<(Place, u32)>> = Mutex::new(None);

/// Asks for one panic, when `place` is passed for the nth time from now on.
pub fn arm(place: Place, nth: u32) {
    *ARMED.lock().unwrap_or_else(PoisonError::into_inner) = Some((place, nth));
}

/// Whether the panic that was asked for is still to come.
pub fn is_armed() -> bool {
    ARMED.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

/// Passes `place`.
#[allow(clippy::panic)]
pub(crate) fn pass(place: Place) {
    let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
    match &mut *armed {
        Some((wanted, left)) if *wanted == place && *left > 1 => *left -= 1,
        Some((wanted, _)) if *wanted == place => {
            *armed = None;
            drop(armed);
            panic!("asked for by a test");
        }
        _ => {}
    }
}

/// What the planted panic says.
pub const PLANTED: &str = "planted";

static IS_PLANTED: AtomicBool = AtomicBool::new(false);

/// Plants a panic in everything that reads a text from outside, for showing that a search for one finds it.
pub fn plant() {
    IS_PLANTED.store(true, Ordering::Relaxed);
}

/// Passes a text from outside. Where a panic is planted, one with two rare signs in it meets it: no test's text has both.
#[allow(clippy::panic)]
pub(crate) fn read(text: &str) {
    if IS_PLANTED.load(Ordering::Relaxed) && text.contains('~') && text.contains('^') {
        panic!("{PLANTED}");
    }
}
