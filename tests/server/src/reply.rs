//! What a request is answered with, before it becomes bytes on a connection. Knows the server's form of an error.

use bytes::Bytes;
use serde_json::{json, Value};

/// A status, headers and a body.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Headers besides content length, content type and connection.
    pub headers: Vec<(String, String)>,
    /// The media type.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// A JSON answer.
    pub fn json(status: u16, value: &Value) -> Self {
        Reply {
            status,
            headers: Vec::new(),
            content_type: "application/json",
            body: serde_json::to_vec(value).unwrap_or_default().into(),
        }
    }

    /// A JSON answer with status 200.
    pub fn ok(value: &Value) -> Self {
        Reply::json(200, value)
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Reply {
            status,
            headers: Vec::new(),
            content_type: "application/json",
            body: Bytes::new(),
        }
    }

    /// An answer of text.
    pub fn text(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Reply {
            status,
            headers: Vec::new(),
            content_type,
            body: body.into(),
        }
    }

    /// An error in the server's form.
    pub fn error(status: u16, message: &str) -> Self {
        let mut reply = Reply::json(status, &json!({"code": status, "message": message}));
        reply
            .headers
            .push(("WWW-Authenticate".to_string(), "om-auth".to_string()));
        reply
    }

    /// The same with one more header.
    pub fn with_header(mut self, name: &str, value: String) -> Self {
        self.headers.push((name.to_string(), value));
        self
    }
}

/// Why a request, or a row of one, is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The status of a request that does nothing else.
    pub status: u16,
    /// The text.
    pub message: String,
    /// Whether the refusal happened while storing: then a bulk answer names the row by its FQN and does not echo it.
    pub while_storing: bool,
}

impl Refusal {
    /// A refusal with a status and a text.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Refusal {
            status,
            message: message.into(),
            while_storing: false,
        }
    }

    /// Something is wrong with the request itself.
    pub fn bad(message: impl Into<String>) -> Self {
        Refusal::new(400, message)
    }

    /// Something named does not exist.
    pub fn not_found(entity_type: &str, name: &str) -> Self {
        Refusal::new(404, format!("{entity_type} instance for {name} not found"))
    }

    /// The same, found out while storing.
    pub fn while_storing(mut self) -> Self {
        self.while_storing = true;
        self
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Reply::error(refusal.status, &refusal.message)
    }
}
