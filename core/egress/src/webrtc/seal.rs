//! SRTP for one viewer: keys from the DTLS handshake, RTP sealed in place.
//!
//! AEAD_AES_128_GCM (RFC 7714) is sealed here, directly in the send buffer; the fall-back
//! AES128_CM_HMAC_SHA1_80 (RFC 3711) and all SRTCP go through rtc-srtp.

use bytes::BytesMut;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rtc_crypto::{BlockCipherAlgorithm, RTCCrypto};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_srtp::config::{Config, LABEL_EXTRACTOR_DTLS_SRTP, SessionKeys};
use rtc_srtp::context::Context;
use rtc_srtp::option::srtcp_replay_protection;
use rtc_srtp::protection_profile::ProtectionProfile;

/// Why keys or packets could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The handshake agreed on a profile that is not served.
    #[error("SRTP protection profile {0:?} is not served")]
    Profile(SrtpProtectionProfile),
    /// A cryptographic operation failed.
    #[error("SRTP: {0}")]
    Crypto(String),
}

fn crypto(error: impl std::fmt::Display) -> SealError {
    SealError::Crypto(error.to_string())
}

/// Seals outgoing RTP.
pub struct RtpSealer(Cipher);

enum Cipher {
    Gcm {
        key: Box<LessSafeKey>,
        salt: [u8; 12],
    },
    Other(Box<Context>),
}

impl std::fmt::Debug for RtpSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Cipher::Gcm { .. } => "RtpSealer(AEAD_AES_128_GCM)",
            Cipher::Other(_) => "RtpSealer(AES128_CM_HMAC_SHA1_80)",
        })
    }
}

impl RtpSealer {
    /// With master key and salt.
    pub fn new(
        profile: ProtectionProfile,
        master_key: &[u8],
        master_salt: &[u8],
        provider: &dyn RTCCrypto,
    ) -> Result<Self, SealError> {
        if !matches!(profile, ProtectionProfile::AeadAes128Gcm) {
            let context = Context::new(master_key, master_salt, profile, None, None, provider)
                .map_err(crypto)?;
            return Ok(Self(Cipher::Other(Box::new(context))));
        }
        let derive = |label| derive(provider, master_key, master_salt, label);
        let key = UnboundKey::new(&AES_128_GCM, &derive(KEY_LABEL)?).map_err(crypto)?;
        let mut salt = [0; 12];
        salt.copy_from_slice(&derive(SALT_LABEL)?[..12]);
        Ok(Self(Cipher::Gcm {
            key: Box::new(LessSafeKey::new(key)),
            salt,
        }))
    }

    /// Bytes that sealing adds to an RTP packet.
    pub fn tag_len(&self) -> usize {
        match self.0 {
            Cipher::Gcm { .. } => 16,
            Cipher::Other(_) => 10,
        }
    }

    /// Seals the RTP packet that begins at `start` in `buffer` and reaches to its end, the first
    /// `header_len` bytes of it being its header. `index` is the packet's 48-bit index: rollover
    /// counter and sequence number (RFC 3711 section 3.3.1). `ssrc` is the one in the header.
    pub fn seal(
        &mut self,
        buffer: &mut Vec<u8>,
        start: usize,
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<(), SealError> {
        match &mut self.0 {
            Cipher::Gcm { key, salt } => {
                let nonce = nonce(salt, ssrc, index);
                let (header, payload) = buffer[start..].split_at_mut(header_len);
                let tag = key
                    .seal_in_place_separate_tag(nonce, Aad::from(&*header), payload)
                    .map_err(crypto)?;
                buffer.extend_from_slice(tag.as_ref());
            }
            Cipher::Other(context) => {
                let sealed = context.encrypt_rtp(&buffer[start..]).map_err(crypto)?;
                buffer.truncate(start);
                buffer.extend_from_slice(&sealed);
            }
        }
        Ok(())
    }
}

const KEY_LABEL: u8 = 0;
const SALT_LABEL: u8 = 2;

/// Key derivation (RFC 3711 section 4.3) with rate zero; one block is all that is needed.
fn derive(
    provider: &dyn RTCCrypto,
    master_key: &[u8],
    master_salt: &[u8],
    label: u8,
) -> Result<[u8; 16], SealError> {
    let mut block = [0; 16];
    block[..master_salt.len().min(14)].copy_from_slice(&master_salt[..master_salt.len().min(14)]);
    block[7] ^= label;
    provider
        .block_encrypt(BlockCipherAlgorithm::Aes128, master_key, &mut block)
        .map_err(crypto)?;
    Ok(block)
}

/// RFC 7714 section 8.1.
fn nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> Nonce {
    let mut iv = [0; 12];
    iv[2..6].copy_from_slice(&ssrc.to_be_bytes());
    iv[6..12].copy_from_slice(&index.to_be_bytes()[2..]);
    iv.iter_mut().zip(salt).for_each(|(b, s)| *b ^= s);
    Nonce::assume_unique_for_key(iv)
}

/// Everything SRTP of one viewer.
pub struct Srtp {
    /// Outgoing RTP.
    pub rtp: RtpSealer,
    outgoing: Context,
    incoming: Context,
}

impl std::fmt::Debug for Srtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Srtp").field(&self.rtp).finish()
    }
}

