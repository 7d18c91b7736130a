//! One [`Call`] becomes one HTTP request and one [`Answer`], within bounds of time and memory. What a status means is decided
//! elsewhere; so is whether to try again.
//!
//! Bounds, so that no server can hold us for ever or fill our memory:
//!
//! | what | bound |
//! |---|---|
//! | the connection, with TLS and proxy | `connect_timeout` |
//! | silence while the request is sent, and until the head of the answer is complete | `read_timeout` |
//! | silence between two pieces of the body | `read_timeout` |
//! | the whole body | four times `read_timeout` |
//! | a probe of the engine, altogether | 10 s |
//! | head of the answer | 100 header lines, about 400 kB (hyper's own) |
//! | body of a success | 64 MiB, and twice the request (a server may echo what it got) |
//! | body of anything else | 1 MiB, the rest is not read: it is there for its words |

use std::io::{Read, Write};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use flate2::{read::MultiGzDecoder, write::GzEncoder, Compression};
use percent_encoding::{utf8_percent_encode, AsciiSet, NON_ALPHANUMERIC};
use reqwest::header::{HeaderValue, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::Method;
use serde_json::Value;
use tokio::time::{timeout_at, Instant};

use super::client::{Client, ProbeError};
use super::fault::{failure, seconds, Failure};
use super::outgoing::{Outgoing, Progress};
use super::retry_after::retry_after;
use super::secrets::Secrets;
use crate::engine::{Answer, Call, Entity, Fault, Response};

const LARGEST_ANSWER: u64 = 64 << 20;
const LARGEST_ERROR: u64 = 1 << 20;
/// A server that is there says so within this.
const PROBE: Duration = Duration::from_secs(10);
/// The whole body may take as many read time-outs.
const BODY_READS: u32 = 4;

/// What Python's `quote(fqn, safe="")` leaves as it is.
const IN_NAMES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~');

/// A call, spelled out for HTTP.
struct Message {
    method: Method,
    /// Path and query behind the base URL.
    path: String,
    content_type: Option<HeaderValue>,
    /// Whether the body goes compressed.
    gzip: bool,
    /// Its pieces, one after the other.
    body: Vec<Bytes>,
}

/// The body of an answer, or as much of it as came.
struct Body {
    bytes: Bytes,
    /// Why it is not whole.
    broken: Option<Fault>,
}

impl Client {
    /// One attempt. Every outcome is a value, also of a call that cannot be made; [`Call::RenewToken`] is none of ours.
    pub async fn perform(&self, call: &Call) -> Answer {
        let result = match self.message(call) {
            Ok(message) if matches!(call, Call::Probe) => self.exchange_within(message, PROBE).await,
            Ok(message) => self.exchange(message).await,
            Err(why) => Err(Fault::Unbuildable(why)),
        };
        match result {
            Ok(response) => Answer::Response(response),
            Err(fault) => Answer::Fault(fault),
        }
    }

    /// The server's version, by `GET /system/version`, within `timeout`.
    pub async fn server_version(&self, timeout: Duration) -> Result<String, ProbeError> {
        let response = self.exchange_within(probe(), timeout).await;
        version_in(&response.map_err(|fault| ProbeError::Unreachable(fault.text().to_owned()))?)
    }

    /// An exchange that is over after `timeout`, whatever the settings say.
    async fn exchange_within(&self, message: Message, timeout: Duration) -> Result<Response, Fault> {
        let exchange = tokio::time::timeout(timeout, self.exchange(message));
        exchange.await.unwrap_or_else(|_| {
            Err(Fault::ReadTimeout(format!(
                "no answer within {} ({})",
                seconds(timeout),
                self.destination.server
            )))
        })
    }

    fn message(&self, call: &Call) -> Result<Message, String> {
        let json = || {
            self.content_type
                .clone()
                .or(Some(HeaderValue::from_static("application/json")))
        };
        Ok(match call {
            Call::PutBulk { collection, rows, gzip } => Message {
                method: Method::PUT,
                path: match self.bulk_query.as_str() {
                    "" => format!("/{collection}/bulk"),
                    query => format!("/{collection}/bulk?{query}"),
                },
                content_type: json(),
                gzip: *gzip,
                body: array(rows),
            },
            Call::PutOne { collection, row } => Message {
                method: Method::PUT,
                path: format!("/{collection}"),
                content_type: json(),
                gzip: false,
                body: vec![row.clone()],
            },
            Call::PatchLifeCycle {
                collection,
                entity,
                life_cycle,
            } => Message {
                method: Method::PATCH,
                path: match entity {
                    Entity::Name(fqn) => format!("/{collection}/name/{}", segment(fqn)?),
                    Entity::Id(id) => format!("/{collection}/{}", segment(id)?),
                },
                content_type: Some(HeaderValue::from_static("application/json-patch+json")),
                gzip: false,
                body: add_life_cycle(life_cycle),
            },
            Call::Get {
                collection,
                fqn,
                fields,
            } => Message {
                method: Method::GET,
                path: match *fields {
                    "" => format!("/{collection}/name/{}", segment(fqn)?),
                    fields => format!("/{collection}/name/{}?fields={fields}", segment(fqn)?),
                },
                content_type: None,
                gzip: false,
                body: Vec::new(),
            },
            Call::Probe => probe(),
            Call::RenewToken => return Err("a token is renewed by whoever gave it, not by a request".to_owned()),
        })
    }

    async fn exchange(&self, message: Message) -> Result<Response, Fault> {
        let token = self.token();
        let secrets = self.secrets(token.as_deref());
        let progress = Arc::new(Progress::default());
        let length: usize = message.body.iter().map(Bytes::len).sum();
        let largest = LARGEST_ANSWER.saturating_add(2 * length as u64);
        let body = if message.gzip {
            vec![compressed(&message.body, length)]
        } else {
            message.body
        };
        let body = Outgoing::new(body, Arc::clone(&progress));

        let mut request = self
            .http
            .request(message.method, format!("{}{}", self.base_url, message.path));
        if let Some(content_type) = message.content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        if let Some(token) = &token {
            request = request.header(AUTHORIZATION, token.header.clone());
        }
        if message.gzip {
            request = request.header(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let request = request.body(reqwest::Body::wrap(body));

        match self.head(request, &progress).await {
            Ok(response) => {
                self.destination.answered.store(true, Ordering::Relaxed);
                self.destination.connections.answered(&response);
                self.rest(response, &progress, secrets, largest).await
            }
            Err(Failure::ProxyUnauthorized) => Ok(Response {
                status: 407,
                retry_after: None,
                body: Bytes::new(),
            }),
            Err(Failure::Fault(fault)) => Err(fault),
        }
        .map_err(|fault| fault.map_text(|text| secrets.redact_text(text)))
    }

    /// Sends the request and waits for the head of the answer. The time-out starts anew with each piece of the request that
    /// the connection takes.
    async fn head(&self, request: reqwest::RequestBuilder, progress: &Progress) -> Result<reqwest::Response, Failure> {
        let begun = Instant::now();
        let mut sending = pin!(request.send());
        let mut until = begun + self.read_timeout;
        loop {
            if let Ok(result) = timeout_at(until, sending.as_mut()).await {
                return result.map_err(|error| failure(&error, progress, &self.destination));
            }
            // Without a connection it is the connector's own time-out that counts; ours stands behind it.
            let due = match progress.moved() {
                Some(moved) => moved + self.read_timeout,
                None => begun + self.connect_timeout + self.read_timeout,
            };
            if due <= Instant::now() {
                let what = if progress.whole() {
                    "did not answer"
                } else {
                    "did not take the request"
                };
                return Err(Failure::Fault(Fault::ReadTimeout(format!(
                    "the server {what} for {} ({})",
                    seconds(self.read_timeout),
                    self.destination.server
                ))));
            }
            until = due;
        }
    }

    /// Reads the body. Where the status is not a success it stands, whatever becomes of the body.
    async fn rest(
        &self,
        response: reqwest::Response,
        progress: &Progress,
        secrets: &Secrets,
        largest: u64,
    ) -> Result<Response, Fault> {
        let status = response.status();
        let retry_after = retry_after(response.headers(), SystemTime::now());
        let largest = if status.is_success() { largest } else { LARGEST_ERROR };
        let body = match Coding::of(&response) {
            Coding::Unreadable(name) => Body {
                bytes: Bytes::new(),
                broken: Some(Fault::Broken(format!(
                    "the answer is compressed ({name}), which was not asked for: something in front of the server must be \
                     told not to ({})",
                    self.destination.server
                ))),
            },
            Coding::Gzip => inflated(self.body(response, progress, largest).await, largest),
            Coding::Plain => self.body(response, progress, largest).await,
        };
        let cut = body.broken.is_some();
        match body.broken {
            Some(fault) if status.is_success() => Err(fault),
            _ => Ok(Response {
                status: status.as_u16(),
                retry_after,
                body: secrets.redact(without_mark(body.bytes), cut),
            }),
        }
    }

    async fn body(&self, mut response: reqwest::Response, progress: &Progress, largest: u64) -> Body {
        let end = Instant::now() + self.read_timeout * BODY_READS;
        let mut bytes = BytesMut::new();
        let broken = loop {
            let until = end.min(Instant::now() + self.read_timeout);
            match timeout_at(until, response.chunk()).await {
                Ok(Ok(None)) => break None,
                Ok(Ok(Some(piece))) => {
                    let room = usize::try_from(largest)
                        .unwrap_or(usize::MAX)
                        .saturating_sub(bytes.len());
                    if piece.len() > room {
                        bytes.extend_from_slice(piece.get(..room).unwrap_or_default());
                        break Some(Fault::Broken(format!(
                            "the answer is larger than {} MiB ({})",
                            largest >> 20,
                            self.destination.server
                        )));
                    }
                    bytes.extend_from_slice(&piece);
                }
                Ok(Err(error)) => {
                    break Some(match failure(&error, progress, &self.destination) {
                        Failure::Fault(fault @ (Fault::Broken(_) | Fault::ReadTimeout(_))) => fault,
                        // The answer began before all of the request was out: the server may have acted on it.
                        Failure::Fault(other) => Fault::Broken(other.text().to_owned()),
                        Failure::ProxyUnauthorized => Fault::Broken("the proxy refused the tunnel".to_owned()),
                    });
                }
                Err(_) => {
                    let what = if Instant::now() >= end {
                        format!(
                            "the answer did not end within {}",
                            seconds(self.read_timeout * BODY_READS)
                        )
                    } else {
                        format!("the answer stopped for {}", seconds(self.read_timeout))
                    };
                    break Some(Fault::ReadTimeout(format!("{what} ({})", self.destination.server)));
                }
            }
        };
        Body {
            bytes: bytes.freeze(),
            broken,
        }
    }
}

/// The question whether the server is there.
fn probe() -> Message {
    Message {
        method: Method::GET,
        path: "/system/version".to_owned(),
        content_type: None,
        gzip: false,
        body: Vec::new(),
    }
}

/// How a body is coded. None is asked for, but what stands in front of a server may not care.
#[derive(Debug, PartialEq, Eq)]
enum Coding {
    Plain,
    Gzip,
    /// By a compression of that name, which we cannot undo.
    Unreadable(String),
}

impl Coding {
    fn of(response: &reqwest::Response) -> Self {
        let value = response.headers().get(CONTENT_ENCODING);
        value.map_or(Self::Plain, |value| Self::named(value.to_str().unwrap_or_default()))
    }

    /// A name that stands for no compression, such as that of a character set, says nothing about the body.
    fn named(value: &str) -> Self {
        let name = value.trim().to_ascii_lowercase();
        match &*name {
            "gzip" | "x-gzip" => Self::Gzip,
            "br" | "zstd" | "deflate" | "compress" | "x-compress" => Self::Unreadable(name),
            list if list.contains(',') => Self::Unreadable(
                name.chars()
                    .filter(|char| char.is_ascii_alphanumeric() || *char == ',')
                    .take(40)
                    .collect(),
            ),
            _ => Self::Plain,
        }
    }
}

/// A body that came as gzip; of one that is broken, or larger inflated than `largest`, what could be read.
fn inflated(body: Body, largest: u64) -> Body {
    let mut bytes = Vec::new();
    let read = MultiGzDecoder::new(&*body.bytes).take(largest).read_to_end(&mut bytes);
    let broken = body.broken.or_else(|| {
        match read {
            Ok(length) if length as u64 >= largest => Some("is larger than may be".to_owned()),
            Ok(_) => None,
            Err(error) => Some(format!("cannot be inflated: {error}")),
        }
        .map(|why| Fault::Broken(format!("the answer is compressed (gzip) and {why}")))
    });
    Body {
        bytes: bytes.into(),
        broken,
    }
}

/// A text without the mark of its encoding, which some proxies put before it.
fn without_mark(bytes: Bytes) -> Bytes {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    if bytes.starts_with(MARK) {
        bytes.slice(MARK.len()..)
    } else {
        bytes
    }
}

/// The pieces of an array of these rows, without a copy of them.
fn array(rows: &[Bytes]) -> Vec<Bytes> {
    let mut pieces = Vec::with_capacity(2 * rows.len() + 2);
    pieces.push(Bytes::from_static(b"["));
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            pieces.push(Bytes::from_static(b","));
        }
        pieces.push(row.clone());
    }
    pieces.push(Bytes::from_static(b"]"));
    pieces
}

/// The pieces as one compressed body. Takes about 2 ms for a megabyte.
fn compressed(pieces: &[Bytes], length: usize) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(length / 4), Compression::fast());
    for piece in pieces {
        // Writing into memory does not fail.
        let _ = encoder.write_all(piece);
    }
    encoder.finish().unwrap_or_default().into()
}

