//! H.265 as far as a router looks into it. Section numbers are of ITU-T H.265.

use bytes::Bytes;

use crate::bits::Bits;
use crate::codec::{VideoCodec, VideoParams};
use crate::h264::{RECOVERY_POINT, SpsError, sei_message};

/// NAL unit types (table 7-1) that are treated in a way of their own.
pub mod unit_type {
    /// Last of the types of pictures at which decoding can not start.
    pub const LAST_TRAILING: u8 = 9;
    /// First of the types at which decoding can start (BLA_W_LP).
    pub const FIRST_IRAP: u8 = 16;
    /// A clean random access picture (CRA_NUT): those that are shown before it may need others.
    pub const CRA: u8 = 21;
    /// Last of the types at which decoding can start.
    pub const LAST_IRAP: u8 = 21;
    /// Video parameter set.
    pub const VPS: u8 = 32;
    /// Sequence parameter set.
    pub const SPS: u8 = 33;
    /// Picture parameter set.
    pub const PPS: u8 = 34;
    /// Access unit delimiter.
    pub const AUD: u8 = 35;
    /// End of sequence.
    pub const END_OF_SEQUENCE: u8 = 36;
    /// Filler.
    pub const FILLER: u8 = 38;
    /// Supplemental enhancement information before the picture.
    pub const PREFIX_SEI: u8 = 39;
    /// Supplemental enhancement information behind the picture.
    pub const SUFFIX_SEI: u8 = 40;
}

/// Bytes of a NAL unit's header.
const HEADER: usize = 2;

/// The type of a NAL unit: six bits after the first one (section 7.3.1.2).
pub fn type_of(unit: &[u8]) -> Option<u8> {
    (unit.len() >= HEADER).then(|| (unit[0] >> 1) & 0x3F)
}

/// The layer of a NAL unit; the picture as all decoders know it is in layer 0.
pub fn layer_of(unit: &[u8]) -> Option<u8> {
    (unit.len() >= HEADER).then(|| (unit[0] & 1) << 5 | unit[1] >> 3)
}

/// Whether decoding can start at a NAL unit of this type.
pub fn is_random_access(unit_type: u8) -> bool {
    (unit_type::FIRST_IRAP..=unit_type::LAST_IRAP).contains(&unit_type)
}

/// What a sequence parameter set says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sps {
    /// Its number.
    pub id: u32,
    /// Width of the shown picture in pixels.
    pub width: u32,
    /// Height of the shown picture in pixels.
    pub height: u32,
}

impl Sps {
    /// Reads the NAL unit (section 7.3.2.2) up to the cropping.
    pub fn read(unit: &[u8]) -> Result<Self, SpsError> {
        let (id, (width, height)) =
            Self::body(&mut Bits::new(unit, HEADER)).ok_or(SpsError::Unreadable)?;
        let size = |n: i64| u32::try_from(n).ok().filter(|n| (1..=16_384).contains(n));
        match (size(width), size(height)) {
            (Some(width), Some(height)) => Ok(Self { id, width, height }),
            _ => Err(SpsError::Size { width, height }),
        }
    }

    fn body(r: &mut Bits<'_>) -> Option<(u32, (i64, i64))> {
        r.skip(4)?;
        let sub_layers = r.u(3)?;
        r.skip(1)?;
        skip_profile_tier_level(r, sub_layers)?;
        let id = r.ue().filter(|id| *id < 16)?;
        let chroma_format = r.ue()?;
        if chroma_format == 3 {
            r.skip(1)?;
        }
        let (width, height) = (i64::from(r.ue()?), i64::from(r.ue()?));
        let (mut cut_x, mut cut_y) = (0, 0);
        if r.bit()? {
            let unit_x = if matches!(chroma_format, 1 | 2) { 2 } else { 1 };
            let unit_y = if chroma_format == 1 { 2 } else { 1 };
            cut_x = unit_x * (i64::from(r.ue()?) + i64::from(r.ue()?));
            cut_y = unit_y * (i64::from(r.ue()?) + i64::from(r.ue()?));
        }
        Some((id, (width - cut_x, height - cut_y)))
    }
}

