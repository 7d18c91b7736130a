//! Connections that fail at each stage: whether the request went out decides what may be done next, so that is what is
//! looked at, and the words for people.

use std::sync::Arc;

use bytes::Bytes;
use openmetadata_bulksink::engine::{Call, Fault};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use crate::peer::{
    answer, bulk, client, client_of, fault, get, perform, response, settings, Connection, Peer, Received, PATIENCE,
    TOKEN,
};

/// Much more than the buffers between two sockets hold.
const LARGE: usize = 24 << 20;

/// An address at which nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn refused() {
    let address = nobody().await;
    let client = client(&settings(format!("http://{address}/api/v1")));
    for call in [bulk(10), get()] {
        let expected = Fault::Connect(format!("connection refused ({address})"));
        assert_eq!(fault(&client, &call).await, expected);
    }
}

#[tokio::test]
async fn a_name_that_nobody_knows() {
    // A label of 64 characters: no name server is asked.
    let host = format!("{}.localhost", "x".repeat(64));
    let fault = fault(&client(&settings(format!("http://{host}:8585/api"))), &get()).await;
    let expected = format!("the host name cannot be resolved ({host}:8585)");
    assert_eq!(fault, Fault::Connect(expected));
}

#[tokio::test]
async fn reset_before_the_whole_request_is_out() {
    let peer = Peer::start(|stream, log| async move {
        let mut connection = Connection::new(stream, log);
        connection.head().await?;
        connection.reset();
        Ok(())
    })
    .await;
    let fault = fault(&client_of(&peer), &bulk(LARGE)).await;
    assert!(
        matches!(&fault, Fault::NotSent(text) if text.contains("connection")),
        "{fault:?}"
    );
}

#[tokio::test]
async fn closed_before_the_whole_request_is_out() {
    let peer = Peer::start(|stream, log| async move {
        let mut connection = Connection::new(stream, log);
        connection.head().await?;
        let mut some = vec![0; 100_000];
        connection.stream.read_exact(&mut some).await?;
        Ok(())
    })
    .await;
    let fault = fault(&client_of(&peer), &bulk(LARGE)).await;
    assert!(matches!(fault, Fault::NotSent(_)), "{fault:?}");
}

#[tokio::test]
async fn reset_after_the_request() {
    let peer = Peer::start(|stream, log| async move {
        let mut connection = Connection::new(stream, log);
        connection.request().await?;
        connection.reset();
        Ok(())
    })
    .await;
    let client = client_of(&peer);
    let expected = Fault::Broken(format!("connection reset ({})", peer.address));
    assert_eq!(fault(&client, &bulk(1000)).await, expected);
    assert_eq!(fault(&client, &bulk(LARGE)).await, expected);
    assert_eq!(fault(&client, &get()).await, expected);
    assert_eq!(peer.requests().len(), 3, "nothing is sent twice");
}

#[tokio::test]
async fn closed_after_the_request() {
    let peer = Peer::closing_after("").await;
    let text = format!(
        "the connection was closed before the answer was complete ({})",
        peer.address
    );
    assert_eq!(fault(&client_of(&peer), &bulk(1000)).await, Fault::Broken(text));
    assert_eq!(peer.requests().len(), 1);
}

#[tokio::test]
async fn half_an_answer() {
    let halves = [
        "HTTP/1.1 200 O",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"status\":",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nabc",
    ];
    for half in halves {
        let peer = Peer::closing_after(half).await;
        let fault = fault(&client_of(&peer), &bulk(1000)).await;
        assert!(
            matches!(&fault, Fault::Broken(text) if text.contains("closed")),
            "{half:?}: {fault:?}"
        );
    }
}

#[tokio::test]
async fn reset_within_the_answer() {
    let peer = Peer::start(|stream, log| async move {
        let mut connection = Connection::new(stream, log);
        connection.request().await?;
        connection
            .send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"sta")
            .await?;
        // The client is to read what came before the reset.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        connection.reset();
        Ok(())
    })
    .await;
    let fault = fault(&client_of(&peer), &bulk(1000)).await;
    assert!(
        matches!(&fault, Fault::Broken(text) if text.starts_with("connection reset")),
        "{fault:?}"
    );
}

