//! From times of the day to times of a movie: what was not recorded is left out of all tracks alike,
//! so that sound stays with its pictures.

use super::super::error::Mp4Error;
use super::edits::Cut;
use super::request::{MoviePart, MovieRequest, MovieRun};
use super::tables::Tables;

const NANOS: i128 = 1_000_000_000;

/// The time line of a movie.
#[derive(Debug)]
pub(super) struct Timeline<'a> {
    request: MovieRequest<'a>,
    pub(super) cut: Cut,
    /// One for each track.
    pub(super) tables: Vec<Tables>,
    /// For each track: nothing of it was seen that can be decoded without what was before, though there is
    /// such a sample.
    waits: Vec<bool>,
    /// What is left out so far, in ns: the movie's origin is at this time of the day, had nothing been
    /// left out before.
    left_out: Option<i128>,
}

impl<'a> Timeline<'a> {
    pub(super) fn new(request: MovieRequest<'a>, cut: Cut) -> Self {
        let samples = |track| {
            let runs = request.parts.iter().flat_map(|part| &part.runs);
            let own = runs.filter(|run| run.track == track);
            own.map(|run| run.samples.len()).sum()
        };
        let begins = |track| {
            let runs = request.parts.iter().flat_map(|part| &part.runs);
            let mut own = runs.filter(|run| run.track == track);
            own.any(|run| run.samples.iter().any(|sample| sample.sync))
        };
        let places = 0..request.tracks.len();
        let tables = places.clone();
        Self {
            request,
            cut,
            tables: tables
                .map(|track| Tables::with_capacity(samples(track)))
                .collect(),
            waits: places.map(begins).collect(),
            left_out: None,
        }
    }

    fn scale(&self, track: usize) -> i128 {
        let list = self.request.tracks.get(track);
        list.and_then(|list| list.first())
            .map_or(1, |description| description.timescale().into())
    }

    /// The next part, whose payload is `offset` bytes behind the start of the media.
    pub(super) fn push(&mut self, part: &MoviePart<'_>, offset: u64) -> Result<(), Mp4Error> {
        let known = |run: &MovieRun<'_>| {
            let list = self.request.tracks.get(run.track);
            list.is_some_and(|list| run.description < list.len())
        };
        if !part.runs.iter().all(known) {
            return Err(Mp4Error::Mismatch("a track of a part"));
        }
        let left_out = self.find_left_out(part);
        self.left_out = Some(left_out);
        let mut at = offset;
        for whole in part.runs.iter().filter(|run| !run.samples.is_empty()) {
            let (run, skipped) = self.decodable(whole);
            at += skipped;
            if run.samples.is_empty() {
                continue;
            }
            let scale = self.scale(run.track);
            // Subtracted as ticks, so that runs that follow each other still do.
            let begin = i128::from(run.decode_time) - (left_out * scale).div_euclid(NANOS);
            let begin = i64::try_from(begin).ok();
            let begin = begin.ok_or(Mp4Error::TooLarge("the interval"))?;
            let Some(tables) = self.tables.get_mut(run.track) else {
                continue;
            };
            let begin = tables.begin(begin)?;
            tables.chunk(run.samples, run.description as u32 + 1, at)?;
            at += run.samples.iter().map(|s| u64::from(s.size)).sum::<u64>();
            self.cut.push(&run, begin);
        }
        if at != offset + part.payload_len {
            return Err(Mp4Error::Mismatch("the payload of a part"));
        }
        Ok(())
    }

    /// A run without the samples before a track's first key frame, which nobody can decode, and the bytes of
    /// those: there are players that complain of them, or show what is wrong.
    fn decodable<'r>(&mut self, whole: &MovieRun<'r>) -> (MovieRun<'r>, u64) {
        let first = match self.waits.get_mut(whole.track) {
            Some(waits) if *waits => {
                let first = whole.samples.iter().position(|sample| sample.sync);
                *waits = first.is_none();
                first.unwrap_or(whole.samples.len())
            }
            _ => 0,
        };
        let (before, samples) = whole.samples.split_at(first);
        let lasted: u64 = before.iter().map(|s| u64::from(s.duration)).sum();
        let run = MovieRun {
            decode_time: whole.decode_time.saturating_add(lasted),
            samples,
            ..*whole
        };
        (run, before.iter().map(|s| u64::from(s.size)).sum())
    }

    /// How much is left out before this part.
    fn find_left_out(&self, part: &MoviePart<'_>) -> i128 {
        let starts = part.runs.iter().filter(|run| !run.samples.is_empty());
        let starts = starts.map(|run| {
            let start = i128::from(run.decode_time) * NANOS / self.scale(run.track);
            (run.track, start)
        });
        let Some(left_out) = self.left_out else {
            return starts.map(|(_, start)| start).min().unwrap_or(0);
        };
        let end_of = |track: usize| {
            let end = i128::from(self.tables[track].end()?);
            Some(end * NANOS / self.scale(track))
        };
        let ends = (0..self.tables.len()).filter_map(end_of);
        let newest = ends.max().unwrap_or(0);
        // A track that was not there before can not come before what the others have.
        let holes = starts.clone().map(|(track, start)| {
            let end = end_of(track).unwrap_or(newest);
            (track, start - left_out - end)
        });
        let Some(hole) = holes.clone().map(|(_, hole)| hole).min() else {
            return left_out;
        };
        let overlaps = holes.clone().any(|(track, hole)| {
            let slack = i128::from(self.tables[track].slack()) * NANOS / self.scale(track);
            hole < -slack
        });
        if overlaps || hole > self.request.bridge.as_nanos().cast_signed() {
            left_out + hole
        } else {
            left_out
        }
    }
}
