//! Reading the header of a part.

use super::boxes::HEADER;
use super::cursor::{Cursor, body, outer};
use super::error::ReadError;
use super::init::MAX_TRACKS;
use super::ntp;
use super::part::{
    BASE_IS_MOOF, CAMERA_TIME, DATA_OFFSET, DEFAULT_DURATION, DEFAULT_FLAGS, DURATIONS,
    FIRST_FLAGS, FLAGS, MAX_PART_HEADER_BYTES, OUR_TIME, PartTimes, PartTrack, SHIFTS, SIZES,
};
use super::sample::Sample;

/// A track's samples in a part that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadTrack {
    /// Its place among the tracks of the file.
    pub track: usize,
    /// When its first sample is decoded: ticks of its timescale since 1970.
    pub decode_time: u64,
    /// Its samples, at least one.
    pub samples: Vec<Sample>,
}

impl ReadTrack {
    /// As it would be written.
    pub fn as_part(&self) -> PartTrack<'_> {
        PartTrack {
            track: self.track,
            decode_time: self.decode_time,
            samples: &self.samples,
        }
    }
}

/// What the header of a part says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadPart {
    /// Its number.
    pub sequence: u32,
    /// When it was.
    pub times: PartTimes,
    /// Its tracks in the order of their samples.
    pub tracks: Vec<ReadTrack>,
    /// Bytes before the payload.
    pub header_len: usize,
    /// Bytes of the payload.
    pub payload_len: u64,
}

/// Reads what [`part_header`](super::part_header()) wrote, at the start of `bytes`. The payload need not
/// be there; whether it is in the file, the caller sees by its length.
pub fn read_part(bytes: &[u8]) -> Result<ReadPart, ReadError> {
    let what = "the header of a part";
    let (mut wall, mut camera, mut at) = (None, None, 0);
    let (moof, moof_length) = loop {
        let (length, kind) = outer(bytes, at, MAX_PART_HEADER_BYTES, what)?;
        match &kind {
            b"moof" => break (at, length),
            b"prft" if length > 64 => return Err(ReadError::Malformed("a time that is too long")),
            b"prft" => match (producer_time(body(bytes, at, length)?)?, wall, camera) {
                ((OUR_TIME, time), None, None) => wall = Some(time),
                ((CAMERA_TIME, time), Some(_), None) => camera = Some(time),
                _ => return Err(ReadError::Malformed("times that are not ours")),
            },
            _ => return Err(ReadError::Malformed("not a part")),
        }
        at += length;
    };
    let wall = wall.ok_or(ReadError::Malformed("a part without a time"))?;
    let boxes = body(bytes, moof, moof_length)?;
    let end = moof + moof_length;
    let (mdat, kind) = outer(bytes, end, 0, what)?;
    if kind != *b"mdat" || mdat < HEADER {
        return Err(ReadError::Malformed("a part without a payload"));
    }
    let payload_len = (mdat - HEADER) as u64;
    let (sequence, tracks) = fragments(boxes, (moof_length + HEADER) as u64, payload_len)?;
    Ok(ReadPart {
        sequence,
        times: PartTimes { wall, camera },
        tracks,
        header_len: end + HEADER,
        payload_len,
    })
}

fn producer_time(mut body: Cursor<'_>) -> Result<(u32, i64), ReadError> {
    let (version, flags) = body.version()?;
    if version != 1 {
        return Err(ReadError::Malformed("a time in another form"));
    }
    body.u32()?;
    Ok((flags, ntp::to_micros(body.u64()?)))
}

