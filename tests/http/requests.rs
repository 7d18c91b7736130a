//! What goes out on the wire, and when a connection is used again.

use std::mem::ManuallyDrop;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::FromRawFd;
use std::time::Duration;

use bytes::Bytes;
use openmetadata_bulksink::engine::{Answer, Call, Entity, Fault};
use openmetadata_bulksink::http::{Client, ProbeError};

use crate::peer::{answer, bulk, client, client_of, get, perform, response, settings, Connection, Peer, TOKEN};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

#[tokio::test]
async fn a_bulk_put() {
    let peer = Peer::answering(OK).await;
    let rows = vec![
        Bytes::from_static(b"{\"name\":\"a\"}"),
        Bytes::from_static(b"{\"name\":\"b\"}"),
    ];
    let call = Call::PutBulk {
        collection: "dashboard/datamodels".into(),
        gzip: false,
        rows,
    };
    let response = response(&client_of(&peer), &call).await;
    assert_eq!((response.status, &response.body[..]), (200, &b"{}"[..]));

    let request = peer.request();
    assert_eq!(
        request.line(),
        "PUT /api/v1/dashboard/datamodels/bulk?async=false HTTP/1.1"
    );
    assert_eq!(request.body, br#"[{"name":"a"},{"name":"b"}]"#);
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("authorization"), Some(&*format!("Bearer {TOKEN}")));
    assert_eq!(request.header("host"), Some(&*peer.address.to_string()));
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert_eq!(request.header("transfer-encoding"), None);
    assert_eq!(request.header("expect"), None);
}

#[tokio::test]
async fn no_bulk_query_means_no_question_mark() {
    let peer = Peer::answering(OK).await;
    let mut settings = settings(peer.base_url());
    settings.bulk_query = String::new();
    perform(&client(&settings), &bulk(1)).await;
    assert_eq!(peer.request().line(), "PUT /api/v1/tables/bulk HTTP/1.1");
}

