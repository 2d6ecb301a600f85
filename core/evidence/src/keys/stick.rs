//! The root's key on its stick: PKCS#8, encrypted by a passphrase, as OpenSSL reads it too.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use p256::ecdsa::SigningKey;
use p256::elliptic_curve::rand_core::{OsRng, RngCore as _};
use pkcs8::pkcs5::pbes2::Parameters;
use pkcs8::pkcs5::scrypt;
use pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, LineEnding, PrivateKeyInfo};

use super::error::KeyError;

/// Who has the stick can try many passphrases.
const LEAST_PASSPHRASE: usize = 12;
const MOST_BYTES: u64 = 64 * 1024;

/// Refuses a place inside the router's folders, also behind links.
pub(super) fn refuse_inside(file: &Path, folder: &Path) -> Result<(), KeyError> {
    let inside = |folder: &Path| KeyError::Inside {
        file: file.to_owned(),
        folder: folder.to_owned(),
    };
    let parent = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let parent = parent.canonicalize().map_err(KeyError::at(parent))?;
    // A folder that is not there yet has nothing inside, but it may be made later.
    let folder = real(folder)?;
    if parent.starts_with(&folder) {
        return Err(inside(&folder));
    }
    Ok(())
}

/// A path without links, as far as it is there.
fn real(path: &Path) -> Result<PathBuf, KeyError> {
    let path = std::path::absolute(path).map_err(KeyError::at(path))?;
    for parent in path.ancestors() {
        if let Ok(real) = parent.canonicalize() {
            let rest = path.strip_prefix(parent).unwrap_or(Path::new(""));
            return Ok(real.join(rest));
        }
    }
    Ok(path)
}

/// Writes the key to a file that was not there.
pub(super) fn write(file: &Path, key: &SigningKey, passphrase: &str) -> Result<(), KeyError> {
    if passphrase.chars().count() < LEAST_PASSPHRASE {
        return Err(KeyError::ShortPassphrase(LEAST_PASSPHRASE));
    }
    let text = encrypted(key, passphrase).map_err(|why| KeyError::content(file, why))?;
    let written = || -> std::io::Result<()> {
        let mut options = File::options();
        let mut out = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()
    };
    written().map_err(KeyError::at(file))
}

/// By scrypt with as much memory as OpenSSL takes without being asked (16 MiB), five times over.
fn encrypted(key: &SigningKey, passphrase: &str) -> Result<String, String> {
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    OsRng.fill_bytes(&mut salt);
    OsRng.fill_bytes(&mut iv);
    let cost = scrypt::Params::new(14, 8, 5, 32).map_err(|error| error.to_string())?;
    let scheme = Parameters::scrypt_aes256cbc(cost, &salt, &iv).map_err(|e| e.to_string())?;
    let plain = p256::SecretKey::from(key).to_pkcs8_der();
    let plain = plain.map_err(|error| error.to_string())?;
    let info = PrivateKeyInfo::try_from(plain.as_bytes()).map_err(|error| error.to_string())?;
    let sealed = info.encrypt_with_params(scheme, passphrase);
    let sealed = sealed.map_err(|error| error.to_string())?;
    let text = sealed.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF);
    Ok(text.map_err(|error| error.to_string())?.to_string())
}

/// Reads the key.
pub(super) fn read(file: &Path, passphrase: &str) -> Result<SigningKey, KeyError> {
    let bytes = taimat_base::files::read_at_most(file, MOST_BYTES).map_err(KeyError::at(file))?;
    let text = String::from_utf8(bytes).map_err(|error| KeyError::content(file, error))?;
    let secret = p256::SecretKey::from_pkcs8_encrypted_pem(&text, passphrase);
    let secret = secret.map_err(|_why| KeyError::Passphrase(file.to_owned()))?;
    Ok(SigningKey::from(secret))
}
