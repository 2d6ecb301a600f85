//! Who is told, by the whole router with the repository's own components, at servers that others wrote: a
//! web server that has others' libraries read what comes, mosquitto, and aiosmtpd. The router is killed at
//! random moments meanwhile.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a set-up that fails fails its test; the child says when it is ready"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use taimat_base::{CameraKey, clock};
use taimat_contract::{Detected, Detection, DetectionSink, UnixMicros};
use taimat_events::{DeliveryStatus, EventStore, Happening};
use taimat_server::{Options, Router};
use taimat_testkit::plugins;

/// Where the child finds its folder.
const FOLDER: &str = "TAIMAT_TOLD_FOLDER";
/// The child sees nothing new, and ends when all are told.
const LAST: &str = "TAIMAT_TOLD_LAST";
/// How often the router is killed, if nothing else is said here: the more of the two hundred are killed in
/// the room's own test.
const KILLS_BY: &str = "TAIMAT_TOLD_KILLS";
const KILLS: u32 = 20;
/// Detections a second, each of something else.
const RATE: u64 = 20;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const COMMUNE: &str = r#"
[commune]
name = "Thu"
language = "en"

[camera.c0]
main = "rtsp://127.0.0.1:9/none"
run = "on-demand"

[plugin.webhook]
component = "plugins/alert-webhook.wasm"
grant = { channels = ["webhook"] }
[plugin.mqtt]
component = "plugins/alert-mqtt.wasm"
grant = { channels = ["mqtt"] }
[plugin.mail]
component = "plugins/alert-mail.wasm"
grant = { channels = ["mail"] }

[channel.webhook]
url = "http://127.0.0.1:HOOK/"
webhook-secret = [{ file = "secret" }]
rate = { per-minute = 6000, burst = 1000 }
[channel.mqtt]
url = "mqtt://127.0.0.1:MQTT"
prefix = "taimat"
discovery-prefix = "homeassistant"
rate = { per-minute = 6000, burst = 1000 }
[channel.mail]
url = "smtp://127.0.0.1:SMTP"
tls = "none"
user = "taimat"
password = { file = "password" }
from = "Taimat <router@example.org>"
to = ["*@example.org"]
rate = { per-minute = 6000, burst = 1000 }

[target.hook]
alerter = "webhook"
[target.home]
alerter = "mqtt"
[target.desk]
alerter = "mail"
address = { to = "desk@example.org" }

[[rule]]
kinds = ["litter"]
tell = ["hook", "home", "desk"]
follow = false
"#;

/// A program that ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn start(command: &mut Command) -> Program {
    let named = format!("{command:?}");
    let child = command.stdin(Stdio::null()).spawn();
    Program(child.unwrap_or_else(|e| panic!("{named}: {e}")))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[expect(clippy::disallowed_methods, reason = "a program of others starts")]
fn listening(port: u16) {
    for _ in 0..400 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("nothing listens at {port}");
}

/// All that is told, and where it comes out.
struct Others {
    folder: PathBuf,
    hook: u16,
    mqtt: u16,
    smtp: u16,
    _programs: Vec<Program>,
}

