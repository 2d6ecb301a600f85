//! What becomes of recordings in the whole router, with the repository's own components and an S3 server that
//! we did not write: copies go where a storage plugin says, come back to be seen, and stay where they are when
//! it fails; what is recorded is what a policy says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Bench, LIMIT};
use serde_json::Value;
use taimat_base::{CameraKey, clock};
use taimat_contract::{Detected, Detection, DetectionSink, UnixMicros};
use taimat_server::Options;
use taimat_testkit::movies::{movies_below, plays};
use taimat_testkit::{
    ACCESS_KEY, BadStore, Badness, GstCamera, GstOptions, S3Options, S3Server, SECRET_KEY,
    eventually, plugins,
};

const SECOND: i64 = 1_000_000;
const CAMERA: &str = "/api/v1/communes/thu/cameras/cho/recordings";

/// A router whose commune's file is the test's own.
struct Kept {
    bench: Bench,
    data: PathBuf,
}

impl Kept {
    async fn start(data: &Path, file: &str, components: &[&str]) -> Self {
        // A camera that is nowhere, until the file is there.
        let first = [("cho", "main = \"rtsp://127.0.0.1:9/none\"\n".to_owned())];
        let bench = Bench::start_with(&first, |options| Options {
            data: Some(data.to_owned()),
            archive_floor: 0,
            allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
            ..options
        })
        .await;
        std::fs::create_dir_all(bench.folder.join("plugins")).unwrap();
        for component in components {
            let bytes = plugins::package(component).unwrap();
            let name = format!("plugins/{component}.wasm");
            std::fs::write(bench.folder.join(name), bytes).unwrap();
        }
        std::fs::write(bench.folder.join("secret"), SECRET_KEY).unwrap();
        let kept = Self {
            bench,
            data: data.to_owned(),
        };
        kept.says(file);
        kept
    }

    /// The commune's file is another one.
    fn says(&self, file: &str) {
        let path = self.bench.folder.join("commune.toml");
        taimat_base::files::replace(&path, file.as_bytes()).unwrap();
    }

    async fn timeline(&self) -> Value {
        let now = now();
        let from = now - 600 * SECOND;
        let path = format!("/api/v1/communes/thu/recordings?from={from}&to={now}&cameras=cho");
        self.bench.get(&path).await["cameras"][0].clone()
    }

    /// From when to when is recorded, once it is so many seconds.
    async fn recorded(&self, seconds: i64) -> (i64, i64) {
        // A policy is asked once a minute.
        eventually("some seconds are recorded", 2 * LIMIT, async || {
            let timeline = self.timeline().await;
            let last = timeline["recorded"].as_array()?.last()?.clone();
            let (start, end) = (last["start"].as_i64()?, last["end"].as_i64()?);
            (end - start >= seconds * SECOND).then_some((start, end))
        })
        .await
    }

    /// Bytes of copies at a place.
    async fn used(&self, store: &str) -> u64 {
        let standing = self.bench.get("/api/v1/communes/thu/storage").await;
        let stores = standing["stores"].as_array().cloned().unwrap_or_default();
        let own = stores.iter().find(|own| own["name"] == store);
        own.and_then(|own| own["used"].as_u64()).unwrap_or(0)
    }

    /// The files of recordings here.
    fn files(&self) -> Vec<PathBuf> {
        movies_below(&self.data.join("archive/thu"))
    }

    /// The newest event of a kind.
    async fn event(&self, kind: &str) -> Value {
        eventually(kind, LIMIT, async || {
            let page = format!("/api/v1/communes/thu/events?kind={kind}");
            self.bench.get(&page).await["events"].get(0).cloned()
        })
        .await
    }
}

fn now() -> i64 {
    UnixMicros::from(clock::wall()).0
}

fn camera(url: &str) -> String {
    format!("[commune]\nname = \"Thu\"\n\n[camera.cho]\nmain = \"{url}\"\n\n")
}

