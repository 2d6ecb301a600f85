//! Choosing a way for a track's packets: the first of those that the client offers and we can serve.
//!
//! Cost: once per SETUP; by UDP a pair of our ports for each track.

use std::io;
use std::net::{IpAddr, SocketAddr};

use taimat_base::ports;
use taimat_media::TrackKind;
use taimat_rtsp::Transport;
use tokio::net::UdpSocket;

/// Where the packets go.
#[derive(Debug)]
pub(super) enum RtspRoute {
    /// Channels for RTP and RTCP.
    Interleaved(u8, u8),
    /// A pair of our sockets, connected to the client's pair of ports.
    Udp { rtp: UdpSocket, rtcp: UdpSocket },
}

/// The first of the client's transports that we can serve, and how to answer it.
pub(super) async fn choose(
    offered: &[Transport],
    kind: TrackKind,
    client: IpAddr,
    local: IpAddr,
) -> Option<(RtspRoute, Transport)> {
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
                RtspRoute::Interleaved(rtp, rtcp),
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
async fn udp(client: IpAddr, to: (u16, u16), local: IpAddr) -> io::Result<(RtspRoute, u16)> {
    /// Clients send little: receiver reports, and what keeps the way open.
    const RECEIVE_BYTES: usize = 64 << 10;
    let (rtp, rtcp) = ports::pair(local, RECEIVE_BYTES)?;
    let (rtp, rtcp) = (UdpSocket::from_std(rtp)?, UdpSocket::from_std(rtcp)?);
    rtp.connect(SocketAddr::new(client, to.0)).await?;
    rtcp.connect(SocketAddr::new(client, to.1)).await?;
    let port = rtp.local_addr()?.port();
    Ok((RtspRoute::Udp { rtp, rtcp }, port))
}
