//! Servers that are slow, endless or too large: each attempt ends in time, and takes no more memory than it may.

use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use openmetadata_bulksink::engine::{Call, Fault};
use openmetadata_bulksink::http::{Client, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::peer::{answer, bulk, client, client_of, fault, get, response, settings, Connection, Peer, PATIENCE};

const READ: Duration = Duration::from_millis(600);
/// For servers that are slow and not to be given up: many times longer than any of their pauses, so that a busy machine does not
/// make a pause too long.
const LONG: Duration = Duration::from_secs(3);

fn impatient(peer: &Peer) -> Client {
    client(&Settings {
        read_timeout: READ,
        ..settings(peer.base_url())
    })
}

fn patient(peer: &Peer) -> Client {
    client(&Settings {
        read_timeout: LONG,
        ..settings(peer.base_url())
    })
}

/// The text of a read time-out that must come after `at_least`, and not never: `perform` does not wait for ever. Which time was over
/// is in the text.
async fn timed_out(client: &Client, call: &Call, at_least: Duration) -> String {
    let begun = Instant::now();
    let fault = fault(client, call).await;
    let took = begun.elapsed();
    assert!(took >= at_least, "{took:?}: {fault:?}");
    match fault {
        Fault::ReadTimeout(text) => text,
        other => panic!("a read time-out was expected: {other:?}"),
    }
}

/// Reads a request, sends `beginning`, and says nothing more.
async fn stalling_after(beginning: &'static str) -> Peer {
    Peer::start(move |stream, log| async move {
        let mut connection = Connection::new(stream, log);
        connection.request().await?;
        connection.send(beginning.as_bytes()).await?;
        pending().await
    })
    .await
}

#[tokio::test]
async fn no_answer() {
    let peer = stalling_after("").await;
    let text = timed_out(&impatient(&peer), &bulk(100), READ).await;
    assert_eq!(text, format!("the server did not answer for 0.6 s ({})", peer.address));
    timed_out(&impatient(&peer), &get(), READ).await;
}

#[tokio::test]
async fn no_answer_on_a_connection_that_served_before() {
    let peer = Peer::start(|stream, log| async move {
        let mut connection = Connection::new(stream, log);
        connection.request().await?;
        connection.send(answer("200 OK", "", "{}").as_bytes()).await?;
        connection.request().await?;
        pending().await
    })
    .await;
    let client = impatient(&peer);
    response(&client, &bulk(1)).await;
    timed_out(&client, &bulk(1), READ).await;
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn half_a_head() {
    let peer = stalling_after("HTTP/1.1 200 OK\r\nContent-Le").await;
    timed_out(&impatient(&peer), &bulk(100), READ).await;
}

#[tokio::test]
async fn half_a_body() {
    let peer = stalling_after("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{").await;
    let text = timed_out(&impatient(&peer), &bulk(100), READ).await;
    assert_eq!(text, format!("the answer stopped for 0.6 s ({})", peer.address));
}

#[tokio::test]
async fn half_the_body_of_a_refusal() {
    let peer = stalling_after("HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\n\r\n{").await;
    assert_eq!(response(&impatient(&peer), &bulk(100)).await.status, 413);
}

/// Sends a head and then a byte each so often, so many times.
async fn trickle(stream: TcpStream, head: String, every: Duration, times: usize) -> io::Result<()> {
    let mut connection = Connection::new(stream, Arc::default());
    connection.request().await?;
    connection.send(head.as_bytes()).await?;
    for _ in 0..times {
        tokio::time::sleep(every).await;
        connection.send(b"x").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_slow_body_is_waited_for() {
    let times = 30;
    let peer = Peer::start(move |stream, _| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {times}\r\n\r\n");
        trickle(stream, head, LONG / 20, times)
    })
    .await;
    let begun = Instant::now();
    assert_eq!(response(&patient(&peer), &bulk(1)).await.body.len(), times);
    assert!(begun.elapsed() > LONG + LONG / 3, "much longer than one read time-out");
}

#[tokio::test]
async fn a_body_that_trickles_for_ever_is_not() {
    let peer = Peer::start(move |stream, _| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_owned();
        trickle(stream, head, READ / 4, 1000)
    })
    .await;
    let text = timed_out(&impatient(&peer), &bulk(1), READ * 4).await;
    assert_eq!(text, format!("the answer did not end within 2.4 s ({})", peer.address));
}

#[tokio::test]
async fn a_head_that_trickles_for_ever_is_not() {
    let peer = Peer::start(move |stream, _| trickle(stream, "HTTP/1.1 200 OK\r\nX: ".to_owned(), READ / 8, 1000)).await;
    timed_out(&impatient(&peer), &bulk(1), READ).await;
}

#[tokio::test]
async fn endless_interim_answers() {
    let peer = Peer::start(|stream, log| async move {
        let mut connection = Connection::new(stream, log);
        connection.request().await?;
        loop {
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    timed_out(&impatient(&peer), &bulk(1), READ).await;
}

#[tokio::test]
async fn a_slow_upload_may_take_longer_than_the_time_out() {
    let peer = Peer::start(|stream, _| async move {
        let mut connection = Connection::new(stream, Arc::default());
        let head = connection.head().await?;
        let mut length: usize = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok())
            .unwrap();
        let mut some = vec![0; 1 << 20];
        while length > 0 {
            length -= connection.stream.read(&mut some).await?;
            tokio::time::sleep(LONG / 30).await;
        }
        connection.send(answer("200 OK", "", "{}").as_bytes()).await
    })
    .await;
    let begun = Instant::now();
    assert_eq!(response(&patient(&peer), &bulk(48 << 20)).await.status, 200);
    assert!(begun.elapsed() > LONG + LONG / 3, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_server_that_does_not_take_the_request() {
    let peer = Peer::start(|stream, _| async move {
        let _kept = stream;
        pending().await
    })
    .await;
    let text = timed_out(&impatient(&peer), &bulk(24 << 20), READ).await;
    assert_eq!(
        text,
        format!("the server did not take the request for 0.6 s ({})", peer.address)
    );
}

#[tokio::test]
async fn the_connect_time_out_covers_tls_and_counts_even_if_it_is_longer() {
    let peer = Peer::start(|stream, _| async move {
        let _kept = stream;
        pending().await
    })
    .await;
    let client = client(&Settings {
        trust: openmetadata_bulksink::http::Trust::Anything,
        connect_timeout: READ * 2,
        read_timeout: READ / 4,
        ..settings(format!("https://{}/api", peer.address))
    });
    let begun = Instant::now();
    let expected = Fault::Connect(format!("no connection within 1.2 s ({})", peer.address));
    assert_eq!(fault(&client, &bulk(1)).await, expected);
    assert!(begun.elapsed() >= READ * 2);
}

#[tokio::test]
async fn a_dropped_attempt_closes_its_connection() {
    let (arrived, closed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (notify_arrived, notify) = (Arc::clone(&arrived), Arc::clone(&closed));
    let peer = Peer::start(move |stream, log| {
        let (arrived, notify) = (Arc::clone(&notify_arrived), Arc::clone(&notify));
        async move {
            let mut connection = Connection::new(stream, log);
            connection.request().await?;
            arrived.notify_one();
            let end = connection.stream.read_u8().await;
            assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
            notify.notify_one();
            Ok(())
        }
    })
    .await;
    let client = client_of(&peer);
    let call = bulk(10);
    tokio::select! {
        answer = client.perform(&call) => panic!("nobody answered: {answer:?}"),
        () = arrived.notified() => {}
    }
    tokio::time::timeout(PATIENCE, closed.notified()).await.unwrap();
}

/// A server that sends `head`, then `piece` over and over as long as somebody takes it, a GiB at most. The count is of bytes sent.
async fn endless(head: &'static str, piece: Vec<u8>) -> (Peer, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let piece = Arc::new(piece);
    let peer = Peer::start(move |stream, log| {
        let (piece, count) = (Arc::clone(&piece), Arc::clone(&count));
        async move {
            let mut connection = Connection::new(stream, log);
            connection.request().await?;
            connection.send(head.as_bytes()).await?;
            while count.load(Ordering::SeqCst) < 1 << 30 {
                let written = connection.stream.write(&piece).await?;
                count.fetch_add(written, Ordering::SeqCst);
            }
            Ok(())
        }
    })
    .await;
    (peer, sent)
}

/// What sockets hold on top of what was read.
const BUFFERS: usize = 16 << 20;

#[tokio::test]
async fn a_success_of_one_gibibyte() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        let (peer, sent) = endless(head, vec![b'x'; 1 << 20]).await;
        let expected = Fault::Broken(format!("the answer is larger than 64 MiB ({})", peer.address));
        assert_eq!(fault(&client_of(&peer), &bulk(10)).await, expected);
        let sent = sent.load(Ordering::SeqCst);
        assert!(sent < (64 << 20) + BUFFERS, "{sent} bytes were taken");
    }
}

#[tokio::test]
async fn a_refusal_of_one_gibibyte() {
    let head = "HTTP/1.1 500 Oops\r\nContent-Length: 1073741824\r\n\r\n";
    let (peer, sent) = endless(head, vec![b'x'; 1 << 20]).await;
    let response = response(&client_of(&peer), &bulk(10)).await;
    assert_eq!((response.status, response.body.len()), (500, 1 << 20));
    let sent = sent.load(Ordering::SeqCst);
    assert!(sent < (1 << 20) + BUFFERS, "{sent} bytes were taken");
}

#[tokio::test]
async fn a_large_request_may_be_echoed() {
    let peer = Peer::answering(answer("200 OK", "", &"x".repeat(70 << 20))).await;
    assert_eq!(response(&client_of(&peer), &bulk(4 << 20)).await.body.len(), 70 << 20);
}

#[tokio::test]
async fn a_flood_of_headers() {
    for piece in [&b"X-Flood: 0123456789\r\n"[..], &b"one endless line "[..]] {
        let (peer, sent) = endless("HTTP/1.1 200 OK\r\nX: ", piece.repeat(1000)).await;
        let fault = fault(&client_of(&peer), &bulk(10)).await;
        assert!(
            matches!(&fault, Fault::Broken(text) if text.contains("head of the answer is too large")),
            "{fault:?}"
        );
        let sent = sent.load(Ordering::SeqCst);
        assert!(sent < BUFFERS, "{sent} bytes were taken");
    }
}

#[tokio::test]
async fn a_flood_of_trailers_and_of_chunk_extensions() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n";
    for (more, piece) in [("0\r\n", &b"X-Flood: 0123456789\r\n"[..]), ("2", &b";a=b"[..])] {
        let head: &'static str = format!("{chunked}{more}").leak();
        let (peer, sent) = endless(head, piece.repeat(1000)).await;
        let fault = fault(&client_of(&peer), &bulk(10)).await;
        assert!(matches!(fault, Fault::Broken(_)), "{fault:?}");
        let sent = sent.load(Ordering::SeqCst);
        assert!(sent < BUFFERS, "{sent} bytes were taken");
    }
}
