//! HTTP/1.1 on one connection: reading requests, and writing answers, also such that no library would write.
//!
//! Written by hand because the fault plan needs bytes that a server library refuses to send: wrong lengths, cut bodies, resets
//! in the middle. Knows nothing of routes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::sleep_until;
use tokio_rustls::server::TlsStream;

use crate::link::{self, Direction, Lines, Sender};
use crate::reply::Reply;

/// The largest head that is read; the real server's limit.
const MAX_HEAD: usize = 8 * 1024;
/// What a head takes on a link.
const TYPICAL_HEAD: usize = 500;
/// The largest body that is read.
const MAX_BODY: usize = 512 * 1024 * 1024;

/// A connection's stream.
pub enum Stream {
    /// Plain.
    Plain(TcpStream),
    /// TLS.
    Tls(Box<TlsStream<TcpStream>>),
    /// A pipe inside the process: nothing but the clock of the runtime makes it wait, so that a test can own the time.
    Pipe(DuplexStream),
}

impl Stream {
    /// The socket below; a pipe has none.
    pub fn socket(&self) -> Option<&TcpStream> {
        match self {
            Stream::Plain(socket) => Some(socket),
            Stream::Tls(stream) => Some(stream.get_ref().0),
            Stream::Pipe(_) => None,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Pipe(pipe) => Pin::new(pipe).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Pipe(pipe) => Pin::new(pipe).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
            Stream::Pipe(pipe) => Pin::new(pipe).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Pipe(pipe) => Pin::new(pipe).poll_shutdown(context),
        }
    }
}

/// The head of a request.
#[derive(Debug)]
pub struct Head {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// Whether the connection may go on after the answer.
    pub keep_alive: bool,
}

impl Head {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Why a request could not be read.
#[derive(Debug)]
pub enum Unreadable {
    /// The client closed the connection, or was silent for too long.
    Gone,
    /// The bytes are no request that is taken; the answer.
    Refused(Reply),
}

impl From<io::Error> for Unreadable {
    fn from(_: io::Error) -> Self {
        Unreadable::Gone
    }
}

/// One connection.
pub struct Wire {
    stream: Stream,
    buffer: BytesMut,
    /// What the connection goes through.
    way: Option<Way>,
}

/// The connection's part of a link.
struct Way {
    lines: Arc<Lines>,
    up: Sender,
    down: Sender,
}

impl Wire {
    /// Begins on a fresh stream.
    pub fn new(stream: Stream) -> Self {
        Wire {
            stream,
            buffer: BytesMut::with_capacity(16 * 1024),
            way: None,
        }
    }

    /// The socket below; a pipe has none.
    pub fn socket(&self) -> Option<&TcpStream> {
        self.stream.socket()
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// A request of which the head was read goes through this link, with its answer.
    pub async fn travel(&mut self, lines: Option<Arc<Lines>>) {
        match (lines, &mut self.way) {
            (Some(lines), Some(way)) if Arc::ptr_eq(&lines, &way.lines) => {}
            (lines, way) => {
                *way = lines.map(|lines| Way {
                    up: Sender::new(lines.clone(), Direction::Up),
                    down: Sender::new(lines.clone(), Direction::Down),
                    lines,
                });
            }
        }
        if let Some(way) = &mut self.way {
            way.up.begin();
            way.up.send(TYPICAL_HEAD).await;
        }
    }

    /// Reads the head of the next request; `idle` bounds the silence.
    pub async fn read_head(&mut self, idle: Duration) -> Result<Head, Unreadable> {
        loop {
            if let Some((head, length)) = parse_head(&self.buffer)? {
                self.buffer.advance(length);
                return Ok(head);
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(Unreadable::Refused(Reply::error(
                    431,
                    "Request header fields too large",
                )));
            }
            let read = tokio::time::timeout(idle, self.stream.read_buf(&mut self.buffer)).await;
            match read {
                Ok(Ok(length)) if length > 0 => {}
                _ => return Err(Unreadable::Gone),
            }
        }
    }

    /// Reads the body that a head announces, as it comes; a link's length is waited for at its end.
    pub async fn read_body(&mut self, head: &Head) -> Result<Bytes, Unreadable> {
        let body = self.read_announced(head).await?;
        if let Some(way) = &self.way {
            sleep_until(way.up.arrival()).await;
        }
        Ok(body)
    }

    async fn read_announced(&mut self, head: &Head) -> Result<Bytes, Unreadable> {
        if head
            .header("expect")
            .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
        {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            self.stream.flush().await?;
        }
        let chunked = head
            .header("transfer-encoding")
            .is_some_and(|value| value.to_ascii_lowercase().contains("chunked"));
        if chunked {
            return self.read_chunks().await;
        }
        let Some(length) = head.header("content-length") else {
            return Ok(Bytes::new());
        };
        let length: usize = length
            .trim()
            .parse()
            .map_err(|_| refused("Content-Length is not a number"))?;
        if length > MAX_BODY {
            return Err(Unreadable::Refused(Reply::error(413, "Request body too large")));
        }
        self.read_exactly(length).await
    }

    async fn read_exactly(&mut self, length: usize) -> Result<Bytes, Unreadable> {
        self.pace(self.buffer.len().min(length)).await;
        self.buffer.reserve(length.saturating_sub(self.buffer.len()));
        while self.buffer.len() < length {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            if read == 0 {
                return Err(Unreadable::Gone);
            }
            self.pace(read).await;
        }
        Ok(self.buffer.split_to(length).freeze())
    }

    async fn read_chunks(&mut self) -> Result<Bytes, Unreadable> {
        let mut body = BytesMut::new();
        loop {
            let line = self.read_line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| refused("a chunk has no size"))?;
            if body.len() + size > MAX_BODY {
                return Err(Unreadable::Refused(Reply::error(413, "Request body too large")));
            }
            if size == 0 {
                while !self.read_line().await?.is_empty() {}
                return Ok(body.freeze());
            }
            body.extend_from_slice(&self.read_exactly(size).await?);
            self.read_line().await?;
        }
    }

