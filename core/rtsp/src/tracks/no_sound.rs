//! Why there is no sound, in words for the API and for people.

use std::fmt;

/// Why there is no sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoSound {
    /// The camera has none.
    NoneOffered,
    /// In a form that is not carried.
    Unsupported(String),
    /// It lacks what is needed to decode it.
    Unconfigured,
    /// There is only a track for sound towards the camera.
    BackChannelOnly,
    /// It describes sound, and refuses to send it.
    Refused,
}

impl NoSound {
    /// The word in the API.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NoneOffered => "none",
            Self::Unsupported(_) => "unsupported",
            Self::Unconfigured => "unconfigured",
            Self::BackChannelOnly => "back_channel",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for NoSound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoneOffered => f.write_str("the camera offers no sound"),
            Self::Unsupported(name) => write!(
                f,
                "the camera's sound is {name}; set it to AAC, G.711 or Opus"
            ),
            Self::Unconfigured => f.write_str("the camera does not say how its AAC is configured"),
            Self::BackChannelOnly => f.write_str("the camera only takes sound, it sends none"),
            Self::Refused => f.write_str("the camera describes sound and refuses to send it"),
        }
    }
}
