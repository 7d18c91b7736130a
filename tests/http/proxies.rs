//! Proxies: a small one that forwards requests and opens tunnels, asks for a password if it has one, and fails on demand.

use std::future::pending;
use std::io;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openmetadata_bulksink::engine::Fault;
use openmetadata_bulksink::http::{Settings, Trust};
use tokio::net::{TcpListener, TcpStream};

use crate::authority::{named, Authority, Tls};
use crate::peer::{answer, bulk, client, fault, perform, response, settings, Connection, Peer, Received, TOKEN};

/// `user:p@ss word`, in base64.
const CREDENTIALS: &str = "Basic dXNlcjpwQHNzIHdvcmQ=";
const USERINFO: &str = "user:p%40ss%20word";
const NOWHERE: &str = "http://om.example.org:8585/api";

type Log = Arc<Mutex<Vec<Received>>>;

/// Answers forwarded requests itself, and opens tunnels to wherever it is told to.
async fn serve(stream: TcpStream, log: Log, password: bool) -> io::Result<()> {
    let mut connection = Connection::new(stream, log);
    loop {
        let request = connection.request().await?;
        if password && request.header("proxy-authorization") != Some(CREDENTIALS) {
            let refusal = answer("407 Proxy Authentication Required", "Proxy-Authenticate: Basic\r\n", "");
            connection.send(refusal.as_bytes()).await?;
        } else if let Some(target) = request.line().strip_prefix("CONNECT ") {
            let mut target = TcpStream::connect(target.split(' ').next().unwrap()).await?;
            connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
            tokio::io::copy_bidirectional(&mut connection.stream, &mut target).await?;
            return Ok(());
        } else {
            connection
                .send(answer("200 OK", "", "{\"by\":\"proxy\"}").as_bytes())
                .await?;
        }
    }
}

async fn proxy(password: bool) -> Peer {
    Peer::start(move |stream, log| serve(stream, log, password)).await
}

/// A proxy that does one thing with what it is asked.
async fn proxy_answering(bytes: &'static str) -> Peer {
    Peer::closing_after(bytes).await
}

fn through(proxy: impl Into<String>, base_url: &str) -> Settings {
    Settings {
        proxy: Some(proxy.into().into()),
        trust: Trust::Anything,
        ..settings(base_url)
    }
}

#[tokio::test]
async fn a_request_that_is_forwarded() {
    let proxy = proxy(true).await;
    let settings = through(format!("http://{USERINFO}@{}", proxy.address), NOWHERE);
    let client = client(&settings);
    for _ in 0..2 {
        assert_eq!(response(&client, &bulk(1)).await.body, "{\"by\":\"proxy\"}");
    }
    let request = &proxy.requests()[0];
    assert_eq!(
        request.line(),
        format!("PUT {NOWHERE}/tables/bulk?async=false HTTP/1.1")
    );
    assert_eq!(request.header("proxy-authorization"), Some(CREDENTIALS));
    assert_eq!(request.header("authorization"), Some(&*format!("Bearer {TOKEN}")));
    assert_eq!(request.header("host"), Some("om.example.org:8585"));
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn a_proxy_without_a_scheme_is_http() {
    let proxy = proxy(false).await;
    let settings = through(proxy.address.to_string(), NOWHERE);
    assert_eq!(response(&client(&settings), &bulk(1)).await.status, 200);
}

#[tokio::test]
async fn a_tunnel() {
    let authority = Authority::new("ours");
    let identity = authority.issue(named(&["127.0.0.1"]));
    let server = Tls::of(&identity).serve().await;
    let proxy = proxy(true).await;
    let settings = Settings {
        trust: Trust::Only(authority.pem()),
        headers: vec![("User-Agent".to_owned(), "agent/1".into())],
        ..through(
            format!("http://{USERINFO}@{}", proxy.address),
            &format!("https://{}/api", server.address),
        )
    };
    let client = client(&settings);
    for _ in 0..3 {
        assert_eq!(response(&client, &bulk(2 << 20)).await.body, "{}");
    }
    assert_eq!(
        (proxy.connections(), server.connections(), server.requests().len()),
        (1, 1, 3)
    );

    let connect = proxy.request();
    assert_eq!(connect.line(), format!("CONNECT {} HTTP/1.1", server.address));
    assert_eq!(connect.header("proxy-authorization"), Some(CREDENTIALS));
    assert_eq!(
        connect.header("authorization"),
        None,
        "the proxy must not see the token"
    );
    for request in server.requests() {
        assert_eq!(
            request.header("proxy-authorization"),
            None,
            "the server must not see the proxy's password"
        );
        assert!(request.line().starts_with("PUT /api/tables/bulk"), "{}", request.line());
    }
}

#[tokio::test]
async fn a_proxy_that_is_spoken_to_by_tls() {
    let authority = Authority::new("ours");
    let identity = authority.issue(named(&["127.0.0.1"]));
    let proxy = Tls::of(&identity).serve().await;
    let address = format!("https://{}", proxy.address);
    let settings = Settings {
        trust: Trust::Only(authority.pem()),
        ..through(&address, NOWHERE)
    };
    assert_eq!(response(&client(&settings), &bulk(1)).await.body, "{}");
    assert!(proxy
        .request()
        .line()
        .starts_with("PUT http://om.example.org:8585/api/"));

    let settings = Settings {
        trust: Trust::Only(Authority::new("another").pem()),
        ..through(&address, NOWHERE)
    };
    let fault = fault(&client(&settings), &bulk(1)).await;
    let expected = "certificate verify failed: unknown issuer; if it is your own CA, name a file with its certificate";
    assert_eq!(fault, Fault::Connect(format!("{expected} (proxy {})", proxy.address)));
}

#[tokio::test]
async fn the_wrong_password() {
    let proxy = proxy(true).await;
    for (userinfo, base_url) in [
        ("user:wrong-password@", NOWHERE),
        ("", NOWHERE),
        ("user:wrong-password@", "https://om.example.org/api"),
        ("", "https://om.example.org/api"),
    ] {
        let settings = through(format!("http://{userinfo}{}", proxy.address), base_url);
        let client = client(&settings);
        let answer = perform(&client, &bulk(1)).await;
        assert!(!format!("{answer:?}").contains("wrong-password"), "{answer:?}");
        assert_eq!(response(&client, &bulk(1)).await.status, 407);
        let error = client.server_version(Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the server answered 407: the proxy wants credentials: put them into the proxy's URL"
        );
    }
}

/// What is said when this proxy is to reach an `http` and an `https` server.
async fn said(proxy: std::net::SocketAddr, base_url: &str) -> String {
    let settings = through(format!("http://user:hidden-password@{proxy}"), base_url);
    let fault = fault(&client(&settings), &bulk(1000)).await;
    assert!(!format!("{fault:?}").contains("hidden"), "{fault:?}");
    match fault {
        Fault::Connect(text) => {
            let end = format!(" (proxy {proxy})");
            text.strip_suffix(&end)
                .unwrap_or_else(|| panic!("{text:?} does not end in {end:?}"))
                .to_owned()
        }
        other => panic!("no connection was to be made: {other:?}"),
    }
}

#[tokio::test]
async fn a_proxy_that_is_down() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(said(address, NOWHERE).await, "connection refused");
    assert_eq!(said(address, "https://om.example.org/api").await, "connection refused");
}

