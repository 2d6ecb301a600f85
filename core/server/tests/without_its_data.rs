//! Whatever is the matter with the folder for what is kept: live pictures need nothing of it, and it is said.
#![allow(clippy::unwrap_used, reason = "a set-up that fails fails its test")]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Bench, LIMIT, main_only};
use taimat_server::Options;
use taimat_testkit::eventually;
use taimat_testkit::gstreamer::{GstCamera, GstOptions};

const EVENTS: &str = "/api/v1/communes/thu/events?kind=data-unusable";

async fn start(camera: &GstCamera, data: &Path) -> Bench {
    let cameras = [("cho", main_only(&camera.url()))];
    let data = Some(data.to_owned());
    Bench::start_with(&cameras, |options| Options { data, ..options }).await
}

/// What the metrics and the events say is not kept.
async fn not_kept(bench: &Bench) -> Vec<String> {
    let metrics = reqwest::get(bench.url("/metrics")).await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let line = |line: &str| {
        let what = line.strip_prefix("taimat_not_kept{what=\"")?;
        let what = what.strip_suffix("\"} 1")?;
        Some(what.to_owned())
    };
    let shown: Vec<String> = metrics.lines().filter_map(line).collect();
    eventually("it is an event", LIMIT, async || {
        let page = bench.get(EVENTS).await;
        let events = page["events"].as_array()?;
        let alarms = events.iter().filter(|event| event["severity"] == "alarm");
        (alarms.count() == shown.len()).then_some(())
    })
    .await;
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_can_not_be_used_stops_no_picture() {
    let camera = GstCamera::start(&GstOptions::default()).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("a-file");
    std::fs::write(&file, "x").unwrap();
    let open = place.path().join("for-everybody");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    for data in [file, open] {
        let bench = start(&camera, &data).await;
        bench.watch("cho").await;
        assert_eq!(not_kept(&bench).await, ["data"], "{}", data.display());
        bench.router.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_router_does_not_touch_the_firsts_data() {
    let camera = GstCamera::start(&GstOptions::default()).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let first = start(&camera, data.path()).await;
    let second = start(&camera, data.path()).await;
    second.watch("cho").await;
    assert_eq!(not_kept(&second).await, ["data"]);
    assert!(not_kept(&first).await.is_empty());
    second.router.stop().await;
    first.router.stop().await;
    drop((first, second));
    // And is no longer in the way.
    let again = start(&camera, data.path()).await;
    assert_eq!(not_kept(&again).await, [""; 0]);
    again.router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_in_it_is_done_without() {
    let camera = GstCamera::start(&GstOptions::default()).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let at = |name: &str| data.path().join(name);
    std::fs::write(at("state.db"), [b'x'; 5000]).unwrap();
    std::fs::write(at("events.db"), [b'x'; 5000]).unwrap();
    std::fs::write(at("compiled"), "a file").unwrap();
    std::fs::write(at("proven"), "a file").unwrap();
    std::fs::write(at("archive"), "a file").unwrap();
    let bench = start(&camera, data.path()).await;
    bench.watch("cho").await;
    // What was no database any more was put aside, and a new one is kept.
    assert_eq!(not_kept(&bench).await, ["recordings"]);
    let names = std::fs::read_dir(data.path()).unwrap();
    let names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    for file in ["state.db", "events.db"] {
        let aside = format!("{file}.damaged-");
        assert!(
            names.iter().any(|name| name.starts_with(&aside)),
            "{names:?}"
        );
        assert!(names.iter().any(|name| name == file), "{names:?}");
    }
    bench.router.stop().await;
}

/// A disk of so many bytes.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, bytes: usize) -> Self {
        let size = format!("size={bytes},mode=700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(at)
            .status();
        assert!(mounted.unwrap().success(), "this test has to be root's");
        Self(at.to_owned())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_at_the_start() {
    let camera = GstCamera::start(&GstOptions::default()).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(place.path(), 64 << 10);
    let data = place.path().join("data");
    std::fs::create_dir(&data).unwrap();
    // To the last block.
    let full = std::fs::write(data.join("rest"), vec![0; 1 << 20]);
    assert!(full.is_err());
    let bench = start(&camera, &data).await;
    bench.watch("cho").await;
    let without = not_kept(&bench).await;
    assert!(without.contains(&"events".to_owned()), "{without:?}");
    bench.router.stop().await;
    drop(disk);
}
