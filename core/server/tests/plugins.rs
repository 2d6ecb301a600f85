//! Plugins in the whole router: a real camera, a component built from this repository, live
//! viewers beside it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a set-up that fails fails its test"
)]

mod common;

use common::{Bench, LIMIT, main_only};
use serde_json::Value;
use taimat_testkit::gstreamer::write_commune;
use taimat_testkit::{ClientOptions, GstCamera, GstOptions, WhepClient, eventually, plugins};

const PLUGIN: &str = r#"
[plugin.count]
component = "plugins/count.wasm"
cameras = ["ch*"]
grant = { frames = { width = 640, fps = 30 } }
"#;

async fn bench() -> (GstCamera, Bench) {
    let camera = GstCamera::start(&GstOptions::default()).await.unwrap();
    let cameras = [("cho", main_only(&camera.url()) + PLUGIN)];
    let bench = Bench::start(&cameras).await;
    bench.until("cho", "live", None).await;
    (camera, bench)
}

async fn plugin(bench: &Bench) -> Value {
    bench.get("/api/v1/communes/thu/plugins/count").await
}

async fn until_generation(bench: &Bench, generation: u64) -> Value {
    eventually("the generation runs", LIMIT, async || {
        let plugin = plugin(bench).await;
        (plugin["cameras"]["cho"]["generation"] == generation).then_some(plugin)
    })
    .await
}

async fn put(bench: &Bench, name: &str, body: Vec<u8>) -> (u16, Value) {
    send(bench, reqwest::Method::PUT, name, body).await
}

async fn review(bench: &Bench, body: Vec<u8>) -> (u16, Value) {
    send(bench, reqwest::Method::POST, "count/review", body).await
}

