//! H.264 as far as a router looks into it: NAL unit types, parameter sets, the beginnings of
//! slices, where decoding can start. Section numbers are of ITU-T H.264.

mod sets;
mod slice;

use bytes::Bytes;

use crate::bits::Bits;
use crate::codec::{VideoCodec, VideoParams};

pub use sets::{Pps, Sps, SpsError, picture_size};
pub use slice::{PictureId, SliceHeader};

/// NAL unit types (table 7-1) that are treated in a way of their own.
pub mod unit_type {
    /// Slice of a picture that is not an IDR picture.
    pub const SLICE: u8 = 1;
    /// Slice of an IDR picture.
    pub const IDR: u8 = 5;
    /// Supplemental enhancement information.
    pub const SEI: u8 = 6;
    /// Sequence parameter set.
    pub const SPS: u8 = 7;
    /// Picture parameter set.
    pub const PPS: u8 = 8;
    /// Access unit delimiter.
    pub const AUD: u8 = 9;
    /// End of sequence.
    pub const END_OF_SEQUENCE: u8 = 10;
    /// End of stream.
    pub const END_OF_STREAM: u8 = 11;
    /// Filler.
    pub const FILLER: u8 = 12;
    /// Extension of a sequence parameter set.
    pub const SPS_EXTENSION: u8 = 13;
    /// What precedes a slice that has layers or views above it.
    pub const PREFIX: u8 = 14;
    /// Sequence parameter set of other layers or views.
    pub const SUBSET_SPS: u8 = 15;
    /// Slice of an auxiliary picture.
    pub const AUXILIARY: u8 = 19;
    /// Slice of another layer or view.
    pub const EXTENSION: u8 = 20;
    /// Slice of another view with depth.
    pub const DEPTH: u8 = 21;
}

/// The type of a NAL unit: the low five bits of its first byte.
pub fn type_of(unit: &[u8]) -> Option<u8> {
    unit.first().map(|b| b & 0x1F)
}

/// Makes parameters of the sets found in the stream; the first sequence parameter set is the one in
/// use.
pub fn params(sps: Vec<Bytes>, pps: Vec<Bytes>) -> Result<VideoParams, SpsError> {
    let first = sps.first().ok_or(SpsError::Missing)?;
    let (width, height) = picture_size(first)?;
    Ok(VideoParams {
        codec: VideoCodec::H264,
        vps: Vec::new(),
        sps,
        pps,
        width,
        height,
    })
}

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
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 640×360, constrained baseline.
    pub(crate) const SPS_640X360: [u8; 15] = [
        0x67, 0x42, 0xC0, 0x1E, 0x8C, 0x8D, 0x40, 0x50, 0x17, 0xFC, 0xB0, 0x0F, 0x08, 0x84, 0x6A,
    ];
    pub(crate) const PPS: [u8; 4] = [0x68, 0xCE, 0x3C, 0x80];

    fn ue(bits: &mut String, value: u32) {
        let code = format!("{:b}", value + 1);
        bits.extend(std::iter::repeat_n('0', code.len() - 1));
        bits.push_str(&code);
    }

    /// A slice of a picture of [`SPS_640X360`], with `tail` bytes after its header.
    pub(crate) fn slice(
        header: u8,
        first_mb: u32,
        kind: u32,
        frame_num: u32,
        tail: usize,
    ) -> Vec<u8> {
        let sps = Sps::read(&SPS_640X360).unwrap();
        let mut bits = String::new();
        ue(&mut bits, first_mb);
        ue(&mut bits, kind);
        ue(&mut bits, 0);
        let width = sps.frame_num_bits as usize;
        bits.push_str(&format!("{:0width$b}", frame_num % (1 << width)));
        if header & 0x1F == unit_type::IDR {
            ue(&mut bits, 0);
        }
        if let Some(order) = sps.order_bits {
            let width = order as usize;
            bits.push_str(&format!("{:0width$b}", frame_num * 2 % (1 << width)));
        }
        while !bits.len().is_multiple_of(8) {
            bits.push('1');
        }
        let body = bits.as_bytes().chunks(8);
        let body = body.map(|byte| byte.iter().fold(0, |n, bit| n << 1 | (bit - b'0')));
        let tail = (0..tail).map(|i| (i % 251 + 1) as u8);
        std::iter::once(header).chain(body).chain(tail).collect()
    }

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
