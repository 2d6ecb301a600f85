//! Making the root and the first key.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use der::Encode as _;
use p256::ecdsa::SigningKey;
use p256::elliptic_curve::rand_core::OsRng;
use pkcs8::{EncodePrivateKey as _, LineEnding};
use taimat_base::files::{replace, replace_private};
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;

use crate::armor::pem;
use crate::time::utc;
use crate::x509::{self, ROOT_MS, SIGNING_MS, X509Error};

use super::error::KeyError;
use super::names::{CERTIFICATES, RETIRED, ROOT, SIGNING};
use super::stick;

/// What a new root is made of.
#[derive(Debug, Clone, Copy)]
pub struct NewRoot<'a> {
    /// Whose it is, as it is to be read in certificates: the commune's office.
    pub organization: &'a str,
    /// Where the root's key is written, encrypted: on a stick.
    pub key_file: &'a Path,
    /// What it is encrypted by.
    pub passphrase: &'a str,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The root's fingerprint, for the paper minutes.
    pub fingerprint: String,
    /// Until when exports can be checked by this root.
    pub root_until: String,
    /// The serial of the first key.
    pub serial: String,
    /// Until when it signs.
    pub signs_until: String,
}

/// Makes the root and the first key. `folder` is where the router has its keys, `state` what is all the
/// router's: the root's key is not written inside.
pub fn init(
    folder: &Path,
    state: &Path,
    root: &NewRoot<'_>,
    now_ms: i64,
) -> Result<Made, KeyError> {
    let root_file = folder.join(ROOT);
    if root_file.exists() {
        return Err(KeyError::Present(root_file));
    }
    for folder in [state, folder] {
        stick::refuse_inside(root.key_file, folder)?;
    }
    let mut builder = fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(folder);
    made.map_err(KeyError::at(folder))?;
    let root_key = SigningKey::random(&mut OsRng);
    let certificate = x509::root(&root_key, root.organization, now_ms)?;
    // First the stick: a root that nobody has the key of is of no use.
    stick::write(root.key_file, &root_key, root.passphrase)?;
    let leaf = next_key(folder, &root_key, &certificate, root.organization, now_ms)?;
    let list = x509::list(&[], &root_key, &certificate, now_ms)?;
    put(folder, RETIRED, &list_pem(&list)?)?;
    // Last, so that what was interrupted can be begun again.
    put(folder, ROOT, &certificate_pem(&certificate)?)?;
    let der = certificate.to_der().map_err(X509Error::from)?;
    Ok(Made {
        fingerprint: x509::fingerprint(&der),
        root_until: utc(now_ms + ROOT_MS),
        serial: leaf.tbs_certificate.serial_number.to_string(),
        signs_until: utc(now_ms + SIGNING_MS),
    })
}

/// Makes a key that signs, with its certificate, and puts it in the place of the former.
pub(super) fn next_key(
    folder: &Path,
    root_key: &SigningKey,
    root: &Certificate,
    organization: &str,
    now_ms: i64,
) -> Result<Certificate, KeyError> {
    let file = folder.join(SIGNING);
    let key = SigningKey::random(&mut OsRng);
    let leaf = x509::leaf(key.verifying_key(), root_key, root, organization, now_ms)?;
    let text = certificate_pem(&leaf)?;
    let serial = hex(leaf.tbs_certificate.serial_number.as_bytes());
    let kept = folder.join(CERTIFICATES).join(format!("{serial}.pem"));
    replace(&kept, text.as_bytes()).map_err(KeyError::at(&kept))?;
    let secret = p256::SecretKey::from(&key);
    let secret = secret
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(|error| KeyError::content(&file, error))?;
    let both = [secret.as_bytes(), text.as_bytes()].concat();
    replace_private(&file, &both).map_err(KeyError::at(&file))?;
    Ok(leaf)
}

pub(super) fn put(folder: &Path, name: &str, text: &str) -> Result<(), KeyError> {
    let file = folder.join(name);
    replace(&file, text.as_bytes()).map_err(KeyError::at(&file))
}

/// A certificate as PEM.
fn certificate_pem(certificate: &Certificate) -> Result<String, X509Error> {
    Ok(pem("CERTIFICATE", certificate.to_der()?))
}

/// The list of serials as PEM.
pub(super) fn list_pem(list: &CertificateList) -> Result<String, X509Error> {
    Ok(pem("X509 CRL", list.to_der()?))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
