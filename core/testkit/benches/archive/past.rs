//! What finding and taking out costs, deep in the past.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use taimat_base::{CameraKey, Profile};
use taimat_evidence::{NewRoot, init};
use taimat_hub::ChannelKey;
use taimat_testkit::measured::{MeasuredRouter, body, child};

use super::cameras::url;
use super::volume::Volume;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// Days of the past.
const DAYS: u32 = 30;
/// Segments whose files are there: of a bit more than the newest hour, and of the oldest minutes.
const NEAR: u32 = 65;
const FAR: u32 = 12;
/// Questions of a kind.
const QUESTIONS: u32 = 60;
const RATE: u32 = 25;
/// A camera of fewer pictures, so that the index of thirty for a month fits onto a small disk.
const FEW: u32 = 5;

/// An archive with a past.
struct Past {
    volume: Volume,
    place: tempfile::TempDir,
    /// When the segment that was repeated begins.
    start: i64,
    /// How long each is.
    length: i64,
    segments: u32,
}

fn key(camera: usize) -> ChannelKey {
    let camera = format!("c{camera}").parse().unwrap();
    ChannelKey::new(
        CameraKey::new("bench".parse().unwrap(), camera),
        Profile::Main,
    )
}

fn sections(cameras: usize, address: &str) -> Vec<(String, String)> {
    let lines = |i| {
        let archive = "archive = { mode = \"continuous\", keep-days = 60, keep-event-days = 60 }";
        format!("main = \"{}\"\n{archive}\n", url(address, i))
    };
    (0..cameras).map(|i| (format!("c{i}"), lines(i))).collect()
}

fn open(folder: &Path, archive: &Path, cameras: &[(String, String)]) -> MeasuredRouter {
    let cameras: Vec<(&str, String)> = cameras
        .iter()
        .map(|(name, lines)| (name.as_str(), lines.clone()))
        .collect();
    let more = [
        "--archive",
        archive.to_str().unwrap(),
        "--archive-floor",
        "1MiB",
    ];
    MeasuredRouter::start(&super::router(), folder, &cameras, &more).unwrap()
}

impl Past {
    /// Records a minute, and repeats it.
    fn new(gib: u64, rate: u32, cameras: usize, days: u32, near: u32, far: u32) -> Self {
        let volume = Volume::new(gib);
        let place = tempfile::tempdir().unwrap();
        let archive = volume.folder().join("archive");
        let (mut camera, address) =
            child(&["child-cameras".into(), "1".into(), rate.to_string()]).unwrap();
        let router = open(place.path(), &archive, &sections(1, &address));
        router.wait_for_cameras(1).unwrap();
        let start = whole_segment(&archive);
        drop(router);
        camera.kill().unwrap();
        camera.wait().unwrap();
        let segments = days * 1440;
        let streams: Vec<ChannelKey> = (0..cameras).map(key).collect();
        let with_file =
            |place: usize, back: u32| place == 0 && (back <= near || back > segments - far);
        let length =
            taimat_archive::backdate(&archive, &key(0), &streams, segments, &with_file).unwrap();
        Self {
            volume,
            place,
            start,
            length,
            segments,
        }
    }

    fn archive(&self) -> PathBuf {
        self.volume.folder().join("archive")
    }

    fn open(&self, cameras: usize) -> MeasuredRouter {
        open(
            self.place.path(),
            &self.archive(),
            &sections(cameras, "127.0.0.1:9"),
        )
    }

    /// When a segment begins that is so many before the one that was repeated.
    fn back(&self, segments: u32) -> i64 {
        self.start - i64::from(segments) * self.length
    }
}

