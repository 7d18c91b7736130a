//! What an error of the HTTP client means, and how to say it to people: what happened, to whom, and what to change where that
//! is clear. It knows neither calls nor retries.

use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::{AlertDescription, CertificateError};

use super::connections::Connections;
use super::outgoing::Progress;
use crate::engine::Fault;

/// Texts of others are cut to this many characters.
const LONGEST_TEXT: usize = 200;
/// An error with more causes than this says nothing that the first ones did not.
const DEEPEST: usize = 32;

/// What became of a request without a whole answer.
pub(super) enum Failure {
    Fault(Fault),
    /// The proxy wants to know who we are, and did not open the tunnel.
    ProxyUnauthorized,
}

/// Where an attempt was going, for the texts. Without user names and passwords.
#[derive(Debug)]
pub(super) struct Destination {
    /// `host:port` of the server.
    pub server: String,
    /// `host:port` of the proxy in between.
    pub proxy: Option<String>,
    /// Whether the proxy tunnels (TLS), or forwards requests.
    pub tunnel: bool,
    /// For the text when nobody answers.
    pub connect_timeout: std::time::Duration,
    /// Whether the server has ever answered.
    pub answered: AtomicBool,
    /// On which connections.
    pub connections: Connections,
}

const PERHAPS_NOT_LET_IN: &str = "; a server that misses or refuses a client certificate can end like this";

/// The meaning of an error that came while a request was sent, or its answer read.
pub(super) fn failure(error: &reqwest::Error, progress: &Progress, destination: &Destination) -> Failure {
    if tunnel_trouble(error).is_some_and(|trouble| trouble.contains("authorization required")) {
        return Failure::ProxyUnauthorized;
    }
    let text = destination.words(error);
    Failure::Fault(if error.is_builder() {
        Fault::Unbuildable(text)
    } else if error.is_connect() || causes(error).any(handshake_refused) {
        Fault::Connect(text)
    } else if !progress.whole() {
        Fault::NotSent(text)
    } else if ended(error) && destination.connections.was_used_before(error) {
        Fault::Closed(text)
    } else {
        Fault::Broken(text)
    })
}

impl Destination {
    fn words(&self, error: &reqwest::Error) -> String {
        let what = if error.is_dns() {
            "the host name cannot be resolved".to_owned()
        } else if let Some(words) = causes(error).filter_map(known).last() {
            let hint = if self.perhaps_not_let_in(error) {
                PERHAPS_NOT_LET_IN
            } else {
                ""
            };
            words + hint
        } else if error.is_connect() && error.is_timeout() {
            format!("no connection within {}", seconds(self.connect_timeout))
        } else {
            causes(error)
                .last()
                .map(|cause| short(&cause.to_string()))
                .unwrap_or_default()
        };
        format!("{what} ({})", self.whose(error))
    }

    /// A server that wants a client certificate says so and closes. Where our request is on its way just then, the failed
    /// write is what we hear of it; where it is not yet, only that the connection is gone.
    fn perhaps_not_let_in(&self, error: &reqwest::Error) -> bool {
        self.tunnel
            && !error.is_connect()
            && !self.answered.load(Ordering::Relaxed)
            && causes(error).any(|cause| cut_off(cause) || gone_before_the_request(cause))
    }

    /// The end that the trouble is with, as far as that can be known.
    fn whose(&self, error: &reqwest::Error) -> String {
        match &self.proxy {
            None => self.server.clone(),
            Some(proxy) if !self.tunnel || tunnel_trouble(error).is_some() => format!("proxy {proxy}"),
            Some(proxy) => format!("{} through the proxy {proxy}", self.server),
        }
    }
}

/// `10 s`, `0.3 s`.
pub(super) fn seconds(time: std::time::Duration) -> String {
    format!("{} s", (time.as_secs_f64() * 10.0).round() / 10.0)
}

/// The error and what caused it, outermost first. Unlike `source`, it does not skip what an I/O error wraps.
pub(super) fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause| cause_of(*cause)).take(DEEPEST)
}

fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

/// The other end closed the connection under a write.
fn cut_off(cause: &(dyn Error + 'static)) -> bool {
    let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset))
}

