//! The UDP sockets that all viewers share: one port, IPv4 and IPv6.
//!
//! Sending hands the kernel a run of equal datagrams in one call (UDP_SEGMENT); where it has no
//! such call, `sendmmsg`; where that fails too, one call a datagram.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::libc;
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg, sendmsg,
};
use quinn_udp::{RecvMeta, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};

use super::own_socket::OwnSocket;
use super::path::Path;
use super::segments::{Segments, may_refuse};

/// Send and receive buffers, in bytes: a key frame to a hundred viewers at once.
const BUFFER_BYTES: usize = 4 << 20;

/// One bound socket.
#[derive(Debug)]
pub struct RtcSocket {
    socket: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    segments: Arc<Segments>,
    no_batch: AtomicBool,
}

impl RtcSocket {
    /// Binds.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let domain = if address.is_ipv4() {
            Domain::IPV4
        } else {
            Domain::IPV6
        };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            // IPv4 has a socket of its own.
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        // Only now: viewers' own sockets may have the same port, another router may not.
        socket.set_reuse_port(true)?;
        // The kernel may give less; that is not an error.
        drop(socket.set_send_buffer_size(BUFFER_BYTES));
        drop(socket.set_recv_buffer_size(BUFFER_BYTES));
        let socket: UdpSocket = socket.into();
        socket.set_nonblocking(true)?;
        let state = UdpSocketState::new((&socket).into())?;
        let local = socket.local_addr()?;
        let segments = Arc::new(Segments::new(state.max_gso_segments()));
        Ok(Self {
            socket,
            state,
            local,
            segments,
            no_batch: AtomicBool::new(false),
        })
    }

    /// The address it is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The socket itself, to wait on.
    pub fn as_udp(&self) -> &UdpSocket {
        &self.socket
    }

    /// A socket of its own for a viewer whose address is proven.
    pub(super) fn own(&self, path: Path) -> io::Result<OwnSocket> {
        OwnSocket::connect(self.local, path, Arc::clone(&self.segments))
    }

    /// Largest number of datagrams in one call.
    pub fn max_segments(&self) -> usize {
        self.segments.most()
    }

    /// Goes on as if the kernel had no UDP_SEGMENT (for benches and tests of the fall-backs).
    pub fn forget_segments(&self, batch_too: bool) {
        self.segments.forget();
        self.no_batch.store(batch_too, Ordering::Relaxed);
    }

    /// Sends a run of datagrams, each `size` bytes long, the last one perhaps shorter.
    ///
    /// An address of ours that is gone (home lines get a new IPv6 prefix every day) is no longer insisted
    /// on. The kernel says the same to it as to a UDP_SEGMENT that it refuses, so that is asked first.
    pub fn send(&self, path: &Path, run: &[u8], size: usize) -> io::Result<()> {
        match self.send_from(path, run, size) {
            Err(error) if path.local.is_some() && has_no_such_source(&error) => {
                let anywhere = Path {
                    local: None,
                    ..*path
                };
                self.send_from(&anywhere, run, size)
            }
            result => result,
        }
    }

    fn send_from(&self, path: &Path, run: &[u8], size: usize) -> io::Result<()> {
        if run.len() <= size {
            return self.transmit(path, run, None);
        }
        if self.segments.are_used() {
            match self.transmit(path, run, Some(size)) {
                Err(error) if has_no_such_source(&error) && path.local.is_some() => {
                    return Err(error);
                }
                Err(error) if may_refuse(&error) => self.segments.refused(&error),
                result => return result,
            }
        }
        self.send_batch(path, run, size)
    }

    /// Sends in one call. quinn-udp could do it too, but gives up segments for good whenever the kernel
    /// says EINVAL.
    fn transmit(&self, path: &Path, contents: &[u8], size: Option<usize>) -> io::Result<()> {
        let source = SourceAddress::of(path);
        let segment = size.and_then(|size| u16::try_from(size).ok());
        let segment = segment.as_ref().map(ControlMessage::UdpGsoSegments);
        let told: [Option<ControlMessage<'_>>; 2] = [source.told(), segment];
        let fd = self.socket.as_raw_fd();
        let peer = SockaddrStorage::from(path.peer);
        let contents = [IoSlice::new(contents)];
        let flags = MsgFlags::empty();
        let sent = match told {
            [Some(source), Some(segment)] => {
                sendmsg(fd, &contents, &[source, segment], flags, Some(&peer))
            }
            [Some(only), None] | [None, Some(only)] => {
                sendmsg(fd, &contents, &[only], flags, Some(&peer))
            }
            [None, None] => sendmsg(fd, &contents, &[], flags, Some(&peer)),
        };
        sent.map(drop).map_err(io::Error::from)
    }

    fn send_batch(&self, path: &Path, run: &[u8], size: usize) -> io::Result<()> {
        if !self.no_batch.load(Ordering::Relaxed) {
            match self.sendmmsg(path, run, size) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    self.no_batch.store(true, Ordering::Relaxed);
                }
                result => return result,
            }
        }
        run.chunks(size)
            .try_for_each(|datagram| self.transmit(path, datagram, None))
    }

    fn sendmmsg(&self, path: &Path, run: &[u8], size: usize) -> io::Result<()> {
        let datagrams: Vec<[IoSlice<'_>; 1]> =
            run.chunks(size).map(|d| [IoSlice::new(d)]).collect();
        let peers = vec![Some(SockaddrStorage::from(path.peer)); datagrams.len()];
        // The viewer takes pictures only from where its checks were answered.
        let source = SourceAddress::of(path);
        let (told, room) = (source.told(), source.room());
        let mut headers = MultiHeaders::preallocate(datagrams.len(), room);
        let fd = self.socket.as_raw_fd();
        let sent = sendmmsg(
            fd,
            &mut headers,
            &datagrams,
            &peers,
            told.as_slice(),
            MsgFlags::empty(),
        )?;
        if sent.count() < datagrams.len() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(())
    }

    /// Receives what is there; `Ok(0)` never happens, no datagram is `WouldBlock`.
    pub fn receive(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> io::Result<usize> {
        self.state.recv((&self.socket).into(), buffers, meta)
    }
}

/// The address of ours that the kernel is told to send from.
enum SourceAddress {
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
    /// Whichever it likes.
    Any,
}

impl SourceAddress {
    fn of(path: &Path) -> Self {
        match path.source() {
            Some(IpAddr::V4(ip)) => Self::V4(libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr {
                    s_addr: u32::from_ne_bytes(ip.octets()),
                },
                ipi_addr: libc::in_addr { s_addr: 0 },
            }),
            Some(IpAddr::V6(ip)) => Self::V6(libc::in6_pktinfo {
                ipi6_ifindex: 0,
                ipi6_addr: libc::in6_addr {
                    s6_addr: ip.octets(),
                },
            }),
            None => Self::Any,
        }
    }

    fn told(&self) -> Option<ControlMessage<'_>> {
        match self {
            Self::V4(info) => Some(ControlMessage::Ipv4PacketInfo(info)),
            Self::V6(info) => Some(ControlMessage::Ipv6PacketInfo(info)),
            Self::Any => None,
        }
    }

    /// Room for what is told, as nix wants it.
    fn room(&self) -> Option<Vec<u8>> {
        match self {
            Self::V4(_) => Some(nix::cmsg_space!(libc::in_pktinfo)),
            Self::V6(_) => Some(nix::cmsg_space!(libc::in6_pktinfo)),
            Self::Any => None,
        }
    }
}