impl Srtp {
    /// From a finished handshake in which we were the server.
    pub fn from_handshake(
        state: &rtc_dtls::state::State,
        provider: &dyn RTCCrypto,
    ) -> Result<Self, SealError> {
        let profile = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => ProtectionProfile::AeadAes128Gcm,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => {
                ProtectionProfile::Aes128CmHmacSha1_80
            }
            other => return Err(SealError::Profile(other)),
        };
        let mut config = Config {
            profile,
            ..Config::default()
        };
        let material = state
            .export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], config.keying_material_len())
            .map_err(crypto)?;
        config
            .set_session_keys_from_keying_material(material.as_ref(), false)
            .map_err(crypto)?;
        Self::from_keys(profile, &config.keys, provider)
    }

    /// From keys agreed on elsewhere.
    pub fn from_keys(
        profile: ProtectionProfile,
        keys: &SessionKeys,
        provider: &dyn RTCCrypto,
    ) -> Result<Self, SealError> {
        let (key, salt) = (&keys.local_master_key, &keys.local_master_salt);
        let replay = Some(srtcp_replay_protection(64));
        Ok(Self {
            rtp: RtpSealer::new(profile, key, salt, provider)?,
            outgoing: Context::new(key, salt, profile, None, None, provider).map_err(crypto)?,
            incoming: Context::new(
                &keys.remote_master_key,
                &keys.remote_master_salt,
                profile,
                None,
                replay,
                provider,
            )
            .map_err(crypto)?,
        })
    }

    /// Seals outgoing RTCP.
    pub fn seal_rtcp(&mut self, packet: &[u8]) -> Result<BytesMut, SealError> {
        self.outgoing.encrypt_rtcp(packet).map_err(crypto)
    }

    /// Opens incoming RTCP.
    pub fn open_rtcp(&mut self, packet: &[u8]) -> Result<BytesMut, SealError> {
        self.incoming.decrypt_rtcp(packet).map_err(crypto)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is sealed here is opened by rtc-srtp, an implementation that is not ours, over a
    /// rollover of the sequence number.
    fn opens(profile: ProtectionProfile, first_index: u64, sizes: &[usize]) {
        let provider = rtc_crypto::default_provider().unwrap();
        let key: Vec<u8> = (1..=16).collect();
        let salt: Vec<u8> = (50..).take(profile.salt_len()).collect();
        let mut sealer = RtpSealer::new(profile, &key, &salt, provider.crypto()).unwrap();
        let mut opener = Context::new(&key, &salt, profile, None, None, provider.crypto()).unwrap();
        for (index, size) in (first_index..).zip(sizes) {
            let mut packet = vec![0xFF; 3];
            packet.extend([0x80, 96]);
            packet.extend(&index.to_be_bytes()[6..]);
            packet.extend(7_u32.to_be_bytes());
            packet.extend(0xABCD_0123_u32.to_be_bytes());
            packet.extend((0..*size).map(|i| i as u8));
            let plain = packet[3..].to_vec();
            sealer.seal(&mut packet, 3, 12, 0xABCD_0123, index).unwrap();
            assert_eq!(packet.len(), plain.len() + 3 + sealer.tag_len());
            assert_eq!(opener.decrypt_rtp(&packet[3..]).unwrap(), plain);
        }
    }

    proptest! {
        #[test]
        fn others_can_open_it(
            gcm in any::<bool>(),
            sizes in prop::collection::vec(1_usize..1200, 1..40),
        ) {
            let profile = if gcm {
                ProtectionProfile::AeadAes128Gcm
            } else {
                ProtectionProfile::Aes128CmHmacSha1_80
            };
            opens(profile, 65_530, &sizes);
        }
    }
}
