//! Recording in the whole router: a real camera, its timeline, a clip that others play, an export that is
//! proven genuine, a restart, and a disk that rots.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a set-up that fails fails its test"
)]

mod common;

use std::path::{Path, PathBuf};

use common::{Bench, LIMIT, main_only};
use serde_json::{Value, json};
use taimat_evidence::{NewRoot, Trust, Verdict, init, verify_file};
use taimat_server::Options;
use taimat_testkit::movies::{movies_below, plays};
use taimat_testkit::{GstCamera, GstOptions, eventually};

const ARCHIVE: &str = "\n[archive]\nmode = \"continuous\"\n";
const CAMERA: &str = "/api/v1/communes/thu/cameras/cho/recordings";
const SECOND: i64 = 1_000_000;

async fn bench(camera: &GstCamera, data: &Path) -> Bench {
    let cameras = [("cho", main_only(&camera.url()) + ARCHIVE)];
    let data = Some(data.to_owned());
    Bench::start_with(&cameras, |options| Options {
        data,
        archive_floor: 0,
        ..options
    })
    .await
}

fn now() -> i64 {
    taimat_contract::UnixMicros::from(taimat_base::clock::wall()).0
}

async fn timeline(bench: &Bench, from: i64, to: i64) -> Value {
    let path = format!("/api/v1/communes/thu/recordings?from={from}&to={to}&cameras=cho");
    bench.get(&path).await["cameras"][0].clone()
}

/// When a stretch of so many seconds that is recorded ends.
async fn recorded(bench: &Bench, seconds: i64) -> i64 {
    eventually("some seconds are recorded", LIMIT, async || {
        let now = now();
        let timeline = timeline(bench, now - 120 * SECOND, now).await;
        let last = timeline["recorded"].as_array()?.last()?.clone();
        let (start, end) = (last["start"].as_i64()?, last["end"].as_i64()?);
        (end - start >= seconds * SECOND).then_some(end)
    })
    .await
}

async fn bytes(bench: &Bench, path: String) -> Result<Vec<u8>, reqwest::Error> {
    let response = reqwest::get(bench.url(&path)).await?.error_for_status()?;
    Ok(response.bytes().await?.to_vec())
}

