//! Secrets taken out of what a server sends back: a hostile or careless one echoes the request, and its words end up in logs.
//!
//! An echo may be written in another way than what was sent: percent-encoded, inside of JSON or HTML, or as Base64, alone or as part
//! of more. So a secret is looked for by the longest run of letters and digits in it, which all but Base64 leave alone, and what
//! stands around that run is compared character by character in any spelling (`spelling.rs`); Base64 has three spellings of each
//! text, by where it starts. Either may be broken up by what is not seen (`broken_up.rs`).

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memmem;
use secrecy::{ExposeSecret, SecretString};

use super::broken_up::{may_hold, Seen};
use super::spelling;

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
pub(super) struct Secrets(Vec<Secret>);

#[derive(Debug, Clone)]
struct Secret {
    plain: SecretString,
    /// Parts of it in Base64, which hold in whatever it is a part of.
    base64: Vec<SecretString>,
}

impl Secrets {
    /// Keeps the value of a header, if it is a secret by the header's name.
    pub(super) fn add_header(&mut self, name: &str, value: &SecretString) {
        let name = name.to_ascii_lowercase();
        if !SECRET_NAMES.iter().any(|part| name.contains(part)) {
            return;
        }
        let value = value.expose_secret();
        self.add_password(value);
        if let Some((scheme, credentials)) = value.split_once(' ').filter(|_| name.contains("auth")) {
            self.add(credentials, SHORTEST);
            if scheme.eq_ignore_ascii_case("basic") {
                if let Some((user, password)) = spelling::from_base64(credentials.trim())
                    .as_deref()
                    .and_then(|both| both.split_once(':'))
                {
                    self.add_login(user, password);
                }
            }
        }
        // `Bearer x` is echoed as x, `a=x; b=y` as x and y.
        for part in value.split([' ', ';', '=', ',']) {
            self.add_password(part);
        }
    }

    /// Keeps a password, alone and as it is sent with its user (`Basic`).
    pub(super) fn add_login(&mut self, user: &str, password: &str) {
        self.add(&spelling::base64(format!("{user}:{password}").as_bytes()), SHORTEST);
        self.add_password(password);
    }

    /// Keeps a password or the like, if it is long enough to be told from a name.
    fn add_password(&mut self, value: &str) {
        self.add(value, SHORTEST_OTHER);
    }

    /// Keeps a token.
    pub(super) fn add_token(&mut self, token: &SecretString) {
        self.add(token.expose_secret(), SHORTEST);
    }

    fn add(&mut self, value: &str, shortest: usize) {
        let value = value.trim();
        if value.len() >= shortest {
            self.insert(Secret {
                plain: SecretString::from(value),
                base64: spelling::inside_base64(value.as_bytes())
                    .into_iter()
                    .filter(|part| part.len() >= SHORTEST)
                    .map(SecretString::from)
                    .collect(),
            });
        }
    }

    /// The longest first: a whole header before its parts.
    fn insert(&mut self, secret: Secret) {
        let length = |secret: &Secret| secret.plain.expose_secret().len();
        let at = self.0.partition_point(|other| length(other) >= length(&secret));
        self.0.insert(at, secret);
    }