/// EINVAL, EADDRNOTAVAIL, ENETUNREACH: what the kernel says where the source address is not ours any
/// more, of IPv6 and of IPv4. The first may mean something else too.
fn has_no_such_source(error: &io::Error) -> bool {
    const REFUSALS: [i32; 3] = [22, 99, 101];
    error
        .raw_os_error()
        .is_some_and(|code| REFUSALS.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive_all(receiver: &UdpSocket, count: usize) -> Vec<Vec<u8>> {
        receiver
            .set_read_timeout(Some(std::time::Duration::from_secs(5)))
            .unwrap();
        let mut buffer = [0; 2000];
        (0..count)
            .map(|_| {
                let (len, _) = receiver.recv_from(&mut buffer).unwrap();
                buffer[..len].to_vec()
            })
            .collect()
    }

    /// The same datagrams arrive whichever call is used.
    #[test]
    fn all_three_ways_send_the_same() {
        for (no_segments, no_batch) in [(false, false), (true, false), (true, true)] {
            let socket = RtcSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            if no_segments {
                socket.forget_segments(no_batch);
            }
            let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
            let peer = receiver.local_addr().unwrap();
            let path = Path {
                socket: 0,
                peer,
                local: None,
            };
            let run: Vec<u8> = (0..2500).map(|i| (i / 1000) as u8).collect();
            socket.send(&path, &run, 1000).unwrap();
            let got = receive_all(&receiver, 3);
            assert_eq!(
                got.iter().map(Vec::len).collect::<Vec<_>>(),
                [1000, 1000, 500]
            );
            assert_eq!(got[2], vec![2; 500]);
        }
    }

    fn bound(address: &str) -> (RtcSocket, UdpSocket) {
        let receiver = UdpSocket::bind(address).unwrap();
        (RtcSocket::bind(address.parse().unwrap()).unwrap(), receiver)
    }

    fn run() -> Vec<u8> {
        (0..2500).map(|i| (i / 1000) as u8).collect()
    }

    #[test]
    fn a_source_address_that_is_gone_costs_neither_the_datagrams_nor_segments() {
        // Addresses for documentation: no machine has them.
        for (address, gone) in [("127.0.0.1:0", "192.0.2.77"), ("[::1]:0", "2001:db8::77")] {
            let (socket, receiver) = bound(address);
            let path = Path {
                socket: 0,
                peer: receiver.local_addr().unwrap(),
                local: Some(gone.parse().unwrap()),
            };
            let segments = socket.max_segments();
            socket.send(&path, &run(), 1000).unwrap();
            assert_eq!(receive_all(&receiver, 3).concat(), run());
            socket.send(&path, &[9; 10], 10).unwrap();
            assert_eq!(receive_all(&receiver, 1), [[9; 10]]);
            assert_eq!(socket.max_segments(), segments);
        }
    }

    #[test]
    fn every_way_of_sending_keeps_the_source_address() {
        // All of 127.0.0.0/8 is ours.
        let source: IpAddr = "127.0.0.77".parse().unwrap();
        for (no_segments, no_batch) in [(false, false), (true, false), (true, true)] {
            let socket = RtcSocket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
            if no_segments {
                socket.forget_segments(no_batch);
            }
            let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
            receiver
                .set_read_timeout(Some(std::time::Duration::from_secs(5)))
                .unwrap();
            let path = Path {
                socket: 0,
                peer: receiver.local_addr().unwrap(),
                local: Some(source),
            };
            socket.send(&path, &run(), 1000).unwrap();
            for _ in 0..3 {
                let (_, from) = receiver.recv_from(&mut [0; 2000]).unwrap();
                assert_eq!(from.ip(), source, "{no_segments} {no_batch}");
            }
        }
    }

    #[test]
    fn segments_are_tried_again_after_they_were_refused() {
        let (socket, receiver) = bound("127.0.0.1:0");
        socket.segments.try_again_after(2);
        let path = Path {
            socket: 0,
            peer: receiver.local_addr().unwrap(),
            local: None,
        };
        for _ in 0..3 {
            socket.send(&path, &run(), 1000).unwrap();
            assert_eq!(receive_all(&receiver, 3).concat(), run());
        }
        assert_eq!(socket.max_segments(), socket.state.max_gso_segments());
        socket.forget_segments(false);
        socket.send(&path, &run(), 1000).unwrap();
        assert_eq!(socket.max_segments(), 1);
    }
}
