//! Writing bits, the most significant first, with the checksums of a frame.

use bytes::Bytes;

/// Bits that become bytes.
#[derive(Debug)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits that are not a byte yet, right-aligned.
    open: u64,
    /// How many, less than eight.
    count: u32,
}

impl BitWriter {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            open: 0,
            count: 0,
        }
    }

    /// The low `bits` of `value`, at most 32.
    pub(super) fn put(&mut self, value: u32, bits: u32) {
        let value = u64::from(value) & ((1 << bits) - 1);
        self.open = self.open << bits | value;
        self.count += bits;
        while self.count >= 8 {
            self.count -= 8;
            self.bytes.push((self.open >> self.count) as u8);
        }
    }

    /// A number with a sign in two's complement.
    pub(super) fn signed(&mut self, value: i32, bits: u32) {
        self.put(value.cast_unsigned(), bits);
    }

    /// So many zeros and a one.
    pub(super) fn unary(&mut self, mut zeros: u32) {
        while zeros >= 32 {
            self.put(0, 32);
            zeros -= 32;
        }
        self.put(1, zeros + 1);
    }

    /// Zeros up to the next byte.
    pub(super) fn align(&mut self) {
        if self.count > 0 {
            self.put(0, 8 - self.count);
        }
    }

    /// The checksum of a frame's header (RFC 9639 section 9.1.8).
    pub(super) fn checksum_8(&mut self) {
        let sum = self.bytes.iter().fold(0_u8, |sum, byte| {
            (0..8).fold(sum ^ byte, |sum, _| {
                sum << 1 ^ if sum & 0x80 == 0 { 0 } else { 0x07 }
            })
        });
        self.bytes.push(sum);
    }

    /// The checksum of the whole frame (section 9.3).
    pub(super) fn checksum_16(&mut self) {
        let sum = self.bytes.iter().fold(0_u16, |sum, byte| {
            sum << 8 ^ SUMS[usize::from((sum >> 8) as u8 ^ byte)]
        });
        self.bytes.extend_from_slice(&sum.to_be_bytes());
    }

    pub(super) fn done(self) -> Bytes {
        self.bytes.into()
    }
}

/// What a byte does to the checksum of 16 bits.
static SUMS: [u16; 256] = {
    let mut sums = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            sum = sum << 1 ^ if sum & 0x8000 == 0 { 0 } else { 0x8005 };
            bit += 1;
        }
        sums[byte] = sum;
        byte += 1;
    }
    sums
};
