//! A camera that we did not write → router → a viewer that we did not write.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a set-up that fails fails its test"
)]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{Bench, LIMIT, main_only};
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp::Packet;
use taimat_media::VideoCodec;
use taimat_media::rtp::depacketize::{Depacketizer, Frame};
use taimat_testkit::{
    ClientOptions, GstCamera, GstOptions, LossyRelay, Pictures, WhepClient, eventually,
};

async fn bench(options: GstOptions) -> (GstCamera, Bench) {
    let camera = GstCamera::start(&options).await.unwrap();
    let bench = Bench::start(&[("cho", main_only(&camera.url()))]).await;
    bench.until("cho", "live", None).await;
    (camera, bench)
}

async fn connect(bench: &Bench, options: &ClientOptions) -> WhepClient {
    bench.connect("cho", options).await
}

/// A viewer behind a network that can be made bad.
async fn connect_by_relay(bench: &Bench) -> (LossyRelay, WhepClient) {
    let relay = LossyRelay::start(bench.router.whep().addresses()[0])
        .await
        .unwrap();
    let options = ClientOptions {
        via: Some(relay.local_addr()),
        ..ClientOptions::default()
    };
    let mut client = connect(bench, &options).await;
    client.packet().await.unwrap();
    (relay, client)
}

/// Reads pictures until `count` numbers were seen.
async fn watch(client: &mut WhepClient, count: usize) -> Pictures {
    let mut pictures = Pictures::new().unwrap();
    read(client, &mut pictures, count).await;
    pictures
}

/// Goes on reading until `count` numbers were seen in all. As every viewer does, it asks for a key
/// frame when it has none: this one's library throws away what comes in the milliseconds between
/// the end of the DTLS handshake and its having derived the keys.
async fn read(client: &mut WhepClient, pictures: &mut Pictures, count: usize) {
    let mut ask_at = 3;
    while pictures.seen.len() < count {
        let packet = client.packet().await.expect("packets stopped coming");
        let header = &packet.header;
        pictures.push(header.timestamp, header.marker, &packet.payload);
        if pictures.keyframes == 0 && pictures.whole >= ask_at {
            ask_for_key_frame(client).await;
            ask_at += 30;
        }
    }
}

async fn ask_for_key_frame(client: &WhepClient) {
    let request = |media_ssrc| {
        Box::new(PictureLossIndication {
            sender_ssrc: 0,
            media_ssrc,
        }) as _
    };
    client.feedback(request).await.unwrap();
}

