use std::time::Duration;

use taimat_hub::Channel;
use tokio::sync::watch;

use super::super::testing::one_camera;
use super::*;
use crate::testing::key_frame;

const CAMERA: &str = "rtsp://127.0.0.1/thu/cho";

struct Bench {
    client: RtspClient,
    channel: Arc<Channel>,
    _kick: watch::Sender<(u64, String)>,
}

fn bench() -> Bench {
    let (shared, channel, kick) = one_camera();
    let here = "127.0.0.1".parse().unwrap();
    Bench {
        client: RtspClient::new(Arc::new(shared), here, here),
        channel,
        _kick: kick,
    }
}

impl Bench {
    fn publish(&self) {
        self.channel.publish(key_frame());
    }

    async fn ask(&mut self, method: Method, url: &str, headers: &[(&str, &str)]) -> Response {
        let request = headers.iter().fold(
            Request::new(method, url).with("CSeq", "7"),
            |request, (name, value)| request.with(name, *value),
        );
        let response = self.client.answer(&request).await;
        assert_eq!(response.headers.get("CSeq"), Some("7"));
        response
    }

    async fn set_up(&mut self, transport: &str) -> Response {
        let url = format!("{CAMERA}/trackID=0");
        self.ask(Method::Setup, &url, &[("Transport", transport)])
            .await
    }

    fn sessions(&self) -> i64 {
        self.client.shared.metrics.rtsp_sessions.get()
    }
}

#[test]
fn track_urls_go_both_ways() {
    let base: Url = "rtsp://h:8554/hoa-lac/cho?profile=sub".parse().unwrap();
    let audio = control_url(&base, TrackKind::Audio);
    assert_eq!(audio, "rtsp://h:8554/hoa-lac/cho/trackID=1?profile=sub");
    let url: Url = audio.parse().unwrap();
    assert_eq!(
        split_control(url.path()),
        ("/hoa-lac/cho", TrackKind::Audio)
    );
    assert_eq!(
        split_control("/hoa-lac/cho/"),
        ("/hoa-lac/cho", TrackKind::Video)
    );
}

#[tokio::test]
async fn a_session_from_its_description_to_its_end() {
    let mut bench = bench();
    let described = bench
        .ask(Method::Describe, "rtsp://a:b@127.0.0.1/thu/cho", &[])
        .await;
    assert_eq!(described.status, 200);
    assert_eq!(described.headers.get("Content-Base"), Some(CAMERA));
    let sdp = String::from_utf8(described.body.to_vec()).unwrap();
    assert!(
        sdp.contains("a=control:rtsp://127.0.0.1/thu/cho/trackID=0\r\n"),
        "{sdp}"
    );

    let set_up = bench.set_up("RTP/AVP/TCP;unicast;interleaved=4-5").await;
    assert_eq!(set_up.status, 200);
    let transport = Transport::parse(set_up.headers.get("transport").unwrap()).unwrap();
    assert_eq!(transport.interleaved, Some((4, 5)));
    assert!(transport.ssrc.is_some());
    assert_eq!(bench.client.channels().collect::<Vec<_>>(), [4, 5]);
    let session = taimat_rtsp::Session::parse(set_up.headers.get("Session").unwrap()).unwrap();
    assert_eq!(session.timeout, Duration::from_secs(60));

    let ours = [("Session", session.id.as_str())];
    assert_eq!(
        bench.ask(Method::GetParameter, "*", &ours).await.status,
        200
    );
    let other = [("Session", "other")];
    assert_eq!(
        bench.ask(Method::GetParameter, "*", &other).await.status,
        454
    );
    assert_eq!(bench.ask(Method::Play, CAMERA, &other).await.status, 454);
    assert_eq!(bench.ask(Method::Play, CAMERA, &ours).await.status, 200);
    assert_eq!(bench.sessions(), 1);
    bench.publish();
    let Read::Item(seq, batch) = bench.client.media().await else {
        panic!("nothing came")
    };
    let mut tcp = Vec::new();
    bench.client.send(seq, &batch, clock::now(), &mut tcp);
    assert_eq!(tcp.first_chunk(), Some(b"$\x04"));
    assert!(bench.client.is_at("/thu/cho") && !bench.client.sent_packets());
    assert_eq!(bench.set_up("RTP/AVP/TCP").await.status, 455);

    assert_eq!(bench.ask(Method::Teardown, CAMERA, &ours).await.status, 200);
    assert_eq!(bench.sessions(), 0);
    assert_eq!(bench.client.channels().count(), 0);
}

