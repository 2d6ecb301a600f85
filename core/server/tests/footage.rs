//! The first-party detectors on real footage: people who walk across a yard, filmed from above for 80 s
//! (`vtest.avi` of Debian's package opencv-doc; PETS 2009). Prints a table; see it with `--nocapture`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a set-up that fails fails its test, and the table is what it is run for"
)]

use std::path::Path;

use taimat_author::recording::{Film, Recording};
use taimat_author::trial::{Outcome, run};
use taimat_sandbox::limits::LimitSettings;
use taimat_testkit::plugins;
use taimat_testkit::yard::{self, Yard};

/// When somebody's middle passes the middle of the picture, in seconds: read off the picture's middle
/// column, frame beside frame. In the first 14 seconds people stand there, and between 61 and 65 a
/// group passes close to the camera: who counts those crossings is right whatever the number.
const CROSSINGS: [f64; 26] = [
    15.8, 18.0, 21.9, 25.4, 27.9, 28.8, 31.1, 33.1, 34.6, 34.9, 36.2, 46.3, 48.8, 53.0, 56.3, 59.2,
    64.0, 67.9, 68.9, 70.0, 70.6, 74.5, 75.1, 77.3, 78.2, 79.0,
];
const FIRST: f64 = 14.5;
const GROUP: std::ops::Range<f64> = 61.0..65.0;

fn recording(folder: &Path) -> Recording {
    let yard = Yard {
        filter: "scale=640:-2",
        rate: 10,
        bitrate: None,
    };
    let clip = yard::encoded(&yard, folder).unwrap();
    let recording = Recording::open(clip.to_str().unwrap(), Film::default()).unwrap();
    assert_eq!(recording.len(), yard::PICTURES);
    recording
}

async fn watch(plugin: &str, settings: &str, recording: &Recording) -> Outcome {
    let limits = LimitSettings {
        cpu: Some(std::time::Duration::from_secs(1)),
        wall: Some(std::time::Duration::from_secs(10)),
        ..LimitSettings::default()
    };
    let package = plugins::package(plugin).unwrap();
    run(&package, settings, &limits, recording).await.unwrap()
}

#[tokio::test]
async fn people_in_a_yard() {
    let folder = tempfile::tempdir().unwrap();
    let recording = recording(folder.path());

    // There is always somebody walking.
    let motion = watch("detect-motion", "{}", &recording).await;
    let late = |time: &&std::time::Duration| time.as_secs_f64() > 10.0;
    let (frames, seen) = (
        motion.frames.iter().filter(late).count(),
        motion.seen.iter().map(|(at, _)| at).filter(late).count(),
    );
    println!("motion: in {seen} of {frames} frames");
    assert!(seen * 100 >= frames * 97, "{seen} of {frames}");

    // Nobody leaves anything, nobody touches the camera.
    let litter = watch("detect-litter", r#"{ "after-seconds": 20 }"#, &recording).await;
    let tamper = watch("detect-tamper", "{}", &recording).await;
    println!(
        "litter: {}, tamper: {}",
        litter.seen.len(),
        tamper.seen.len()
    );
    assert!(litter.seen.is_empty() && tamper.seen.is_empty());

    let settings = r#"{ "lines": [{ "name": "middle", "from": [0.5, 1.0], "to": [0.5, 0.0] }] }"#;
    let line = watch("detect-line", settings, &recording).await;
    let times = line.seen.iter().map(|(at, _)| at.as_secs_f64());
    let mut told: Vec<f64> = times.filter(|at| *at >= FIRST).collect();
    let mut hits = 0;
    for crossing in CROSSINGS {
        let off = |at: &f64| (at - crossing).abs();
        let nearest = (0..told.len()).min_by(|a, b| off(&told[*a]).total_cmp(&off(&told[*b])));
        if let Some(at) = nearest.filter(|at| off(&told[*at]) <= 0.8) {
            told.remove(at);
            hits += 1;
        }
    }
    told.retain(|at| !GROUP.contains(at));
    let (recall, precision) = (
        f64::from(hits) / CROSSINGS.len() as f64,
        f64::from(hits) / (f64::from(hits) + told.len() as f64),
    );
    println!(
        "line: {hits} of {}, precision {precision:.2}, recall {recall:.2}, false {told:?}",
        CROSSINGS.len()
    );
    assert!(
        recall >= 0.75 && precision >= 0.7,
        "{hits} hits, false {told:?}"
    );
}
