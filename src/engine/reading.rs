//! What an answer means (E5, E7, E8): bytes, and what the request carried, become a [`Meaning`].
//!
//! It is pure and needs nothing of the engine, so that whoever performed the attempt reads its answer, however large, before
//! anybody has to wait for it. What is to be done about it is for the engine to decide.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::limiter::LONGEST_RETRY_AFTER;
use super::record::{Fqn, Missing, Sequence};
use super::request::{Answer, Fault, Response};

/// What a request asked and carried, so that its answer can be read anywhere, without the engine.
#[derive(Debug, Clone)]
pub struct Question {
    pub(super) asked: Asked,
    /// The records of a `PUT`, or the one that a `PATCH` or a look-up is about; none for a probe.
    pub(super) rows: Vec<Carried>,
}

/// A record as far as its answer is read.
#[derive(Debug, Clone)]
pub(super) struct Carried {
    pub sequence: Sequence,
    /// Its canonical name, lower-case where the server folds case.
    pub fqn: Fqn,
    pub parent: Option<Fqn>,
    /// Every other name that it holds: a word that is part of a name is none of the server's.
    pub needs: Vec<Fqn>,
    pub body: Bytes,
}

/// What kind of request an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// A bulk `PUT`.
    Bulk,
    /// A single `PUT`.
    One,
    PatchByName,
    PatchById,
    /// A look-up, by name or by id.
    Get,
    /// Whether the server is there.
    Probe,
}

/// A meaning, on its way to the engine.
#[derive(Debug)]
pub struct Reading(pub(super) Meaning);

/// What an answer means for the request as a whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// One verdict for each carried row, with its sequence.
    Rows(Vec<(Sequence, Row)>),
    /// A single request was served; what came back of the entity.
    Done {
        id: Option<Arc<str>>,
        source_hash: Option<Arc<str>>,
    },
    /// No answer, or one that says nothing about what was sent.
    Fault(Trouble),
    /// The body is larger than the server, or something in front of it, accepts.
    TooLarge(String),
    /// What this names is not there.
    Missing(Missing, String),
    /// The server has it already.
    Exists(String),
    /// Refused for good, in these words.
    Refused(String),
    /// The token is not accepted.
    Unauthorized(String),
    /// No such endpoint. `page`: no word of the API's own, so perhaps something in front of it that speaks.
    NoRoute { page: bool, text: String },
    /// Refused whatever is sent: a proxy or an address that must be changed.
    Misdirected(String),
    /// A new token, or why there is none.
    NewToken(Result<(), String>),
}

/// A fault, and how to speak of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub kind: TroubleKind,
    pub reason: String,
    /// The attempt may have been carried out, or may still be.
    pub unknown: bool,
    /// How long the server asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// Faults that are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum TroubleKind {
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
    /// The server asks for less: 429, and 503 in its own words or with `Retry-After`.
    Overload,
    /// 503 of anybody.
    Unavailable,
    /// Another 5xx, 408, 425.
    Status(u16),
    /// A success that cannot be read.
    Unreadable,
    /// The request cannot be built: nobody's fault but the record's own.
    Unbuildable,
}

/// What the server says about one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Row {
    Written,
    /// Refused for good, in these words.
    Refused(String),
    /// It names something that is not there.
    Missing(Missing, String),
    /// It is there already, by another request.
    Duplicate(String),
    /// The server had no room for it.
    Overload(String),
    /// The server failed on it.
    ServerError(u16, String),
    /// The answer says nothing about it.
    Unanswered,
}

impl Question {
    /// The meaning of `answer`.
    #[must_use]
    pub fn read(&self, answer: &Answer) -> Reading {
        Reading(match answer {
            Answer::Response(response) => self.of_response(response),
            Answer::Fault(fault) => Meaning::Fault(of_fault(fault)),
            Answer::Token(result) => Meaning::NewToken(result.clone()),
        })
    }

    fn of_response(&self, response: &Response) -> Meaning {
        Meaning::Fault(Trouble {
            kind: TroubleKind::Status(response.status),
            reason: format!("the server answered {}", response.status),
            unknown: false,
            retry_after: response.retry_after.map(|asked| asked.min(LONGEST_RETRY_AFTER)),
        })
    }
}

fn of_fault(fault: &Fault) -> Trouble {
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
        Fault::Broken(text) => {
            let reason = format!("the connection broke before a whole answer came: {text}");
            (TroubleKind::Broken, reason, true)
        }
        Fault::ReadTimeout(text) => (TroubleKind::Silent, format!("no answer in time: {text}"), true),
    };
    Trouble {
        kind,
        reason,
        unknown,
        retry_after: None,
    }
}
