//! What a session wants sent: datagrams, gathered into runs of equal size.

use std::io;

use super::own_socket::OwnSocket;
use super::path::Path;
use super::socket::RtcSocket;
use crate::metrics::{DropCause, EgressMetrics};

/// Longest run in bytes: the kernel takes no more than a UDP packet's 16-bit length.
const MAX_RUN_BYTES: usize = 65_000;
/// Longest run in datagrams that UDP_SEGMENT takes (UDP_MAX_SEGMENTS).
const MAX_RUN_DATAGRAMS: usize = 64;

/// How a viewer is reached: by its own socket, if it has one, else by one that all share.
#[derive(Debug, Clone, Copy)]
pub struct Exit<'a> {
    path: &'a Path,
    own: Option<&'a OwnSocket>,
}

impl<'a> Exit<'a> {
    /// By its own socket, if that leads there.
    pub(super) fn new(path: &'a Path, own: Option<&'a OwnSocket>) -> Self {
        Self {
            path,
            own: own.filter(|own| own.path() == *path),
        }
    }
}

impl<'a> From<&'a Path> for Exit<'a> {
    fn from(path: &'a Path) -> Self {
        Self { path, own: None }
    }
}

/// Gathers datagrams to one viewer and sends them in as few calls as possible. Its buffer is used
/// again for every viewer.
#[derive(Debug)]
pub struct Outbox<'a> {
    sockets: &'a [RtcSocket],
    metrics: &'a EgressMetrics,
    buffer: Vec<u8>,
    /// Size of the run's datagrams but the last.
    size: usize,
    count: usize,
}

impl<'a> Outbox<'a> {
    /// An empty one.
    pub fn new(sockets: &'a [RtcSocket], metrics: &'a EgressMetrics) -> Self {
        let buffer = Vec::with_capacity(MAX_RUN_BYTES + 4096);
        Self {
            sockets,
            metrics,
            buffer,
            size: 0,
            count: 0,
        }
    }

    /// Makes room for a datagram of `len` bytes, sending what can not be in one run with it, and
    /// returns the buffer to append it to. Call [`Outbox::written`] afterwards.
    pub fn room<'p>(&mut self, to: impl Into<Exit<'p>>, len: usize) -> &mut Vec<u8> {
        let longer = self.count > 0 && len > self.size;
        // A shorter datagram ends a run: the one before it must have been full.
        let last_was_short = self.count > 0 && self.buffer.len() != self.count * self.size;
        if longer
            || last_was_short
            || self.count == MAX_RUN_DATAGRAMS
            || self.buffer.len() + len > MAX_RUN_BYTES
        {
            self.flush(to);
        }
        if self.count == 0 {
            self.size = len;
        }
        &mut self.buffer
    }

    /// The datagram was appended.
    pub fn written(&mut self) {
        self.count += 1;
    }

    /// Takes back what was appended after [`Outbox::room`].
    pub fn abandon(&mut self, start: usize) {
        self.buffer.truncate(start);
    }

    /// Sends the run.
    pub fn flush<'p>(&mut self, to: impl Into<Exit<'p>>) {
        if self.count > 0 {
            self.send(to.into(), &self.buffer, self.size, self.count as u64);
        }
        self.buffer.clear();
        self.count = 0;
    }

    /// Sends a single datagram at once.
    pub fn datagram<'p>(&self, to: impl Into<Exit<'p>>, bytes: &[u8]) {
        self.send(to.into(), bytes, bytes.len().max(1), 1);
    }

    fn send(&self, to: Exit<'_>, run: &[u8], size: usize, count: u64) {
        let own = to.own.map(|own| own.send(run, size));
        let sent = match own {
            Some(Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {
                // Its address of ours is gone, for one.
                self.send_shared(to.path, run, size)
            }
            Some(sent) => sent,
            None => self.send_shared(to.path, run, size),
        };
        match sent {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.metrics.dropped(DropCause::SendBuffer, count);
            }
            Err(_) => self.metrics.dropped(DropCause::SendError, count),
        }
    }
}

impl Outbox<'_> {
    fn send_shared(&self, path: &Path, run: &[u8], size: usize) -> io::Result<()> {
        let socket = self.sockets.get(path.socket);
        socket.map_or(Ok(()), |socket| socket.send(path, run, size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::time::Duration;

    #[test]
    fn sizes_that_do_not_match_are_separate_runs() {
        let registry = prometheus::Registry::new();
        let metrics = EgressMetrics::register(&registry).unwrap();
        let sockets = [RtcSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap()];
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let peer = receiver.local_addr().unwrap();
        let path = Path {
            socket: 0,
            peer,
            local: None,
        };
        let mut outbox = Outbox::new(&sockets, &metrics);
        let sizes = [40, 1000, 1000, 1000, 700, 700, 900, 900, 12];
        for size in sizes {
            outbox
                .room(&path, size)
                .extend(std::iter::repeat_n(size as u8, size));
            outbox.written();
        }
        outbox.flush(&path);
        let mut buffer = [0; 2000];
        for size in sizes {
            let (len, _) = receiver.recv_from(&mut buffer).unwrap();
            assert_eq!((len, buffer[0]), (size, size as u8));
        }
    }
}
