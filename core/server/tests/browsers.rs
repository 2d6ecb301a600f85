//! Browsers are told by the whole router: what it sends is opened and verified by libraries of others, at a
//! push service over TLS.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use taimat_base::{CameraKey, clock};
use taimat_contract::{Detected, Detection, DetectionSink, UnixMicros};
use taimat_events::{Answer, EventQuery};
use taimat_server::{Options, Router};
use taimat_testkit::eventually;

/// Where the child finds what the other side was started with. It is a process of its own since it trusts
/// another certificate than this machine does.
const FOLDER: &str = "TAIMAT_BROWSERS_FOLDER";
const LIMIT: Duration = Duration::from_secs(40);
const PUSH: &str = "/api/v1/communes/thu/push";

const COMMUNE: &str = r#"
target.browsers = { title = "Điện thoại", alerter = "push" }

[commune]
name = "Thu"

[camera.cho]
title = "Chợ, cổng 1"
main = "rtsp://127.0.0.1:9/none"
run = "on-demand"

[plugin.eye]
component = "plugins/none.wasm"
enabled = false
events = [{ minimum = "0s", gap = "2s", cool-down = "0s", severity = "warning" }]
"#;

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A push service and its browsers; says all their subscriptions into a file.
fn service(folder: &Path) -> Program {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/push");
    for file in ["package.json", "package-lock.json", "service.mjs"] {
        std::fs::copy(tests.join(file), folder.join(file)).unwrap();
    }
    let installed = Command::new("npm")
        .args(["ci", "--silent", "--no-audit", "--no-fund"])
        .current_dir(folder)
        .status();
    assert!(installed.unwrap().success(), "npm");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let mut node = Command::new("node")
        .args([
            "service.mjs",
            "cert.pem",
            "key.pem",
            "told.txt",
            "an",
            "busy",
            "gone",
        ])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let said = node.stdout.take().unwrap();
    BufReader::new(said).read_line(&mut line).unwrap();
    std::fs::write(folder.join("browsers.json"), line).unwrap();
    Program(node)
}

#[test]
fn what_browsers_are_told_is_opened_and_verified_by_others() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    std::fs::create_dir_all(folder.join("thu")).unwrap();
    std::fs::write(folder.join("thu/commune.toml"), COMMUNE).unwrap();
    let _service = service(folder);
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_child_of_the_test_above", "--nocapture"])
        .env(FOLDER, folder)
        .env("SSL_CERT_FILE", folder.join("cert.pem"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    let errors = String::from_utf8_lossy(&child.stderr);
    assert!(
        child.status.success() && said.contains("1 passed"),
        "{said}\n{errors}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_child_of_the_test_above() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        tells(Path::new(&folder)).await;
    }
}

async fn router(folder: &Path) -> Arc<Router> {
    let options = Options {
        data: Some(folder.join("data")),
        allow_networks: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        ..Options::on_loopback(vec![folder.join("thu")])
    };
    Router::start(options).await.unwrap()
}

async fn ask(
    router: &Router,
    method: reqwest::Method,
    path: &str,
    body: Option<Value>,
) -> (u16, String) {
    let url = format!("http://{}{path}", router.http_addr());
    let mut request = reqwest::Client::new().request(method, url);
    if let Some(body) = body {
        let request_json = request.header("content-type", "application/json");
        request = request_json.body(body.to_string());
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.text().await.unwrap())
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn asks(browsers: &Value, name: &str, language: &str) -> Value {
    let mut body = browsers[name].clone();
    body["who"] = name.into();
    body["wants"] = json!({ "language": language, "at_least": "warning" });
    body
}

/// What the service was given, once it is so much.
async fn told(folder: &Path, count: usize) -> Vec<Value> {
    let file = folder.join("told.txt");
    let lines = eventually("notifications", LIMIT, async || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let lines: Vec<Value> = text.lines().map(parsed).collect();
        (lines.len() >= count).then_some(lines)
    })
    .await;
    assert!(
        lines.iter().all(|line| line["refused"].is_null()),
        "{lines:#?}"
    );
    lines
}

fn of<'a>(lines: &'a [Value], name: &str) -> Vec<&'a Value> {
    let to = format!("/send/{name}");
    lines.iter().filter(|line| line["to"] == to).collect()
}

