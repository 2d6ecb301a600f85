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
    let Read::Item(_, batch) = bench.client.media().await else {
        panic!("nothing came")
    };
    let mut tcp = Vec::new();
    bench.client.send(&batch, &mut tcp);
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
    assert!(position(&bench) < before);
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
    assert_eq!(
        bench.set_up("RTP/SAVP/TCP;interleaved=0-1").await.status,
        461
    );
    let sound = format!("{CAMERA}/trackID=1");
    let tcp = [("Transport", "RTP/AVP/TCP")];
    assert_eq!(bench.ask(Method::Setup, &sound, &tcp).await.status, 404);
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