#[tokio::test]
async fn a_second_play_changes_nothing() {
    let mut bench = bench();
    assert_eq!(bench.ask(Method::Play, CAMERA, &[]).await.status, 455);
    bench.set_up("RTP/AVP/TCP").await;
    bench.publish();
    let position = |bench: &Bench| {
        let session = bench.client.session.as_ref().unwrap();
        session.cursor.as_ref().unwrap().position()
    };
    assert_eq!(bench.ask(Method::Play, CAMERA, &[]).await.status, 200);
    assert!(matches!(bench.client.media().await, Read::Item(..)));
    let before = position(&bench);
    let again = bench.ask(Method::Play, CAMERA, &[]).await;
    assert_eq!(again.status, 200);
    let info = again.headers.get("RTP-Info").unwrap();
    assert!(
        info.starts_with("url=rtsp://127.0.0.1/thu/cho/trackID=0;seq="),
        "{info}"
    );
    assert!(!info.contains("rtptime"), "{info}");
    assert_eq!(again.headers.get("Range"), Some("npt=now-"));
    assert_eq!(position(&bench), before, "the group would be sent again");
    assert_eq!(bench.sessions(), 1);
    // From a pause it begins anew.
    bench.ask(Method::Pause, CAMERA, &[]).await;
    assert_eq!(bench.sessions(), 0);
    let anew = bench.ask(Method::Play, CAMERA, &[]).await;
    assert!(
        anew.headers
            .get("RTP-Info")
            .unwrap()
            .ends_with(";rtptime=4711")
    );
    assert_eq!(anew.headers.get("Range"), Some("npt=0.000-"));
    assert!(position(&bench) < before);
}

/// What SETUP says to this, and the session.
impl Bench {
    async fn playing_by_udp(&mut self, client: &std::net::UdpSocket) -> String {
        let port = client.local_addr().unwrap().port();
        let transport = format!("RTP/AVP;unicast;client_port={port}-{port}");
        assert_eq!(self.set_up(&transport).await.status, 200);
        let playing = self.ask(Method::Play, CAMERA, &[]).await;
        playing.headers.get("RTP-Info").unwrap().to_owned()
    }

