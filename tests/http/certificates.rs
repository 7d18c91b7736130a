//! TLS: whom we trust, who we are, and what is said when the two ends do not agree.

use std::process::Command;

use openmetadata_bulksink::engine::Fault;
use openmetadata_bulksink::http::{Client, Settings, Trust};
use rcgen::{date_time_ymd, BasicConstraints, CertificateParams, IsCa};
use rustls::version::{TLS12, TLS13};

use crate::authority::{named, self_signed, Authority, Identity, Tls};
use crate::peer::{answer, bulk, client, fault, get, response, settings, Connection, Peer};

const HERE: &[&str] = &["127.0.0.1", "localhost"];

fn https(peer: &Peer, trust: Trust) -> Settings {
    Settings {
        trust,
        ..settings(format!("https://{}/api", peer.address))
    }
}

async fn accepted(settings: &Settings) {
    assert_eq!(response(&client(settings), &bulk(100_000)).await.body, "{}");
}

/// The text of the refusal, without the address that it must end in.
async fn refused(peer: &Peer, settings: &Settings) -> String {
    let fault = fault(&client(settings), &bulk(1000)).await;
    let Fault::Connect(text) = &fault else {
        panic!("no connection was to be made: {fault:?}");
    };
    assert!(peer.requests().is_empty(), "the request was sent");
    text.strip_suffix(&format!(" ({})", peer.address))
        .unwrap_or_else(|| panic!("no address: {text}"))
        .to_owned()
}

#[tokio::test]
async fn a_server_of_our_own_authority() {
    let authority = Authority::new("ours");
    let identity = authority.issue(named(HERE));
    for version in [&TLS12, &TLS13] {
        let peer = Tls {
            versions: vec![version],
            ..Tls::of(&identity)
        }
        .serve()
        .await;
        let settings = https(&peer, Trust::Only(authority.pem()));
        let client = client(&settings);
        for _ in 0..3 {
            assert_eq!(response(&client, &bulk(3 << 20)).await.body, "{}");
        }
        assert_eq!((peer.connections(), peer.requests().len()), (1, 3));
    }
}

#[tokio::test]
async fn the_servers_authority_may_stand_anywhere_in_the_bundle() {
    let authority = Authority::new("ours");
    let identity = authority.issue(named(HERE));
    let peer = Tls::of(&identity).serve().await;
    // Comments, other certificates, and one that nobody can read: bundles are like that.
    let unreadable = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let mut bundle = b"# bundle\n".to_vec();
    bundle.extend(Authority::new("another").pem());
    bundle.extend(unreadable.as_bytes());
    bundle.extend(authority.pem());
    accepted(&https(&peer, Trust::Only(bundle))).await;
}

#[tokio::test]
async fn an_authority_that_we_do_not_know() {
    let identity = Authority::new("theirs").issue(named(HERE));
    let peer = Tls::of(&identity).serve().await;
    let expected = "certificate verify failed: unknown issuer; if it is your own CA, name a file with its certificate";
    for trust in [Trust::Only(Authority::new("ours").pem()), Trust::System] {
        assert_eq!(refused(&peer, &https(&peer, trust)).await, expected);
    }
    accepted(&https(&peer, Trust::Anything)).await;
}

#[tokio::test]
async fn self_signed_certificates() {
    let identity = self_signed(named(HERE));
    let peer = Tls::of(&identity).serve().await;
    let text = refused(&peer, &https(&peer, Trust::Only(Authority::new("ours").pem()))).await;
    assert!(text.starts_with("certificate verify failed: unknown issuer"), "{text}");
    accepted(&https(&peer, Trust::Only(identity.certificate.into_bytes()))).await;
    accepted(&https(&peer, Trust::Anything)).await;

    let mut params = named(HERE);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let identity = self_signed(params);
    let peer = Tls::of(&identity).serve().await;
    assert_eq!(
        refused(&peer, &https(&peer, Trust::Only(identity.certificate.into_bytes()))).await,
        "certificate verify failed: the server presents a CA certificate as its own; give it one that is signed by that CA"
    );
    accepted(&https(&peer, Trust::Anything)).await;
}

/// What is said about a certificate of an authority that we trust.
async fn said_about(params: CertificateParams) -> String {
    let authority = Authority::new("ours");
    let identity = authority.issue(params);
    let peer = Tls::of(&identity).serve().await;
    let said = refused(&peer, &https(&peer, Trust::Only(authority.pem()))).await;
    accepted(&https(&peer, Trust::Anything)).await;
    said
}

