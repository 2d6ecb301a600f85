//! Segments and movies, as ffmpeg and GStreamer see them. All footage is encoded by ffmpeg.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod file;
mod source;
mod tools;

use std::path::Path;

use file::{film, parts, segment, tracks};
use source::Stream;
use taimat_media::{AudioCodec, TrackKind};

const ALL: (i64, i64) = (0, 3_600_000);

/// A segment and a movie of the streams, in which others find the same packets and no fault.
fn plays(folder: &Path, name: &str, streams: &[&Stream], decoders: &[(&str, &str)]) {
    let (parts, tracks) = (parts(streams), tracks(streams));
    let segment = segment(folder, &format!("{name}-segment.mp4"), &tracks, &parts);
    let lists: Vec<_> = tracks.into_iter().map(|track| vec![track]).collect();
    let numbered: Vec<_> = parts.iter().map(|part| (0, part)).collect();
    let (movie, _) = film(folder, &format!("{name}-movie.mp4"), &lists, &numbered, ALL);
    let hashes = tools::stream_hashes(&segment);
    assert_eq!(hashes.len(), streams.len(), "{name}");
    for (stream, hash) in streams.iter().zip(&hashes) {
        let file = &stream.file;
        if stream.track.kind() == TrackKind::Video {
            // The packets are those that ffmpeg encoded.
            assert_eq!(
                &tools::stream_hashes(file)[0],
                hash,
                "{name}: {}",
                file.display()
            );
        }
    }
    assert_eq!(tools::stream_hashes(&movie), hashes, "{name}");
    let count: Vec<u32> = streams.iter().map(|s| s.samples.len() as u32).collect();
    for file in [&segment, &movie] {
        assert_eq!(tools::frames(file), count, "{name}");
        for (pad, decoder) in decoders {
            tools::gstreamer(file, pad, decoder);
        }
    }
}

const H264: (&str, &str) = ("video_0", "h264parse ! avdec_h264");
const H265: (&str, &str) = ("video_0", "h265parse ! avdec_h265");

#[test]
fn pictures_of_every_codec_play_as_they_were_encoded() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let groups = "keyint=25:min-keyint=25:scenecut=0";
    let streams = [
        (
            source::h264(folder, "h264", &format!("{groups}:bframes=0")),
            H264,
        ),
        (
            source::h264(folder, "h264-b", &format!("{groups}:bframes=2:b-adapt=0")),
            H264,
        ),
        (
            source::h264(folder, "h264-n", &format!("{groups}:bframes=2:b-adapt=0"))
                .shown_at_once(),
            H264,
        ),
        (
            source::h265(folder, "h265", &format!("{groups}:bframes=0")),
            H265,
        ),
        (
            source::h265(folder, "h265-b", &format!("{groups}:bframes=3:b-adapt=0")),
            H265,
        ),
        (
            source::h265(folder, "h265-n", &format!("{groups}:bframes=3:b-adapt=0"))
                .shown_at_once(),
            H265,
        ),
        (source::jpeg(folder), ("video_0", "jpegparse ! jpegdec")),
    ];
    for (stream, decoder) in &streams {
        let name = stream
            .file
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        plays(folder, &name, &[stream], &[*decoder]);
        let encoded = tools::pictures(&stream.file);
        assert_eq!(encoded.len(), 150, "{name}");
        if decoder == &H264 {
            // Byte for byte what ffmpeg writes; of H.265 it keeps the encoder's settings there too.
            let segment = folder.join(format!("{name}-segment.mp4"));
            assert_eq!(
                tools::set_up(&segment),
                tools::set_up(&stream.file),
                "{name}"
            );
        }
        for kind in ["segment", "movie"] {
            let file = folder.join(format!("{name}-{kind}.mp4"));
            assert_eq!(tools::pictures(&file), encoded, "{name} {kind}");
        }
    }
}

#[test]
fn sound_of_every_codec_plays_with_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let pictures = source::h264(folder, "h264", "keyint=50:bframes=0");
    let sounds = [
        (source::aac(folder), "aacparse ! avdec_aac"),
        (source::opus(folder), "opusparse ! opusdec"),
        (
            source::g711(folder, AudioCodec::Pcmu),
            "flacparse ! flacdec",
        ),
        (
            source::g711(folder, AudioCodec::Pcma),
            "flacparse ! avdec_flac",
        ),
    ];
    for (sound, decoder) in &sounds {
        let name = sound
            .file
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        plays(
            folder,
            &name,
            &[&pictures, sound],
            &[H264, ("audio_0", decoder)],
        );
    }
}