/// Section 7.3.3 with profilePresentFlag = 1.
fn skip_profile_tier_level(r: &mut Bits<'_>, sub_layers: u32) -> Option<()> {
    r.skip(96)?;
    let mut present = [(false, false); 7];
    for sub_layer in present.iter_mut().take(sub_layers as usize) {
        *sub_layer = (r.bit()?, r.bit()?);
    }
    if sub_layers > 0 {
        r.skip(2 * 8_u32.saturating_sub(sub_layers))?;
    }
    for (profile, level) in present {
        r.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 })?;
    }
    Some(())
}

/// What a sequence parameter set says of how its pictures are coded, as files describe it
/// (ISO 14496-15 section 8.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// The general part of `profile_tier_level`, as it stands there: profile space, tier and
    /// profile; compatibility flags; constraint flags; level.
    pub profile: [u8; 12],
    /// Temporal sub-layers.
    pub sub_layers: u8,
    /// `sps_temporal_id_nesting_flag`.
    pub nested: bool,
    /// `chroma_format_idc`: 1 is 4:2:0.
    pub chroma_format: u8,
    /// Bits of a sample of luma and of chroma.
    pub bit_depths: (u8, u8),
}

impl Format {
    /// Reads a sequence parameter set's NAL unit.
    pub fn read(unit: &[u8]) -> Result<Self, SpsError> {
        Self::body(&mut Bits::new(unit, HEADER)).ok_or(SpsError::Unreadable)
    }

    fn body(r: &mut Bits<'_>) -> Option<Self> {
        r.skip(4)?;
        let more_sub_layers = r.u(3)?;
        let nested = r.bit()?;
        let mut profile = [0; 12];
        // A copy reads them: they are part of what is passed over.
        let mut general = r.clone();
        for byte in &mut profile {
            *byte = general.byte()?;
        }
        skip_profile_tier_level(r, more_sub_layers)?;
        r.ue()?;
        let chroma_format = r.ue().filter(|format| *format < 4)?;
        if chroma_format == 3 {
            r.skip(1)?;
        }
        r.ue()?;
        r.ue()?;
        if r.bit()? {
            for _ in 0..4 {
                r.ue()?;
            }
        }
        let mut depth = || u8::try_from(r.ue().filter(|n| *n < 8)? + 8).ok();
        Some(Self {
            profile,
            sub_layers: u8::try_from(more_sub_layers + 1).ok()?,
            nested,
            chroma_format: u8::try_from(chroma_format).ok()?,
            bit_depths: (depth()?, depth()?),
        })
    }
}

/// Reads the shown picture's width and height from a sequence parameter set.
pub fn picture_size(sps: &[u8]) -> Result<(u32, u32), SpsError> {
    Sps::read(sps).map(|sps| (sps.width, sps.height))
}

/// The number of a video parameter set (section 7.3.2.1).
pub fn vps_id(unit: &[u8]) -> Option<u32> {
    Bits::new(unit, HEADER).u(4)
}

/// The number of a picture parameter set and that of its sequence parameter set (section 7.3.2.3).
pub fn pps_ids(unit: &[u8]) -> Option<(u32, u32)> {
    let mut r = Bits::new(unit, HEADER);
    let pps = r.ue().filter(|id| *id < 64)?;
    Some((pps, r.ue().filter(|id| *id < 16)?))
}

/// The beginning of a slice segment's header (section 7.3.6.1): whether it is its picture's first,
/// and the number of its picture parameter set.
pub fn slice(unit: &[u8]) -> Option<(bool, u32)> {
    let kind = type_of(unit)?;
    let mut r = Bits::new(unit, HEADER);
    let first = r.bit()?;
    // 16 to 23: no_output_of_prior_pics_flag.
    if (unit_type::FIRST_IRAP..24).contains(&kind) {
        r.skip(1)?;
    }
    Some((first, r.ue().filter(|id| *id < 64)?))
}

