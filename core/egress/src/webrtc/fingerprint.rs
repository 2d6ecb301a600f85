//! Fingerprints of certificates as SDP writes them (RFC 8122 section 5): which of a viewer's are taken,
//! and whether a certificate is the one they name.
//!
//! Cost: once a session. Not here: our own certificate (`identity`).

use sha2::{Digest, Sha256, Sha384, Sha512};

/// Fingerprints that are read: more certificates than a viewer can show.
const MAX_FINGERPRINTS: usize = 8;

/// A hash function that certificates are told apart by. MD5 and SHA-1 are not among them: certificates
/// that collide under these can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn named(name: &str) -> Option<Self> {
        let all = [
            ("sha-256", Self::Sha256),
            ("sha-384", Self::Sha384),
            ("sha-512", Self::Sha512),
        ];
        let found = all
            .iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known));
        found.map(|(_, hash)| *hash)
    }

    fn of(self, certificate: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(certificate).to_vec(),
            Self::Sha384 => Sha384::digest(certificate).to_vec(),
            Self::Sha512 => Sha512::digest(certificate).to_vec(),
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// The certificates that a viewer may show: those it names by the strongest hash that we know too. A
/// certificate that it names by several hashes is checked by one of them (RFC 8122 section 5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprints {
    hash: Hash,
    values: Vec<Vec<u8>>,
}

impl Fingerprints {
    /// Reads the values of `a=fingerprint` lines, in any order. The error is the hash that was offered
    /// instead of ours, or what else could not be read.
    pub(super) fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Option<Self>, String> {
        let mut best: Option<Self> = None;
        let mut unread = None;
        for line in lines.take(MAX_FINGERPRINTS) {
            let Some((hash, value)) = fingerprint(line) else {
                let name = line.split_whitespace().next().unwrap_or("");
                unread = Some(name.chars().take(20).collect());
                continue;
            };
            match &mut best {
                Some(known) if known.hash > hash => {}
                Some(known) if known.hash == hash => known.values.push(value),
                _ => {
                    let values = vec![value];
                    best = Some(Self { hash, values });
                }
            }
        }
        match (best, unread) {
            (None, Some(name)) => Err(name),
            (best, _) => Ok(best),
        }
    }

    /// Whether one of them names this certificate.
    pub(super) fn name(&self, certificate: &[u8]) -> bool {
        self.values.contains(&self.hash.of(certificate))
    }
}

fn fingerprint(line: &str) -> Option<(Hash, Vec<u8>)> {
    let (name, value) = line.trim().split_once(char::is_whitespace)?;
    let hash = Hash::named(name)?;
    let bytes = value.trim().split(':');
    let bytes: Option<Vec<u8>> = bytes.map(|b| u8::from_str_radix(b, 16).ok()).collect();
    bytes.filter(|b| b.len() == hash.bytes()).map(|b| (hash, b))
}

/// The SHA-256 fingerprint of a certificate, without the hash's name.
pub(super) fn sha256(certificate: &[u8]) -> String {
    let hash = Hash::Sha256.of(certificate);
    let bytes: Vec<String> = hash.iter().map(|b| format!("{b:02X}")).collect();
    bytes.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &[u8] = b"not quite DER";

    fn line(name: &str, hash: Hash, certificate: &[u8]) -> String {
        let bytes = hash.of(certificate);
        let hex: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
        format!("{name} {}", hex.join(":"))
    }

    fn read(lines: &[&str]) -> Result<Option<Fingerprints>, String> {
        Fingerprints::read(lines.iter().copied())
    }

    #[test]
    fn a_certificate_is_known_by_any_hash_in_any_order() {
        let of = |name, hash| line(name, hash, CERTIFICATE);
        let (small, large) = (of("SHA-256", Hash::Sha256), of("sha-512", Hash::Sha512));
        let middle = of("Sha-384", Hash::Sha384);
        let md5 = "md5 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F";
        for lines in [
            &[small.as_str()][..],
            &[&middle],
            &[&large],
            &[&large, &small],
            &[&small, &middle, &large],
            &[md5, &small],
            &[&small, md5],
        ] {
            let known = read(lines).unwrap().unwrap();
            assert!(known.name(CERTIFICATE), "{lines:?}");
            assert!(!known.name(b"another"), "{lines:?}");
        }
    }

    #[test]
    fn a_weaker_hash_does_not_let_in_what_the_stronger_one_keeps_out() {
        let right = line("sha-256", Hash::Sha256, CERTIFICATE);
        let other = line("sha-512", Hash::Sha512, b"another");
        let known = read(&[&right, &other]).unwrap().unwrap();
        assert!(!known.name(CERTIFICATE) && known.name(b"another"));
    }

    #[test]
    fn two_certificates_may_be_named() {
        let lines = [CERTIFICATE, b"another"].map(|c| line("sha-256", Hash::Sha256, c));
        let known = read(&[&lines[0], &lines[1]]).unwrap().unwrap();
        assert!(known.name(CERTIFICATE) && known.name(b"another") && !known.name(b"third"));
    }

    #[test]
    fn what_is_not_served_is_named() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["md5 00:01"]), Err("md5".into()));
        assert_eq!(read(&["sha-1 00:01"]), Err("sha-1".into()));
        assert_eq!(read(&["sha-256 00:01"]), Err("sha-256".into()), "too short");
        let odd = format!("{} zz", "x".repeat(100));
        assert_eq!(read(&[&odd]), Err("x".repeat(20)));
        assert_eq!(sha256(CERTIFICATE).len(), 32 * 3 - 1);
    }
}
