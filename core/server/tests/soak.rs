//! Every guest there is, a hundred thousand calls long: none of them grows.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a set-up that fails fails its test, and the table is worth reading"
)]

use std::sync::Arc;
use std::time::Duration;

use taimat_author::recording::{Film, Recording};
use taimat_contract::UnixMicros;
use taimat_sandbox::Trial;
use taimat_sandbox::limits::LimitSettings;
use taimat_simulate::SceneKind;
use taimat_testkit::plugins;
use taimat_vision::{Picture, Sampler};

const CALLS: u64 = 100_000;
/// What a detector keeps of a street has its size by then.
const SETTLED: u64 = 10_000;

const LINE: &str = r#"{ "lines": [{ "name": "road", "from": [0.5, 1.0], "to": [0.5, 0.2] }] }"#;

/// A street with people, vehicles and something that is left behind, round and round.
fn pictures() -> Vec<Arc<Picture>> {
    let film = Film {
        size: (160, 90),
        rate: 5,
        seconds: 40,
    };
    let recording = Recording::scene(SceneKind::Bag, 3, film).unwrap();
    recording.pictures().map(|shown| shown.picture).collect()
}

/// Memory after [`SETTLED`] and after [`CALLS`] calls, in bytes, and detections.
async fn soak(
    name: &str,
    settings: &str,
    package: &[u8],
    pictures: &[Arc<Picture>],
) -> (u64, u64, usize) {
    // A debug build's host work is not what is measured here.
    let limits = LimitSettings {
        cpu: Some(Duration::from_secs(1)),
        wall: Some(Duration::from_secs(10)),
        ..LimitSettings::default()
    };
    let mut trial = Trial::start(package, settings, &limits).await.unwrap();
    let sampler = Sampler::new("a".parse().unwrap(), trial.want());
    let (mut calls, mut early, mut detections) = (0, 0, 0);
    let mut time = Duration::ZERO;
    for picture in pictures.iter().cycle() {
        time += Duration::from_millis(200);
        let at = UnixMicros(i64::try_from(time.as_micros()).unwrap());
        let Some(frame) = sampler.offer(picture, time, at, calls == 0) else {
            continue;
        };
        let seen = trial.frame(&frame).await;
        detections += seen
            .unwrap_or_else(|e| panic!("{name}, call {calls}: {e}"))
            .len();
        calls += 1;
        if calls == SETTLED {
            early = trial.memory_bytes();
        }
        if calls == CALLS {
            break;
        }
    }
    (early, trial.memory_bytes(), detections)
}

#[test]
fn memory_is_flat_over_a_hundred_thousand_calls() {
    let own = [
        ("detect-motion", "{}"),
        ("detect-line", LINE),
        ("detect-litter", "{}"),
        ("detect-tamper", "{}"),
        ("example-grid", "{}"),
        ("example-smallest", "{}"),
    ];
    let mut guests: Vec<(&str, &str, Vec<u8>)> = own
        .into_iter()
        .map(|(name, settings)| (name, settings, plugins::package(name).unwrap()))
        .collect();
    // Kept as they were built for earlier versions of the contract.
    let oldest = include_bytes!("../../sandbox/tests/data/detector-0.1.wasm");
    guests.push(("kept for 0.1", "{}", oldest.to_vec()));
    let old = include_bytes!("../../sandbox/tests/data/detector-0.2.wasm");
    guests.push(("kept for 0.2", "{}", old.to_vec()));
    let pictures = pictures();
    let results = std::thread::scope(|scope| {
        let run = |(name, settings, package): &(&'static str, &str, Vec<u8>)| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            (
                *name,
                runtime.block_on(soak(name, settings, package, &pictures)),
            )
        };
        let threads: Vec<_> = guests
            .iter()
            .map(|guest| scope.spawn(move || run(guest)))
            .collect();
        let joined = threads.into_iter().map(|t| t.join().unwrap());
        joined.collect::<Vec<_>>()
    });
    println!("| guest | memory after {SETTLED} calls | after {CALLS} | detections |");
    println!("| --- | --- | --- | --- |");
    for (name, (early, late, detections)) in &results {
        println!("| {name} | {early} | {late} | {detections} |");
    }
    for (name, (early, late, _)) in results {
        assert!(
            early > 0 && early == late,
            "{name}: {early}, then {late} bytes"
        );
    }
}
