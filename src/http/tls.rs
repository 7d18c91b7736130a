//! Whom to trust, and who we are: PEM texts become a rustls configuration, each trap checked. It opens no connection.
//!
//! The configuration names its own provider (ring), so that another default provider in the process neither matters nor is
//! touched.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::WantsClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::settings::{SettingsError, Trust};

/// A configuration for connections that never use TLS.
pub(super) fn unused() -> Result<ClientConfig, SettingsError> {
    let builder = builder()?.with_root_certificates(RootCertStore::empty());
    Ok(builder.with_no_client_auth())
}

/// The configuration for TLS connections; `identity` is our own certificate with its key, in PEM.
pub(super) fn configuration(trust: &Trust, identity: Option<&[u8]>) -> Result<ClientConfig, SettingsError> {
    let builder = trusting(trust)?;
    let mut config = match identity {
        Some(pem) => with_identity(builder, pem)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn builder() -> Result<ConfigBuilder<ClientConfig, rustls::WantsVerifier>, SettingsError> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| SettingsError::new("trust", format!("TLS is not available: {error}")))
}

fn trusting(trust: &Trust) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, SettingsError> {
    let builder = builder()?;
    match trust {
        Trust::Only(pem) => Ok(builder.with_root_certificates(roots(pem)?)),
        Trust::Anything => Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAnything(provider())))),
        Trust::System => {
            let verifier = rustls_platform_verifier::Verifier::new(provider()).map_err(|error| {
                SettingsError::new(
                    "trust",
                    format!(
                        "this machine's CA certificates cannot be used ({error}): install them (Debian: the package \
                         ca-certificates), or name a file with the CA certificate of the server"
                    ),
                )
            })?;
            Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)))
        }
    }
}

/// Bundles often hold a certificate or two that rustls does not take; only one without any usable one is an error.
fn roots(pem: &[u8]) -> Result<RootCertStore, SettingsError> {
    let refused = |why: &str| {
        SettingsError::new(
            "trust",
            format!("the CA file {why}: give a file in PEM format (-----BEGIN CERTIFICATE-----)"),
        )
    };
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| refused("is damaged"))?;
    if certificates.is_empty() {
        return Err(refused("holds no certificate"));
    }
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(refused("holds no certificate that can be read"));
    }
    Ok(store)
}

fn with_identity(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    pem: &[u8],
) -> Result<ClientConfig, SettingsError> {
    let refused = |why: String| SettingsError::new("identity", why);
    // Also in the older form, where the key's header says `Proc-Type: 4,ENCRYPTED`.
    if memchr::memmem::find(pem, b"ENCRYPTED").is_some() {
        return Err(refused(
            "the private key of the client certificate is encrypted: give a decrypted one (openssl pkey -in key.pem -out \
             decrypted.pem)"
                .to_owned(),
        ));
    }
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| refused("the client certificate is damaged: give it in PEM format".to_owned()))?;
    if certificates.is_empty() {
        return Err(refused(
            "there is no client certificate: give it and its private key in PEM format".to_owned(),
        ));
    }
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        refused(
            "there is no readable private key for the client certificate: give it in PEM format (PKCS#8, PKCS#1 or SEC1)"
                .to_owned(),
        )
    })?;
    builder.with_client_auth_cert(certificates, key).map_err(|error| {
        refused(match error {
            rustls::Error::InconsistentKeys(_) => {
                "the private key does not belong to the client certificate: give the matching pair".to_owned()
            }
            other => format!("the client certificate and its key cannot be used: {other}"),
        })
    })
}

/// For [`Trust::Anything`]. Signatures are not checked either: old certificates that rustls cannot read are to pass as well.
#[derive(Debug)]
struct AcceptAnything(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
