//! The header of a part: when it was, and the samples whose bytes follow it.

use super::boxes::{Boxes, HEADER};
use super::error::Mp4Error;
use super::ntp;
use super::sample::Sample;
use super::trak::track_id;

/// Flags of `prft` (ISO 14496-12 section 8.16.5) for our own time line: the time has a steady, small
/// distance from when it really happened.
pub(super) const OUR_TIME: u32 = 24;
/// The same for the camera's clock: when the picture was put into the encoder, as the camera has it.
pub(super) const CAMERA_TIME: u32 = 0;

/// `tfhd`: data offsets count from the part's `moof`.
pub(super) const BASE_IS_MOOF: u32 = 0x02_0000;
pub(super) const DEFAULT_DURATION: u32 = 0x08;
pub(super) const DEFAULT_FLAGS: u32 = 0x20;
/// `trun`.
pub(super) const DATA_OFFSET: u32 = 0x01;
pub(super) const FIRST_FLAGS: u32 = 0x04;
pub(super) const DURATIONS: u32 = 0x100;
pub(super) const SIZES: u32 = 0x200;
pub(super) const FLAGS: u32 = 0x400;
pub(super) const SHIFTS: u32 = 0x800;

/// Bytes of the largest header of a part: some 60,000 samples, where a part has a second.
pub const MAX_PART_HEADER_BYTES: usize = 1024 * 1024;

/// A track's samples in one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartTrack<'a> {
    /// Its place among the tracks of the [`init`](super::init()).
    pub track: usize,
    /// When its first sample is decoded: ticks of its timescale since 1970.
    pub decode_time: u64,
    /// Its samples, at least one.
    pub samples: &'a [Sample],
}

/// When the first sample of a part's first track was captured, in µs since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartTimes {
    /// On our own line, which never steps.
    pub wall: i64,
    /// By the camera's clock, if it tells. A time that NTP can not write (before 1968, after 2104)
    /// is left out.
    pub camera: Option<i64>,
}

/// All of a part that comes before its payload. The payload is the samples of `tracks` in this
/// order.
pub fn part_header(
    sequence: u32,
    times: PartTimes,
    tracks: &[PartTrack<'_>],
) -> Result<Vec<u8>, Mp4Error> {
    let first = tracks.first().ok_or(Mp4Error::Missing("track in a part"))?;
    let wall = ntp::from_micros(times.wall).ok_or(Mp4Error::TooLarge("the time of a part"))?;
    let camera = times.camera.and_then(ntp::from_micros);
    let count: usize = tracks.iter().map(|track| track.samples.len()).sum();
    let mut b = Boxes::with_capacity(256 + 96 * tracks.len() + 16 * count);
    producer_time(&mut b, first, wall, OUR_TIME);
    if let Some(camera) = camera {
        producer_time(&mut b, first, camera, CAMERA_TIME);
    }
    let moof = b.len();
    // Where the offsets of the tracks' samples are to be filled in, and from where they count.
    let (mut places, mut payload) = (Vec::with_capacity(tracks.len()), 0_u64);
    b.put(*b"moof", |b| {
        b.full(*b"mfhd", 0, 0, |b| b.u32(sequence));
        for track in tracks {
            places.push((fragment(b, track), payload));
            payload += track.samples.iter().map(|s| u64::from(s.size)).sum::<u64>();
        }
    });
    let to_payload = (b.len() - moof + HEADER) as u64;
    for (place, before) in places {
        let place = place.ok_or(Mp4Error::Missing("sample in a part"))?;
        let offset = i32::try_from(to_payload + before);
        let offset = offset.ok().ok_or(Mp4Error::TooLarge("a part"))?;
        b.patch_u32(place, offset.cast_unsigned());
    }
    let length = u32::try_from(payload + HEADER as u64);
    b.u32(length.ok().ok_or(Mp4Error::TooLarge("a part"))?);
    b.raw(b"mdat");
    if b.len() > MAX_PART_HEADER_BYTES {
        return Err(Mp4Error::TooLarge("a part"));
    }
    b.done("a part")
}

fn producer_time(b: &mut Boxes, first: &PartTrack<'_>, time: u64, flags: u32) {
    let shift = first.samples.first().map_or(0, |sample| sample.shift);
    b.full(*b"prft", 1, flags, |b| {
        let id = track_id(b, first.track);
        b.u32(id);
        b.u64(time);
        // When that sample is shown.
        b.u64(first.decode_time.saturating_add_signed(shift.into()));
    });
}

/// What is the same of all samples is said once. Returns where the offset of the samples stands.
fn fragment(b: &mut Boxes, track: &PartTrack<'_>) -> Option<usize> {
    let samples = track.samples;
    let (first, rest) = samples.split_first()?;
    let duration = rest.iter().all(|s| s.duration == first.duration);
    let flags = rest.first().unwrap_or(first).flags();
    let same_flags = rest.iter().all(|s| s.flags() == flags);
    let shifted = samples.iter().any(|s| s.shift != 0);
    let when = |said: bool, flag: u32| if said { flag } else { 0 };
    let mut place = 0;
    b.put(*b"traf", |b| {
        let said = when(duration, DEFAULT_DURATION) | when(same_flags, DEFAULT_FLAGS);
        b.full(*b"tfhd", 0, BASE_IS_MOOF | said, |b| {
            let id = track_id(b, track.track);
            b.u32(id);
            if duration {
                b.u32(first.duration);
            }
            if same_flags {
                b.u32(flags);
            }
        });
        b.full(*b"tfdt", 1, 0, |b| b.u64(track.decode_time));
        let first_differs = same_flags && first.flags() != flags;
        let said = when(first_differs, FIRST_FLAGS)
            | when(!duration, DURATIONS)
            | when(!same_flags, FLAGS)
            | when(shifted, SHIFTS);
        // Version 1: shifts have a sign.
        b.full(*b"trun", 1, DATA_OFFSET | SIZES | said, |b| {
            b.count(samples.len());
            place = b.len();
            b.u32(0);
            if first_differs {
                b.u32(first.flags());
            }
            for sample in samples {
                if !duration {
                    b.u32(sample.duration);
                }
                b.u32(sample.size);
                if !same_flags {
                    b.u32(sample.flags());
                }
                if shifted {
                    b.i32(sample.shift);
                }
            }
        });
    });
    Some(place)
}