async fn export(bench: &Bench, from: i64, to: i64, case_number: &str) -> (u16, Value) {
    let request = reqwest::Client::new().post(bench.url("/api/v1/communes/thu/exports"));
    let body = json!({"cameras": ["cho"], "from": from, "to": to, "who": "Lan",
        "why": "trộm xe", "case_number": case_number});
    let request = request.header("content-type", "application/json");
    let response = request.body(body.to_string()).send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

fn keys(data: &Path, stick: &Path) -> Trust {
    let folder = data.join("evidence");
    let root = NewRoot {
        organization: "UBND phường Thu",
        key_file: &stick.join("root.key"),
        passphrase: "một mật khẩu dài",
    };
    init(&folder, data, &root, now() / 1000).unwrap();
    let root = std::fs::read_to_string(folder.join("root.pem")).unwrap();
    Trust::read(&root, None).unwrap()
}

/// Turns a bit of what is near the end of the clip, wherever it was recorded; false if it is nowhere.
fn rot(segments: &[PathBuf], clip: &[u8]) -> bool {
    // What is looked for may by chance lie across two parts, which are not neighbours on the disk.
    let needles = (1..100).filter_map(|n| clip.len().checked_sub(100 * n));
    for place in needles {
        let needle = &clip[place..place + 64];
        for segment in segments {
            let mut bytes = std::fs::read(segment).unwrap();
            // A scene that stands still is the same bytes again and again: wherever they are.
            let found = bytes.windows(64).enumerate();
            let found: Vec<usize> = found
                .filter_map(|(at, bytes)| (bytes == needle).then_some(at))
                .collect();
            if !found.is_empty() {
                found.into_iter().for_each(|at| bytes[at] ^= 1);
                std::fs::write(segment, &bytes).unwrap();
                return true;
            }
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_camera_shows_is_kept_played_and_proven() {
    let camera = GstCamera::start(&GstOptions::default()).await.unwrap();
    let (data, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let trust = keys(data.path(), stick.path());
    let bench = bench(&camera, data.path()).await;
    let end = recorded(&bench, 8).await;
    let (from, to) = (end - 6 * SECOND, end - 2 * SECOND);

    // What was asked for is all there.
    let asked = timeline(&bench, from, to).await;
    assert_eq!(asked["recorded"], json!([{"start": from, "end": to}]));
    assert_eq!(asked["gaps"], json!([]));

    // As one file, as a playlist, as a picture.
    let movie = bytes(&bench, format!("{CAMERA}/movie.mp4?from={from}&to={to}"));
    let movie = movie.await.unwrap();
    let file = stick.path().join("movie.mp4");
    std::fs::write(&file, &movie).unwrap();
    plays(&file).unwrap();
    let request = reqwest::Client::new()
        .get(bench.url(&format!("{CAMERA}/movie.mp4?from={from}&to={to}")))
        .header("range", "bytes=100-199");
    let part = request.send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.bytes().await.unwrap(), movie[100..200]);
    let playlist = bytes(
        &bench,
        format!("{CAMERA}/playlist.m3u8?from={from}&to={to}"),
    );
    let playlist = String::from_utf8(playlist.await.unwrap()).unwrap();
    // The minute that it is cut at may lie within it, or before it.
    let map = playlist
        .lines()
        .find(|l| l.starts_with("#EXT-X-MAP:URI=\"segments/"));
    assert!(
        map.is_some_and(|map| map.contains(".mp4?profile=main\"")),
        "{playlist}"
    );
    assert!(playlist.ends_with("#EXT-X-ENDLIST\n"), "{playlist}");
    let picture = bytes(&bench, format!("{CAMERA}/picture.jpg?at={from}&width=160"));
    assert_eq!(picture.await.unwrap()[..3], [0xFF, 0xD8, 0xFF]);
    let longer = bytes(&bench, format!("{CAMERA}/movie.mp4?from=0&to={to}")).await;
    assert_eq!(longer.unwrap_err().status().unwrap(), 422);

    // Taken out, it is genuine; without a case number it is not taken out.
    assert_eq!(export(&bench, from, to, " ").await.0, 422);
    let (status, exported) = export(&bench, from, to, "12/2026").await;
    assert_eq!(status, 201, "{exported}");
    assert_eq!(exported["signed"], true);
    let url = exported["files"][0]["url"].as_str().unwrap().to_owned();
    let clip = bytes(&bench, url.clone()).await.unwrap();
    assert_eq!(
        exported["files"][0]["bytes"].as_u64().unwrap(),
        clip.len() as u64
    );
    let file = stick.path().join("clip.mp4");
    std::fs::write(&file, &clip).unwrap();
    plays(&file).unwrap();
    let mut read = std::fs::File::open(&file).unwrap();
    let report = verify_file(&mut read, &trust, now() / 1000).unwrap();
    assert_eq!(report.verdict, Verdict::Genuine, "{report}");
    let log = std::fs::read_dir(data.path().join("archive/audit"))
        .unwrap()
        .next();
    let log = std::fs::read_to_string(log.unwrap().unwrap().path()).unwrap();
    assert!(log.contains("trộm xe") && log.contains("12/2026"), "{log}");

    // A disk that rots hands nothing out, and that is an event.
    assert!(rot(&movies_below(&data.path().join("archive")), &clip));
    assert!(bytes(&bench, url.clone()).await.is_err());
    eventually("it is an event", LIMIT, async || {
        let path = "/api/v1/communes/thu/events?kind=archive-damaged";
        bench.get(path).await["events"].get(0).cloned()
    })
    .await;
    bench.router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_restart_it_is_said_that_the_router_did_not_run() {
    let camera = GstCamera::start(&GstOptions::default()).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let first = bench(&camera, data.path()).await;
    recorded(&first, 3).await;
    first.router.stop().await;
    drop(first);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let second = bench(&camera, data.path()).await;
    let reasons = eventually("it is recorded again", LIMIT, async || {
        let now = now();
        let timeline = timeline(&second, now - 120 * SECOND, now).await;
        (timeline["recorded"].as_array()?.len() == 2).then_some(timeline["gaps"].clone())
    })
    .await;
    let reasons: Vec<&str> = reasons
        .as_array()
        .unwrap()
        .iter()
        .map(|gap| gap["reason"].as_str().unwrap())
        .collect();
    assert!(reasons.contains(&"router-stopped"), "{reasons:?}");
    second.router.stop().await;
}
