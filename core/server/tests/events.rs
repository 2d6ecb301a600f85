//! Events in the whole router: a real camera, the repository's own detector, a disk, a restart.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a set-up that fails fails its test"
)]

mod common;

use std::path::PathBuf;

use common::{Bench, LIMIT, main_only};
use serde_json::{Value, json};
use taimat_server::Options;
use taimat_testkit::gstreamer::write_commune;
use taimat_testkit::{GstCamera, GstOptions, eventually, plugins};

const PLUGIN: &str = r#"
[plugin.motion]
component = "plugins/motion.wasm"
grant = { frames = { width = 320, fps = 5 }, state = "1MiB" }
events = [{ minimum = "0s", gap = "2s", cool-down = "0s", severity = "warning" }]
"#;
const EVENTS: &str = "/api/v1/communes/thu/events";

/// A camera whose picture moves, and what becomes of it.
async fn bench(data: Option<PathBuf>) -> (GstCamera, Bench) {
    let camera = GstCamera::start(&GstOptions::default()).await.unwrap();
    let cameras = [("cho", main_only(&camera.url()) + PLUGIN)];
    let bench = Bench::start_with(&cameras, |options| Options { data, ..options }).await;
    std::fs::create_dir_all(bench.folder.join("plugins")).unwrap();
    let component = plugins::package("detect-motion").unwrap();
    std::fs::write(bench.folder.join("plugins/motion.wasm"), component).unwrap();
    (camera, bench)
}

