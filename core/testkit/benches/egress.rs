//! What a packet to a viewer costs, three ways in one run, so that the machine's mood cancels out:
//!
//! - the floor: header, AES-128-GCM seal and UDP_SEGMENT send of the same packets, nothing else;
//! - `webrtc`'s own way: `write_rtp` of a connected peer connection, then one `send_to` a packet;
//! - the router: the CPU time of the whole process that serves viewers who are real WebRTC clients in
//!   another process, fed by a camera in a third one.
//!
//! Run by `cargo xtask bench egress [-- VIEWERS…]`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark"
)]
#![allow(clippy::disallowed_methods, reason = "measures time")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_H264, MediaEngine};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RtpCodecKind,
};
use rtc_srtp::protection_profile::ProtectionProfile;
use sansio::Protocol;
use taimat_egress::webrtc::outbox::Outbox;
use taimat_egress::webrtc::path::Path;
use taimat_egress::webrtc::seal::RtpSealer;
use taimat_egress::webrtc::socket::RtcSocket;
use taimat_media::rtp::packetize::{Payloads, video};
use taimat_media::{AccessUnit, MediaTime, Start, TrackKind, VideoCodec};
use taimat_simulate::{CameraSpec, Encoding, Fault, Fleet, FleetConfig, Scene, SceneKind, encode};
use taimat_testkit::measured::{MeasuredRouter, child, until_killed};
use taimat_testkit::{ClientOptions, WhepClient};

const RATE: u32 = 25;
const RUN: Duration = Duration::from_secs(8);
/// Turns of each router; the least counts, what else the machine did is in the others.
const TURNS: usize = 3;

fn encoding() -> Encoding {
    Encoding {
        width: 1280,
        height: 720,
        keyframe_interval: 50,
        bitrate: 2_000_000,
    }
}

fn main() {
    let args: Vec<String> = taimat_testkit::measured::arguments();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["child-camera"] => runtime.block_on(camera()),
        ["child-viewers", http, count] => {
            runtime.block_on(viewers(http.parse().unwrap(), count.parse().unwrap()));
        }
        ["child-sinks", count] => {
            runtime.block_on(sinks(count.parse().unwrap(), Sinks::Read));
        }
        ["child-asleep", count] => {
            runtime.block_on(sinks(count.parse().unwrap(), Sinks::Asleep));
        }
        ref counts => {
            let counts: Vec<usize> = counts.iter().filter_map(|c| c.parse().ok()).collect();
            let counts = if counts.is_empty() {
                vec![10, 100]
            } else {
                counts
            };
            measure(&runtime, &counts);
        }
    }
}

struct Cost {
    micros: f64,
}

/// Who receives what the floor sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sinks {
    /// Nobody reads, so nobody is woken.
    Asleep,
    /// Each datagram is read.
    Read,
}

/// What a router cost in some seconds.
struct Turn {
    micros: f64,
    /// KiB a viewer.
    memory: f64,
    /// Context switches a second.
    switches: f64,
    threads: usize,
    note: String,
}

