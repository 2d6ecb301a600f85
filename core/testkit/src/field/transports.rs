//! How a camera answers SETUP: where the packets of a track go.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::UdpSocket;

use super::speech::Rtsp;
use super::wire::{Leg, Track};

/// The tracks that a client has set up.
#[derive(Default)]
pub(super) struct Transports {
    pub(super) legs: HashMap<Track, Leg>,
    announced: HashMap<Track, u8>,
    /// Kept so that the ports stay taken.
    decoys: Vec<UdpSocket>,
}

impl Transports {
    pub(super) fn by_tcp(&mut self, rtsp: &Rtsp, track: Track, offer: &str) -> Option<String> {
        let asked = pair(offer, "interleaved=").map_or(0, |(a, _)| a);
        let asked = u8::try_from(asked).ok()?;
        let mut channel = rtsp
            .channel
            .filter(|_| track == Track::Video)
            .unwrap_or(asked);
        if rtsp.one_channel {
            channel = self.announced.values().min().copied().unwrap_or(channel);
        }
        self.announced.insert(track, channel);
        let answer = rtsp
            .tcp_answer
            .replace("{a}", &channel.to_string())
            .replace("{b}", &channel.wrapping_add(1).to_string());
        self.legs.insert(track, Leg::Tcp(channel));
        Some(answer)
    }

    pub(super) async fn by_udp(
        &mut self,
        rtsp: &Rtsp,
        (local, peer): (IpAddr, IpAddr),
        track: Track,
        offer: &str,
    ) -> anyhow::Result<Option<String>> {
        let Some((a, b)) = pair(offer, "client_port=") else {
            return Ok(None);
        };
        let (media, reports) = ports(local).await?;
        media.connect((peer, a)).await?;
        reports.connect((peer, b)).await?;
        let (c, d) = (media.local_addr()?.port(), reports.local_addr()?.port());
        let answer = [("{a}", a), ("{b}", b), ("{c}", c), ("{d}", d)]
            .into_iter()
            .fold(rtsp.udp_answer.clone(), |text, (name, port)| {
                text.replace(name, &port.to_string())
            });
        let leg = if rtsp.other_port {
            let (other, others) = ports(local).await?;
            other.connect((peer, a)).await?;
            others.connect((peer, b)).await?;
            self.decoys.extend([media, reports]);
            Leg::Udp {
                media: other,
                reports: others,
            }
        } else {
            Leg::Udp { media, reports }
        };
        self.legs.insert(track, leg);
        Ok(Some(answer))
    }

    pub(super) async fn by_multicast(
        &mut self,
        (address, port): (Ipv4Addr, u16),
        track: Track,
    ) -> anyhow::Result<String> {
        let socket = |port| -> anyhow::Result<UdpSocket> {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
            socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST)?;
            socket.set_multicast_loop_v4(true)?;
            socket.bind(&SockAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))?;
            socket.connect(&SockAddr::from(SocketAddr::from((address, port))))?;
            socket.set_nonblocking(true)?;
            Ok(UdpSocket::from_std(socket.into())?)
        };
        let leg = Leg::Udp {
            media: socket(port)?,
            reports: socket(port + 1)?,
        };
        self.legs.insert(track, leg);
        Ok(format!(
            "RTP/AVP;multicast;destination={address};port={port}-{};ttl=1",
            port + 1
        ))
    }
}

/// `a-b`, or `a` alone, behind a name.
fn pair(offer: &str, name: &str) -> Option<(u16, u16)> {
    let (_, rest) = offer.split_once(name)?;
    let value = rest.split(';').next()?.trim();
    let (a, b) = value.split_once('-').unwrap_or((value, ""));
    let a = a.parse().ok()?;
    Some((a, b.parse().unwrap_or(a + 1)))
}

/// Two ports that follow each other.
async fn ports(local: IpAddr) -> anyhow::Result<(UdpSocket, UdpSocket)> {
    for _ in 0..50 {
        let first = UdpSocket::bind((local, 0)).await?;
        let port = first.local_addr()?.port();
        if port.is_multiple_of(2)
            && let Ok(second) = UdpSocket::bind((local, port + 1)).await
        {
            return Ok((first, second));
        }
    }
    anyhow::bail!("no two ports that follow each other")
}
