//! What whole requests take on the link, to the millisecond: through pipes inside the process, with a clock that only goes on when
//! everything waits, so that no machine is too slow for it.

use std::sync::Arc;
use std::time::Duration;

use om_reference_server::{auth, listen, Config, Latency, Shared};
use serde_json::{json, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

use crate::api::table;

/// 50 Mbit/s and 40 ms.
const LINK: &str = r#"{"link": {"bytes_per_s": 6250000, "round_trip_ms": 40}}"#;
/// Bytes in a millisecond.
const SPEED: usize = 6_250;
/// What a full pipe holds; small, so that the server's reading sets the pace.
const PIPE: usize = 64 * 1024;

/// The client's end of a connection.
struct Connection(DuplexStream);

impl Connection {
    fn new(shared: &Arc<Shared>) -> Self {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        tokio::spawn(listen::serve(shared.clone(), theirs));
        Connection(ours)
    }

    /// Sends a request and reads the answer, which must be a success; how long that took.
    async fn call(&mut self, method: &str, path: &str, body: &Value) -> Duration {
        let begun = Instant::now();
        let body = body.to_string();
        let head = format!(
            "{method} /api/v1/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            auth::bot_token(),
            body.len()
        );
        self.0.write_all(head.as_bytes()).await.expect("a request");
        self.0.write_all(body.as_bytes()).await.expect("a request");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(self.0.read_u8().await.expect("an answer"));
        }
        let head = String::from_utf8(answer).expect("a head");
        assert!(head.starts_with("HTTP/1.1 20"), "{method} {path}: {head}");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .map_or(0, |length| length.parse().expect("a length"));
        self.0.read_exact(&mut vec![0; length]).await.expect("a body");
        begun.elapsed()
    }

    async fn get(&mut self) -> Duration {
        self.call("GET", "databases/name/svc.db", &Value::Null).await
    }

    /// A bulk PUT of one table of so many bytes.
    async fn put(&mut self, name: &str, bytes: usize) -> Duration {
        let mut row = table(name);
        row["description"] = json!("x".repeat(bytes));
        self.call("PUT", "tables/bulk", &json!([row])).await
    }
}

/// A server with the schema `svc.db.s`, behind the link from now on.
async fn behind_the_link() -> Arc<Shared> {
    let shared = Shared::new(&Config::default());
    let mut connection = Connection::new(&shared);
    for (path, body) in [
        (
            "services/databaseServices",
            json!({"name": "svc", "serviceType": "Postgres"}),
        ),
        ("databases", json!({"name": "db", "service": "svc"})),
        ("databaseSchemas", json!({"name": "s", "database": "svc.db"})),
    ] {
        let took = connection.call("PUT", path, &body).await;
        assert_eq!(took, Duration::ZERO, "without a link nothing takes time");
    }
    shared.set_latency(Latency::parse(LINK).expect("a model"));
    shared
}

#[tokio::test(start_paused = true)]
async fn a_small_request_takes_the_round_trip() {
    let shared = behind_the_link().await;
    let mut connection = Connection::new(&shared);
    let first = connection.get().await.as_millis();
    assert!((80..86).contains(&first), "the connection takes one, too: {first} ms");
    for _ in 0..3 {
        let took = connection.get().await.as_millis();
        assert!((40..46).contains(&took), "{took} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_request_takes_the_speed_of_the_link_and_its_slow_start() {
    let shared = behind_the_link().await;
    let line = |bytes: usize| (bytes / SPEED) as u128;
    // 14,480 + 28,960 + ... + 231,680 bytes in five round trips; then the line is full; and one round trip for the answer.
    let started: usize = 14_480 * 31;
    for bytes in [2_000_000, 8_000_000] {
        let mut connection = Connection::new(&shared);
        connection.get().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let expected = 5 * 40 + line(bytes - started) + 40;
        let cold = connection.put("large", bytes).await.as_millis();
        assert!(
            (expected..expected + 15).contains(&cold),
            "{bytes} bytes: {cold} ms of {expected}"
        );
        let expected = line(bytes) + 40;
        let warm = connection.put("large", bytes).await.as_millis();
        assert!(
            (expected..expected + 15).contains(&warm),
            "{bytes} bytes: {warm} ms of {expected}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn connections_share_the_link() {
    let shared = behind_the_link().await;
    let begun = Instant::now();
    let mut all = tokio::task::JoinSet::new();
    for number in 0..4 {
        let mut connection = Connection::new(&shared);
        all.spawn(async move { connection.put(&format!("t{number}"), 1_500_000).await });
    }
    all.join_all().await;
    let took = begun.elapsed().as_millis();
    // One round trip to connect, one to begin, one for the answer.
    assert!((960 + 80..960 + 160).contains(&took), "6 MB at 6.25 MB/s: {took} ms");
}
