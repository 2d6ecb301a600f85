//! Reading the beginning of a segment's file.

use super::cursor::{Cursor, body, outer};
use super::error::ReadError;
use super::init::MAX_TRACKS;
use super::track::Mp4Track;

/// Bytes of the largest beginning that is read: parameter sets are small.
pub const MAX_INIT_BYTES: usize = 512 * 1024;

/// What the beginning of a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadInit {
    /// Its tracks.
    pub tracks: Vec<Mp4Track>,
    /// Its length in bytes: there the first part begins.
    pub length: usize,
}

/// Reads what [`init`](super::init()) wrote, at the start of `file`, of which the beginning is
/// enough.
pub fn read_init(file: &[u8]) -> Result<ReadInit, ReadError> {
    let what = "the beginning of a file";
    let (ftyp, kind) = outer(file, 0, 256, what)?;
    if kind != *b"ftyp" {
        return Err(ReadError::Malformed("not an MP4 file"));
    }
    let (moov, kind) = outer(file, ftyp, MAX_INIT_BYTES - 256, what)?;
    if kind != *b"moov" {
        return Err(ReadError::Malformed("a file without tracks"));
    }
    let mut boxes = body(file, ftyp, moov)?;
    let mut tracks = Vec::new();
    while let Some((kind, body)) = boxes.next()? {
        if kind != *b"trak" {
            continue;
        }
        if tracks.len() == MAX_TRACKS {
            return Err(ReadError::TooLarge("the number of tracks"));
        }
        tracks.push(track(body, tracks.len())?);
    }
    if tracks.is_empty() {
        return Err(ReadError::Malformed("a file without tracks"));
    }
    let length = ftyp + moov;
    Ok(ReadInit { tracks, length })
}

fn track(boxes: Cursor<'_>, place: usize) -> Result<Mp4Track, ReadError> {
    let mut tkhd = boxes.find(*b"tkhd")?;
    // Version, flags and two times.
    tkhd.take(20)?;
    if tkhd.u32()? as usize != place + 1 {
        return Err(ReadError::Malformed("tracks are not in their order"));
    }
    let mdia = boxes.find(*b"mdia")?;
    let mut mdhd = mdia.find(*b"mdhd")?;
    mdhd.take(20)?;
    let timescale = mdhd.u32()?;
    let mut stsd = mdia.find(*b"minf")?.find(*b"stbl")?.find(*b"stsd")?;
    stsd.version()?;
    if stsd.u32()? != 1 {
        return Err(ReadError::Malformed("a track of several descriptions"));
    }
    Mp4Track::of_entry(timescale, stsd.0)
}
