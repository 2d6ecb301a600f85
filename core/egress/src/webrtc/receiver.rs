//! Takes datagrams of viewers in that have no socket of their own yet, and sorts them to the sender threads.
//!
//! A viewer's first datagrams are STUN requests that name our user name fragment; from then on its address is
//! known. Anything else is dropped and counted, at the cost of one look-up.

use std::io::{self, IoSliceMut};
use std::sync::Arc;

use quinn_udp::RecvMeta;
use taimat_base::clock;
use taimat_base::tasks::Stop;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::command::{CommandQueue, SenderCommand};
use super::path::Path;
use super::routes::Routes;
use super::socket::RtcSocket;
use crate::metrics::{DropCause, EgressMetrics};

/// Datagrams taken from the kernel at once.
const BATCH: usize = 16;
/// No viewer sends larger ones; what is longer is cut off and does not authenticate. Room for
/// several, should the kernel hand over joined ones (UDP_GRO).
const BUFFER_BYTES: usize = 4096;

pub(super) struct ReceiverTask {
    pub(super) index: usize,
    pub(super) sockets: Arc<[RtcSocket]>,
    pub(super) queues: Arc<[CommandQueue]>,
    pub(super) routes: Arc<Routes>,
    pub(super) metrics: Arc<EgressMetrics>,
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
                    for (buffer, meta) in storage.iter().zip(&meta[..count]) {
                        let data = buffer.get(..meta.len).unwrap_or_default();
                        for datagram in data.chunks(meta.stride.max(1)) {
                            self.sort(meta, datagram);
                        }
                    }
                }
                // ICMP errors of viewers that are gone come up here.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => tracing::debug!(%error, "receiving from viewers"),
            }
        }
    }

    fn sort(&self, meta: &RecvMeta, datagram: &[u8]) {
        let queue = match self.routes.find(datagram, &meta.addr, clock::thread_now()) {
            Ok(thread) => self.queues.get(thread),
            Err(cause) => return self.metrics.drop_one(cause),
        };
        let path = Path {
            socket: self.index,
            peer: meta.addr,
            local: meta.dst_ip,
        };
        let command = || SenderCommand::Datagram(path, datagram.into());
        if queue.is_none_or(|queue| queue.try_send(command()).is_err()) {
            self.metrics.drop_one(DropCause::QueueFull);
        }
    }
}