#[test]
fn of_g711_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (codec, format) in [(AudioCodec::Pcmu, "mulaw"), (AudioCodec::Pcma, "alaw")] {
        let stream = source::g711(folder, codec);
        plays(
            folder,
            format,
            &[&stream],
            &[("audio_0", "flacparse ! flacdec")],
        );
        let heard = tools::sound(
            &stream.file,
            &["-v", "error", "-f", format, "-ar", "8000", "-ac", "1"],
        );
        assert_eq!(heard.len(), 2 * 48_000);
        for kind in ["segment", "movie"] {
            let file = folder.join(format!("{format}-{kind}.mp4"));
            assert!(tools::sound(&file, &[]) == heard, "{format} {kind}");
        }
    }
}

/// One group of pictures a second, each of which ends with pictures that refer to later ones.
const GROUPS: &str = "keyint=25:min-keyint=25:scenecut=0:bframes=2:b-adapt=0";

fn seconds(ms: u32) -> [u32; 2] {
    [ms; 2]
}

#[test]
fn a_movie_begins_and_ends_with_the_pictures_that_were_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for at_once in [false, true] {
        let mut pictures = source::h264(folder, "h264", GROUPS);
        if at_once {
            pictures = pictures.shown_at_once();
        }
        let late = i64::from(pictures.samples[0].0.shift) / 90;
        let sound = source::g711(folder, AudioCodec::Pcma);
        let encoded = tools::pictures(&pictures.file);
        let streams = [&pictures, &sound];
        let (parts, tracks) = (parts(&streams), tracks(&streams));
        let lists: Vec<_> = tracks.into_iter().map(|track| vec![track]).collect();
        let some: Vec<_> = parts[1..5].iter().map(|part| (0, part)).collect();
        // In the middle of the 36th picture, and of the 106th.
        let asked = (late + 1420, late + 4220);
        let (movie, header) = film(folder, "cut.mp4", &lists, &some, asked);
        assert_eq!(header.duration().as_millis(), 71 * 40);
        assert_eq!(tools::durations(&movie), seconds(71 * 40));
        assert!(tools::pictures(&movie) == encoded[35..106]);
        tools::gstreamer(&movie, H264.0, H264.1);
    }
}

#[test]
fn a_movie_goes_on_behind_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let pictures = source::h264(folder, "h264", GROUPS).shown_at_once();
    let sound = source::aac(folder);
    let encoded = tools::pictures(&pictures.file);
    let streams = [&pictures, &sound];
    let (parts, tracks) = (parts(&streams), tracks(&streams));
    let lists: Vec<_> = tracks.into_iter().map(|track| vec![track]).collect();
    let some: Vec<_> = [0, 1, 4, 5].map(|at| (0, &parts[at])).into();
    let (movie, _) = film(folder, "gap.mp4", &lists, &some, ALL);
    assert!(tools::pictures(&movie) == [&encoded[..50], &encoded[100..]].concat());
    // Of the sound 16 ms less are missing than of the pictures: so much is not left out.
    assert_eq!(tools::durations(&movie), seconds(4016));
    tools::gstreamer(&movie, H264.0, H264.1);
    tools::gstreamer(&movie, "audio_0", "aacparse ! avdec_aac");
}

#[test]
fn a_movie_shows_a_camera_that_changed_its_resolution() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (small, large) = (
        source::h264(folder, "small", GROUPS),
        source::large_h264(folder, "large", GROUPS),
    );
    let encoded = [&small, &large].map(|stream| tools::pictures(&stream.file));
    let (first, second) = (parts(&[&small]), parts(&[&large]));
    let lists = [vec![small.track.clone(), large.track.clone()]];
    let mut all: Vec<_> = first[..3].iter().map(|part| (0, part)).collect();
    all.extend(second[3..].iter().map(|part| (1, part)));
    let (movie, _) = film(folder, "sizes.mp4", &lists, &all, ALL);
    let shown = tools::pictures(&movie);
    assert!(shown == [&encoded[0][..75], &encoded[1][75..]].concat());
    tools::gstreamer(&movie, H264.0, H264.1);
}
