//! A signer's keys (Ed25519, RFC 8032), as they are written and kept. What they sign is `signature`'s
//! matter.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, Signature, UnparsedPublicKey};

const PREFIX: &str = "ed25519:";
/// Of a key in PKCS #8 (RFC 7468, section 10).
const PEM_TAG: &str = "PRIVATE KEY";

/// A signer's public key, written `ed25519:` and base64.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The key of these bytes. Whether it is one shows when it has to fit a signature.
    pub(super) fn of(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether it is the key of who signed this message so.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0)
            .verify(message, signature)
            .is_ok()
    }
}

/// Why a text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key is written \"ed25519:\" and 32 bytes in base64; `taimat plugin keygen` makes one")]
pub struct BadKey;

impl FromStr for PublicKey {
    type Err = BadKey;
    fn from_str(text: &str) -> Result<Self, BadKey> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(BadKey)?;
        let bytes = STANDARD.decode(encoded).map_err(|_not_base64| BadKey)?;
        bytes.try_into().map(Self).map_err(|_length| BadKey)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A signer's private key, kept as PKCS #8.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    pkcs8: Vec<u8>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {})", self.public())
    }
}

impl SigningKey {
    /// A new key from the system's randomness.
    pub fn generate() -> Result<Self, BadKey> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_no_randomness| BadKey)?;
        Self::from_pkcs8(document.as_ref())
    }

    fn from_pkcs8(bytes: &[u8]) -> Result<Self, BadKey> {
        let pair = Ed25519KeyPair::from_pkcs8(bytes).map_err(|_rejected| BadKey)?;
        Ok(Self {
            pair,
            pkcs8: bytes.to_vec(),
        })
    }

    /// Reads what [`SigningKey::to_pem`] wrote.
    pub fn from_pem(text: &str) -> Result<Self, BadKey> {
        let file = pem::parse(text).map_err(|_no_pem| BadKey)?;
        if file.tag() != PEM_TAG {
            return Err(BadKey);
        }
        Self::from_pkcs8(file.contents())
    }

    /// The key as PEM, for a file that only its owner reads.
    pub fn to_pem(&self) -> String {
        let file = pem::Pem::new(PEM_TAG, self.pkcs8.as_slice());
        let lines = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&file, lines)
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(bytes)
    }

    /// The signature of a message.
    pub(super) fn sign(&self, message: &[u8]) -> Signature {
        self.pair.sign(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_and_read() {
        let key = SigningKey::generate().unwrap();
        let again = SigningKey::from_pem(&key.to_pem()).unwrap();
        assert_eq!(again.public(), key.public());
        let other = key.to_pem().replace("PRIVATE", "PUBLIC");
        assert!(SigningKey::from_pem(&other).is_err());
        assert_eq!(key.public().to_string().parse(), Ok(key.public()));
        assert_eq!("ed25519:AAAA".parse::<PublicKey>(), Err(BadKey));
        assert!(!format!("{key:?}").contains("PRIVATE"));
    }
}
