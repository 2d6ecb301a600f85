//! A clip as one MP4 file that every player plays: its header is computed, its media are ranges of the files
//! that were recorded.

use std::ops::Range;
use std::time::Duration;

use taimat_media::TrackKind;
use taimat_media::mp4::{self, Movie, MoviePart, MovieRequest, MovieRun, Mp4Track};

use super::clip::Clip;
use super::piece::MoviePiece;
use super::shelves::Shelves;
use crate::error::ArchiveError;
use crate::timeline::{Gap, JITTER};

/// A clip as one file.
#[derive(Debug, Clone)]
pub struct MovieFile {
    /// What comes before the media. A signature may be put into it.
    pub movie: Movie,
    /// The media, one after the other.
    pub pieces: Vec<MoviePiece>,
    /// What is missing of what was asked for.
    pub gaps: Vec<Gap>,
    /// How the tracks are encoded (RFC 6381).
    pub codecs: Vec<String>,
}

impl MovieFile {
    /// What was asked for and is there, in microseconds since 1970.
    pub fn covered(&self) -> Range<i64> {
        self.movie.covered()
    }
}

/// Which of a movie's tracks the tracks of a format are.
struct Mapped {
    format: i64,
    /// For each of the format's tracks: the track and its description.
    tracks: Vec<(usize, usize)>,
    video: usize,
    audio: Option<usize>,
}

/// Makes a movie of a clip.
pub(crate) fn movie(shelves: &Shelves<'_>, clip: &Clip) -> Result<MovieFile, ArchiveError> {
    if clip.parts.is_empty() {
        return Err(ArchiveError::Unknown);
    }
    let mut tracks: Vec<Vec<Mp4Track>> = Vec::new();
    let mut mapped: Vec<Mapped> = Vec::new();
    let mut parts = Vec::with_capacity(clip.parts.len());
    let mut pieces = Vec::with_capacity(clip.parts.len());
    let files = shelves.all(&clip.parts)?;
    for part in &clip.parts {
        let segment = &part.segment;
        let known = mapped.iter().position(|m| m.format == segment.format);
        let map = match known {
            Some(known) => known,
            None => {
                mapped.push(map(segment.format, &segment.init, &mut tracks)?);
                mapped.len() - 1
            }
        };
        let Some(map) = mapped.get(map) else {
            continue;
        };
        let row = &part.row;
        let sound = map.audio.filter(|_| !row.audio.samples.is_empty());
        let runs = [(map.video, &row.video)]
            .into_iter()
            .chain(sound.map(|place| (place, &row.audio)))
            .filter_map(|(place, own)| {
                let (track, description) = *map.tracks.get(place)?;
                Some(MovieRun {
                    track,
                    description,
                    decode_time: own.time,
                    samples: &own.samples,
                })
            });
        parts.push(MoviePart {
            runs: runs.collect(),
            payload_len: row.payload(),
        });
        pieces.push(MoviePiece {
            path: files.get(&segment.id).cloned().unwrap_or_default(),
            offset: part.payload_offset(),
            bytes: row.payload(),
            hash: row.hash,
            start: row.start,
            end: row.end,
            camera: row.camera,
            chain: part.chain,
        });
    }
    let request = MovieRequest {
        tracks: &tracks,
        parts: &parts,
        from: clip.from,
        to: clip.to,
        bridge: Duration::from_micros(JITTER.unsigned_abs()),
    };
    let movie = mp4::movie(request)?;
    let codecs = tracks.iter().filter_map(|list| list.first());
    Ok(MovieFile {
        movie,
        pieces,
        gaps: clip.gaps.clone(),
        codecs: codecs.map(|track| track.codecs().to_owned()).collect(),
    })
}

/// Finds a format's tracks among those of the movie, or adds them. Pictures are the first track.
fn map(format: i64, init: &[u8], tracks: &mut Vec<Vec<Mp4Track>>) -> Result<Mapped, ArchiveError> {
    let damaged = |_| ArchiveError::Damaged("what a segment begins with can not be read".into());
    let read = mp4::read_init(init).map_err(damaged)?;
    let mut own = Vec::new();
    for track in read.tracks {
        let same = |list: &Vec<Mp4Track>| {
            list.first().is_some_and(|first| {
                first.kind() == track.kind() && first.timescale() == track.timescale()
            })
        };
        let place = match tracks.iter().position(same) {
            Some(place) => place,
            None => {
                tracks.push(Vec::new());
                tracks.len() - 1
            }
        };
        let Some(list) = tracks.get_mut(place) else {
            continue;
        };
        let description = match list.iter().position(|known| *known == track) {
            Some(description) => description,
            None => {
                list.push(track.clone());
                list.len() - 1
            }
        };
        own.push((place, description, track.kind()));
    }
    let of = |kind| own.iter().position(|(_, _, own)| *own == kind);
    Ok(Mapped {
        format,
        video: of(TrackKind::Video)
            .ok_or_else(|| ArchiveError::Damaged("a segment without pictures".into()))?,
        audio: of(TrackKind::Audio),
        tracks: own
            .iter()
            .map(|(track, description, _)| (*track, *description))
            .collect(),
    })
}
