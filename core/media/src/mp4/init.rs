//! The beginning of a segment's file: what tracks there are.

use super::boxes::Boxes;
use super::error::Mp4Error;
use super::track::Mp4Track;
use super::trak::{Durations, movie_header, track, track_id};

/// The most tracks of a file: a camera's pictures and sound, and room.
pub(super) const MAX_TRACKS: usize = 8;

/// What comes before the parts of a segment: `ftyp` and `moov`.
pub fn init(tracks: &[Mp4Track]) -> Result<Vec<u8>, Mp4Error> {
    if tracks.is_empty() {
        return Err(Mp4Error::Missing("track"));
    }
    if tracks.len() > MAX_TRACKS {
        return Err(Mp4Error::TooLarge("the number of tracks"));
    }
    let mut b = Boxes::with_capacity(1024 * tracks.len());
    b.put(*b"ftyp", |b| {
        // `iso6`: movie fragments with all that is used here.
        b.raw(b"iso6");
        b.u32(0);
        b.raw(b"iso6mp41");
    });
    b.put(*b"moov", |b| {
        movie_header(b, 0, tracks.len());
        for (place, one) in tracks.iter().enumerate() {
            let list = std::slice::from_ref(one);
            track(
                b,
                place,
                list,
                Durations::default(),
                |_| (),
                |b| {
                    // There are no samples but those of the parts.
                    b.full(*b"stts", 0, 0, |b| b.u32(0));
                    b.full(*b"stsc", 0, 0, |b| b.u32(0));
                    b.full(*b"stsz", 0, 0, |b| b.u64(0));
                    b.full(*b"stco", 0, 0, |b| b.u32(0));
                },
            );
        }
        b.put(*b"mvex", |b| {
            for place in 0..tracks.len() {
                b.full(*b"trex", 0, 0, |b| {
                    let id = track_id(b, place);
                    b.u32(id);
                    // The first description; every part says the rest.
                    b.u32(1);
                    b.zeros(12);
                });
            }
        });
    });
    b.done("the description of the tracks")
}
