//! What a source is: the part of the configuration that `ingest` acts on.

use std::time::Duration;

use bytes::Bytes;
use taimat_base::Secret;
use taimat_base::redact::{Redactor, SourceUrl};
use taimat_hub::{ChannelKey, Limits};
use taimat_media::capture::ClockTrust;
use taimat_rtsp::client::Way;
use taimat_rtsp::keepalive::KeepAliveSpec;

/// How the media travels from the camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// In the RTSP connection; falls back to UDP if the camera refuses it or sends nothing, and to
    /// multicast if it refuses that too.
    #[default]
    Tcp,
    /// As datagrams; falls back to TCP if the camera refuses it or nothing arrives, and to multicast if
    /// it refuses that too.
    Udp,
    /// In the RTSP connection, whatever happens.
    TcpOnly,
    /// As datagrams, whatever happens.
    UdpOnly,
    /// As datagrams to a group that the camera names.
    Multicast,
}

impl Transport {
    /// The ways to try, in their order.
    pub const fn ways(self) -> &'static [Way] {
        match self {
            Self::Tcp => &[Way::Tcp, Way::Udp, Way::Multicast],
            Self::Udp => &[Way::Udp, Way::Tcp, Way::Multicast],
            Self::TcpOnly => &[Way::Tcp],
            Self::UdpOnly => &[Way::Udp],
            Self::Multicast => &[Way::Multicast],
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

impl Credentials {
    /// User and password, if there are any.
    pub fn pair(&self) -> Option<(&str, &Secret)> {
        match self {
            Self::Password { user, password } => Some((user, password)),
            Self::None | Self::Missing(_) => None,
        }
    }
}

/// Whom to believe that a camera behind TLS is the one that is meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trust {
    /// Certificates of the authorities that this machine trusts, for the name in the address.
    #[default]
    System,
    /// The one certificate with this SHA-256, whatever it says about itself: cameras sign their own.
    Fingerprint([u8; 32]),
    /// Certificates of the authorities in this PEM file.
    Authorities(Bytes),
    /// The configuration names a file that can not be used; the text says why.
    Unusable(String),
}

/// What to do after the camera has refused user or password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AfterRefusal {
    /// Try again after minutes, then hours: cameras lock accounts that are tried often.
    #[default]
    Wait,
    /// Not again until the configuration changes.
    Stop,
}

/// A source that is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSpec {
    /// The channel it publishes to.
    pub key: ChannelKey,
    /// Where the camera is, without credentials: `rtsp`, `rtsps`, `rtsp+http` or `rtsp+https`.
    pub url: SourceUrl,
    /// How to sign in.
    pub credentials: Credentials,
    /// Whom to believe, for `rtsps` and `rtsp+https`.
    pub trust: Trust,
    /// How the media travels.
    pub transport: Transport,
    /// Which of the camera's video tracks, from 0; the first that can be carried if not said.
    pub video: Option<usize>,
    /// How the session is kept alive.
    pub keep_alive: KeepAliveSpec,
    /// What the camera is told about us, if not `Taimat/VERSION`.
    pub user_agent: Option<String>,
    /// Whether the camera's clock is believed.
    pub clock: ClockTrust,
    /// When it runs.
    pub mode: Mode,
    /// Longest time for each step of connecting.
    pub connect_timeout: Duration,
    /// Longest time without a picture before the source counts as stalled; longer for cameras that
    /// send pictures seldom.
    pub stall_timeout: Duration,
    /// Longest time to wait for a picture that decoding can start with.
    pub keyframe_timeout: Duration,
    /// What to do after the camera has refused user or password.
    pub after_refusal: AfterRefusal,
    /// Whether sound is carried; off unless the commune decides otherwise.
    pub audio: bool,
    /// How much the channel keeps.
    pub limits: Limits,
}

/// Knows what must not be shown of what this source's camera says.
pub(crate) fn redactor(spec: &SourceSpec) -> Redactor {
    let pair = spec.credentials.pair();
    let (user, password) = (pair.map(|p| p.0), pair.map(|p| p.1));
    Redactor::for_source(&spec.url, user, password)
}
