//! Plugins change while they run: nothing is missed, state goes on, a bad one is taken back, over a restart
//! too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a set-up that fails fails its test"
)]

mod common;

use common::{Bench, version};
use taimat_sandbox::{ContractVersion, PluginState, RunState};
use taimat_testkit::plugins;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_swaps_at_twenty_cameras_miss_no_frame() {
    const CAMERAS: usize = 20;
    const SWAPS: u64 = 100;
    let bench = Bench::start();
    bench.put("count.wasm", &version("1.0.0"));
    bench.run(bench.spec("count", CAMERAS));
    bench
        .until("count", "running at all cameras", |s| {
            let ready = s.cameras.values().filter(|c| c.generation == 1).count();
            (ready == CAMERAS).then_some(())
        })
        .await;
    // A swap as soon as the one before has happened everywhere.
    let mut swaps = 0;
    let (shown, ()) = bench
        .show_until(0, 25, |_| {
            let status = bench.status("count");
            let all = status.cameras.values().all(|c| c.generation == swaps + 1);
            if all && swaps < SWAPS {
                swaps += 1;
                bench.put("count.wasm", &version(&format!("1.0.{swaps}")));
            }
            (all && swaps == SWAPS && status.generation == SWAPS + 1).then_some(())
        })
        .await;
    tokio::time::timeout(
        common::LIMIT,
        taimat_testkit::eventually("the last frame", common::LIMIT, async || {
            let all = (0..CAMERAS).all(|n| {
                let seen = bench.seen.of(&format!("c{n}"), "count");
                seen.last()
                    .is_some_and(|d| d.text == (shown - 1).to_string())
            });
            all.then_some(())
        }),
    )
    .await
    .unwrap();
    for camera in 0..CAMERAS {
        let seen = bench.seen.of(&format!("c{camera}"), "count");
        // Every frame once, and the count handed over a hundred times.
        let frames: Vec<u64> = seen.iter().map(|d| d.text.parse().unwrap()).collect();
        let counts: Vec<u64> = seen.iter().map(|d| d.track.unwrap()).collect();
        assert_eq!(frames, (0..shown).collect::<Vec<_>>(), "camera {camera}");
        assert_eq!(counts, (1..=shown).collect::<Vec<_>>(), "camera {camera}");
    }
    let usage = bench.status("count").usage;
    assert_eq!((usage.frames_skipped, usage.ended.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_version_is_taken_back_and_its_frame_is_not_lost() {
    let bench = Bench::start();
    bench.put("count.wasm", &version("1.0.0"));
    let mut spec = bench.spec("count", 2);
    // Only the hostile one takes heed of it.
    spec.settings = r#"{ "does": "panic-in-frame" }"#.into();
    bench.run(spec);
    let (next, ()) = bench
        .show_until(0, 50, |_| {
            (bench.seen.of("c1", "count").len() >= 10).then_some(())
        })
        .await;
    bench.put("count.wasm", &plugins::package("example-hostile").unwrap());
    let (next, ()) = bench
        .show_until(next, 50, |_| {
            let status = bench.status("count");
            // The second camera may be told before it has met the fault itself.
            let trapped = status.usage.ended.contains_key("trap");
            let back = status.cameras.values().all(|c| c.generation == 1);
            (trapped && back && status.generation == 1).then_some(())
        })
        .await;
    let (last, ()) = bench
        .show_until(next, 50, |n| (n > next + 20).then_some(()))
        .await;
    taimat_testkit::eventually("the last frame", common::LIMIT, async || {
        let seen = bench.seen.of("c1", "count");
        let done = seen
            .last()
            .is_some_and(|d| d.text == (last - 1).to_string());
        done.then_some(())
    })
    .await;
    let counts: Vec<u64> = bench
        .seen
        .of("c1", "count")
        .iter()
        .map(|d| d.track.unwrap())
        .collect();
    assert!(counts.windows(2).all(|w| w[1] == w[0] + 1), "{counts:?}");
    let status = bench.status("count");
    assert_eq!(status.state, PluginState::Running);
    assert!(
        status
            .cameras
            .values()
            .all(|c| c.state == RunState::Running)
    );
    let error = status.last_error.unwrap().text;
    assert!(
        error.contains("generation 2") && error.contains("trap"),
        "{error}"
    );
    // Nothing tries it again until the file changes.
    bench.sandbox.refresh();
    bench.put("count.wasm", &version("1.1.0"));
    bench
        .until("count", "the repaired version", |s| {
            let version = s.component.as_ref()?.version.clone();
            (version == "1.1.0").then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_answers_nothing_but_errors_is_taken_back() {
    let bench = Bench::start();
    bench.put("count.wasm", &version("1.0.0"));
    let mut spec = bench.spec("count", 1);
    // Only the hostile one takes heed of it.
    spec.settings = r#"{ "does": "long-errors" }"#.into();
    spec.limits.cpu = Some(std::time::Duration::from_secs(2));
    // Its instances are replaced meanwhile; that does not make it pass.
    spec.limits.recycle = Some(10);
    bench.run(spec);
    let seen = || bench.seen.of("c0", "count").len();
    let (next, ()) = bench
        .show_until(0, 50, |_| (seen() >= 5).then_some(()))
        .await;
    bench.put("count.wasm", &plugins::package("example-hostile").unwrap());
    let (next, ()) = bench
        .show_until(next, 50, |_| {
            let status = bench.status("count");
            (status.change_refused && status.generation == 1).then_some(())
        })
        .await;
    let error = bench.status("count").last_error.unwrap().text;
    assert!(
        error.contains("generation 2") && error.contains("for ever"),
        "{error}"
    );
    // The frame that ended it was not lost, and those after it are seen.
    let before = seen();
    bench
        .show_until(next, 50, |_| (seen() > before + 5).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_a_hundred_times_in_a_row_the_last_one_runs() {
    let bench = Bench::start();
    bench.put("count.wasm", &version("1.0.0"));
    bench.run(bench.spec("count", 1));
    for round in 1..=100 {
        // Not renamed into place but written where it stands, half first.
        let bytes = version(&format!("2.0.{round}"));
        let path = bench.path("count.wasm");
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        bench.sandbox.refresh();
        tokio::task::yield_now().await;
        std::fs::write(&path, &bytes).unwrap();
        bench.sandbox.refresh();
    }
    bench
        .until("count", "the last version", |s| {
            let component = s.component.as_ref()?;
            let runs = s.cameras.values().next()?.generation == s.generation;
            (component.version == "2.0.100" && runs).then_some(())
        })
        .await;
    // Half a file is not told to anybody: the rest came.
    assert_eq!(bench.counted("taimat_plugin_refusals_total"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_flat_over_many_calls() {
    let bench = Bench::start();
    bench.put("motion.wasm", &plugins::package("detect-motion").unwrap());
    bench.run(bench.spec("motion", 1));
    let memory = async |calls: u64, first: u64| {
        let mut next = first;
        while bench.status("motion").usage.calls < calls {
            bench.feed.show(next);
            next += 1;
            tokio::task::yield_now().await;
        }
        (bench.status("motion").usage.memory_bytes, next)
    };
    let (early, next) = memory(2000, 0).await;
    let (late, _) = memory(100_000, next).await;
    assert_eq!(early, late);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_grows_is_replaced_in_time_and_misses_no_frame() {
    let bench = Bench::start();
    let hostile = plugins::package("example-hostile").unwrap();
    bench.put("recycled.wasm", &hostile);
    bench.put("left.wasm", &hostile);
    // A MiB a call: 32 MiB last for less than 32 calls.
    let leaks = |name: &str, recycle: u64| {
        let mut spec = bench.spec(name, 1);
        spec.settings = r#"{ "does": "leak" }"#.into();
        spec.limits.recycle = Some(recycle);
        spec
    };
    bench.run(leaks("recycled", 10));
    bench.run(leaks("left", 0));
    for name in ["recycled", "left"] {
        bench
            .until(name, "running", |s| {
                (s.cameras.values().next()?.state == RunState::Running).then_some(())
            })
            .await;
    }
    // One after the other: a queue that runs through at once would leave no time to be replaced in.
    for number in 0..100 {
        bench.feed.show(number);
        let seen = async || {
            let seen = bench.seen.of("c0", "recycled").pop()?;
            (seen.text == number.to_string()).then_some(())
        };
        taimat_testkit::eventually("the frame was seen", common::LIMIT, seen).await;
    }
    let seen = bench.seen.of("c0", "recycled");
    let frames: Vec<u64> = seen.iter().map(|d| d.text.parse().unwrap()).collect();
    assert_eq!(frames, (0..100).collect::<Vec<_>>());
    assert!(bench.status("recycled").usage.ended.is_empty());
    let recycles = bench.counted("taimat_plugin_recycles_total");
    assert!((5.0..=10.0).contains(&recycles), "{recycles}");
    // Left alone, it meets its limit.
    let left = bench.status("left").usage.ended;
    assert!(left.values().sum::<u64>() >= 2, "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_versions_of_the_contract_side_by_side() {
    let bench = Bench::start();
    // Kept as they were built: see the folders beside them.
    bench.put("oldest.wasm", include_bytes!("data/detector-0.1.wasm"));
    bench.put("old.wasm", include_bytes!("data/detector-0.2.wasm"));
    bench.put("new.wasm", &version("1.0.0"));
    for name in ["oldest", "old", "new"] {
        bench.run(bench.spec(name, 1));
    }
    bench
        .show_until(0, 25, |_| {
            let enough = |name| bench.seen.of("c0", name).len() >= 5;
            (enough("oldest") && enough("old") && enough("new")).then_some(())
        })
        .await;
    let contract = |name: &str| bench.status(name).component.unwrap().contract;
    assert_eq!(contract("oldest"), ContractVersion::V0_1);
    assert_eq!(contract("old"), ContractVersion::V0_2);
    assert_eq!(contract("new"), ContractVersion::V0_3);
    // The host's grid, the state and the log have answered the old ones.
    for name in ["oldest", "old"] {
        let seen = bench.seen.of("c0", name);
        let counts: Vec<u64> = seen.iter().map(|d| d.track.unwrap()).collect();
        assert_eq!(counts, (0..counts.len() as u64).collect::<Vec<_>>());
        assert!(seen.iter().all(|d| d.text == "100"), "{seen:?}");
        let lines = bench.lines(name);
        assert!(lines.iter().any(|l| l.text.starts_with("frame ")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ran_before_a_restart_runs_after_it_although_the_file_is_bad() {
    let runs = async |bench: &Bench, version: &str| {
        bench
            .until("count", version, |s| {
                let runs = s.cameras.values().all(|c| c.state == RunState::Running);
                (runs && s.component.as_ref()?.version == version).then_some(())
            })
            .await;
    };
    let fault = |bench: &Bench| bench.status("count").last_error.map(|e| e.text);
    let bench = Bench::start();
    bench.put("count.wasm", &version("1.0.0"));
    let mut spec = bench.spec("count", 2);
    // Only the hostile one takes heed of it.
    spec.settings = r#"{ "does": "panic-in-frame" }"#.into();
    bench.run(spec.clone());
    runs(&bench, "1.0.0").await;
    bench
        .until("count", "kept", |_| {
            bench
                .path("data/proven/thu/count.wasm")
                .exists()
                .then_some(())
        })
        .await;

    // Refused at sight.
    bench.put("count.wasm", b"no component");
    let bench = bench.restart();
    bench.run(spec.clone());
    runs(&bench, "1.0.0").await;
    bench
        .until("count", "the reason", |_| {
            fault(&bench)?.contains("no WebAssembly").then_some(())
        })
        .await;

    let stands = |bench: &Bench| {
        let gauge =
            |metric: &str, label: &str| bench.gauge(&format!("taimat_plugin_{metric}"), label);
        [
            gauge("up", "count"),
            gauge("change_refused", "count"),
            gauge("cameras", "running"),
        ]
    };
    assert_eq!(stands(&bench), [1.0, 1.0, 2.0]);
    assert!(bench.status("count").change_refused);

    // Fails at its first frame.
    bench.put("count.wasm", &plugins::package("example-hostile").unwrap());
    let bench = bench.restart();
    bench.run(spec.clone());
    let (_, ()) = bench
        .show_until(0, 50, |_| {
            let back = bench
                .status("count")
                .cameras
                .values()
                .all(|c| c.generation == 1);
            (fault(&bench).is_some_and(|why| why.contains("trap")) && back).then_some(())
        })
        .await;
    runs(&bench, "1.0.0").await;

    // A good one proves itself and takes the place of what was kept.
    bench.put("count.wasm", &version("2.0.0"));
    let bench = bench.restart();
    bench.run(spec.clone());
    let proven = || std::fs::read(bench.path("data/proven/thu/count.wasm")).unwrap();
    let (_, ()) = bench
        .show_until(0, 50, |_| (proven() == version("2.0.0")).then_some(()))
        .await;
    runs(&bench, "2.0.0").await;
    assert_eq!(stands(&bench), [1.0, 0.0, 2.0]);

    // Who takes the file away does not want it back; who drops the plugin, not even its copy.
    std::fs::remove_file(bench.path("count.wasm")).unwrap();
    let bench = bench.restart();
    bench.run(spec);
    bench
        .until("count", "refused", |s| {
            (s.state == PluginState::Refused).then_some(())
        })
        .await;
    assert_eq!(stands(&bench), [0.0, 1.0, 0.0]);
    bench.sandbox.reconcile(Vec::new());
    assert!(!bench.path("data/proven/thu/count.wasm").exists());
}