fn measure(runtime: &tokio::runtime::Runtime, counts: &[usize]) {
    let own = std::env::var("TAIMAT").expect("cargo xtask bench egress says where the router is");
    let former = std::env::var("TAIMAT_FORMER").ok();
    let units = stream();
    let packets: usize = units.iter().map(Payloads::len).sum();
    let bytes: usize = units.iter().map(Payloads::bytes).sum();
    println!(
        "stream: 1280x720 at {RATE} fps, {:.2} Mbit/s, {:.0} packets/s; CPU in us a packet",
        bytes as f64 * 8.0 / units.len() as f64 * f64::from(RATE) / 1e6,
        packets as f64 / units.len() as f64 * f64::from(RATE),
    );
    for count in counts {
        let asleep = floor(&units, *count, Sinks::Asleep).micros;
        let floor = floor(&units, *count, Sinks::Read).micros;
        let library = library(&units, *count).micros;
        println!(
            "\n{count} viewers: floor {floor:.2}, with receivers that sleep {asleep:.2}; write_rtp {library:.2}"
        );
        println!(
            "router | us | / floor | write_rtp / it | KiB a viewer | switches a s | threads | delay p50 / p99 ms"
        );
        let routers = [Some(("now", &own)), former.as_ref().map(|f| ("former", f))];
        let mut turns: Vec<(&str, Vec<Turn>)> = Vec::new();
        for (name, _) in routers.into_iter().flatten() {
            turns.push((name, Vec::new()));
        }
        for _ in 0..TURNS {
            for ((_, program), (_, turns)) in routers.into_iter().flatten().zip(&mut turns) {
                turns.push(runtime.block_on(router(program, *count)));
            }
        }
        for (name, mut turns) in turns {
            turns.sort_by(|a, b| a.micros.total_cmp(&b.micros));
            let best = turns.swap_remove(0);
            println!(
                "{name} | {:.2} | {:.2} | {:.1} | {:.0} | {:.0} | {} | {}",
                best.micros,
                best.micros / floor,
                library / best.micros,
                best.memory,
                best.switches,
                best.threads,
                best.note
            );
        }
    }
}

/// The payloads that the router makes of the simulated camera's stream.
fn stream() -> Vec<Payloads> {
    let scene = Scene::new(SceneKind::Street, 1, 100, RATE);
    let frames = encode(&scene, &encoding()).unwrap();
    let unit = |frame: taimat_simulate::Encoded| AccessUnit {
        track: TrackKind::Video,
        media_time: MediaTime::new(0, 90_000),
        wall_time: std::time::SystemTime::UNIX_EPOCH,
        received: Instant::now(),
        camera_time: None,
        keyframe: frame.keyframe,
        start: frame.keyframe.then_some(Start::Idr),
        params: Some(frame.params),
        data: frame.data,
        lost_packets: 0,
        damaged: false,
    };
    frames
        .into_iter()
        .map(|f| video(VideoCodec::H264, &unit(f)))
        .collect()
}

fn cpu(who: UsageWho) -> f64 {
    let usage = getrusage(who).unwrap();
    let seconds = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// Calls `send` with every access unit's number in the camera's rhythm; returns this thread's CPU
/// time.
fn at_camera_pace(mut send: impl FnMut(usize)) -> f64 {
    let begin = Instant::now();
    let before = cpu(UsageWho::RUSAGE_THREAD);
    for number in 0.. {
        let due = begin + Duration::from_secs(1) / RATE * number;
        if due - begin > RUN {
            break;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        send(number as usize);
    }
    cpu(UsageWho::RUSAGE_THREAD) - before
}

fn ports(list: &str) -> Vec<SocketAddr> {
    list.split(' ')
        .map(|p| SocketAddr::from(([127, 0, 0, 1], p.parse().unwrap())))
        .collect()
}

fn floor(units: &[Payloads], viewers: usize, receivers: Sinks) -> Cost {
    let kind = match receivers {
        Sinks::Asleep => "child-asleep",
        Sinks::Read => "child-sinks",
    };
    let (mut sinks, list) = child(&[kind.into(), viewers.to_string()]).unwrap();
    let registry = prometheus::Registry::new();
    let metrics = taimat_egress::metrics::EgressMetrics::register(&registry).unwrap();
    let sockets = [RtcSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap()];
    let mut out = Outbox::new(&sockets, &metrics);
    let provider = rtc_crypto::default_provider().unwrap();
    let profile = ProtectionProfile::AeadAes128Gcm;
    let mut viewers: Vec<(Path, RtpSealer, u64)> = ports(&list)
        .into_iter()
        .map(|peer| {
            let sealer = RtpSealer::new(profile, &[1; 16], &[2; 12], provider.crypto()).unwrap();
            (
                Path {
                    socket: 0,
                    peer,
                    local: None,
                },
                sealer,
                0,
            )
        })
        .collect();
    let mut packets = 0.0;
    let seconds = at_camera_pace(|number| {
        let unit = &units[number % units.len()];
        for (path, sealer, index) in &mut viewers {
            for payload in unit.iter() {
                let len = 20 + payload.len() + 16;
                let buffer = out.room(&*path, len);
                let start = buffer.len();
                let [.., high, low] = index.to_be_bytes();
                buffer.extend_from_slice(&[0x90, 96, high, low, 0, 0, 0, 0, 0, 0, 0, 7]);
                buffer.extend_from_slice(&[0xBE, 0xDE, 0, 1, 0x52, 0, 0, 40]);
                buffer.extend_from_slice(payload);
                sealer.seal(buffer, start, 20, 7, *index).unwrap();
                out.written();
                *index += 1;
                packets += 1.0;
            }
            out.flush(&*path);
        }
    });
    sinks.kill().unwrap();
    Cost {
        micros: seconds * 1e6 / packets,
    }
}

fn codec() -> RTCRtpCodecParameters {
    RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: MIME_TYPE_H264.to_owned(),
            clock_rate: 90_000,
            sdp_fmtp_line: "packetization-mode=1;profile-level-id=42e01f".to_owned(),
            ..RTCRtpCodec::default()
        },
        payload_type: 102,
    }
}

