//! Cameras that misbehave at the RTSP level.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a camera does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Badness {
    /// Accepts connections and says nothing.
    HalfOpen,
    /// Answers with bytes that are no RTSP.
    Noise,
    /// Answers PLAY, then sends random interleaved frames: RTP headers of chance.
    GarbageRtp,
    /// Says H.264 and sends H.265.
    LyingCodec,
    /// Describes a stream with an endless session description.
    EndlessDescription,
}

/// A running camera; stopped when dropped.
#[derive(Debug)]
pub struct BadCamera {
    local: SocketAddr,
    task: JoinHandle<()>,
}

impl BadCamera {
    /// Starts a camera.
    pub async fn start(badness: Badness) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let local = listener.local_addr()?;
        #[expect(clippy::disallowed_methods, reason = "ended by the camera's drop")]
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, badness));
            }
        });
        Ok(Self { local, task })
    }

    /// The camera's address.
    pub fn url(&self) -> String {
        format!("rtsp://{}/cam", self.local)
    }
}

impl Drop for BadCamera {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const SDP: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
    m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\n\
    a=control:track1\r\n";

async fn serve(mut stream: TcpStream, badness: Badness) {
    let mut buffer = vec![0; 4096];
    loop {
        let Ok(len @ 1..) = stream.read(&mut buffer).await else {
            return;
        };
        let request = String::from_utf8_lossy(&buffer[..len]).into_owned();
        let cseq = request
            .lines()
            .find_map(|l| {
                l.to_ascii_lowercase()
                    .strip_prefix("cseq:")
                    .map(str::to_owned)
            })
            .unwrap_or_default();
        let method = request.split(' ').next().unwrap_or("");
        let answer = |headers: &str, body: &str| {
            format!(
                "RTSP/1.0 200 OK\r\nCSeq:{cseq}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let reply = match (badness, method) {
            (Badness::HalfOpen, _) => continue,
            (Badness::Noise, _) => "\u{1}\u{2}garbage\u{3}".repeat(1000),
            (Badness::EndlessDescription, "DESCRIBE") => {
                let head = format!(
                    "RTSP/1.0 200 OK\r\nCSeq:{cseq}\r\nContent-Type: application/sdp\r\n\
                     Content-Length: 4000000000\r\n\r\n"
                );
                if stream.write_all(head.as_bytes()).await.is_err() {
                    return;
                }
                flood(&mut stream).await;
                return;
            }
            (_, "DESCRIBE") => answer("Content-Type: application/sdp\r\n", SDP),
            (_, "SETUP") => answer(
                "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n",
                "",
            ),
            (_, "PLAY") => {
                let ok = answer("Session: 1\r\n", "");
                if stream.write_all(ok.as_bytes()).await.is_err() {
                    return;
                }
                media(&mut stream, badness).await;
                return;
            }
            _ => answer("", ""),
        };
        if stream.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Sends as fast as the other side takes it, for a while.
async fn flood(stream: &mut TcpStream) {
    let line = "a=x:y\r\n".repeat(4096);
    for _ in 0..20_000 {
        if stream.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn media(stream: &mut TcpStream, badness: Badness) {
    let mut random = 0x1234_5678_u64;
    for sequence in 0_u16..=u16::MAX {
        let mut packet = vec![0x80, 0xE0];
        packet.extend(sequence.to_be_bytes());
        packet.extend((u32::from(sequence) * 3600).to_be_bytes());
        packet.extend(7_u32.to_be_bytes());
        match badness {
            // A slice of H.265 (TRAIL_R): as H.264 its first byte is another type.
            Badness::LyingCodec => packet.extend([0x3E, 0x01, 0xD0, 0x11, 0x22, 0x33]),
            _ => {
                for byte in &mut packet[2..] {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    *byte = (random >> 33) as u8;
                }
                packet.extend((0..60).map(|i| (random >> (i % 50)) as u8));
            }
        }
        let len = u16::try_from(packet.len()).unwrap_or(0);
        let mut frame = vec![b'$', 0];
        frame.extend(len.to_be_bytes());
        frame.extend(packet);
        if stream.write_all(&frame).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
