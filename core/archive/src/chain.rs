//! The chain of a camera's parts: who has it can show that no second was taken out or put in between.

use sha2::{Digest, Sha256};

/// The chain after a part: SHA-256 of the chain before it, the hash of its payload, its start in microseconds
/// since 1970 and its length in bytes, both as eight bytes, big-endian.
pub fn next(before: &[u8; 32], hash: &[u8; 32], start: i64, bytes: u64) -> [u8; 32] {
    let mut all = Sha256::new();
    all.update(before);
    all.update(hash);
    all.update(start.to_be_bytes());
    all.update(bytes.to_be_bytes());
    all.finalize().into()
}
