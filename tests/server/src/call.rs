//! One request as the handlers see it: method, target, query, the few headers that matter, the body. No connection.

use bytes::Bytes;
use serde_json::Value;

use crate::config::Profile;
use crate::reply::Refusal;
use crate::route::Target;

/// One request.
#[derive(Clone)]
pub struct Call {
    /// The method.
    pub method: String,
    /// The path, without the query, as it came.
    pub path: String,
    /// The query, decoded.
    pub parameters: Vec<(String, String)>,
    /// What is asked for.
    pub target: Target,
    /// `If-Match`.
    pub if_match: Option<String>,
    /// The body, decompressed.
    pub body: Bytes,
    /// The release line.
    pub profile: Profile,
}

impl Call {
    /// A query parameter.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// A query parameter that is `true`.
    pub fn flag(&self, name: &str) -> bool {
        self.query(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The body as JSON.
    pub fn body_json(&self) -> Result<Value, Refusal> {
        serde_json::from_slice(&self.body).map_err(|error| Refusal::bad(format!("Invalid request format: {error}")))
    }
}