fn peer(port: u16) -> (RTCPeerConnection, SocketAddr) {
    let mut media = MediaEngine::default();
    media.register_codec(codec(), RtpCodecKind::Video).unwrap();
    let registry = webrtc::peer_connection::register_default_interceptors(
        webrtc::peer_connection::Registry::new(),
        &mut media,
    )
    .unwrap();
    let peer = RTCPeerConnectionBuilder::new()
        .with_media_engine(media)
        .with_interceptor_registry(registry)
        .build(Instant::now())
        .unwrap();
    (peer, SocketAddr::from(([127, 0, 0, 1], port)))
}

fn candidate(address: SocketAddr) -> rtc::peer_connection::transport::RTCIceCandidateInit {
    rtc::peer_connection::transport::RTCIceCandidateInit {
        candidate: format!(
            "candidate:1 1 udp 2130706431 {} {} typ host",
            address.ip(),
            address.port()
        ),
        ..Default::default()
    }
}

/// Two peer connections in one thread, their datagrams handed over in memory, until connected.
fn connected(index: u16) -> (RTCPeerConnection, rtc::rtp_transceiver::RTCRtpSenderId, u32) {
    let (mut server, server_addr) = peer(10_000 + index);
    let (mut client, client_addr) = peer(20_000 + index);
    let ssrc = 1000 + u32::from(index);
    let track = MediaStreamTrack::new(
        "s".into(),
        "t".into(),
        "l".into(),
        RtpCodecKind::Video,
        vec![RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters {
                ssrc: Some(ssrc),
                ..Default::default()
            },
            codec: codec().rtp_codec,
            ..Default::default()
        }],
    );
    let sender = server.add_track(track).unwrap();
    server.add_local_candidate(candidate(server_addr)).unwrap();
    client.add_local_candidate(candidate(client_addr)).unwrap();
    let offer = server.create_offer(None).unwrap();
    server.set_local_description(Instant::now(), offer).unwrap();
    client
        .set_remote_description(Instant::now(), server.local_description().unwrap())
        .unwrap();
    let answer = client.create_answer(None).unwrap();
    client
        .set_local_description(Instant::now(), answer)
        .unwrap();
    server
        .set_remote_description(Instant::now(), client.local_description().unwrap())
        .unwrap();
    let begin = Instant::now();
    let (mut server_up, mut client_up) = (false, false);
    while !(server_up && client_up) {
        assert!(
            begin.elapsed() < Duration::from_secs(10),
            "the library's peers do not connect"
        );
        let now = Instant::now();
        hand_over(&mut server, &mut client, now);
        hand_over(&mut client, &mut server, now);
        server.handle_timeout(now).unwrap();
        client.handle_timeout(now).unwrap();
        server_up |= says_connected(&mut server);
        client_up |= says_connected(&mut client);
        std::thread::sleep(Duration::from_millis(1));
    }
    (server, sender, ssrc)
}

