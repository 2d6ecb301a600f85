//! Cameras that change what they send in mid-segment, send nothing, or a lot, or hardly a key frame, or have their time
//! of day set.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod house;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use house::{
    Camera, House, PICTURES, RATE, gaps, key, micros, pictures_in, recorded, until, write_movie,
};
use taimat_archive::{Archive, GapReason, Timeline};
use taimat_base::clock;
use taimat_media::{TrackKind, VideoCodec, VideoParams};
use taimat_simulate::{Encoded, Encoding, Scene, SceneKind, encode};
use taimat_testkit::movies::{movies_below, plays};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// A camera that is recorded, and begins an hour ago.
async fn one(house: &House) -> (Camera, SystemTime) {
    let begun = clock::wall() - Duration::from_secs(3600);
    let camera = house.camera("cho", begun);
    until("joined", || camera.channel.readers() == 1).await;
    (camera, begun)
}

async fn is_in_the_index(house: &House, end: SystemTime) {
    until("it is in the index", || {
        let last = house.of("cho", end - 5 * SECOND, end + SECOND).recorded;
        last.last()
            .is_some_and(|last| micros(end).0 - last.end.0 < 50_000)
    })
    .await;
}

/// All that was asked for is given or listed, in order and once.
fn is_whole(timeline: &Timeline, from: SystemTime, to: SystemTime) {
    let mut all: Vec<_> = timeline.recorded.iter().map(|r| (r.start, r.end)).collect();
    all.extend(timeline.gaps.iter().map(|gap| (gap.start, gap.end)));
    all.sort_unstable();
    let mut at = micros(from);
    for (start, end) in all {
        assert_eq!(start, at, "{timeline:?}");
        at = end;
    }
    assert_eq!(at, micros(to), "{timeline:?}");
}

fn drawn(width: usize, height: usize, bitrate: u32, key_every: u32, count: u32) -> Vec<Encoded> {
    let scene = Scene::new(SceneKind::Street, 2, count, RATE);
    let encoding = Encoding {
        width,
        height,
        keyframe_interval: key_every,
        bitrate,
    };
    encode(&scene, &encoding).unwrap()
}

/// Parameter sets of H.265 as x265 writes them for 160x90 pixels.
fn h265() -> VideoParams {
    let bytes = |hex: &str| -> Bytes {
        let digit = |c: u8| u8::try_from((c as char).to_digit(16).unwrap()).unwrap();
        let pairs = hex.as_bytes().chunks(2);
        pairs
            .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
            .collect()
    };
    VideoParams {
        codec: VideoCodec::H265,
        vps: vec![bytes(H265[0])],
        sps: vec![bytes(H265[1])],
        pps: vec![bytes(H265[2])],
        width: 160,
        height: 90,
    }
}

/// VPS, SPS, PPS.
const H265: [&str; 3] = [
    "40010c01ffff0408000003009e0800000300001e959809",
    "4201010408000003009e0800000300001e9002840c3e7cb2b349265780b7020200040000030004000003002820",
    "4401c172860c4624",
];

#[tokio::test]
async fn another_resolution_and_another_codec_in_mid_segment_begin_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::open(folder.path(), vec![recorded("cho")]);
    let (mut camera, begun) = one(&house).await;
    let larger = drawn(320, 180, 200_000, RATE, 3 * RATE);
    let other: Vec<Encoded> = PICTURES
        .iter()
        .map(|picture| Encoded {
            params: std::sync::Arc::new(h265()),
            ..picture.clone()
        })
        .collect();
    for pictures in [&*PICTURES, &larger, &other, &*PICTURES] {
        camera.film_of(pictures, 6 * SECOND).await;
    }
    let end = camera.at;
    is_in_the_index(&house, end).await;
    let timeline = house.of("cho", begun, end);
    assert_eq!(timeline.gaps, [], "nothing is missing at the seams");
    // Each part of the interval can be given out, and says what it is.
    let sizes = [(160, 90), (320, 180), (160, 90), (160, 90)];
    for (n, size) in (0_u32..).zip(sizes) {
        let at = begun + (6 * n + 3) * SECOND;
        let units = house.archive.still(&key("cho"), micros(at), true).unwrap();
        let params = units[0].params.as_ref().unwrap();
        assert_eq!((params.width, params.height), size, "{n}");
        assert_eq!(params.codec == VideoCodec::H265, n == 2, "{n}");
    }
    house.close().await;
    let all = movies_below(folder.path());
    assert!(all.len() >= 4, "{all:?}");
    // What is no H.265 inside can not be played; all else is.
    let played = all.iter().filter(|file| !says_hevc(file));
    let pictures: u32 = played.map(|file| pictures_in(file)).sum();
    assert_eq!(pictures, 18 * RATE);
}