async fn send(bench: &Bench, method: reqwest::Method, path: &str, body: Vec<u8>) -> (u16, Value) {
    let url = bench.url(&format!("/api/v1/communes/thu/plugins/{path}"));
    let request = reqwest::Client::new().request(method, url).body(body);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

fn version(version: &str) -> Vec<u8> {
    let text = format!("version = \"{version}\"");
    plugins::packed("example-smallest", |m| {
        m.replace("version = \"0.1.0\"", &text)
    })
    .unwrap()
}

/// Reads server-sent events until so many frames were counted.
async fn counts(bench: &Bench, wanted: usize) -> Vec<u64> {
    let url = bench.url("/api/v1/communes/thu/detections?camera=cho");
    let mut response = reqwest::get(url).await.unwrap();
    let (mut text, mut counts) = (String::new(), Vec::new());
    while counts.len() < wanted {
        let chunk = tokio::time::timeout(LIMIT, response.chunk()).await.unwrap();
        text.push_str(std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap());
        while let Some((event, rest)) = text.split_once("\n\n") {
            if let Some(data) = event.strip_prefix("data: ") {
                let seen: Value = serde_json::from_str(data).unwrap();
                assert_eq!(
                    (&seen["plugin"], &seen["camera"]),
                    (&"count".into(), &"cho".into())
                );
                let all = seen["detections"].as_array().unwrap();
                counts.extend(all.iter().map(|d| d["track"].as_u64().unwrap()));
            }
            text = rest.to_owned();
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn uploaded_swapped_and_switched_off_while_somebody_watches() {
    let (_camera, bench) = bench().await;
    assert_eq!(plugin(&bench).await["state"], "refused");
    let mut client = bench.watch("cho").await;
    // It says what it is and asks for before it is there.
    let (status, body) = review(&bench, version("1.0.0")).await;
    assert_eq!((status, &body["version"]), (200, &"1.0.0".into()));
    let ask = &body["asks"][0];
    assert_eq!(ask["line"], "frames = { width = 640, fps = 60 }");
    assert_eq!(ask["granted"], "frames = { width = 640, fps = 30 }");
    let (status, body) = review(&bench, b"no".to_vec()).await;
    assert_eq!(
        (status, &body["type"]),
        (422, &"/problems/not-a-plugin".into())
    );
    assert!(!bench.folder.join("plugins/count.wasm").exists());
    let (status, body) = put(&bench, "count", version("1.0.0")).await;
    assert_eq!((status, &body["version"]), (202, &"1.0.0".into()));
    let running = until_generation(&bench, 1).await;
    assert_eq!(
        (&running["state"], &running["component"]["contract"]),
        (&"running".into(), &"0.3".into())
    );
    let first = counts(&bench, 10).await;
    assert!(first.windows(2).all(|w| w[1] == w[0] + 1), "{first:?}");

    // The file itself changes in the folder.
    let file = bench.folder.join("plugins/count.wasm");
    std::fs::write(file.with_extension("new"), version("1.1.0")).unwrap();
    std::fs::rename(file.with_extension("new"), &file).unwrap();
    until_generation(&bench, 2).await;
    let second = counts(&bench, 10).await;
    assert!(
        second[0] > *first.last().unwrap(),
        "the count was handed over: {second:?}"
    );
    assert!(second.windows(2).all(|w| w[1] == w[0] + 1), "{second:?}");

    // A wrong file is told, and what ran goes on.
    let (status, body) = put(&bench, "count", b"no".to_vec()).await;
    assert_eq!(
        (status, &body["type"]),
        (422, &"/problems/not-a-plugin".into())
    );
    let alerter = plugins::packed("example-smallest", |m| m.replace("detector", "alerter"));
    let (status, body) = put(&bench, "count", alerter.unwrap()).await;
    assert!(
        body["detail"].as_str().unwrap().contains("kind alerter"),
        "{body}"
    );
    // Neither has taken the place of what runs.
    assert_eq!(
        (status, std::fs::read(&file).unwrap()),
        (422, version("1.1.0"))
    );
    std::fs::write(&file, b"\0asm\x0d\0\x01\0").unwrap();
    let refused = eventually("it is refused", LIMIT, async || {
        let plugin = plugin(&bench).await;
        let text = plugin["last_error"]["text"].as_str()?.to_owned();
        text.contains("no manifest").then_some(plugin)
    })
    .await;
    assert_eq!(
        (&refused["state"], &refused["generation"]),
        (&"running".into(), &2.into())
    );
    counts(&bench, 3).await;

    // Off and on again, in the file.
    let url = bench.url("/api/v1/communes/thu/plugins/count");
    let switch = async |enabled: bool| {
        let client = reqwest::Client::new();
        let change = client
            .patch(&url)
            .header("content-type", "application/json");
        let body = format!("{{\"enabled\":{enabled}}}");
        change.body(body).send().await.unwrap().status().as_u16()
    };
    std::fs::write(&file, version("1.2.0")).unwrap();
    until_generation(&bench, 3).await;
    assert_eq!(switch(false).await, 204);
    eventually("it is off", LIMIT, async || {
        (plugin(&bench).await["state"] == "disabled").then_some(())
    })
    .await;
    let written = std::fs::read_to_string(bench.folder.join("commune.toml")).unwrap();
    assert!(written.contains("enabled = false"), "{written}");
    assert_eq!(switch(true).await, 204);
    eventually("it runs again", LIMIT, async || {
        (plugin(&bench).await["cameras"]["cho"]["state"] == "running").then_some(())
    })
    .await;

    common::missed_nothing(&mut client).await;
    assert_eq!(
        bench
            .metric("taimat_camera_reconnects_total", "camera=\"cho\"")
            .await,
        0.0
    );
    assert!(bench.metric("taimat_plugin_swaps_total", "count").await >= 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detector_sees_motion_jpeg_that_no_browser_plays() {
    let main = GstCamera::start(&GstOptions::default()).await.unwrap();
    let sub = GstCamera::start(&GstOptions {
        video: "mjpeg",
        ..GstOptions::default()
    })
    .await
    .unwrap();
    let both = format!(
        "{}\nsub = \"{}\"{PLUGIN}",
        main_only(&main.url()),
        sub.url()
    );
    let cameras = [("anh", main_only(&sub.url())), ("cho", both)];
    let bench = Bench::start(&cameras).await;
    let profile = bench.until("anh", "live", None).await;
    assert_eq!(
        (&profile["codec"], &profile["width"], &profile["height"]),
        // RTP has sizes in units of eight pixels.
        (&"MJPEG".into(), &320.into(), &184.into())
    );
    eventually("sub is live", LIMIT, async || {
        (bench.profile("cho", "sub").await["state"] == "live").then_some(())
    })
    .await;
    assert_eq!(put(&bench, "count", version("1.0.0")).await.0, 202);
    until_generation(&bench, 1).await;
    let seen = counts(&bench, 20).await;
    assert!(seen.windows(2).all(|w| w[1] == w[0] + 1), "{seen:?}");
    let decoded = "taimat_vision_frames_decoded_total";
    assert!(bench.metric(decoded, "camera=\"cho\"").await >= 20.0);
    let restarts = "taimat_vision_decoder_restarts_total";
    assert_eq!(bench.metric(restarts, "camera=\"cho\"").await, 0.0);

    // Who asks for the small picture gets the one that browsers play; if there is none, the setting
    // to change is named.
    let options = ClientOptions::default();
    let address = bench.router.http_addr();
    let viewer = WhepClient::connect(address, "/thu/cho/whep?profile=sub", &options).await;
    let sessions = bench.get("/api/v1/sessions").await;
    assert_eq!(sessions[0]["profile"], "main", "{sessions} {viewer:?}");
    let refused = WhepClient::connect(address, "/thu/anh/whep", &options).await;
    let error = refused.unwrap_err().to_string();
    assert!(
        error.contains("406") && error.contains("MJPEG") && error.contains("encoding to H.264"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_the_configuration_is_not_uploaded() {
    let (_camera, bench) = bench().await;
    let (status, body) = put(&bench, "other", version("1.0.0")).await;
    assert_eq!(status, 404);
    let detail = body["detail"].as_str().unwrap();
    assert!(detail.contains("[plugin.other]"), "{detail}");
    // Too large: it is told so, or cut off while it still sends.
    let url = bench.url("/api/v1/communes/thu/plugins/count");
    let large = reqwest::Client::new()
        .put(url)
        .body(vec![0; (32 << 20) + 1]);
    let answered = large.send().await.map(|r| r.status().as_u16());
    assert!(answered.as_ref().is_ok_and(|s| *s == 413) || answered.is_err());
    assert!(!bench.folder.join("plugins/count.wasm").exists());
    // Nobody watches a camera for a plugin that the commune took away.
    write_commune(&bench.folder, &[("cho", main_only("rtsp://127.0.0.1:9/x"))]).unwrap();
    eventually("the plugin is gone", LIMIT, async || {
        let all = bench.get("/api/v1/communes/thu/plugins").await;
        all.as_array().is_some_and(Vec::is_empty).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_never_end_hold_nobody_up_for_long() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (_camera, bench) = bench().await;
    let address = bench.router.http_addr();
    let mut hanging = Vec::new();
    for _ in 0..2 {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = format!(
            "PUT /api/v1/communes/thu/plugins/count HTTP/1.1\r\nHost: {address}\r\n\
             Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // It is asked for its body: it has its turn.
        let mut answer = [0; 12];
        let read = stream.read_exact(&mut answer);
        tokio::time::timeout(LIMIT, read).await.unwrap().unwrap();
        assert_eq!(&answer, b"HTTP/1.1 100");
        stream.write_all(b"\0asm").await.unwrap();
        hanging.push(stream);
    }
    // Two wait for what does not come; a third is told so before its bytes are read.
    let (status, body) = put(&bench, "count", b"no".to_vec()).await;
    assert_eq!((status, &body["type"]), (503, &"/problems/busy".into()));
    drop(hanging);
    eventually("there is room again", LIMIT, async || {
        (put(&bench, "count", version("1.0.0")).await.0 == 202).then_some(())
    })
    .await;
    until_generation(&bench, 1).await;
}
