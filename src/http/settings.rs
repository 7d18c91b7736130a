//! How to reach the server: the [`Settings`], and the checks of those that are text, each with an error that says what to
//! change.

use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretSlice, SecretString};

/// How to reach the server. Secrets are hidden in its `Debug`.
#[derive(Clone)]
pub struct Settings {
    /// Everything in front of `/tables/bulk`, as `http://host:8585/api/v1`; used as it is given.
    pub base_url: String,
    /// Sent with each request; of two with one name the last counts. An `Authorization` here wins over the token. What
    /// belongs to the connection (`Connection`, `Content-Length`, `Transfer-Encoding`, `Accept-Encoding`) is left out.
    pub headers: Vec<(String, SecretString)>,
    /// The query of bulk requests, without `?`; may be empty.
    pub bulk_query: String,
    /// Whose certificates are accepted.
    pub trust: Trust,
    /// Our own certificate and its private key, one after the other in PEM.
    pub identity: Option<SecretSlice<u8>>,
    /// URL of an HTTP or HTTPS proxy for all requests. The environment is not looked at.
    pub proxy: Option<SecretString>,
    /// For name resolution, TCP, the proxy and TLS together.
    pub connect_timeout: Duration,
    /// How long the server may be silent: from the end of the request to the head of the answer, and between two pieces of
    /// the body. The whole body may take four times as long.
    pub read_timeout: Duration,
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        formatter
            .debug_struct("Settings")
            .field("base_url", &without_userinfo(&self.base_url))
            .field("headers", &names)
            .field("bulk_query", &self.bulk_query)
            .field("trust", &self.trust)
            .field("identity", &self.identity)
            .field("proxy", &self.proxy)
            .field("connect_timeout", &self.connect_timeout)
            .field("read_timeout", &self.read_timeout)
            .finish()
    }
}

/// Whose certificates are accepted.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Those that this machine trusts.
    System,
    /// Those that one of these CA certificates (PEM) vouches for, and no others.
    Only(Vec<u8>),
    /// Any certificate, from anybody, also an expired one or one for another host.
    Anything,
}

/// A setting that cannot be used, and what to change. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {text}")]
pub struct SettingsError {
    setting: &'static str,
    text: String,
}

impl SettingsError {
    pub(super) fn new(setting: &'static str, text: impl Into<String>) -> Self {
        Self {
            setting,
            text: text.into(),
        }
    }

    /// The field of [`Settings`], or `token`.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        self.setting
    }

    /// What is wrong with it, and what to change.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

pub(super) fn checked_base_url(text: &str) -> Result<Url, SettingsError> {
    let refused = |why: &str| SettingsError::new("base_url", format!("{why}: give it as http://host:8585/api/v1"));
    let url = Url::parse(text).map_err(|error| refused(&format!("is not a URL ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("must not hold a user name or a password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("must not hold `?` or `#`"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(refused("names no host"));
    }
    Ok(url)
}

pub(super) fn check_bulk_query(query: &str) -> Result<(), SettingsError> {
    if query.starts_with(['?', '&']) || !query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(SettingsError::new(
            "bulk_query",
            "must be percent-encoded, without `?` in front: give it as async=false",
        ));
    }
    Ok(())
}

pub(super) fn check_timeouts(settings: &Settings) -> Result<(), SettingsError> {
    for (name, timeout) in [
        ("connect_timeout", settings.connect_timeout),
        ("read_timeout", settings.read_timeout),
    ] {
        if timeout.is_zero() {
            return Err(SettingsError::new(name, "must be more than zero"));
        }
    }
    Ok(())
}

/// The value of `Authorization`.
pub(super) fn checked_token(token: &SecretString) -> Result<HeaderValue, SettingsError> {
    let value = token.expose_secret();
    if value.is_empty() {
        return Err(SettingsError::new(
            "token",
            "is empty: give the token (jwtToken) of a bot",
        ));
    }
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SettingsError::new(
            "token",
            "has a space, a line break or another character that no token has: give the token alone, without `Bearer`",
        ));
    }
    let mut header = HeaderValue::try_from(format!("Bearer {value}"))
        .map_err(|_| SettingsError::new("token", "cannot be sent in a header: give the token alone"))?;
    header.set_sensitive(true);
    Ok(header)
}

pub(super) fn checked_headers(headers: &[(String, SecretString)]) -> Result<HeaderMap, SettingsError> {
    let mut map = HeaderMap::new();
    // Unasked, a proxy may compress the answer.
    map.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for (name, value) in headers {
        let header = HeaderName::try_from(name.as_str()).map_err(|_| {
            SettingsError::new(
                "headers",
                format!("{name:?} cannot be the name of a header: correct or remove it"),
            )
        })?;
        if [ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&header) {
            continue;
        }
        let refused = || {
            SettingsError::new(
                "headers",
                format!("the value of {name} has a character that no header may have (line break, or outside Latin-1)"),
            )
        };
        // One byte for each character, as Python's HTTP client sends them.
        let latin: Vec<u8> = (value.expose_secret().chars().map(|char| u8::try_from(char).ok()))
            .collect::<Option<_>>()
            .ok_or_else(refused)?;
        let mut value = HeaderValue::try_from(latin).map_err(|_| refused())?;
        value.set_sensitive(true);
        map.insert(header, value);
    }
    Ok(map)
}

pub(super) fn checked_proxy(text: &SecretString) -> Result<Url, SettingsError> {
    let refused = |why: &str| SettingsError::new("proxy", format!("{why}: give it as http://host:port"));
    let text = text.expose_secret();
    let url = if text.contains("://") {
        Url::parse(text)
    } else {
        // `host:port` alone would read as a scheme.
        Url::parse(&format!("http://{text}"))
    };
    let url = url.map_err(|error| refused(&format!("is not a URL ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused(&format!("{} proxies are not supported", url.scheme())));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(refused("names no host"));
    }
    Ok(url)
}

/// The text of a URL that may be wrong, without what stands before its `@`.
fn without_userinfo(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest.get(..end).and_then(|authority| authority.rfind('@')) {
        Some(at) => format!("{scheme}://***@{}", rest.get(at + 1..).unwrap_or_default()),
        None => url.to_owned(),
    }
}
