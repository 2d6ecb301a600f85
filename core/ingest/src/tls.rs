//! TLS with cameras, which mostly sign their certificates themselves.

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use sha2::{Digest, Sha256};
use taimat_hub::FaultCause;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::fault::Fault;
use crate::source::Trust;

/// Speaks TLS over a connection to `host`.
pub(crate) async fn connect(
    stream: TcpStream,
    host: &str,
    trust: &Trust,
) -> Result<TlsStream<TcpStream>, Fault> {
    let untrusted = |detail: String| Fault::new(FaultCause::Untrusted, detail);
    let verifier = Arc::new(Verifier::new(trust).map_err(untrusted)?);
    let config = ClientConfig::builder_with_provider(Arc::clone(&verifier.provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| untrusted(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
        .map_err(|error| untrusted(error.to_string()))?;
    let connector = TlsConnector::from(Arc::new(config));
    connector
        .connect(name, stream)
        .await
        .map_err(|error| verifier.explain(&error))
}

/// The SHA-256 of a certificate, as people compare it.
pub fn hex(fingerprint: &[u8; 32]) -> String {
    fingerprint.iter().fold(String::new(), |mut text, byte| {
        let _always = write!(text, "{byte:02x}");
        text
    })
}

/// Checks what the commune trusts, and remembers what was shown, to say it.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    pinned: Option<[u8; 32]>,
    authorities: Option<Arc<WebPkiServerVerifier>>,
    shown: Mutex<Option<[u8; 32]>>,
}

impl Verifier {
    fn new(trust: &Trust) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let roots = match trust {
            Trust::Fingerprint(pinned) => {
                return Ok(Self {
                    provider,
                    pinned: Some(*pinned),
                    authorities: None,
                    shown: Mutex::default(),
                });
            }
            Trust::Unusable(why) => return Err(why.clone()),
            Trust::System => system_roots(),
            Trust::Authorities(pem) => {
                let mut roots = RootCertStore::empty();
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    let certificate = certificate.map_err(|e| format!("the CA file: {e}"))?;
                    roots
                        .add(certificate)
                        .map_err(|e| format!("the CA file: {e}"))?;
                }
                roots
            }
        };
        // A machine without any authority trusts nobody, which is said when a certificate comes.
        let authorities = (!roots.is_empty()).then(|| {
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
        });
        let authorities = authorities.transpose().map_err(|e| e.to_string())?;
        Ok(Self {
            provider,
            pinned: None,
            authorities,
            shown: Mutex::default(),
        })
    }

    fn explain(&self, error: &std::io::Error) -> Fault {
        let shown = *self.shown.lock().unwrap_or_else(|e| e.into_inner());
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>());
        let fault = |cause, detail| Fault::new(cause, detail);
        match (inner, shown) {
            (Some(Error::InvalidCertificate(_)), Some(shown)) => {
                let how = if self.pinned.is_some() {
                    "is another one than configured"
                } else {
                    "is not trusted"
                };
                let detail = format!(
                    "the camera's certificate {how}; if this is your camera, write \
                     tls = {{ fingerprint = \"sha256:{}\" }}",
                    hex(&shown)
                );
                fault(FaultCause::Untrusted, detail)
            }
            (Some(Error::InvalidMessage(_)), _) => fault(
                FaultCause::Protocol,
                "no TLS at this port of the camera; write rtsp:// or another port".to_owned(),
            ),
            (Some(error), _) => fault(FaultCause::Protocol, format!("TLS: {error}")),
            (None, _) => fault(FaultCause::Ended, format!("TLS: {}", error.kind())),
        }
    }
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    roots
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let fingerprint: [u8; 32] = Sha256::digest(end_entity.as_ref()).into();
        *self.shown.lock().unwrap_or_else(|e| e.into_inner()) = Some(fingerprint);
        if let Some(pinned) = self.pinned {
            // Name and dates of a camera's own certificate mean nothing; the key that it proves to
            // have (verify_tls1x_signature) is all.
            return if pinned == fingerprint {
                Ok(ServerCertVerified::assertion())
            } else {
                Err(CertificateError::ApplicationVerificationFailure.into())
            };
        }
        match &self.authorities {
            Some(authorities) => authorities.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
