//! TLS: whom the client believes. Both lanes are given the same configuration.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::BadClient;
use crate::scenario::{HttpVersion, Plan};

/// The configuration for a plan: the system's authorities and those of `http.ca`, or anybody with
/// `http.insecure`.
pub(super) fn config(plan: &Plan, base_url: &str) -> Result<ClientConfig, BadClient> {
    let http = &plan.http;
    let provider = Arc::new(ring::default_provider());
    let wrong = |error: Error| BadClient(format!("no TLS: {error}"));
    let bad_ca = |why: String| BadClient(format!("http.ca: {why}"));
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(wrong)?;
    let ca: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(http.ca.as_deref().unwrap_or_default())
            .collect::<Result<_, _>>()
            .map_err(|error| bad_ca(error.to_string()))?;
    let mut config = if http.insecure {
        let anybody = Anybody(provider);
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(anybody))
            .with_no_client_auth()
    } else if is_plain(base_url) && plan.target.trusted_origins.iter().all(|it| is_plain(it)) {
        // No TLS is spoken, so a machine without any certificates will do.
        let mut roots = RootCertStore::empty();
        for certificate in ca {
            let added = roots.add(certificate);
            added.map_err(|error| bad_ca(error.to_string()))?;
        }
        builder.with_root_certificates(roots).with_no_client_auth()
    } else {
        let verifier = Verifier::new_with_extra_roots(ca, provider).map_err(wrong)?;
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth()
    };
    config.alpn_protocols = match http.version {
        HttpVersion::Http1 => vec![b"http/1.1".to_vec()],
        HttpVersion::Http2 => vec![b"h2".to_vec()],
        HttpVersion::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    Ok(config)
}

fn is_plain(url: &str) -> bool {
    url.starts_with("http://")
}

/// Believes everybody: `http.insecure`. The report shows it.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
