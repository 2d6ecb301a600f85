//! A viewer's own socket, connected to where it is reached.
//!
//! The kernel then sorts the viewer's datagrams by itself, into a buffer that strangers can not fill, and the
//! sender thread that owns the session reads them: nothing is handed over between threads. Its port is the one
//! that all share.
//!
//! Owner: a `session`. Cost: a descriptor.
//! Not here: when it is read (`arrivals`).

use std::io::{self, IoSlice};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use socket2::{Domain, Protocol, Socket, Type};

use super::path::Path;
use super::segments::{Segments, may_refuse};

/// Send buffer, in bytes: a key frame. The kernel may give less; that is not an error.
const SEND_BYTES: usize = 1 << 20;

/// One viewer's socket.
#[derive(Debug)]
pub(super) struct OwnSocket {
    socket: UdpSocket,
    path: Path,
    segments: Arc<Segments>,
}

impl OwnSocket {
    /// Makes one beside the socket that all share, which is bound to `shared`.
    ///
    /// Until it is connected, some instructions later, it may be given datagrams of strangers; they come out
    /// of [`OwnSocket::receive`] with their address.
    pub(super) fn connect(
        shared: SocketAddr,
        path: Path,
        segments: Arc<Segments>,
    ) -> io::Result<Self> {
        let domain = if shared.is_ipv4() {
            Domain::IPV4
        } else {
            Domain::IPV6
        };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if shared.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_port(true)?;
        // Where the viewer's datagrams arrive is where its media come from.
        let ip = path.local.unwrap_or(shared.ip());
        socket.bind(&SocketAddr::new(ip, shared.port()).into())?;
        socket.connect(&path.peer.into())?;
        drop(socket.set_send_buffer_size(SEND_BYTES));
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: socket.into(),
            path,
            segments,
        })
    }

    /// Where it leads.
    pub(super) fn path(&self) -> Path {
        self.path
    }

    /// To wait on.
    pub(super) fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// The next datagram, and who sent it: a stranger, if it came before the socket was connected.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        loop {
            match self.socket.recv_from(buffer) {
                // A router on the way says that a datagram did not arrive: ICE finds out by itself.
                Err(error) if is_about_the_way(&error) => {}
                other => return other,
            }
        }
    }

    /// Sends a run of datagrams, each `size` bytes long, the last one perhaps shorter.
    pub(super) fn send(&self, run: &[u8], size: usize) -> io::Result<()> {
        if run.len() <= size {
            return self.send_once(run);
        }
        let mut refused = None;
        if let (true, Ok(segment)) = (self.segments.are_used(), u16::try_from(size)) {
            match self.send_segments(run, segment) {
                Err(error) if may_refuse(&error) => refused = Some(error),
                result => return result,
            }
        }
        run.chunks(size)
            .try_for_each(|datagram| self.send_once(datagram))?;
        // The kernel says the same to an address of ours that is gone: then nothing goes out.
        if let Some(error) = refused {
            self.segments.refused(&error);
        }
        Ok(())
    }

    fn send_once(&self, datagram: &[u8]) -> io::Result<()> {
        match self.socket.send(datagram) {
            Err(error) if is_about_the_way(&error) => self.socket.send(datagram),
            result => result,
        }
        .map(drop)
    }

    fn send_segments(&self, run: &[u8], size: u16) -> io::Result<()> {
        let send = || {
            let (fd, run) = (self.socket.as_raw_fd(), [IoSlice::new(run)]);
            let segments = [ControlMessage::UdpGsoSegments(&size)];
            let sent = sendmsg::<()>(fd, &run, &segments, MsgFlags::empty(), None);
            sent.map(drop).map_err(io::Error::from)
        };
        match send() {
            Err(error) if is_about_the_way(&error) => send(),
            result => result,
        }
    }
}

/// Whether an error is not of this call but of an earlier datagram, whose fate an ICMP message told.
fn is_about_the_way(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::socket::RtcSocket;
    use super::*;

    fn client() -> UdpSocket {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        client
    }

    fn receive(socket: &OwnSocket) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 2000];
        loop {
            match socket.receive(&mut buffer) {
                Ok((len, from)) => return (buffer[..len].to_vec(), from),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
    }

    #[test]
    fn a_viewers_datagrams_come_to_its_own_socket_and_a_strangers_do_not() {
        let shared = RtcSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (viewer, stranger) = (client(), client());
        let path = Path {
            socket: 0,
            peer: viewer.local_addr().unwrap(),
            local: None,
        };
        let own = shared.own(path).unwrap();
        viewer.send_to(b"viewer", shared.local_addr()).unwrap();
        stranger.send_to(b"stranger", shared.local_addr()).unwrap();
        assert_eq!(receive(&own), (b"viewer".to_vec(), path.peer));
        let mut buffer = [0; 2000];
        let (len, from) = loop {
            if let Ok(got) = shared.as_udp().recv_from(&mut buffer) {
                break got;
            }
        };
        assert_eq!(&buffer[..len], b"stranger");
        assert_eq!(from, stranger.local_addr().unwrap());
        let nothing = own.receive(&mut buffer).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        // Both send from the same port.
        own.send(&[7; 2500], 1000).unwrap();
        for size in [1000, 1000, 500] {
            let (len, from) = viewer.recv_from(&mut buffer).unwrap();
            assert_eq!((len, from), (size, shared.local_addr()));
        }
    }

    #[test]
    fn a_newer_socket_to_the_same_viewer_takes_over() {
        let shared = RtcSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let viewer = client();
        let path = Path {
            socket: 0,
            peer: viewer.local_addr().unwrap(),
            local: Some("127.0.0.1".parse().unwrap()),
        };
        let older = shared.own(path).unwrap();
        let newer = shared.own(path).unwrap();
        viewer.send_to(b"hello", shared.local_addr()).unwrap();
        assert_eq!(receive(&newer).0, b"hello");
        drop(newer);
        viewer.send_to(b"again", shared.local_addr()).unwrap();
        assert_eq!(receive(&older).0, b"again");
    }

    #[test]
    fn a_second_router_does_not_get_the_port() {
        let shared = RtcSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let second = RtcSocket::bind(shared.local_addr());
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_viewer_that_is_gone_costs_no_error() {
        let shared = RtcSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let viewer = client();
        let path = Path {
            socket: 0,
            peer: viewer.local_addr().unwrap(),
            local: None,
        };
        let own = shared.own(path).unwrap();
        drop(viewer);
        for _ in 0..4 {
            own.send(&[7; 2500], 1000).unwrap();
        }
        let nothing = own.receive(&mut [0; 100]).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    }
}
