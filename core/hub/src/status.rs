//! How a source is doing, in words that end up on the wall and in metrics.

use std::time::SystemTime;

use serde::Serialize;
use taimat_media::Quirks;

/// Why a source does not deliver. A closed set: each is a metric label and a sentence in the
/// console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultCause {
    /// The address does not answer, or does not resolve.
    Unreachable,
    /// Something answers, and refuses the connection.
    Refused,
    /// Wrong user or password.
    Unauthorized,
    /// The camera's certificate is not trusted.
    Untrusted,
    /// The camera has no room for another client.
    Busy,
    /// The camera does not know the path.
    NotFound,
    /// The camera speaks, but not what the protocol says.
    Protocol,
    /// No video track that can be carried.
    UnsupportedCodec,
    /// Connected, and then no media for too long.
    Stalled,
    /// Media that can not be understood.
    Garbage,
    /// Media without a single key frame.
    NoKeyframe,
    /// The camera ended the stream.
    Ended,
    /// A secret that the configuration names is not there.
    MissingSecret,
}

impl FaultCause {
    /// All causes, for metrics that exist before the first fault.
    pub const ALL: [Self; 13] = [
        Self::Unreachable,
        Self::Refused,
        Self::Unauthorized,
        Self::Untrusted,
        Self::Busy,
        Self::NotFound,
        Self::Protocol,
        Self::UnsupportedCodec,
        Self::Stalled,
        Self::Garbage,
        Self::NoKeyframe,
        Self::Ended,
        Self::MissingSecret,
    ];

    /// The word in metrics and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Unauthorized => "unauthorized",
            Self::Untrusted => "untrusted",
            Self::Busy => "busy",
            Self::NotFound => "not_found",
            Self::Protocol => "protocol",
            Self::UnsupportedCodec => "unsupported_codec",
            Self::Stalled => "stalled",
            Self::Garbage => "garbage",
            Self::NoKeyframe => "no_keyframe",
            Self::Ended => "ended",
            Self::MissingSecret => "missing_secret",
        }
    }
}

/// What a source is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// Nobody watches, and the camera is to run only when somebody does.
    Idle,
    /// Being connected.
    Connecting,
    /// Pictures arrive.
    Live,
    /// Connected, but no pictures arrive.
    Stalled,
    /// Not connected; it is tried again.
    Offline,
}

impl SourceState {
    /// All states, for metrics.
    pub const ALL: [Self; 5] = [
        Self::Idle,
        Self::Connecting,
        Self::Live,
        Self::Stalled,
        Self::Offline,
    ];

    /// The word in metrics and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Stalled => "stalled",
            Self::Offline => "offline",
        }
    }
}

/// What was learned about a source while it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceFacts {
    /// The way that its media takes: `tcp`, `udp` or `multicast`.
    pub transport: Option<&'static str>,
    /// Why there is no sound although it is wanted: a word, and more about it.
    pub no_sound: Option<(&'static str, String)>,
    /// What the camera does and what is put up with, since the source was configured.
    pub quirks: Quirks,
}

/// A source's state, since when, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// What it is doing.
    pub state: SourceState,
    /// Since when.
    pub since: SystemTime,
    /// Why it is not live.
    pub cause: Option<FaultCause>,
    /// More about the cause, in English, without secrets.
    pub detail: Option<String>,
    /// When it is tried again.
    pub retry_at: Option<SystemTime>,
}

impl Status {
    /// A state without a cause.
    pub fn new(state: SourceState, since: SystemTime) -> Self {
        Self {
            state,
            since,
            cause: None,
            detail: None,
            retry_at: None,
        }
    }
}
