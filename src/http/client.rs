//! From [`Settings`] to a [`Client`]. The client keeps connections, the token, and whether the server has ever answered. No call is
//! made here.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::connections::Connections;
use super::fault::Destination;
use super::secrets::Secrets;
use super::settings::{self, Settings, SettingsError};
use super::tls;

/// The server closes idle connections after 60 s; those idle for longer than this are not used again.
const POOL_IDLE: Duration = Duration::from_secs(50);
/// A machine that acknowledges nothing for this long is gone. Long enough for a pause of the server's process.
const PEER_GONE: Duration = Duration::from_secs(90);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;

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
    pub(super) header: HeaderValue,
    /// What an answer to a request with it must not show.
    secrets: Secrets,
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
        let url = settings::checked_base_url(&settings.base_url)?;
        settings::check_bulk_query(&settings.bulk_query)?;
        settings::check_timeouts(settings)?;
        let mut secrets = Secrets::default();
        let mut headers = settings::checked_headers(&settings.headers)?;
        for (name, value) in &settings.headers {
            secrets.add_header(name, value);
        }
        let own_authorization = headers.contains_key(AUTHORIZATION);
        let content_type = headers.remove(CONTENT_TYPE);
        let proxy = settings.proxy.as_ref().map(settings::checked_proxy).transpose()?;
        if let Some((user, password)) = proxy.as_ref().and_then(login) {
            secrets.add_login(&user, &password);
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
                answered: AtomicBool::new(false),
                connections: Connections::default(),
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
        let header = settings::checked_token(&token)?;
        let mut secrets = self.secrets.clone();
        secrets.add_token(&token);
        let token = Arc::new(Token { header, secrets });
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
    pub(super) fn secrets<'a>(&'a self, token: Option<&'a Token>) -> &'a Secrets {
        token.map_or(&self.secrets, |token| &token.secrets)
    }
}

/// User and password of a URL, decoded.
fn login(url: &Url) -> Option<(String, String)> {
    let decoded = |text| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    Some((decoded(url.username()), decoded(url.password()?)))
}

fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}
