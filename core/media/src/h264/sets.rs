//! Parameter sets of H.264 (sections 7.3.2.1 and 7.3.2.2), no stricter than needed: what is behind
//! the cropping is looked at only to find where the set ends, because that is where cameras err.

use crate::bits::Bits;

/// Why a parameter set says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpsError {
    /// There is none.
    #[error("there is no sequence parameter set")]
    Missing,
    /// It ends too early, or has numbers that do not end.
    #[error("parameter set can not be read")]
    Unreadable,
    /// It describes no picture.
    #[error("{width}x{height} is no picture")]
    Size {
        /// Width without what is cut off.
        width: i64,
        /// Height without what is cut off.
        height: i64,
    },
}

/// What a sequence parameter set says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sps {
    /// Its number.
    pub id: u32,
    /// Width of the shown picture in pixels.
    pub width: u32,
    /// Height of the shown picture in pixels.
    pub height: u32,
    /// `max_num_ref_frames`.
    pub reference_frames: u32,
    /// `chroma_format_idc`: 1 is 4:2:0.
    pub chroma_format: u8,
    /// Bits of a sample of luma and of chroma.
    pub bit_depths: (u8, u8),
    pub(super) separate_planes: bool,
    pub(super) frame_num_bits: u32,
    /// Bits of `pic_order_cnt_lsb`, if slices have it.
    pub(super) order_bits: Option<u32>,
    pub(super) frames_only: bool,
    /// Its length without anything behind its end, if that could be found.
    pub length: Option<usize>,
}

/// Profiles whose sets say more about colour.
const HIGH_PROFILES: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

impl Sps {
    /// Reads the NAL unit.
    pub fn read(unit: &[u8]) -> Result<Self, SpsError> {
        let mut bits = Bits::new(unit, 1);
        let (mut sps, (width, height)) = Self::body(&mut bits).ok_or(SpsError::Unreadable)?;
        let size = |n: i64| u32::try_from(n).ok().filter(|n| (1..=16_384).contains(n));
        let (Some(w), Some(h)) = (size(width), size(height)) else {
            return Err(SpsError::Size { width, height });
        };
        (sps.width, sps.height) = (w, h);
        sps.length = skip_vui(&mut bits).and_then(|()| bits.end());
        Ok(sps)
    }

    fn body(r: &mut Bits<'_>) -> Option<(Self, (i64, i64))> {
        let profile = r.u(8)?;
        r.skip(16)?;
        let id = r.ue()?;
        let (mut chroma_format, mut separate_planes) = (1, false);
        let mut bit_depths = (8, 8);
        if HIGH_PROFILES.contains(&profile) {
            chroma_format = r.ue()?;
            if chroma_format == 3 {
                separate_planes = r.bit()?;
            }
            bit_depths = (bit_depth(r)?, bit_depth(r)?);
            r.skip(1)?;
            if r.bit()? {
                skip_scaling_lists(r, if chroma_format == 3 { 12 } else { 8 })?;
            }
        }
        let frame_num_bits = bits_minus_4(r)?;
        let order_bits = match r.ue()? {
            0 => Some(bits_minus_4(r)?),
            1 => {
                skip_order_cycle(r)?;
                None
            }
            _ => None,
        };
        let reference_frames = r.ue()?;
        r.skip(1)?;
        let width = (i64::from(r.ue()?) + 1) * 16;
        let map_units = i64::from(r.ue()?) + 1;
        let frames_only = r.bit()?;
        let height = map_units * if frames_only { 16 } else { 32 };
        if !frames_only {
            r.skip(1)?;
        }
        r.skip(1)?;
        let (mut cut_x, mut cut_y) = (0, 0);
        if r.bit()? {
            let subsampled = |yes: bool| if yes && !separate_planes { 2 } else { 1 };
            let unit_x = subsampled(matches!(chroma_format, 1 | 2));
            let unit_y = subsampled(chroma_format == 1) * if frames_only { 1 } else { 2 };
            cut_x = unit_x * (i64::from(r.ue()?) + i64::from(r.ue()?));
            cut_y = unit_y * (i64::from(r.ue()?) + i64::from(r.ue()?));
        }
        let sps = Self {
            id: Some(id).filter(|id| *id < 32)?,
            width: 0,
            height: 0,
            reference_frames,
            chroma_format: u8::try_from(chroma_format).ok().filter(|f| *f < 4)?,
            bit_depths,
            separate_planes,
            frame_num_bits,
            order_bits,
            frames_only,
            length: None,
        };
        Some((sps, (width - cut_x, height - cut_y)))
    }
}

/// A count of bits that is written less four, at most 16.
fn bits_minus_4(r: &mut Bits<'_>) -> Option<u32> {
    r.ue().filter(|n| *n <= 12).map(|n| n + 4)
}

/// Bits of a sample, written less eight.
fn bit_depth(r: &mut Bits<'_>) -> Option<u8> {
    let more = r.ue().filter(|n| *n < 8)?;
    u8::try_from(more + 8).ok()
}

fn skip_order_cycle(r: &mut Bits<'_>) -> Option<()> {
    r.skip(1)?;
    r.se()?;
    r.se()?;
    let count = r.ue()?;
    // More are not allowed, and would be work.
    for _ in 0..Some(count).filter(|n| *n < 256)? {
        r.se()?;
    }
    Some(())
}

