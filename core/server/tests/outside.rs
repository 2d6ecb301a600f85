//! Other programs look at the router: ffprobe, GStreamer, promtool; and the simulated fleet.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a set-up that fails fails its test"
)]

mod common;

use std::process::Stdio;
use std::time::Duration;

use common::{Bench, main_only};
use taimat_simulate::{CameraSpec, Encoding, Fault, Fleet, FleetConfig, SceneKind};
use taimat_testkit::gstreamer::PASSWORD;
use taimat_testkit::{GstCamera, GstOptions, Pictures};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

/// Of the cameras' pictures.
const HEIGHT: usize = 180;

async fn output(program: &str, args: &[&str]) -> String {
    let run = Command::new(program).args(args).kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(40), run)
        .await
        .unwrap()
        .unwrap();
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Takes twenty decoded pictures of what GStreamer plays, 320 pixels wide, and lets go. Not by
/// `eos-after`: at the end of a stream by UDP, `rtspsrc` (1.22) now and then fails by itself, before it
/// has sent its PAUSE.
async fn twenty_pictures(source: &str) {
    let pipeline = format!(
        "{source} ! videoconvert ! videoscale ! video/x-raw,format=GRAY8,width=320,height={HEIGHT} ! fdsink sync=false"
    );
    let mut player = Command::new("gst-launch-1.0")
        .arg("-q")
        .args(pipeline.split_whitespace())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut pictures = vec![0; 20 * 320 * HEIGHT];
    let mut stdout = player.stdout.take().unwrap();
    let read = stdout.read_exact(&mut pictures);
    let read = tokio::time::timeout(Duration::from_secs(40), read).await;
    if !matches!(read, Ok(Ok(_))) {
        player.start_kill().unwrap();
        let said = player.wait_with_output().await.unwrap().stderr;
        assert!(
            said.is_empty(),
            "{pipeline}: {}",
            String::from_utf8_lossy(&said)
        );
        read.expect("twenty pictures in time")
            .expect("twenty pictures");
    }
    assert!(pictures.iter().any(|p| *p != pictures[0]), "{pipeline}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ffprobe_and_gstreamer_pull_our_rtsp() {
    let h264 = GstCamera::start(&GstOptions {
        audio: Some("aac"),
        ..GstOptions::default()
    })
    .await
    .unwrap();
    let h265 = GstCamera::start(&GstOptions {
        video: "h265",
        ..GstOptions::default()
    })
    .await
    .unwrap();
    let mjpeg = GstCamera::start(&GstOptions {
        video: "mjpeg",
        ..GstOptions::default()
    })
    .await
    .unwrap();
    let sections = [
        ("a", format!("{}\naudio = true", main_only(&h264.url()))),
        ("b", main_only(&h265.url())),
        ("c", main_only(&mjpeg.url())),
    ];
    let bench = Bench::start(&sections).await;
    for (camera, _) in &sections {
        bench.until(camera, "live", None).await;
    }
    let rtsp = bench.router.rtsp_addr();
    for transport in ["tcp", "udp"] {
        for (camera, expected) in [("a", "h264"), ("b", "hevc"), ("c", "mjpeg")] {
            let url = format!("rtsp://{rtsp}/thu/{camera}");
            let args = [
                "-v",
                "error",
                "-rtsp_transport",
                transport,
                "-count_packets",
                "-read_intervals",
                "%+2",
                "-show_entries",
                "stream=codec_name,width,nb_read_packets",
                &url,
            ];
            let shown = output("ffprobe", &args).await;
            assert!(
                shown.contains(&format!("codec_name={expected}")),
                "{transport}: {shown}"
            );
            assert!(shown.contains("width=320"), "{shown}");
            let packets = shown
                .lines()
                .find_map(|l| l.strip_prefix("nb_read_packets=")?.parse::<u32>().ok());
            assert!(packets.unwrap() > 15, "{transport}: {shown}");
            if camera == "a" {
                assert!(shown.contains("codec_name=aac"), "{transport}: {shown}");
            }
        }
        for (camera, decoded) in [
            ("a", "rtph264depay ! avdec_h264"),
            ("c", "rtpjpegdepay ! jpegdec"),
        ] {
            twenty_pictures(&format!(
                "rtspsrc location=rtsp://{rtsp}/thu/{camera} protocols={transport} latency=0 ! {decoded}"
            ))
            .await;
        }
    }
    assert!(bench.metric("taimat_rtsp_packets_total", "").await > 100.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_accepts_the_metrics_and_the_description_names_all_paths() {
    let camera = GstCamera::start(&GstOptions::default()).await.unwrap();
    let bench = Bench::start(&[("cho", main_only(&camera.url()))]).await;
    bench.until("cho", "live", None).await;
    let _client = bench.watch("cho").await;
    let metrics = bench.metrics().await;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(metrics.as_bytes()).await.unwrap();
    drop(stdin);
    let result = promtool.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&result.stderr).into_owned();
    assert!(result.status.success() && said.is_empty(), "{said}");
    for gauge in [
        "taimat_camera_up{",
        "taimat_camera_last_frame_timestamp_seconds{",
        "taimat_camera_gop_bytes{",
        "taimat_viewer_connect_failures_total{",
        "taimat_viewer_access_unit_seconds_bucket{",
        "process_cpu_seconds_total",
    ] {
        assert!(metrics.contains(gauge), "{gauge}");
    }
    let api = bench.get("/api/v1/openapi.json").await;
    for path in [
        "/api/v1/overview",
        "/api/v1/communes/{commune}/cameras/{camera}",
        "/api/v1/sessions",
    ] {
        assert!(api["paths"][path].is_object(), "{path}");
    }
    let missing = reqwest::get(bench.url("/api/v1/communes/nowhere"))
        .await
        .unwrap();
    assert_eq!(
        missing.headers()["content-type"],
        "application/problem+json"
    );
    let page = reqwest::get(bench.url("/")).await.unwrap();
    assert!(
        page.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("default-src 'self'")
    );
}

/// The binary itself: what it prints, what it refuses, how it stops, and that its log is clean.
#[tokio::test(flavor = "multi_thread")]
async fn the_binary_keeps_secrets_and_stops_when_told() {
    let camera = GstCamera::start(&GstOptions {
        auth: Some("digest"),
        ..GstOptions::default()
    })
    .await
    .unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("thu");
    let wrong = format!(
        "{}\nuser = \"router\"\npassword = {{ env = \"WRONG\" }}",
        main_only(&camera.url())
    );
    let right = format!(
        "{}\nuser = \"router\"\npassword = {{ env = \"RIGHT\" }}",
        main_only(&camera.url())
    );
    taimat_testkit::gstreamer::write_commune(&folder, &[("a", right), ("b", wrong)]).unwrap();
    let taimat = env!("CARGO_BIN_EXE_taimat");
    let checked = output(taimat, &["check", folder.to_str().unwrap()]).await;
    assert!(checked.contains("(2 cameras): good"), "{checked}");
    let refused = Command::new(taimat)
        .args(["serve", folder.to_str().unwrap(), "--http", "0.0.0.0:0"])
        .output()
        .await
        .unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--insecure"));

    let mut process = Command::new(taimat)
        .args([
            "serve",
            folder.to_str().unwrap(),
            "--http",
            "127.0.0.1:0",
            "--rtsp",
            "127.0.0.1:0",
        ])
        .args(["--rtc", "127.0.0.1:0", "--log-format", "json"])
        .env("TAIMAT_SECRET_THU__RIGHT", PASSWORD)
        .env("TAIMAT_SECRET_THU__WRONG", "an0ther-secret")
        .env("TAIMAT_LOG", "trace,h2=info,hyper=info,mio=info")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stderr = process.stderr.take().unwrap();
    #[expect(clippy::disallowed_methods, reason = "ends with the process")]
    let log = tokio::spawn(async move {
        let mut text = String::new();
        stderr.read_to_string(&mut text).await.map(|_| text)
    });
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let page = lines.next_line().await.unwrap().unwrap();
    let page = page.strip_prefix("console: ").unwrap().to_owned();
    taimat_testkit::eventually("a is live, b is not", common::LIMIT, async || {
        let text = reqwest::get(format!("{page}api/v1/overview"))
            .await
            .ok()?
            .text()
            .await
            .ok()?;
        (text.contains("\"live\"") && text.contains("unauthorized")).then_some(())
    })
    .await;
    let id = process.id().unwrap().to_string();
    output("kill", &[&id]).await;
    let status = tokio::time::timeout(Duration::from_secs(10), process.wait())
        .await
        .unwrap()
        .unwrap();
    assert!(status.success(), "{status}");
    let log = log.await.unwrap().unwrap();
    assert!(log.contains("\"live\"") && log.contains("stopped"), "{log}");
    for secret in [PASSWORD, "an0ther-secret"] {
        assert!(!log.contains(secret), "a password is in the log");
    }
}

fn fleet(cameras: &[(&str, SceneKind)]) -> FleetConfig {
    let encoding = |width, height| Encoding {
        width,
        height,
        keyframe_interval: 15,
        bitrate: 400_000,
    };
    FleetConfig {
        bind: "127.0.0.1:0".parse().unwrap(),
        cameras: cameras
            .iter()
            .map(|(id, scene)| CameraSpec {
                id: id.parse().unwrap(),
                scene: *scene,
                fault: Fault::None,
            })
            .collect(),
        seed: 5,
        rate: 15,
        length: Duration::from_secs(4),
        main: encoding(640, 360),
        sub: Some(encoding(320, 180)),
        audio: true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulated_fleet_shows_its_numbers_and_its_faults() {
    let fleet = Fleet::start(fleet(&[("a", SceneKind::Street), ("b", SceneKind::Bag)]))
        .await
        .unwrap();
    let url = |id: &str| fleet.url(&id.parse().unwrap(), taimat_base::Profile::Main);
    let sections: Vec<(&str, String)> = ["a", "b"]
        .map(|id| (id, format!("{}\naudio = true", main_only(&url(id)))))
        .into_iter()
        .collect();
    let bench = Bench::start(&sections).await;
    bench.until("a", "live", None).await;
    bench.until("b", "live", None).await;
    assert_eq!(bench.profile("a", "main").await["audio"], "PCMU");
    let mut client = bench.watch("a").await;
    let mut pictures = Pictures::new().unwrap();
    while pictures.seen.len() < 70 {
        let packet = client.packet().await.unwrap();
        pictures.push(
            packet.header.timestamp,
            packet.header.marker,
            &packet.payload,
        );
    }
    // One after the other, over the loop's end.
    let numbers = pictures.numbers();
    assert!(
        numbers.windows(2).all(|w| w[1] == (w[0] + 1) % 60),
        "{numbers:?}"
    );
    let truth: serde_json::Value = serde_json::from_str(&fleet.truth().unwrap()).unwrap();
    assert_eq!(truth[1]["scene"], "bag");
    assert_eq!(truth[1]["frames"].as_array().unwrap().len(), 60);

    let a = "a".parse().unwrap();
    for (fault, state, cause) in [
        (Fault::Stall, "stalled", "stalled"),
        (Fault::Garbage, "offline", "garbage"),
        (Fault::Drop(Duration::from_secs(1)), "offline", "ended"),
    ] {
        fleet.set_fault(&a, fault);
        bench.until("a", state, Some(cause)).await;
        fleet.set_fault(&a, Fault::None);
        bench.until("a", "live", None).await;
    }
    // Changed parameter sets are followed without a reconnection.
    let before = bench
        .metric("taimat_camera_reconnects_total", "camera=\"a\"")
        .await;
    fleet.set_fault(&a, Fault::Parameters(Duration::from_secs(1)));
    taimat_testkit::eventually("the picture size changes", common::LIMIT, async || {
        (bench.profile("a", "main").await["width"] == 320).then_some(())
    })
    .await;
    assert!(
        bench
            .metric("taimat_camera_parameter_changes_total", "camera=\"a\"")
            .await
            >= 1.0
    );
    assert_eq!(
        bench
            .metric("taimat_camera_reconnects_total", "camera=\"a\"")
            .await,
        before
    );
    assert_eq!(
        bench
            .metric("taimat_camera_reconnects_total", "camera=\"b\"")
            .await,
        0.0
    );
    fleet.stop(Duration::from_secs(2)).await;
}