#[tokio::test]
async fn the_wrong_host() {
    let said = said_about(named(&["om.example.org"])).await;
    assert!(said.starts_with("certificate verify failed: "), "{said}");
    assert!(said.contains("127.0.0.1") && said.contains("om.example.org"), "{said}");
}

#[tokio::test]
async fn expired_or_not_valid_yet() {
    let mut expired = named(HERE);
    expired.not_before = date_time_ymd(2020, 1, 1);
    expired.not_after = date_time_ymd(2021, 1, 1);
    assert_eq!(
        said_about(expired).await,
        "certificate verify failed: the server's certificate has expired"
    );
    let mut early = named(HERE);
    early.not_before = date_time_ymd(4000, 1, 1);
    assert_eq!(
        said_about(early).await,
        "certificate verify failed: the server's certificate is not valid yet; check this machine's clock"
    );
}

#[tokio::test]
async fn a_client_certificate() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let server = ours.issue(named(HERE));
    for version in [&TLS12, &TLS13] {
        let tls = Tls {
            clients: Some(&ours),
            versions: vec![version],
            ..Tls::of(&server)
        };
        let with = |peer: &Peer, identity: Option<Identity>| Settings {
            identity: identity.map(|identity| identity.pem().into()),
            ..https(peer, Trust::Only(ours.pem()))
        };
        let peer = tls.serve().await;
        accepted(&with(&peer, Some(ours.issue(named(&["ingestion-bot"]))))).await;

        // TLS 1.3 refuses a client after our side of the handshake is done: that is no unknown result.
        let peer = tls.serve().await;
        let none = refused(&peer, &with(&peer, None)).await;
        let wrong = refused(&peer, &with(&peer, Some(theirs.issue(named(&["ingestion-bot"]))))).await;
        assert!(wrong.starts_with("the server refused the TLS connection: "), "{wrong}");
        if version == &TLS13 {
            assert_eq!(none, "the server asks for a client certificate");
        }
    }
}

#[tokio::test]
async fn alerts_and_ends_within_the_handshake() {
    for (bytes, expected) in [
        (
            &b"\x15\x03\x03\x00\x02\x02\x28"[..],
            "the server refused the TLS connection: HandshakeFailure",
        ),
        (
            &b"\x15\x03\x03\x00\x02\x02\x46"[..],
            "the server refused the TLS connection: ProtocolVersion",
        ),
        (&b""[..], "the connection was closed in the middle"),
    ] {
        let peer = Peer::start(move |stream, log| async move {
            let mut connection = Connection::new(stream, log);
            let mut hello = [0; 4096];
            tokio::io::AsyncReadExt::read(&mut connection.stream, &mut hello).await?;
            connection.send(bytes).await
        })
        .await;
        assert_eq!(refused(&peer, &https(&peer, Trust::Anything)).await, expected);
    }
    let peer = Peer::start(|stream, log| async move {
        let mut connection = Connection::new(stream, log);
        let mut hello = [0; 64];
        tokio::io::AsyncReadExt::read(&mut connection.stream, &mut hello).await?;
        connection.reset();
        Ok(())
    })
    .await;
    assert_eq!(refused(&peer, &https(&peer, Trust::Anything)).await, "connection reset");
}

#[tokio::test]
async fn one_end_speaks_tls_and_the_other_does_not() {
    let peer = Peer::closing_after(answer("400 Bad Request", "", "")).await;
    let plain = Peer::start(|stream, log| async move {
        let mut connection = Connection::new(stream, log);
        let mut hello = [0; 4096];
        tokio::io::AsyncReadExt::read(&mut connection.stream, &mut hello).await?;
        connection.send(answer("400 Bad Request", "", "").as_bytes()).await
    })
    .await;
    drop(peer);
    assert_eq!(
        refused(&plain, &https(&plain, Trust::Anything)).await,
        "the other end does not speak TLS; if that is meant to be so, the address must begin with http://"
    );

    let identity = self_signed(named(HERE));
    let secure = Tls::of(&identity).serve().await;
    let fault = fault(&client(&settings(format!("http://{}/api", secure.address))), &bulk(10)).await;
    let expected = "the answer is not HTTP; if the server speaks TLS, the address must begin with https://";
    assert_eq!(fault, Fault::Broken(format!("{expected} ({})", secure.address)));
}

