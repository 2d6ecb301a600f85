//! The router is killed at random moments while detections come: nothing that anybody was told of is
//! lost, and nothing is told twice.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a set-up that fails fails its test; the child says what it was told"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use taimat_base::metrics::Registry;
use taimat_base::tasks::Tasks;
use taimat_base::{CameraKey, clock};
use taimat_contract::{Detected, Detection, DetectionSink, UnixMicros};
use taimat_events::{Condition, Conditions, EventStore, Events};

/// Where the child finds its folder.
const FOLDER: &str = "TAIMAT_KILLED_FOLDER";
const KILLS: u32 = 200;

#[derive(Debug)]
struct AllIsWell;

impl Conditions for AllIsWell {
    fn conditions(&self) -> Vec<Condition> {
        Vec::new()
    }
}

/// Detects without end, twenty things at a time, and says what it is told of.
async fn detect(folder: &Path) {
    let (store, damaged) = EventStore::open(Some(folder)).unwrap();
    assert_eq!(damaged, None);
    let events = Arc::new(Events::new(Arc::new(store), &Registry::new()).unwrap());
    let mut told = events.store().follow();
    let tasks = Tasks::new();
    events.run(&tasks, Arc::new(AllIsWell));
    let sink = Arc::clone(&events);
    tasks.spawn("detect", tracing::Span::none(), |_stop| async move {
        let plugin = "line".parse().unwrap();
        for track in 0_u64.. {
            let camera = CameraKey::new(
                "thu".parse().unwrap(),
                format!("c{}", track % 20).parse().unwrap(),
            );
            let detection = Detection {
                kind: "line-crossed".into(),
                at: UnixMicros::from(clock::wall()),
                confidence: 0.9,
                regions: vec![],
                track: Some(track),
                text: String::new(),
                extra: vec![],
            };
            sink.publish(&Detected {
                camera: &camera,
                plugin: &plugin,
                detections: &[detection],
                frame: None,
            });
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    println!("ready");
    while let Ok(told) = told.recv().await {
        let line = format!(
            "{} {} {}\n",
            told.entry.seq, told.event.id, told.entry.revision
        );
        // One write, so that a kill leaves no half of a line.
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    }
}

#[tokio::test]
async fn the_child_of_the_test_below() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        detect(Path::new(&folder)).await;
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a moment at random, as a power cut has it"
)]
fn what_was_told_is_there_after_two_hundred_kills() {
    let folder = tempfile::tempdir().unwrap();
    let mut moments = StdRng::seed_from_u64(7);
    // By number of entry: the event and its revision.
    let mut told: BTreeMap<u64, (String, u32)> = BTreeMap::new();
    for _ in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_child_of_the_test_below", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // As many as are told until then, and then at any moment of the next.
        let until = moments.random_range(0..40);
        let (mut heard, mut killed) = (0, false);
        for line in lines.map_while(Result::ok) {
            let mut words = line.split(' ');
            if let (Some(seq), Some(id), Some(revision)) =
                (words.next(), words.next(), words.next())
                && let (Ok(seq), Ok(revision)) = (seq.parse(), revision.parse())
            {
                let entry = (id.to_owned(), revision);
                assert_eq!(told.insert(seq, entry), None, "entry {seq} was told twice");
                heard += 1;
            }
            let ready = heard > 0 || line.ends_with("ready");
            if ready && heard >= until && !killed {
                killed = true;
                std::thread::sleep(Duration::from_micros(moments.random_range(0..8_000)));
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(killed, "the child ended by itself");
    }
    let (store, damaged) = EventStore::open(Some(folder.path())).unwrap();
    assert_eq!(damaged, None);
    let mut last = 0;
    let mut kept: BTreeMap<u64, (String, u32)> = BTreeMap::new();
    loop {
        let some = store.told_after(last).unwrap();
        let Some(newest) = some.last() else { break };
        last = newest.entry.seq;
        kept.extend(some.into_iter().map(|told| {
            let entry = (told.event.id.to_string(), told.entry.revision);
            (told.entry.seq, entry)
        }));
    }
    let lost: Vec<_> = told
        .iter()
        .filter(|(seq, entry)| kept.get(seq) != Some(entry))
        .collect();
    let events: BTreeSet<_> = kept.values().map(|(id, _)| id).collect();
    println!(
        "{KILLS} kills: {} entries told, {} on the disk, {} events, {} lost",
        told.len(),
        kept.len(),
        events.len(),
        lost.len()
    );
    assert!(lost.is_empty(), "told and not there: {lost:?}");
    assert!(told.len() > 1_000, "{}", told.len());
    // The same revision is never two entries.
    let revisions: BTreeSet<_> = kept.values().collect();
    assert_eq!(revisions.len(), kept.len());
}
