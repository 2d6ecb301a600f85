//! Clients that come in crowds, and pages that are not the router's: who gets in all the same. Addresses
//! of loopback stand for strangers: 127.0.0.1 is who has to be served.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a set-up that fails fails its test"
)]

mod common;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Stdio;

use common::{Bench, LIMIT, main_only};
use reqwest::StatusCode;
use taimat_server::Options;
use taimat_server::budgets::Maxima;
use taimat_testkit::gstreamer::write_commune;
use taimat_testkit::whep::post;
use taimat_testkit::{ClientOptions, GstCamera, GstOptions, WhepClient, eventually};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, Command};

const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\n\
    a=ice-pwd:0123456789abcdefghijklmn\r\na=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\n\
    a=setup:actpass\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\na=rtpmap:96 H264/90000\r\n\
    a=fmtp:96 packetization-mode=1;profile-level-id=42e01f\r\n";

/// A stranger's address.
fn stranger(number: usize) -> IpAddr {
    let [high, low] = u16::try_from(number + 2).unwrap().to_be_bytes();
    IpAddr::from([127, 0, high, low])
}

/// A connection from that address; none if it is refused at once.
async fn connect(from: IpAddr, to: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from, 0)).unwrap();
    socket.connect(to).await.ok()
}

/// A browser at that address.
fn browser(from: IpAddr) -> reqwest::Client {
    let client = reqwest::Client::builder().local_address(from);
    client.build().unwrap()
}

/// So many connections of each of so many strangers, which say that and no more.
async fn crowd(to: SocketAddr, strangers: usize, each: usize, words: &str) -> Vec<TcpStream> {
    let mut crowd = Vec::new();
    for number in 0..strangers * each {
        let from = stranger(number % strangers);
        if let Some(mut stream) = connect(from, to).await {
            // It may be refused by now.
            drop(stream.write_all(words.as_bytes()).await);
            crowd.push(stream);
        }
    }
    crowd
}

