//! The values that cross the border between policy and I/O: what to ask the server, and what came back.
//!
//! A [`Request`] is one attempt; whoever performs it gives back one [`Answer`]. Neither side keeps state for the other.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::reading::{Question, Reading};

/// Names one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// One attempt, to be performed now.
#[derive(Debug, Clone)]
pub struct Request {
    /// To be given back with the answer.
    pub id: RequestId,
    /// What to do.
    pub call: Call,
    /// What it asks, for reading its answer.
    pub(super) question: Question,
}

impl Request {
    /// What an answer to it means. It needs nothing of the engine, and takes long for a large answer.
    #[must_use]
    pub fn read(&self, answer: &Answer) -> Reading {
        self.question.read(answer)
    }
}

/// The few calls that the engine makes.
#[derive(Debug, Clone)]
pub enum Call {
    /// `PUT /{collection}/bulk` with an array of create requests.
    PutBulk {
        /// Path of the collection.
        collection: Arc<str>,
        /// One create request each.
        rows: Vec<Bytes>,
        /// Whether the body goes compressed.
        gzip: bool,
    },
    /// `PUT /{collection}` with one create request.
    PutOne {
        /// Path of the collection.
        collection: Arc<str>,
        /// The create request.
        row: Bytes,
    },
    /// `PATCH` of one entity with one `add /lifeCycle`.
    PatchLifeCycle {
        /// Path of the collection.
        collection: Arc<str>,
        /// Which entity.
        entity: Entity,
        /// The life cycle.
        life_cycle: Bytes,
    },
    /// `GET /{collection}/name/{fqn}`.
    Get {
        /// Path of the collection.
        collection: Arc<str>,
        /// The canonical FQN.
        fqn: Arc<str>,
        /// The `fields` parameter; empty for none.
        fields: &'static str,
    },
    /// `GET /system/version`, within 10 s: is the server there?
    Probe,
    /// Ask the caller for a new token; no request to the server.
    RenewToken,
}

/// How a `PATCH` names its entity.
#[derive(Debug, Clone)]
pub enum Entity {
    /// By canonical FQN.
    Name(Arc<str>),
    /// By id.
    Id(Arc<str>),
}

/// What came of one attempt.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The server, or something in front of it, answered.
    Response(Response),
    /// No whole answer came.
    Fault(Fault),
    /// [`Call::RenewToken`] is done; the text says why no token came.
    Token(Result<(), String>),
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// How long the server asks to be left alone (`Retry-After`, in seconds or as a date).
    pub retry_after: Option<Duration>,
    /// The body, decoded.
    pub body: Bytes,
}

/// Why there is no whole answer. The texts are for people and hold no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// No connection: refused, unreachable, TLS or proxy handshake failed. The request was not sent.
    Connect(String),
    /// No answer within the read time-out. The server may still be at work.
    ReadTimeout(String),
    /// The connection broke before the whole request was out.
    NotSent(String),
    /// A connection that had been used before ended after the request went out, without an answer. Most likely the server closed
    /// it while it was idle and never saw the request; for certain nobody knows.
    Closed(String),
    /// The connection broke, or the answer was cut short, after the request went out: the result is unknown.
    Broken(String),
    /// No request can be made of the call: something in the record cannot be part of one.
    Unbuildable(String),
}

impl Fault {
    /// The words.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Connect(text)
            | Self::ReadTimeout(text)
            | Self::NotSent(text)
            | Self::Closed(text)
            | Self::Broken(text)
            | Self::Unbuildable(text) => text,
        }
    }

    /// The same fault in other words.
    #[must_use]
    pub fn map_text(self, change: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Connect(text) => Self::Connect(change(text)),
            Self::ReadTimeout(text) => Self::ReadTimeout(change(text)),
            Self::NotSent(text) => Self::NotSent(change(text)),
            Self::Closed(text) => Self::Closed(change(text)),
            Self::Broken(text) => Self::Broken(change(text)),
            Self::Unbuildable(text) => Self::Unbuildable(change(text)),
        }
    }
}