fn says_connected(peer: &mut RTCPeerConnection) -> bool {
    use webrtc::peer_connection::{RTCPeerConnectionEvent, RTCPeerConnectionState};
    let mut connected = false;
    while let Some(event) = peer.poll_event() {
        connected |= matches!(
            event,
            RTCPeerConnectionEvent::OnConnectionStateChangeEvent(RTCPeerConnectionState::Connected)
        );
    }
    connected
}

fn hand_over(from: &mut RTCPeerConnection, to: &mut RTCPeerConnection, now: Instant) {
    while let Some(mut message) = from.poll_write() {
        std::mem::swap(
            &mut message.transport.local_addr,
            &mut message.transport.peer_addr,
        );
        message.now = now;
        // What arrives too early is sent again.
        drop(to.handle_read(message));
    }
}

fn library(units: &[Payloads], viewers: usize) -> Cost {
    let (mut sinks, list) = child(&["child-sinks".into(), viewers.to_string()]).unwrap();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let sinks_at = ports(&list);
    let mut peers: Vec<_> = (0..viewers)
        .map(|i| connected(u16::try_from(i).unwrap()))
        .zip(sinks_at)
        .collect();
    let (mut packets, mut sequence) = (0.0, 0_u16);
    let seconds = at_camera_pace(|number| {
        let unit = &units[number % units.len()];
        let first = sequence;
        for ((peer, sender, ssrc), sink) in &mut peers {
            sequence = first;
            for (i, payload) in unit.iter().enumerate() {
                let packet = rtc::rtp::Packet {
                    header: rtc::rtp::Header {
                        version: 2,
                        marker: i + 1 == unit.len(),
                        payload_type: 102,
                        sequence_number: sequence,
                        timestamp: u32::try_from(number).unwrap() * 3600,
                        ssrc: *ssrc,
                        ..Default::default()
                    },
                    payload: bytes::Bytes::copy_from_slice(payload),
                };
                sequence = sequence.wrapping_add(1);
                let now = Instant::now();
                peer.rtp_sender(*sender)
                    .unwrap()
                    .write_rtp(now, packet)
                    .unwrap();
                while let Some(message) = peer.poll_write() {
                    drop(socket.send_to(&message.message, *sink));
                }
                packets += 1.0;
            }
        }
    });
    sinks.kill().unwrap();
    Cost {
        micros: seconds * 1e6 / packets,
    }
}

async fn router(program: &str, viewers: usize) -> Turn {
    let (mut camera, url) = child(&["child-camera".into()]).unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let cameras = [("camera", format!("main = \"{url}\""))];
    let router = MeasuredRouter::start(program, temporary.path(), &cameras, &[]).unwrap();
    router.wait_for_cameras(1).unwrap();
    let http = router.http_addr();
    let value = |text: &str, name: &str| -> f64 {
        let lines = text.lines().filter(|l| l.starts_with(name));
        lines
            .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    };
    // One viewer first: what a camera costs is not what a viewer costs.
    let (mut first, _) = child(&["child-viewers".into(), http.to_string(), "1".into()]).unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let memory_before = router.resident_kib().unwrap();
    let count = viewers.to_string();
    let (mut clients, _) = child(&["child-viewers".into(), http.to_string(), count]).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = router.get("/metrics").unwrap();
    let (cpu, switches) = (router.cpu_seconds().unwrap(), switches(router.id()));
    tokio::time::sleep(RUN).await;
    let cpu = router.cpu_seconds().unwrap() - cpu;
    let (switched, threads) = self::switches(router.id());
    let after = router.get("/metrics").unwrap();
    let memory = (router.resident_kib().unwrap() - memory_before) / viewers as f64;
    let more = |name: &str| value(&after, name) - value(&before, name);
    let packets = more("taimat_viewer_packets_total{");
    let drops = more("taimat_viewer_drops_total{cause=\"send");
    let delay = quantiles(&before, &after);
    for process in [&mut clients, &mut first, &mut camera] {
        process.kill().unwrap();
        process.wait().unwrap();
    }
    Turn {
        micros: cpu * 1e6 / packets,
        memory,
        switches: (switched - switches.0) / RUN.as_secs_f64(),
        threads,
        note: if drops > 0.0 {
            format!("{delay} ({drops} dropped)")
        } else {
            delay
        },
    }
}

