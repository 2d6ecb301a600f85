//! Which part of the tracks is shown: edit lists that begin and end with whole pictures
//! (ISO 14496-12 section 8.6.6).

use std::ops::Range;

use super::super::boxes::Boxes;
use super::super::error::Mp4Error;
use super::super::track::Mp4Track;
use super::super::trak::MOVIE_TIMESCALE;
use super::request::{MovieRequest, MovieRun};
use super::tables::Tables;
use crate::access_unit::TrackKind;

const MICROS: i128 = 1_000_000;

/// A picture: when it was, and when it is in the movie, in ticks; how long.
#[derive(Debug, Clone, Copy)]
struct Shown {
    time: i64,
    at: i64,
    duration: i64,
}

/// Finds the first and the last picture of an interval.
#[derive(Debug)]
pub(super) struct Cut {
    /// The track that counts: the first one of pictures, else the first one that has samples.
    track: usize,
    scale: u32,
    from: i64,
    to: i64,
    /// When the first sample is shown, which all others need.
    opening: Option<i64>,
    /// The first one in the movie that was to be seen at `from` or later.
    first: Option<Shown>,
    /// The last one in the movie that begins before `to`.
    last: Option<Shown>,
    /// The one that follows that.
    next: Option<Shown>,
}

impl Cut {
    pub(super) fn new(request: &MovieRequest<'_>) -> Result<Self, Mp4Error> {
        if request.from >= request.to {
            return Err(Mp4Error::Mismatch("the interval"));
        }
        let there = |track: &usize| {
            let mut runs = request.parts.iter().flat_map(|part| &part.runs);
            runs.any(|run| run.track == *track && !run.samples.is_empty())
        };
        let pictures = |track: &usize| {
            let first = request.tracks.get(*track).and_then(|list| list.first());
            first.is_some_and(|track| track.kind() == TrackKind::Video)
        };
        let mut tracks = (0..request.tracks.len()).filter(there);
        let track = tracks.clone().find(pictures).or_else(|| tracks.next());
        let track = track.ok_or(Mp4Error::Missing("sample in the interval"))?;
        let list = request.tracks.get(track);
        let scale = list
            .and_then(|list| list.first())
            .map_or(1, Mp4Track::timescale);
        // Up: a picture whose time was cut down to µs begins at its own time.
        let ticks = |micros: i64| {
            let ticks = -(-i128::from(micros) * i128::from(scale)).div_euclid(MICROS);
            i64::try_from(ticks)
                .ok()
                .ok_or(Mp4Error::TooLarge("the interval"))
        };
        Ok(Self {
            track,
            scale,
            from: ticks(request.from)?,
            to: ticks(request.to)?,
            opening: None,
            first: None,
            last: None,
            next: None,
        })
    }

    pub(super) fn scale(&self) -> u32 {
        self.scale
    }

    /// Looks at samples that are decoded from `begin` on.
    pub(super) fn push(&mut self, run: &MovieRun<'_>, begin: i64) {
        if run.track != self.track {
            return;
        }
        let mut time = i64::try_from(run.decode_time).unwrap_or(i64::MAX / 2);
        let mut at = begin;
        for sample in run.samples {
            let duration = i64::from(sample.duration);
            let shown = Shown {
                time: time.saturating_add(sample.shift.into()),
                at: at.saturating_add(sample.shift.into()),
                duration,
            };
            self.opening.get_or_insert(shown.at);
            self.look(shown);
            time = time.saturating_add(duration);
            at = at.saturating_add(duration);
        }
    }

    /// What counts is the place in the movie: the clock may have gone back in between.
    fn look(&mut self, new: Shown) {
        let before = |one: Option<Shown>| one.is_none_or(|one| new.at < one.at);
        if new.time.saturating_add(new.duration) > self.from && before(self.first) {
            self.first = Some(new);
        }
        if new.time >= self.to {
            if !before(self.last) && before(self.next) || self.last.is_none() {
                self.next = Some(new);
            }
        } else if self.last.is_none_or(|last| new.at >= last.at) {
            self.last = Some(new);
            self.next = self.next.filter(|next| next.at > new.at);
        }
    }

