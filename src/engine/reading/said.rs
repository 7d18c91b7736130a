//! What an answer that is no success says, and who speaks: the API, or something in front of it.

use super::page;
use super::words::shorten;
use super::Rebuff;
use crate::engine::request::Response;
use crate::engine::shallow::{field, fields, number, text};

/// What an answer that is no success says.
pub(super) struct Said {
    pub words: String,
    /// Whether the API itself speaks: all of its errors name their code.
    pub own: bool,
}

impl Said {
    pub fn of(body: &str) -> Self {
        let Some(fields) = fields(body) else {
            return Self {
                words: page::first_words(body.as_bytes()),
                own: false,
            };
        };
        let word = |name: &&str| field(&fields, name).and_then(text).filter(|word| !word.is_empty());
        let words = ["message", "responseMessage", "error", "errorMessage", "detail", "title"]
            .iter()
            .find_map(word);
        Self {
            own: field(&fields, "code").and_then(number).is_some(),
            words: words.unwrap_or_else(|| match fields.as_slice() {
                [] => String::new(),
                _ => page::first_words(body.as_bytes()),
            }),
        }
    }

    /// The words with the status.
    pub fn text(&self, response: &Response) -> String {
        let status = response.status;
        let hint = match status {
            413 => "; the body is larger than the server or a proxy in front of it accepts",
            _ => "",
        };
        if self.words.is_empty() {
            format!("the server answered {status}{hint}")
        } else {
            format!("the server answered {status}: {}{hint}", shorten(&self.words))
        }
    }

    pub fn rebuff(&self, response: &Response) -> Rebuff {
        let advice = match response.status {
            401 => "the server does not accept the token: renew it (jwtToken), or check that it belongs to this server",
            407 => "the proxy wants credentials: put them into the proxy's URL",
            _ => "the server redirects: set hostPort to the address it points to, with /api at the end",
        };
        Rebuff {
            said: self.text(response),
            advice,
            is_of_token: response.status == 401,
        }
    }
}
