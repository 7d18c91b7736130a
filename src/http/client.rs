//! From [`Settings`] to a [`Client`]: each setting is checked where it is given, with a text that says what to change. The
//! client keeps connections and the token, and nothing else. No call is made here but the probe of the server's version.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use super::fault::Destination;
use super::secrets::Secrets;
use super::tls::{self, Trust};

/// The server closes idle connections after 60 s; those idle for longer than this are not used again.
const POOL_IDLE: Duration = Duration::from_secs(50);
/// A machine that acknowledges nothing for this long is gone. Long enough for a pause of the server's process.
const PEER_GONE: Duration = Duration::from_secs(90);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;

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

/// Why the server's version could not be learned. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// No whole answer.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// An answer with a status that is not a success.
    #[error("the server answered {status}: {text}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What that may mean.
        text: String,
    },
    /// A success that no OpenMetadata server gives.
    #[error("this does not look like the API of an OpenMetadata server: {0}")]
    Foreign(String),
}

/// A token, checked and ready to be sent.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) value: SecretString,
    pub(super) header: HeaderValue,
}

/// Performs calls, one HTTP request each. Shared by all tasks; connections are kept and used again.
pub struct Client {
    pub(super) http: reqwest::Client,
    pub(super) base_url: String,
    pub(super) bulk_query: String,
    pub(super) destination: Destination,
    /// The settings' own `Content-type`, which counts for `PUT`.
    pub(super) content_type: Option<HeaderValue>,
    pub(super) connect_timeout: Duration,
    pub(super) read_timeout: Duration,
    secrets: Secrets,
    own_authorization: bool,
    token: RwLock<Option<Arc<Token>>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("base_url", &self.base_url)
            .field("proxy", &self.destination.proxy)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Checks the settings; opens no connection.
    pub fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let url = checked_base_url(&settings.base_url)?;
        check_bulk_query(&settings.bulk_query)?;
        for (name, timeout) in [
            ("connect_timeout", settings.connect_timeout),
            ("read_timeout", settings.read_timeout),
        ] {
            if timeout.is_zero() {
                return Err(SettingsError::new(name, "must be more than zero"));
            }
        }
        let mut secrets = Secrets::default();
        let mut headers = checked_headers(&settings.headers)?;
        for (name, value) in &settings.headers {
            secrets.add_header(name, value);
        }
        let own_authorization = headers.contains_key(AUTHORIZATION);
        let content_type = headers.remove(CONTENT_TYPE);
        let proxy = settings.proxy.as_ref().map(checked_proxy).transpose()?;
        if let Some(password) = proxy.as_ref().and_then(Url::password) {
            secrets.add_password(password);
            secrets.add_password(&percent_encoding::percent_decode_str(password).decode_utf8_lossy());
        }

        let speaks_tls = url.scheme() == "https" || proxy.as_ref().is_some_and(|proxy| proxy.scheme() == "https");
        let tls = if speaks_tls {
            let identity = settings.identity.as_ref().map(ExposeSecret::expose_secret);
            tls::configuration(&settings.trust, identity)?
        } else {
            // A machine without CA certificates can talk http all the same.
            tls::unused()?
        };

        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .default_headers(headers)
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(settings.connect_timeout)
            .pool_idle_timeout(POOL_IDLE)
            .tcp_nodelay(true)
            .tcp_keepalive(KEEPALIVE_IDLE)
            .tcp_keepalive_interval(KEEPALIVE_INTERVAL)
            .tcp_keepalive_retries(KEEPALIVE_PROBES)
            // First: it also forgets the proxies named before it.
            .no_proxy();
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            builder = builder.tcp_user_timeout(PEER_GONE);
        }
        if let Some(proxy) = &proxy {
            let proxy = reqwest::Proxy::all(proxy.clone())
                .map_err(|_| SettingsError::new("proxy", "is not a usable URL: give one as http://host:port"))?;
            builder = builder.proxy(proxy);
        }
        let http = builder.build().map_err(|error| {
            let error = error.without_url();
            SettingsError::new("settings", format!("the HTTP client cannot be set up: {error}"))
        })?;

        Ok(Self {
            http,
            base_url: settings.base_url.clone(),
            bulk_query: settings.bulk_query.clone(),
            destination: Destination {
                server: host_and_port(&url),
                proxy: proxy.as_ref().map(host_and_port),
                tunnel: url.scheme() == "https",
                connect_timeout: settings.connect_timeout,
            },
            content_type,
            connect_timeout: settings.connect_timeout,
            read_timeout: settings.read_timeout,
            secrets,
            own_authorization,
            token: RwLock::new(None),
        })
    }

    /// The token that requests carry from now on, as `Authorization: Bearer ...`, unless the settings' headers have an
    /// `Authorization` of their own.
    pub fn set_token(&self, token: SecretString) -> Result<(), SettingsError> {
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
        let token = Arc::new(Token { value: token, header });
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = Some(token);
        Ok(())
    }

    /// The token to send; None where the settings' own header is used.
    pub(super) fn token(&self) -> Option<Arc<Token>> {
        if self.own_authorization {
            return None;
        }
        self.token.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What an answer to a request with this token must not show.
    pub(super) fn secrets(&self, token: Option<&Token>) -> Secrets {
        let mut secrets = self.secrets.clone();
        if let Some(token) = token {
            secrets.add_token(&token.value);
        }
        secrets
    }
}

fn checked_base_url(text: &str) -> Result<Url, SettingsError> {
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

fn check_bulk_query(query: &str) -> Result<(), SettingsError> {
    if query.starts_with(['?', '&']) || !query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(SettingsError::new(
            "bulk_query",
            "must be percent-encoded, without `?` in front: give it as async=false",
        ));
    }
    Ok(())
}

fn checked_headers(headers: &[(String, SecretString)]) -> Result<HeaderMap, SettingsError> {
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

fn checked_proxy(text: &SecretString) -> Result<Url, SettingsError> {
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

fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
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
