//! The signature over the claim: COSE, ES256, the certificates within what is signed.

use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{self, VerifyingKey};

use super::cbor::Cbor;

/// The number of ES256 among COSE's algorithms, as -1 minus this.
const ES256: Cbor<'static> = Cbor::Negative(6);
const ALGORITHM: Cbor<'static> = Cbor::Count(1);
const CERTIFICATES: Cbor<'static> = Cbor::Count(33);
const COSE_SIGN1: u64 = 18;
/// A signer, and the root that signed it.
const MOST_CERTIFICATES: usize = 4;

/// A signature, read and not yet checked.
#[derive(Debug)]
pub(super) struct Signature<'a> {
    protected: &'a [u8],
    signature: ecdsa::Signature,
    /// The signer's certificate, and those above it, as DER.
    pub(super) certificates: Vec<&'a [u8]>,
}

impl<'a> Signature<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let whole = Cbor::read(bytes).ok()?;
        let Cbor::Tag(COSE_SIGN1, inner) = whole else {
            return None;
        };
        let [protected, Cbor::Map(beside), Cbor::Null, signature] = inner.list()? else {
            return None;
        };
        // Nothing beside the signature is signed: it is padding, and zero.
        let padding = |(key, value): &(Cbor<'_>, Cbor<'_>)| {
            let named = [Some("pad"), Some("pad2")].contains(&key.text());
            named && value.bytes().is_some_and(|b| b.iter().all(|b| *b == 0))
        };
        if !beside.iter().all(padding) {
            return None;
        }
        let protected = protected.bytes()?;
        let signed = Cbor::read(protected).ok()?;
        if signed.find(&ALGORITHM) != Some(&ES256) {
            return None;
        }
        let certificates = signed.find(&CERTIFICATES)?;
        let certificates: Option<Vec<_>> = match certificates {
            Cbor::Bytes(one) => Some(vec![*one]),
            more => more.list()?.iter().map(Cbor::bytes).collect(),
        };
        let certificates = certificates.filter(|c| c.len() <= MOST_CERTIFICATES)?;
        let signature = ecdsa::Signature::from_slice(signature.bytes()?).ok()?;
        // The same signature written in the other way is none of ours.
        if signature.normalize_s().is_some() {
            return None;
        }
        Some(Self {
            protected,
            signature,
            certificates,
        })
    }

    /// Whether this key signed this claim.
    pub(super) fn is_of(&self, key: &VerifyingKey, claim: &[u8]) -> bool {
        let mut signed = vec![0x84];
        put(&mut signed, 3, b"Signature1");
        put(&mut signed, 2, self.protected);
        put(&mut signed, 2, b"");
        put(&mut signed, 2, claim);
        key.verify(&signed, &self.signature).is_ok()
    }
}

/// Writes text or bytes as CBOR.
fn put(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    let length = bytes.len() as u64;
    let digits = length.to_be_bytes();
    let (short, from) = match length {
        0..24 => (digits[7], 8),
        24..0x100 => (24, 7),
        0x100..0x1_0000 => (25, 6),
        0x1_0000..0x1_0000_0000 => (26, 4),
        _ => (27, 0),
    };
    out.push(kind << 5 | short);
    out.extend(digits.iter().skip(from));
    out.extend(bytes);
}