/// Waits until a whole minute is recorded; when it begins.
fn whole_segment(archive: &Path) -> i64 {
    let begin = Instant::now();
    loop {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let index = Connection::open_with_flags(archive.join("index.db"), flags);
        let found = index.ok().and_then(|index| {
            let newest = "SELECT start FROM segment WHERE state = 1 AND end - start > 50000000";
            index.query_row(newest, [], |row| row.get(0)).ok()
        });
        if let Some(start) = found {
            return start;
        }
        assert!(begin.elapsed() < Duration::from_secs(180), "no minute");
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Milliseconds until the first byte behind the header of an answer, and bytes of all.
fn first_byte(router: &MeasuredRouter, method: &str, path: &str) -> (f64, u64) {
    let begin = Instant::now();
    let mut answer = router.send(method, path).unwrap();
    let mut head = Vec::new();
    let mut buffer = vec![0; 256 << 10];
    let mut first = None;
    let mut bytes = 0;
    loop {
        let read = answer.read(&mut buffer).unwrap();
        if read == 0 {
            break;
        }
        bytes += read as u64;
        if first.is_none() {
            head.extend_from_slice(&buffer[..read]);
            let end = head.windows(4).position(|four| four == b"\r\n\r\n");
            if end.is_some_and(|end| head.len() > end + 4) {
                let status = String::from_utf8_lossy(&head[..head.len().min(12)]).into_owned();
                assert!(status.ends_with("200"), "{path}: {status}");
                first = Some(begin.elapsed());
            }
        }
    }
    (first.expect("an answer").as_secs_f64() * 1000.0, bytes)
}

fn shown(what: &str, mut times: Vec<f64>, aim: &str) {
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times[((times.len() - 1) as f64 * part).round() as usize];
    println!("| {what} | {:.1} | {:.1} | {aim} |", at(0.5), at(0.95));
}

pub(crate) fn measure() {
    let past = Past::new(8, RATE, 1, DAYS, NEAR, FAR);
    println!("\n30 days of one camera, 1280x720 at {RATE} fps, 2 Mbit/s\n");
    println!("| what | median ms | p95 ms | aim |\n| --- | --- | --- | --- |");
    let router = past.open(1);
    router.wait_for_cameras(0).unwrap();
    let movie = |at: i64, seconds: i64| {
        let to = at + seconds * SECOND;
        format!("/api/v1/communes/bench/cameras/c0/recordings/movie.mp4?from={at}&to={to}")
    };
    for (what, deepest) in [("an hour", 62), ("30 days", past.segments - 1)] {
        let times = (0..QUESTIONS).map(|n| {
            // Another moment each time.
            let at = past.back(deepest - n % 10) + i64::from(n) * 700_000;
            first_byte(&router, "GET", &movie(at, 10)).0
        });
        shown(
            &format!("first byte of 10 s, {what} deep"),
            times.collect(),
            "–",
        );
    }
    for (what, length, aim) in [("a day", DAY, "5"), ("30 days", 30 * DAY, "50")] {
        let times = (0..QUESTIONS).map(|n| {
            let to = past.start - i64::from(n % 3) * SECOND;
            let path = format!(
                "/api/v1/communes/bench/recordings?from={}&to={to}&cameras=c0",
                to - length
            );
            first_byte(&router, "GET", &path).0
        });
        shown(&format!("timeline of {what}"), times.collect(), aim);
    }
    let times = (0..20).map(|n| {
        let at = past.back(60) + i64::from(n) * 1_300_000;
        let path = "/api/v1/communes/bench/cameras/c0/recordings/picture.jpg";
        first_byte(&router, "GET", &format!("{path}?at={at}&width=160")).0
    });
    shown("a picture of 160 pixels", times.collect(), "–");
    println!(
        "\n| taken out | first byte median ms | p95 ms | aim | CPU s a GB |\n| --- | --- | --- | --- | --- |"
    );
    for (what, seconds, turns, aim) in [("10 s", 10, 20, "10"), ("an hour", 3600, 3, "50")] {
        let at = past.back(61);
        taken_out(&router, &format!("{what}, as a file"), turns, aim, || {
            first_byte(&router, "GET", &movie(at, seconds))
        });
    }
    export(&past, &router, "re-hashed, no key");
    drop(router);
    let root = NewRoot {
        organization: "Thử nghiệm",
        key_file: &past.place.path().join("root.key"),
        passphrase: "một mật khẩu dài",
    };
    let data = past.place.path().join("data");
    let now = past.start / SECOND;
    init(&data.join("evidence"), &data, &root, now).unwrap();
    let router = past.open(1);
    router.wait_for_cameras(0).unwrap();
    export(&past, &router, "signed");
}

fn export(past: &Past, router: &MeasuredRouter, how: &str) {
    for (what, seconds, turns, aim) in [("10 s", 10, 20, "10"), ("an hour", 3600, 3, "50")] {
        let from = past.back(61);
        let to = from + seconds * SECOND;
        taken_out(router, &format!("{what}, {how}"), turns, aim, || {
            let begin = Instant::now();
            let order = format!(
                "{{\"cameras\":[\"c0\"],\"from\":{from},\"to\":{to},\"who\":\"Lan\",\
                 \"why\":\"đo\",\"case_number\":\"1\"}}"
            );
            let path = "/api/v1/communes/bench/exports";
            let answer = body(router.send_body("POST", path, &order).unwrap()).unwrap();
            let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
            let url = answer["files"][0]["url"].as_str().unwrap();
            let asked = begin.elapsed().as_secs_f64() * 1000.0;
            let (first, bytes) = first_byte(router, "GET", url);
            (asked + first, bytes)
        });
    }
}

fn taken_out(
    router: &MeasuredRouter,
    what: &str,
    turns: u32,
    aim: &str,
    mut one: impl FnMut() -> (f64, u64),
) {
    // What is not in memory yet is the disk's time, not ours.
    one();
    let before = router.cpu_seconds().unwrap();
    let (mut times, mut all) = (Vec::new(), 0);
    for _ in 0..turns {
        let (first, bytes) = one();
        times.push(first);
        all += bytes;
    }
    let cpu = router.cpu_seconds().unwrap() - before;
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times[((times.len() - 1) as f64 * part).round() as usize];
    let a_gb = cpu / (all as f64 / 1e9);
    println!(
        "| {what} | {:.1} | {:.1} | {aim} | {a_gb:.2} |",
        at(0.5),
        at(0.95)
    );
}

/// How long a start takes on many cameras' long past.
pub(crate) fn measure_start(cameras: usize, days: u32) {
    println!("\nstart until the router answers, s (median of 5)");
    let begin = Instant::now();
    let past = Past::new(20, FEW, cameras, days, 1, 0);
    let index = past.volume.bytes_of("index.db") as f64 / 1e9;
    let made = begin.elapsed();
    println!(
        "{cameras} cameras × {} segments: the index has {index:.1} GB (made in {made:.0?})",
        past.segments
    );
    let empty = Volume::new(1);
    let folder = tempfile::tempdir().unwrap();
    let long = || started(&past.open(cameras));
    let none = || {
        let sections = sections(cameras, "127.0.0.1:9");
        started(&open(
            folder.path(),
            &empty.folder().join("archive"),
            &sections,
        ))
    };
    // Once cold, as after the machine was switched on.
    forget();
    println!(
        "with a past, nothing of it in memory: {:.2}",
        started(&past.open(cameras))
    );
    println!("with a past: {:.2}", median(long));
    println!("without: {:.2}", median(none));
}

fn median(mut one: impl FnMut() -> f64) -> f64 {
    let mut times: Vec<f64> = (0..5).map(|_| one()).collect();
    times.sort_by(f64::total_cmp);
    times[2]
}

/// Seconds until it answers what was recorded of a camera in the last day.
fn started(router: &MeasuredRouter) -> f64 {
    let begin = Instant::now();
    router.wait_for_cameras(0).unwrap();
    let to = 2_000_000_000 * SECOND;
    let path = format!(
        "/api/v1/communes/bench/recordings?from={}&to={to}&cameras=c0",
        to - DAY
    );
    router.get(&path).unwrap();
    begin.elapsed().as_secs_f64()
}

/// Drops what the kernel has in memory of files, if this may.
fn forget() {
    nix::unistd::sync();
    let _dropped = std::fs::write("/proc/sys/vm/drop_caches", "3");
}
