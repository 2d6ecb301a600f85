//! Hostile clients: HTTP, STUN, DTLS and RTSP from whoever gets to the ports.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a set-up that fails fails its test"
)]

mod common;

use std::time::Duration;

use common::{Bench, LIMIT, main_only};
use taimat_testkit::whep::post;
use taimat_testkit::{GstCamera, GstOptions, WhepClient, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\n\
    a=ice-pwd:0123456789abcdefghijklmn\r\na=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\n\
    a=setup:actpass\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\na=rtpmap:96 H264/90000\r\n\
    a=fmtp:96 packetization-mode=1;profile-level-id=42e01f\r\n";

struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.next() % list.len()]
    }
}

async fn bench() -> (GstCamera, Bench, WhepClient) {
    let camera = GstCamera::start(&GstOptions::default()).await.unwrap();
    let bench = Bench::start(&[("cho", main_only(&camera.url()))]).await;
    bench.until("cho", "live", None).await;
    let client = bench.watch("cho").await;
    (camera, bench, client)
}

async fn still_served(client: &mut WhepClient) {
    client.drain();
    for _ in 0..30 {
        assert!(
            client.packet().await.is_some(),
            "the viewer is no longer served"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_that_are_wrong_get_a_clear_error() {
    let (_camera, bench, mut client) = bench().await;
    // Who sends too much is hung up on: the next one comes by another connection.
    let http = reqwest::Client::builder().pool_max_idle_per_host(0);
    let http = http.build().unwrap();
    let endpoint = bench.url("/thu/cho/whep");
    let many = format!("{OFFER}{}", "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n".repeat(50));
    let formats = OFFER.replacen("SAVPF ", &format!("SAVPF {}", "96 ".repeat(15_000)), 1);
    let cases: [(&str, Vec<u8>, u16, &str); 9] = [
        (
            "many formats",
            formats.replace("H264", "x").into_bytes(),
            406,
            "no H.264",
        ),
        (
            "whole units",
            OFFER
                .replace("packetization-mode=1", "packetization-mode=0")
                .into_bytes(),
            406,
            "packetization-mode=1",
        ),
        ("1 MB", vec![b'a'; 1 << 20], 413, ""),
        ("50 sections", many.into_bytes(), 422, "51 media sections"),
        ("not UTF-8", vec![0xFF; 100], 422, "not UTF-8"),
        ("not SDP", b"hello".to_vec(), 422, "not SDP"),
        ("empty", Vec::new(), 422, "SDP"),
        (
            "no video",
            OFFER.replace("m=video", "m=text").into_bytes(),
            422,
            "no video section",
        ),
        (
            "no H.264",
            OFFER.replace("H264", "VP8").into_bytes(),
            406,
            "the camera is set right",
        ),
    ];
    for (what, body, status, text) in cases {
        let response = post(&http, &endpoint, body).await.unwrap();
        assert_eq!(response.status(), status, "{what}");
        let body = response.text().await.unwrap();
        assert!(
            body.to_lowercase().contains(&text.to_lowercase()),
            "{what}: {body}"
        );
    }
    let good = |url: String, kind: &'static str| {
        http.post(url)
            .header("content-type", kind)
            .body(OFFER)
            .send()
    };
    let status = |r: reqwest::Response| (r.status().as_u16(), r.headers().clone());
    let wrong = good(endpoint.clone(), "text/plain").await.unwrap();
    assert_eq!(status(wrong).0, 415);
    let nobody = good(bench.url("/thu/nobody/whep"), "application/sdp")
        .await
        .unwrap();
    assert_eq!(nobody.headers()["content-type"], "application/problem+json");
    assert_eq!(status(nobody).0, 404);
    let get = http.get(&endpoint).send().await.unwrap();
    assert_eq!(status(get).0, 405);
    let options = http
        .request(reqwest::Method::OPTIONS, &endpoint)
        .send()
        .await
        .unwrap();
    let (code, headers) = status(options);
    assert_eq!(
        (code, headers["accept-post"].to_str().unwrap()),
        (204, "application/sdp")
    );

    // A session that nobody connects to comes to its own end.
    let created = good(endpoint.clone(), "application/sdp").await.unwrap();
    let (code, headers) = status(created);
    assert_eq!(code, 201);
    let session = bench.url(headers["location"].to_str().unwrap());
    let patch = |tag: Option<&'static str>| {
        let request = http
            .patch(&session)
            .header("content-type", "application/trickle-ice-sdpfrag");
        match tag {
            Some(tag) => request.header("if-match", tag).body("").send(),
            None => request.body("").send(),
        }
    };
    assert_eq!(patch(None).await.unwrap().status(), 428);
    assert_eq!(patch(Some("\"other\"")).await.unwrap().status(), 412);
    assert_eq!(patch(Some("*")).await.unwrap().status(), 422);
    let elsewhere = session.replace("/thu/cho/", "/thu/other/");
    assert_eq!(http.delete(&elsewhere).send().await.unwrap().status(), 404);
    assert_eq!(http.delete(&session).send().await.unwrap().status(), 200);
    eventually("deleted", LIMIT, async || {
        (http.delete(&session).send().await.unwrap().status() == 404).then_some(())
    })
    .await;

    // Other pages and other names.
    let foreign = http.post(&endpoint).header("origin", "http://evil.example");
    let foreign = foreign
        .header("content-type", "application/sdp")
        .body(OFFER)
        .send();
    assert_eq!(foreign.await.unwrap().status(), 403);
    let rebound = http
        .get(bench.url("/api/v1/overview"))
        .header("host", "evil.example")
        .send();
    assert_eq!(rebound.await.unwrap().status(), 403);
    still_served(&mut client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_random_requests() {
    let (_camera, bench, mut client) = bench().await;
    let before = bench.metric("process_resident_memory_bytes", "").await;
    let mut random = Random(42);
    let methods = [
        "GET", "POST", "PATCH", "DELETE", "OPTIONS", "PUT", "BREW", "",
    ];
    let paths = [
        "/thu/cho/whep",
        "/thu/cho/whep/x",
        "/api/v1/overview",
        "/api/v1/sessions/9",
        "/metrics",
        "/%00",
        "/../../etc/passwd",
        "/thu/%F0%9F%90%B8/whep",
        "//",
        "/assets/../index.html",
        "*",
        "/api/v1/communes/thu/cameras/cho",
        "/thu/cho/whep?profile=x",
    ];
    let bodies = [
        "",
        OFFER,
        "{}",
        "\u{0}\u{1}",
        "a=candidate:1 1 udp 1 1.2.3.4 5 typ host\r\n",
    ];
    let kinds = [
        "application/sdp",
        "application/trickle-ice-sdpfrag",
        "text/plain",
        "\u{7f}",
    ];
    let mut answered = 0;
    let mut sent = 0;
    while sent < 10_000 {
        let mut stream = TcpStream::connect(bench.router.http_addr()).await.unwrap();
        // Some on one connection, until the server has had enough of it.
        for _ in 0..20 {
            sent += 1;
            let body = bodies[random.next() % bodies.len()];
            let mut request = format!(
                "{} {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nIf-Match: *\r\nContent-Length: {}\r\n\r\n{body}",
                random.pick(&methods), random.pick(&paths), random.pick(&kinds), body.len(),
            )
            .into_bytes();
            if random.next().is_multiple_of(4) {
                let at = random.next() % request.len();
                request[at] = random.next() as u8;
            }
            if stream.write_all(&request).await.is_err() {
                break;
            }
            let mut buffer = [0; 64 << 10];
            let read = tokio::time::timeout(Duration::from_millis(200), stream.read(&mut buffer));
            match read.await {
                Ok(Ok(n)) if n > 0 && buffer.starts_with(b"HTTP/1.1 ") => {
                    assert_ne!(
                        &buffer[9..12],
                        b"500",
                        "{}",
                        String::from_utf8_lossy(&buffer[..n])
                    );
                    answered += 1;
                }
                _ => break,
            }
        }
    }
    assert!(answered > 3000, "{answered} answers");
    let grown = bench.metric("process_resident_memory_bytes", "").await - before;
    assert!(grown < 200e6, "{grown} bytes more");
    still_served(&mut client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_from_strangers() {
    let (_camera, bench, mut client) = bench().await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    stranger
        .connect(bench.router.whep().addresses()[0])
        .await
        .unwrap();
    let mut random = Random(7);
    // STUN requests for sessions that do not exist, with a user name that points at a thread.
    let mut stun = vec![0, 1, 0, 20, 0x21, 0x12, 0xA4, 0x42];
    stun.extend([9; 12]);
    stun.extend([0, 6, 0, 15]);
    stun.extend(b"01deadbeef:abcd\0");
    // A DTLS ClientHello's beginning.
    let dtls = [22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0];
    for i in 0..20_000_usize {
        let mut bytes = match i % 4 {
            0 => stun.clone(),
            1 => dtls.to_vec(),
            2 => vec![0x80, 200, 0, 1, 0, 0, 0, 0],
            _ => (0..random.next() % 1500)
                .map(|_| random.next() as u8)
                .collect(),
        };
        if i % 8 > 3 && !bytes.is_empty() {
            let at = random.next() % bytes.len();
            bytes[at] ^= random.next() as u8;
        }
        drop(stranger.send(&bytes).await);
        if i.is_multiple_of(200) {
            tokio::task::yield_now().await;
        }
    }
    eventually("they are counted", LIMIT, async || {
        (bench
            .metric("taimat_viewer_drops_total", "unknown_peer")
            .await
            > 1000.0)
            .then_some(())
    })
    .await;
    // No answer at all: a stranger learns nothing and nobody can be flooded through us.
    let mut buffer = [0; 100];
    let answer = tokio::time::timeout(Duration::from_millis(300), stranger.recv(&mut buffer)).await;
    assert!(answer.is_err(), "a stranger was answered");
    still_served(&mut client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rtsp_clients_that_misbehave() {
    let (_camera, bench, mut client) = bench().await;
    let rtsp = bench.router.rtsp_addr();
    let mut random = Random(3);
    for i in 0..300 {
        let mut stream = TcpStream::connect(rtsp).await.unwrap();
        let bytes: Vec<u8> = match i % 3 {
            0 => (0..400).map(|_| random.next() as u8).collect(),
            1 => format!(
                "DESCRIBE rtsp://{rtsp}/thu/cho RTSP/1.0\r\nX: {}",
                "x".repeat(40_000)
            )
            .into(),
            _ => format!("PLAY rtsp://{rtsp}/thu/cho RTSP/1.0\r\nCSeq: 1\r\nSession: 9\r\n\r\n")
                .into(),
        };
        drop(stream.write_all(&bytes).await);
    }
    let mut stream = TcpStream::connect(rtsp).await.unwrap();
    let request = format!("DESCRIBE rtsp://{rtsp}/thu/nobody RTSP/1.0\r\nCSeq: 5\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = [0; 500];
    let len = stream.read(&mut buffer).await.unwrap();
    let answer = String::from_utf8_lossy(&buffer[..len]);
    assert!(
        answer.starts_with("RTSP/1.0 404") && answer.contains("CSeq: 5"),
        "{answer}"
    );
    still_served(&mut client).await;
}
