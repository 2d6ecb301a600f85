//! Movies: one MP4 of an interval, whose media are whole parts laid end to end.
//!
//! `ftyp`, room, `moov`, room, one `mdat` with a length of 64 bits and nothing behind it. What fills
//! the rooms (a signature, a description of where the footage comes from) may need the rest of the
//! header first: so the header is made once, and rendered for any bytes in the rooms at the price of a
//! copy.

mod edits;
mod request;
mod tables;
mod timeline;

use std::ops::Range;
use std::time::Duration;

use super::boxes::Boxes;
use super::error::Mp4Error;
use super::track::Mp4Track;
use super::trak::{Durations, MOVIE_TIMESCALE, movie_header, track};
use edits::Cut;
pub use request::{MoviePart, MovieRequest, MovieRun};
use tables::Tables;
use timeline::Timeline;

/// Bytes of the header of `mdat`, with a length of 64 bits.
const MEDIA_HEADER: usize = 16;

/// A movie's header, but for the rooms in it.
#[derive(Debug, Clone)]
pub struct Movie {
    ftyp: Vec<u8>,
    moov: Vec<u8>,
    /// Where in `moov` the offsets of chunks are; they count from the start of the media.
    offsets: Vec<Range<usize>>,
    payload_len: u64,
    duration: Duration,
    covered: Range<i64>,
}

/// Makes the header of a movie.
pub fn movie(request: MovieRequest<'_>) -> Result<Movie, Mp4Error> {
    if request.tracks.is_empty() {
        return Err(Mp4Error::Missing("track"));
    }
    for list in request.tracks {
        let first = list
            .first()
            .ok_or(Mp4Error::Missing("description of a track"))?;
        let same = |t: &Mp4Track| t.kind() == first.kind() && t.timescale() == first.timescale();
        if !list.iter().all(same) {
            return Err(Mp4Error::Mismatch("a description of a track"));
        }
    }
    let cut = Cut::new(&request)?;
    let mut timeline = Timeline::new(request, cut);
    let mut payload_len = 0_u64;
    for part in request.parts {
        let end = payload_len.checked_add(part.payload_len);
        timeline.push(part, payload_len)?;
        payload_len = end.ok_or(Mp4Error::TooLarge("a movie"))?;
    }
    let (shown, covered) = timeline.cut.shown()?;
    let duration = edits::movie_ticks(shown.end - shown.start, timeline.cut.scale());
    let scale = timeline.cut.scale();
    for (list, tables) in request.tracks.iter().zip(&mut timeline.tables) {
        tables.end_at(edits::end_of(&shown, scale, list));
    }
    let mut offsets = Vec::new();
    let samples: usize = timeline.tables.iter().map(Tables::len).sum();
    let mut b = Boxes::with_capacity(4096 + 6 * samples);
    b.put(*b"moov", |b| {
        movie_header(b, duration, request.tracks.len());
        for (place, (list, tables)) in request.tracks.iter().zip(&timeline.tables).enumerate() {
            let edits = edits::of_track(&shown, scale, tables, list);
            let durations = Durations {
                shown: edits.iter().map(|edit| edit.duration).sum(),
                media: tables.duration(),
            };
            let written = |b: &mut Boxes| edits::write(b, &edits);
            track(b, place, list, durations, written, |b| {
                offsets.push(tables.write(b));
            });
        }
    });
    let mut ftyp = Boxes::default();
    ftyp.put(*b"ftyp", |b| {
        b.raw(b"isom");
        b.u32(0);
        b.raw(b"isomiso2mp41mp42");
    });
    let scale = u64::from(MOVIE_TIMESCALE);
    Ok(Movie {
        ftyp: ftyp.done("a movie")?,
        moov: b.done("the header of a movie")?,
        offsets,
        payload_len,
        duration: Duration::from_nanos(duration.saturating_mul(1_000_000_000) / scale),
        covered,
    })
}

impl Movie {
    /// All before the media, with these bytes, whole boxes, in the rooms before and behind `moov`.
    /// Two headers with as many bytes in their rooms have the same length and the same `moov`.
    pub fn header(&self, before_moov: &[u8], before_media: &[u8]) -> Vec<u8> {
        let length = self.header_len(before_moov.len(), before_media.len());
        let mut header = Vec::with_capacity(length);
        header.extend_from_slice(&self.ftyp);
        header.extend_from_slice(before_moov);
        let moov = header.len();
        header.extend_from_slice(&self.moov);
        let base = length as u64;
        for place in &self.offsets {
            let table = header.get_mut(moov + place.start..moov + place.end);
            let (entries, _) = table.unwrap_or_default().as_chunks_mut::<8>();
            for entry in entries {
                // What is there was summed up from lengths that together fit in 64 bits.
                *entry = u64::from_be_bytes(*entry)
                    .saturating_add(base)
                    .to_be_bytes();
            }
        }
        header.extend_from_slice(before_media);
        // The long form, whatever the length: so the first byte of the media is where every reader of
        // hashes over them expects it.
        header.extend_from_slice(&1_u32.to_be_bytes());
        header.extend_from_slice(b"mdat");
        let media = self.payload_len.saturating_add(MEDIA_HEADER as u64);
        header.extend_from_slice(&media.to_be_bytes());
        header
    }

    /// Bytes of a header with so many bytes in its rooms.
    pub fn header_len(&self, before_moov: usize, before_media: usize) -> usize {
        self.ftyp.len() + before_moov + self.moov.len() + before_media + MEDIA_HEADER
    }

    /// Bytes of the media: the payloads of all parts. Nothing comes behind them.
    pub fn payload_len(&self) -> u64 {
        self.payload_len
    }

    /// How long it plays.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// When the first picture that is shown was captured, and when the last one ends, in µs since
    /// 1970. What was recorded in between, and what not, the parts say.
    pub fn covered(&self) -> Range<i64> {
        self.covered.clone()
    }
}

#[cfg(test)]
mod tests;
