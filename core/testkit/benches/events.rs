//! What events cost, in one run:
//!
//! - events committed a second, against bare commits of SQLite on the same disk, one row each;
//! - from a detection until its event is on the disk, and until the first attempt to tell of it, in the
//!   whole router with the repository's own components for policy and alerter, warm;
//! - a day of 100,000 events through each policy that comes with the house;
//! - bytes on the disk for an event with its story.
//!
//! Run by `cargo xtask bench events`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark"
)]
#![allow(clippy::disallowed_methods, reason = "measures time")]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use taimat_base::CameraKey;
use taimat_contract::event::{Event, Phase};
use taimat_contract::policy::Why;
use taimat_contract::{Detected, Detection, DetectionSink, Severity, Situation, UnixMicros};
use taimat_events::Happening;
use taimat_sandbox::PolicyTrial;
use taimat_sandbox::limits::LimitSettings;
use taimat_server::{Options, Router};
use taimat_testkit::plugins;

/// Cameras, and things that each sees: an event each.
const CAMERAS: usize = 100;
const EACH: usize = 40;
/// Things seen a second, and for how many seconds, for the times.
const RATE: u64 = 20;
const SECONDS: u64 = 20;
/// Events of a day.
const DAY: usize = 100_000;

const COMMUNE: &str = r#"
[commune]
name = "Thu"
CAMERAS
[plugin.rules]
component = "plugins/policy-rules.wasm"
settings = { rules = [{ tell = ["hook"], kinds = ["litter"] }] }
[plugin.webhook]
component = "plugins/alert-webhook.wasm"
grant = { channels = ["webhook"] }
[channel.webhook]
url = "http://127.0.0.1:PORT/"
rate = { per-minute = 6000, burst = 1000 }
[target.hook]
alerter = "webhook"
[events]
POLICY
"#;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    println!("| what | |");
    println!("| --- | --- |");
    runtime.block_on(committed());
    runtime.block_on(told());
    runtime.block_on(days());
}

/// One row, one commit, as durable as ours.
fn bare(folder: &Path) -> f64 {
    let connection = rusqlite::Connection::open(folder.join("bare.db")).unwrap();
    let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                    CREATE TABLE event (number INTEGER PRIMARY KEY, text TEXT);";
    connection.execute_batch(settings).unwrap();
    let text = "x".repeat(400);
    let began = Instant::now();
    let mut count = 0_u32;
    while began.elapsed() < Duration::from_secs(3) {
        connection
            .execute("INSERT INTO event (text) VALUES (?1)", [&text])
            .unwrap();
        count += 1;
    }
    f64::from(count) / began.elapsed().as_secs_f64()
}

fn folder() -> tempfile::TempDir {
    // Not where temporary files are: that may be memory.
    tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap()
}

/// The whole router, telling `port`; with the policy component, or with nobody to tell.
async fn router(folder: &Path, port: u16, policy: &str) -> std::sync::Arc<Router> {
    let commune = folder.join("thu");
    std::fs::create_dir_all(commune.join("plugins")).unwrap();
    for name in ["policy-rules", "alert-webhook"] {
        let file = commune.join(format!("plugins/{name}.wasm"));
        std::fs::write(file, plugins::package(name).unwrap()).unwrap();
    }
    let cameras: String = (0..CAMERAS)
        .map(|n| format!("[camera.c{n}]\nmain = \"rtsp://127.0.0.1:9/x\"\nrun = \"on-demand\"\n"))
        .collect();
    let text = COMMUNE
        .replace("CAMERAS", &cameras)
        .replace("PORT", &port.to_string())
        .replace("POLICY", policy);
    std::fs::write(commune.join("commune.toml"), text).unwrap();
    let options = Options {
        data: Some(folder.join("data")),
        allow_networks: vec!["127.0.0.1/32".parse().unwrap()],
        ..Options::on_loopback(vec![commune])
    };
    Router::start(options).await.unwrap()
}

fn see(router: &Router, camera: usize, kind: &str, track: u64) {
    let camera = format!("c{camera}").parse().unwrap();
    let camera = CameraKey::new("thu".parse().unwrap(), camera);
    let detection = detection(kind, track);
    router.events().publish(&Detected {
        camera: &camera,
        plugin: &"eye".parse().unwrap(),
        detections: &[detection],
        frame: None,
    });
}

fn detection(kind: &str, track: u64) -> Detection {
    Detection {
        kind: kind.into(),
        at: UnixMicros::from(std::time::SystemTime::now()),
        confidence: 0.9,
        regions: vec![],
        track: Some(track),
        text: String::new(),
        extra: vec![],
    }
}

/// Events a second when as many come as can be taken, each ruled about by the rules of the file.
async fn committed() {
    let folder = folder();
    let bare = bare(folder.path());
    let router = router(folder.path(), 9, "").await;
    let mut told = router.events().store().follow();
    let began = Instant::now();
    let mut opened = 0;
    let all = CAMERAS * EACH;
    let mut track = 0;
    for _ in 0..EACH {
        for camera in 0..CAMERAS {
            track += 1;
            see(&router, camera, "quiet", track);
        }
        // As a detector does, that is not read faster than it sees.
        while opened < usize::try_from(track).unwrap() {
            match told.recv().await {
                Ok(told) => opened += usize::from(told.entry.happening == Happening::Opened),
                Err(_lagged) => break,
            }
        }
    }
    let rate = all as f64 / began.elapsed().as_secs_f64();
    println!("| bare commits of SQLite, a row each | {bare:.0}/s |");
    println!(
        "| events committed and told | {rate:.0}/s, {:.1} of the bare ones |",
        rate / bare
    );
    // Rulings are still being written.
    tokio::time::sleep(Duration::from_secs(5)).await;
    router.stop().await;
    let file = folder.path().join("data/events.db");
    // What is in the log only belongs to it too.
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    let bytes = std::fs::metadata(&file).unwrap().len();
    println!(
        "| on the disk for an event with its ruling, without a picture | {} bytes |",
        bytes / all as u64
    );
}