fn add_life_cycle(life_cycle: &Bytes) -> Vec<Bytes> {
    const BEFORE: &[u8] = br#"[{"op":"add","path":"/lifeCycle","value":"#;
    vec![
        Bytes::from_static(BEFORE),
        life_cycle.clone(),
        Bytes::from_static(b"}]"),
    ]
}

/// A name as one segment of a path. URLs take `.` and `..` out, however they are encoded.
fn segment(name: &str) -> Result<String, String> {
    if matches!(name, "" | "." | "..") {
        return Err(format!("{name:?} cannot be part of an address"));
    }
    Ok(utf8_percent_encode(name, IN_NAMES).to_string())
}

fn version_in(response: &Response) -> Result<String, ProbeError> {
    let status = response.status;
    if !(200..=299).contains(&status) {
        let text = match status {
            300..=399 => "it redirects to another address: give that one instead",
            401 | 403 => "the token is not accepted",
            404 | 405 => "there is no OpenMetadata API at this address: check it, it usually ends in /api",
            407 => "the proxy wants credentials: put them into the proxy's URL",
            500..=599 => "the server, or something in front of it, is not ready",
            _ => "unexpected",
        };
        return Err(ProbeError::Refused {
            status,
            text: text.to_owned(),
        });
    }
    let foreign = |text: &str| Err(ProbeError::Foreign(text.to_owned()));
    match serde_json::from_slice::<Value>(&response.body) {
        Ok(Value::Object(fields)) => match fields.get("version").and_then(Value::as_str) {
            Some(version) if !version.is_empty() => Ok(version.to_owned()),
            _ => foreign("its answer names no version"),
        },
        Ok(_) => foreign("its answer names no version"),
        Err(_) if response.body.trim_ascii_start().starts_with(b"<") => {
            foreign("it answers with a web page; check the address, it usually ends in /api")
        }
        Err(_) => foreign("its answer is not JSON"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_as_python_does() {
        assert_eq!(segment("a.b-c_d~e").unwrap(), "a.b-c_d~e");
        assert_eq!(
            segment("\"a.b\".c d/e?#%\u{e9}+&=:@!$'()*,;[]").unwrap(),
            "%22a.b%22.c%20d%2Fe%3F%23%25%C3%A9%2B%26%3D%3A%40%21%24%27%28%29%2A%2C%3B%5B%5D"
        );
        assert!(segment("..").is_err());
    }

    #[test]
    fn bodies() {
        assert_eq!(array(&[]).concat(), b"[]");
        let rows = [Bytes::from_static(b"{}"), Bytes::from_static(b"1")];
        assert_eq!(array(&rows).concat(), b"[{},1]");
        assert_eq!(
            add_life_cycle(&Bytes::from_static(b"{\"a\":1}")).concat(),
            br#"[{"op":"add","path":"/lifeCycle","value":{"a":1}}]"#
        );
    }

    #[test]
    fn a_coding_that_is_none_leaves_a_body_as_it_is() {
        for name in ["", "identity", "none", "UTF-8", "utf8", "binary"] {
            assert_eq!(Coding::named(name), Coding::Plain, "{name}");
        }
        assert_eq!(Coding::named(" GZIP "), Coding::Gzip);
        assert_eq!(Coding::named("br"), Coding::Unreadable("br".to_owned()));
        assert_eq!(Coding::named("gzip, br"), Coding::Unreadable("gzip,br".to_owned()));
    }

    #[test]
    fn the_mark_of_an_encoding_is_no_part_of_a_text() {
        assert_eq!(without_mark("\u{feff}{}".into()), "{}");
        assert_eq!(without_mark("{}".into()), "{}");
    }

    #[test]
    fn gzip_is_inflated_as_far_as_it_may_be() {
        let plain = "an answer ".repeat(100);
        let gzip = compressed(&[Bytes::from(plain.clone())], plain.len());
        let read = |bytes: Bytes, largest| inflated(Body { bytes, broken: None }, largest);
        let whole = read(gzip.clone(), 10_000);
        assert!(whole.broken.is_none() && whole.bytes == plain);
        let bomb = read(gzip.clone(), 100);
        assert!(bomb.broken.is_some() && bomb.bytes.len() == 100);
        let cut = read(gzip.slice(..gzip.len() - 8), 10_000);
        assert!(cut.broken.is_some());
        assert!(read(Bytes::from_static(b"no gzip"), 100).broken.is_some());
    }

    #[test]
    fn a_compressed_body_is_the_same_body() {
        let rows: Vec<Bytes> = (0..100)
            .map(|row| format!("{{\"name\":\"table {row}\"}}").into())
            .collect();
        let pieces = array(&rows);
        let plain = pieces.concat();
        let gzip = compressed(&pieces, plain.len());
        assert!(gzip.len() < plain.len() / 3, "{}", gzip.len());
        let mut inflated = Vec::new();
        MultiGzDecoder::new(&gzip[..]).read_to_end(&mut inflated).unwrap();
        assert_eq!(inflated, plain);
    }
}
