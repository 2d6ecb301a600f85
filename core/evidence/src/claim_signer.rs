//! What the library signs a claim with: our key, and no more room than its signature needs.

use c2pa::SigningAlg;
use p256::ecdsa::Signature;
use p256::ecdsa::signature::Signer as _;

use crate::keys::SigningKey;

/// For what stands beside the certificates in the signature's box. The library's own reserve is for a
/// time stamp that never comes: 10 kB of padding that no hash covers.
const BESIDE_BYTES: usize = 512;

pub(crate) struct ClaimSigner {
    key: p256::ecdsa::SigningKey,
    certificates: Vec<Vec<u8>>,
}

impl ClaimSigner {
    pub(crate) fn new(key: &SigningKey) -> Self {
        Self {
            key: key.key().clone(),
            certificates: key.chain().der.clone(),
        }
    }
}

impl c2pa::Signer for ClaimSigner {
    fn sign(&self, data: &[u8]) -> c2pa::Result<Vec<u8>> {
        let signature: Signature = self
            .key
            .try_sign(data)
            .map_err(|error| c2pa::Error::OtherError(Box::new(error)))?;
        // Of the two ways to write the same signature the one with the small number: the other would
        // be a change of the file that no hash shows.
        let signature = signature.normalize_s().unwrap_or(signature);
        // As COSE has it: both numbers, one behind the other.
        Ok(signature.to_bytes().to_vec())
    }

    fn alg(&self) -> SigningAlg {
        SigningAlg::Es256
    }

    fn certs(&self) -> c2pa::Result<Vec<Vec<u8>>> {
        Ok(self.certificates.clone())
    }

    fn reserve_size(&self) -> usize {
        self.certificates.iter().map(Vec::len).sum::<usize>() + BESIDE_BYTES
    }
}
