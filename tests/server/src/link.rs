//! A link between client and server that has a speed and a length, by waiting: bytes are read, and answers written, when they
//! would have come through.
//!
//! One line in each direction, shared by all connections: what one sends, the others wait for. Each connection sends as TCP
//! does on Linux: ten segments at first, twice as many with each round trip, as many as the line carries from then on, and
//! from ten again after it was idle. Nothing is lost on the way, so no window shrinks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{sleep_until, Instant};

use crate::latency::{millis, Link};

/// What a connection may send before the first acknowledgement: ten segments of an Ethernet frame.
const FIRST_WINDOW: usize = 10 * 1_448;
/// What Linux waits beyond the round trip before it takes a connection for idle.
const IDLE: Duration = Duration::from_millis(200);
/// An answer is written in pieces of this size.
pub const PIECE: usize = FIRST_WINDOW;

/// The two lines of a link.
pub struct Lines {
    link: Link,
    up: Mutex<Instant>,
    down: Mutex<Instant>,
}

impl Lines {
    /// Free in both directions.
    pub fn new(link: Link) -> Self {
        let now = Instant::now();
        Lines {
            link,
            up: Mutex::new(now),
            down: Mutex::new(now),
        }
    }

    /// From one end to the other and back.
    pub fn round_trip(&self) -> Duration {
        millis(self.link.round_trip_ms)
    }

    /// When the last of so many bytes is on the line, if the first one could be at `from`.
    fn take(&self, direction: Direction, from: Instant, bytes: usize) -> Instant {
        if self.link.bytes_per_s <= 0.0 {
            return from;
        }
        let line = match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        };
        let mut free = line.lock().unwrap_or_else(PoisonError::into_inner);
        #[allow(clippy::cast_precision_loss)]
        let takes = Duration::try_from_secs_f64(bytes as f64 / self.link.bytes_per_s).unwrap_or_default();
        *free = (*free).max(from) + takes;
        *free
    }
}

/// Which way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// To the server.
    Up,
    /// To the client.
    Down,
}

/// One direction of one connection.
pub struct Sender {
    lines: Arc<Lines>,
    direction: Direction,
    window: usize,
    /// What may still be sent in this round trip.
    room: usize,
    /// When this round trip began.
    round: Instant,
    /// When the last byte was on the line.
    sent: Instant,
}

impl Sender {
    /// Of a fresh connection.
    pub fn new(lines: Arc<Lines>, direction: Direction) -> Self {
        let now = Instant::now();
        Sender {
            lines,
            direction,
            window: FIRST_WINDOW,
            room: FIRST_WINDOW,
            round: now,
            sent: now,
        }
    }

    /// A message begins now.
    pub fn begin(&mut self) {
        let now = Instant::now();
        let idle = now.saturating_duration_since(self.sent);
        if idle > self.lines.round_trip() + IDLE {
            self.window = FIRST_WINDOW;
        }
        if idle > self.lines.round_trip() {
            // All of it was acknowledged.
            self.room = self.window;
            self.round = now;
        }
        self.sent = now;
    }

    /// Waits until so many bytes of the message are on the line.
    pub async fn send(&mut self, mut bytes: usize) {
        while bytes > 0 {
            if self.room == 0 {
                self.round = self.sent.max(self.round + self.lines.round_trip());
                self.sent = self.round;
                self.window = self.window.saturating_mul(2);
                self.room = self.window;
                // Not before its time: the line is free for others until then.
                sleep_until(self.round).await;
            }
            let now = self.room.min(bytes);
            self.sent = self.lines.take(self.direction, self.sent, now);
            self.room -= now;
            bytes -= now;
            sleep_until(self.sent).await;
        }
    }

    /// When what was sent is at the other end.
    pub fn arrival(&self) -> Instant {
        self.sent + self.lines.round_trip() / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: Link = Link {
        bytes_per_s: 6_250_000.0,
        round_trip_ms: 40.0,
    };

    async fn message(sender: &mut Sender, bytes: usize) -> u128 {
        let begun = Instant::now();
        sender.begin();
        sender.send(bytes).await;
        sleep_until(sender.arrival()).await;
        begun.elapsed().as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn a_cold_connection_needs_round_trips_and_a_warm_one_only_the_lines_time() {
        let mut sender = Sender::new(Arc::new(Lines::new(LINK)), Direction::Up);
        let short = message(&mut sender, 10_000).await;
        assert!((20..=23).contains(&short), "{short}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        // 14,480 + 28,960 + ... + 231,680 in five round trips, the rest in the sixth.
        let cold = message(&mut sender, 500_000).await;
        assert!((5 * 40 + 20..=5 * 40 + 50).contains(&cold), "{cold}");
        let warm = message(&mut sender, 500_000).await;
        assert!((98..=145).contains(&warm), "{warm}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(message(&mut sender, 500_000).await.abs_diff(cold) < 3, "idle again");
    }

    #[tokio::test(start_paused = true)]
    async fn connections_share_the_line() {
        let lines = Arc::new(Lines::new(LINK));
        let begun = Instant::now();
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let mut sender = Sender::new(lines.clone(), Direction::Up);
            all.spawn(async move { message(&mut sender, 2_500_000).await });
        }
        all.join_all().await;
        let took = begun.elapsed().as_secs_f64();
        assert!((1.6..1.75).contains(&took), "10 MB at 6.25 MB/s: {took}");
    }
}