impl Others {
    fn start(folder: &Path) -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let own = folder.join("others");
        std::fs::create_dir_all(own.join("mails")).unwrap();
        for file in ["package.json", "package-lock.json", "hook.mjs"] {
            std::fs::copy(tests.join("hook").join(file), own.join(file)).unwrap();
        }
        let installed = Command::new("npm")
            .args(["ci", "--silent", "--no-audit", "--no-fund"])
            .current_dir(&own)
            .status();
        assert!(installed.unwrap().success(), "npm");
        let mut hook = start(
            Command::new("node")
                .args(["hook.mjs", "hook.txt", SECRET])
                .current_dir(&own)
                .stdout(Stdio::piped()),
        );
        let mut port = String::new();
        let said = hook.0.stdout.take().unwrap();
        BufReader::new(said).read_line(&mut port).unwrap();
        let (mqtt, smtp) = (free_port(), free_port());
        let lines = format!("allow_anonymous true\nlistener {mqtt} 127.0.0.1\nuser root\n");
        std::fs::write(own.join("mosquitto.conf"), lines).unwrap();
        // Debian has it where only root looks.
        let debian = Path::new("/usr/sbin/mosquitto");
        let program = if debian.exists() {
            debian
        } else {
            Path::new("mosquitto")
        };
        let broker = start(
            Command::new(program)
                .args(["-c", "mosquitto.conf"])
                .current_dir(&own)
                .stderr(Stdio::null()),
        );
        listening(mqtt);
        let heard = std::fs::File::create(own.join("mqtt.txt")).unwrap();
        let listener = start(
            Command::new("mosquitto_sub")
                .args(["-p", &mqtt.to_string(), "-q", "1", "-F", "%t %p"])
                .args([
                    "-t",
                    "taimat/+/event",
                    "-t",
                    "taimat/status",
                    "-t",
                    "homeassistant/#",
                ])
                .stdout(heard),
        );
        let script = tests.join("../../outbound/tests/smtp_server.py");
        let mails = start(
            Command::new("/usr/bin/python3")
                .arg(script)
                .arg(smtp.to_string())
                .arg(own.join("mails"))
                .arg("plain"),
        );
        listening(smtp);
        Self {
            folder: own,
            hook: port.trim().parse().unwrap(),
            mqtt,
            smtp,
            _programs: vec![hook, broker, listener, mails],
        }
    }

    /// The commune that tells them.
    fn commune(&self, folder: &Path) -> PathBuf {
        let commune = folder.join("thu");
        std::fs::create_dir_all(commune.join("plugins")).unwrap();
        for name in ["alert-webhook", "alert-mqtt", "alert-mail"] {
            let file = commune.join(format!("plugins/{name}.wasm"));
            std::fs::write(file, plugins::package(name).unwrap()).unwrap();
        }
        std::fs::write(commune.join("secret"), SECRET).unwrap();
        std::fs::write(commune.join("password"), "m4il-pass").unwrap();
        let ports = [
            ("HOOK", self.hook),
            ("MQTT", self.mqtt),
            ("SMTP", self.smtp),
        ];
        let file = ports.iter().fold(COMMUNE.to_owned(), |text, (name, port)| {
            text.replace(name, &port.to_string())
        });
        std::fs::write(commune.join("commune.toml"), file).unwrap();
        commune
    }

    /// What each has, by event: under how many keys.
    fn heard(&self) -> BTreeMap<&'static str, BTreeMap<String, Vec<String>>> {
        let mut heard: BTreeMap<_, BTreeMap<String, Vec<String>>> = BTreeMap::new();
        let mut note = |whom, event: &str, key: &str| {
            let events: &mut BTreeMap<String, Vec<String>> = heard.entry(whom).or_default();
            events
                .entry(event.to_owned())
                .or_default()
                .push(key.to_owned());
        };
        let hook = std::fs::read_to_string(self.folder.join("hook.txt")).unwrap_or_default();
        for line in hook.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [key, event, kind] = words[..] else {
                panic!("{line}");
            };
            assert!(kind.starts_with("vn.taimat.event."), "{line}");
            note("hook", event, key);
        }
        let mqtt = std::fs::read_to_string(self.folder.join("mqtt.txt")).unwrap_or_default();
        for line in mqtt.lines() {
            let Some((topic, payload)) = line.split_once(' ') else {
                continue;
            };
            if topic.ends_with("/event") {
                let event: serde_json::Value = serde_json::from_str(payload).unwrap();
                note("home", event["id"].as_str().unwrap_or_default(), "");
            }
        }
        for mail in std::fs::read_dir(self.folder.join("mails")).unwrap() {
            let mail = std::fs::read(mail.unwrap().path()).unwrap();
            let mail = String::from_utf8_lossy(&mail).replace("=\r\n", "");
            let header = |name: &str| {
                let line = mail.lines().find(|line| line.starts_with(name));
                line.unwrap_or_else(|| panic!("no {name} in {mail}"))
                    .to_owned()
            };
            // In English it is plain text, with the link to the event's page.
            let link = mail
                .split_once("/event/thu/")
                .map(|(_, rest)| rest.get(..26));
            let event = link
                .flatten()
                .unwrap_or_else(|| panic!("no link in {mail}"));
            note("desk", event, &header("Message-ID:"));
        }
        heard
    }
}

async fn router(folder: &Path) -> Arc<Router> {
    let options = Options {
        data: Some(folder.join("data")),
        allow_networks: vec!["127.0.0.1/32".parse().unwrap()],
        ..Options::on_loopback(vec![folder.join("thu")])
    };
    Router::start(options).await.unwrap()
}