fn skip_scaling_lists(r: &mut Bits<'_>, lists: u32) -> Option<()> {
    for list in 0..lists {
        if !r.bit()? {
            continue;
        }
        let (mut last, mut next) = (8_i64, 8_i64);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                next = (last + i64::from(r.se()?)).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
    }
    Some(())
}

/// `vui_parameters` (section E.1.1), if there are any.
fn skip_vui(r: &mut Bits<'_>) -> Option<()> {
    const EXTENDED_SAR: u32 = 255;
    if !r.bit()? {
        return Some(());
    }
    if r.bit()? && r.u(8)? == EXTENDED_SAR {
        r.skip(32)?;
    }
    if r.bit()? {
        r.skip(1)?;
    }
    if r.bit()? {
        r.skip(4)?;
        if r.bit()? {
            r.skip(24)?;
        }
    }
    if r.bit()? {
        r.ue()?;
        r.ue()?;
    }
    if r.bit()? {
        r.skip(65)?;
    }
    let nal = r.bit()?;
    if nal {
        skip_hrd(r)?;
    }
    let vcl = r.bit()?;
    if vcl {
        skip_hrd(r)?;
    }
    if nal || vcl {
        r.skip(1)?;
    }
    r.skip(1)?;
    if r.bit()? {
        r.skip(1)?;
        for _ in 0..6 {
            r.ue()?;
        }
    }
    Some(())
}

fn skip_hrd(r: &mut Bits<'_>) -> Option<()> {
    let count = r.ue().filter(|n| *n < 32)?;
    r.skip(8)?;
    for _ in 0..=count {
        r.ue()?;
        r.ue()?;
        r.skip(1)?;
    }
    r.skip(20)
}

/// Reads the shown picture's width and height from a sequence parameter set.
pub fn picture_size(sps: &[u8]) -> Result<(u32, u32), SpsError> {
    Sps::read(sps).map(|sps| (sps.width, sps.height))
}

/// What a picture parameter set says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pps {
    /// Its number.
    pub id: u32,
    /// The number of its sequence parameter set.
    pub sps: u32,
}

impl Pps {
    /// Reads the NAL unit.
    pub fn read(unit: &[u8]) -> Result<Self, SpsError> {
        let mut bits = Bits::new(unit, 1);
        let mut id = |limit| {
            bits.ue()
                .filter(|id| *id < limit)
                .ok_or(SpsError::Unreadable)
        };
        Ok(Self {
            id: id(256)?,
            sps: id(32)?,
        })
    }

    /// The length of one without anything behind its end. Only for profiles below High: above it
    /// more may follow, which bytes that do not belong there can look like.
    pub(crate) fn length(unit: &[u8]) -> Option<usize> {
        let mut r = Bits::new(unit, 1);
        r.ue()?;
        r.ue()?;
        r.skip(2)?;
        if r.ue()? != 0 {
            // Slice groups: nobody uses them.
            return None;
        }
        r.ue()?;
        r.ue()?;
        r.skip(3)?;
        r.se()?;
        r.se()?;
        r.se()?;
        r.skip(3)?;
        r.end()
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{PPS, SPS_640X360};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_picture_size() {
        assert_eq!(picture_size(&SPS_640X360), Ok((640, 360)));
        assert_eq!(picture_size(&[0x67]), Err(SpsError::Unreadable));
        assert_eq!(picture_size(&[]), Err(SpsError::Unreadable));
    }

    #[test]
    fn finds_where_sets_end() {
        assert_eq!(Sps::read(&SPS_640X360).unwrap().length, Some(15));
        assert_eq!(
            Sps::read(&[&SPS_640X360[..], &[4]].concat())
                .unwrap()
                .length,
            Some(15)
        );
        assert_eq!(Pps::length(&[&PPS[..], &[4, 9]].concat()), Some(4));
        assert_eq!(Pps::length(&PPS[..3]), None);
    }

    #[test]
    fn what_is_behind_the_cropping_does_not_matter() {
        let cut = &SPS_640X360[..11];
        let sps = Sps::read(cut).unwrap();
        assert_eq!((sps.width, sps.height, sps.length), (640, 360, None));
    }

    #[test]
    fn knows_which_set_belongs_to_which() {
        assert_eq!(Pps::read(&PPS), Ok(Pps { id: 0, sps: 0 }));
        assert_eq!(Pps::read(&[0x68, 0b0101_1000]), Ok(Pps { id: 1, sps: 0 }));
        assert_eq!(Pps::read(&[0x68]), Err(SpsError::Unreadable));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            for start in [&[][..], &[0x67, 0x64, 0, 0x1F], &[0x67, 0x42, 0, 0x1F]] {
                let unit = [start, &bytes].concat();
                if let Ok(sps) = Sps::read(&unit) {
                    prop_assert!(sps.length.is_none_or(|len| len <= unit.len()));
                }
                drop(Pps::read(&unit));
                prop_assert!(Pps::length(&unit).is_none_or(|len| len <= unit.len()));
            }
        }
    }
}
