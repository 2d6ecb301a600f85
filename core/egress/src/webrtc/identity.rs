//! Who the router is towards viewers: a certificate made at the start, and the DTLS handshake that
//! shows it and checks the viewer's (RFC 8827 section 6.5).

use std::sync::Arc;

use rtc_crypto::RTCCryptoProvider;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;

use super::fingerprint::{Fingerprints, sha256};

/// The router's certificate and what it works with.
pub(super) struct Identity {
    provider: Arc<dyn RTCCryptoProvider>,
    certificate: Certificate,
    fingerprint: String,
}

impl Identity {
    /// A new self-signed certificate.
    pub(super) fn generate() -> Result<Self, String> {
        let provider = rtc_crypto::default_provider().map_err(|e| e.to_string())?;
        let names = vec!["taimat".to_owned()];
        let certificate = Certificate::generate_self_signed(names, provider.crypto())
            .map_err(|e| e.to_string())?;
        let der = certificate.certificate.first().map(|c| c.as_ref());
        let fingerprint = sha256(der.unwrap_or_default());
        Ok(Self {
            provider,
            certificate,
            fingerprint,
        })
    }

    /// The cryptography in use.
    pub(super) fn provider(&self) -> &Arc<dyn RTCCryptoProvider> {
        &self.provider
    }

    /// The certificate's SHA-256 fingerprint, as SDP writes it.
    pub(super) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The handshake with a viewer whose offer named its certificate so.
    pub(super) fn handshake(
        &self,
        fingerprints: Fingerprints,
    ) -> Result<Arc<HandshakeConfig>, String> {
        let profiles = vec![
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
        ];
        ConfigBuilder::default()
            .with_crypto_provider(Arc::clone(&self.provider))
            .with_certificates(vec![self.certificate.clone()])
            .with_srtp_protection_profiles(profiles)
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            // Browsers' certificates are self-signed; the offer's fingerprint is what counts.
            .with_insecure_skip_verify(true)
            .with_verify_peer_certificate(Some(Arc::new(move |chain: &[Vec<u8>], _| {
                if chain.first().is_some_and(|der| fingerprints.name(der)) {
                    Ok(())
                } else {
                    Err(rtc_shared::error::Error::ErrNoMatchingCertificateFingerprint)
                }
            })))
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .build(false, None)
            .map(Arc::new)
            .map_err(|e| e.to_string())
    }
}
