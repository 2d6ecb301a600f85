//! Choosing a way for a track's packets: the first of those that the client offers and we can serve.
//!
//! Cost: once per SETUP; by UDP a pair of our ports for each track.

use std::io;
use std::net::{IpAddr, SocketAddr};

use taimat_base::ports;
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

/// The first of the client's transports that we can serve, and how to answer it. Channels in `taken`
/// carry other tracks already.
pub(super) async fn choose(
    offered: &[Transport],
    taken: &[u8],
    client: IpAddr,
    local: IpAddr,
) -> Option<(RtspRoute, Transport)> {
    for asked in offered {
        let publishes = asked
            .mode
            .as_ref()
            .is_some_and(|mode| mode.trim_matches('"').eq_ignore_ascii_case("record"));
        if asked.multicast || asked.profile.is_secure() || publishes {
            continue;
        }
        let profile = asked.profile;
        if asked.tcp {
            let Some((rtp, rtcp)) = channels(asked.interleaved, taken) else {
                continue;
            };
            let answer = Transport::interleaved(rtp, rtcp);
            return Some((
                RtspRoute::Interleaved(rtp, rtcp),
                Transport { profile, ..answer },
            ));
        }
        // Nobody listens at port 0.
        let ports = asked
            .client_port
            .filter(|(rtp, rtcp)| *rtp > 0 && *rtcp > 0);
        if let Some(ports) = ports
            && let Ok((route, port)) = udp(client, ports, local).await
        {
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

/// The channels that were asked for, or others where two tracks would be mixed in these.
fn channels(asked: Option<(u8, u8)>, taken: &[u8]) -> Option<(u8, u8)> {
    let free =
        |(rtp, rtcp): &(u8, u8)| rtp != rtcp && !taken.contains(rtp) && !taken.contains(rtcp);
    let even = (0..=254).step_by(2).map(|first| (first, first + 1));
    asked.into_iter().chain(even).find(free)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tracks_share_a_channel() {
        assert_eq!(channels(None, &[]), Some((0, 1)));
        assert_eq!(channels(Some((4, 5)), &[0, 1]), Some((4, 5)));
        assert_eq!(channels(Some((0, 1)), &[0, 1]), Some((2, 3)));
        assert_eq!(channels(Some((1, 2)), &[0, 1]), Some((2, 3)));
        assert_eq!(channels(Some((7, 7)), &[]), Some((0, 1)));
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(channels(None, &all), None);
    }
}