/// What an RTSP server answers to one request of 127.0.0.1.
async fn rtsp(to: SocketAddr, method: &str, more: &str) -> String {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let request = format!("{method} rtsp://{to}/thu/cho RTSP/1.0\r\nCSeq: 5\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = [0; 2000];
    let read = tokio::time::timeout(LIMIT, stream.read(&mut buffer)).await;
    String::from_utf8_lossy(&buffer[..read.unwrap().unwrap()]).into_owned()
}

async fn camera() -> GstCamera {
    GstCamera::start(&GstOptions::default()).await.unwrap()
}

/// A router with one camera that is live, and few places.
async fn bench(camera: &GstCamera, most: Maxima) -> Bench {
    let cameras = [("cho", main_only(&camera.url()))];
    let bench = Bench::start_with(&cameras, |options| Options { most, ..options }).await;
    bench.until("cho", "live", None).await;
    bench
}

const FEW: Maxima = Maxima {
    viewers: 64,
    rtsp_clients: 16,
    http_connections: 256,
};

#[tokio::test(flavor = "multi_thread")]
async fn crowds_that_hold_connections_keep_nobody_out_by_http_and_by_rtsp() {
    let camera = camera().await;
    let bench = bench(&camera, FEW).await;
    let (http, rtsp_at) = (bench.router.http_addr(), bench.router.rtsp_addr());
    let _one = crowd(http, 1, 400, "").await;
    let _many = crowd(http, 30, 20, "GET / HTTP/1.1\r\nHost: local").await;
    let _dripping = crowd(rtsp_at, 1, 100, "OPTIONS rtsp://h/a RTSP/1.0\r\n").await;
    let _others = crowd(rtsp_at, 10, 10, "OPT").await;
    let mut client = bench.watch("cho").await;
    for _ in 0..30 {
        let overview = reqwest::get(bench.url("/api/v1/overview")).await.unwrap();
        assert_eq!(overview.status(), 200);
        let answer = rtsp(rtsp_at, "DESCRIBE", "").await;
        assert!(answer.starts_with("RTSP/1.0 200"), "{answer}");
        client.packet().await.expect("the viewer is served");
    }
    for (kind, reason) in [("http", "share"), ("rtsp", "share")] {
        let labels = format!("kind=\"{kind}\",reason=\"{reason}\"");
        let refused = bench
            .metric("taimat_connections_refused_total", &labels)
            .await;
        assert!(refused > 10.0, "{kind}: {refused}");
    }
    let held = bench.metric("taimat_connections", "kind=\"http\"").await;
    assert!(held <= 256.0, "{held}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_rtsp_client_that_has_set_up_stays_whoever_comes() {
    let camera = camera().await;
    let bench = bench(&camera, FEW).await;
    let at = bench.router.rtsp_addr();
    let mut watches = TcpStream::connect(at).await.unwrap();
    let url = format!("rtsp://{at}/thu/cho");
    let transport = "Transport: RTP/AVP/TCP;interleaved=0-1";
    let setup = format!("SETUP {url} RTSP/1.0\r\nCSeq: 1\r\n{transport}\r\n\r\n");
    watches.write_all(setup.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 64 << 10];
    let read = watches.read(&mut buffer).await.unwrap();
    let answer = String::from_utf8_lossy(&buffer[..read]).into_owned();
    assert!(answer.starts_with("RTSP/1.0 200"), "{answer}");
    let _crowd = crowd(at, 40, 10, "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n").await;
    let play = format!("PLAY {url} RTSP/1.0\r\nCSeq: 2\r\n\r\n");
    watches.write_all(play.as_bytes()).await.unwrap();
    let mut taken = 0;
    while taken < 100_000 {
        let read = tokio::time::timeout(LIMIT, watches.read(&mut buffer)).await;
        let read = read.unwrap().unwrap();
        assert!(read > 0, "the connection was ended");
        taken += read;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_that_nobody_connects_to_keep_nobody_from_watching() {
    let camera = camera().await;
    let most = Maxima {
        viewers: 200,
        ..Maxima::default()
    };
    let bench = bench(&camera, most).await;
    let endpoint = bench.url("/thu/cho/whep");
    let mut answers = [0, 0];
    let flooder = browser(stranger(0));
    for _ in 0..300 {
        let answer = post(&flooder, &endpoint, OFFER).await.unwrap();
        match answer.status() {
            StatusCode::CREATED => answers[0] += 1,
            StatusCode::SERVICE_UNAVAILABLE => {
                answers[1] += 1;
                assert_eq!(answer.headers()["retry-after"], "10");
                let text = answer.text().await.unwrap();
                assert!(text.contains("/problems/share"), "{text}");
            }
            other => panic!("{other}"),
        }
    }
    // Half of the places for offers; some have ended meanwhile, if this took long.
    assert!(answers[0] < 150 && answers[1] > 150, "{answers:?}");
    let _one = bench.watch("cho").await;
    // Many strangers fill what is left, and their newest offers go for whoever has none.
    for number in 0..120 {
        let stranger = browser(stranger(1 + number % 40));
        drop(post(&stranger, &endpoint, OFFER).await.unwrap());
    }
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(bench.watch("cho").await);
    }
    let failures = bench.metric("taimat_viewer_connect_failures_total", "reason=\"share\"");
    assert!(failures.await > 150.0);
    for client in &mut clients {
        client.packet().await.expect("the viewer is served");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_events_are_bounded_by_address() {
    let camera = camera().await;
    let most = Maxima {
        http_connections: 32,
        ..Maxima::default()
    };
    let bench = bench(&camera, most).await;
    let mut open = Vec::new();
    let mut refused = 0;
    for path in ["events/live", "detections"].iter().cycle().take(14) {
        let url = bench.url(&format!("/api/v1/communes/thu/{path}"));
        let answer = browser(stranger(0)).get(url).send().await.unwrap();
        match answer.status() {
            StatusCode::OK => open.push(answer),
            status => {
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                assert_eq!(answer.headers()["content-type"], "application/problem+json");
                assert_eq!(answer.headers()["retry-after"], "10");
                refused += 1;
            }
        }
    }
    assert_eq!((open.len(), refused), (8, 6));
    let live = bench.url("/api/v1/communes/thu/events/live");
    let other = reqwest::get(&live).await.unwrap();
    assert_eq!(other.status(), 200);
    assert_eq!(
        bench.metric("taimat_connections", "kind=\"streams\"").await,
        9.0
    );
    drop((open, other));
    eventually("the streams are gone", LIMIT, async || {
        let held = bench.metric("taimat_connections", "kind=\"streams\"").await;
        (held == 0.0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_that_is_believed_each_client_has_its_own_share() {
    let camera = camera().await;
    let cameras = [("cho", main_only(&camera.url()))];
    let proxy = "127.0.0.0/24".parse().unwrap();
    let bench = Bench::start_with(&cameras, |options| Options {
        most: Maxima {
            http_connections: 32,
            ..Maxima::default()
        },
        trusted_proxies: vec![proxy],
        ..options
    })
    .await;
    let url = bench.url("/api/v1/communes/thu/events/live");
    let http = reqwest::Client::new();
    let open = |forwarded: &'static str| http.get(&url).header("x-forwarded-for", forwarded).send();
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(open("198.51.100.9, 192.0.2.1").await.unwrap());
    }
    assert!(held.iter().all(|answer| answer.status() == 200));
    // What a client says of itself counts for nothing.
    let more = open("198.51.100.10, 192.0.2.1").await.unwrap();
    assert_eq!(more.status(), 503);
    let other = open("198.51.100.9, 192.0.2.2").await.unwrap();
    assert_eq!(other.status(), 200);
}

/// What a browser says of a page that has got to the router under another name.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_leads_its_name_to_the_router_gets_nowhere() {
    let camera = camera().await;
    let cameras = [("cho", main_only(&camera.url()))];
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let bench = Bench::start_with(&cameras, |options| Options {
        http: everywhere,
        insecure: true,
        names: vec!["cameras.example.org".into()],
        allow_origin: vec!["https://wall.example".into()],
        ..options
    })
    .await;
    bench.until("cho", "live", None).await;
    let port = bench.router.http_addr().port();
    let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let http = reqwest::Client::new();
    let plugin = url("/api/v1/communes/thu/plugins/motion");
    let ask = |method: reqwest::Method, url: &str, host: &str, origin: &str| {
        let request = http.request(method, url).header("host", host);
        let request = request.header("content-type", "application/sdp");
        match origin {
            "" => request.body(OFFER).send(),
            origin => request.header("origin", origin).body(OFFER).send(),
        }
    };
    let evil = format!("evil.example:{port}");
    let page = format!("http://{evil}");
    for (method, path) in [
        (reqwest::Method::GET, "/api/v1/overview"),
        (reqwest::Method::PUT, "/api/v1/communes/thu/plugins/motion"),
        (
            reqwest::Method::PATCH,
            "/api/v1/communes/thu/plugins/motion",
        ),
        (reqwest::Method::POST, "/thu/cho/whep"),
        (reqwest::Method::GET, "/metrics"),
        (reqwest::Method::GET, "/"),
    ] {
        let answer = ask(method.clone(), &url(path), &evil, &page).await.unwrap();
        assert_eq!(answer.status(), 403, "{method} {path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let text = answer.text().await.unwrap();
        assert!(text.contains("/problems/host"), "{text}");
    }
    // Under a name that it was given it is itself.
    let own = ask(reqwest::Method::GET, &plugin, "cameras.example.org", "");
    let own = own.await.unwrap();
    assert_eq!(own.status(), 404);
    assert_eq!(own.headers()["cross-origin-resource-policy"], "same-origin");
    assert_eq!(own.headers()["cross-origin-opener-policy"], "same-origin");
    // An allowed page watches, and switches nothing.
    let (delete, wall) = (reqwest::Method::DELETE, "https://wall.example");
    let watch = ask(
        reqwest::Method::POST,
        &url("/thu/cho/whep"),
        "localhost",
        wall,
    );
    let watch = watch.await.unwrap();
    assert_eq!(watch.status(), 201);
    assert_eq!(watch.headers()["access-control-allow-origin"], wall);
    let ended = ask(delete, &url("/api/v1/sessions/1"), "localhost", wall).await;
    assert_eq!(ended.unwrap().status(), 403);
}

/// The program itself, with so many descriptors; where HTTP and RTSP are.
async fn with_descriptors(count: usize, folder: &Path) -> (Child, SocketAddr, SocketAddr) {
    // The kernel chooses ports that are free; these are told to the program.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let rtsp = free.local_addr().unwrap();
    drop(free);
    let script = format!("ulimit -n {count} && exec \"$0\" \"$@\"");
    let mut process = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_taimat"), "serve"])
        .arg(folder)
        .args(["--http", "127.0.0.1:0", "--rtc", "127.0.0.1:0", "--rtsp"])
        .arg(rtsp.to_string())
        .env("TAIMAT_DATA", folder.with_extension("data"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let page = lines.next_line().await.unwrap().unwrap();
    let http = page.strip_prefix("console: http://").unwrap();
    let http = http.trim_end_matches('/').parse().unwrap();
    (process, http, rtsp)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_thousand_descriptors_cameras_and_viewers_do_not_notice_a_crowd_of_more() {
    let (first, second) = (camera().await, camera().await);
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("thu");
    let cho = ("cho", main_only(&first.url()));
    write_commune(&folder, std::slice::from_ref(&cho)).unwrap();
    let (_process, http, rtsp_at) = with_descriptors(1024, &folder).await;
    let states = async || {
        let url = format!("http://{http}/api/v1/communes/thu/cameras");
        let answer = reqwest::get(url).await.ok()?;
        answer.text().await.ok()
    };
    let _idle = crowd(http, 1, 1100, "").await;
    let _dripping = crowd(rtsp_at, 1, 512, "OPTIONS rtsp://h/a RTSP/1.0\r\n").await;
    let _many = crowd(http, 60, 10, "GET / HTTP/1.1\r\n").await;
    // A camera that is added now connects, and everybody is served.
    write_commune(&folder, &[cho, ("cau", main_only(&second.url()))]).unwrap();
    eventually("both cameras are live", LIMIT, async || {
        (states().await?.matches("\"live\"").count() >= 2).then_some(())
    })
    .await;
    let options = ClientOptions::default();
    for camera in ["cho", "cau"] {
        let endpoint = format!("/thu/{camera}/whep");
        let client = WhepClient::connect(http, &endpoint, &options).await;
        client.unwrap().packet().await.expect("pictures come");
    }
    let answer = rtsp(rtsp_at, "DESCRIBE", "").await;
    assert!(answer.starts_with("RTSP/1.0 200"), "{answer}");
    let text = reqwest::get(format!("http://{http}/metrics"))
        .await
        .unwrap();
    let text = text.text().await.unwrap();
    let value = |name: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(name));
        line.unwrap().trim().parse::<f64>().unwrap()
    };
    assert_eq!(value("process_max_fds "), 1024.0);
    assert!(value("process_open_fds ") < 900.0);
}
