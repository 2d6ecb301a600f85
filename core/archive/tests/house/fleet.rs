//! Twenty cameras that are recorded by a process of its own, until somebody stops it.

#![allow(
    clippy::print_stdout,
    reason = "that is how the process says that it records"
)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime};

use taimat_archive::{Archive, CameraArchive};
use taimat_base::clock;
use taimat_base::metrics::Registry;

use super::{Beat, Camera, House, PICTURES, key, micros, recorded};

pub(crate) const CAMERAS: usize = 20;
/// Says to this program that it is to record, and where.
const FOLDER: &str = "TAIMAT_TEST_RECORD_TO";

fn cameras() -> Vec<CameraArchive> {
    (0..CAMERAS).map(|n| recorded(&name(n))).collect()
}

pub(crate) fn name(n: usize) -> String {
    format!("camera-{n}")
}

/// If this process is told to it records until somebody kills it.
pub(crate) fn record_if_told() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    // Drawn before it is said that it runs.
    let _drawn = PICTURES.len();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let house = House::open(Path::new(&folder), cameras());
        let begun = clock::wall();
        let mut all: Vec<_> = (0..CAMERAS)
            .map(|n| house.camera(&name(n), begun))
            .collect();
        let mut beat = Beat::start();
        println!("records");
        loop {
            all.iter_mut().for_each(Camera::picture);
            beat.next().await;
        }
    });
}

/// A process that records. It ends with this.
pub(crate) struct Fleet {
    child: Child,
    /// What it says is not read any more; but a process that nobody listens to dies of saying something, and a
    /// test that takes a minute says so.
    _said: BufReader<ChildStdout>,
}

impl Fleet {
    /// Starts one: `test` is the one that calls [`record_if_told`]. Returns when it records.
    pub(crate) fn start(test: &str, folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(FOLDER, folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It says so when it begins.
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("records\n") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "it ended by itself");
        }
        Self { child, _said: said }
    }

    /// Kills it.
    pub(crate) fn kill(mut self) {
        assert!(
            self.child.try_wait().unwrap().is_none(),
            "it ended by itself"
        );
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// How much of the time before a moment is missing, of the camera of which most is, after what was left there
/// was put in order.
pub(crate) fn lost(folder: &Path, stopped: SystemTime) -> Duration {
    let archive = Archive::open(folder, 0, &Registry::new()).unwrap();
    let from = micros(stopped - Duration::from_secs(10));
    let of = |n| {
        let timeline = archive
            .timeline(&key(&name(n)), from, micros(stopped))
            .unwrap();
        let end = timeline.recorded.last().map_or(from, |last| last.end);
        let movie = archive
            .movie(&key(&name(n)), from, micros(stopped))
            .unwrap_or_else(|error| {
                let minute = micros(stopped - Duration::from_secs(60));
                let timeline = archive.timeline(&key(&name(n)), minute, micros(stopped));
                panic!(
                    "ten seconds of {} are missing: {error}; {timeline:?}",
                    name(n)
                )
            });
        // What the index names is there.
        for piece in &movie.pieces {
            let length = std::fs::metadata(&piece.path).unwrap().len();
            assert!(
                length >= piece.offset + piece.bytes,
                "{}",
                piece.path.display()
            );
        }
        micros(stopped).since(end)
    };
    (0..CAMERAS).map(of).max().unwrap()
}