async fn tells(folder: &Path) {
    let browsers = parsed(&std::fs::read_to_string(folder.join("browsers.json")).unwrap());
    let first = router(folder).await;
    let (status, view) = ask(&first, reqwest::Method::GET, PUSH, None).await;
    assert_eq!(status, 200, "{view}");
    let key = parsed(&view)["public_key"].clone();
    for (name, language) in [("an", "vi"), ("busy", "en"), ("gone", "en")] {
        let body = asks(&browsers, name, language);
        let (status, answer) = ask(&first, reqwest::Method::POST, PUSH, Some(body)).await;
        assert_eq!(status, 200, "{answer}");
        assert!(!answer.contains("localhost"), "{answer}");
    }
    let mut bad = asks(&browsers, "an", "vi");
    bad["endpoint"] = "http://localhost/send/an".into();
    let (status, why) = ask(&first, reqwest::Method::POST, PUSH, Some(bad)).await;
    assert!(status == 422 && why.contains("https"), "{status} {why}");

    let camera = CameraKey::new("thu".parse().unwrap(), "cho".parse().unwrap());
    let detection = Detection {
        kind: "litter".into(),
        at: UnixMicros::from(clock::wall()),
        confidence: 0.9,
        regions: vec![],
        track: None,
        text: "Bao đen cạnh cột điện".into(),
        extra: vec![],
    };
    first.events().publish(&Detected {
        camera: &camera,
        plugin: &"eye".parse().unwrap(),
        detections: &[detection],
        frame: None,
    });
    // One each, and the second attempt at the one that was busy.
    let lines = told(folder, 4).await;
    let [an] = of(&lines, "an")[..] else {
        panic!("{lines:#?}");
    };
    let notice = &an["notice"];
    assert_eq!(notice["title"], "⚠️ Đổ rác trái phép – Chợ, cổng 1");
    let body = notice["body"].as_str().unwrap();
    assert!(
        body.contains("độ tin cậy 90%. Bao đen cạnh cột điện\nThu"),
        "{body}"
    );
    assert_eq!(an["key"], key);
    assert_eq!(
        (&an["urgency"], &an["topic"]),
        (&"high".into(), &notice["tag"])
    );
    let ttl = an["ttl"].as_u64().unwrap();
    assert!((86_000..=86_400).contains(&ttl), "{ttl}");
    // Padded, so that its length says little; and well below what every service takes.
    assert!(an["bytes"].as_u64().unwrap() <= 2048, "{an}");
    let busy = of(&lines, "busy");
    assert_eq!(busy[0]["notice"], busy[1]["notice"]);
    assert_eq!(busy[0]["notice"]["title"], "⚠️ Waste dumping – Chợ, cổng 1");
    // What the browser knows leads to the event's page.
    let id = first
        .events()
        .store()
        .events(&"thu".parse().unwrap(), &EventQuery::default())
        .unwrap()
        .events[0]
        .id;
    assert_eq!(notice["link"], format!("/#/event/thu/{id}"));

    // The one that is gone is removed, and nobody is shown where the others are.
    let names = eventually("the browser is removed", LIMIT, async || {
        let path = "/api/v1/communes/thu/targets";
        let (_, text) = ask(&first, reqwest::Method::GET, path, None).await;
        assert!(!text.contains("/send/"), "{text}");
        let browsers = parsed(&text)["targets"][0]["browsers"].clone();
        let names: Vec<String> = browsers
            .as_array()
            .unwrap()
            .iter()
            .map(|b| b["who"].as_str().unwrap().to_owned())
            .collect();
        (names.len() == 2).then_some(names)
    })
    .await;
    assert_eq!(names, ["an", "busy"]);

    // After a restart it is the same router, to browsers and services.
    first.stop().await;
    drop(first);
    let file = folder.join("data/push/vapid.pem");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let second = router(folder).await;
    let (_, view) = ask(&second, reqwest::Method::GET, PUSH, None).await;
    assert_eq!(parsed(&view)["public_key"], key);
    let before = told(folder, 4).await.len();
    second
        .events()
        .answer(id, "Chi", Answer::Seen)
        .await
        .unwrap();
    // It was told, so it is told that somebody deals with it: under the same topic, and without a sound.
    let answered = eventually("the answer is told", LIMIT, async || {
        let lines = told(folder, before + 1).await;
        let answered = |line: &&&Value| {
            let body = line["notice"]["body"].as_str().unwrap_or_default();
            body.contains("Chi đã xử lý")
        };
        of(&lines, "an")
            .iter()
            .find(answered)
            .map(|line| Value::clone(line))
    })
    .await;
    assert_eq!(answered["topic"], an["topic"]);
    assert_eq!(
        (&answered["notice"]["quiet"], &answered["urgency"]),
        (&true.into(), &"normal".into())
    );

    // It wants no more: whoever knows its address is it.
    let endpoint = json!({ "endpoint": browsers["an"]["endpoint"] });
    let path = reqwest::Method::DELETE;
    let (status, _) = ask(&second, path.clone(), PUSH, Some(endpoint.clone())).await;
    assert_eq!(status, 204);
    let (status, _) = ask(&second, path, PUSH, Some(endpoint)).await;
    assert_eq!(status, 404);
    second.stop().await;
}