async fn detect(folder: &Path, last: bool) {
    let router = router(folder).await;
    println!("\nready");
    if last {
        return until_all_are_told(&router, folder).await;
    }
    let plugin = "eye".parse().unwrap();
    let from = u64::from(std::process::id()) << 20;
    for track in from.. {
        // One camera may have so many open, and no more: a detector that floods is held back.
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
        router.events().publish(&Detected {
            camera: &camera,
            plugin: &plugin,
            detections: &[detection.clone(), detection],
            frame: None,
        });
        tokio::time::sleep(Duration::from_millis(1000 / RATE)).await;
    }
}

async fn until_all_are_told(router: &Router, folder: &Path) {
    let commune = "thu".parse().unwrap();
    let store = router.events().store();
    loop {
        let waiting = store.deliveries(&commune, Some(DeliveryStatus::Waiting), None, None);
        let asked = unruled(store);
        // What stands at the broker without events is said apart from them.
        let heard = std::fs::read_to_string(folder.join("others/mqtt.txt")).unwrap();
        let stands = heard.contains("homeassistant/device/");
        if waiting.unwrap().is_empty() && asked == 0 && stands {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Events of the detector that nobody ruled about.
fn unruled(store: &EventStore) -> usize {
    let (mut opened, mut ruled) = (BTreeSet::new(), BTreeSet::new());
    let mut after = 0;
    loop {
        let some = store.told_after(after).unwrap();
        let Some(newest) = some.last() else {
            return opened.difference(&ruled).count();
        };
        after = newest.entry.seq;
        for told in some {
            match told.entry.happening {
                Happening::Opened => drop(opened.insert(told.event.id)),
                Happening::Ruled { .. } => drop(ruled.insert(told.event.id)),
                _ => {}
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_child_of_the_test_below() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        detect(Path::new(&folder), std::env::var_os(LAST).is_some()).await;
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
fn everybody_is_told_although_the_router_is_killed_again_and_again() {
    let kills = std::env::var(KILLS_BY).map_or(KILLS, |kills| kills.parse().unwrap());
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let others = Others::start(folder);
    others.commune(folder);
    let mut moments = StdRng::seed_from_u64(11);
    for _ in 0..kills {
        let mut child = child(folder, false);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.any(|line| line.is_ok_and(|line| line == "ready"));
        assert!(ready, "the child ended by itself");
        std::thread::sleep(Duration::from_millis(moments.random_range(0..1_200)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let last = child(folder, true).wait_with_output().unwrap();
    assert!(
        last.status.success(),
        "{}",
        String::from_utf8_lossy(&last.stdout)
    );
    check(folder, &others, kills);
}

fn check(folder: &Path, others: &Others, kills: u32) {
    let (store, damaged) = EventStore::open(Some(&folder.join("data"))).unwrap();
    assert_eq!(damaged, None);
    let mut after = 0;
    let mut events = BTreeSet::new();
    loop {
        let some = store.told_after(after).unwrap();
        let Some(newest) = some.last() else { break };
        after = newest.entry.seq;
        let seen = some.into_iter().filter(|told| told.event.kind == "litter");
        events.extend(seen.map(|told| told.event.id.to_string()));
    }
    let heard = others.heard();
    println!(
        "| {kills} kills, {} events | told | missing | repeats | with another key |",
        events.len()
    );
    println!("| --- | --- | --- | --- | --- |");
    let mut wrong = Vec::new();
    for (whom, by_event) in &heard {
        let told: usize = by_event.values().map(Vec::len).sum();
        let missing: Vec<_> = events
            .iter()
            .filter(|id| !by_event.contains_key(*id))
            .collect();
        let keys = |keys: &Vec<String>| keys.iter().collect::<BTreeSet<_>>().len();
        let other_key = by_event.values().filter(|all| keys(all) > 1).count();
        let repeats = told - by_event.len();
        println!(
            "| {whom} | {told} | {} | {repeats} | {other_key} |",
            missing.len()
        );
        if !missing.is_empty() || other_key > 0 {
            wrong.push(format!(
                "{whom}: missing {missing:?}, {other_key} with another key"
            ));
        }
    }
    assert_eq!(heard.len(), 3, "{:?}", heard.keys());
    assert_eq!(wrong, [] as [String; 0]);
    assert!(events.len() > kills as usize, "{}", events.len());
    let mqtt = std::fs::read_to_string(others.folder.join("mqtt.txt")).unwrap();
    assert!(mqtt.contains("homeassistant/device/"), "{mqtt}");
    assert!(mqtt.contains("taimat/status online"), "{mqtt}");
}
