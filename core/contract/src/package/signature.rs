//! What is signed of a package: the SHA-256 of everything before the signature.

use sha2::{Digest, Sha256};

use super::error::PackageError;
use super::key::{PublicKey, SigningKey};

/// So that a signature made here can not be used for anything else.
const DOMAIN: &[u8] = b"taimat plugin signature 1\0";

fn message(signed: &[u8]) -> Vec<u8> {
    [DOMAIN, &Sha256::digest(signed)].concat()
}

/// Public key and signature, 96 bytes.
pub(super) fn sign(signed: &[u8], key: &SigningKey) -> Vec<u8> {
    let mut data = key.public().bytes().to_vec();
    data.extend_from_slice(key.sign(&message(signed)).as_ref());
    data
}

/// Who signed.
pub(super) fn verify(signed: &[u8], data: &[u8]) -> Result<PublicKey, PackageError> {
    let Some((key, signature)) = data.split_first_chunk::<32>() else {
        return Err(PackageError::MisplacedSignature);
    };
    if signature.len() != 64 {
        return Err(PackageError::MisplacedSignature);
    }
    let key = PublicKey::of(*key);
    if !key.has_signed(&message(signed), signature) {
        return Err(PackageError::Altered(key));
    }
    Ok(key)
}
