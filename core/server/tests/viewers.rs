//! A camera that we did not write → router → viewers that we did not write either, each with a WebRTC or
//! RTSP of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a set-up that fails fails its test"
)]

mod common;

use std::time::Duration;

use common::{Bench, main_only};
use taimat_testkit::players::{Decoded, aiortc, rtspsrc, webrtcbin};
use taimat_testkit::{GstCamera, GstOptions};
use tokio::process::Command;

/// Viewers of the tests see their first pictures within seconds; this many they wait for.
const ENOUGH: u32 = 20;

async fn bench(options: GstOptions) -> (GstCamera, Bench) {
    let camera = GstCamera::start(&options).await.unwrap();
    let cho = format!("{}\naudio = true", main_only(&camera.url()));
    let bench = Bench::start(&[("cho", cho)]).await;
    bench.until("cho", "live", None).await;
    (camera, bench)
}

fn with_sound() -> GstOptions {
    GstOptions {
        audio: Some("pcmu"),
        ..GstOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aiortc_plays_with_sections_in_any_order() {
    let (_camera, bench) = bench(with_sound()).await;
    let endpoint = bench.url("/thu/cho/whep");
    for (sections, sound) in [
        (&["video"][..], false),
        (&["audio", "video"], true),
        (&["video", "audio"], true),
        (&["video", "video"], false),
    ] {
        let Decoded { video, audio } = aiortc(&endpoint, sections).await.unwrap();
        assert!(video >= ENOUGH, "{sections:?}: {video} pictures");
        assert_eq!(audio >= ENOUGH, sound, "{sections:?}: {audio} of sound");
    }
}

/// The codecs of `whepsrc`, with nothing said of them.
const ALL_CODECS: &str = "application/x-rtp,media=video,payload=101,encoding-name=VP8,clock-rate=90000;\
    application/x-rtp,media=video,payload=102,encoding-name=VP9,clock-rate=90000;\
    application/x-rtp,media=video,payload=103,encoding-name=H264,clock-rate=90000";
const H264: &str = "application/x-rtp,media=video,payload=96,encoding-name=H264,clock-rate=90000,\
    packetization-mode=(string)1,profile-level-id=(string)42e01f";
const OPUS: &str = "application/x-rtp,media=audio,payload=97,encoding-name=OPUS,clock-rate=48000";
const PCMU: &str = "application/x-rtp,media=audio,payload=0,encoding-name=PCMU,clock-rate=8000";

#[tokio::test(flavor = "multi_thread")]
async fn webrtcbin_plays_with_its_default_caps_and_with_sound_first() {
    let (_camera, bench) = bench(with_sound()).await;
    let endpoint = bench.url("/thu/cho/whep");
    for (caps, sound) in [
        (&[ALL_CODECS][..], false),
        // The camera has no Opus: the first section stays empty.
        (&[OPUS, ALL_CODECS], false),
        (&[OPUS, H264], false),
        (&[PCMU, H264], true),
    ] {
        let Decoded { video, audio } = webrtcbin(&endpoint, caps, sound).await.unwrap();
        assert!(video >= ENOUGH, "{caps:?}: {video} pictures");
        assert_eq!(audio >= ENOUGH, sound, "{caps:?}: {audio} of sound");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rtspsrc_plays_by_tcp_and_by_udp() {
    let (_camera, bench) = bench(with_sound()).await;
    let url = format!("rtsp://{}/thu/cho", bench.router.rtsp_addr());
    for transport in ["tcp", "udp"] {
        let Decoded { video, audio } = rtspsrc(&url, transport, true).await.unwrap();
        assert!(
            video >= ENOUGH && audio >= ENOUGH,
            "{transport}: {video} {audio}"
        );
    }
}

/// The whole group since the key frame is there at once, and UDP has nothing against what is too fast.
#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_by_udp_loses_nothing_of_a_long_group() {
    let (_camera, bench) = bench(GstOptions {
        width: 1280,
        height: 720,
        rate: 25,
        keyframe_interval: 250,
        ..GstOptions::default()
    })
    .await;
    // Most of a group of ten seconds has come.
    let mut watching = bench.watch("cho").await;
    let mut pictures = 0;
    while pictures < 200 {
        pictures += u32::from(watching.packet().await.unwrap().header.marker);
    }
    let url = format!("rtsp://{}/thu/cho", bench.router.rtsp_addr());
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "warning", "-rtsp_transport", "udp", "-i"])
        .args([&url, "-an", "-frames:v", "200", "-f", "null", "-"])
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(40), output).await;
    let output = output.expect("ffmpeg hangs").unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        !said.contains("missed") && !said.contains("error while decoding"),
        "{said}"
    );
}
