//! Cameras that mean harm: floods, endless things, lies. Each runs until the client hangs up.

use std::io;
use std::time::Duration;

use super::requests::Request;
use super::rtp::rtp_header;
use super::shared::Client;
use super::wire::Leg;

pub use super::stream::Hostile;

/// Of 640×480, baseline.
const SPS: [u8; 25] = [
    0x67, 0x42, 0xC0, 0x1E, 0xD9, 0x00, 0xA0, 0x3D, 0xB0, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00,
    0x00, 0x03, 0x00, 0x32, 0x0F, 0x16, 0x2E, 0x48, 0x80,
];
const PPS: [u8; 5] = [0x68, 0xCB, 0x83, 0xCB, 0x20];
/// Description and media of what is described without harm.
const DESCRIPTION: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n";
const VIDEO: &str =
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\n";

/// Numbers of chance that are the same each time (PCG).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 32).unwrap_or(0)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// Answers a request in its way, if it has one: `Some(false)` is the end.
pub(super) async fn answers(
    hostile: Hostile,
    request: &Request,
    client: &Client,
) -> io::Result<Option<bool>> {
    let wire = &client.wire;
    let head = format!("RTSP/1.0 200 OK\r\nCSeq: {}\r\n", request.header("cseq"));
    let describe = request.method == "DESCRIBE";
    let mut chance = Chance(7);
    match hostile {
        Hostile::HalfOpen => Ok(Some(true)),
        Hostile::Noise => {
            let noise = "\u{1}\u{2}garbage\u{3}".repeat(1000);
            wire.say(noise.as_bytes()).await?;
            Ok(Some(true))
        }
        Hostile::EndlessNoise if describe => {
            let noise = chance.bytes(64 << 10);
            pour(client, &noise).await
        }
        Hostile::EndlessHeaders if describe => {
            wire.say(head.as_bytes()).await?;
            pour(client, "X-A: bcdef\r\n".repeat(5000).as_bytes()).await
        }
        Hostile::EndlessLine if describe => {
            wire.say(format!("{head}X-A: ").as_bytes()).await?;
            pour(client, &[b'b'; 60_000]).await
        }
        Hostile::EndlessDescription if describe => {
            let announced = "Content-Type: application/sdp\r\nContent-Length: 4000000000\r\n\r\n";
            wire.say(format!("{head}{announced}{DESCRIPTION}").as_bytes())
                .await?;
            pour(client, "a=x:y\r\n".repeat(4096).as_bytes()).await
        }
        Hostile::FramesInsteadOfAnswers if describe => loop {
            wire.interleave(0, &chance.bytes(65_000)).await?;
        },
        Hostile::ManyTracks if describe => {
            let tracks: String = (0..60_000)
                .map(|track| format!("{VIDEO}a=control:trackID={track}\r\n"))
                .collect();
            let length = DESCRIPTION.len() + tracks.len();
            let announced =
                format!("Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n");
            wire.say(format!("{head}{announced}{DESCRIPTION}{tracks}").as_bytes())
                .await?;
            Ok(Some(true))
        }
        _ => Ok(None),
    }
}

/// The same bytes again and again, as fast as the other side takes them.
async fn pour(client: &Client, bytes: &[u8]) -> io::Result<Option<bool>> {
    loop {
        client.wire.say(bytes).await?;
    }
}

/// Sends media until the client is gone.
pub(super) async fn media(hostile: Hostile, client: &Client, leg: &Leg) -> io::Result<()> {
    let mut source = Source {
        client,
        leg,
        sequence: 0,
        timestamp: 0,
        chance: Chance(11),
    };
    loop {
        source.round(hostile).await?;
        let pause = match hostile {
            Hostile::ReportFlood
            | Hostile::PictureFlood
            | Hostile::TinyPictureFlood
            | Hostile::RequestFlood
            | Hostile::EndlessUnit
            | Hostile::EndlessPicture => 0,
            Hostile::GarbageRtp | Hostile::LyingCodec => 5,
            Hostile::ChangingSets | Hostile::RandomSets => 10,
            _ => 40,
        };
        // Without a pause, others get their turn all the same.
        match pause {
            0 => tokio::task::yield_now().await,
            pause => tokio::time::sleep(Duration::from_millis(pause)).await,
        }
    }
}

