//! Who sends (RFC 8292, VAPID): a key of the router's, made once, by which push services and browsers know
//! that a notification comes from where the browser's subscription was made.

use std::fmt;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pem::Pem;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use taimat_base::files;

/// A token is good for so long; the standard allows a day.
const LIFE_SECONDS: u64 = 12 * 3600;
/// A key's file is not larger.
const MAX_FILE_BYTES: u64 = 4096;
const LABEL: &str = "PRIVATE KEY";

/// The router's key.
pub(super) struct Vapid(EcdsaKeyPair);

impl fmt::Debug for Vapid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vapid(***)")
    }
}

/// Why there is no key. Nothing of the file's stands in it.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyError {
    /// Making it anew would lose every browser that asked with the former.
    #[error(
        "{0} is no key for Web Push; put it back, or remove it: every browser has to ask anew then"
    )]
    NotAKey(String),
    #[error("the key for Web Push can not be read or written: {0}")]
    File(#[from] io::Error),
    #[error("no key for Web Push can be made")]
    NotMade,
}

impl Vapid {
    /// The one of a file; if there is none, one is made and is on the disk, nobody else's, when this returns.
    pub(super) fn load_or_make(file: &Path) -> Result<Self, KeyError> {
        match files::read_at_most(file, MAX_FILE_BYTES) {
            Ok(bytes) => Self::read(&bytes).ok_or_else(|| {
                let name = file.file_name().unwrap_or_default();
                KeyError::NotAKey(name.to_string_lossy().into_owned())
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let random = SystemRandom::new();
                let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
                let made = made.map_err(|_no| KeyError::NotMade)?;
                let text = pem::encode(&Pem::new(LABEL, made.as_ref()));
                files::replace_private(file, text.as_bytes())?;
                Self::read(text.as_bytes()).ok_or(KeyError::NotMade)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let block = pem::parse(bytes)
            .ok()
            .filter(|block| block.tag() == LABEL)?;
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        EcdsaKeyPair::from_pkcs8(algorithm, block.contents(), &random)
            .ok()
            .map(Self)
    }

    /// What browsers are told: the public key, as `applicationServerKey` wants it.
    pub(super) fn public_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.public_key())
    }

    /// Signs in at a push service of this origin. `contact` is whom it writes to when something is wrong.
    pub(super) fn authorization(
        &self,
        origin: &str,
        contact: &str,
        now_seconds: u64,
    ) -> Option<String> {
        let claims = serde_json::json!({
            "aud": origin, "exp": now_seconds + LIFE_SECONDS, "sub": contact,
        });
        let head = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"ES256"}"#);
        let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        let signature = URL_SAFE_NO_PAD.encode(signature);
        Some(format!(
            "vapid t={signed}.{signature}, k={}",
            self.public_key()
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    #[test]
    fn is_made_once_and_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("push/vapid.pem");
        let first = Vapid::load_or_make(&file).unwrap();
        let second = Vapid::load_or_make(&file).unwrap();
        assert_eq!(first.public_key(), second.public_key());
        assert_eq!(first.public_key().len(), 87);
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(format!("{first:?}"), "Vapid(***)");
    }

    #[test]
    fn a_damaged_one_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vapid.pem");
        for damaged in [
            "",
            "garbage",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ] {
            std::fs::write(&file, damaged).unwrap();
            let refused = Vapid::load_or_make(&file).unwrap_err().to_string();
            assert!(
                refused.contains("vapid.pem") && !refused.contains("AAAA"),
                "{refused}"
            );
            assert_eq!(std::fs::read_to_string(&file).unwrap(), damaged);
        }
    }

    #[test]
    fn signs_in_as_the_standard_says() {
        let folder = tempfile::tempdir().unwrap();
        let key = Vapid::load_or_make(&folder.path().join("vapid.pem")).unwrap();
        let header = key
            .authorization("https://push.example.net", "https://taimat.example", 1_000)
            .unwrap();
        let (token, public) = header
            .strip_prefix("vapid t=")
            .unwrap()
            .split_once(", k=")
            .unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, decode(public))
            .verify(signed.as_bytes(), &decode(signature))
            .unwrap();
        let claims = decode(signed.split_once('.').unwrap().1);
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["aud"], "https://push.example.net");
        assert_eq!(claims["exp"], 1_000 + 12 * 3600);
        assert_eq!(claims["sub"], "https://taimat.example");
    }
}
