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
    /// This status with a page of something in front of the server.
    Page(u16),
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

/// Whom an outage strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    All,
    /// Whatever is asked of these collections.
    Collections(&'static [&'static str]),
    /// Whatever changes something of these collections.
    WritesTo(&'static [&'static str]),
    /// Whatever changes something: reading goes on.
    Writes,
}

impl Whom {
    pub fn includes(self, collection: &str, writes: bool) -> bool {
        match self {
            Self::All => true,
            Self::Collections(paths) => paths.contains(&collection),
            Self::WritesTo(paths) => writes && paths.contains(&collection),
            Self::Writes => writes,
        }
    }
}

/// A time in which every request of some kind meets the same trouble.
#[derive(Debug, Clone, Copy)]
pub struct Outage {
    pub from: Duration,
    pub to: Duration,
    pub trouble: Trouble,
    pub whom: Whom,
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
    /// The callable gives the token that was refused.
    pub same_token: bool,
    /// `Retry-After` of 429 and 503.
    pub retry_after: Option<Duration>,
}

impl Weather {
    /// What happens to request number `number`, sent now.
    /// `met`: how many troubles one of its rows has met.
    pub fn strikes(
        &self,
        number: u64,
        collection: &str,
        writes: bool,
        met: u8,
        now: Duration,
        rng: &mut Rng,
    ) -> Option<Trouble> {
        let is_on = |o: &&Outage| o.from <= now && now < o.to && o.whom.includes(collection, writes);
        if let Some(outage) = self.outages.iter().find(is_on) {
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
        let is_on = |o: &Outage| o.whom == Whom::All && o.from <= now && now < o.to;
        self.outages.iter().any(is_on)
    }
}