fn says_hevc(file: &std::path::Path) -> bool {
    let bytes = std::fs::read(file).unwrap();
    bytes
        .windows(4)
        .any(|four| four == b"hvc1" || four == b"hev1")
}

#[tokio::test]
async fn no_pictures_are_a_gap_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::open(folder.path(), vec![recorded("cho")]);
    let begun = clock::wall();
    let mut cameras = [house.camera("cho", begun)];
    house::film_for(&mut cameras, 3 * SECOND).await;
    let silent = cameras[0].at;
    // It is connected, and sends nothing.
    until("it is said", || {
        let now = clock::wall();
        gaps(&house.of("cho", silent + SECOND, now.max(silent + 2 * SECOND)))
            .contains(&GapReason::PicturesMissing)
    })
    .await;
    cameras[0].at = clock::wall();
    let again = cameras[0].at;
    house::film_for(&mut cameras, 4 * SECOND).await;
    let to = clock::wall() - 2 * SECOND;
    let timeline = house.of("cho", begun, to);
    is_whole(&timeline, begun, to);
    assert_eq!(gaps(&timeline), [GapReason::PicturesMissing]);
    let apart = timeline.gaps[0].end.0 - micros(again).0;
    assert!(apart.abs() < 100, "{apart} µs: ticks are 11 µs");
    house.close().await;
}

#[tokio::test]
async fn a_camera_of_4k_at_30_megabits_is_kept_wholly() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::open(folder.path(), vec![recorded("cho")]);
    let begun = clock::wall();
    let mut camera = house.camera("cho", begun);
    // 3.75 MB a second at ten pictures, a key frame a second that is four times as large as the others.
    let drawn = drawn(3840, 2160, 30_000_000, RATE, RATE);
    let blown: Vec<Encoded> = drawn
        .iter()
        .map(|picture| {
            let most = if picture.keyframe { 1_150_000 } else { 288_000 };
            house::with_filler(picture, most)
        })
        .collect();
    let mut beat = house::Beat::start();
    for n in 0..usize::try_from(8 * RATE).unwrap() {
        camera.send(&blown[n % blown.len()], house::Beat::STEP);
        beat.next().await;
    }
    let end = camera.at;
    is_in_the_index(&house, end).await;
    assert_eq!(house.of("cho", begun, end).gaps, []);
    assert_eq!(house.lost("cho", GapReason::DiskSlow), 0);
    house.close().await;
    let all = movies_below(folder.path());
    let bytes: u64 = all.iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(bytes > 8 * 3_700_000, "{bytes}");
    assert_eq!(
        all.iter().map(|file| pictures_in(file)).sum::<u32>(),
        8 * RATE
    );
}

#[tokio::test]
async fn a_key_frame_a_minute_costs_a_second_at_most_and_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::open(folder.path(), vec![recorded("cho")]);
    let (mut camera, begun) = one(&house).await;
    let minute = drawn(160, 90, 20_000, 60 * RATE, 60 * RATE);
    assert_eq!(minute.iter().filter(|picture| picture.keyframe).count(), 1);
    camera.film_of(&minute, 200 * SECOND).await;
    let end = camera.at;
    is_in_the_index(&house, end).await;
    assert_eq!(house.of("cho", begun, end).gaps, []);
    // Just before a key frame everything since the one before has to be decoded; another way is not given.
    let at = begun + 119 * SECOND + Duration::from_millis(950);
    let units = house.archive.still(&key("cho"), micros(at), true).unwrap();
    assert!(units[0].keyframe);
    assert_eq!(units.len(), usize::try_from(60 * RATE).unwrap());
    house.close().await;
    // Segments begin with key frames where there are any.
    let all = movies_below(folder.path());
    assert!((3..=4).contains(&all.len()), "{all:?}");
    assert_eq!(
        all.iter().map(|file| pictures_in(file)).sum::<u32>(),
        200 * RATE
    );
}

#[tokio::test]
async fn wherever_key_frames_are_a_clip_begins_with_one() {
    // The second picture behind a part's end, or the first, or the last before it.
    for every in [9, 8, 7] {
        let folder = tempfile::tempdir().unwrap();
        let house = House::open(folder.path(), vec![recorded("cho")]);
        let (mut camera, begun) = one(&house).await;
        let pictures = drawn(160, 90, 20_000, every, every);
        for turn in 0..6 {
            camera.film_of(&pictures, SECOND * every / RATE).await;
            // A clock that is led takes a key frame for older than the picture before.
            if turn > 2 {
                camera.at -= house::Beat::STEP + Duration::from_millis(5);
            }
        }
        let end = camera.at;
        is_in_the_index(&house, end).await;
        let clip = folder.path().join("clip.mp4");
        let mut from = begun;
        while from + SECOND < end {
            let to = micros(from + SECOND);
            let movie = house.archive.movie(&key("cho"), micros(from), to).unwrap();
            write_movie(&movie, &clip);
            plays(&clip).unwrap();
            let units = house.archive.still(&key("cho"), micros(from), true);
            assert!(units.unwrap()[0].keyframe);
            // The picture that was to be seen then is the first one.
            let apart = movie.covered().start - micros(from).0;
            assert!((-115_000..=10_000).contains(&apart), "{apart} µs");
            from += Duration::from_millis(70);
        }
        house.close().await;
    }
}