    async fn read_line(&mut self) -> Result<String, Unreadable> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.buffer.split_to(end + 2);
                return String::from_utf8(line[..end].to_vec()).map_err(|_| refused("a chunk has no size"));
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(refused("a chunk has no size"));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(Unreadable::Gone);
            }
        }
    }

    /// Waits as long as the link takes for some bytes.
    async fn pace(&mut self, bytes: usize) {
        if let Some(way) = &mut self.way {
            way.up.send(bytes).await;
        }
    }

    /// Writes bytes at the speed of the link, or slower.
    pub async fn write(&mut self, bytes: &[u8], bytes_per_s: Option<f64>) -> io::Result<()> {
        let Some(speed) = bytes_per_s else {
            return self.write_through(bytes).await;
        };
        // A tenth of a second's worth at a time.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let step = ((speed / 10.0) as usize).max(1);
        for piece in bytes.chunks(step) {
            self.stream.write_all(piece).await?;
            self.stream.flush().await?;
            #[allow(clippy::cast_precision_loss)]
            let seconds = piece.len() as f64 / speed;
            tokio::time::sleep(Duration::try_from_secs_f64(seconds).unwrap_or_default()).await;
        }
        Ok(())
    }

    /// Writes bytes when the link would have brought them.
    async fn write_through(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(way) = &mut self.way else {
            self.stream.write_all(bytes).await?;
            return self.stream.flush().await;
        };
        way.down.begin();
        for piece in bytes.chunks(link::PIECE) {
            way.down.send(piece.len()).await;
            sleep_until(way.down.arrival()).await;
            self.stream.write_all(piece).await?;
            self.stream.flush().await?;
        }
        Ok(())
    }

    /// Writes a whole answer. `length`: what `Content-Length` says, where that is not the truth.
    pub async fn answer(
        &mut self,
        reply: &Reply,
        keep_alive: bool,
        length: Option<usize>,
        bytes_per_s: Option<f64>,
    ) -> io::Result<()> {
        let head = render_head(reply, keep_alive, length.unwrap_or(reply.body.len()));
        if reply.body.len() < 64 * 1024 && bytes_per_s.is_none() {
            let mut all = head;
            all.extend_from_slice(&reply.body);
            return self.write(&all, None).await;
        }
        self.write(&head, None).await?;
        self.write(&reply.body, bytes_per_s).await
    }

    /// Closes in good order.
    pub async fn close(mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Resets: the client gets an error, not an end.
    pub fn reset(self) {
        if let Some(socket) = self.stream.socket() {
            let _ = socket.set_zero_linger();
        }
        drop(self);
    }
}

fn refused(text: &str) -> Unreadable {
    Unreadable::Refused(Reply::error(400, text))
}

/// Parses a head if it is complete; also says how long it was.
fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, Unreadable> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) => Ok(None),
        Err(error) => Err(refused(&format!("not an HTTP request: {error}"))),
        Ok(httparse::Status::Complete(length)) => {
            let headers: Vec<(String, String)> = request
                .headers
                .iter()
                .map(|header| {
                    (
                        header.name.to_ascii_lowercase(),
                        String::from_utf8_lossy(header.value).into_owned(),
                    )
                })
                .collect();
            let connection = headers
                .iter()
                .find(|(name, _)| name == "connection")
                .map(|(_, value)| value.to_ascii_lowercase());
            let close = connection.as_deref().is_some_and(|value| value.contains("close"));
            let keep_alive =
                !close && (request.version == Some(1) || connection.is_some_and(|value| value.contains("keep-alive")));
            let head = Head {
                method: request.method.unwrap_or_default().to_string(),
                target: request.path.unwrap_or_default().to_string(),
                headers,
                keep_alive,
            };
            Ok(Some((head, length)))
        }
    }
}

fn render_head(reply: &Reply, keep_alive: bool, length: usize) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, reason(reply.status));
    let has_body = reply.status != 204;
    if has_body && !reply.content_type.is_empty() {
        head.push_str(&format!("Content-Type: {}\r\n", reply.content_type));
    }
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if has_body {
        head.push_str(&format!("Content-Length: {length}\r\n"));
    }
    if !keep_alive {
        head.push_str("Connection: close\r\n");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        425 => "Too Early",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
