//! The router is killed at random moments while detections come: nothing that anybody was told of is
//! lost, and nothing is told twice.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a set-up that fails fails its test; the child says what it was told"
)]

mod house;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use house::{House, alerts, rule};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use taimat_base::tasks::Tasks;
use taimat_base::{CameraKey, clock};
use taimat_contract::{Detected, Detection, DetectionSink, UnixMicros};
use taimat_events::{DeliveryStatus, EventStore};

/// Where the child finds its folder.
const FOLDER: &str = "TAIMAT_KILLED_FOLDER";
/// The child sees nothing new, and ends when all are told.
const LAST: &str = "TAIMAT_KILLED_LAST";
const KILLS: u32 = 200;
/// Detections a second, each of something else.
const RATE: u64 = 20;

/// Detects without end, and says what it is told of and what it sends.
async fn detect(folder: &Path, last: bool) {
    let house = House::start_in(folder, alerts(vec![rule(&["desk", "boss"])])).await;
    house.say_aloud();
    let mut told = house.events.store().follow();
    println!("ready");
    if last {
        return until_all_are_told(&house).await;
    }
    let sink = Arc::clone(&house.events);
    let tasks = Tasks::new();
    tasks.spawn("detect", tracing::Span::none(), |_stop| async move {
        let plugin = "eye".parse().unwrap();
        for track in 0_u64.. {
            let camera = format!("c{}", track % RATE).parse().unwrap();
            let camera = CameraKey::new("thu".parse().unwrap(), camera);
            let detection = Detection {
                kind: "litter".into(),
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
            tokio::time::sleep(Duration::from_millis(1000 / RATE)).await;
        }
    });
    while let Ok(told) = told.recv().await {
        let line = format!("told {} {}\n", told.entry.seq, told.event.id);
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    }
}

async fn until_all_are_told(house: &House) {
    let commune = "thu".parse().unwrap();
    loop {
        let store = house.events.store();
        let waiting = store.deliveries(&commune, Some(DeliveryStatus::Waiting), None, None);
        let ruled = || {
            let mut after = 0;
            let (mut opened, mut ruled) = (BTreeSet::new(), BTreeSet::new());
            loop {
                let some = store.told_after(after).unwrap();
                let Some(newest) = some.last() else {
                    return opened == ruled;
                };
                after = newest.entry.seq;
                for told in some {
                    match told.entry.happening {
                        taimat_events::Happening::Opened => drop(opened.insert(told.event.id)),
                        taimat_events::Happening::Ruled { .. } => drop(ruled.insert(told.event.id)),
                        _ => {}
                    }
                }
            }
        };
        if waiting.unwrap().is_empty() && ruled() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_child_of_the_test_below() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        detect(Path::new(&folder), std::env::var_os(LAST).is_some()).await;
    }
}

/// What the children said, all together.
#[derive(Default)]
struct Said {
    /// Events by number of entry.
    told: BTreeMap<u64, String>,
    /// Texts by key.
    sent: BTreeMap<String, BTreeSet<String>>,
    /// Keys by target, in the order in which they were sent first.
    order: BTreeMap<String, Vec<String>>,
    messages: usize,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        match words[..] {
            ["told", seq, id] => {
                let Ok(seq) = seq.parse() else { return };
                let before = self.told.insert(seq, id.to_owned());
                assert_eq!(before, None, "entry {seq} was told twice");
            }
            ["sent", key, text] => {
                self.messages += 1;
                let target = text.split(' ').next().unwrap_or("").to_owned();
                if self
                    .sent
                    .entry(key.to_owned())
                    .or_default()
                    .insert(text.to_owned())
                {
                    self.order.entry(target).or_default().push(key.to_owned());
                }
            }
            _ => {}
        }
    }
}

fn child(folder: &Path, last: bool) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "the_child_of_the_test_below", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped());
    if last {
        command.env(LAST, "1");
    }
    command.spawn().unwrap()
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a moment at random, as a power cut has it"
)]
fn after_two_hundred_kills_all_is_there_and_everybody_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut moments = StdRng::seed_from_u64(7);
    let mut said = Said::default();
    for _ in 0..KILLS {
        let mut child = child(folder.path(), false);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // As many lines as there are until then, and then at any moment of the next.
        let until = moments.random_range(0..20);
        let (mut heard, mut ready, mut killed) = (0, false, false);
        for line in lines.map_while(Result::ok) {
            ready |= line.ends_with("ready");
            heard += usize::from(ready);
            said.hear(&line);
            if ready && heard >= until && !killed {
                killed = true;
                std::thread::sleep(Duration::from_micros(moments.random_range(0..8_000)));
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(killed, "the child ended by itself");
    }
    let mut last = child(folder.path(), true);
    for line in BufReader::new(last.stdout.take().unwrap()).lines() {
        said.hear(&line.unwrap());
    }
    assert!(last.wait().unwrap().success());
    check(folder.path(), &said);
}

fn check(folder: &Path, said: &Said) {
    let (store, damaged) = EventStore::open(Some(folder)).unwrap();
    assert_eq!(damaged, None);
    let mut after = 0;
    let mut kept: BTreeMap<u64, String> = BTreeMap::new();
    loop {
        let some = store.told_after(after).unwrap();
        let Some(newest) = some.last() else { break };
        after = newest.entry.seq;
        kept.extend(
            some.into_iter()
                .map(|told| (told.entry.seq, told.event.id.to_string())),
        );
    }
    let lost: Vec<_> = said
        .told
        .iter()
        .filter(|(seq, id)| kept.get(seq) != Some(id))
        .collect();
    let events: BTreeSet<&String> = kept.values().collect();
    let texts: Vec<&String> = said.sent.values().flatten().collect();
    let told_of = |target: &str, id: &str| {
        texts
            .iter()
            .any(|text| text.starts_with(target) && text.contains(id))
    };
    let pairs = || {
        events
            .iter()
            .flat_map(|id| ["desk", "boss"].map(|target| (target, *id)))
    };
    let missing: Vec<_> = pairs()
        .filter(|(target, id)| !told_of(target, id))
        .collect();
    let changed = said.sent.values().filter(|texts| texts.len() > 1).count();
    // The time is the first part of a key; those of one millisecond have no order.
    let disorder: usize = said
        .order
        .values()
        .map(|keys| {
            keys.windows(2)
                .filter(|two| two[0].get(..10) > two[1].get(..10))
                .count()
        })
        .sum();
    println!("| {KILLS} kills | |");
    println!("| --- | --- |");
    println!("| entries told | {} |", said.told.len());
    println!("| of them lost | {} |", lost.len());
    println!("| events on the disk | {} |", events.len());
    println!("| messages sent | {} |", said.messages);
    println!(
        "| of them repeats, with the same key | {} |",
        said.messages - said.sent.len()
    );
    println!("| repeats with another text | {changed} |");
    println!("| deliveries missing | {} |", missing.len());
    println!("| out of order at a target | {disorder} |");
    assert!(lost.is_empty(), "told and not there: {lost:?}");
    assert!(missing.is_empty(), "never told: {missing:?}");
    assert_eq!((changed, disorder), (0, 0));
    assert!(events.len() > 100, "{}", events.len());
}
