//! The key that signs, as the router holds it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use der::{DecodePem as _, Encode as _};
use p256::ecdsa;
use pkcs8::DecodePrivateKey as _;
use taimat_base::files::read_at_most;
use x509_cert::Certificate;
use x509_cert::ext::pkix::PrivateKeyUsagePeriod;

use crate::time::{seconds_ms, utc};
use crate::x509::{self, X509Error};

use super::error::KeyError;
use super::list::read_list;
use super::names::{RETIRED, ROOT, SIGNING};

/// No certificate of ours has a tenth of it; a list of a century has not either.
const MOST_BYTES: u64 = 256 * 1024;

/// The certificates that go with a signature.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) leaf: Certificate,
    pub(crate) root: Certificate,
    /// Both as DER, the leaf first.
    pub(crate) der: Vec<Vec<u8>>,
}

/// The key that signs exports, with its certificates.
pub struct SigningKey {
    key: ecdsa::SigningKey,
    chain: Chain,
    root_pem: String,
    retired_pem: String,
    from_ms: i64,
    until_ms: i64,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Opens the keys in a folder. Refused if others could have read them.
    pub fn open(folder: &Path) -> Result<Self, KeyError> {
        let file = folder.join(SIGNING);
        if !file.exists() {
            return Err(KeyError::Missing(file));
        }
        // The user that this process is.
        let own = Path::new("/proc/self");
        let user = fs::metadata(own).map_err(KeyError::at(own))?.uid();
        narrow(folder, 0o755, user)?;
        narrow(&file, 0o600, user)?;
        let (root_file, retired_file) = (folder.join(ROOT), folder.join(RETIRED));
        let [both, root_pem, retired_pem] = [&file, &root_file, &retired_file].map(|f| text(f));
        let (both, root_pem, retired_pem) = (both?, root_pem?, retired_pem?);
        let root = certificate(&root_file, &root_pem)?;
        let at = both.find("-----BEGIN CERTIFICATE").unwrap_or(0);
        let (secret, leaf) = both.split_at_checked(at).unwrap_or(("", ""));
        let leaf = certificate(&file, leaf)?;
        let serial = &leaf.tbs_certificate.serial_number;
        let retired = read_list(&retired_file, &retired_pem)?;
        if retired.iter().any(|one| one.serial == *serial) {
            return Err(KeyError::Retired(serial.to_string()));
        }
        let key = p256::SecretKey::from_pkcs8_pem(secret)
            .map_err(|error| KeyError::content(&file, error))?;
        let key = ecdsa::SigningKey::from(key);
        let public = key.verifying_key().to_encoded_point(false);
        let info = &leaf.tbs_certificate.subject_public_key_info;
        if info.subject_public_key.raw_bytes() != public.as_bytes() {
            return Err(KeyError::content(
                &file,
                "key and certificate do not belong together",
            ));
        }
        let period = leaf
            .tbs_certificate
            .get::<PrivateKeyUsagePeriod>()
            .map_err(X509Error::from)?;
        let (Some(from), Some(until)) = period.map_or((None, None), |(_, period)| {
            (period.not_before, period.not_after)
        }) else {
            return Err(KeyError::content(
                &file,
                "the certificate does not say how long it signs",
            ));
        };
        let der: Result<Vec<_>, _> = [&leaf, &root].map(|c| c.to_der()).into_iter().collect();
        Ok(Self {
            key,
            chain: Chain {
                leaf,
                root,
                der: der.map_err(X509Error::from)?,
            },
            root_pem,
            retired_pem,
            from_ms: seconds_ms(from.to_unix_duration()),
            until_ms: seconds_ms(until.to_unix_duration()),
        })
    }

    /// The serial of its certificate.
    #[must_use]
    pub fn serial(&self) -> String {
        self.chain.leaf.tbs_certificate.serial_number.to_string()
    }

    /// Whose root it is under.
    #[must_use]
    pub fn organization(&self) -> String {
        x509::organization(&self.chain.root)
    }

    /// Until when it signs, in milliseconds since 1970. What is due before is to be told in time.
    #[must_use]
    pub fn signs_until_ms(&self) -> i64 {
        self.until_ms
    }

    /// The root's certificate, which whoever checks an export needs.
    #[must_use]
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// The list of keys that are not in use any more, signed by the root.
    #[must_use]
    pub fn retired_pem(&self) -> &str {
        &self.retired_pem
    }

    /// The fingerprint of the root, as it stands in the paper minutes.
    #[must_use]
    pub fn root_fingerprint(&self) -> String {
        let root = self.chain.der.get(1).map_or(&[][..], Vec::as_slice);
        x509::fingerprint(root)
    }

    /// Whether it signs at a time: refused outside of its year.
    ///
    /// # Errors
    /// If its year is over, or has not begun.
    pub fn signs_at(&self, now_ms: i64) -> Result<(), KeyError> {
        if now_ms > self.until_ms {
            return Err(KeyError::Over(utc(self.until_ms)));
        }
        if now_ms < self.from_ms {
            return Err(KeyError::NotYet(utc(self.from_ms)));
        }
        Ok(())
    }

    pub(crate) fn key(&self) -> &ecdsa::SigningKey {
        &self.key
    }

    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }
}

/// Refuses what others may read or change.
fn narrow(file: &Path, want: u32, user: u32) -> Result<(), KeyError> {
    // Not through a link: where it points may be changed by others.
    let found = fs::symlink_metadata(file).map_err(KeyError::at(file))?;
    if found.is_symlink() {
        return Err(KeyError::content(file, "it is a link"));
    }
    let mode = found.mode() & 0o777;
    if mode & !want != 0 {
        let file = file.to_owned();
        return Err(KeyError::Wide { file, mode, want });
    }
    if found.uid() != user {
        return Err(KeyError::Foreign(file.to_owned()));
    }
    Ok(())
}

pub(super) fn text(file: &Path) -> Result<String, KeyError> {
    let bytes = read_at_most(file, MOST_BYTES).map_err(KeyError::at(file))?;
    String::from_utf8(bytes).map_err(|error| KeyError::content(file, error))
}

pub(super) fn certificate(file: &Path, text: &str) -> Result<Certificate, KeyError> {
    Certificate::from_pem(text).map_err(|error| KeyError::content(file, error))
}
