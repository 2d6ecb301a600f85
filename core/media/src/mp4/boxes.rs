//! Writing boxes: numbers in network order, and lengths that are filled in when a box ends.

use super::error::Mp4Error;

/// The name of a box.
pub(super) type Kind = [u8; 4];

/// Bytes of a box's header.
pub(super) const HEADER: usize = 8;

/// The matrix of headers of movies and tracks that changes nothing (section 6.2.2).
const UNITY: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// Boxes one behind and in another.
#[derive(Debug, Default)]
pub(super) struct Boxes {
    bytes: Vec<u8>,
    /// A box was too long for its length, or a count for its field.
    overflow: bool,
}

impl Boxes {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            overflow: false,
        }
    }

    /// One box with all that `body` writes in it.
    pub(super) fn put(&mut self, kind: Kind, body: impl FnOnce(&mut Self)) {
        let at = self.bytes.len();
        self.u32(0);
        self.raw(&kind);
        body(self);
        let length = self.fits(self.bytes.len() - at);
        self.patch_u32(at, length);
    }

    /// The same for a box with version and flags.
    pub(super) fn full(
        &mut self,
        kind: Kind,
        version: u8,
        flags: u32,
        body: impl FnOnce(&mut Self),
    ) {
        self.put(kind, |b| {
            b.u32(u32::from(version) << 24 | flags);
            body(b);
        });
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn zeros(&mut self, count: usize) {
        self.bytes.resize(self.bytes.len() + count, 0);
    }

    pub(super) fn u8(&mut self, n: u8) {
        self.bytes.push(n);
    }

    pub(super) fn u16(&mut self, n: u16) {
        self.raw(&n.to_be_bytes());
    }

    pub(super) fn u32(&mut self, n: u32) {
        self.raw(&n.to_be_bytes());
    }

    pub(super) fn i32(&mut self, n: i32) {
        self.raw(&n.to_be_bytes());
    }

    pub(super) fn u64(&mut self, n: u64) {
        self.raw(&n.to_be_bytes());
    }

    pub(super) fn matrix(&mut self) {
        for n in UNITY {
            self.u32(n);
        }
    }

    /// A number of bytes or entries in the field that it goes into; what does not fit is remembered
    /// and refused in [`Self::done`].
    pub(super) fn fits<T: TryFrom<usize> + Default>(&mut self, count: usize) -> T {
        T::try_from(count).unwrap_or_else(|_| {
            self.overflow = true;
            T::default()
        })
    }

    /// A count or a length as 32 bits.
    pub(super) fn count(&mut self, count: usize) {
        let count = self.fits(count);
        self.u32(count);
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Replaces four bytes that were written before.
    pub(super) fn patch_u32(&mut self, at: usize, n: u32) {
        if let Some(field) = self.bytes.get_mut(at..at + 4) {
            field.copy_from_slice(&n.to_be_bytes());
        }
    }

    /// The bytes.
    pub(super) fn done(self, what: &'static str) -> Result<Vec<u8>, Mp4Error> {
        if self.overflow {
            Err(Mp4Error::TooLarge(what))
        } else {
            Ok(self.bytes)
        }
    }
}
