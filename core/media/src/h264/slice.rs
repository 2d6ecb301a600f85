//! The beginning of a slice's header (section 7.3.3): to which picture it belongs.

use super::sets::Sps;
use super::unit::{type_of, unit_type};
use crate::bits::Bits;

/// What tells the slices of one picture from those of the next (section 7.4.1.2.4), as far as
/// cameras differ in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureId {
    frame_num: u32,
    /// Of a field: whether it is the bottom one.
    pub(crate) bottom: Option<bool>,
    /// Of IDR pictures: `idr_pic_id`.
    idr: Option<u32>,
    /// Whether others refer to it.
    reference: bool,
    /// `pic_order_cnt_lsb`, where slices have it.
    order: Option<u32>,
}

impl PictureId {
    /// Whether `other` is the second field of the frame that `self` is the first field of.
    pub(crate) fn pairs_with(&self, other: &Self) -> bool {
        self.frame_num == other.frame_num
            && matches!((self.bottom, other.bottom), (Some(a), Some(b)) if a != b)
            // An IDR picture's second field is an IDR field or one that refers to it.
            && (self.reference || !other.reference)
    }
}

/// What a slice says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceHeader {
    /// `first_mb_in_slice`.
    pub first_macroblock: u32,
    /// Whether all of it is coded without other pictures.
    pub intra: bool,
    /// The number of its picture parameter set.
    pub pps: u32,
}

impl SliceHeader {
    /// Reads the part that can be read without parameter sets.
    pub fn read(unit: &[u8]) -> Option<Self> {
        Self::begin(unit).map(|(header, _)| header)
    }

    fn begin(unit: &[u8]) -> Option<(Self, Bits<'_>)> {
        let mut r = Bits::new(unit, 1);
        let first_macroblock = r.ue()?;
        let kind = r.ue()?;
        let pps = r.ue().filter(|id| *id < 256)?;
        let header = Self {
            first_macroblock,
            // I and SI; 7 and 9 say that all slices of the picture are so.
            intra: matches!(kind, 2 | 4 | 7 | 9),
            pps,
        };
        Some((header, r))
    }

    /// Reads the part that needs the sequence parameter set.
    pub fn picture(unit: &[u8], sps: &Sps) -> Option<PictureId> {
        let (_, mut r) = Self::begin(unit)?;
        if sps.separate_planes {
            r.skip(2)?;
        }
        let frame_num = r.u(sps.frame_num_bits)?;
        let mut bottom = None;
        if !sps.frames_only && r.bit()? {
            bottom = Some(r.bit()?);
        }
        let idr = match type_of(unit)? {
            unit_type::IDR => Some(r.ue()?),
            _ => None,
        };
        Some(PictureId {
            frame_num,
            bottom,
            idr,
            reference: unit.first()? & 0x60 != 0,
            order: match sps.order_bits {
                Some(bits) => Some(r.u(bits)?),
                None => None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{SPS_640X360, slice};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tells_pictures_apart() {
        let sps = Sps::read(&SPS_640X360).unwrap();
        let idr = slice(0x65, 0, 7, 0, 9);
        let header = SliceHeader::read(&idr).unwrap();
        assert_eq!(
            (header.first_macroblock, header.intra, header.pps),
            (0, true, 0)
        );
        let one = SliceHeader::picture(&idr, &sps).unwrap();
        let mut other = slice(0x65, 40, 7, 0, 9);
        assert_eq!(SliceHeader::picture(&other, &sps), Some(one));
        other[0] = 0x41;
        assert_ne!(SliceHeader::picture(&other, &sps), Some(one));
        assert_eq!(SliceHeader::read(&[0x65, 1]), None);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let sps = Sps::read(&SPS_640X360).unwrap();
            SliceHeader::read(&bytes);
            SliceHeader::picture(&bytes, &sps);
        }
    }
}
