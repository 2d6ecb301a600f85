//! H.264 as far as a router looks into it: NAL unit types, the picture size, where decoding can
//! start. Section numbers are of ITU-T H.264.

use bytes::Bytes;
use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::rbsp::BitReader;
use std::borrow::Cow;

use crate::codec::{VideoCodec, VideoParams};

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
    /// Filler.
    pub const FILLER: u8 = 12;
}

/// The type of a NAL unit: the low five bits of its first byte.
pub fn type_of(unit: &[u8]) -> Option<u8> {
    unit.first().map(|b| b & 0x1F)
}

/// Why a sequence parameter set says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sequence parameter set is not readable: {0}")]
pub struct SpsError(pub String);

/// A NAL unit's payload without its first byte and without emulation prevention (section 7.3.1).
pub(crate) fn decode_nal(unit: &[u8]) -> Result<Cow<'_, [u8]>, SpsError> {
    // h264-reader panics on an empty unit.
    if unit.is_empty() {
        return Err(SpsError("it is empty".into()));
    }
    h264_reader::rbsp::decode_nal(unit).map_err(|e| SpsError(e.to_string()))
}

/// Reads the shown picture's width and height from a sequence parameter set.
pub fn picture_size(sps: &[u8]) -> Result<(u32, u32), SpsError> {
    let payload = decode_nal(sps)?;
    let sps = SeqParameterSet::from_bits(BitReader::new(payload.as_ref()))
        .map_err(|e| SpsError(format!("{e:?}")))?;
    // h264-reader adds one to this field without a check.
    if sps.pic_height_in_map_units_minus1 > 1 << 16 {
        return Err(SpsError("height is out of range".into()));
    }
    sps.pixel_dimensions()
        .map_err(|e| SpsError(format!("{e:?}")))
}

/// Makes parameters of the sets found in the stream.
pub fn params(sps: Vec<Bytes>, pps: Vec<Bytes>) -> Result<VideoParams, SpsError> {
    let first = sps
        .first()
        .ok_or_else(|| SpsError("there is none".into()))?;
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

/// Whether an SEI NAL unit has a recovery point (section D.1.8) at which the picture is complete at
/// once: cameras with open GOPs mark their key pictures so, without ever sending an IDR picture.
pub fn is_immediate_recovery_point(sei: &[u8]) -> bool {
    const RECOVERY_POINT: usize = 6;
    let Ok(payload) = decode_nal(sei) else {
        return false;
    };
    let mut rest = payload.as_ref();
    while let Some((kind, after)) = sei_number(rest) {
        let Some((size, after)) = sei_number(after) else {
            return false;
        };
        let Some(body) = after.get(..size) else {
            return false;
        };
        if kind == RECOVERY_POINT {
            // recovery_frame_cnt is ue(v): zero is a single 1 bit.
            return body.first().is_some_and(|b| b & 0x80 != 0);
        }
        rest = after.get(size..).unwrap_or_default();
    }
    false
}

/// A number of section 7.3.2.3.1: a run of 255s and a last byte.
fn sei_number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let full = bytes.iter().take_while(|b| **b == 0xFF).count();
    let last = *bytes.get(full)?;
    Some((full * 255 + usize::from(last), &bytes[full + 1..]))
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

    #[test]
    fn reads_the_picture_size() {
        assert_eq!(picture_size(&SPS_640X360), Ok((640, 360)));
        assert!(picture_size(&[0x67]).is_err());
        assert!(picture_size(&[]).is_err());
    }

    #[test]
    fn finds_recovery_points() {
        // payload type 6, size 1, recovery_frame_cnt = 0, exact_match = 1, trailing bits
        assert!(is_immediate_recovery_point(&[0x06, 0x06, 0x01, 0xC4, 0x80]));
        // recovery_frame_cnt = 1
        assert!(!is_immediate_recovery_point(&[
            0x06, 0x06, 0x01, 0x48, 0x80
        ]));
        // after another message of type 5 and size 2
        assert!(is_immediate_recovery_point(&[
            0x06, 0x05, 0x02, 9, 9, 0x06, 0x01, 0x84, 0x80
        ]));
        assert!(!is_immediate_recovery_point(&[0x06, 0x06]));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            drop(picture_size(&bytes));
            is_immediate_recovery_point(&bytes);
            let mut sps = vec![0x67, 0x64, 0, 0x1F];
            sps.extend(bytes);
            drop(picture_size(&sps));
        }
    }
}