    /// A body without them. One that was `cut` may end in the beginning of one.
    pub(super) fn redact(&self, body: Bytes, cut: bool) -> Bytes {
        let mut clean = Cow::Borrowed(&*body);
        let letters = !self.0.is_empty() && spelling::spells_letters(&body);
        for secret in &self.0 {
            let plain = secret.plain.expose_secret();
            if let Some(without) = without(&clean, |rest| spelling::find(rest, plain, letters)) {
                clean = Cow::Owned(without);
            }
            for part in &secret.base64 {
                let part = part.expose_secret().as_bytes();
                let find = |rest: &[u8]| memmem::find(rest, part).map(|at| at..at + part.len());
                if let Some(without) = without(&clean, |rest| {
                    find(rest).map(|found| spelling::whole_base64(rest, found))
                }) {
                    clean = Cow::Owned(without);
                }
            }
        }
        if let Some(without) = self.without_broken_up(&clean) {
            clean = Cow::Owned(without);
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

    /// All texts that must not be shown: the secrets, and what their Base64 holds.
    fn texts(&self) -> impl Iterator<Item = &str> {
        let secrets = self.0.iter();
        secrets
            .flat_map(|secret| std::iter::once(&secret.plain).chain(&secret.base64))
            .map(ExposeSecret::expose_secret)
    }

    /// The body without those that are broken up; None where there are none.
    fn without_broken_up(&self, body: &[u8]) -> Option<Vec<u8>> {
        if !may_hold(body, self.texts()) {
            return None;
        }
        let seen = Seen::of(body);
        let mut found: Vec<_> = self
            .texts()
            .flat_map(|text| seen.find(&Seen::of(text.as_bytes())))
            .collect();
        found.sort_unstable_by_key(|range| range.start);
        let mut clean = Vec::with_capacity(body.len());
        let mut from = 0;
        for range in &found {
            if range.start >= from {
                clean.extend_from_slice(body.get(from..range.start)?);
                clean.extend_from_slice(MASK);
            }
            from = from.max(range.end);
        }
        clean.extend_from_slice(body.get(from..)?);
        (!found.is_empty()).then_some(clean)
    }

    /// How many bytes at the end of a body are the beginning of a secret, in any spelling.
    fn beginning_at_end(&self, body: &[u8]) -> usize {
        let ends = self
            .texts()
            .map(|text| spelling::beginning_at_end(body, text, SHORTEST));
        ends.max().unwrap_or_default()
    }
}

/// The body with a mask for each part that `find` finds; None where it finds none.
fn without(body: &[u8], find: impl Fn(&[u8]) -> Option<std::ops::Range<usize>>) -> Option<Vec<u8>> {
    let mut clean = Vec::new();
    let mut rest = body;
    while let Some((before, after)) =
        find(rest).and_then(|found| Some((rest.get(..found.start)?, rest.get(found.end..)?)))
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
        secrets.add_login("proxy-user", "a \"long\"/pass+wörd&more");
        secrets
    }

    fn redacted(text: &str) -> String {
        secrets().redact_text(text.to_owned())
    }

    #[test]
    fn every_occurrence_goes_and_nothing_else() {
        let echoed =
            "got eyJhbGciOi.payload.signature, eyJhbGciOi.payload.signature, Basic dXNlcjpwYXNzd29y, dXNlcjpwYXNzd29y, \
                      0123456789abcdef by an ordinary text, theme=dark";
        assert_eq!(
            redacted(echoed),
            "got ***, ***, ***, ***, *** by an ordinary text, theme=dark"
        );
    }

    #[test]
    fn a_secret_goes_in_whatever_way_it_is_written() {
        for spelt in [
            r#"a "long"/pass+wörd&more"#,
            r#"a \"long\"\/pass+w\u00f6rd&more"#,
            r#"a \\\"long\\\"/pass+w\\u00f6rd\u0026more"#,
            "a%20%22long%22%2Fpass%2Bw%C3%B6rd%26more",
            "a+%22long%22/pass%2bw%c3%b6rd%26more",
            "a%2520%2522long%2522%252Fpass%252Bw%25C3%25B6rd%2526more",
            "a &quot;long&quot;/pass+w&ouml;rd&amp;more",
            "a &#34;long&#x22;&#x2F;pass&#43;w&#246;rd&amp;more",
        ] {
            assert_eq!(
                redacted(&format!("sent: {spelt}, it was")),
                "sent: ***, it was",
                "{spelt}"
            );
        }
        assert_eq!(redacted("eyJhbGciOi%2Epayload%2Esignature!"), "***!");
        let token = "eyJhbGciOi.payload.signature";
        let each = |spell: fn(char) -> String| token.chars().map(spell).collect::<String>();
        for spelt in [
            each(|char| format!("\\u{:04x}", u32::from(char))),
            each(|char| format!("\\\\u{:04X}", u32::from(char))),
            each(|char| format!("%{:02x}", u32::from(char))),
            each(|char| format!("&#{};", u32::from(char))),
            each(|char| format!("&#x{:X};", u32::from(char))),
            each(|char| {
                if char == 'a' {
                    "\\u0061".to_owned()
                } else {
                    char.to_string()
                }
            }),
        ] {
            assert_eq!(
                redacted(&format!("sent: {spelt}, it was")),
                "sent: ***, it was",
                "{spelt}"
            );
        }
    }

    #[test]
    fn a_secret_goes_as_a_part_of_any_base64() {
        for (before, after) in [
            ("", ""),
            ("x", ""),
            ("xy", "z"),
            ("Bearer ", "\r\nHost: a"),
            ("proxy-user:", ""),
        ] {
            for secret in ["eyJhbGciOi.payload.signature", "a \"long\"/pass+wörd&more"] {
                let base64 = spelling::base64(format!("{before}{secret}{after}").as_bytes());
                for echoed in [
                    base64.clone(),
                    base64.replace('+', "-").replace('/', "_"),
                    base64.replace('=', ""),
                ] {
                    let clean = redacted(&format!("got \"{echoed}\" from you"));
                    assert_eq!(clean, "got \"***\" from you", "{before:?} {secret} {after:?}");
                }
            }
        }
    }

    #[test]
    fn a_short_password_goes_with_its_user() {
        let mut secrets = Secrets::default();
        secrets.add_login("me", "lake");
        secrets.add_header("Authorization", &SecretString::from("Basic eW91OnNlYQ=="));
        let echoed = "Basic bWU6bGFrZQ== and Basic eW91OnNlYQ== for lake and sea".to_owned();
        assert_eq!(secrets.redact_text(echoed), "Basic *** and *** for lake and sea");
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
        for spelt in [
            "%65%79%4a%68%62%47%63%69%4f%69%2e%70%6",
            "\\u0065\\u0079\\u004a\\u0068\\u0062\\u0047\\u0063\\u0069\\u00",
            "eyJhbGciOi%2Epa",
        ] {
            let clean = secrets().redact(Bytes::from(format!("you sent {spelt}")), true);
            assert_eq!(clean, &b"you sent "[..], "{spelt}");
        }
    }

    #[test]
    fn a_secret_goes_where_it_is_broken_up() {
        let mail = |text: &str| {
            let lines: Vec<String> = text
                .as_bytes()
                .chunks(20)
                .map(|line| String::from_utf8_lossy(line).into())
                .collect();
            lines.join("\r\n")
        };
        for broken in [
            "eyJhbGciOi.<wbr>payload.<wbr>signature".to_owned(),
            "eyJhbGciOi.\\npayload.signature".to_owned(),
            "eyJhbG\u{ad}ciOi.payload.signature".to_owned(),
            "eyJhbGciOi.payload.signature"
                .chars()
                .flat_map(|char| [char, '\0'])
                .collect(),
            mail(&spelling::base64(b"Authorization: Bearer eyJhbGciOi.payload.signature")),
        ] {
            let clean = redacted(&format!("sent: {broken} it was"));
            assert!(
                clean.starts_with("sent: ") && clean.ends_with(" it was") && clean.contains("***"),
                "{clean}"
            );
            let seen: String = clean
                .chars()
                .filter(|char| !char.is_whitespace() && *char != '\0')
                .collect();
            assert!(!seen.contains("payload") && !seen.contains("cGF5bG9hZ"), "{clean}");
        }
    }

    #[test]
    fn what_may_be_a_name_stays() {
        let mut secrets = Secrets::default();
        secrets.add_token(&SecretString::from("name"));
        secrets.add_header("X-Auth-User", &SecretString::from("warehouse"));
        secrets.add_header("Cookie", &SecretString::from("theme=dashboards"));
        secrets.add_login("lake", "analytics");
        let answer = "{\"name\":\"warehouse.analytics.dashboards\"}";
        assert_eq!(secrets.redact_text(answer.to_owned()), answer);
    }

    #[test]
    fn debug_shows_none() {
        assert!(!format!("{:?}", secrets()).contains("payload"));
    }
}
