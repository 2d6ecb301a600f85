//! Killed again and again while it records: a second is lost at most, nothing that the index names is missing,
//! and every file plays.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a set-up that fails fails its test"
)]

mod house;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use house::{House, PICTURES, RATE, files, key, micros, pictures_in, recorded};
use taimat_archive::{Archive, CameraArchive};
use taimat_base::metrics::Registry;

const CAMERAS: usize = 20;
/// Says to this program that it is to record, and where.
const FOLDER: &str = "TAIMAT_TEST_RECORD_TO";

fn cameras() -> Vec<CameraArchive> {
    (0..CAMERAS).map(|n| recorded(&name(n))).collect()
}

fn name(n: usize) -> String {
    format!("camera-{n}")
}

/// Records twenty cameras until somebody kills it. Run by the test below, as a process of its own.
#[test]
fn records_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    // Drawn before it is said that it runs.
    let _drawn = PICTURES.len();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let house = House::open(Path::new(&folder), cameras());
        let begun = SystemTime::now();
        let mut all: Vec<_> = (0..CAMERAS)
            .map(|n| house.camera(&name(n), begun))
            .collect();
        let step = Duration::from_millis(1000 / u64::from(RATE));
        let mut due = tokio::time::Instant::now();
        println!("records");
        loop {
            for camera in &mut all {
                camera.picture();
            }
            due += step;
            tokio::time::sleep_until(due).await;
        }
    });
}

#[test]
fn a_kill_costs_a_second() {
    // `KILLS=100` for the whole proof: it takes minutes.
    let kills: u32 = std::env::var("KILLS").map_or(6, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut worst = Duration::ZERO;
    for round in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "records_until_it_is_killed", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It says so when it begins.
        let mut said = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("records\n") {
            line.clear();
            let read = std::io::BufRead::read_line(&mut said, &mut line).unwrap();
            assert!(read > 0, "it ended by itself");
        }
        // Not always at the same place of a second.
        std::thread::sleep(Duration::from_millis(2500 + u64::from(round * 137 % 1000)));
        let killed = SystemTime::now();
        child.kill().unwrap();
        child.wait().unwrap();
        worst = worst.max(lost(folder.path(), killed));
    }
    println!("killed {kills} times: {worst:?} lost at most");
    // A machine that does other things meanwhile may be late; the proof is run on one that does not.
    let most = match std::env::var_os("KILLS") {
        Some(_) => Duration::from_secs(1),
        None => Duration::from_millis(1500),
    };
    assert!(worst <= most, "{worst:?} were lost");

    let all = files(folder.path());
    assert!(all.len() >= CAMERAS * kills as usize, "{} files", all.len());
    // Each in turn takes minutes with a hundred kills: some of each.
    for file in all.iter().step_by((all.len() / 60).max(1)) {
        assert!(pictures_in(file) > 0, "{}", file.display());
    }
}

/// How much of the time before the kill is missing, of the camera of which most is.
fn lost(folder: &Path, killed: SystemTime) -> Duration {
    // Puts in order what the kill has left.
    let archive = Archive::open(folder, 0, &Registry::new()).unwrap();
    let from = micros(killed - Duration::from_secs(2));
    let of = |n| {
        let timeline = archive
            .timeline(&key(&name(n)), from, micros(killed))
            .unwrap();
        let end = timeline.recorded.last().map_or(from, |last| last.end);
        let movie = archive.movie(&key(&name(n)), from, micros(killed)).unwrap();
        // What the index names is there.
        for piece in &movie.pieces {
            let length = std::fs::metadata(&piece.path).unwrap().len();
            assert!(
                length >= piece.offset + piece.bytes,
                "{}",
                piece.path.display()
            );
        }
        micros(killed).since(end)
    };
    (0..CAMERAS).map(of).max().unwrap()
}
