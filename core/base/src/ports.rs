//! Pairs of UDP ports, as RTP wants them: the even one for media, the odd one after it for RTCP
//! (RFC 3550 section 11).

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Binds a pair at `local`, ready for an async runtime. `receive_bytes` is what the kernel is asked
/// to hold for each; it gives what its limit allows.
pub fn pair(local: IpAddr, receive_bytes: usize) -> io::Result<(UdpSocket, UdpSocket)> {
    /// Every other port that the system chooses is odd, and the next one is seldom taken.
    const TRIES: usize = 50;
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..TRIES {
        let even = bind(SocketAddr::new(local, 0), receive_bytes)?;
        let port = even.local_addr()?.port();
        if port % 2 == 1 {
            continue;
        }
        match bind(SocketAddr::new(local, port + 1), receive_bytes) {
            Ok(odd) => return Ok((even, odd)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Binds one socket and joins `group`, heard on the interface that has the address `local`.
pub fn join(group: SocketAddr, local: IpAddr, receive_bytes: usize) -> io::Result<UdpSocket> {
    let socket = open(group, receive_bytes)?;
    // Several cameras, or several programs, may listen to one group.
    socket.set_reuse_address(true)?;
    socket.bind(&SockAddr::from(group))?;
    match (group.ip(), local) {
        (IpAddr::V4(group), IpAddr::V4(local)) => socket.join_multicast_v4(&group, &local)?,
        (IpAddr::V6(group), _) => socket.join_multicast_v6(&group, 0)?,
        _ => return Err(io::ErrorKind::AddrNotAvailable.into()),
    }
    Ok(socket.into())
}

fn bind(at: SocketAddr, receive_bytes: usize) -> io::Result<UdpSocket> {
    let socket = open(at, receive_bytes)?;
    socket.bind(&SockAddr::from(at))?;
    Ok(socket.into())
}

fn open(at: SocketAddr, receive_bytes: usize) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(receive_bytes)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_pair_is_even_and_odd() {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        for _ in 0..20 {
            let (rtp, rtcp) = pair(local, 1 << 16).unwrap();
            let port = rtp.local_addr().unwrap().port();
            assert_eq!(port % 2, 0);
            assert_eq!(rtcp.local_addr().unwrap().port(), port + 1);
        }
    }
}
