//! The UDP sockets that all viewers share until each has its own: one port, IPv4 and IPv6.
//!
//! Sending hands the kernel a run of equal datagrams in one call (UDP_SEGMENT); where it has no
//! such call, `sendmmsg`; where that fails too, one call a datagram.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};

use super::own_socket::OwnSocket;
use super::path::Path;
use super::segments::Segments;

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
    pub fn send(&self, path: &Path, run: &[u8], size: usize) -> io::Result<()> {
        if run.len() <= size {
            return self.transmit(path, run, None);
        }
        if self.max_segments() > 1 {
            match self.transmit(path, run, Some(size)) {
                Err(error) if self.segments.are_refused_by(&error) => {}
                result => return result,
            }
        }
        self.send_batch(path, run, size)
    }

    fn transmit(&self, path: &Path, contents: &[u8], size: Option<usize>) -> io::Result<()> {
        let transmit = Transmit {
            destination: path.peer,
            ecn: None,
            contents,
            segment_size: size,
            src_ip: path.local.filter(|ip| !ip.is_unspecified()),
        };
        self.state.try_send((&self.socket).into(), &transmit)
    }

    fn send_batch(&self, path: &Path, run: &[u8], size: usize) -> io::Result<()> {
        if !self.no_batch.load(Ordering::Relaxed) {
            match self.sendmmsg(path.peer, run, size) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    self.no_batch.store(true, Ordering::Relaxed);
                }
                result => return result,
            }
        }
        run.chunks(size)
            .try_for_each(|datagram| self.transmit(path, datagram, None))
    }

    fn sendmmsg(&self, peer: SocketAddr, run: &[u8], size: usize) -> io::Result<()> {
        let datagrams: Vec<[IoSlice<'_>; 1]> =
            run.chunks(size).map(|d| [IoSlice::new(d)]).collect();
        let peers = vec![Some(SockaddrStorage::from(peer)); datagrams.len()];
        let mut headers = MultiHeaders::preallocate(datagrams.len(), None);
        let none: [ControlMessage<'_>; 0] = [];
        let fd = self.socket.as_raw_fd();
        let sent = sendmmsg(
            fd,
            &mut headers,
            &datagrams,
            &peers,
            none,
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
}
