//! The waits of requests: for the time that their work takes, in a stall, of work that is done later.
//!
//! Each ends when its time has passed, or at once when the server is told to release them all. So a test that needs a request
//! in work for as long as it does something else gives it an hour and releases it, and is never too slow for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{sleep_until, Instant};

/// The waits of one server.
pub struct Waits {
    releases: watch::Sender<u64>,
    going_on: Arc<AtomicUsize>,
}

impl Default for Waits {
    fn default() -> Self {
        Waits {
            releases: watch::Sender::new(0),
            going_on: Arc::default(),
        }
    }
}

impl Waits {
    /// For a request that begins now.
    pub fn of_a_request(&self) -> Waiter {
        let releases = self.releases.subscribe();
        let begun_after = *releases.borrow();
        Waiter {
            releases,
            begun_after,
            going_on: self.going_on.clone(),
        }
    }

    /// Requests that have begun wait no longer, whatever they come to wait for; those that begin later do.
    pub fn release(&self) {
        self.releases.send_modify(|releases| *releases += 1);
    }

    /// How many waits are going on.
    pub fn going_on(&self) -> usize {
        self.going_on.load(Ordering::SeqCst)
    }
}

/// The waits of one request.
#[derive(Clone)]
pub struct Waiter {
    releases: watch::Receiver<u64>,
    begun_after: u64,
    going_on: Arc<AtomicUsize>,
}

impl Waiter {
    /// Waits until then, or until it is released.
    pub async fn until(&self, time: Instant) {
        let _counted = Counted::new(&self.going_on);
        let mut releases = self.releases.clone();
        tokio::select! {
            biased;
            Ok(_) = releases.wait_for(|now| *now != self.begun_after) => {}
            () = sleep_until(time) => {}
        }
    }
}

/// One wait, counted until its end however it comes.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(going_on: &'a AtomicUsize) -> Self {
        going_on.fetch_add(1, Ordering::SeqCst);
        Counted(going_on)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn a_release_ends_the_waits_of_what_has_begun_and_of_nothing_else() {
        let waits = Waits::default();
        let (begun, begun_at) = (waits.of_a_request(), Instant::now());
        let waiting = tokio::spawn(async move {
            begun.until(Instant::now() + HOUR).await;
            begun.until(Instant::now() + HOUR).await;
        });
        while waits.going_on() == 0 {
            tokio::task::yield_now().await;
        }
        waits.release();
        let _ = waiting.await;
        assert_eq!((begun_at.elapsed(), waits.going_on()), (Duration::ZERO, 0));
        waits.of_a_request().until(Instant::now() + HOUR).await;
        assert!(begun_at.elapsed() >= HOUR);
    }
}