/// Says when each request came, by the event that is in it.
fn listen(listener: TcpListener) -> mpsc::Receiver<(String, Instant)> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            std::thread::spawn(move || answer(stream, &sender));
        }
    });
    receiver
}

fn answer(mut stream: TcpStream, sender: &mpsc::Sender<(String, Instant)>) {
    let (mut text, mut buffer) = (Vec::new(), [0; 16 << 10]);
    while let Ok(read) = stream.read(&mut buffer) {
        if read == 0 {
            return;
        }
        let came = Instant::now();
        text.extend_from_slice(&buffer[..read]);
        let whole = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = whole.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.parse().ok())?
        });
        if body.len() < length.unwrap_or(0) {
            continue;
        }
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        let id = body["data"]["id"].as_str().unwrap_or_default().to_owned();
        drop(sender.send((id, came)));
        text.clear();
        if stream
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .is_err()
        {
            return;
        }
    }
}

fn percentile(times: &mut [Duration], part: f64) -> f64 {
    times.sort();
    let at = ((times.len() - 1) as f64 * part).round() as usize;
    times[at].as_secs_f64() * 1000.0
}

async fn told() {
    let folder = folder();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let came = listen(listener);
    let router = router(folder.path(), port, "policy = \"rules\"").await;
    let mut told = router.events().store().follow();
    // Components are compiled, and the first connection made.
    see(&router, 0, "litter", 0);
    let (first, _) =
        tokio::task::block_in_place(|| came.recv_timeout(Duration::from_secs(60)).unwrap());
    drop(first);
    let mut seen: HashMap<u64, Instant> = HashMap::new();
    let (mut commits, mut attempts) = (Vec::new(), Vec::new());
    let mut tracks: HashMap<String, u64> = HashMap::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(1000 / RATE));
    let until = Instant::now() + Duration::from_secs(SECONDS);
    let mut track = 0;
    while Instant::now() < until + Duration::from_secs(2) {
        tokio::select! {
            _ = ticks.tick() => if Instant::now() < until {
                track += 1;
                seen.insert(track, Instant::now());
                see(&router, usize::try_from(track).unwrap() % CAMERAS, "litter", track);
            },
            told = told.recv() => if let Ok(told) = told
                && told.entry.happening == Happening::Opened
                && let Some(track) = told.event.best.track
                && let Some(at) = seen.get(&track)
            {
                commits.push(at.elapsed());
                tracks.insert(told.event.id.to_string(), track);
            }
        }
    }
    for (id, came) in came.try_iter() {
        if let Some(at) = tracks.get(&id).and_then(|track| seen.get(track)) {
            attempts.push(came - *at);
        }
    }
    let all = commits.len();
    println!(
        "| detection → on the disk, {all} at {RATE}/s | median {:.1} ms, p99 {:.1} ms |",
        percentile(&mut commits, 0.5),
        percentile(&mut commits, 0.99)
    );
    println!(
        "| detection → first attempt, {} of them | median {:.1} ms, p99 {:.1} ms |",
        attempts.len(),
        percentile(&mut attempts, 0.5),
        percentile(&mut attempts, 0.99)
    );
    router.stop().await;
}

fn event(number: usize) -> Event {
    let kinds = ["motion", "litter", "line-crossed", "tamper-covered"];
    let kind = kinds[number % kinds.len()];
    // 2027-01-15 00:00 UTC, and a day from there.
    let began = 1_799_971_200_000_000 + (number as i64) * 864_000;
    Event {
        id: format!("e{number}"),
        revision: 1,
        phase: Phase::Opened,
        camera: Some(format!("c{}", number % 10).parse().unwrap()),
        kind: kind.into(),
        severity: Severity::ALL[number % Severity::ALL.len()],
        began: UnixMicros(began),
        ended: None,
        best: Detection {
            at: UnixMicros(began),
            ..detection(kind, number as u64)
        },
        detections: 1,
        plugin: "eye".parse().unwrap(),
        picture: true,
        clip: false,
        answered: None,
        extra: vec![],
    }
}

async fn days() {
    for name in [
        "policy-rules",
        "policy-quiet-hours",
        "policy-escalation",
        "policy-dumping",
        "policy-crossroads",
        "policy-cluster",
    ] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let settings: PathBuf = root.join(format!("plugins/{name}/settings.json"));
        let settings = std::fs::read_to_string(settings).unwrap_or_else(|_none| "{}".into());
        let package = plugins::package(name).unwrap();
        let facts = std::sync::Arc::default();
        let limits = LimitSettings::default();
        let policy = PolicyTrial::start(&package, &settings, &facts, &limits).await;
        let mut policy = policy.unwrap();
        let began = Instant::now();
        for number in 0..DAY {
            let event = event(number);
            let situation = Situation {
                why: Why::Opened,
                now: event.began,
                asked: 0,
                memo: String::new(),
                told: vec![],
                others: vec![],
                same_last_hour: 1,
            };
            policy.on_event(&event, &situation).await.unwrap();
        }
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "| {DAY} events through {name} | {seconds:.1} s, {} KiB of memory |",
            policy.memory_bytes() / 1024
        );
    }
}
