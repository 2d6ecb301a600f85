//! What is read of STUN before an ICE agent sees it, and the credentials that make it possible.
//!
//! The receiver and the sender threads ask here whose a datagram is; the agents of `ice` do all else.
//! Cost: a walk over a request's attributes, nothing is copied. Nothing here is authenticated: a
//! stranger can name any user name fragment, and gets no further than the session's agent.
//! Not here: answering, integrity, candidates.

use std::fmt;

/// Name and password of one side of an ICE session.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct IceCredentials {
    /// User name fragment.
    pub(super) ufrag: String,
    /// Password.
    pub(super) pwd: String,
}

impl IceCredentials {
    /// Ours for a session of this sender thread.
    pub(super) fn make(thread: usize) -> Self {
        Self {
            ufrag: make_ufrag(thread),
            pwd: make_pwd(),
        }
    }
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceCredentials")
            .field("ufrag", &self.ufrag)
            .finish_non_exhaustive()
    }
}

/// A user name fragment of ours: the thread's number, so that no two threads have the same, then chance.
pub(super) fn make_ufrag(thread: usize) -> String {
    format!("{thread:02x}{:08x}", rand::random::<u32>())
}

/// A password of ours: 192 bits of chance (RFC 8445 section 5.3 asks for 128).
pub(super) fn make_pwd() -> String {
    (0..3)
        .map(|_| format!("{:016x}", rand::random::<u64>()))
        .collect()
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
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in super::super) fn request(username: &str) -> Vec<u8> {
        let mut packet = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
        packet.extend([7; 12]);
        packet.extend([0x80, 0x22, 0, 3, 1, 2, 3, 0]); // SOFTWARE, padded
        packet.extend([0, 6]);
        packet.extend(u16::try_from(username.len()).unwrap().to_be_bytes());
        packet.extend(username.as_bytes());
        packet
    }

    #[test]
    fn finds_the_name_in_a_request() {
        let ours = make_ufrag(3);
        let packet = request(&format!("{ours}:theirs"));
        assert_eq!(local_ufrag(&packet), Some(ours.as_str()));
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
