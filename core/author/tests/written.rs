//! Our own policies, alerters and storage plugins on the days, tasks and months that lie beside them, in
//! the real sandbox: what they say is what their golden files say. `TAIMAT_WRITE_GOLDEN=1` writes those anew.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a set-up that fails fails its test"
)]

use std::path::{Path, PathBuf};

use clap::Parser;
use taimat_author::trial;

// The file alone: the testkit as a whole brings WebRTC and an encoder, which nothing here needs.
#[path = "../../testkit/src/plugins.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is there for other tests too")]
mod plugins;

/// Plugins, and the file that each is tried on.
const WRITTEN: [(&str, &str); 14] = [
    ("alert-mail", "tasks"),
    ("alert-mqtt", "tasks"),
    ("alert-sms", "tasks"),
    ("alert-telegram", "tasks"),
    ("alert-webhook", "tasks"),
    ("alert-zalo", "tasks"),
    ("policy-cluster", "day"),
    ("policy-crossroads", "day"),
    ("policy-dumping", "day"),
    ("policy-escalation", "day"),
    ("policy-quiet-hours", "day"),
    ("policy-rules", "day"),
    ("store-ring", "month"),
    ("store-tiered", "month"),
];

fn folder(plugin: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../plugins")
        .join(plugin)
}

async fn lines(plugin: &str, file: &str, days: u32) -> Vec<String> {
    let folder = folder(plugin);
    let text = std::fs::read_to_string(folder.join(format!("{file}.toml"))).unwrap();
    let settings = std::fs::read_to_string(folder.join("settings.json"));
    let settings = settings.unwrap_or_else(|_none| "{}".into());
    let packed = plugins::package(plugin).unwrap();
    trial::lines(&packed, &text, &settings, days).await.unwrap()
}

#[tokio::test]
async fn what_they_say_is_what_their_golden_files_say() {
    let write = std::env::var_os("TAIMAT_WRITE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for (plugin, file) in WRITTEN {
        let golden = folder(plugin).join(format!("{file}.txt"));
        let said = lines(plugin, file, 1).await.join("\n") + "\n";
        if write {
            std::fs::write(&golden, &said).unwrap();
        }
        if said != std::fs::read_to_string(&golden).unwrap_or_default() {
            eprintln!("{plugin} says:\n{said}");
            wrong.push(plugin);
        }
    }
    assert!(wrong.is_empty(), "they say something else: {wrong:?}");
}

#[tokio::test]
async fn components_are_small() {
    for (plugin, _) in WRITTEN {
        let bytes = plugins::package(plugin).unwrap().len();
        eprintln!("{plugin}: {} KiB", bytes / 1024);
        assert!(bytes < 400 << 10, "{plugin} has {bytes} bytes");
    }
}

#[tokio::test]
async fn a_month_is_a_day_thirty_times() {
    let day = lines("policy-cluster", "day", 1).await;
    let month = lines("policy-cluster", "day", 30).await;
    assert_eq!(month.len(), day.len() * 30);
    assert!(
        month.last().unwrap().starts_with("2027-03-30"),
        "{:?}",
        month.last()
    );
}

/// As on the command line.
#[derive(Debug, Parser)]
struct Line {
    #[command(subcommand)]
    command: taimat_author::Command,
}

fn taimat(words: &[&str]) {
    let line = Line::parse_from([&["plugin"], words].concat());
    taimat_author::run(&line.command).unwrap();
}

#[test]
fn from_nothing_to_a_policy_and_an_alerter_that_are_tried() {
    let temporary = tempfile::tempdir().unwrap();
    // Has the target installed, as an author is told to.
    plugins::component("example-ruler").unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (kind, file) in [("policy", "day.toml"), ("alerter", "tasks.toml")] {
        let folder = temporary.path().join(format!("my-{kind}"));
        let at = |name: &str| folder.join(name).display().to_string();
        taimat(&["new", "--kind", kind, &folder.display().to_string()]);
        // The same versions as everything else: nothing new is fetched for this test.
        std::fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        let built = std::process::Command::new("cargo")
            .args(["build", "--release", "--target", "wasm32-wasip2"])
            .env("CARGO_TARGET_DIR", root.join("target/plugins"))
            .env("RUSTFLAGS", "-C target-feature=+simd128")
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        let wasm = format!("target/plugins/wasm32-wasip2/release/my_{kind}.wasm");
        let wasm = root.join(wasm).display().to_string();
        let packed = at("packed.wasm");
        taimat(&["pack", &wasm, &at("plugin.toml"), "--output", &packed]);
        let golden = at("golden.txt");
        taimat(&["test", &at(file), "--plugin", &packed, "--write", &golden]);
        taimat(&["test", &at(file), "--plugin", &packed, "--expect", &golden]);
        taimat(&["test", &at(file), "--compare", &packed, &packed]);
        let said = std::fs::read_to_string(&golden).unwrap();
        let told = if kind == "policy" {
            "-> desk: e1 r2"
        } else {
            "Đã kết thúc 22:41"
        };
        assert!(said.contains(told), "{said}");
    }
}

#[test]
fn a_detector_is_tried_on_a_recording_all_the_same() {
    let temporary = tempfile::tempdir().unwrap();
    let at = |name: &str| temporary.path().join(name).display().to_string();
    let (packed, golden) = (at("motion.wasm"), at("street.jsonl"));
    std::fs::write(&packed, plugins::package("detect-motion").unwrap()).unwrap();
    let short = ["--size", "320x180", "--seconds", "4"];
    let test = |more: &[&str]| taimat(&[&["test", "street"], more, &short].concat());
    test(&["--plugin", &packed, "--write", &golden]);
    test(&["--plugin", &packed, "--expect", &golden]);
    test(&["--compare", &packed, &packed]);
}
