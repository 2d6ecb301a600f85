//! Segments and movies of footage, put together as the archive does it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use taimat_media::mp4::{
    Movie, MoviePart, MovieRequest, MovieRun, Mp4Track, PartTimes, PartTrack, Sample, init, movie,
    part_header, read_init, read_part,
};

use crate::source::Stream;

/// When everything was recorded: 1 June 2026, in s since 1970.
pub(crate) const DAY: u64 = 1_780_272_000;

/// A part: for each track its place, when its first sample is decoded, its samples; and the payload.
pub(crate) struct Part {
    pub(crate) runs: Vec<(usize, u64, Vec<Sample>)>,
    pub(crate) payload: Vec<u8>,
}

/// Footage cut into seconds.
pub(crate) fn parts(streams: &[&Stream]) -> Vec<Part> {
    let mut parts = Vec::new();
    for second in 0.. {
        let (mut runs, mut payload) = (Vec::new(), Vec::new());
        for (place, stream) in streams.iter().enumerate() {
            let scale = u64::from(stream.track.timescale());
            let (mut at, mut begin, mut samples) = (stream.start, None, Vec::new());
            for (sample, bytes) in &stream.samples {
                if (second * scale..(second + 1) * scale).contains(&at) {
                    begin.get_or_insert(DAY * scale + at);
                    samples.push(*sample);
                    payload.extend_from_slice(bytes);
                }
                at += u64::from(sample.duration);
            }
            if let Some(begin) = begin {
                runs.push((place, begin, samples));
            }
        }
        if runs.is_empty() {
            return parts;
        }
        parts.push(Part { runs, payload });
    }
    unreachable!("footage ends")
}

pub(crate) fn tracks(streams: &[&Stream]) -> Vec<Mp4Track> {
    streams.iter().map(|stream| stream.track.clone()).collect()
}

/// A segment's file, and that it is read as it was written.
pub(crate) fn segment(folder: &Path, name: &str, tracks: &[Mp4Track], parts: &[Part]) -> PathBuf {
    let mut file = init(tracks).unwrap();
    let mut at = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let runs: Vec<PartTrack<'_>> = part
            .runs
            .iter()
            .map(|(track, decode_time, samples)| PartTrack {
                track: *track,
                decode_time: *decode_time,
                samples,
            })
            .collect();
        let wall = (DAY as i64 + number as i64) * 1_000_000;
        let times = PartTimes {
            wall,
            camera: Some(wall - 3_600_000_000),
        };
        at.push((file.len(), times));
        file.extend(part_header(number as u32, times, &runs).unwrap());
        file.extend_from_slice(&part.payload);
    }
    let read = read_init(&file).unwrap();
    assert_eq!((read.tracks, read.length), (tracks.to_vec(), at[0].0));
    for ((at, times), part) in at.into_iter().zip(parts) {
        let read = read_part(&file[at..]).unwrap();
        assert_eq!(read.times, times);
        let runs = read
            .tracks
            .into_iter()
            .map(|t| (t.track, t.decode_time, t.samples));
        assert_eq!(runs.collect::<Vec<_>>(), part.runs);
        assert_eq!(read.payload_len, part.payload.len() as u64);
        let payload = &file[at + read.header_len..][..part.payload.len()];
        assert_eq!(payload, part.payload);
    }
    let path = folder.join(name);
    std::fs::write(&path, file).unwrap();
    path
}

/// The movie of an interval in ms behind [`DAY`], with something in its rooms.
pub(crate) fn film(
    folder: &Path,
    name: &str,
    tracks: &[Vec<Mp4Track>],
    parts: &[(usize, &Part)],
    (from, to): (i64, i64),
) -> (PathBuf, Movie) {
    let runs = |(description, part): &(usize, &Part)| MoviePart {
        runs: Vec::new(),
        payload_len: (part.payload.len() + description - description) as u64,
    };
    let mut list: Vec<MoviePart<'_>> = parts.iter().map(runs).collect();
    for ((description, part), out) in parts.iter().zip(&mut list) {
        out.runs = part
            .runs
            .iter()
            .map(|(track, decode_time, samples)| MovieRun {
                track: *track,
                description: if *track == 0 { *description } else { 0 },
                decode_time: *decode_time,
                samples,
            })
            .collect();
    }
    let day = DAY as i64 * 1_000_000;
    let movie = movie(MovieRequest {
        tracks,
        parts: &list,
        from: day + from * 1000,
        to: day + to * 1000,
        bridge: Duration::from_millis(200),
    })
    .unwrap();
    let free = |length: u32| {
        [
            &length.to_be_bytes()[..],
            b"free",
            &vec![7; length as usize - 8],
        ]
        .concat()
    };
    let mut file = movie.header(&free(5000), &free(300));
    assert_eq!(file.len(), movie.header_len(5000, 300));
    for (_, part) in parts {
        file.extend_from_slice(&part.payload);
    }
    let path = folder.join(name);
    std::fs::write(&path, file).unwrap();
    (path, movie)
}