fn rising_by_one(numbers: &[u32]) -> bool {
    numbers.windows(2).all(|w| w[1] == w[0] + 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_frame_arrives_in_order_with_both_srtp_profiles() {
    let (_camera, bench) = bench(GstOptions::default()).await;
    for old_srtp in [false, true] {
        let mut client = connect(
            &bench,
            &ClientOptions {
                old_srtp,
                ..Default::default()
            },
        )
        .await;
        let pictures = watch(&mut client, 40).await;
        let numbers = pictures.numbers();
        assert!(rising_by_one(&numbers), "old_srtp={old_srtp}: {numbers:?}");
        // The burst from the key frame on comes first: its timestamps are a millisecond apart.
        let steps: Vec<u32> = pictures
            .seen
            .windows(2)
            .map(|w| w[1].0.wrapping_sub(w[0].0))
            .collect();
        assert!(steps.iter().all(|s| *s > 0 && *s < 90_000), "{steps:?}");
        assert!(
            steps[30..].iter().all(|s| *s > 3000),
            "live by then: {steps:?}"
        );
        assert_eq!(client.delete().await.unwrap(), 200);
    }
    bench.until_nobody_watches(LIMIT).await;
    assert_eq!(
        bench
            .metric("taimat_viewer_sessions_ended_total", "deleted")
            .await,
        2.0
    );
    assert_eq!(bench.metric("taimat_viewer_sessions", "cho").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_picture_does_not_wait_for_the_camera() {
    // A key frame every 20 s: without a cache, a viewer would wait ten seconds on average.
    let options = GstOptions {
        keyframe_interval: 300,
        ..GstOptions::default()
    };
    let (_camera, bench) = bench(options).await;
    let given = async || bench.metric("taimat_camera_frames_total", "cho").await;
    eventually("a long group", LIMIT, async || {
        (given().await > 45.0).then_some(())
    })
    .await;
    let mut client = connect(&bench, &ClientOptions::default()).await;
    let mut pictures = Pictures::new().unwrap();
    read(&mut client, &mut pictures, 1).await;
    // It begins with the key frame, three seconds back, and does not stay behind the camera.
    let caught_up = async {
        while (pictures.seen.len() as f64) + 15.0 < given().await {
            let more = pictures.seen.len() + 10;
            read(&mut client, &mut pictures, more).await;
        }
    };
    tokio::time::timeout(LIMIT, caught_up)
        .await
        .expect("it never catches up with the camera");
    let numbers = pictures.numbers();
    assert!(rising_by_one(&numbers), "{numbers:?}");
    assert_eq!(pictures.keyframes, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_packets_are_sent_again() {
    let (_camera, bench) = bench(GstOptions::default()).await;
    let (relay, mut client) = connect_by_relay(&bench).await;
    watch(&mut client, 20).await;
    relay.lose_every(7);
    let mut packets: BTreeMap<u16, Packet> = BTreeMap::new();
    let missing = |packets: &BTreeMap<u16, Packet>, until: u16| -> usize {
        let first = packets.keys().next().copied().unwrap_or(0);
        (first..until).filter(|s| !packets.contains_key(s)).count()
    };
    let mut last = 0;
    while packets.len() < 400 {
        let packet = client.packet().await.unwrap();
        last = packet.header.sequence_number;
        packets.insert(last, packet);
    }
    // What is still missing at the end is on its way; nothing older may be.
    let settled = last.saturating_sub(60);
    assert!(relay.lost() > 30, "{}", relay.lost());
    assert_eq!(missing(&packets, settled), 0);
    assert!(bench.metric("taimat_viewer_retransmits_total", "cho").await >= 30.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_frame_comes_on_request() {
    let options = GstOptions {
        keyframe_interval: 300,
        ..GstOptions::default()
    };
    let (_camera, bench) = bench(options).await;
    let mut client = connect(&bench, &ClientOptions::default()).await;
    watch(&mut client, 20).await;
    // A viewer that has lost the picture starts over; it asks by itself.
    let pictures = watch(&mut client, 20).await;
    assert!(pictures.keyframes >= 1);
    // The camera itself gives one every 300 frames.
    assert!(pictures.whole < 200, "no key frame on request");
    assert!(
        bench
            .metric("taimat_viewer_keyframe_requests_total", "cho")
            .await
            >= 1.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn trickled_candidates_and_an_ice_restart_keep_the_picture() {
    let (_camera, bench) = bench(GstOptions::default()).await;
    let options = ClientOptions {
        trickle: true,
        ..ClientOptions::default()
    };
    let mut client = connect(&bench, &options).await;
    let mut pictures = watch(&mut client, 20).await;
    let before = client.etag.clone();
    client.restart_ice().await.unwrap();
    assert_ne!(client.etag, before);
    read(&mut client, &mut pictures, 80).await;
    let numbers = pictures.numbers();
    assert!(rising_by_one(&numbers), "{numbers:?}");
    // The old ICE session's tag is not accepted any more.
    let (status, ..) = client
        .patch(&before, "a=candidate:x\r\n".into())
        .await
        .unwrap();
    assert_eq!(status, 412);
    let (status, ..) = client
        .patch(&client.etag, "a=candidate:x\r\n".into())
        .await
        .unwrap();
    assert_eq!(status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_the_connection_ends_the_session() {
    let (_camera, bench) = bench(GstOptions::default()).await;
    let client = connect(&bench, &ClientOptions::default()).await;
    client.close().await.unwrap();
    bench.until_nobody_watches(LIMIT).await;
    assert_eq!(
        bench
            .metric("taimat_viewer_sessions_ended_total", "peer_closed")
            .await,
        1.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_tells_viewers_goodbye() {
    let (_camera, bench) = bench(GstOptions::default()).await;
    let (relay, _client) = connect_by_relay(&bench).await;
    assert_eq!(relay.alerts(), 0);
    bench.router.stop().await;
    eventually("close_notify arrives", LIMIT, async || {
        (relay.alerts() > 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_falls_silent_is_let_go() {
    let (_camera, bench) = bench(GstOptions::default()).await;
    let (relay, _client) = connect_by_relay(&bench).await;
    relay.cut();
    // Five seconds until the connection counts as lost, ten more until it counts as gone.
    bench.until_nobody_watches(Duration::from_secs(25)).await;
    assert_eq!(
        bench
            .metric("taimat_viewer_sessions_ended_total", "silent")
            .await,
        1.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn over_ipv6_on_the_same_port() {
    let (_camera, bench) = bench(GstOptions::default()).await;
    let addresses = bench.router.whep().addresses();
    let ports: Vec<u16> = addresses.iter().map(std::net::SocketAddr::port).collect();
    assert!(
        addresses.iter().any(|a| a.is_ipv6()) && ports[0] == ports[1],
        "{addresses:?}"
    );
    let options = ClientOptions {
        v6: true,
        ..ClientOptions::default()
    };
    let mut client = connect(&bench, &options).await;
    let pictures = watch(&mut client, 30).await;
    assert!(
        rising_by_one(&pictures.numbers()),
        "{:?}",
        pictures.numbers()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_plays_h265_gets_it() {
    let options = GstOptions {
        video: "h265",
        ..GstOptions::default()
    };
    let (_camera, bench) = bench(options).await;
    let options = ClientOptions {
        h265: true,
        ..ClientOptions::default()
    };
    let mut client = connect(&bench, &options).await;
    // Decoded by nothing here; put together again, and begun with a key frame and its sets.
    let mut depacketizer = Depacketizer::video(VideoCodec::H265, &[]).trusting_markers();
    let mut frames: Vec<Frame> = Vec::new();
    ask_for_key_frame(&client).await;
    let first = loop {
        if let Some(at) = frames.iter().position(|f| f.is_key()) {
            break frames.swap_remove(at);
        }
        let packet = client.packet().await.unwrap();
        let header = &packet.header;
        let packet = taimat_media::rtp::Packet {
            timestamp: header.timestamp,
            marker: header.marker,
            lost: 0,
            payload: &packet.payload,
        };
        // A frame whose beginning this client's library has thrown away is no failure.
        drop(depacketizer.push(&packet, &mut frames));
    };
    let params = first.params.as_ref().unwrap();
    assert_eq!((params.width, params.height), (320, 180));
    assert!(!params.vps.is_empty() && !params.pps.is_empty());
    assert_eq!(bench.get("/api/v1/sessions").await[0]["codec"], "H.265");
}
