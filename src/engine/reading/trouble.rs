//! A fault: an attempt without an answer, or with one that says nothing about what was sent.

use std::time::Duration;

use crate::engine::limiter::LONGEST_RETRY_AFTER;
use crate::engine::request::Fault;

use super::Rebuff;

/// A fault, and how to speak of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Trouble {
    pub kind: TroubleKind,
    pub reason: String,
    /// The attempt may have been carried out, or may still be.
    pub unknown: bool,
    /// How long the server asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// Faults that are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::engine) enum TroubleKind {
    /// The server was not reached: refused, DNS, TLS.
    Connect,
    /// The connection was gone before the request was out.
    NotSent,
    /// A connection that was used before ended without a byte of an answer: most likely the server had closed it by then.
    Closed,
    /// Reset, or cut, after the request went out.
    Broken,
    /// No answer within the read time-out.
    Silent,
    /// The server asks for less: 429, 503 in its own words or with `Retry-After`, and words of a database in trouble.
    Overload,
    /// 503 of anybody.
    Unavailable,
    /// An endpoint that is not there, and may be again.
    NoEndpoint,
    /// Another 5xx, 408, 425.
    Status(u16),
    /// A success that cannot be read.
    Unreadable,
    /// The request cannot be built: nobody's fault but the record's own.
    Unbuildable,
    /// A redirection, a proxy that wants credentials, a token that is not taken.
    Rebuffed,
}

impl Trouble {
    pub fn new(kind: TroubleKind, reason: String, unknown: bool, retry_after: Option<Duration>) -> Self {
        Self {
            kind,
            reason,
            unknown,
            retry_after: retry_after.map(|asked| asked.min(LONGEST_RETRY_AFTER)),
        }
    }

    /// Of a request that was turned away, and may go again after `pause`.
    pub fn of_rebuff(rebuff: &Rebuff, pause: Duration) -> Self {
        let reason = format!("{}; others of its collection are not turned away", rebuff.said);
        Self::new(TroubleKind::Rebuffed, reason, false, Some(pause))
    }

    /// Of an attempt without an answer.
    pub fn of(fault: &Fault) -> Self {
        let (kind, reason, unknown) = match fault {
            Fault::Connect(text) => (
                TroubleKind::Connect,
                format!("no connection to the server: {text}"),
                false,
            ),
            Fault::NotSent(text) => (
                TroubleKind::NotSent,
                format!("the request could not be sent: {text}"),
                false,
            ),
            Fault::Closed(text) => {
                let reason = format!("a connection that was used before ended before an answer came: {text}");
                (TroubleKind::Closed, reason, true)
            }
            Fault::Unbuildable(text) => (
                TroubleKind::Unbuildable,
                format!("the request cannot be built: {text}"),
                false,
            ),
            Fault::Broken(text) => {
                let reason = format!("the connection broke before a whole answer came: {text}");
                (TroubleKind::Broken, reason, true)
            }
            Fault::ReadTimeout(text) => (TroubleKind::Silent, format!("no answer in time: {text}"), true),
        };
        Self::new(kind, reason, unknown, None)
    }
}

impl TroubleKind {
    /// Whether the server is away or asks for less, whatever was sent.
    pub fn is_of_the_server(self) -> bool {
        matches!(self, Self::Overload | Self::Unavailable | Self::Connect)
    }

    /// Whether it says little of a record that met it once: the server asked for less, or a connection ended.
    pub fn is_passing(self) -> bool {
        self.is_of_the_server() || self.is_like(Self::Broken)
    }

    /// Whether the API itself says that it breaks, behind the token and whatever stands before it.
    pub fn is_of_the_api(self) -> bool {
        self == Self::Status(500)
    }

    /// Whether both can be of one cause. Where a request is cut off, it is chance what of that is seen: the request that did not
    /// go out, the answer that broke off, or a connection that ended.
    pub fn is_like(self, other: Self) -> bool {
        let is_cut = |kind| matches!(kind, Self::NotSent | Self::Closed | Self::Broken);
        self == other || is_cut(self) && is_cut(other)
    }
}
