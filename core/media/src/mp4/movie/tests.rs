//! What a movie's tables say, read by a parser that others wrote where it matters how they are read;
//! that players play it is a test with ffmpeg and GStreamer.

use proptest::prelude::*;

use super::*;
use crate::codec::{AudioCodec, AudioTrack, VideoCodec, VideoParams};
use crate::mp4::cursor::Cursor;
use crate::mp4::sample::Sample;

/// 1 June 2026, in s since 1970.
const DAY: i64 = 1_780_272_000;

fn pictures(width: u32) -> Mp4Track {
    let params = VideoParams {
        codec: VideoCodec::Jpeg,
        vps: Vec::new(),
        sps: Vec::new(),
        pps: Vec::new(),
        width,
        height: 576,
    };
    Mp4Track::video(&params).unwrap()
}

fn sound() -> Mp4Track {
    let track = AudioTrack {
        codec: AudioCodec::Pcma,
        rate: 8000,
        channels: 1,
    };
    Mp4Track::audio(&track).unwrap()
}

/// A second of pictures, the first of which is a key frame.
fn second() -> Vec<Sample> {
    let one = |at| Sample {
        size: 1000 + at,
        duration: 3600,
        shift: 0,
        sync: at == 0,
    };
    (0..25_u32).map(one).collect()
}

/// A second of sound.
fn sounds() -> Vec<Sample> {
    let one = Sample {
        size: 100,
        duration: 160,
        shift: 0,
        sync: true,
    };
    vec![one; 50]
}

fn run(track: usize, decode_time: u64, samples: &[Sample]) -> MovieRun<'_> {
    MovieRun {
        track,
        description: 0,
        decode_time,
        samples,
    }
}

