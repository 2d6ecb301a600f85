//! What a movie is made of.

use std::time::Duration;

use super::super::sample::Sample;
use super::super::track::Mp4Track;

/// A track's samples in a part of a movie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovieRun<'a> {
    /// Its place among the tracks of the movie.
    pub track: usize,
    /// Its place among the descriptions of that track.
    pub description: usize,
    /// When its first sample is decoded: ticks of its timescale since 1970.
    pub decode_time: u64,
    /// Its samples.
    pub samples: &'a [Sample],
}

/// A part: as it was recorded, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoviePart<'a> {
    /// Its tracks in the order of their samples in the payload.
    pub runs: Vec<MovieRun<'a>>,
    /// Bytes of the payload.
    pub payload_len: u64,
}

/// What a movie is to be made of.
#[derive(Debug, Clone, Copy)]
pub struct MovieRequest<'a> {
    /// Its tracks, each with all descriptions that its parts have: more than one if the camera changed
    /// its resolution. The pictures come first.
    pub tracks: &'a [Vec<Mp4Track>],
    /// Its parts in the order in which they were recorded. What comes before the first key frame of all can
    /// not be decoded and is not in the movie's tables; what follows a gap begins with one.
    pub parts: &'a [MoviePart<'a>],
    /// What is shown first: the picture at this time, in µs since 1970.
    pub from: i64,
    /// Before what the movie ends.
    pub to: i64,
    /// A hole in all tracks that is not longer stays: the picture before it stands. A longer one is
    /// left out, and the movie goes on.
    pub bridge: Duration,
}