#[tokio::test]
async fn an_answer_longer_than_it_says() {
    let peer = Peer::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}{\"more\":1}").await;
    let client = client_of(&peer);
    for _ in 0..3 {
        // What is left over must never be taken for the next answer.
        match perform(&client, &bulk(10)).await {
            openmetadata_bulksink::engine::Answer::Response(response) => assert_eq!(response.body, "{}"),
            other => panic!("{other:?}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(peer.connections(), 3);
}

#[tokio::test]
async fn what_is_not_http() {
    for text in [
        "220 smtp.example.org ready\r\n",
        "\x15\x03\x01\x00\x02\x02\x46",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
    ] {
        let peer = Peer::closing_after(text).await;
        let fault = fault(&client_of(&peer), &bulk(10)).await;
        assert!(
            matches!(&fault, Fault::Broken(text) if text.starts_with("the answer is not HTTP")),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_refusal_stands_even_if_its_body_does_not_arrive() {
    for (status, cut) in [
        (
            413,
            "HTTP/1.1 413 Too Large\r\nContent-Length: 100\r\n\r\n{\"message\":",
        ),
        (
            502,
            "HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
        ),
        (401, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\n"),
    ] {
        let peer = Peer::closing_after(cut).await;
        assert_eq!(response(&client_of(&peer), &bulk(10)).await.status, status);
    }
}

#[tokio::test]
async fn a_refusal_that_comes_before_the_request_is_out() {
    let peer = Peer::start(|stream, log| async move {
        let mut connection = Connection::new(stream, log);
        connection.head().await?;
        let refusal = answer(
            "413 Content Too Large",
            "Connection: close\r\n",
            "{\"message\":\"too large\"}",
        );
        connection.send(refusal.as_bytes()).await?;
        // As web servers do: what still comes is read for a while, since closing at once would reset the connection.
        let mut rest = vec![0; 1 << 20];
        while connection.stream.read(&mut rest).await? > 0 {}
        Ok(())
    })
    .await;
    let response = response(&client_of(&peer), &bulk(LARGE)).await;
    assert_eq!(
        (response.status, &response.body[..]),
        (413, &b"{\"message\":\"too large\"}"[..])
    );
}

#[tokio::test]
async fn a_server_that_goes_and_comes_back() {
    let peer = Peer::answering(answer("200 OK", "", "{}")).await;
    let client = client_of(&peer);
    response(&client, &bulk(10)).await;
    let address = peer.address;
    drop(peer);

    // The old connection may still be there for a moment; then nobody listens.
    let gone = Fault::Connect(format!("connection refused ({address})"));
    let begun = std::time::Instant::now();
    while fault_or_none(&client, &bulk(10)).await.as_ref() != Some(&gone) {
        assert!(begun.elapsed() < PATIENCE, "the stopped server still answers");
        tokio::task::yield_now().await;
    }

    let listener = TcpListener::bind(address).await.unwrap();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = Connection::new(stream, Arc::default());
        connection.request().await.unwrap();
        connection.send(answer("200 OK", "", "{}").as_bytes()).await.unwrap();
    });
    assert_eq!(response(&client, &bulk(10)).await.status, 200);
    task.await.unwrap();
}

async fn fault_or_none(client: &openmetadata_bulksink::http::Client, call: &Call) -> Option<Fault> {
    match perform(client, call).await {
        openmetadata_bulksink::engine::Answer::Fault(fault) => Some(fault),
        _ => None,
    }
}

/// Answers the first request on each connection, and ends the connection under the second one.
async fn ending_under_the_second(reset: bool) -> Peer {
    Peer::start(move |stream, log| async move {
        let mut connection = Connection::new(stream, log);
        connection.request().await?;
        connection.send(answer("200 OK", "", "{}").as_bytes()).await?;
        connection.request().await?;
        if reset {
            connection.reset();
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_connection_that_answered_before_and_ends_without_an_answer() {
    for reset in [false, true] {
        for call in [bulk(10), get()] {
            let peer = ending_under_the_second(reset).await;
            let client = client_of(&peer);
            assert_eq!(response(&client, &call).await.status, 200);
            let ended = fault(&client, &call).await;
            assert!(matches!(&ended, Fault::Closed(_)), "{ended:?}");
            assert_eq!((peer.connections(), peer.requests().len()), (1, 2));
        }
    }
}

#[tokio::test]
async fn a_new_connection_that_ends_without_an_answer() {
    for reset in [false, true] {
        let peer = Peer::start(move |stream, log| async move {
            let mut connection = Connection::new(stream, log);
            connection.request().await?;
            if reset {
                connection.reset();
            }
            Ok(())
        })
        .await;
        let ended = fault(&client_of(&peer), &bulk(10)).await;
        assert!(matches!(&ended, Fault::Broken(_)), "{ended:?}");
    }
}

#[tokio::test]
async fn an_answer_compressed_without_being_asked() {
    let gzip = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x0b\x08";
    let peer = Peer::closing_after(gzip).await;
    let compressed = fault(&client_of(&peer), &bulk(10)).await;
    assert!(
        matches!(&compressed, Fault::Broken(text) if text.contains("compressed (gzip)")),
        "{compressed:?}"
    );

    let identity = answer("200 OK", "Content-Encoding: identity\r\n", "{}");
    let peer = Peer::closing_after(identity).await;
    assert_eq!(response(&client_of(&peer), &bulk(10)).await.body, "{}");
}

/// Sends the request back, head and all.
async fn echo(stream: TcpStream, log: Arc<std::sync::Mutex<Vec<Received>>>) -> std::io::Result<()> {
    let mut connection = Connection::new(stream, log);
    let Received { head, body } = connection.request().await?;
    let echo = format!("{head}{}", String::from_utf8(body).unwrap());
    connection.send(answer("400 Bad Request", "", &echo).as_bytes()).await
}

#[tokio::test]
async fn a_server_that_echoes_secrets_does_not_get_them_into_our_logs() {
    let peer = Peer::start(echo).await;
    let mut settings = settings(peer.base_url());
    settings.headers = [
        ("Cookie", "sid=0123456789abcdef; a=b"),
        ("X-Api-Key", "k-98765432109876"),
    ]
    .map(|(name, value)| (name.to_owned(), value.into()))
    .into();
    let call = Call::PutOne {
        collection: "tables".into(),
        row: Bytes::from(format!("{{\"description\":\"{TOKEN}\"}}")),
    };
    // `response` looks for the token.
    let body = response(&client(&settings), &call).await.body;
    let text = String::from_utf8(body.to_vec()).unwrap().to_lowercase();
    assert!(text.contains("authorization: bearer ***\r\n"), "{text}");
    assert!(text.contains("cookie: ***\r\n"), "{text}");
    assert!(text.contains("x-api-key: ***\r\n"), "{text}");
    assert!(text.ends_with("{\"description\":\"***\"}"), "{text}");
}

#[tokio::test]
async fn half_a_token_at_the_end_of_a_cut_answer() {
    let half = &TOKEN[..TOKEN.len() - 5];
    let peer = Peer::closing_after(format!(
        "HTTP/1.1 400 Bad\r\nContent-Length: 999\r\n\r\nyou sent {half}"
    ))
    .await;
    assert_eq!(response(&client_of(&peer), &bulk(10)).await.body, "you sent ");
}
