//! A CA of the tests' own, the certificates it issues, and servers that speak TLS with them.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, ALL_VERSIONS};
use tokio_rustls::TlsAcceptor;

use crate::peer::{answer, Connection, Peer};

/// A certificate with its private key, in PEM.
#[derive(Clone)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Identity {
    pub fn pem(&self) -> Vec<u8> {
        format!("{}{}", self.certificate, self.key).into_bytes()
    }
}

/// What a certificate says.
pub fn named(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "a certificate of the tests");
    params
}

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    pub fn issue(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        Identity {
            certificate: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// Signed with its own key.
pub fn self_signed(params: CertificateParams) -> Identity {
    let key = KeyPair::generate().unwrap();
    Identity {
        certificate: params.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

/// How a server speaks TLS.
pub struct Tls<'a> {
    pub identity: &'a Identity,
    /// Clients must have a certificate of this CA.
    pub clients: Option<&'a Authority>,
    pub versions: Vec<&'static SupportedProtocolVersion>,
}

impl<'a> Tls<'a> {
    pub fn of(identity: &'a Identity) -> Self {
        Self {
            identity,
            clients: None,
            versions: ALL_VERSIONS.to_vec(),
        }
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&self.versions)
            .unwrap();
        let builder = match self.clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots
                    .add(CertificateDer::from_pem_slice(&authority.pem()).unwrap())
                    .unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let certificate = CertificateDer::from_pem_slice(self.identity.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.identity.key.as_bytes()).unwrap();
        Arc::new(builder.with_single_cert(vec![certificate], key).unwrap()).into()
    }

    /// A server that answers each request with 200 and `{}`.
    pub async fn serve(&self) -> Peer {
        let acceptor = self.acceptor();
        Peer::start(move |stream, log| {
            let acceptor = acceptor.clone();
            async move {
                let mut connection = Connection::new(acceptor.accept(stream).await?, log);
                loop {
                    connection.request().await?;
                    connection.send(answer("200 OK", "", "{}").as_bytes()).await?;
                }
            }
        })
        .await
    }
}
