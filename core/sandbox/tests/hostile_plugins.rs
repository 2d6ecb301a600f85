//! Hostile components beside a healthy one: what stops each, in how long, and what the operator
//! gets to read. The test prints a table; see it with `--nocapture`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a set-up that fails fails its test"
)]

mod common;

use std::time::Duration;

use common::Bench;
use taimat_base::clock;
use taimat_sandbox::{PluginSpec, PluginState, PluginStatus, RunState};
use taimat_testkit::{eventually, plugins};

/// What a hostile plugin does, what ends it, and what the operator reads.
const DEEDS: [(&str, &str, &str); 14] = [
    ("loop-in-configure", "cpu", "of CPU time"),
    ("loop-in-frame", "cpu", "more than 20ms of CPU time"),
    ("loop-in-host", "cpu", "more than 20ms of CPU time"),
    ("memory-bomb", "memory", "more memory than granted"),
    ("recursion", "trap", "out of bounds"),
    ("detections", "memory", "more memory than granted"),
    ("long-text", "memory", "more memory than granted"),
    ("panic-in-configure", "trap", "on purpose"),
    ("panic-in-frame", "trap", "src/lib.rs"),
    ("trap", "trap", "unreachable"),
    ("sleep", "wall", "took longer than"),
    ("log-flood", "cpu", "of CPU time"),
    ("fatal", "fatal", "it gives up"),
    ("old-frame", "", ""),
];

