//! What parties do that harm others. Each runs in a process of its own, and leaves a line about what it saw.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::stun::{self, Peer};

/// Somebody who misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attack {
    /// Datagrams of strangers, with every first byte that means something.
    Junk,
    /// Fragments without bytes of a handshake that never goes on.
    Fragments,
    /// Checks of one viewer from ever new ports.
    Ports,
    /// Checks for sessions that there are not.
    Names,
    /// Offers from one address, none of which is followed by anything.
    Offers,
    /// Offers that name somebody else's ports.
    Candidates,
    /// HTTP connections that say nothing.
    IdleHttp,
    /// HTTP requests, a byte in two seconds.
    DripHttp,
    /// RTSP requests, a byte in two seconds.
    DripRtsp,
}

impl Attack {
    pub(crate) const ALL: [Self; 9] = [
        Self::Junk,
        Self::Fragments,
        Self::Ports,
        Self::Names,
        Self::Offers,
        Self::Candidates,
        Self::IdleHttp,
        Self::DripHttp,
        Self::DripRtsp,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|attack| attack.as_str() == name)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Junk => "junk",
            Self::Fragments => "fragments",
            Self::Ports => "ports",
            Self::Names => "names",
            Self::Offers => "offers",
            Self::Candidates => "candidates",
            Self::IdleHttp => "idle-http",
            Self::DripHttp => "drip-http",
            Self::DripRtsp => "drip-rtsp",
        }
    }

    pub(crate) fn rate(self) -> &'static str {
        match self {
            Self::Junk => "50,000 datagrams a second",
            Self::Fragments => "4,000 datagrams a second, 95 fragments each",
            Self::Ports => "2,000 a second from 10,000 ports",
            Self::Names => "20,000 a second",
            Self::Offers => "200 a second",
            Self::Candidates => "10 a second, 32 ports each",
            Self::IdleHttp | Self::DripHttp => "2,000 connections",
            Self::DripRtsp => "600 connections",
        }
    }
}

/// Where an attacker's line is.
pub(crate) fn result_file(http: SocketAddr) -> PathBuf {
    std::env::temp_dir().join(format!("taimat-neighbours-{}", http.port()))
}

const OWN_UFRAG: &str = "abcd";

/// An offer of one who can do H.264, with candidates.
fn offer(candidates: &[SocketAddr]) -> String {
    let print = ["AB"; 32].join(":");
    let mut lines = String::new();
    for (n, at) in candidates.iter().enumerate() {
        let priority = 2_113_937_151 - n;
        let (ip, port) = (at.ip(), at.port());
        lines += &format!("a=candidate:{n} 1 udp {priority} {ip} {port} typ host\r\n");
    }
    format!(
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:{OWN_UFRAG}\r\n\
         a=ice-pwd:0123456789abcdefghijklmn\r\n{lines}a=fingerprint:sha-256 {print}\r\n\
         a=setup:actpass\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\na=rtpmap:96 H264/90000\r\n\
         a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
    )
}

/// Posts an offer; the status and the answer.
fn post(http: SocketAddr, camera: usize, offer: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&http, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let (path, length) = (super::name(camera), offer.len());
    let head = format!(
        "POST /bench/{path}/whep HTTP/1.0\r\nHost: {http}\r\nContent-Type: application/sdp\r\n\
         Content-Length: {length}\r\n\r\n{offer}"
    );
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok());
    Ok((status.unwrap_or(0), answer))
}

/// What a router answered: our half of its ICE session, and where it is reached.
fn session(http: SocketAddr, candidates: &[SocketAddr]) -> (Peer, SocketAddr) {
    let (status, answer) = post(http, 0, &offer(candidates)).unwrap();
    assert_eq!(status, 201, "{answer}");
    let line = |name: &str| {
        let found = answer.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap().trim().to_owned()
    };
    let candidate = line("a=candidate:");
    let words: Vec<&str> = candidate.split(' ').collect();
    let peer = Peer {
        ufrag: line("a=ice-ufrag:"),
        pwd: line("a=ice-pwd:"),
    };
    (peer, format!("{}:{}", words[4], words[5]).parse().unwrap())
}