/// Context switches of all threads so far, and how many threads there are.
fn switches(process: u32) -> (f64, usize) {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let one = |thread: std::io::Result<std::fs::DirEntry>| -> Option<f64> {
        let text = std::fs::read_to_string(thread.ok()?.path().join("status")).ok()?;
        let lines = text.lines().filter(|l| l.contains("ctxt_switches:"));
        let numbers = lines.filter_map(|l| l.rsplit('\t').next()?.parse::<f64>().ok());
        Some(numbers.sum())
    };
    let all: Vec<f64> = threads.filter_map(one).collect();
    (all.iter().sum(), all.len())
}

/// Upper bounds of the buckets in which the median and the 99th percentile of the forward delay lie.
fn quantiles(before: &str, after: &str) -> String {
    const NAME: &str = "taimat_viewer_forward_delay_seconds_bucket{le=\"";
    let read = |text: &str| -> Vec<(String, f64)> {
        text.lines()
            .filter_map(|l| l.strip_prefix(NAME)?.split_once("\"} "))
            .map(|(le, count)| (le.to_owned(), count.parse().unwrap()))
            .collect()
    };
    let counts: Vec<(String, f64)> = read(after)
        .into_iter()
        .zip(read(before))
        .map(|((le, after), (_, before))| (le, after - before))
        .collect();
    let all = counts.last().map_or(0.0, |c| c.1);
    let bound = |share: f64| {
        let found = counts.iter().find(|(_, count)| *count >= all * share);
        let seconds: f64 = found
            .and_then(|(le, _)| le.parse().ok())
            .unwrap_or(f64::INFINITY);
        format!("< {}", seconds * 1e3)
    };
    format!("{} / {}", bound(0.5), bound(0.99))
}

async fn camera() {
    let id: taimat_base::CameraId = "camera".parse().unwrap();
    let fleet = Fleet::start(FleetConfig {
        bind: "127.0.0.1:0".parse().unwrap(),
        cameras: vec![CameraSpec {
            id: id.clone(),
            scene: SceneKind::Street,
            fault: Fault::None,
        }],
        seed: 1,
        rate: RATE,
        length: Duration::from_secs(4),
        main: encoding(),
        sub: None,
        audio: false,
    })
    .await
    .unwrap();
    until_killed(&fleet.url(&id, taimat_base::Profile::Main))
        .await
        .unwrap();
}

async fn viewers(http: SocketAddr, count: usize) {
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..count {
        let mut client = WhepClient::connect(http, "/bench/camera/whep", &ClientOptions::default())
            .await
            .unwrap();
        clients.spawn(async move { while client.packet().await.is_some() {} });
    }
    until_killed(&count.to_string()).await.unwrap();
}

async fn sinks(count: usize, receivers: Sinks) {
    let (mut ports, mut kept) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let socket = Arc::new(tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap());
        ports.push(socket.local_addr().unwrap().port().to_string());
        if receivers == Sinks::Asleep {
            kept.push(socket);
            continue;
        }
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            while socket.recv(&mut buffer).await.is_ok() {}
        });
    }
    until_killed(&ports.join(" ")).await.unwrap();
}
