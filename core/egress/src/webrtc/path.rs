//! Between which addresses a viewer is reached.

use std::net::{IpAddr, SocketAddr};

/// Where a datagram goes: the viewer's address, and the address of ours that it is to come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Path {
    /// Which of the sockets.
    pub socket: usize,
    /// The viewer.
    pub peer: SocketAddr,
    /// Ours, where the kernel tells.
    pub local: Option<IpAddr>,
}

impl Path {
    /// The address of ours to send from, where one was told.
    pub(super) fn source(&self) -> Option<IpAddr> {
        self.local.filter(|ip| !ip.is_unspecified())
    }
}
