//! The boxes of an export, from outside: which there are, in which order, and what the hash over them
//! takes in.

use sha2::{Digest as _, Sha256};

/// The UUID by which C2PA's box is known.
pub(crate) const C2PA_UUID: [u8; 16] = [
    0xd8, 0xfe, 0xc3, 0xd6, 0x1b, 0x0e, 0x48, 0x3c, 0x92, 0x97, 0x58, 0x28, 0x87, 0x7e, 0xc4, 0x81,
];

/// `mdat` has a length of 64 bits always: where its media begin is read in one way only then.
pub(crate) const MDAT_HEADER: u64 = 16;

/// An export's boxes, in their order.
pub(crate) const ORDER: [[u8; 4]; 5] = [*b"ftyp", *b"uuid", *b"moov", *b"meta", *b"mdat"];

/// A box with a length of 32 bits.
pub(crate) fn boxed(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &kind, body].concat()
}

/// The beginning of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BoxHead {
    pub(crate) kind: [u8; 4],
    /// With its head.
    pub(crate) length: u64,
    pub(crate) head: u64,
}

/// Reads the beginning of a box from 8 to 16 bytes. A length of "until the end" is nothing that we
/// write: it would let the file grow.
pub(crate) fn head(bytes: &[u8]) -> Option<BoxHead> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (kind, rest) = rest.split_first_chunk::<4>()?;
    let (length, head) = match u32::from_be_bytes(*length) {
        1 => (u64::from_be_bytes(*rest.first_chunk::<8>()?), 16),
        short => (u64::from(short), 8),
    };
    (length >= head).then_some(BoxHead {
        kind: *kind,
        length,
        head,
    })
}

/// The hash over the boxes, as C2PA has it from version 2 on: of each box that is taken in, where it
/// begins and then its bytes; of `mdat` its header only, since its media have hashes of their own. The
/// manifest's box is left out.
#[derive(Debug, Default)]
pub(crate) struct HeaderHash(Sha256);

impl HeaderHash {
    /// A box begins here.
    pub(crate) fn begins_at(&mut self, offset: u64) {
        self.0.update(offset.to_be_bytes());
    }

    /// These are bytes of it.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn end(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_has_no_end_is_none() {
        assert_eq!(head(&boxed(*b"free", b"ab")).unwrap().length, 10);
        assert!(head(&[0, 0, 0, 0, b'm', b'd', b'a', b't']).is_none());
        assert!(head(&[0, 0, 0, 7, b'm', b'd', b'a', b't']).is_none());
        let long = [&[0, 0, 0, 1][..], b"mdat", &17u64.to_be_bytes()].concat();
        assert_eq!(head(&long).unwrap().head, 16);
        assert!(head(&long[..15]).is_none());
    }
}