/// Where the router takes datagrams.
pub(crate) fn udp_address(http: SocketAddr) -> SocketAddr {
    session(http, &[]).1
}

/// Does something so many times a second, for a while.
fn at_rate(rate: f64, span: Duration, mut act: impl FnMut(u64)) -> u64 {
    let begin = Instant::now();
    let mut done = 0;
    while begin.elapsed() < span {
        let due = (begin.elapsed().as_secs_f64() * rate) as u64;
        while done < due {
            act(done);
            done += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    done
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

pub(crate) fn run(attack: Attack, http: SocketAddr, udp: SocketAddr, span: Duration) {
    let said = match attack {
        Attack::Junk => junk(udp, span),
        Attack::Fragments => fragments(http, span),
        Attack::Ports => ports(http, span),
        Attack::Names => names(udp, span),
        Attack::Offers => offers(http, span),
        Attack::Candidates => candidates(http, span),
        Attack::IdleHttp => idle(http, span),
        Attack::DripHttp => drip(http, span, 2000, b"GET /api/v1/overview HTTP/1.1\r\nX-A: "),
        Attack::DripRtsp => drip(rtsp(http), span, 600, b"OPTIONS * RTSP/1.0\r\nX-A: "),
    };
    std::fs::write(result_file(http), said).unwrap();
}

fn junk(udp: SocketAddr, span: Duration) -> String {
    let socket = socket();
    let mut bytes = [0x5A; 200];
    let sent = at_rate(50_000.0, span, |n| {
        bytes[0] = [0, 1, 20, 22, 63, 128, 200, 255][(n % 8) as usize];
        drop(socket.send_to(&bytes, udp));
    });
    format!("{sent} sent")
}

/// A record of a handshake with 95 fragments that have no bytes.
fn empty_fragments(number: u64) -> Vec<u8> {
    let mut body = Vec::new();
    for n in 0..95_u64 {
        let sequence = 5000 + (number * 95 + n) % 60_000;
        body.extend([1, 0, 0, 0]);
        body.extend(u16::try_from(sequence).unwrap().to_be_bytes());
        body.extend([0; 6]);
    }
    let mut record = vec![22, 254, 253, 0, 0];
    record.extend(&number.to_be_bytes()[2..]);
    record.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    record.extend(body);
    record
}

fn fragments(http: SocketAddr, span: Duration) -> String {
    let socket = socket();
    let (peer, router) = session(http, &[socket.local_addr().unwrap()]);
    let mut check = 0;
    let sent = at_rate(4000.0, span, |n| {
        // Its address stays proven.
        if n % 400 == 0 {
            check += 1;
            drop(socket.send_to(&stun::request(&peer, OWN_UFRAG, check), router));
        }
        drop(socket.send_to(&empty_fragments(n), router));
    });
    format!("{sent} sent")
}

fn ports(http: SocketAddr, span: Duration) -> String {
    let (peer, router) = session(http, &[]);
    let sockets: Vec<UdpSocket> = (0..10_000)
        .map_while(|_| UdpSocket::bind("127.0.0.1:0").ok())
        .collect();
    let sent = at_rate(2000.0, span, |n| {
        let socket = &sockets[usize::try_from(n).unwrap() % sockets.len()];
        drop(socket.send_to(&stun::request(&peer, OWN_UFRAG, n), router));
    });
    format!("{sent} sent from {} ports", sockets.len())
}

fn names(udp: SocketAddr, span: Duration) -> String {
    let socket = socket();
    let sent = at_rate(20_000.0, span, |n| {
        let peer = Peer {
            ufrag: format!("{:02x}{n:08x}", n % 2),
            pwd: "wrong".into(),
        };
        drop(socket.send_to(&stun::request(&peer, OWN_UFRAG, n), udp));
    });
    format!("{sent} sent")
}

fn offers(http: SocketAddr, span: Duration) -> String {
    let offer = offer(&[]);
    let mut statuses = std::collections::BTreeMap::<u16, u64>::new();
    at_rate(200.0, span, |n| {
        let status = post(http, usize::try_from(n).unwrap() % super::CAMERAS, &offer);
        *statuses
            .entry(status.map_or(0, |(status, _)| status))
            .or_default() += 1;
    });
    format!("answers {statuses:?}")
}

fn candidates(http: SocketAddr, span: Duration) -> String {
    let victims: Vec<UdpSocket> = (0..32)
        .map(|_| UdpSocket::bind("127.0.0.9:0").unwrap())
        .collect();
    let at: Vec<SocketAddr> = victims.iter().map(|v| v.local_addr().unwrap()).collect();
    let offer = offer(&at);
    let (mut taken, mut bytes) = (0_u64, 0_usize);
    at_rate(10.0, span, |n| {
        let posted = post(http, usize::try_from(n).unwrap() % super::CAMERAS, &offer);
        taken += u64::from(posted.is_ok_and(|(status, _)| status == 201));
    });
    let mut datagrams = 0_u64;
    let mut buffer = [0; 2000];
    for victim in &victims {
        victim.set_nonblocking(true).unwrap();
        while let Ok(length) = victim.recv(&mut buffer) {
            (datagrams, bytes) = (datagrams + 1, bytes + length);
        }
    }
    let asked = (offer.len() as u64 * taken).max(1);
    format!(
        "{taken} taken; {datagrams} datagrams at the victim, {:.2} bytes for one of ours",
        bytes as f64 / asked as f64
    )
}

/// Whether the other side has closed.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0; 512];
    loop {
        match stream.read(&mut byte) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

fn connections(to: SocketAddr, count: usize) -> Vec<TcpStream> {
    let connect = |_| TcpStream::connect_timeout(&to, Duration::from_millis(500)).ok();
    let all = (0..count).filter_map(connect);
    all.inspect(|stream| stream.set_nonblocking(true).unwrap())
        .collect()
}

fn idle(http: SocketAddr, span: Duration) -> String {
    let begin = Instant::now();
    let mut all = connections(http, 2000);
    let count = all.len();
    std::thread::sleep(span.saturating_sub(begin.elapsed()));
    let closed = all
        .iter_mut()
        .filter_map(|s| is_closed(s).then_some(()))
        .count();
    format!("{count} connected, {closed} closed by the router")
}

fn drip(to: SocketAddr, span: Duration, count: usize, head: &[u8]) -> String {
    let begin = Instant::now();
    let mut all = connections(to, count);
    let connected = all.len();
    for stream in &mut all {
        let _written = stream.write_all(head);
    }
    while begin.elapsed() < span {
        std::thread::sleep(Duration::from_secs(2));
        for stream in &mut all {
            let _written = stream.write_all(b"x");
        }
    }
    let closed = all
        .iter_mut()
        .filter_map(|s| is_closed(s).then_some(()))
        .count();
    format!("{connected} connected, {closed} closed by the router")
}

/// Where the router serves RTSP: what it listens at by TCP and is not HTTP.
fn rtsp(http: SocketAddr) -> SocketAddr {
    let listening = std::process::Command::new("ss")
        .args(["-Hltnp"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&listening.stdout).into_owned();
    let of = |line: &str| {
        let id = line.split("pid=").nth(1)?.split(',').next()?.to_owned();
        let at: SocketAddr = line.split_whitespace().nth(3)?.parse().ok()?;
        Some((id, at))
    };
    let all: Vec<(String, SocketAddr)> = text.lines().filter_map(of).collect();
    let (router, _) = all.iter().find(|(_, at)| *at == http).unwrap();
    let other = all.iter().find(|(id, at)| id == router && *at != http);
    other.unwrap().1
}