/// The tracks of a `moof`, from whose start the payload is `to_payload` bytes away.
fn fragments(
    mut boxes: Cursor<'_>,
    to_payload: u64,
    payload: u64,
) -> Result<(u32, Vec<ReadTrack>), ReadError> {
    let Some((kind, mut mfhd)) = boxes.next()? else {
        return Err(ReadError::Malformed("an empty part"));
    };
    if kind != *b"mfhd" {
        return Err(ReadError::Malformed("a part without a number"));
    }
    mfhd.version()?;
    let sequence = mfhd.u32()?;
    let (mut tracks, mut before) = (Vec::new(), 0_u64);
    while let Some((kind, traf)) = boxes.next()? {
        if kind != *b"traf" {
            return Err(ReadError::Malformed("a part with something else in it"));
        }
        if tracks.len() == MAX_TRACKS {
            return Err(ReadError::TooLarge("the number of tracks"));
        }
        let (track, offset) = fragment(traf)?;
        if offset != to_payload + before {
            return Err(ReadError::Malformed(
                "samples that are not where they belong",
            ));
        }
        before += track.samples.iter().map(|s| u64::from(s.size)).sum::<u64>();
        tracks.push(track);
    }
    if tracks.is_empty() || before != payload {
        return Err(ReadError::Malformed("a payload that is not its samples"));
    }
    Ok((sequence, tracks))
}

/// One `traf`, and the offset of its samples.
fn fragment(mut boxes: Cursor<'_>) -> Result<(ReadTrack, u64), ReadError> {
    let mut expect = |kind| match boxes.next()? {
        Some((found, body)) if found == kind => Ok(body),
        _ => Err(ReadError::Malformed("a track's part in another form")),
    };
    let (mut tfhd, mut tfdt, trun) = (expect(*b"tfhd")?, expect(*b"tfdt")?, expect(*b"trun")?);
    let (_, said) = tfhd.version()?;
    if said & !(DEFAULT_DURATION | DEFAULT_FLAGS) != BASE_IS_MOOF {
        return Err(ReadError::Malformed("a track's header in another form"));
    }
    let track = tfhd.u32()? as usize;
    let place = track.checked_sub(1).filter(|place| *place < MAX_TRACKS);
    let mut default = |flag| (said & flag != 0).then(|| tfhd.u32()).transpose();
    let (duration, flags) = (default(DEFAULT_DURATION)?, default(DEFAULT_FLAGS)?);
    if tfdt.version()?.0 != 1 {
        return Err(ReadError::Malformed("a decode time in another form"));
    }
    let decode_time = tfdt.u64()?;
    let (samples, offset) = run(trun, duration, flags)?;
    let track = ReadTrack {
        track: place.ok_or(ReadError::Malformed("a track that there can not be"))?,
        decode_time,
        samples,
    };
    Ok((track, offset))
}

fn run(
    mut trun: Cursor<'_>,
    duration: Option<u32>,
    flags: Option<u32>,
) -> Result<(Vec<Sample>, u64), ReadError> {
    let (version, said) = trun.version()?;
    let optional = FIRST_FLAGS | DURATIONS | FLAGS | SHIFTS;
    // What has a default is not said again, and what has none is.
    let complete =
        duration.is_none() == (said & DURATIONS != 0) && flags.is_none() == (said & FLAGS != 0);
    if version != 1 || said & !optional != DATA_OFFSET | SIZES || !complete {
        return Err(ReadError::Malformed("samples in another form"));
    }
    let count = trun.u32()? as usize;
    let offset = u64::try_from(trun.i32()?);
    let offset = offset
        .ok()
        .ok_or(ReadError::Malformed("a negative offset"))?;
    let mut first_flags = (said & FIRST_FLAGS != 0).then(|| trun.u32()).transpose()?;
    let fields = (said & (DURATIONS | SIZES | FLAGS | SHIFTS)).count_ones() as usize;
    // So many samples are there, whatever the count says: memory is bounded by the bytes.
    if count == 0 || count.checked_mul(4 * fields) != Some(trun.0.len()) {
        return Err(ReadError::Malformed(
            "another number of samples than it says",
        ));
    }
    let mut samples = Vec::with_capacity(count);
    for _ in 0..count {
        let duration = duration.map_or_else(|| trun.u32(), Ok)?;
        let size = trun.u32()?;
        let flags = flags.map_or_else(|| trun.u32(), Ok)?;
        let shift = if said & SHIFTS != 0 { trun.i32()? } else { 0 };
        samples.push(Sample {
            size,
            duration,
            shift,
            sync: Sample::is_sync(first_flags.take().unwrap_or(flags)),
        });
    }
    Ok((samples, offset))
}
