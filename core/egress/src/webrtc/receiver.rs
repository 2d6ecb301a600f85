//! Takes datagrams in and sorts them to the sender threads.
//!
//! A viewer's first datagrams are STUN requests that name our user name fragment, which begins with
//! the thread's number; from then on its address is known. Anything else is dropped and counted, at
//! the cost of one look-up.

use std::io::{self, IoSliceMut};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use quinn_udp::RecvMeta;
use taimat_base::tasks::Stop;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::socket::{Path, RtcSocket};
use super::worker::{Command, Routes};
use crate::metrics::{DropCause, Metrics};

/// Datagrams taken from the kernel at once.
const BATCH: usize = 16;
/// A pause after datagrams that were nothing but feedback on media (SRTCP): a hundred viewers'
/// reports then cost one wake-up instead of a hundred. A request for retransmission waits this long.
const FEEDBACK_PAUSE: Duration = Duration::from_millis(1);
/// No viewer sends larger ones; what is longer is cut off and does not authenticate. Room for
/// several, should the kernel hand over joined ones (UDP_GRO).
const BUFFER_BYTES: usize = 4096;

pub(super) struct ReceiverTask {
    pub(super) index: usize,
    pub(super) sockets: Arc<[RtcSocket]>,
    pub(super) queues: Vec<SyncSender<Command>>,
    pub(super) routes: Routes,
    pub(super) metrics: Arc<Metrics>,
}

impl ReceiverTask {
    /// Runs until stopped. Must be called in a runtime.
    pub(super) async fn run(self, stop: Stop) {
        let Some(socket) = self.sockets.get(self.index) else {
            return;
        };
        // A second handle of the same socket, to wait on.
        let ready = match socket.as_udp().try_clone().and_then(UdpSocket::from_std) {
            Ok(ready) => ready,
            Err(error) => {
                tracing::error!(%error, "the WebRTC socket can not be watched");
                return;
            }
        };
        let mut storage = vec![[0_u8; BUFFER_BYTES]; BATCH];
        loop {
            let received = tokio::select! {
                () = stop.cancelled() => return,
                received = ready.async_io(Interest::READABLE, || {
                    let mut meta = [RecvMeta::default(); BATCH];
                    let mut buffers: Vec<IoSliceMut<'_>> =
                        storage.iter_mut().map(|b| IoSliceMut::new(b)).collect();
                    socket.receive(&mut buffers, &mut meta).map(|count| (count, meta))
                }) => received,
            };
            match received {
                Ok((count, meta)) => {
                    let mut only_feedback = true;
                    for (buffer, meta) in storage.iter().zip(&meta[..count]) {
                        let data = buffer.get(..meta.len).unwrap_or_default();
                        for datagram in data.chunks(meta.stride.max(1)) {
                            only_feedback &= matches!(datagram.first(), Some(128..=191));
                            self.sort(meta, datagram);
                        }
                    }
                    if only_feedback {
                        tokio::time::sleep(FEEDBACK_PAUSE).await;
                    }
                }
                // ICMP errors of viewers that are gone come up here.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => tracing::debug!(%error, "receiving from viewers"),
            }
        }
    }

    fn sort(&self, meta: &RecvMeta, datagram: &[u8]) {
        let by_ufrag = local_ufrag(datagram).and_then(thread_of);
        let thread = by_ufrag.or_else(|| {
            let routes = self.routes.read().unwrap_or_else(|e| e.into_inner());
            routes.get(&meta.addr).copied()
        });
        let Some(queue) = thread.and_then(|t| self.queues.get(t)) else {
            self.metrics.drop_one(DropCause::UnknownPeer);
            return;
        };
        let path = Path {
            socket: self.index,
            peer: meta.addr,
            local: meta.dst_ip,
        };
        if queue
            .try_send(Command::Datagram(path, datagram.into()))
            .is_err()
        {
            self.metrics.drop_one(DropCause::QueueFull);
        }
    }
}

/// A user name fragment of ours: the thread's number, then chance.
pub(super) fn make_ufrag(thread: usize) -> String {
    format!("{thread:02x}{:08x}", rand::random::<u32>())
}

/// A password of ours: 192 bits of chance (RFC 8445 section 5.3 asks for 128).
pub(super) fn make_pwd() -> String {
    (0..3)
        .map(|_| format!("{:016x}", rand::random::<u64>()))
        .collect()
}

fn thread_of(ufrag: &str) -> Option<usize> {
    usize::from_str_radix(ufrag.get(..2)?, 16).ok()
}

/// Our user name fragment in a STUN binding request (RFC 8489 section 14.3, RFC 8445 section
/// 7.2.2): the part of USERNAME before the colon.
pub fn local_ufrag(datagram: &[u8]) -> Option<&str> {
    const USERNAME: [u8; 2] = [0, 6];
    let value = request_attribute(datagram, USERNAME)?;
    std::str::from_utf8(value).ok()?.split(':').next()
}

/// Whether a datagram is a binding request that nominates its pair (RFC 8445 section 7.1.2).
pub(super) fn nominates(datagram: &[u8]) -> bool {
    const USE_CANDIDATE: [u8; 2] = [0, 0x25];
    request_attribute(datagram, USE_CANDIDATE).is_some()
}

/// An attribute of a STUN binding request (RFC 8489 section 14).
fn request_attribute(datagram: &[u8], kind: [u8; 2]) -> Option<&[u8]> {
    const BINDING_REQUEST: [u8; 2] = [0, 1];
    const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
    let (header, mut attributes) = datagram.split_at_checked(20)?;
    if header[..2] != BINDING_REQUEST || header[4..8] != MAGIC_COOKIE {
        return None;
    }
    while let Some((head, rest)) = attributes.split_at_checked(4) {
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = rest.get(..len)?;
        if head[..2] == kind {
            return Some(value);
        }
        attributes = rest.get(len.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(username: &str) -> Vec<u8> {
        let mut packet = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
        packet.extend([7; 12]);
        packet.extend([0x80, 0x22, 0, 3, 1, 2, 3, 0]); // SOFTWARE, padded
        packet.extend([0, 6]);
        packet.extend(u16::try_from(username.len()).unwrap().to_be_bytes());
        packet.extend(username.as_bytes());
        packet
    }

    #[test]
    fn finds_the_thread_of_a_request() {
        let ours = make_ufrag(3);
        let packet = request(&format!("{ours}:theirs"));
        assert_eq!(local_ufrag(&packet), Some(ours.as_str()));
        assert_eq!(thread_of(&ours), Some(3));
        assert_eq!(thread_of("zz"), None);
        assert_eq!(thread_of("é"), None);
        assert!(make_pwd().len() >= 22 && make_pwd() != make_pwd());
    }

    #[test]
    fn knows_a_nomination() {
        let mut packet = request("00abcdef:x");
        packet.resize(packet.len().next_multiple_of(4), 0);
        assert!(!nominates(&packet));
        packet.extend([0, 0x25, 0, 0]);
        assert!(nominates(&packet));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80), cut in 0_usize..60) {
            local_ufrag(&bytes);
            let mut packet = request("00abcdef:x");
            packet.truncate(cut);
            packet.extend(bytes);
            local_ufrag(&packet);
        }
    }
}