async fn post(bench: &Bench, path: &str, body: Value) -> (u16, Value) {
    let request = reqwest::Client::new().post(bench.url(path));
    let request = request.header("content-type", "application/json");
    let response = request.body(body.to_string()).send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// The newest event of that kind.
async fn newest(bench: &Bench, kind: &str) -> Value {
    eventually("an event", LIMIT, async || {
        let page = bench.get(&format!("{EVENTS}?kind={kind}")).await;
        page["events"].get(0).cloned()
    })
    .await
}

/// Follows what is told, until something is.
async fn told(bench: &Bench, after: u64, wanted: impl Fn(&Value) -> bool) -> (Vec<u64>, Value) {
    let request = reqwest::Client::new().get(bench.url(&format!("{EVENTS}/live")));
    let request = request.header("last-event-id", after.to_string());
    let mut response = request.send().await.unwrap();
    let (mut text, mut numbers) = (String::new(), Vec::new());
    loop {
        let chunk = tokio::time::timeout(LIMIT, response.chunk()).await.unwrap();
        text.push_str(std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap());
        while let Some((event, rest)) = text.split_once("\n\n") {
            let line = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
            if let (Some(id), Some(data)) = (line("id: "), line("data: ")) {
                let told: Value = serde_json::from_str(data).unwrap();
                assert_eq!(told["entry"]["seq"].to_string(), id);
                numbers.push(id.parse().unwrap());
                if wanted(&told) {
                    return (numbers, told);
                }
            }
            text = rest.to_owned();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moves_is_an_event_with_a_picture_that_people_deal_with() {
    let (_camera, bench) = bench(None).await;
    let (_, opened) = told(&bench, 0, |told| told["event"]["kind"] == "motion").await;
    assert_eq!(opened["entry"]["what"], "opened");
    let event = &opened["event"];
    assert_eq!(event["severity"], "warning");
    assert_eq!(
        (&event["camera"], &event["plugin"]),
        (&json!("cho"), &json!("motion"))
    );
    assert_eq!(event["picture"], true);
    let id = event["id"].as_str().unwrap();
    let path = format!("{EVENTS}/{id}");
    let picture = |marked: bool| {
        let url = bench.url(&format!("{path}/picture?marked={marked}"));
        async move { reqwest::get(url).await.unwrap().bytes().await.unwrap() }
    };
    let (plain, marked) = (picture(false).await, picture(true).await);
    assert!(plain.starts_with(&[0xFF, 0xD8, 0xFF]) && marked.starts_with(&[0xFF, 0xD8, 0xFF]));
    assert_ne!(plain, marked);

    let (status, answered) = post(
        &bench,
        &format!("{path}/answer"),
        json!({"who": "Lan", "answer": "seen"}),
    )
    .await;
    assert_eq!(
        (status, &answered["event"]["answered"]["who"]),
        (200, &json!("Lan"))
    );
    let comment = json!({"who": "Lan", "text": "xe rác của phường"});
    assert_eq!(
        post(&bench, &format!("{path}/comments"), comment).await.0,
        200
    );
    let to = json!({"who": "Lan", "to": "Minh"});
    assert_eq!(post(&bench, &format!("{path}/assignment"), to).await.0, 200);
    let (status, problem) = post(
        &bench,
        &format!("{path}/answer"),
        json!({"who": " ", "answer": "seen"}),
    )
    .await;
    assert_eq!(
        (status, &problem["type"]),
        (422, &json!("/problems/not-accepted"))
    );
    let found = bench
        .get(&format!("{EVENTS}?text=xe%20rac&state=answered"))
        .await;
    assert_eq!(found["events"][0]["id"], id);
    let story = bench.get(&path).await;
    let words = story["log"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["what"]);
    // What followed is another matter, and may come between.
    let beside = ["updated", "ruled"];
    let words: Vec<_> = words
        .filter(|what| what.as_str().is_some_and(|what| !beside.contains(&what)))
        .collect();
    assert_eq!(words, ["opened", "answered", "commented", "assigned"]);

    // Another commune does not have it, and nobody has one of another name.
    for path in [
        format!("/api/v1/communes/other/events/{id}"),
        format!("{EVENTS}/00000000000000000000000000"),
        format!("{EVENTS}/..%2f..%2fetc"),
    ] {
        let response = reqwest::get(bench.url(&path)).await.unwrap();
        assert_eq!(response.status().as_u16(), 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_is_told_everything_once_and_in_order() {
    let (_camera, bench) = bench(None).await;
    let event = newest(&bench, "motion").await;
    let path = format!("{EVENTS}/{}", event["id"].as_str().unwrap());
    let seq = bench.get(EVENTS).await["seq"].as_u64().unwrap();
    for number in 0..5 {
        let comment = json!({"who": "Lan", "text": format!("{number}")});
        assert_eq!(
            post(&bench, &format!("{path}/comments"), comment).await.0,
            200
        );
    }
    let last = |told: &Value| told["entry"]["text"] == "4";
    let (numbers, _) = told(&bench, seq, last).await;
    assert!(numbers.len() >= 5 && numbers[0] == seq + 1, "{numbers:?}");
    assert!(
        numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "{numbers:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn events_outlive_the_router_and_a_camera_that_is_away_is_one() {
    let data = tempfile::tempdir().unwrap();
    let id = {
        let (_camera, bench) = bench(Some(data.path().to_owned())).await;
        let event = newest(&bench, "motion").await;
        bench.router.stop().await;
        event["id"].as_str().unwrap().to_owned()
    };
    // The same camera's address, and nothing there any more.
    let away = main_only("rtsp://127.0.0.1:9/none");
    let kept = Some(data.path().to_owned());
    let bench = Bench::start_with(&[("cho", away.clone())], |options| Options {
        data: kept,
        ..options
    })
    .await;
    write_commune(
        &bench.folder,
        &[("cho", away + "\n[events]\ncamera-lost-after = \"1s\"\n")],
    )
    .unwrap();
    let closed = eventually("the event is over", LIMIT, async || {
        let story = bench.get(&format!("{EVENTS}/{id}")).await;
        (story["event"]["phase"] == "closed").then_some(story)
    })
    .await;
    // What was written of it last is when it ended: nobody saw more.
    assert_eq!(closed["event"]["ended"], closed["event"]["last"]);
    let lost = newest(&bench, "camera-lost").await;
    assert_eq!(
        (&lost["plugin"], &lost["camera"]),
        (&json!("taimat"), &json!("cho"))
    );
    let text = lost["best"]["text"].as_str().unwrap();
    assert!(text.starts_with("main: refused"), "{text}");
    let standing = bench.get(&format!("{EVENTS}/standing")).await;
    assert_eq!(standing["open"], 1);
    let camera = GstCamera::start(&GstOptions::default()).await.unwrap();
    write_commune(&bench.folder, &[("cho", main_only(&camera.url()))]).unwrap();
    eventually("the camera is back", LIMIT, async || {
        let lost = newest(&bench, "camera-lost").await;
        (lost["phase"] == "closed").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_is_said_and_ends() {
    let (_camera, bench) = bench(None).await;
    let path = "/api/v1/communes/thu/silences";
    let until = 1_000_000 * (60 + i64::try_from(seconds()).unwrap());
    let silence = json!({"kind": "motion", "until": until, "who": "Lan", "why": "chợ Tết"});
    let (status, made) = post(&bench, path, silence).await;
    assert_eq!(status, 201, "{made}");
    let silenced = eventually("a silenced event", LIMIT, async || {
        let page = bench.get(EVENTS).await;
        let events = page["events"].as_array()?.clone();
        events.into_iter().find(|event| event["silenced"] == true)
    })
    .await;
    assert_eq!(silenced["kind"], "motion");
    assert_eq!(bench.get(path).await, json!([made]));
    let elsewhere = json!({"camera": "nowhere", "until": until, "who": "Lan"});
    assert_eq!(post(&bench, path, elsewhere).await.0, 404);
    let past = json!({"until": 1, "who": "Lan"});
    assert_eq!(post(&bench, path, past).await.0, 422);
    let url = bench.url(&format!("{path}/{}", made["number"]));
    let ended = reqwest::Client::new().delete(url).send().await.unwrap();
    assert_eq!(ended.status().as_u16(), 204);
    assert_eq!(bench.get(path).await, json!([]));
}

fn seconds() -> u64 {
    taimat_base::clock::unix_seconds(taimat_base::clock::wall()) as u64
}
