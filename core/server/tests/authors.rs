//! What an author of plugins does, from an empty folder on: `taimat plugin new`, `test`, `inspect`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a set-up that fails fails its test"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use taimat_testkit::plugins;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn taimat(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_taimat"))
        .args(args)
        .current_dir(folder)
        // Built beside the other plugins.
        .env("CARGO_TARGET_DIR", root().join("target/plugins"))
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn from_nothing_to_a_detector_that_is_tested() {
    let temporary = tempfile::tempdir().unwrap();
    succeeds(&taimat(temporary.path(), &["plugin", "new", "my-detector"]));
    let folder = temporary.path().join("my-detector");
    // The same versions as everything else: nothing new is fetched or built for this test.
    std::fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    // Has the target installed, as an author is told to.
    plugins::component("example-smallest").unwrap();

    let short = ["--size", "320x180", "--seconds", "5"];
    let test = |more: &[&str]| {
        let all = [&["plugin", "test"], more, &short].concat();
        taimat(&folder, &all)
    };
    let seen = succeeds(&test(&["night"]));
    assert!(
        seen.lines().count() >= 4 && seen.contains(r#""kind":"dark""#),
        "{seen}"
    );
    succeeds(&test(&["night", "--write", "night.jsonl"]));
    let kept = std::fs::read_to_string(folder.join("night.jsonl")).unwrap();
    assert_eq!(kept, seen, "the same every time");
    succeeds(&test(&["night", "--expect", "night.jsonl"]));
    let settings = r#"{ "darkest": 0 }"#;
    let differs = test(&["night", "--expect", "night.jsonl", "--settings", settings]);
    assert!(!differs.status.success());
    assert!(
        text(&differs.stdout).starts_with("- {"),
        "{}",
        text(&differs.stdout)
    );
    assert!(text(&differs.stderr).contains("does not see what night.jsonl says"));
    let wrong = test(&["night", "--settings", r#"{ "darkness": 0 }"#]);
    assert!(
        text(&wrong.stderr).contains("setting `darkness` is not one of the plugin's"),
        "{}",
        text(&wrong.stderr)
    );

    succeeds(&taimat(&folder, &["plugin", "build"]));
    let inspected = succeeds(&taimat(&folder, &["plugin", "inspect", "my-detector.wasm"]));
    assert!(
        inspected.contains("world      taimat:plugin/detector-plugin@0.3.1")
            && inspected.contains("grant = { frames = { width = 640, fps = 5 } }"),
        "{inspected}"
    );
}

#[test]
fn two_versions_are_compared() {
    let temporary = tempfile::tempdir().unwrap();
    let put = |name: &str| {
        let file = temporary.path().join(format!("{name}.wasm"));
        std::fs::write(&file, plugins::package(name).unwrap()).unwrap();
        format!("{name}.wasm")
    };
    let (motion, tamper) = (put("detect-motion"), put("detect-tamper"));
    let compare = |old: &str, new: &str| {
        let short = ["--size", "320x180", "--seconds", "10", "--cpu", "1000"];
        let args = ["plugin", "test", "street", "--compare", old, new];
        taimat(temporary.path(), &[&args[..], &short].concat())
    };
    let same = succeeds(&compare(&motion, &motion));
    assert!(same.starts_with("- version 0.1.0:"), "{same}");
    let other = compare(&motion, &tamper);
    assert!(!other.status.success());
    assert!(
        text(&other.stdout).starts_with(r#"- {"time":"#),
        "{}",
        text(&other.stdout)
    );
}