struct Source<'a> {
    client: &'a Client,
    leg: &'a Leg,
    sequence: u16,
    timestamp: u32,
    chance: Chance,
}

impl Source<'_> {
    async fn send(&mut self, marker: bool, payload: &[u8]) -> io::Result<()> {
        let mut packet = rtp_header(marker, 96, self.sequence, self.timestamp, 1);
        self.sequence = self.sequence.wrapping_add(1);
        packet.extend(payload);
        self.leg.media(&self.client.wire, &packet).await
    }

    /// A key picture whose slice makes no sense.
    async fn key_picture(&mut self, sps: &[u8]) -> io::Result<()> {
        let mut slice = vec![0x65];
        slice.extend(self.chance.bytes(1200));
        self.send(false, sps).await?;
        self.send(false, &PPS).await?;
        self.send(true, &slice).await?;
        self.timestamp = self.timestamp.wrapping_add(3600);
        Ok(())
    }

    async fn round(&mut self, hostile: Hostile) -> io::Result<()> {
        match hostile {
            Hostile::GarbageRtp => {
                let packet = [&[0x80, 0xE0][..], &self.chance.bytes(70)].concat();
                self.leg.media(&self.client.wire, &packet).await
            }
            // TRAIL_R of H.265: read as H.264 it is another type.
            Hostile::LyingCodec => {
                self.timestamp = self.timestamp.wrapping_add(3600);
                self.send(true, &[0x02, 0x01, 0xD0, 0x11, 0x22, 0x33]).await
            }
            Hostile::EndlessUnit => {
                let start = if self.sequence == 0 { 0x85 } else { 0x05 };
                let fragment = [&[0x7C, start][..], &[0xAA; 60_000]].concat();
                self.send(false, &fragment).await
            }
            Hostile::EndlessPicture => {
                let unit = [&[0x65][..], &[0xAA; 60_000]].concat();
                self.send(false, &unit).await
            }
            Hostile::RandomTimes => {
                self.timestamp = self.chance.next();
                self.key_picture(&SPS).await
            }
            Hostile::TinyAggregates => {
                let aggregate = [&[0x78][..], &[0, 1, 0x65].repeat(20_000)].concat();
                for _ in 0..20 {
                    self.timestamp = self.timestamp.wrapping_add(3600);
                    self.send(true, &aggregate).await?;
                }
                Ok(())
            }
            Hostile::ChangingSets => {
                let mut sps = SPS;
                let at = 5 + usize::from(self.sequence % 6);
                sps[at] ^= self.chance.next() as u8;
                self.key_picture(&sps).await
            }
            Hostile::RandomSets => {
                let sps = [&[0x67, 0x4D, 0, 0x33][..], &self.chance.bytes(40)].concat();
                self.key_picture(&sps).await
            }
            Hostile::ReportFlood => {
                let mut report = vec![0x80, 200, 0, 6];
                report.extend(1_u32.to_be_bytes());
                report.extend(self.chance.bytes(20));
                for _ in 0..500 {
                    self.leg.report(&self.client.wire, &report).await?;
                }
                self.key_picture(&SPS).await
            }
            Hostile::PictureFlood => {
                self.key_picture(&SPS).await?;
                for _ in 0..50 {
                    self.timestamp = self.timestamp.wrapping_add(3600);
                    self.send(true, &[&[0x41][..], &[0xAA; 1200]].concat())
                        .await?;
                }
                Ok(())
            }
            Hostile::TinyPictureFlood => {
                for _ in 0..500 {
                    self.timestamp = self.timestamp.wrapping_add(1);
                    self.send(true, &[0x65, 0x88]).await?;
                }
                Ok(())
            }
            Hostile::RequestFlood => {
                let requests = "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n".repeat(500);
                self.client.wire.say(requests.as_bytes()).await
            }
            _ => self.key_picture(&SPS).await,
        }
    }
}