fn bucket(server: &S3Server) -> String {
    format!(
        "[store.bucket]\ns3 = \"{}\"\nbucket = \"copies\"\nprefix = \"thu\"\npath-style = true\n\
         access-key = \"{ACCESS_KEY}\"\nsecret-key = {{ file = \"secret\" }}\n",
        server.endpoint()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_a_bucket_only_comes_back_to_be_seen() {
    let source = GstCamera::start(&GstOptions::default()).await.unwrap();
    let server = S3Server::start("copies", S3Options::default()).unwrap();
    let data = tempfile::tempdir().unwrap();
    let file = |settings: &str| {
        camera(&source.url())
            + "[archive]\nmode = \"continuous\"\nstorage = \"keeper\"\n\n[plugin.keeper]\n\
               component = \"plugins/example-keeper.wasm\"\n"
            + &format!("settings = {settings}\n\n")
            + &bucket(&server)
    };
    let kept = Kept::start(data.path(), &file("{}"), &["example-keeper"]).await;
    let (start, end) = kept.recorded(6).await;
    // Off: what there is of it is complete.
    let off = file("{}").replace("\"continuous\"", "\"off\"");
    kept.says(&off);
    eventually("it is complete, and asked about", LIMIT, async || {
        let waits = kept.bench.metric("taimat_segment_recording", "cho").await;
        (waits == 0.0).then_some(())
    })
    .await;
    assert_eq!(kept.used("bucket").await, 0);

    // The plugin's settings change: all that there is is asked about again, and goes.
    kept.says(&file(r#"{ target = "bucket" }"#).replace("\"continuous\"", "\"off\""));
    eventually("it is in the bucket only", LIMIT, async || {
        let timeline = kept.timeline().await;
        let all = timeline["recorded"].as_array()?.clone();
        let far = !all.is_empty() && all.iter().all(|one| one["elsewhere"] == true);
        (far && kept.files().is_empty()).then_some(())
    })
    .await;
    assert!(kept.used("bucket").await > 0);

    // Who wants to see it is told to come back, and then sees it.
    let path = format!("{CAMERA}/movie.mp4?from={start}&to={}", end - SECOND);
    let first = reqwest::get(kept.bench.url(&path)).await.unwrap();
    assert_eq!(first.status(), 503);
    assert_eq!(first.headers()["retry-after"], "2");
    let problem: Value = serde_json::from_str(&first.text().await.unwrap()).unwrap();
    assert_eq!(problem["type"], "/problems/fetching", "{problem}");
    let movie = eventually("it is fetched", LIMIT, async || {
        let answer = reqwest::get(kept.bench.url(&path)).await.unwrap();
        let good = answer.status() == 200;
        good.then_some(answer.bytes().await.unwrap())
    })
    .await;
    let clip = data.path().join("movie.mp4");
    std::fs::write(&clip, &movie).unwrap();
    plays(&clip).unwrap();
    let timeline = kept.timeline().await;
    let near = timeline["recorded"].as_array().unwrap().iter();
    assert!(
        near.clone().all(|one| one["elsewhere"].is_null()),
        "{timeline}"
    );

    // With settings with which it names a place that there is not: it goes on with those before, that is an
    // event, and everything stays where it is.
    let used = kept.used("bucket").await;
    kept.says(&file(r#"{ does = "elsewhere" }"#).replace("\"continuous\"", "\"off\""));
    let event = kept.event("plugin-change-refused").await;
    assert_eq!(event["severity"], "notice", "{event}");
    assert_eq!(kept.used("bucket").await, used);
    kept.bench.router.stop().await;
}

/// A detector has seen something at the camera.
fn see(kept: &Kept, kind: &str) {
    let detection = Detection {
        kind: kind.into(),
        at: UnixMicros::from(clock::wall()),
        confidence: 0.9,
        regions: vec![],
        track: Some(1),
        text: String::new(),
        extra: vec![],
    };
    let camera = CameraKey::new("thu".parse().unwrap(), "cho".parse().unwrap());
    kept.bench.router.events().publish(&Detected {
        camera: &camera,
        plugin: &"eye".parse().unwrap(),
        detections: &[detection.clone(), detection],
        frame: None,
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_matters_goes_where_store_tiered_says_and_stays_locked_there() {
    let source = GstCamera::start(&GstOptions::default()).await.unwrap();
    let locks = S3Options {
        lock: true,
        ..S3Options::default()
    };
    let server = S3Server::start("copies", locks).unwrap();
    let (data, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = camera(&source.url())
        + "[archive]\nmode = \"continuous\"\nstorage = \"tiers\"\n\n[plugin.tiers]\n\
           component = \"plugins/store-tiered.wasm\"\n\
           settings = { targets = [\"disk\", \"bucket\"], copies = 2, important-severity = \"alarm\", \
           important-kinds = [\"litter\"] }\n\n"
        + &format!("[store.disk]\nfolder = \"{}\"\n\n", disk.path().display())
        + &bucket(&server)
        + "lock-days = 30\nlock = \"compliance\"\n";
    let kept = Kept::start(data.path(), &file, &["store-tiered"]).await;
    kept.recorded(3).await;
    // One that matters by its kind, although it is less than an alarm.
    for _ in 0..20 {
        see(&kept, "litter");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    kept.event("litter").await;
    // Off: what there is of it is complete.
    kept.says(&file.replace("\"continuous\"", "\"off\""));
    let copies = eventually("it is on the other disk", LIMIT, async || {
        let copies = movies_below(disk.path());
        (!copies.is_empty() && kept.used("disk").await > 0 && kept.used("bucket").await > 0)
            .then_some(copies)
    })
    .await;
    for copy in &copies {
        let key = copy.strip_prefix(disk.path()).unwrap().to_str().unwrap();
        let here = data.path().join("archive").join(key);
        assert!(std::fs::read(copy).unwrap() == std::fs::read(here).unwrap());
        let locked = server.locked(&format!("thu/{key}")).unwrap();
        assert!(locked.starts_with("COMPLIANCE 2"), "{locked}");
    }
    kept.bench.router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_says_what_is_recorded_whatever_the_file_says() {
    let source = GstCamera::start(&GstOptions::default()).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    // It records all of the night: it is three o'clock there.
    let hour = now() / (3600 * SECOND) % 24;
    let west = (hour - 3).rem_euclid(24);
    let (zone, other) = match west {
        0..=11 => (format!("Etc/GMT+{west}"), west),
        west => (format!("Etc/GMT-{}", 24 - west), west),
    };
    let file = |zone: &str| {
        camera(&source.url()).replace(
            "\n\n[camera",
            &format!("\ntime-zone = \"{zone}\"\n\n[camera"),
        ) + "[archive]\nmode = \"off\"\n\n[events]\npolicy = \"ruler\"\n\n[plugin.ruler]\n\
               component = \"plugins/example-ruler.wasm\"\n"
    };
    let kept = Kept::start(data.path(), &file(&zone), &["example-ruler"]).await;
    kept.recorded(3).await;
    // At noon it says nothing, and the file says that nothing is recorded.
    let noon = (other - 9).rem_euclid(24);
    let zone = match noon {
        0..=11 => format!("Etc/GMT+{noon}"),
        noon => format!("Etc/GMT-{}", 24 - noon),
    };
    kept.says(&file(&zone));
    eventually("it ends", 2 * LIMIT, async || {
        let recording = kept.bench.metric("taimat_segment_recording", "cho").await;
        (recording == 0.0).then_some(())
    })
    .await;
    kept.bench.router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn places_and_backends_that_fail_or_lie_keep_nothing_that_counts_and_stop_nobody() {
    let source = GstCamera::start(&GstOptions::default()).await.unwrap();
    let (s3, dav) = (bad(Badness::Broken).await, bad(Badness::Broken).await);
    let (data, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let nas = |name: &str, component: &str, settings: &str| {
        format!(
            "[plugin.{name}]\ncomponent = \"plugins/{component}.wasm\"\n\
             grant = {{ channels = [\"{name}\"] }}\n{settings}\n\
             [channel.{name}]\nurl = \"{}/\"\nrate = {{ per-minute = 6000, burst = 1000 }}\n\n\
             [store.{name}]\nbackend = \"{name}\"\nchannel = \"{name}\"\n\n",
            dav.url()
        )
    };
    // Each time that something is set otherwise, what waits is tried at once.
    let file = |targets: &str, days: u32| {
        camera(&source.url())
            + "[archive]\nmode = \"continuous\"\nstorage = \"tiers\"\n\n[plugin.tiers]\n\
               component = \"plugins/store-tiered.wasm\"\n"
            + &format!(
                "settings = {{ targets = {targets}, copies = 4, important-kinds = [\"litter\"] }}\n\n"
            )
            + &nas("nas", "backend-webdav", "")
            + &nas("liar", "example-mover", "settings = { does = \"other\" }\n")
            + &format!(
                "[store.disk]\ncheck-days = {days}\nfolder = \"{}\"\n\n",
                disk.path().display()
            )
            + &format!(
                "[store.bucket]\ns3 = \"{}\"\nbucket = \"copies\"\npath-style = true\n\
                 access-key = \"{ACCESS_KEY}\"\nsecret-key = {{ file = \"secret\" }}\n",
                s3.url()
            )
    };
    let all = r#"["bucket", "nas", "liar", "disk"]"#;
    let components = ["store-tiered", "backend-webdav", "example-mover"];
    let kept = Kept::start(data.path(), &file(all, 1), &components).await;
    kept.recorded(3).await;
    for _ in 0..20 {
        see(&kept, "litter");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // What is complete is asked about; and it is recorded on.
    kept.says(&file(all, 1).replace("\"continuous\"", "\"off\""));
    eventually("the disk has its copy", LIMIT, async || {
        (kept.used("disk").await > 0).then_some(())
    })
    .await;
    kept.says(&file(all, 2));
    let mut viewer = kept.bench.watch("cho").await;
    let badnesses = [
        Badness::Broken,
        Badness::Forgets,
        Badness::KeepsHalf,
        Badness::KeepsOther,
        Badness::Truncates,
    ];
    for (badness, days) in badnesses.into_iter().zip(3..) {
        s3.does(badness);
        dav.does(badness);
        kept.says(&file(all, days));
        for store in ["bucket", "nas", "liar"] {
            let labels = format!("store=\"{store}\"");
            let failures = async || {
                kept.bench
                    .metric("taimat_copy_failures_total", &labels)
                    .await
            };
            let before = failures().await;
            let what = format!("{store} fails: {badness:?}");
            let patience = Duration::from_secs(120);
            eventually(&what, patience, async || {
                (failures().await > before).then_some(())
            })
            .await;
            assert_eq!(kept.used(store).await, 0, "{what}");
        }
    }
    common::missed_nothing(&mut viewer).await;
    s3.does(Badness::None);
    dav.does(Badness::None);
    // Whoever has mended a place changes its settings, and it is tried at once.
    kept.says(&file(r#"["nas", "bucket", "disk"]"#, 20));
    for (store, place) in [("bucket", &s3), ("nas", &dav)] {
        eventually(store, Duration::from_secs(90), async || {
            (kept.used(store).await > 0).then_some(())
        })
        .await;
        let copy = movies_below(disk.path()).remove(0);
        let name = copy.file_name().unwrap().to_str().unwrap();
        assert!(
            place.kept(name).unwrap() == std::fs::read(&copy).unwrap(),
            "{store}"
        );
    }
    kept.bench.router.stop().await;
}

async fn bad(badness: Badness) -> BadStore {
    BadStore::start(badness).await.unwrap()
}
