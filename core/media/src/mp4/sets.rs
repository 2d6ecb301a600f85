//! The parameter sets in a sample entry: what a decoder has to be given before the samples.

use bytes::Bytes;

use super::cursor::Cursor;
use super::entry::visual;
use super::error::ReadError;
use crate::codec::{VideoCodec, VideoParams};
use crate::h264::SpsError;
use crate::{h264, h265};

/// Units of one kind at most.
const MOST: usize = 64;

/// What a sample entry of pictures says, as it was given when it was written.
pub(super) fn read(entry: &[u8]) -> Result<VideoParams, ReadError> {
    let mut cursor = Cursor(entry);
    let Some((kind, body)) = cursor.next()? else {
        return Err(ReadError::Malformed("no sample entry"));
    };
    let (width, height, boxes) = match &kind {
        b"avc1" | b"hvc1" | b"jpeg" => visual(body)?,
        _ => return Err(ReadError::Malformed("a track without pictures")),
    };
    let odd = |_: SpsError| ReadError::Malformed("a parameter set");
    match &kind {
        b"avc1" => {
            let mut record = boxes.find(*b"avcC")?;
            record.take(5)?;
            let sps = usize::from(record.u8()? & 0x1F);
            let sps = units(&mut record, sps)?;
            let pps = usize::from(record.u8()?);
            let pps = units(&mut record, pps)?;
            h264::params(sps, pps).map_err(odd)
        }
        b"hvc1" => {
            let mut record = boxes.find(*b"hvcC")?;
            record.take(22)?;
            let (mut vps, mut sps, mut pps) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..record.u8()? {
                let kind = record.u8()? & 0x3F;
                let count = usize::from(record.u16()?);
                let found = units(&mut record, count)?;
                match kind {
                    32 => vps.extend(found),
                    33 => sps.extend(found),
                    34 => pps.extend(found),
                    _ => {}
                }
            }
            h265::params(vps, sps, pps).map_err(odd)
        }
        _ => Ok(VideoParams {
            codec: VideoCodec::Jpeg,
            vps: Vec::new(),
            sps: Vec::new(),
            pps: Vec::new(),
            width,
            height,
        }),
    }
}

fn units(record: &mut Cursor<'_>, count: usize) -> Result<Vec<Bytes>, ReadError> {
    if count > MOST {
        return Err(ReadError::TooLarge("the number of parameter sets"));
    }
    let mut all = Vec::new();
    for _ in 0..count {
        let length = usize::from(record.u16()?);
        all.push(Bytes::copy_from_slice(record.take(length)?));
    }
    Ok(all)
}