#[tokio::test]
async fn faults_after_the_handshake() {
    let authority = Authority::new("ours");
    let identity = authority.issue(named(HERE));
    for beginning in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{",
        "HTTP/1.1 200 OK\r\n\r\n{",
    ] {
        let acceptor = Tls::of(&identity).acceptor();
        let peer = Peer::start(move |stream, log| {
            let acceptor = acceptor.clone();
            async move {
                let mut connection = Connection::new(acceptor.accept(stream).await?, log);
                connection.request().await?;
                // Closed without TLS's own farewell: anybody on the way could have cut it.
                connection.send(beginning.as_bytes()).await
            }
        })
        .await;
        let settings = https(&peer, Trust::Only(authority.pem()));
        let fault = fault(&client(&settings), &bulk(1000)).await;
        let expected = format!("the connection was closed in the middle ({})", peer.address);
        assert_eq!(fault, Fault::Broken(expected), "{beginning:?}");
    }
}

/// What a server has against a client certificate can be lost with the connection; one that answered before has nothing.
#[tokio::test]
async fn ends_while_the_request_is_on_its_way() {
    let authority = Authority::new("ours");
    let identity = authority.issue(named(HERE));
    let acceptor = Tls::of(&identity).acceptor();
    let peer = Peer::start(move |stream, log| {
        let acceptor = acceptor.clone();
        async move {
            let mut connection = Connection::new(acceptor.accept(stream).await?, log);
            while connection.head().await?.starts_with("GET ") {
                connection.send(answer("200 OK", "", "{}").as_bytes()).await?;
            }
            // With a part of the request unread, this is a reset.
            Ok(())
        }
    })
    .await;
    let client = client(&https(&peer, Trust::Only(authority.pem())));
    let hint = "a server that misses or refuses a client certificate can end like this";
    for hinted in [true, false] {
        let fault = fault(&client, &bulk(16 << 20)).await;
        let Fault::NotSent(text) = &fault else {
            panic!("not all of it was to be sent: {fault:?}");
        };
        assert_eq!(text.contains(hint), hinted, "{text}");
        assert_eq!(response(&client, &get()).await.body, "{}");
    }
}

/// Runs one of the tests below in a process of its own, with this environment.
fn in_a_process(test: &str, environment: &[(&str, &str)]) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("certificates::{test}"), "--ignored", "--nocapture"])
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Where rustls finds no certificate of the system.
const NO_CERTIFICATES: [(&str, &str); 2] = [
    ("SSL_CERT_FILE", "/nonexistent/file"),
    ("SSL_CERT_DIR", "/nonexistent/directory"),
];

#[test]
fn a_machine_without_certificates() {
    in_a_process("without_certificates", &NO_CERTIFICATES);
}

#[tokio::test]
#[ignore = "needs an environment of its own: a_machine_without_certificates runs it"]
async fn without_certificates() {
    let peer = Peer::answering(answer("200 OK", "", "{}")).await;
    let plain = Settings {
        trust: Trust::System,
        ..settings(peer.base_url())
    };
    assert_eq!(response(&client(&plain), &get()).await.body, "{}");

    let error = Client::new(&https(&peer, Trust::System)).unwrap_err();
    assert_eq!(error.setting(), "trust");
    assert!(error.text().contains("ca-certificates"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_certificates_of_the_machine() {
    let authority = Authority::new("the machine's");
    let identity = authority.issue(named(HERE));
    let peer = Tls::of(&identity).serve().await;
    let directory = std::env::temp_dir().join(format!("bulksink-ca-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("ca.pem");
    std::fs::write(&file, authority.pem()).unwrap();

    let (url, path) = (format!("https://{}/api", peer.address), file.display().to_string());
    let child = tokio::task::spawn_blocking(move || {
        in_a_process(
            "with_the_machines_certificates",
            &[
                ("SSL_CERT_FILE", &path),
                ("SSL_CERT_DIR", "/nonexistent"),
                ("SERVER_OF_TEST", &url),
            ],
        );
    });
    let result = child.await;
    std::fs::remove_dir_all(&directory).unwrap();
    result.unwrap();
    assert_eq!(peer.requests().len(), 1);
}

#[tokio::test]
#[ignore = "needs an environment of its own: the_certificates_of_the_machine runs it"]
async fn with_the_machines_certificates() {
    let settings = Settings {
        trust: Trust::System,
        ..settings(std::env::var("SERVER_OF_TEST").unwrap())
    };
    accepted(&settings).await;
}