fn part(runs: Vec<MovieRun<'_>>) -> MoviePart<'_> {
    let samples = runs.iter().flat_map(|run| run.samples);
    let payload_len = samples.map(|s| u64::from(s.size)).sum();
    MoviePart { runs, payload_len }
}

/// Ticks of a clock at so many ms behind [`DAY`].
fn ticks(ms: i64, rate: i64) -> u64 {
    (DAY * rate + ms * rate / 1000) as u64
}

/// The interval of so many ms behind [`DAY`].
fn make(
    tracks: &[Vec<Mp4Track>],
    parts: &[MoviePart<'_>],
    from: i64,
    to: i64,
) -> Result<Movie, Mp4Error> {
    movie(MovieRequest {
        tracks,
        parts,
        from: DAY * 1_000_000 + from * 1000,
        to: DAY * 1_000_000 + to * 1000,
        bridge: Duration::from_millis(100),
    })
}

/// The body of a box of a track.
fn table(movie: &Movie, track: usize, path: &[&[u8; 4]]) -> Vec<u8> {
    let header = movie.header(&[], &[]);
    let mut moov = Cursor(&header).find(*b"moov").unwrap();
    let mut traks = Vec::new();
    while let Some((kind, body)) = moov.next().unwrap() {
        if kind == *b"trak" {
            traks.push(body);
        }
    }
    let found = path
        .iter()
        .try_fold(traks[track], |at, kind| at.find(**kind));
    found.map_or(Vec::new(), |body| body.0.to_vec())
}

fn stbl(movie: &Movie, track: usize, kind: &[u8; 4]) -> Vec<u8> {
    table(movie, track, &[b"mdia", b"minf", b"stbl", kind])
}

/// Numbers of 32 bits behind version, flags and count.
fn numbers(body: &[u8]) -> Vec<u32> {
    let words = body.chunks(4).skip(2);
    words
        .map(|word| u32::from_be_bytes(word.try_into().unwrap()))
        .collect()
}

/// Edits: duration in the movie's timescale, start in the track's.
fn edits(movie: &Movie, track: usize) -> Vec<(u64, i64)> {
    let body = table(movie, track, &[b"edts", b"elst"]);
    let long = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().unwrap());
    let one = |e: &[u8]| (long(&e[..8]), long(&e[8..16]).cast_signed());
    body[8..].chunks(20).map(one).collect()
}

#[test]
fn shows_whole_pictures_from_the_one_at_the_start() {
    let (pictures_of, sounds) = (second(), sounds());
    let parts: Vec<MoviePart<'_>> = (0..10)
        .map(|s| {
            part(vec![
                run(0, ticks(1000 * s, 90_000), &pictures_of),
                run(1, ticks(1000 * s, 8000), &sounds),
            ])
        })
        .collect();
    let tracks = [vec![pictures(704)], vec![sound()]];
    // 50 ms lie in the second picture, 4,990 in the last one of the fifth second.
    let movie = make(&tracks, &parts, 50, 4990).unwrap();
    assert_eq!(edits(&movie, 0), [(124 * 3600 - 3600 + 3600, 3600)]);
    assert_eq!(edits(&movie, 1), [(124 * 3600, 320)]);
    assert_eq!(movie.duration(), Duration::from_millis(4960));
    let start = DAY * 1_000_000;
    assert_eq!(movie.covered(), start + 40_000..start + 5_000_000);
    // What comes behind the end is not in the tables, though its bytes are in the file.
    assert_eq!(numbers(&stbl(&movie, 0, b"stts")), [125, 3600]);
    assert_eq!(numbers(&stbl(&movie, 0, b"stsc")), [1, 25, 1]);
    assert_eq!(numbers(&stbl(&movie, 0, b"stsz"))[0], 125);
    assert_eq!(numbers(&stbl(&movie, 1, b"stts")), [250, 160]);
    let whole: u64 = parts.iter().map(|part| part.payload_len).sum();
    assert_eq!(movie.payload_len(), whole);
    assert_eq!(stbl(&movie, 0, b"ctts"), [0; 0]);
    assert_eq!(numbers(&stbl(&movie, 0, b"stss"))[..2], [1, 26]);
    assert_eq!(stbl(&movie, 1, b"stss"), [0; 0]);
}

#[test]
fn times_that_were_cut_to_microseconds_still_mean_their_picture() {
    let one = Sample {
        size: 1,
        duration: 3003,
        shift: 0,
        sync: true,
    };
    let samples = vec![one; 30];
    let parts = [part(vec![run(0, ticks(0, 90_000), &samples)])];
    let tracks = [vec![pictures(704)]];
    // The third picture begins at 66,733.3 µs.
    let request = MovieRequest {
        tracks: &tracks,
        parts: &parts,
        from: DAY * 1_000_000 + 66_733,
        to: DAY * 1_000_000 + 100_100,
        bridge: Duration::ZERO,
    };
    assert_eq!(edits(&movie(request).unwrap(), 0), [(3003, 6006)]);
}

#[test]
fn a_picture_shown_before_it_is_decoded_is_there_all_the_same() {
    // The clock of the pictures was set back by 100 ms, that of their decoding was not.
    let mut late = second();
    late.iter_mut().for_each(|sample| sample.shift = -9000);
    let (in_order, sounds) = (second(), sounds());
    let parts = [
        part(vec![
            run(0, ticks(0, 90_000), &late),
            run(1, ticks(0, 8000), &sounds),
        ]),
        part(vec![run(0, ticks(1000, 90_000), &in_order)]),
    ];
    let tracks = [vec![pictures(704)], vec![sound()]];
    let movie = make(&tracks, &parts, -1000, 2000).unwrap();
    // No shift is negative, none is version 1, and the edit begins with the first picture.
    let ctts = stbl(&movie, 0, b"ctts");
    assert_eq!(ctts[0], 0);
    assert_eq!(numbers(&ctts), [25, 0, 25, 9000]);
    assert_eq!(edits(&movie, 0), [(50 * 3600 + 9000, 0)]);
    // Sound is as much later than the pictures as it was.
    assert_eq!(edits(&movie, 1), [(9000, -1), (90_000, 0)]);
    // From the second in order on: the largest shift is not taken off.
    let movie = make(&tracks, &parts, 1000, 2000).unwrap();
    assert_eq!(edits(&movie, 0), [(25 * 3600, 25 * 3600 + 9000)]);
}

#[test]
fn a_movie_does_not_begin_before_its_key_frame() {
    // The clock goes back by 60 ms behind the first picture.
    let mut samples = second();
    for sample in &mut samples[1..] {
        sample.shift = -5400;
    }
    let parts = [part(vec![run(0, ticks(0, 90_000), &samples)])];
    let movie = make(&[vec![pictures(704)]], &parts, -1000, 2000).unwrap();
    // The key frame is shown at 5400 of the track's own time, and the one behind it would be at 3600.
    assert_eq!(numbers(&stbl(&movie, 0, b"ctts")), [1, 5400, 24, 0]);
    assert_eq!(edits(&movie, 0), [(25 * 3600 - 5400, 5400)]);
}

#[test]
fn what_comes_before_the_first_key_frame_is_left_out() {
    let (pictures_of, sounds) = (second(), sounds());
    let mut late = pictures_of.clone();
    late.iter_mut().for_each(|sample| sample.sync = false);
    late[10].sync = true;
    let none: Vec<Sample> = late[..5].to_vec();
    let parts = [
        part(vec![run(0, ticks(0, 90_000), &none)]),
        part(vec![
            run(0, ticks(200, 90_000), &late),
            run(1, ticks(200, 8000), &sounds),
        ]),
        part(vec![run(0, ticks(1200, 90_000), &pictures_of)]),
    ];
    let tracks = [vec![pictures(704)], vec![sound()]];
    let movie = make(&tracks, &parts, 100, 3000).unwrap();
    assert_eq!(numbers(&stbl(&movie, 0, b"stss")), [1, 16]);
    assert_eq!(numbers(&stbl(&movie, 0, b"stts")), [40, 3600]);
    assert_eq!(edits(&movie, 0), [(40 * 3600, 0)]);
    // Its picture and the sound of that time are shown together.
    assert_eq!(edits(&movie, 1), [(600 * 90, 400 * 8)]);
    let begin = DAY * 1_000_000 + 600_000;
    assert_eq!(movie.covered(), begin..begin + 1_600_000);
    // The bytes are there, and are nobody's.
    let skipped: u32 = none.iter().chain(&late[..10]).map(|s| s.size).sum();
    let offset = u64::from_be_bytes(stbl(&movie, 0, b"co64")[8..16].try_into().unwrap());
    let header = movie.header(&[], &[]).len() as u64;
    assert_eq!(offset, header + u64::from(skipped));
    // Where there is no key frame at all, players see what they can.
    let movie = make(&tracks, &parts[..1], 0, 3000).unwrap();
    assert_eq!(numbers(&stbl(&movie, 0, b"stts")), [5, 3600]);
}

#[test]
fn what_was_not_recorded_is_left_out_of_all_tracks_alike() {
    let (pictures_of, sounds) = (second(), sounds());
    // Sound is 30 ms late all along; behind the gap of 100 s, 50 ms.
    let at = |s: i64, late| {
        part(vec![
            run(0, ticks(1000 * s, 90_000), &pictures_of),
            run(1, ticks(1000 * s + late, 8000), &sounds),
        ])
    };
    let parts = [at(0, 30), at(1, 30), at(102, 50), at(103, 50)];
    let tracks = [vec![pictures(704)], vec![sound()]];
    let movie = make(&tracks, &parts, 0, 200_000).unwrap();
    assert_eq!(movie.duration(), Duration::from_secs(4));
    assert_eq!(numbers(&stbl(&movie, 0, b"stts")), [100, 3600]);
    // The sample before the gap lasts 20 ms longer: sound is as late as it was recorded.
    assert_eq!(
        numbers(&stbl(&movie, 1, b"stts")),
        [99, 160, 1, 320, 98, 160]
    );
    // 30 ms of nothing; and sound ends with the pictures.
    assert_eq!(edits(&movie, 1), [(2700, -1), (4 * 90_000 - 2700, 0)]);
}

#[test]
fn a_short_hole_stays_and_an_overlap_is_taken_from_the_sample_before() {
    let pictures_of = second();
    let at = |ms| part(vec![run(0, ticks(ms, 90_000), &pictures_of)]);
    let parts = [at(0), at(1080), at(2070)];
    let movie = make(&[vec![pictures(704)]], &parts, 0, 4000).unwrap();
    let expected = [24, 3600, 1, 3600 + 7200, 24, 3600, 1, 3600 - 900, 25, 3600];
    assert_eq!(numbers(&stbl(&movie, 0, b"stts")), expected);
    // The clock went back by a second: nothing is lost, the movie goes on, and what was recorded twice
    // is shown twice.
    let parts = [at(0), at(0), at(1000)];
    let movie = make(&[vec![pictures(704)]], &parts, 0, 4000).unwrap();
    assert_eq!(numbers(&stbl(&movie, 0, b"stts")), [75, 3600]);
    let movie = make(&[vec![pictures(704)]], &parts, 0, 1000).unwrap();
    assert_eq!(edits(&movie, 0), [(50 * 3600, 0)]);
    // Back by ten minutes at the end of the interval.
    let parts = [at(600_000), at(601_000), at(0)];
    let movie = make(&[vec![pictures(704)]], &parts, 0, 700_000).unwrap();
    assert_eq!(edits(&movie, 0), [(75 * 3600, 0)]);
}

#[test]
fn a_changed_resolution_is_a_second_description() {
    let pictures_of = second();
    let parts: Vec<MoviePart<'_>> = (0..4)
        .map(|s| {
            let mut one = run(0, ticks(1000 * s, 90_000), &pictures_of);
            one.description = usize::from(s >= 2);
            part(vec![one])
        })
        .collect();
    let tracks = [vec![pictures(704), pictures(352)]];
    let movie = make(&tracks, &parts, 0, 4000).unwrap();
    assert_eq!(numbers(&stbl(&movie, 0, b"stsc")), [1, 25, 1, 3, 25, 2]);
    assert_eq!(stbl(&movie, 0, b"stsd")[4..8], [0, 0, 0, 2]);
}

#[test]
fn sound_alone_is_a_movie_too() {
    let sounds = sounds();
    let parts = [0, 1000].map(|ms| part(vec![run(1, ticks(ms, 8000), &sounds)]));
    let tracks = [vec![pictures(704)], vec![sound()]];
    let movie = make(&tracks, &parts, 50, 1990).unwrap();
    // In the third packet, and in the last one.
    assert_eq!(edits(&movie, 1), [(98 * 1800, 320)]);
    assert_eq!(movie.duration(), Duration::from_millis(98 * 20));
}

#[test]
fn rooms_move_the_media_and_change_nothing_else() {
    let pictures_of = second();
    let parts = [0, 1].map(|s| part(vec![run(0, ticks(1000 * s, 90_000), &pictures_of)]));
    let movie = make(&[vec![pictures(704)]], &parts, 0, 4000).unwrap();
    let plain = movie.header(&[], &[]);
    let filled = movie.header(&[1; 100], &[2; 50]);
    assert_eq!(filled.len(), plain.len() + 150);
    assert_eq!(filled.len(), movie.header_len(100, 50));
    let moov = plain.len() - 36 - 16;
    let differ = plain[36..36 + moov].iter().zip(&filled[136..136 + moov]);
    // Two offsets, of each the last bytes.
    assert!((1..=4).contains(&differ.filter(|(a, b)| a != b).count()));
    let offsets = |header: &[u8]| {
        let at = header.windows(4).position(|kind| kind == b"co64").unwrap();
        [12, 20].map(|to| u64::from_be_bytes(header[at + to..at + to + 8].try_into().unwrap()))
    };
    let length: u64 = pictures_of.iter().map(|s| u64::from(s.size)).sum();
    for header in [&plain, &filled] {
        assert_eq!(
            offsets(header),
            [header.len() as u64, header.len() as u64 + length]
        );
        let media: [u8; 16] = header[header.len() - 16..].try_into().unwrap();
        assert_eq!(&media[..8], b"\0\0\0\x01mdat");
        assert_eq!(
            u64::from_be_bytes(media[8..].try_into().unwrap()),
            2 * length + 16
        );
    }
}

#[test]
fn what_makes_no_movie_is_refused() {
    let pictures_of = second();
    let good = || part(vec![run(0, ticks(0, 90_000), &pictures_of)]);
    let tracks = [vec![pictures(704)]];
    assert!(make(&tracks, &[good()], 0, 0).is_err());
    assert!(make(&tracks, &[good()], 5, 4).is_err());
    assert!(make(&tracks, &[good()], -10, -5).is_err());
    assert!(make(&tracks, &[], 0, 10).is_err());
    assert!(make(&[], &[good()], 0, 10).is_err());
    assert!(make(&[vec![pictures(1), sound()]], &[good()], 0, 10).is_err());
    let mut wrong = good();
    wrong.payload_len += 1;
    assert!(make(&tracks, &[wrong], 0, 10).is_err());
    let mut wrong = good();
    wrong.runs[0].description = 1;
    assert!(make(&tracks, &[wrong], 0, 10).is_err());
    let mut wrong = good();
    wrong.runs[0].track = 1;
    assert!(make(&tracks, &[wrong], 0, 10).is_err());
}

/// Parts as a camera with a bad clock records them: sound and pictures a little apart, holes, gaps,
/// steps back.
fn clocks() -> impl Strategy<Value = Vec<(i64, i64)>> {
    let step = prop_oneof![
        6 => Just(1000_i64),
        2 => 900_i64..1200,
        1 => 2000_i64..100_000,
        1 => -5000_i64..500,
    ];
    prop::collection::vec((step, -60_i64..60), 1..30)
}

proptest! {
    /// In step within 60 ms of jitter, and what the last sample can bridge: whatever the clock does.
    #[test]
    fn sound_stays_with_its_pictures(clock in clocks()) {
        let (pictures_of, sounds) = (second(), sounds());
        let mut time = 10_000;
        let mut parts = Vec::new();
        let mut apart = Vec::new();
        for (step, late) in &clock {
            time += step;
            apart.push(*late);
            parts.push(part(vec![
                run(0, ticks(time, 90_000), &pictures_of),
                run(1, ticks(time + late, 8000), &sounds),
            ]));
        }
        let tracks = [vec![pictures(704)], vec![sound()]];
        let movie = make(&tracks, &parts, -100_000, 10_000_000);
        let Ok(movie) = movie else {
            // All parts lie before the interval's start: the clock went far back.
            return Ok(());
        };
        // When each part begins, by track, in ms.
        let starts = |track: usize, rate: i64, samples: usize| {
            let deltas = numbers(&stbl(&movie, track, b"stts"));
            let deltas = deltas.chunks(2).flat_map(|e| std::iter::repeat_n(i64::from(e[1]), e[0] as usize));
            let mut at = 0;
            let all: Vec<i64> = deltas.map(|d| { at += d; at - d }).collect();
            all.into_iter().step_by(samples).map(|t| t * 1000 / rate).collect::<Vec<_>>()
        };
        let (p, s) = (starts(0, 90_000, 25), starts(1, 8000, 50));
        prop_assert_eq!(p.len(), clock.len());
        for at in 1..p.len() {
            let moved = (s[at] - s[0]) - (p[at] - p[0]);
            let recorded = apart[at] - apart[0];
            prop_assert!((moved - recorded).abs() <= 2, "part {}: {} recorded, {}", at, moved, recorded);
        }
    }

    #[test]
    fn never_panics(
        runs in prop::collection::vec((0_usize..3, 0_usize..3, any::<u64>(), prop::collection::vec((any::<u32>(), any::<u32>(), any::<i32>(), any::<bool>()), 0..5)), 0..8),
        from: i64,
        to: i64,
        bridge: u32,
    ) {
        let runs: Vec<_> = runs.into_iter().map(|(track, description, decode_time, samples)| {
            let samples: Vec<Sample> = samples.into_iter().map(|(size, duration, shift, sync)| Sample { size, duration, shift, sync }).collect();
            (track, description, decode_time, samples)
        }).collect();
        let parts: Vec<MoviePart<'_>> = runs.iter().map(|(track, description, decode_time, samples)| {
            part(vec![MovieRun { track: *track, description: *description, decode_time: *decode_time, samples }])
        }).collect();
        let tracks = [vec![pictures(704), pictures(352)], vec![sound(); 3], vec![sound()]];
        let request = MovieRequest { tracks: &tracks, parts: &parts, from, to, bridge: Duration::from_micros(bridge.into()) };
        if let Ok(movie) = movie(request) {
            prop_assert_eq!(movie.header(&[], &[1; 9]).len(), movie.header_len(0, 9));
        }
    }
}
