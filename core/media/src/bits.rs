//! Reading bits of NAL units, with emulation prevention (ITU-T H.264 section 7.4.1, H.265 section
//! 7.4.2) left out on the way: nothing is copied, so that a slice's header costs no allocation.

/// Reads from the most significant bit on. `None`: the unit ends before.
#[derive(Debug, Clone)]
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    /// The byte that is read from.
    at: usize,
    /// Bits of it that were read.
    used: u8,
    /// Zero bytes right before it.
    zeros: u8,
}

impl<'a> Bits<'a> {
    /// Reads a NAL unit from behind its header of `header` bytes.
    pub(crate) fn new(unit: &'a [u8], header: usize) -> Self {
        let mut bits = Self {
            bytes: unit,
            at: header,
            used: 0,
            zeros: 0,
        };
        bits.skip_emulation();
        bits
    }

    fn skip_emulation(&mut self) {
        if self.zeros >= 2 && self.bytes.get(self.at) == Some(&3) {
            self.at += 1;
            self.zeros = 0;
        }
    }

    fn next_byte(&mut self, byte: u8) {
        self.zeros = if byte == 0 {
            self.zeros.saturating_add(1)
        } else {
            0
        };
        self.at += 1;
        self.used = 0;
        self.skip_emulation();
    }

    /// One bit.
    pub(crate) fn bit(&mut self) -> Option<bool> {
        let byte = *self.bytes.get(self.at)?;
        let bit = byte >> (7 - self.used) & 1 == 1;
        self.used += 1;
        if self.used == 8 {
            self.next_byte(byte);
        }
        Some(bit)
    }

    /// A number of `count` bits, at most 32.
    pub(crate) fn u(&mut self, count: u32) -> Option<u32> {
        let mut value = 0_u32;
        for _ in 0..count {
            value = value << 1 | u32::from(self.bit()?);
        }
        Some(value)
    }

    /// A whole byte.
    pub(crate) fn byte(&mut self) -> Option<u8> {
        if self.used > 0 {
            return u8::try_from(self.u(8)?).ok();
        }
        let byte = *self.bytes.get(self.at)?;
        self.next_byte(byte);
        Some(byte)
    }

    /// Leaves bits out.
    pub(crate) fn skip(&mut self, count: u32) -> Option<()> {
        for _ in 0..count {
            self.bit()?;
        }
        Some(())
    }

    /// `ue(v)` of section 9.1 (H.265: 9.2).
    pub(crate) fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1_u32 << zeros) - 1 + self.u(zeros)?)
    }

    /// `se(v)`.
    pub(crate) fn se(&mut self) -> Option<i32> {
        let code = i64::from(self.ue()?);
        let magnitude = (code + 1) / 2;
        i32::try_from(if code % 2 == 1 { magnitude } else { -magnitude }).ok()
    }

    /// If what comes is the end of a unit (`rbsp_trailing_bits`: a one, zeros up to the next byte),
    /// the unit's length with them.
    pub(crate) fn end(mut self) -> Option<usize> {
        if !self.bit()? {
            return None;
        }
        while self.used > 0 {
            if self.bit()? {
                return None;
            }
        }
        Some(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_numbers() {
        // 1 | 010 | 011 | 00100 | 1 -> ue 0, 1, 2, 3, 0
        let bytes = [0x67, 0b1010_0110, 0b0100_1000];
        let mut bits = Bits::new(&bytes, 1);
        assert_eq!([0; 5].map(|_: u8| bits.ue()), [0, 1, 2, 3, 0].map(Some));
        let mut bits = Bits::new(&[0b0100_1100, 0x80], 0);
        assert_eq!(
            [bits.se(), bits.se(), bits.se()],
            [Some(1), Some(-1), Some(2)]
        );
        assert_eq!(Bits::new(&[0; 9], 0).ue(), None);
    }

    #[test]
    fn leaves_emulation_prevention_out() {
        let mut bits = Bits::new(&[0x67, 0, 0, 3, 1, 0xFF], 1);
        assert_eq!(
            (bits.u(24), bits.byte(), bits.bit()),
            (Some(1), Some(0xFF), None)
        );
        let mut bits = Bits::new(&[0x67, 0, 0, 3, 0, 0, 3, 7], 1);
        assert_eq!(bits.u(32), Some(0));
        assert_eq!(bits.byte(), Some(7));
    }

    #[test]
    fn finds_the_end() {
        let mut bits = Bits::new(&[0x68, 0xA8, 4], 1);
        bits.skip(4).unwrap();
        assert_eq!(bits.end(), Some(2));
        assert_eq!(Bits::new(&[0x68, 0xA8], 1).end(), None);
        assert_eq!(Bits::new(&[0x68, 0x80], 1).end(), Some(2));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..60), header in 0_usize..3) {
            let mut bits = Bits::new(&bytes, header);
            while bits.ue().is_some() {}
            while bits.se().is_some() {}
            bits.end();
            let mut bits = Bits::new(&bytes, header);
            while bits.byte().is_some() {
                bits.clone().end();
            }
        }
    }
}
