//! How one track's packets get to one client: interleaved in the connection, or by UDP.

use std::io;
use std::net::{IpAddr, SocketAddr};

use taimat_base::{clock, ports};
use taimat_media::TrackKind;
use taimat_media::rtp::RtpHeader;
use taimat_rtsp::Transport;
use tokio::net::UdpSocket;

use crate::packets::PacketBatch;
use crate::report::SentCount;

/// Where the packets go.
#[derive(Debug)]
pub(super) enum Route {
    /// Channels for RTP and RTCP.
    Interleaved(u8, u8),
    /// A pair of our sockets, connected to the client's pair of ports.
    Udp { rtp: UdpSocket, rtcp: UdpSocket },
}

/// One track to one client.
#[derive(Debug)]
pub(super) struct Leg {
    route: Route,
    pub(super) ssrc: u32,
    payload_type: u8,
    sequence: u16,
    sent: SentCount,
}

impl Leg {
    pub(super) fn new(route: Route, payload_type: u8) -> Self {
        Self {
            route,
            ssrc: rand::random(),
            payload_type,
            sequence: rand::random(),
            sent: SentCount::default(),
        }
    }

    /// The sequence number that comes next.
    pub(super) fn next_sequence(&self) -> u16 {
        self.sequence
    }

    /// The channels for RTP and RTCP, if it is in the connection.
    pub(super) fn channels(&self) -> Option<[u8; 2]> {
        match self.route {
            Route::Interleaved(rtp, rtcp) => Some([rtp, rtcp]),
            Route::Udp { .. } => None,
        }
    }

    /// Sends an access unit's packets; interleaved ones are appended to `tcp`. Returns how many.
    pub(super) fn send(&mut self, batch: &PacketBatch, tcp: &mut Vec<u8>) -> u64 {
        let timestamp = batch.media_time.rtp();
        let count = batch.payloads.len();
        let mut datagram = Vec::new();
        for (i, payload) in batch.payloads.iter().enumerate() {
            let marker = i + 1 == count && batch.track == TrackKind::Video;
            let header = self.header(marker, timestamp);
            match &self.route {
                Route::Interleaved(channel, _) => {
                    frame(tcp, *channel, header.len() + payload.len());
                    tcp.extend_from_slice(&header);
                    tcp.extend_from_slice(payload);
                }
                Route::Udp { rtp, .. } => {
                    datagram.clear();
                    datagram.extend_from_slice(&header);
                    datagram.extend_from_slice(payload);
                    // A full buffer or a client that is gone: datagrams get lost.
                    drop(rtp.try_send(&datagram));
                }
            }
        }
        self.sent.add(batch, timestamp);
        count as u64
    }

    fn header(&mut self, marker: bool, timestamp: u32) -> [u8; RtpHeader::BYTES] {
        let header = RtpHeader {
            extension: false,
            marker,
            payload_type: self.payload_type,
            sequence: self.sequence,
            timestamp,
            ssrc: self.ssrc,
        };
        self.sequence = self.sequence.wrapping_add(1);
        header.to_bytes()
    }

    /// Sends a sender report.
    pub(super) fn report(&self, tcp: &mut Vec<u8>) {
        let Some(report) = self.sent.report(self.ssrc, clock::wall()) else {
            return;
        };
        match &self.route {
            Route::Interleaved(_, channel) => {
                frame(tcp, *channel, report.len());
                tcp.extend_from_slice(&report);
            }
            Route::Udp { rtcp, .. } => drop(rtcp.try_send(&report)),
        }
    }

    /// Takes in what the client sent by UDP; says whether there was anything.
    pub(super) fn drain(&self) -> bool {
        let Route::Udp { rtp, rtcp } = &self.route else {
            return false;
        };
        let mut buffer = [0; 1500];
        let mut any = false;
        for socket in [rtp, rtcp] {
            // At most a few: a client that floods gets no more of our time.
            any |= (0..8)
                .take_while(|_| socket.try_recv(&mut buffer).is_ok())
                .count()
                > 0;
        }
        any
    }
}

/// The first of the client's transports that we can serve, and how to answer it.
pub(super) async fn choose(
    offered: &[Transport],
    kind: TrackKind,
    client: IpAddr,
    local: IpAddr,
) -> Option<(Route, Transport)> {
    for asked in offered {
        if asked.multicast || asked.profile.is_secure() {
            continue;
        }
        let profile = asked.profile;
        if asked.tcp {
            let first = match kind {
                TrackKind::Video => 0,
                TrackKind::Audio => 2,
            };
            let (rtp, rtcp) = asked.interleaved.unwrap_or((first, first + 1));
            let answer = Transport::interleaved(rtp, rtcp);
            return Some((
                Route::Interleaved(rtp, rtcp),
                Transport { profile, ..answer },
            ));
        }
        if let Some(ports) = asked.client_port {
            let (route, port) = udp(client, ports, local).await.ok()?;
            let answer = Transport {
                profile,
                server_port: Some((port, port + 1)),
                ..Transport::udp(ports.0, ports.1)
            };
            return Some((route, answer));
        }
    }
    None
}

/// A pair of ports of ours, and the even one's number.
async fn udp(client: IpAddr, to: (u16, u16), local: IpAddr) -> io::Result<(Route, u16)> {
    /// Clients send little: receiver reports, and what keeps the way open.
    const RECEIVE_BYTES: usize = 64 << 10;
    let (rtp, rtcp) = ports::pair(local, RECEIVE_BYTES)?;
    let (rtp, rtcp) = (UdpSocket::from_std(rtp)?, UdpSocket::from_std(rtcp)?);
    rtp.connect(SocketAddr::new(client, to.0)).await?;
    rtcp.connect(SocketAddr::new(client, to.1)).await?;
    let port = rtp.local_addr()?.port();
    Ok((Route::Udp { rtp, rtcp }, port))
}

/// The four bytes before interleaved data (RFC 2326 section 10.12).
fn frame(tcp: &mut Vec<u8>, channel: u8, len: usize) {
    tcp.extend_from_slice(&[b'$', channel]);
    tcp.extend_from_slice(&u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
}