#[tokio::test]
async fn a_single_put() {
    let peer = Peer::answering(OK).await;
    let call = Call::PutOne {
        collection: "tables".into(),
        row: Bytes::from_static(b"{\"name\":\"a\"}"),
    };
    perform(&client_of(&peer), &call).await;
    let request = peer.request();
    assert_eq!(request.line(), "PUT /api/v1/tables HTTP/1.1");
    assert_eq!(request.body, br#"{"name":"a"}"#);
    assert_eq!(request.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_life_cycle_patch_by_name_and_by_id() {
    let peer = Peer::answering(OK).await;
    let client = client_of(&peer);
    for entity in [
        Entity::Name("s.\"d.x\".e/\u{e9} ?".into()),
        Entity::Id("0f3a-11".into()),
    ] {
        let call = Call::PatchLifeCycle {
            collection: "tables".into(),
            entity,
            life_cycle: Bytes::from_static(b"{\"created\":{\"timestamp\":1}}"),
        };
        perform(&client, &call).await;
    }
    let requests = peer.requests();
    assert_eq!(
        requests[0].line(),
        "PATCH /api/v1/tables/name/s.%22d.x%22.e%2F%C3%A9%20%3F HTTP/1.1"
    );
    assert_eq!(requests[1].line(), "PATCH /api/v1/tables/0f3a-11 HTTP/1.1");
    for request in requests {
        assert_eq!(request.header("content-type"), Some("application/json-patch+json"));
        assert_eq!(
            request.body,
            br#"[{"op":"add","path":"/lifeCycle","value":{"created":{"timestamp":1}}}]"#
        );
    }
}

#[tokio::test]
async fn a_get_by_name() {
    let peer = Peer::answering(OK).await;
    let client = client_of(&peer);
    for fields in ["", "sourceHash"] {
        let call = Call::Get {
            collection: "tables".into(),
            fqn: "a.b".into(),
            fields,
        };
        perform(&client, &call).await;
    }
    let requests = peer.requests();
    assert_eq!(requests[0].line(), "GET /api/v1/tables/name/a.b HTTP/1.1");
    assert_eq!(
        requests[1].line(),
        "GET /api/v1/tables/name/a.b?fields=sourceHash HTTP/1.1"
    );
    assert!(requests.iter().all(|request| request.body.is_empty()));
    assert_eq!(requests[0].header("content-length"), None);
    assert_eq!(requests[0].header("content-type"), None);
}

#[tokio::test]
async fn the_base_url_is_used_as_it_is_given() {
    let peer = Peer::answering(OK).await;
    let base = format!("http://{}/api//v1/", peer.address);
    perform(&client(&settings(base)), &get()).await;
    assert_eq!(peer.request().line(), "GET /api//v1//tables/name/a.b.c.d HTTP/1.1");
}

#[tokio::test]
async fn a_name_that_a_url_would_swallow_is_not_sent() {
    let peer = Peer::answering(OK).await;
    let call = Call::Get {
        collection: "users".into(),
        fqn: "..".into(),
        fields: "",
    };
    let fault = perform(&client_of(&peer), &call).await;
    assert!(matches!(fault, Answer::Fault(Fault::Unbuildable(_))), "{fault:?}");
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn whether_the_server_is_there() {
    let peer = Peer::answering(answer("200 OK", "", "{\"version\":\"2.0.7\"}")).await;
    let response = response(&client_of(&peer), &Call::Probe).await;
    assert_eq!(
        (response.status, &response.body[..]),
        (200, &b"{\"version\":\"2.0.7\"}"[..])
    );
    let request = peer.request();
    assert_eq!(request.line(), "GET /api/v1/system/version HTTP/1.1");
    assert!(request.body.is_empty());
}

#[tokio::test]
async fn renewing_a_token_is_no_request() {
    let peer = Peer::answering(OK).await;
    let fault = perform(&client_of(&peer), &Call::RenewToken).await;
    assert!(matches!(fault, Answer::Fault(Fault::Unbuildable(_))), "{fault:?}");
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn the_headers_of_the_settings() {
    let peer = Peer::answering(OK).await;
    let mut settings = settings(peer.base_url());
    settings.headers = [
        ("User-Agent", "redshift_metadata (service: x)"),
        ("Cookie", "sid=0123456789"),
        ("cookie", "sid=abcdefghij; lb=7"),
        ("authorization", "Basic dXNlcjpwYXNzd29yZA=="),
        ("Content-type", "application/json; charset=utf-8"),
        ("Accept-Encoding", "gzip, deflate"),
        ("Connection", "keep-alive"),
        ("Content-Length", "3"),
        ("X-Name", "caf\u{e9}"),
    ]
    .map(|(name, value)| (name.to_owned(), value.into()))
    .into();
    let peer = {
        // Latin-1 is no UTF-8: this header is looked at as bytes, on a server of its own.
        let mut latin = settings.clone();
        latin.headers.retain(|(name, _)| name == "X-Name");
        let raw = Peer::start(|stream, _| async move {
            let mut bytes = [0; 4096];
            let mut stream = stream;
            let count = tokio::io::AsyncReadExt::read(&mut stream, &mut bytes).await?;
            let found = bytes[..count].windows(4).any(|window| window == b"caf\xe9");
            let body = if found { "as one byte" } else { "otherwise" };
            Connection::new(stream, Default::default())
                .send(answer("200 OK", "", body).as_bytes())
                .await
        })
        .await;
        latin.base_url = raw.base_url();
        assert_eq!(response(&client(&latin), &get()).await.body, "as one byte");
        peer
    };
    settings.headers.retain(|(name, _)| name != "X-Name");

    let client = client(&settings);
    perform(&client, &bulk(1)).await;
    let patch = Call::PatchLifeCycle {
        collection: "tables".into(),
        entity: Entity::Id("1".into()),
        life_cycle: Bytes::from_static(b"{}"),
    };
    perform(&client, &patch).await;

    let requests = peer.requests();
    let put = &requests[0];
    assert_eq!(put.header("user-agent"), Some("redshift_metadata (service: x)"));
    assert_eq!(put.header("cookie"), Some("sid=abcdefghij; lb=7"), "the last counts");
    assert_eq!(
        put.header("authorization"),
        Some("Basic dXNlcjpwYXNzd29yZA=="),
        "wins over the token"
    );
    assert_eq!(put.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(put.header("accept-encoding"), Some("identity"));
    assert_eq!(put.header("connection"), None);
    assert_eq!(put.header("content-length"), Some("5"));
    assert_eq!(requests[1].header("content-type"), Some("application/json-patch+json"));
}

#[tokio::test]
async fn a_new_token_counts_from_the_next_request_on() {
    let peer = Peer::answering(OK).await;
    let client = Client::new(&settings(peer.base_url())).unwrap();
    perform(&client, &get()).await;
    client.set_token("first-token".into()).unwrap();
    perform(&client, &get()).await;
    client.set_token("second-token".into()).unwrap();
    perform(&client, &get()).await;
    let sent: Vec<_> = peer
        .requests()
        .iter()
        .map(|request| request.header("authorization").map(str::to_owned))
        .collect();
    let expected = [None, Some("Bearer first-token"), Some("Bearer second-token")];
    assert_eq!(sent, expected.map(|value| value.map(str::to_owned)));
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let peer = Peer::answering(answer("200 OK", "", &"x".repeat(200_000))).await;
    let client = client_of(&peer);
    for size in [1, 3 << 20, 10] {
        response(&client, &bulk(size)).await;
    }
    assert_eq!((peer.connections(), peer.requests().len()), (1, 3));
    assert_eq!(peer.requests()[1].body.len(), (3 << 20) + 4);
}

#[tokio::test]
async fn as_many_connections_as_requests_at_once_and_no_more() {
    let all_are_there = std::sync::Arc::new(tokio::sync::Barrier::new(8));
    let peer = Peer::start(move |stream, log| {
        let all_are_there = std::sync::Arc::clone(&all_are_there);
        async move {
            let mut connection = Connection::new(stream, log);
            loop {
                connection.request().await?;
                all_are_there.wait().await;
                connection.send(OK.as_bytes()).await?;
            }
        }
    })
    .await;
    let client = std::sync::Arc::new(client_of(&peer));
    for _ in 0..3 {
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let client = std::sync::Arc::clone(&client);
                tokio::spawn(async move { response(&client, &bulk(10)).await.status })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), 200);
        }
    }
    assert_eq!((peer.connections(), peer.requests().len()), (8, 24));
}

#[tokio::test]
async fn a_connection_that_the_server_closes_each_time_costs_nothing() {
    let peer = Peer::closing_after("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}").await;
    let client = client_of(&peer);
    for _ in 0..5 {
        response(&client, &bulk(100)).await;
    }
    assert_eq!(peer.connections(), 5);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_idle_is_replaced() {
    let peer = Peer::closing_after(OK).await;
    let client = client_of(&peer);
    for _ in 0..3 {
        response(&client, &bulk(100)).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((peer.connections(), peer.requests().len()), (3, 3));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Peer::answering(OK).await;
    let location = format!("Location: {}/tables/bulk\r\n", other.base_url());
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        for call in [bulk(1), get()] {
            let peer = Peer::answering(answer(status, &location, "")).await;
            let response = response(&client_of(&peer), &call).await;
            assert_eq!(response.status.to_string(), status[..3]);
            assert_eq!(peer.requests().len(), 1);
        }
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn nothing_is_sent_twice() {
    for status in [
        "408 Request Timeout",
        "429 Too Many Requests",
        "500 Oops",
        "503 Service Unavailable",
        "504 Gateway Timeout",
    ] {
        let peer = Peer::answering(answer(status, "Retry-After: 7\r\n", "{\"message\":\"no\"}")).await;
        let response = response(&client_of(&peer), &bulk(1)).await;
        assert_eq!(response.status.to_string(), status[..3]);
        assert_eq!(response.retry_after, Some(Duration::from_secs(7)));
        assert_eq!(response.body, "{\"message\":\"no\"}");
        assert_eq!(peer.requests().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn retry_after_as_a_date_counts_from_the_servers_clock() {
    let headers = "Date: Tue, 24 Nov 2026 10:00:00 GMT\r\nRetry-After: Tue, 24 Nov 2026 10:00:20 GMT\r\n";
    let peer = Peer::answering(answer("503 Service Unavailable", headers, "")).await;
    let response = response(&client_of(&peer), &bulk(1)).await;
    assert_eq!(response.retry_after, Some(Duration::from_secs(20)));
}

#[tokio::test]
async fn answers_of_every_framing() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let informed = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde";
    for text in [chunked, informed, "HTTP/1.0 200 OK\r\n\r\nabcde"] {
        let peer = Peer::closing_after(text).await;
        assert_eq!(response(&client_of(&peer), &bulk(1)).await.body, "abcde", "{text:?}");
    }
    let peer = Peer::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let nothing = response(&client_of(&peer), &bulk(1)).await;
    assert_eq!((nothing.status, nothing.body.len()), (204, 0));
}

#[tokio::test]
async fn bytes_that_are_no_utf8_arrive_as_they_are() {
    let peer = Peer::closing_after(b"HTTP/1.1 400 \xff\xfe\r\nContent-Length: 3\r\n\r\n\xff\x00\xfe".to_vec()).await;
    let response = response(&client_of(&peer), &bulk(1)).await;
    assert_eq!((response.status, &response.body[..]), (400, &b"\xff\x00\xfe"[..]));
}

async fn probe(answer: impl Into<String>) -> Result<String, ProbeError> {
    let peer = Peer::answering(answer).await;
    let result = client_of(&peer).server_version(Duration::from_secs(5)).await;
    assert_eq!(peer.request().line(), "GET /api/v1/system/version HTTP/1.1");
    result
}

#[tokio::test]
async fn the_servers_version() {
    let body = r#"{"version":"1.12.14","revision":"abc","timestamp":1}"#;
    assert_eq!(probe(answer("200 OK", "", body)).await.as_deref(), Ok("1.12.14"));
}

#[tokio::test]
async fn what_is_no_openmetadata_server() {
    let page = probe(answer("200 OK", "Content-Type: text/html\r\n", "\n <html>hello</html>")).await;
    assert!(page.unwrap_err().to_string().contains("web page"));
    for body in ["{}", "{\"version\":7}", "{\"version\":\"\"}", "[]", "", "hello"] {
        let error = probe(answer("200 OK", "", body)).await.unwrap_err();
        assert!(matches!(error, ProbeError::Foreign(_)), "{body:?}: {error}");
    }
    let error = probe(answer("307 Temporary Redirect", "Location: https://elsewhere/\r\n", ""))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the server answered 307: it redirects to another address: give that one instead"
    );
    let error = probe(answer("404 Not Found", "", "")).await.unwrap_err();
    assert!(error.to_string().contains("usually ends in /api"), "{error}");
}

#[tokio::test]
async fn a_probe_does_not_wait_for_longer_than_it_may() {
    let peer = Peer::start(|stream, log| async move {
        let mut connection = Connection::new(stream, log);
        connection.request().await?;
        std::future::pending().await
    })
    .await;
    let error = client_of(&peer)
        .server_version(Duration::from_millis(200))
        .await
        .unwrap_err();
    let expected = format!(
        "the server cannot be reached: no answer within 0.2 s ({})",
        peer.address
    );
    assert_eq!(error.to_string(), expected);
}

/// A bulk PUT of so many rows.
fn of_rows(count: usize, gzip: bool) -> Call {
    Call::PutBulk {
        collection: "tables".into(),
        rows: (0..count)
            .map(|row| format!("{{\"name\":\"table {row}\",\"description\":\"{}\"}}", "x".repeat(500)).into())
            .collect(),
        gzip,
    }
}

#[tokio::test]
async fn a_compressed_bulk_put() {
    let peer = Peer::answering(OK).await;
    let client = client_of(&peer);
    for gzip in [false, true, true] {
        response(&client, &of_rows(100, gzip)).await;
    }
    let requests = peer.requests();
    let (plain, compressed) = (&requests[0], &requests[1]);
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(compressed.header("content-encoding"), Some("gzip"));
    assert_eq!(compressed.header("content-type"), Some("application/json"));
    assert!(
        compressed.body.len() * 20 < plain.body.len(),
        "{}",
        compressed.body.len()
    );
    let mut inflated = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&compressed.body[..]), &mut inflated).unwrap();
    assert_eq!(inflated, plain.body);
    assert_eq!(requests[2].body, compressed.body);
    assert_eq!(peer.connections(), 1);
}

/// The last piece of a body that takes several writes must not wait until the server has acknowledged the others, which takes it
/// 40 ms.
#[tokio::test]
async fn the_end_of_a_body_does_not_wait_for_an_acknowledgement() {
    let peer = Peer::answering(OK).await;
    let client = client_of(&peer);
    response(&client, &of_rows(100, false)).await;
    assert_eq!(no_delay(peer.address), [true]);
}

/// For each connection of this process to an address whether it sends at once (`TCP_NODELAY`).
fn no_delay(address: SocketAddr) -> Vec<bool> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let Some(number) = entry.ok().and_then(|entry| entry.file_name().to_str()?.parse().ok()) else {
            continue;
        };
        // SAFETY: the descriptor is asked and never closed here; if it is closed elsewhere meanwhile, it answers with an error.
        #[allow(unsafe_code)]
        let socket = ManuallyDrop::new(unsafe { TcpStream::from_raw_fd(number) });
        if socket.peer_addr().is_ok_and(|peer| peer == address) {
            found.push(socket.nodelay().unwrap());
        }
    }
    found
}
