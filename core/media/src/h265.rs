//! H.265 as far as a router looks into it. Section numbers are of ITU-T H.265.

use bytes::Bytes;
use h264_reader::rbsp::{BitRead, BitReader};

use crate::codec::{VideoCodec, VideoParams};
use crate::h264::{SpsError, decode_nal};

/// NAL unit types (table 7-1) that are treated in a way of their own.
pub mod unit_type {
    /// First of the types at which decoding can start (BLA_W_LP).
    pub const FIRST_IRAP: u8 = 16;
    /// Last of them (CRA_NUT).
    pub const LAST_IRAP: u8 = 21;
    /// Last of the types that carry slices.
    pub const LAST_SLICE: u8 = 31;
    /// Video parameter set.
    pub const VPS: u8 = 32;
    /// Sequence parameter set.
    pub const SPS: u8 = 33;
    /// Picture parameter set.
    pub const PPS: u8 = 34;
    /// Access unit delimiter.
    pub const AUD: u8 = 35;
    /// Filler.
    pub const FILLER: u8 = 38;
}

/// The type of a NAL unit: six bits after the first one (section 7.3.1.2).
pub fn type_of(unit: &[u8]) -> Option<u8> {
    (unit.len() >= 2).then(|| (unit[0] >> 1) & 0x3F)
}

/// Whether decoding can start at a NAL unit of this type.
pub fn is_random_access(unit_type: u8) -> bool {
    (unit_type::FIRST_IRAP..=unit_type::LAST_IRAP).contains(&unit_type)
}

fn error(what: impl std::fmt::Debug) -> SpsError {
    SpsError(format!("{what:?}"))
}

/// Reads the shown picture's width and height from a sequence parameter set (section 7.3.2.2).
pub fn picture_size(sps: &[u8]) -> Result<(u32, u32), SpsError> {
    let payload = sps.get(1..).ok_or_else(|| SpsError("empty".into()))?;
    // decode_nal drops a one-byte header; an H.265 header has two.
    let payload = decode_nal(payload)?;
    let mut r = BitReader::new(payload.as_ref());
    let _vps_id: u8 = r.read(4, "sps_video_parameter_set_id").map_err(error)?;
    let sub_layers: u8 = r.read(3, "sps_max_sub_layers_minus1").map_err(error)?;
    r.skip(1, "sps_temporal_id_nesting_flag").map_err(error)?;
    skip_profile_tier_level(&mut r, u32::from(sub_layers))?;
    r.read_ue("sps_seq_parameter_set_id").map_err(error)?;
    let chroma_format = r.read_ue("chroma_format_idc").map_err(error)?;
    if chroma_format == 3 {
        r.skip(1, "separate_colour_plane_flag").map_err(error)?;
    }
    let width = r.read_ue("pic_width_in_luma_samples").map_err(error)?;
    let height = r.read_ue("pic_height_in_luma_samples").map_err(error)?;
    let (mut cut_x, mut cut_y) = (0_u32, 0_u32);
    if r.read_bool("conformance_window_flag").map_err(error)? {
        let unit_x = if matches!(chroma_format, 1 | 2) { 2 } else { 1 };
        let unit_y = if chroma_format == 1 { 2 } else { 1 };
        let mut edge = |unit: u32| -> Result<u32, SpsError> {
            Ok(r.read_ue("conf_win_offset")
                .map_err(error)?
                .saturating_mul(unit))
        };
        cut_x = edge(unit_x)?.saturating_add(edge(unit_x)?);
        cut_y = edge(unit_y)?.saturating_add(edge(unit_y)?);
    }
    match (width.checked_sub(cut_x), height.checked_sub(cut_y)) {
        (Some(w @ 1..=16_384), Some(h @ 1..=16_384)) => Ok((w, h)),
        _ => Err(SpsError(format!(
            "{width}x{height} cut by {cut_x}x{cut_y} is no picture"
        ))),
    }
}

/// Section 7.3.3 with profilePresentFlag = 1.
fn skip_profile_tier_level<R: BitRead>(r: &mut R, sub_layers: u32) -> Result<(), SpsError> {
    r.skip(88, "general profile").map_err(error)?;
    r.skip(8, "general_level_idc").map_err(error)?;
    let mut present = Vec::with_capacity(8);
    for _ in 0..sub_layers {
        let profile = r
            .read_bool("sub_layer_profile_present_flag")
            .map_err(error)?;
        let level = r.read_bool("sub_layer_level_present_flag").map_err(error)?;
        present.push((profile, level));
    }
    if sub_layers > 0 {
        r.skip(2 * (8 - sub_layers), "reserved_zero_2bits")
            .map_err(error)?;
    }
    for (profile, level) in present {
        let bits = if profile { 88 } else { 0 } + if level { 8 } else { 0 };
        r.skip(bits, "sub layer").map_err(error)?;
    }
    Ok(())
}

/// Makes parameters of the sets found in the stream.
pub fn params(vps: Vec<Bytes>, sps: Vec<Bytes>, pps: Vec<Bytes>) -> Result<VideoParams, SpsError> {
    let first = sps
        .first()
        .ok_or_else(|| SpsError("there is none".into()))?;
    let (width, height) = picture_size(first)?;
    Ok(VideoParams {
        codec: VideoCodec::H265,
        vps,
        sps,
        pps,
        width,
        height,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn knows_types() {
        assert_eq!(type_of(&[0x40, 0x01]), Some(unit_type::VPS));
        assert_eq!(type_of(&[0x26, 0x01]), Some(19));
        assert_eq!(type_of(&[0x26]), None);
        assert!(is_random_access(19) && is_random_access(21) && !is_random_access(1));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            drop(picture_size(&bytes));
            let mut sps = vec![0x42, 0x01, 0x01];
            sps.extend(bytes);
            drop(picture_size(&sps));
        }
    }
}
