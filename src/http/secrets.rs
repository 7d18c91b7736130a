//! Secrets taken out of what a server sends back: a hostile or careless one echoes the request, and its words end up in logs.

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memmem;
use secrecy::{ExposeSecret, SecretString};

const MASK: &[u8] = b"***";
/// Shorter tokens are no secrets.
const SHORTEST: usize = 8;
/// Other values are only taken out from this length on. Shorter ones may be the name of a table as well, and an answer
/// whose names are masked cannot be matched with what was sent.
const SHORTEST_OTHER: usize = 16;
/// The names of headers whose values are secrets contain one of these.
const SECRET_NAMES: [&str; 7] = ["auth", "cookie", "token", "api-key", "apikey", "secret", "password"];

/// The secrets that one attempt sent.
#[derive(Debug, Default, Clone)]
pub(super) struct Secrets(Vec<SecretString>);

impl Secrets {
    /// Keeps the value of a header, if it is a secret by the header's name.
    pub(super) fn add_header(&mut self, name: &str, value: &SecretString) {
        let name = name.to_ascii_lowercase();
        if !SECRET_NAMES.iter().any(|part| name.contains(part)) {
            return;
        }
        let value = value.expose_secret();
        self.add_password(value);
        // `Bearer x` is echoed as x, `a=x; b=y` as x and y.
        for part in value.split([' ', ';', '=', ',']) {
            self.add_password(part);
        }
    }

    /// Keeps a password or the like, if it is long enough to be told from a name.
    pub(super) fn add_password(&mut self, value: &str) {
        self.add(value, SHORTEST_OTHER);
    }

    /// Keeps a token.
    pub(super) fn add_token(&mut self, token: &SecretString) {
        self.add(token.expose_secret(), SHORTEST);
    }

    fn add(&mut self, value: &str, shortest: usize) {
        let value = value.trim();
        if value.len() >= shortest {
            self.0.push(SecretString::from(value));
            // The longest first: a whole header before its parts.
            self.0
                .sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
        }
    }

    /// A body without them. One that was `cut` may end in the beginning of one.
    pub(super) fn redact(&self, body: Bytes, cut: bool) -> Bytes {
        let mut clean = Cow::Borrowed(&*body);
        for secret in &self.0 {
            if let Some(without) = without(&clean, secret.expose_secret().as_bytes()) {
                clean = Cow::Owned(without);
            }
        }
        if cut {
            let kept = clean.len() - self.beginning_at_end(&clean);
            match &mut clean {
                Cow::Owned(bytes) => bytes.truncate(kept),
                Cow::Borrowed(_) => return body.slice(..kept),
            }
        }
        match clean {
            Cow::Owned(bytes) => bytes.into(),
            Cow::Borrowed(_) => body,
        }
    }

    /// A text without them.
    pub(super) fn redact_text(&self, text: String) -> String {
        let clean = self.redact(Bytes::from(text), false);
        String::from_utf8_lossy(&clean).into_owned()
    }

    fn beginning_at_end(&self, body: &[u8]) -> usize {
        self.0
            .iter()
            .map(|secret| secret.expose_secret().as_bytes())
            .filter_map(|secret| {
                (SHORTEST..=secret.len().min(body.len()))
                    .rev()
                    .find(|length| secret.get(..*length).is_some_and(|beginning| body.ends_with(beginning)))
            })
            .max()
            .unwrap_or_default()
    }
}

fn without(body: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
    let finder = memmem::Finder::new(secret);
    let mut clean = Vec::new();
    let mut rest = body;
    while let Some((before, after)) = finder
        .find(rest)
        .and_then(|at| Some((rest.get(..at)?, rest.get(at + secret.len()..)?)))
    {
        clean.extend_from_slice(before);
        clean.extend_from_slice(MASK);
        rest = after;
    }
    if clean.is_empty() {
        return None;
    }
    clean.extend_from_slice(rest);
    Some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add_token(&SecretString::from("eyJhbGciOi.payload.signature"));
        secrets.add_header("Cookie", &SecretString::from("sid=0123456789abcdef; theme=dark"));
        secrets.add_header("Authorization", &SecretString::from("Basic dXNlcjpwYXNzd29y"));
        secrets.add_header("User-Agent", &SecretString::from("an ordinary text"));
        secrets
    }

    #[test]
    fn every_occurrence_goes_and_nothing_else() {
        let echoed =
            "got eyJhbGciOi.payload.signature, eyJhbGciOi.payload.signature, Basic dXNlcjpwYXNzd29y, dXNlcjpwYXNzd29y, \
                      0123456789abcdef by an ordinary text, theme=dark";
        assert_eq!(
            secrets().redact_text(echoed.to_owned()),
            "got ***, ***, ***, ***, *** by an ordinary text, theme=dark"
        );
    }

    #[test]
    fn a_clean_body_is_not_copied() {
        let body = Bytes::from_static(b"{\"status\":\"success\"}");
        let clean = secrets().redact(body.clone(), true);
        assert_eq!(clean.as_ptr(), body.as_ptr());
        assert_eq!(clean, body);
    }

    #[test]
    fn the_beginning_of_a_secret_at_a_cut_goes_too() {
        let clean = secrets().redact(Bytes::from_static(b"you sent eyJhbGciOi.pay"), true);
        assert_eq!(clean, &b"you sent "[..]);
        let short = Bytes::from_static(b"you sent eyJ");
        assert_eq!(secrets().redact(short.clone(), true), short);
    }

    #[test]
    fn what_may_be_a_name_stays() {
        let mut secrets = Secrets::default();
        secrets.add_token(&SecretString::from("name"));
        secrets.add_header("X-Auth-User", &SecretString::from("warehouse"));
        secrets.add_header("Cookie", &SecretString::from("theme=dashboards"));
        secrets.add_password("analytics");
        let answer = "{\"name\":\"warehouse.analytics.dashboards\"}";
        assert_eq!(secrets.redact_text(answer.to_owned()), answer);
    }

    #[test]
    fn debug_shows_none() {
        assert!(!format!("{:?}", secrets()).contains("payload"));
    }
}
