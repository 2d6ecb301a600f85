//! Supplemental enhancement information (section 7.3.2.3), as far as it says where decoding can
//! start. H.265 writes its messages in the same way.

use crate::bits::Bits;

/// If an SEI NAL unit has a recovery point (section D.1.8): after how many frames the picture is
/// complete. Zero is that of cameras with open GOPs, which mark their key pictures so without ever
/// sending an IDR picture; more is gradual refresh.
pub fn recovery_point(sei: &[u8]) -> Option<u32> {
    sei_message(sei, 1, RECOVERY_POINT)?.ue()
}

/// The payload type of recovery points, in H.265 too.
pub(crate) const RECOVERY_POINT: u32 = 6;

/// The first message of a type in an SEI unit (section 7.3.2.3.1), from the beginning of its body.
pub(crate) fn sei_message(sei: &[u8], header: usize, wanted: u32) -> Option<Bits<'_>> {
    let mut bits = Bits::new(sei, header);
    loop {
        let kind = sei_number(&mut bits)?;
        let size = sei_number(&mut bits)?;
        if kind == wanted {
            return (size > 0).then_some(bits);
        }
        for _ in 0..size {
            bits.byte()?;
        }
    }
}

/// A run of 255s and a last byte.
fn sei_number(bits: &mut Bits<'_>) -> Option<u32> {
    let mut number = 0_u32;
    loop {
        let byte = bits.byte()?;
        number = number.saturating_add(u32::from(byte));
        if byte != u8::MAX {
            return Some(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_recovery_points() {
        // payload type 6, size 1, recovery_frame_cnt = 0, exact_match = 1, trailing bits
        assert_eq!(recovery_point(&[0x06, 0x06, 0x01, 0xC4, 0x80]), Some(0));
        // recovery_frame_cnt = 1
        assert_eq!(recovery_point(&[0x06, 0x06, 0x01, 0x48, 0x80]), Some(1));
        // after another message of type 5 and size 2
        let second = [0x06, 0x05, 0x02, 9, 9, 0x06, 0x01, 0x84, 0x80];
        assert_eq!(recovery_point(&second), Some(0));
        assert_eq!(recovery_point(&[0x06, 0x06]), None);
        assert_eq!(recovery_point(&[0x06, 0x05, 0x01, 0x06, 0x80]), None);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            recovery_point(&bytes);
            recovery_point(&[&[6, 5, 3][..], &bytes].concat());
        }
    }
}