#[tokio::test]
async fn a_proxy_that_opens_no_tunnel() {
    for (bytes, expected) in [
        (
            "HTTP/1.1 502 Bad Gateway\r\n\r\n",
            "the proxy refused to open a tunnel to the server",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://login/\r\n\r\n",
            "the proxy refused to open a tunnel to the server",
        ),
        (
            "SSH-2.0-OpenSSH\r\n",
            "the proxy refused to open a tunnel to the server",
        ),
        ("", "the proxy closed the connection instead of opening a tunnel"),
    ] {
        let proxy = proxy_answering(bytes).await;
        assert_eq!(said(proxy.address, "https://om.example.org/api").await, expected);
    }
    let flood: &'static str = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(100_000)).leak();
    let proxy = proxy_answering(flood).await;
    assert_eq!(
        said(proxy.address, "https://om.example.org/api").await,
        "the proxy's answer is too long"
    );
}

#[tokio::test]
async fn a_proxy_that_stalls() {
    let proxy = Peer::start(|stream, log| async move {
        let mut connection = Connection::new(stream, log);
        connection.request().await?;
        pending().await
    })
    .await;
    let settings = Settings {
        connect_timeout: Duration::from_millis(500),
        ..through(format!("http://{}", proxy.address), "https://om.example.org/api")
    };
    let expected = format!(
        "no connection within 0.5 s (om.example.org:443 through the proxy {})",
        proxy.address
    );
    assert_eq!(fault(&client(&settings), &bulk(1)).await, Fault::Connect(expected));
}

#[tokio::test]
async fn a_proxy_that_dies_under_a_request() {
    let proxy = Peer::start(|stream, log| async move {
        let mut connection = Connection::new(stream, log);
        connection.request().await?;
        connection.reset();
        Ok(())
    })
    .await;
    let settings = through(format!("http://{}", proxy.address), NOWHERE);
    let expected = format!("connection reset (proxy {})", proxy.address);
    assert_eq!(fault(&client(&settings), &bulk(1)).await, Fault::Broken(expected));
}

/// The proxies of the environment are resolved by whoever makes the settings; here they must not count.
#[test]
fn the_environment_has_no_say() {
    let nobody = "http://127.0.0.1:1";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "requests::a_bulk_put"])
        .envs(["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"].map(|name| (name, nobody)))
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
