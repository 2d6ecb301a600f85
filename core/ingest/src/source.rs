//! What a source is: the part of the configuration that `ingest` acts on.

use std::time::Duration;

use taimat_base::Secret;
use taimat_base::redact::SourceUrl;
use taimat_hub::{ChannelKey, Limits};

/// How the media travels from the camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// In the RTSP connection; falls back to UDP if the camera refuses it or sends nothing.
    #[default]
    Tcp,
    /// As datagrams; falls back to TCP if the camera refuses it or nothing arrives.
    Udp,
}

impl Transport {
    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Tcp => Self::Udp,
            Self::Udp => Self::Tcp,
        }
    }
}

/// When a source runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Always.
    Always,
    /// While somebody reads, and for `linger` after the last reader left.
    OnDemand {
        /// How long to stay connected without readers.
        linger: Duration,
    },
}

/// How to sign in at the camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Not at all.
    None,
    /// With user and password: Basic or Digest, as the camera asks.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// The configuration names a secret that is not there; the text says which.
    Missing(String),
}

/// A source that is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSpec {
    /// The channel it publishes to.
    pub key: ChannelKey,
    /// Where the camera is, without credentials.
    pub url: SourceUrl,
    /// How to sign in.
    pub credentials: Credentials,
    /// How the media travels.
    pub transport: Transport,
    /// When it runs.
    pub mode: Mode,
    /// Longest time for each step of connecting.
    pub connect_timeout: Duration,
    /// Longest time without media before the source counts as stalled.
    pub stall_timeout: Duration,
    /// Whether sound is carried; off unless the commune decides otherwise.
    pub audio: bool,
    /// How much the channel keeps.
    pub limits: Limits,
}