    /// Sends what there is until something would have to be waited for that is not there yet.
    async fn send_all(&mut self) {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(1), self.client.media()).await;
            let Ok(Read::Item(seq, batch)) = next else {
                return;
            };
            self.client.send(seq, &batch, clock::now(), &mut Vec::new());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn by_udp_the_first_group_is_paced_and_arrives_whole() {
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_nonblocking(true).unwrap();
    let mut bench = bench();
    // A session watches the camera before it plays: a track has what came since.
    assert_eq!(bench.set_up("RTP/AVP/TCP").await.status, 200);
    let count = 200;
    bench.publish();
    for number in 1..count {
        let mut unit = key_frame();
        (unit.keyframe, unit.start) = (false, None);
        unit.media_time.ticks += 3600 * number;
        tokio::time::advance(Duration::from_millis(40)).await;
        unit.received = clock::now();
        bench.channel.publish(unit);
    }
    let info = bench.playing_by_udp(&client).await;
    let ring = Arc::clone(bench.client.session.as_ref().unwrap().track.ring());
    while ring.since_start().0.len() < usize::try_from(count).unwrap() {
        tokio::task::yield_now().await;
    }
    let begun = clock::now();
    let (mut got, mut most) = (Vec::new(), 0);
    let mut buffer = [0; 2000];
    loop {
        let next = tokio::time::timeout(Duration::from_secs(1), bench.client.media()).await;
        let Ok(Read::Item(seq, batch)) = next else {
            break;
        };
        bench
            .client
            .send(seq, &batch, clock::now(), &mut Vec::new());
        let before = got.len();
        while let Ok(len) = client.recv(&mut buffer) {
            got.push((u16::from_be_bytes([buffer[2], buffer[3]]), len));
        }
        most = most.max(got[before..].iter().map(|(_, len)| len).sum());
    }
    let took = clock::now() - begun - Duration::from_secs(1);
    let bytes: usize = got.iter().map(|(_, len)| len).sum();
    assert_eq!(got.len() as u64, 3 * u64::try_from(count).unwrap());
    assert!(got.windows(2).all(|w| w[1].0 == w[0].0.wrapping_add(1)));
    assert!(info.contains(&format!("seq={}", got[0].0)), "{info}");
    assert!(most < 40 << 10, "{most} bytes at once");
    // Within the bounds of the pace, whatever the stream's rate is thought to be.
    let at = |bits: f64| Duration::from_secs_f64((bytes - (32 << 10)) as f64 * 8.0 / bits);
    assert!(took >= at(40e6) && took <= at(2e6) * 2, "{took:?}");
}

#[tokio::test]
async fn packets_that_the_camera_lost_are_missing_for_the_client_too() {
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut bench = bench();
    bench.playing_by_udp(&client).await;
    for lost_packets in [0, 5, 0] {
        let mut unit = key_frame();
        unit.lost_packets = lost_packets;
        bench.channel.publish(unit);
        bench.send_all().await;
    }
    let mut buffer = [0; 2000];
    client.set_nonblocking(true).unwrap();
    let mut sequence = Vec::new();
    while client.recv(&mut buffer).is_ok() {
        sequence.push(u16::from_be_bytes([buffer[2], buffer[3]]));
    }
    let steps = sequence.windows(2).map(|w| w[1].wrapping_sub(w[0]));
    assert_eq!(steps.collect::<Vec<_>>(), [1, 1, 2, 1, 1, 1, 1, 1]);
}

#[tokio::test]
async fn requests_in_a_wrong_order_change_nothing() {
    let mut bench = bench();
    for (method, status) in [
        (Method::Play, 455),
        (Method::Pause, 455),
        (Method::Teardown, 454),
        (Method::GetParameter, 200),
    ] {
        assert_eq!(bench.ask(method, CAMERA, &[]).await.status, status);
    }
    // What could not be set up leaves no session behind.
    assert_eq!(
        bench.set_up("RTP/AVP;unicast;client_port=0-0").await.status,
        461
    );
    assert!(bench.client.session.is_none());
    assert_eq!(bench.set_up("RTP/AVP/TCP").await.status, 200);
    let other = [("Session", "other")];
    let tcp = ("Transport", "RTP/AVP/TCP");
    bench.publish();
    assert_eq!(bench.ask(Method::Play, CAMERA, &[]).await.status, 200);
    for method in [
        Method::Pause,
        Method::Teardown,
        Method::Play,
        Method::SetParameter,
    ] {
        assert_eq!(bench.ask(method, CAMERA, &other).await.status, 454);
    }
    let set_up = bench.ask(Method::Setup, CAMERA, &[other[0], tcp]).await;
    assert_eq!(set_up.status, 454);
    assert_eq!(
        bench.sessions(),
        1,
        "another session's end is not this one's"
    );
    let elsewhere = "rtsp://127.0.0.1/thu/ben";
    assert_eq!(bench.ask(Method::Play, elsewhere, &[]).await.status, 459);
    assert_eq!(bench.ask(Method::Pause, CAMERA, &[]).await.status, 200);
    assert_eq!(bench.ask(Method::Pause, CAMERA, &[]).await.status, 200);
    assert_eq!(bench.ask(Method::Teardown, CAMERA, &[]).await.status, 200);
    assert_eq!(bench.ask(Method::Teardown, CAMERA, &[]).await.status, 454);
    assert_eq!(bench.sessions(), 0);
}

#[tokio::test]
async fn the_next_version_is_another_protocol() {
    let mut bench = bench();
    for method in [
        Method::Options,
        Method::Describe,
        Method::Setup,
        Method::Play,
    ] {
        let mut request = Request::new(method, CAMERA).with("CSeq", "7");
        request.major_version = 2;
        let refused = bench.client.answer(&request).await;
        assert_eq!(
            (refused.status, refused.headers.get("CSeq")),
            (505, Some("7"))
        );
    }
}

#[tokio::test]
async fn what_is_required_and_not_there_is_named() {
    let mut bench = bench();
    let wanted = [
        ("Require", "www.onvif.org/ver20/backchannel"),
        ("Require", "play.basic"),
    ];
    for method in [Method::Options, Method::Describe, Method::Setup] {
        let refused = bench.ask(method, CAMERA, &wanted).await;
        assert_eq!(refused.status, 551);
        let named = refused.headers.get("Unsupported");
        assert_eq!(named, Some("www.onvif.org/ver20/backchannel, play.basic"));
    }
    assert!(bench.client.session.is_none());
}

#[tokio::test]
async fn what_cannot_be_done_has_its_status() {
    let mut bench = bench();
    let frob = Method::Other("FROB".to_owned());
    let refused = bench.ask(frob, CAMERA, &[]).await;
    assert_eq!(
        (refused.status, refused.headers.get("Allow")),
        (405, Some(METHODS))
    );
    let options = bench.ask(Method::Options, "*", &[]).await;
    assert_eq!(options.headers.get("Public"), Some(METHODS));
    assert_eq!(bench.ask(Method::Describe, "*", &[]).await.status, 400);
    let nobody = "rtsp://127.0.0.1/thu/nobody";
    assert_eq!(bench.ask(Method::Describe, nobody, &[]).await.status, 404);
    assert_eq!(bench.ask(Method::Setup, CAMERA, &[]).await.status, 400);
    assert_eq!(bench.set_up("RTP/AVP;multicast;port=4-5").await.status, 461);
    for refused in [
        "RTP/SAVP/TCP;interleaved=0-1",
        "RTP/AVP/TCP;interleaved=0-1;mode=\"RECORD\"",
        "RTP/AVP;unicast;client_port=0-0",
        "RTP/AVP;unicast",
        "x",
    ] {
        assert_eq!(bench.set_up(refused).await.status, 461, "{refused}");
    }
    let sound = format!("{CAMERA}/trackID=1");
    let tcp = [("Transport", "RTP/AVP/TCP")];
    assert_eq!(bench.ask(Method::Setup, &sound, &tcp).await.status, 404);
    assert_eq!(bench.set_up("RTP/AVP/TCP").await.status, 200);
    let other = "rtsp://127.0.0.1/thu/ben/trackID=0";
    assert_eq!(bench.ask(Method::Setup, other, &tcp).await.status, 459);
}

#[tokio::test]
async fn by_udp_the_first_transport_that_can_be_served_is_chosen() {
    let mut bench = bench();
    let set_up = bench
        .set_up("RTP/AVP;multicast,RTP/AVPF/UDP;unicast;client_port=50000-50001,RTP/AVP/TCP")
        .await;
    let text = set_up.headers.get("Transport").unwrap();
    let transport = Transport::parse(text).unwrap();
    assert!(
        text.starts_with("RTP/AVPF;unicast;client_port=50000-50001"),
        "{text}"
    );
    let (rtp, rtcp) = transport.server_port.unwrap();
    assert!(rtp % 2 == 0 && rtcp == rtp + 1, "{text}");
    assert_eq!(bench.client.channels().count(), 0);
}
