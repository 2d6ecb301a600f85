//! The way of one packet to one viewer: its header and the shared payload are written into the sender
//! thread's buffer, sealed there in place, and leave in runs.
//!
//! Owner: a `session` opens one for each access unit, timer or request. Cost: one copy and one seal of
//! the payload, a share of one system call.
//! Not here: which packets, and when (`media`).

use super::header::ViewerHeader;
use super::outbox::{Exit, Outbox};
use super::own_socket::OwnSocket;
use super::path::Path;
use super::seal::Srtp;

/// How a viewer is reached: by these keys, at that address, out of this buffer.
pub(super) struct Way<'a, 'o> {
    srtp: &'a mut Srtp,
    exit: Exit<'a>,
    out: &'a mut Outbox<'o>,
    /// Bytes that sealing adds to a packet.
    tag_len: usize,
}

impl<'a, 'o> Way<'a, 'o> {
    /// To a viewer whose handshake is done and whose address is known; there is no way to others.
    pub(super) fn open(
        srtp: &'a mut Option<Srtp>,
        path: &'a Option<Path>,
        own: &'a Option<OwnSocket>,
        out: &'a mut Outbox<'o>,
    ) -> Option<Self> {
        let (srtp, path) = (srtp.as_mut()?, path.as_ref()?);
        let tag_len = srtp.rtp.tag_len();
        Some(Self {
            srtp,
            exit: Exit::new(path, own.as_ref()),
            out,
            tag_len,
        })
    }

    /// Sends a packet with the run that is being gathered. Returns the datagram's size; 0 if it could
    /// not be sealed.
    pub(super) fn send(&mut self, header: &ViewerHeader, payload: &[u8]) -> usize {
        let header_len = header.len();
        let len = header_len + payload.len() + self.tag_len;
        let buffer = self.out.room(self.exit, len);
        let start = buffer.len();
        header.write(buffer);
        buffer.extend_from_slice(payload);
        let (ssrc, index) = (header.params.ssrc, header.index);
        match self.srtp.rtp.seal(buffer, start, header_len, ssrc, index) {
            Ok(()) => {
                self.out.written();
                len
            }
            Err(error) => {
                tracing::error!(%error, "a packet could not be sealed");
                self.out.abandon(start);
                0
            }
        }
    }

    /// Ends the run: what was gathered leaves now.
    pub(super) fn flush(&mut self) {
        self.out.flush(self.exit);
    }
}
