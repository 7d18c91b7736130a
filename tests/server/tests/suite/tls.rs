//! TLS: who is trusted, and who must show a certificate.

use std::path::{Path, PathBuf};

use om_reference_server::{Config, Server, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::{Certificate, Identity};

use crate::api::eventually;

/// A directory with an authority, a server's certificate and a client's; removed at the end.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("om-reference-server-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let authority_key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::new(Vec::new()).expect("parameters");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = parameters.self_signed(&authority_key).expect("an authority");
        std::fs::write(folder.join("ca.pem"), authority.pem()).expect("a file");
        let issuer = Issuer::new(parameters, authority_key);
        for (name, host) in [("server", "127.0.0.1"), ("client", "client")] {
            let key = KeyPair::generate().expect("a key");
            let parameters = CertificateParams::new(vec![host.to_string()]).expect("parameters");
            let certificate = parameters.signed_by(&key, &issuer).expect("a certificate");
            std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).expect("a file");
            std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).expect("a file");
        }
        Files(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect("a file")
    }

    fn server(&self, client_authority: Option<&Path>) -> Server {
        let tls = TlsFiles {
            certificate: self.path("server.pem"),
            key: self.path("server.key"),
            client_authority: client_authority.map(Path::to_path_buf),
        };
        Server::start(&Config {
            tls: Some(tls),
            ..Config::default()
        })
        .expect("a server")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn trusting(files: &Files) -> reqwest::blocking::ClientBuilder {
    let authority = Certificate::from_pem(&files.read("ca.pem")).expect("a certificate");
    crate::api::client().tls_certs_only([authority])
}

#[test]
fn a_client_that_knows_the_authority_is_served() {
    let files = Files::new("plain");
    let server = files.server(None);
    assert!(server.url.starts_with("https://127.0.0.1:"));
    let url = format!("{}/v1/system/version", server.url);
    let client = trusting(&files).build().expect("a client");
    assert_eq!(client.get(&url).send().expect("an answer").status().as_u16(), 200);
    let stranger = crate::api::client().build().expect("a client");
    assert!(stranger.get(&url).send().is_err());
    assert_eq!(server.shared.log().connections, 1);
    // The client knows before the server does.
    eventually("a failed handshake", || server.shared.log().failed_handshakes > 0);
    assert_eq!(server.shared.log().failed_handshakes, 1);
}

#[test]
fn a_client_may_have_to_show_a_certificate() {
    let files = Files::new("mutual");
    let server = files.server(Some(&files.path("ca.pem")));
    let url = format!("{}/v1/system/version", server.url);
    let without = trusting(&files).build().expect("a client");
    assert!(without.get(&url).send().is_err());
    let mut pem = files.read("client.pem");
    pem.extend(files.read("client.key"));
    let with = trusting(&files)
        .identity(Identity::from_pem(&pem).expect("an identity"))
        .build()
        .expect("a client");
    assert_eq!(with.get(&url).send().expect("an answer").status().as_u16(), 200);
}

#[test]
fn a_file_that_is_no_certificate_is_named() {
    let files = Files::new("wrong");
    std::fs::write(files.path("server.pem"), "nonsense").expect("a file");
    let tls = TlsFiles {
        certificate: files.path("server.pem"),
        key: files.path("server.key"),
        client_authority: None,
    };
    let error = Server::start(&Config {
        tls: Some(tls),
        ..Config::default()
    })
    .err()
    .expect("an error");
    assert!(error.contains("server.pem"), "{error}");
}
