//! The house's own policies and alerters on the days and tasks that lie beside them, in the real
//! sandbox: what they say is what their golden files say. `TAIMAT_WRITE_GOLDEN=1` writes those anew.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a set-up that fails fails its test"
)]

use std::path::{Path, PathBuf};

use taimat_author::trial;

// The file alone: the testkit as a whole brings WebRTC and an encoder, which nothing here needs.
#[path = "../../testkit/src/plugins.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is there for other tests too")]
mod plugins;

/// Plugins, and the file that each is tried on.
const WRITTEN: [(&str, &str); 12] = [
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
];

fn folder(plugin: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../plugins")
        .join(plugin)
}

async fn lines(plugin: &str, file: &str) -> Vec<String> {
    let folder = folder(plugin);
    let text = std::fs::read_to_string(folder.join(format!("{file}.toml"))).unwrap();
    let settings = std::fs::read_to_string(folder.join("settings.json"));
    let settings = settings.unwrap_or_else(|_none| "{}".into());
    let packed = plugins::package(plugin).unwrap();
    trial::lines(&packed, &text, &settings).await.unwrap()
}

#[tokio::test]
async fn what_they_say_is_what_their_golden_files_say() {
    let write = std::env::var_os("TAIMAT_WRITE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for (plugin, file) in WRITTEN {
        let golden = folder(plugin).join(format!("{file}.txt"));
        let said = lines(plugin, file).await.join("\n") + "\n";
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
