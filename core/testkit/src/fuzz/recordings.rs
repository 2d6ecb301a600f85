//! Segments' files.

use std::time::Duration;

use taimat_media::mp4;

/// A segment's file that somebody damaged: its beginning, its parts, and the movie that they make.
pub fn recordings(bytes: &[u8]) {
    let Ok(file) = mp4::read_init(bytes) else {
        return;
    };
    let again = mp4::init(&file.tracks).map(|init| mp4::read_init(&init));
    assert!(again.is_ok_and(|again| again.is_ok_and(|again| again.tracks == file.tracks)));
    let (mut at, mut parts) = (file.length, Vec::new());
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let Ok(part) = mp4::read_part(rest) else {
            break;
        };
        let samples: usize = part.tracks.iter().map(|track| track.samples.len()).sum();
        assert!(samples * 4 <= part.header_len && part.header_len <= rest.len());
        at = at.saturating_add(part.header_len);
        at = at.saturating_add(usize::try_from(part.payload_len).unwrap_or(usize::MAX));
        parts.push(part);
    }
    let tracks: Vec<_> = file.tracks.into_iter().map(|track| vec![track]).collect();
    let list: Vec<_> = parts.iter().map(movie_part).collect();
    let movie = mp4::movie(mp4::MovieRequest {
        tracks: &tracks,
        parts: &list,
        from: 0,
        to: i64::MAX / 2,
        bridge: Duration::from_millis(200),
    });
    if let Ok(movie) = movie {
        assert_eq!(
            movie.header(bytes, &[]).len(),
            movie.header_len(bytes.len(), 0)
        );
    }
}

fn movie_part(part: &mp4::ReadPart) -> mp4::MoviePart<'_> {
    mp4::MoviePart {
        runs: part.tracks.iter().map(run).collect(),
        payload_len: part.payload_len,
    }
}

fn run(track: &mp4::ReadTrack) -> mp4::MovieRun<'_> {
    mp4::MovieRun {
        track: track.track,
        description: 0,
        decode_time: track.decode_time,
        samples: &track.samples,
    }
}
