//! Sample entries of pictures: H.264 and H.265 by ISO 14496-15, MJPEG.

use bytes::Bytes;

use super::super::boxes::{Boxes, Kind};
use super::super::error::Mp4Error;
use crate::codec::{VideoCodec, VideoParams};
use crate::h264;
use crate::h264::SpsError;
use crate::h265;
use crate::h265::unit_type::{PPS, SPS, VPS};

/// 72 dots an inch, which says nothing.
const RESOLUTION: u32 = 0x48_0000;
/// Pictures in colour without alpha.
const DEPTH: u16 = 24;
/// In both configuration records: lengths of NAL units have four bytes.
const LENGTH_BYTES_LESS_ONE: u8 = 3;
/// The profiles of H.264 whose record says no more than the sets.
const SHORT_PROFILES: [u8; 3] = [66, 77, 88];

/// The entry of a track with these parameter sets.
pub(crate) fn entry(params: &VideoParams) -> Result<Vec<u8>, Mp4Error> {
    let size = |n: u32| {
        u16::try_from(n)
            .ok()
            .ok_or(Mp4Error::TooLarge("the picture"))
    };
    let size = (size(params.width)?, size(params.height)?);
    let mut b = Boxes::default();
    match params.codec {
        VideoCodec::H264 => {
            let record = avc(params)?;
            visual(&mut b, *b"avc1", size, |b| {
                b.put(*b"avcC", |b| b.raw(&record))
            });
        }
        VideoCodec::H265 => {
            let record = hevc(params)?;
            visual(&mut b, *b"hvc1", size, |b| {
                b.put(*b"hvcC", |b| b.raw(&record))
            });
        }
        VideoCodec::Jpeg => visual(&mut b, *b"jpeg", size, |_| ()),
    }
    b.done("the description of the pictures")
}

fn visual(b: &mut Boxes, kind: Kind, (width, height): (u16, u16), more: impl FnOnce(&mut Boxes)) {
    b.put(kind, |b| {
        super::begin(b);
        b.zeros(16);
        b.u16(width);
        b.u16(height);
        b.u32(RESOLUTION);
        b.u32(RESOLUTION);
        b.u32(0);
        // Pictures a sample.
        b.u16(1);
        // The name of the encoder, which nobody told.
        b.zeros(32);
        b.u16(DEPTH);
        b.u16(0xFFFF);
        more(b);
    });
}

/// AVCDecoderConfigurationRecord (ISO 14496-15 section 5.3.3).
fn avc(params: &VideoParams) -> Result<Vec<u8>, Mp4Error> {
    let first = params.sps.first().ok_or(SpsError::Missing)?;
    let [_, profile, compatibility, level, ..] = first[..] else {
        return Err(SpsError::Unreadable.into());
    };
    if params.pps.is_empty() {
        return Err(Mp4Error::Missing("picture parameter set"));
    }
    if params.sps.len() > 31 {
        return Err(Mp4Error::TooLarge("the list of parameter sets"));
    }
    let mut b = Boxes::default();
    b.raw(&[1, profile, compatibility, level]);
    b.u8(0xFC | LENGTH_BYTES_LESS_ONE);
    let count: u8 = b.fits(params.sps.len());
    b.u8(0xE0 | count);
    units(&mut b, &params.sps);
    let count = b.fits(params.pps.len());
    b.u8(count);
    units(&mut b, &params.pps);
    if !SHORT_PROFILES.contains(&profile) {
        let sps = h264::Sps::read(first)?;
        b.u8(0xFC | sps.chroma_format);
        b.u8(0xF8 | (sps.bit_depths.0 - 8));
        b.u8(0xF8 | (sps.bit_depths.1 - 8));
        // No extensions of sequence parameter sets.
        b.u8(0);
    }
    b.done("a parameter set")
}

/// HEVCDecoderConfigurationRecord (ISO 14496-15 section 8.3.3).
fn hevc(params: &VideoParams) -> Result<Vec<u8>, Mp4Error> {
    let first = params.sps.first().ok_or(SpsError::Missing)?;
    let format = h265::Format::read(first)?;
    if params.pps.is_empty() {
        return Err(Mp4Error::Missing("picture parameter set"));
    }
    let mut b = Boxes::default();
    b.u8(1);
    b.raw(&format.profile);
    // Not said: how far pictures are cut into independent segments, how decoding can be parallel.
    b.u16(0xF000);
    b.u8(0xFC);
    b.u8(0xFC | format.chroma_format);
    b.u8(0xF8 | (format.bit_depths.0 - 8));
    b.u8(0xF8 | (format.bit_depths.1 - 8));
    // Not said: how many pictures a second.
    b.u16(0);
    b.u8(format.sub_layers << 3 | u8::from(format.nested) << 2 | LENGTH_BYTES_LESS_ONE);
    let lists = [(VPS, &params.vps), (SPS, &params.sps), (PPS, &params.pps)];
    let lists = lists.iter().filter(|(_, list)| !list.is_empty());
    let count = b.fits(lists.clone().count());
    b.u8(count);
    for (kind, list) in lists {
        // The first bit: there are no others in the samples.
        b.u8(0x80 | kind);
        let count = b.fits(list.len());
        b.u16(count);
        units(&mut b, list);
    }
    b.done("a parameter set")
}

fn units(b: &mut Boxes, units: &[Bytes]) {
    for unit in units {
        let length = b.fits(unit.len());
        b.u16(length);
        b.raw(unit);
    }
}