    /// What is shown, in ticks of the movie, and when that was, in µs.
    pub(super) fn shown(&self) -> Result<(Range<i64>, Range<i64>), Mp4Error> {
        let none = Mp4Error::Missing("picture in the interval");
        let (Some(first), Some(last)) = (self.first, self.last) else {
            return Err(none);
        };
        // Nothing is seen before the first one, though a clock that went back may say so of others: players
        // look for a key frame there.
        let start = first.at.max(self.opening.unwrap_or(first.at));
        let end = last.at.saturating_add(last.duration);
        // The picture that follows says better when the last one ends.
        let end = self.next.map_or(end, |next| next.at.max(last.at + 1));
        if end <= start {
            return Err(none);
        }
        let micros = |ticks: i64| {
            let micros = (i128::from(ticks) * MICROS).div_euclid(self.scale.into());
            i64::try_from(micros).unwrap_or(i64::MAX)
        };
        let until = last.time.saturating_add(last.duration);
        Ok((start..end, micros(first.time)..micros(until)))
    }
}

/// A piece of a track that is shown; `None`: nothing of it.
#[derive(Debug)]
pub(super) struct Edit {
    /// In the movie's timescale.
    pub(super) duration: u64,
    media_time: Option<i64>,
}

/// Ticks of another clock as ticks of the movie's.
pub(super) fn movie_ticks(ticks: i64, scale: u32) -> u64 {
    u64::try_from(convert(ticks, scale, MOVIE_TIMESCALE)).unwrap_or(0)
}

/// To the nearest tick.
fn convert(ticks: i64, from: u32, to: u32) -> i64 {
    let (from, to) = (i128::from(from), i128::from(to));
    let ticks = (i128::from(ticks) * to * 2 + from).div_euclid(from * 2);
    i64::try_from(ticks).unwrap_or(i64::MAX)
}

/// When the shown part of the movie ends, in ticks of a track.
pub(super) fn end_of(shown: &Range<i64>, scale: u32, list: &[Mp4Track]) -> i64 {
    let own = list.first().map_or(1, Mp4Track::timescale);
    convert(shown.end, scale, own)
}

/// The edits of a track when `shown` (in ticks of `scale`) of the movie is shown.
pub(super) fn of_track(
    shown: &Range<i64>,
    scale: u32,
    tables: &Tables,
    list: &[Mp4Track],
) -> Vec<Edit> {
    let own = list.first().map_or(1, Mp4Track::timescale);
    let start = convert(shown.start, scale, own);
    let end = convert(shown.end, scale, own);
    let nothing = |ticks| Edit {
        duration: movie_ticks(ticks, own),
        media_time: None,
    };
    let (Some(media), Some(media_end)) = (tables.media_start(), tables.end()) else {
        return vec![nothing(end - start)];
    };
    let first = start.max(media);
    // Pictures that are shown later than they are decoded end later than the last one is decoded.
    let last = if own == scale {
        end
    } else {
        end.min(media_end)
    };
    if first >= last {
        return vec![nothing(end - start)];
    }
    let mut edits = Vec::new();
    if first > start {
        edits.push(nothing(first - start));
    }
    edits.push(Edit {
        duration: movie_ticks(last - first, own),
        media_time: Some(first - media),
    });
    edits
}

/// `edts`.
pub(super) fn write(b: &mut Boxes, edits: &[Edit]) {
    b.put(*b"edts", |b| {
        b.full(*b"elst", 1, 0, |b| {
            b.count(edits.len());
            for edit in edits {
                b.u64(edit.duration);
                // −1 for nothing.
                b.u64(edit.media_time.unwrap_or(-1).cast_unsigned());
                // Rate 1.
                b.u32(0x1_0000);
            }
        });
    });
}
