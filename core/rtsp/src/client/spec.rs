//! What is wanted of a camera.

use std::time::Duration;

use crate::address::Address;
use crate::keepalive::KeepAliveSpec;

/// How media travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// Interleaved in the connection.
    Tcp,
    /// As datagrams to us.
    Udp,
    /// As datagrams to a group.
    Multicast,
}

impl Way {
    /// The word in `commune.toml` and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Multicast => "multicast",
        }
    }
}

/// What is wanted of a camera.
#[derive(Debug, Clone)]
pub struct ClientSpec {
    /// Where it is, as it goes over the wire.
    pub address: Address,
    /// What it is told about us.
    pub user_agent: String,
    /// How media may travel, what is tried first at the front; never empty.
    pub ways: Vec<Way>,
    /// Whether sound is wanted.
    pub sound: bool,
    /// Which of its video tracks, from 0; the first that can be carried if not said.
    pub video: Option<usize>,
    /// How the session is kept alive.
    pub keep_alive: KeepAliveSpec,
    /// Longest time for an answer.
    pub answer_timeout: Duration,
}
