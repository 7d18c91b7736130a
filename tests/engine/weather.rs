//! What goes wrong between the engine and the server, apart from what the server itself says about rows.

use std::time::Duration;

use fastrand::Rng;

/// One thing that can happen to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// No connection.
    Refused,
    /// The connection breaks before the whole request is out.
    NotSent,
    /// The connection breaks after the request went out; the work is done or not.
    Broken { done: bool },
    /// This status, with a JSON text of its own.
    Status(u16),
    /// 502 or 504 as HTML from a proxy.
    Gateway { status: u16, work: Work },
    /// 200 with a body that is no answer.
    Garbled { what: Garbled, done: bool },
    /// No answer until the read time-out.
    Stall { done: bool },
    /// The token is not accepted.
    Unauthorized,
    /// Refused whatever is sent: 302, 407.
    Misdirected(u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    NotDone,
    Done,
    /// The first attempt commits so long after the answer.
    Later(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Garbled {
    Empty,
    Html,
    CutOff,
}

/// A time in which every request meets the same trouble.
#[derive(Debug, Clone, Copy)]
pub struct Outage {
    pub from: Duration,
    pub to: Duration,
    pub trouble: Trouble,
}

/// All that goes wrong in one run.
#[derive(Debug, Clone, Default)]
pub struct Weather {
    /// Chance of each trouble for each request.
    pub rates: Vec<(f64, Trouble)>,
    pub outages: Vec<Outage>,
    /// Requests that meet a trouble by number: the first is 1.
    pub by_number: Vec<(u64, Trouble)>,
    /// No random trouble strikes a request with a row that has met so many.
    pub spares: Option<u8>,
    /// The token that was valid at the start expires at these times; it is valid again when a new one was fetched, or after so long.
    pub token_expires: Vec<(Duration, Duration)>,
    /// The callable fails so many times before it gives a token.
    pub token_failures: u32,
    /// `Retry-After` of 429 and 503.
    pub retry_after: Option<Duration>,
}

impl Weather {
    /// What happens to request number `number`, sent now.
    /// `met`: how many troubles one of its rows has met.
    pub fn strikes(&self, number: u64, met: u8, now: Duration, rng: &mut Rng) -> Option<Trouble> {
        if let Some(outage) = self.outages.iter().find(|o| o.from <= now && now < o.to) {
            return Some(outage.trouble);
        }
        if let Some((_, trouble)) = self.by_number.iter().find(|(at, _)| *at == number) {
            return Some(*trouble);
        }
        if self.spares.is_some_and(|most| met >= most) {
            return None;
        }
        let mut chance = rng.f64();
        for (rate, trouble) in &self.rates {
            if chance < *rate {
                return Some(*trouble);
            }
            chance -= rate;
        }
        None
    }

    /// Whether the token is refused now. `renewed`: when the last new one came.
    pub fn token_is_refused(&self, now: Duration, renewed: Option<Duration>) -> bool {
        self.token_expires
            .iter()
            .any(|(at, back)| *at <= now && now < *back && renewed.is_none_or(|renewed| renewed < *at))
    }

    /// Whether the server is down now, whoever asks.
    pub fn is_down(&self, now: Duration) -> bool {
        self.outages.iter().any(|o| o.from <= now && now < o.to)
    }
}