fn hostile(bench: &Bench, does: &str) -> PluginSpec {
    PluginSpec {
        settings: format!(r#"{{ "does": "{does}" }}"#),
        ..bench.spec("hostile", 1)
    }
}

fn with_the_hostile_one() -> Bench {
    let bench = Bench::start();
    bench.put(
        "hostile.wasm",
        &plugins::package("example-hostile").unwrap(),
    );
    bench
}

/// With time enough that no limit ends it.
fn unhurried(bench: &Bench, does: &str) -> PluginSpec {
    let mut spec = hostile(bench, does);
    spec.limits.cpu = Some(Duration::from_secs(2));
    spec.limits.wall = Some(Duration::from_secs(4));
    spec
}

/// A sandbox with a plugin that counts, and frames that keep coming.
async fn with_a_healthy_one(bench: &Bench) {
    bench.put("count.wasm", &plugins::package("example-smallest").unwrap());
    bench.run(bench.spec("count", 1));
    bench
        .until("count", "running", |s| {
            (s.cameras.values().next()?.state == RunState::Running).then_some(())
        })
        .await;
}

/// The healthy one has seen every frame, in order.
async fn healthy(bench: &Bench, shown: u64) {
    eventually("the healthy one is up to date", common::LIMIT, async || {
        let seen = bench.seen.of("c0", "count");
        (seen.len() as u64 == shown).then_some(())
    })
    .await;
    let counts: Vec<u64> = bench
        .seen
        .of("c0", "count")
        .iter()
        .map(|d| d.track.unwrap())
        .collect();
    assert_eq!(counts, (1..=shown).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_stopped_and_the_healthy_one_does_not_notice() {
    let bench = with_the_hostile_one();
    with_a_healthy_one(&bench).await;
    let mut next = 0;
    println!("| does | ended by | after | the operator reads |\n| --- | --- | --- | --- |");
    for (does, cause, text) in DEEDS {
        let before = ended(&bench, cause);
        let begin = clock::now();
        bench.run(hostile(&bench, does));
        let (number, ()) = bench
            .show_until(next, 25, |n| {
                let done = if cause.is_empty() {
                    n > next + 30
                } else {
                    ended(&bench, cause) > before
                };
                done.then_some(())
            })
            .await;
        next = number;
        let took = clock::now() - begin;
        if cause.is_empty() {
            assert!(bench.seen.of("c0", "hostile").is_empty(), "{does}");
            println!("| {does} | nothing: it gets `expired` | | |");
            continue;
        }
        let mut lines = bench.lines("hostile").into_iter().map(|l| l.text);
        let said = lines.rfind(|text| text.contains("ended by"));
        let said = said.unwrap();
        assert!(said.contains(text), "{does}: {said}");
        println!("| {does} | {cause} | {} ms | {said} |", took.as_millis());
        // Gone, so that the next begins afresh.
        bench.run(PluginSpec {
            enabled: false,
            ..hostile(&bench, does)
        });
        bench
            .until("hostile", "off", |s| {
                (s.state == PluginState::Disabled && s.usage.instances == 0).then_some(())
            })
            .await;
    }
    healthy(&bench, next).await;
    assert_eq!(bench.status("count").usage.frames_skipped, 0);
}

fn ended(bench: &Bench, cause: &str) -> u64 {
    let (commune, plugin) = ("thu".parse().unwrap(), "hostile".parse().unwrap());
    let status = bench.sandbox.get(&commune, &plugin);
    status.map_or(0, |(s, _)| s.usage.ended.get(cause).copied().unwrap_or(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn three_failures_in_a_minute_are_followed_by_a_pause() {
    let bench = with_the_hostile_one();
    bench.run(hostile(&bench, "panic-in-frame"));
    let state = |bench: &Bench| {
        let status = bench.status("hostile");
        Some((
            status.cameras.values().next()?.state,
            status.usage.ended.get("trap").copied(),
        ))
    };
    bench
        .show_until(0, 50, |_| {
            (state(&bench)? == (RunState::Suspended, Some(3))).then_some(())
        })
        .await;
    // It is tried again after the pause, fails as often, and pauses longer.
    bench
        .show_until(1000, 50, |_| {
            (state(&bench)? == (RunState::Suspended, Some(6))).then_some(())
        })
        .await;
    let lines: Vec<String> = bench.lines("hostile").into_iter().map(|l| l.text).collect();
    assert!(
        lines.iter().any(|l| l.contains("suspended for 1s")),
        "{lines:#?}"
    );
    assert!(
        lines.iter().any(|l| l.contains("suspended for 5s")),
        "{lines:#?}"
    );
    // A repaired one starts at once.
    bench.put(
        "hostile.wasm",
        &plugins::package("example-smallest").unwrap(),
    );
    bench
        .until("hostile", "running again", |s| {
            (s.cameras.values().next()?.generation == 2).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_are_cut_and_counted() {
    let bench = with_the_hostile_one();
    bench.run(unhurried(&bench, "metrics-flood"));
    bench
        .show_until(0, 25, |_| {
            (bench.status("hostile").usage.calls > 6).then_some(())
        })
        .await;
    let names = |metric: &str| {
        let all = bench.registry.gather();
        let family = all.iter().find(|f| f.name() == metric);
        family.map_or(0, |f| f.get_metric().len())
    };
    assert_eq!(names("taimat_plugin_count_total"), 32);
    // The state has a quota: the plugin is told so, and lives.
    bench.run(unhurried(&bench, "state-flood"));
    bench
        .show_until(1000, 25, |_| {
            let lines = bench.lines("hostile");
            lines
                .iter()
                .any(|l| l.text.contains("65536 are granted"))
                .then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_detections_are_dropped_and_counted_and_the_instance_lives() {
    let bench = with_the_hostile_one();
    bench.run(hostile(&bench, "bad-detections"));
    bench
        .show_until(0, 25, |_| {
            (bench.seen.of("c0", "hostile").len() >= 30).then_some(())
        })
        .await;
    let seen = bench.seen.of("c0", "hostile");
    assert!(seen.iter().all(|d| d.kind == "good"), "{seen:?}");
    let dropped = bench.counted("taimat_plugin_detections_bad_total");
    assert!(dropped >= 7.0 * 30.0, "{dropped}");
    assert_eq!(bench.status("hostile").usage.ended.len(), 0);
    // Said, and not at every frame.
    let lines = bench.lines("hostile").into_iter().map(|l| l.text);
    let said: Vec<String> = lines.filter(|l| l.contains("was dropped")).collect();
    assert!((1..5).contains(&said.len()), "{said:#?}");
    assert!(said[0].contains("kind \"No Kind\""), "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_by_the_megabyte_become_one_short_line() {
    let bench = with_the_hostile_one();
    bench.run(unhurried(&bench, "long-errors"));
    bench
        .show_until(0, 25, |_| {
            (bench.counted("taimat_plugin_errors_total") >= 30.0).then_some(())
        })
        .await;
    let lines = bench.lines("hostile");
    assert!(lines.iter().all(|l| l.text.len() < 1200), "{lines:#?}");
    assert!(!lines.iter().any(|l| l.text.contains(char::is_control)));
    let said = lines.iter().filter(|l| l.text.contains("for ever")).count();
    // A frame every 40 ms, a line every ten seconds.
    assert!((1..10).contains(&said), "{said}");
    assert_eq!(bench.status("hostile").usage.ended.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_no_plugins_are_refused_with_what_would_be_right() {
    let bench = Bench::start();
    with_a_healthy_one(&bench).await;
    let good = plugins::package("example-smallest").unwrap();
    let manifest = plugins::manifest("example-smallest").unwrap();
    let component = plugins::component("example-smallest").unwrap();
    let pack = |manifest: &str| taimat_contract::Package::pack(&component, manifest).unwrap();
    // A component that imports what nobody gets, in the binary's own words: the interface's name is
    // as long as the one that it replaces.
    let renamed = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let mut bytes = good.clone();
        let mut count = 0;
        for at in 0..bytes.len() - from.len() {
            if &bytes[at..at + from.len()] == from.as_bytes() {
                bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
                count += 1;
            }
        }
        assert!(count > 0, "{from} is not in it");
        bytes
    };
    let core_module = b"\0asm\x01\0\0\0".to_vec();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "half of a file",
            good[..good.len() / 2].to_vec(),
            "cut off or damaged",
        ),
        (
            "a core module",
            core_module,
            "core module and not a component",
        ),
        ("a picture", b"\x89PNG\r\n\x1a\n".to_vec(), "no WebAssembly"),
        ("no manifest", component.clone(), "no manifest"),
        (
            "another kind",
            pack(&manifest.replace("detector", "storage")),
            "exports no taimat:plugin/storage",
        ),
        (
            "a future version",
            renamed("@0.3.1", "@0.9.0"),
            "taimat:plugin@0.9.0; this router serves 0.1, 0.2 and 0.3",
        ),
        (
            "another world",
            renamed("taimat:plugin/detector@", "taimat:plugin/watchers@"),
            "exports no taimat:plugin/detector",
        ),
        (
            "import not granted",
            renamed("wasi:cli/environment@", "wasi:tcp/environment@"),
            "which no plugin gets",
        ),
        (
            "frames not asked for",
            pack(&manifest.replace("frames =", "state = \"1KiB\" #")),
            "its manifest does not ask for it",
        ),
        ("200 MB", vec![0; 200 << 20], "at most"),
    ];
    println!("| file | the operator reads |\n| --- | --- |");
    for (what, bytes, text) in cases {
        let name = format!("bad-{}", what.replace(' ', "-").to_lowercase());
        bench.put(&format!("{name}.wasm"), &bytes);
        bench.run(bench.spec(&name, 1));
        let error = bench
            .until(&name, "refused", |s| {
                (s.state == PluginState::Refused).then(|| s.last_error.clone())?
            })
            .await
            .text;
        println!("| {what} | {error} |");
        assert!(error.contains(text), "{what}: {error}");
    }
    // A grant that is missing is named with the line to add.
    let mut spec = bench.spec("bad-grant", 1);
    bench.put("bad-grant.wasm", &good);
    spec.grant.frames = None;
    bench.run(spec);
    let error = bench
        .until("bad-grant", "refused", |s| s.last_error.clone())
        .await
        .text;
    let line = "add to [plugin.bad-grant]: grant = { frames = { width = 640, fps = 60 } }";
    assert!(error.contains(line), "{error}");
    // A link could lead anywhere.
    std::os::unix::fs::symlink(bench.path("count.wasm"), bench.path("link.wasm")).unwrap();
    bench.run(bench.spec("link", 1));
    let error = bench
        .until("link", "refused", |s| s.last_error.clone())
        .await
        .text;
    assert!(error.contains("symbolic link"), "{error}");
    let (shown, ()) = bench.show_until(0, 25, |n| (n > 10).then_some(())).await;
    healthy(&bench, shown).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_is_there_and_answers_so() {
    let bench = with_the_hostile_one();
    let mut spec = unhurried(&bench, "state-flood");
    spec.grant.state_bytes = None;
    bench.run(spec);
    let said = |text: &str| {
        let lines = bench.lines("hostile");
        lines.iter().any(|l| l.text.contains(text)).then_some(())
    };
    bench
        .show_until(0, 25, |_| said("state is not granted"))
        .await;
    said("add to [plugin.hostile]: grant = { state =").unwrap();
    assert_eq!(bench.status("hostile").usage.ended.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_instance_brings_no_fresh_budget() {
    let bench = with_the_hostile_one();
    let begin = clock::now();
    // Each instance writes until its CPU time is used up; a fresh one takes its place, three times.
    bench.run(hostile(&bench, "log-flood"));
    let suspended = |s: &PluginStatus| s.cameras.values().any(|c| c.state == RunState::Suspended);
    bench
        .show_until(0, 25, |_| suspended(&bench.status("hostile")).then_some(()))
        .await;
    let lines = bench.counted("taimat_plugin_log_lines_total");
    // A hundred at once, and twenty a second.
    let most = 100.0 + 20.0 * (clock::now() - begin).as_secs_f64();
    assert!((100.0..=most).contains(&lines), "{lines} of {most}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_loops_when_it_is_to_save_is_replaced_all_the_same() {
    let bench = Bench::start();
    bench.put("count.wasm", &plugins::package("example-hostile").unwrap());
    let mut spec = hostile(&bench, "loop-in-save");
    spec.name = "count".parse().unwrap();
    spec.component = bench.path("count.wasm");
    bench.run(spec);
    let (next, ()) = bench
        .show_until(0, 25, |_| {
            (bench.status("count").usage.calls > 5).then_some(())
        })
        .await;
    bench.put("count.wasm", &plugins::package("example-smallest").unwrap());
    bench
        .show_until(next, 25, |_| {
            (bench.seen.of("c0", "count").len() > 5).then_some(())
        })
        .await;
    let status = bench.status("count");
    assert_eq!(status.usage.ended.get("cpu"), Some(&1));
    let lines = bench.lines("count");
    let told = lines
        .iter()
        .any(|l| l.text.contains("no state was handed over"));
    assert!(told, "{lines:#?}");
}