#[tokio::test]
async fn a_time_of_day_that_is_days_ahead_or_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::open(folder.path(), vec![recorded("cho")]);
    let (mut camera, begun) = one(&house).await;
    camera.film(10 * SECOND).await;
    let first = camera.at;
    // Three days ahead, back to where it was, and an hour before that.
    let ahead = first + 3 * DAY;
    camera.at = ahead;
    camera.film(10 * SECOND).await;
    camera.at = first;
    camera.film(10 * SECOND).await;
    let second = camera.at;
    let before = begun - Duration::from_secs(3600);
    camera.at = before;
    camera.film(10 * SECOND).await;
    let last = camera.at;
    is_in_the_index(&house, last).await;
    is_in_the_index(&house, second).await;
    is_in_the_index(&house, ahead + 10 * SECOND).await;
    let there = |archive: &Archive| {
        for (from, to) in [
            (begun, second),
            (ahead, ahead + 10 * SECOND),
            (before, last),
        ] {
            let timeline = archive.timeline(&key("cho"), micros(from), micros(to));
            let timeline = timeline.unwrap();
            is_whole(&timeline, from, to);
            let of = |reason: &GapReason| *reason != GapReason::NotYet;
            let missing: Vec<_> = gaps(&timeline).into_iter().filter(of).collect();
            assert_eq!(missing, [], "{timeline:?}");
            let movie = archive
                .movie(&key("cho"), micros(from), micros(to))
                .unwrap();
            assert!(!movie.pieces.is_empty());
        }
        let (from, to) = (before - SECOND, ahead + 20 * SECOND);
        let timeline = archive.timeline(&key("cho"), micros(from), micros(to));
        is_whole(&timeline.unwrap(), from, to);
    };
    there(&house.archive);
    house.close().await;
    let pictures: u32 = movies_below(folder.path())
        .iter()
        .map(|file| pictures_in(file))
        .sum();
    assert_eq!(pictures, 40 * RATE);
    // The files alone say the same.
    std::fs::remove_file(folder.path().join("index.db")).unwrap();
    let archive = Archive::open(folder.path(), 0, &taimat_base::metrics::Registry::new());
    there(&archive.unwrap());
}

#[tokio::test]
async fn between_two_parts_that_are_hardly_apart_the_picture_is_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::open(folder.path(), vec![recorded("cho")]);
    let (mut camera, begun) = one(&house).await;
    camera.film(6 * SECOND).await;
    is_in_the_index(&house, camera.at).await;
    // Nothing comes until the part is closed; then the line goes on a little later than it was over.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let over = camera.at;
    camera.pause(Duration::from_millis(200));
    let next = camera.at;
    camera.film(6 * SECOND).await;
    let end = camera.at;
    is_in_the_index(&house, end).await;
    assert_eq!(house.of("cho", begun, end).gaps, [], "that is no gap");
    let shown = |at: SystemTime, exact| {
        let units = house.archive.still(&key("cho"), micros(at), exact);
        let units = units.unwrap();
        assert!(units.iter().all(|unit| unit.track == TrackKind::Video));
        assert!(units[0].keyframe);
        (units.last().unwrap().wall_time, units.len())
    };
    let near = |found: SystemTime, wanted: SystemTime| {
        let apart = micros(found).0 - micros(wanted).0;
        assert!(apart.abs() < 100, "{apart} µs: ticks are 11 µs");
    };
    let step = Duration::from_millis(1000 / u64::from(RATE));
    for at in [
        over - step / 2,
        over + Duration::from_millis(100),
        next - Duration::from_millis(1),
    ] {
        let (found, units) = shown(at, true);
        near(found, over - step);
        assert_eq!(
            units,
            usize::try_from(RATE).unwrap(),
            "from the key frame on"
        );
        // Not exactly: the key frame before.
        let (found, units) = shown(at, false);
        near(found, over - SECOND);
        assert_eq!(units, 1);
    }
    let (found, units) = shown(next, true);
    near(found, next);
    assert_eq!(units, 1);
    house.close().await;
}
