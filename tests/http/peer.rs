//! A server whose behaviour is a closure, one call of it for each connection; and the client that talks to it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use openmetadata_bulksink::engine::{Answer, Call, Fault, Response};
use openmetadata_bulksink::http::{Client, Settings, Trust};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Longer than any test needs, so that a hang fails by name instead of running on.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJpbmdlc3Rpb24tYm90In0.c2lnbmF0dXJl";

/// A listening server; it stops when this is dropped.
pub struct Peer {
    pub address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    received: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peer {
    /// Each accepted connection is given to `serve`, with the log that the requests read from it go to.
    pub async fn start<F, S>(serve: F) -> Self
    where
        F: Fn(TcpStream, Arc<Mutex<Vec<Received>>>) -> S + Send + 'static,
        S: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let received = Arc::new(Mutex::new(Vec::new()));
        let (count, log) = (Arc::clone(&accepted), Arc::clone(&received));
        let task = tokio::spawn(async move {
            // Dropped with this task, so that a stopped server's connections are gone.
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                // A client that gives up is what many tests are about: an error here is no failure.
                connections.spawn(serve(stream, Arc::clone(&log)));
            }
        });
        Self {
            address,
            accepted,
            received,
            task,
        }
    }

    /// Answers each request on each connection with these bytes, and keeps the connection.
    pub async fn answering(answer: impl Into<String>) -> Self {
        let answer = Arc::new(answer.into());
        Self::start(move |stream, log| {
            let answer = Arc::clone(&answer);
            async move {
                let mut connection = Connection::new(stream, log);
                loop {
                    connection.request().await?;
                    connection.send(answer.as_bytes()).await?;
                }
            }
        })
        .await
    }

    /// Reads one request from each connection, sends these bytes and closes.
    pub async fn closing_after(answer: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(answer.into());
        Self::start(move |stream, log| {
            let answer = Arc::clone(&answer);
            async move {
                let mut connection = Connection::new(stream, log);
                connection.request().await?;
                connection.send(&answer).await
            }
        })
        .await
    }

    pub fn base_url(&self) -> String {
        format!("http://{}/api/v1", self.address)
    }

    pub fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub fn request(&self) -> Received {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "exactly one request was expected: {requests:?}");
        requests[0].clone()
    }
}

/// The server's end of one connection.
pub struct Connection<S> {
    pub stream: S,
    log: Arc<Mutex<Vec<Received>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub fn new(stream: S, log: Arc<Mutex<Vec<Received>>>) -> Self {
        Self { stream, log }
    }

    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Reads up to the empty line, one byte at a time: what follows stays in the socket.
    pub async fn head(&mut self) -> io::Result<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await?);
        }
        Ok(String::from_utf8(head).unwrap())
    }

    /// Reads one whole request.
    pub async fn request(&mut self) -> io::Result<Received> {
        let head = self.head().await?;
        let mut received = Received { head, body: Vec::new() };
        let length = received
            .header("content-length")
            .map_or(0, |value| value.parse().unwrap());
        received.body.resize(length, 0);
        self.stream.read_exact(&mut received.body).await?;
        self.log.lock().unwrap().push(received.clone());
        Ok(received)
    }
}

impl Connection<TcpStream> {
    /// Ends the connection with a reset.
    pub fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }
}

/// One request as the server saw it.
#[derive(Debug, Clone)]
pub struct Received {
    pub head: String,
    pub body: Vec<u8>,
}

impl Received {
    /// `PUT /path HTTP/1.1`.
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub fn headers(&self, name: &str) -> Vec<&str> {
        let named = |line: &&str| {
            line.split_once(':')
                .is_some_and(|(key, _)| key.eq_ignore_ascii_case(name))
        };
        let lines = self.head.lines().skip(1).filter(named);
        lines.map(|line| line.split_once(':').unwrap().1.trim()).collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.headers(name);
        assert!(values.len() <= 1, "{name} was sent twice: {values:?}");
        values.first().copied()
    }
}

/// An answer with a length.
pub fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
}

pub fn settings(base_url: impl Into<String>) -> Settings {
    Settings {
        base_url: base_url.into(),
        headers: Vec::new(),
        bulk_query: "async=false".to_owned(),
        trust: Trust::Only(Vec::new()),
        identity: None,
        proxy: None,
        connect_timeout: PATIENCE,
        read_timeout: PATIENCE,
    }
}

/// A client with the token.
pub fn client(settings: &Settings) -> Client {
    let client = Client::new(settings).unwrap();
    client.set_token(TOKEN.into()).unwrap();
    client
}

pub fn client_of(peer: &Peer) -> Client {
    client(&settings(peer.base_url()))
}

/// A bulk PUT of one row of so many bytes.
pub fn bulk(bytes: usize) -> Call {
    let row = format!("\"{}\"", "x".repeat(bytes));
    Call::PutBulk {
        collection: "tables".into(),
        gzip: false,
        rows: vec![Bytes::from(row)],
    }
}

pub fn get() -> Call {
    Call::Get {
        collection: "tables".into(),
        fqn: "a.b.c.d".into(),
        fields: "",
    }
}

/// Performs a call; whatever is said about it must not hold the token.
pub async fn perform(client: &Client, call: &Call) -> Answer {
    let answer = tokio::time::timeout(PATIENCE * 2, client.perform(call))
        .await
        .expect("no hang");
    assert!(!format!("{answer:?}").contains(TOKEN), "the token is in {answer:?}");
    answer
}

pub async fn response(client: &Client, call: &Call) -> Response {
    match perform(client, call).await {
        Answer::Response(response) => response,
        other => panic!("a response was expected: {other:?}"),
    }
}

pub async fn fault(client: &Client, call: &Call) -> Fault {
    match perform(client, call).await {
        Answer::Fault(fault) => fault,
        other => panic!("a fault was expected: {other:?}"),
    }
}