/// If a prefix SEI unit has a recovery point (section D.2.8): after how many pictures, in output
/// order, the picture is complete.
pub fn recovery_point(sei: &[u8]) -> Option<u32> {
    let count = sei_message(sei, HEADER, RECOVERY_POINT)?.se()?;
    Some(u32::try_from(count).unwrap_or(0))
}

/// Makes parameters of the sets found in the stream; the first sequence parameter set is the one in
/// use.
pub fn params(vps: Vec<Bytes>, sps: Vec<Bytes>, pps: Vec<Bytes>) -> Result<VideoParams, SpsError> {
    let first = sps.first().ok_or(SpsError::Missing)?;
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

    /// Sets of a picture of 320 by 240, main profile.
    pub(crate) const VPS: [u8; 24] = [
        0x40, 0x01, 0x0C, 0x01, 0xFF, 0xFF, 0x01, 0x60, 0, 0, 0x03, 0, 0x90, 0, 0, 0x03, 0, 0,
        0x03, 0, 0x3C, 0x95, 0x98, 0x09,
    ];
    /// Written by hand up to the cropping, see [`Sps::body`].
    pub(crate) const SPS: [u8; 24] = [
        0x42, 0x01, 0x01, 0x01, 0x60, 0, 0, 0x03, 0, 0x90, 0, 0, 0x03, 0, 0, 0x03, 0, 0x3C, 0xA0,
        0x0A, 0x08, 0x0F, 0x16, 0x80,
    ];
    pub(crate) const PPS: [u8; 6] = [0x44, 0x01, 0xC1, 0x72, 0xB4, 0x62];

    #[test]
    fn knows_types() {
        assert_eq!(type_of(&[0x40, 0x01]), Some(unit_type::VPS));
        assert_eq!(type_of(&[0x26, 0x01]), Some(19));
        assert_eq!(type_of(&[0x26]), None);
        assert!(is_random_access(19) && is_random_access(21) && !is_random_access(1));
        assert_eq!(layer_of(&[0x41, 0x01]), Some(32));
    }

    #[test]
    fn reads_numbers_and_size() {
        let sps = Sps {
            id: 0,
            width: 320,
            height: 240,
        };
        assert_eq!(Sps::read(&SPS), Ok(sps));
        assert_eq!((vps_id(&VPS), pps_ids(&PPS)), (Some(0), Some((0, 0))));
        assert_eq!(Sps::read(&SPS[..8]), Err(SpsError::Unreadable));
    }

    #[test]
    fn knows_first_slices_and_recovery_points() {
        assert_eq!(slice(&[0x02, 0x01, 0b1100_0000]), Some((true, 0)));
        assert_eq!(slice(&[0x26, 0x01, 0b1010_0000]), Some((true, 0)));
        assert_eq!(slice(&[0x02, 0x01, 0b0100_0000]), Some((false, 0)));
        assert_eq!(slice(&[0x02, 0x01]), None);
        assert_eq!(recovery_point(&[0x4E, 0x01, 6, 1, 0xC0, 0x80]), Some(0));
        assert_eq!(recovery_point(&[0x4E, 0x01, 6, 1, 0b0101_0000]), Some(1));
        assert_eq!(recovery_point(&[0x4E, 0x01, 5, 1, 0x80]), None);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            for start in [&[][..], &[0x42, 0x01, 0x01]] {
                let unit = [start, &bytes].concat();
                drop(Sps::read(&unit));
                drop(Format::read(&unit));
                vps_id(&unit);
                pps_ids(&unit);
                slice(&unit);
                recovery_point(&unit);
            }
        }
    }
}