/// The connection was closed while the request still waited for it.
fn gone_before_the_request(cause: &(dyn Error + 'static)) -> bool {
    let error = cause.downcast_ref::<hyper::Error>();
    error.is_some_and(|error| error.is_canceled() || error.is_closed())
}

/// Whether the other end is gone: closed or reset. (What it had said of an answer by then is no answer.)
fn ended(error: &reqwest::Error) -> bool {
    use io::ErrorKind as Kind;
    causes(error).any(|cause| {
        let hyper = cause.downcast_ref::<hyper::Error>();
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        hyper.is_some_and(hyper::Error::is_incomplete_message)
            || matches!(
                io,
                Some(Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof)
            )
    })
}

/// The type of tunnel errors is private to the HTTP client; its texts all begin alike.
fn tunnel_trouble(error: &(dyn Error + 'static)) -> Option<String> {
    causes(error)
        .map(ToString::to_string)
        .find_map(|text| text.strip_prefix("tunnel error: ").map(str::to_owned))
}

/// The server refused us after our side of the handshake was done (TLS 1.3 checks client certificates that late): it did not
/// look at the request.
fn handshake_refused(cause: &(dyn Error + 'static)) -> bool {
    use AlertDescription as Alert;
    matches!(
        cause.downcast_ref::<rustls::Error>(),
        Some(rustls::Error::AlertReceived(
            Alert::CertificateRequired
                | Alert::NoCertificate
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::HandshakeFailure
        ))
    )
}

/// Words for a cause that says something by itself.
fn known(cause: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        return Some(tls_words(error));
    }
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        return http_words(error).map(str::to_owned);
    }
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return io_words(error);
    }
    let text = cause.to_string();
    Some(match text.strip_prefix("tunnel error: ")? {
        "unexpected end of file" => "the proxy closed the connection instead of opening a tunnel".to_owned(),
        "unsuccessful" => "the proxy refused to open a tunnel to the server".to_owned(),
        "proxy response headers too long" => "the proxy's answer is too long".to_owned(),
        _ => "the proxy opened no tunnel to the server".to_owned(),
    })
}

fn io_words(error: &io::Error) -> Option<String> {
    use io::ErrorKind as Kind;
    let words = match error.kind() {
        Kind::ConnectionRefused => "connection refused",
        Kind::ConnectionReset => "connection reset",
        Kind::ConnectionAborted | Kind::BrokenPipe | Kind::NotConnected => "connection closed",
        Kind::UnexpectedEof => "the connection was closed in the middle",
        Kind::TimedOut => "the other end no longer answers",
        Kind::HostUnreachable => "no route to the host",
        Kind::NetworkUnreachable | Kind::NetworkDown => "the network is not reachable",
        Kind::AddrNotAvailable | Kind::AddrInUse => "this machine has no free local address or port",
        // A wrapper: what it wraps says more.
        _ if error.get_ref().is_some() => return None,
        _ => return Some(short(&error.to_string())),
    };
    Some(words.to_owned())
}

fn http_words(error: &hyper::Error) -> Option<&'static str> {
    if error.is_incomplete_message() {
        Some("the connection was closed before the answer was complete")
    } else if error.is_parse() && error.to_string().contains("too large") {
        Some("the head of the answer is too large: more than 100 header lines, or about 400 kB")
    } else if error.is_parse() {
        Some("the answer is not HTTP; if the server speaks TLS, the address must begin with https://")
    } else if error.is_canceled() || error.is_closed() {
        Some("the connection was closed before the request went out")
    } else {
        None
    }
}

fn tls_words(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(why) => format!("certificate verify failed: {}", certificate_words(why)),
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server asks for a client certificate".to_owned()
        }
        rustls::Error::AlertReceived(alert) => format!("the server refused the TLS connection: {alert:?}"),
        rustls::Error::InvalidMessage(_) => {
            "the other end does not speak TLS; if that is meant to be so, the address must begin with http://"
                .to_owned()
        }
        other => short(&format!("TLS: {other}")),
    }
}

fn certificate_words(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            "unknown issuer; if it is your own CA, name a file with its certificate".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet; check this machine's clock".to_owned()
        }
        other if other.to_string().contains("CaUsedAsEndEntity") => {
            "the server presents a CA certificate as its own; give it one that is signed by that CA".to_owned()
        }
        other => short(&other.to_string()),
    }
}

/// One line of a text that is not ours.
fn short(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect();
    match line.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn causes_see_what_an_io_error_wraps() {
        let inner = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let error = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, inner));
        let words = causes(&error).filter_map(known).last().unwrap();
        assert!(
            words.starts_with("certificate verify failed: unknown issuer"),
            "{words}"
        );
    }

    #[test]
    fn texts_of_others_are_one_short_line() {
        assert_eq!(short("a\r\nb"), "a  b");
        assert_eq!(short(&"\u{e9}".repeat(300)).chars().count(), LONGEST_TEXT + 3);
    }

    #[test]
    fn times_read_well() {
        assert_eq!(seconds(Duration::from_secs(10)), "10 s");
        assert_eq!(seconds(Duration::from_millis(250)), "0.3 s");
    }
}
