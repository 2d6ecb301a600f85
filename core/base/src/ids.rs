//! Identifiers as types, so that a camera can not be passed where a commune is meant.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// Longest identifier accepted, in bytes: it appears in URLs, file names and metric labels.
pub const MAX_ID_BYTES: usize = 64;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing was given.
    #[error("an identifier can not be empty")]
    Empty,
    /// More than [`MAX_ID_BYTES`].
    #[error("an identifier has at most {MAX_ID_BYTES} characters, this one has {0}")]
    TooLong(usize),
    /// A character outside the allowed set.
    #[error(
        "an identifier has lower-case letters a-z, digits and '-', and starts with a letter or digit; found {0:?}"
    )]
    BadCharacter(char),
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > MAX_ID_BYTES {
        return Err(IdError::TooLong(text.len()));
    }
    let bad = |(i, c): &(usize, char)| {
        !(c.is_ascii_lowercase() || c.is_ascii_digit() || (*c == '-' && *i > 0))
    };
    match text.chars().enumerate().find(bad) {
        Some((_, c)) => Err(IdError::BadCharacter(c)),
        None => Ok(()),
    }
}

macro_rules! slug {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

slug! {
    /// A commune, named by its folder.
    CommuneId
}
slug! {
    /// A camera within one commune.
    CameraId
}
slug! {
    /// A plugin within one commune: the name of its section in `commune.toml`.
    PluginId
}
slug! {
    /// A channel within one commune: the name of its section in `commune.toml`.
    ChannelId
}

/// A camera anywhere: commune and camera.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CameraKey {
    /// The commune that owns the camera.
    pub commune: CommuneId,
    /// The camera within it.
    pub camera: CameraId,
}

impl CameraKey {
    /// Puts the two parts together.
    pub fn new(commune: CommuneId, camera: CameraId) -> Self {
        Self { commune, camera }
    }
}

impl fmt::Display for CameraKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.commune, self.camera)
    }
}

impl fmt::Debug for CameraKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which of a camera's encodings: the full picture, or the small one meant for walls and detectors.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// The full picture.
    #[default]
    Main,
    /// The small picture.
    Sub,
}

impl Profile {
    /// Both profiles, main first.
    pub const ALL: [Self; 2] = [Self::Main, Self::Sub];

    /// The word used in URLs, metrics and configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Sub => "sub",
        }
    }

    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Main => Self::Sub,
            Self::Sub => Self::Main,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A viewer session, unique within one run of the process. Not a secret and not guess-proof: a
/// session is addressed from outside by a random token, never by this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl SessionId {
    /// The next free number.
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_fits_in_a_url_and_a_label() {
        for good in ["a", "nguyen-du-1", "0", "hoa-lac"] {
            assert!(good.parse::<CameraId>().is_ok(), "{good}");
        }
    }

    #[test]
    fn refuses_the_rest_and_says_why() {
        assert_eq!("".parse::<CameraId>(), Err(IdError::Empty));
        assert_eq!("Cổng".parse::<CameraId>(), Err(IdError::BadCharacter('C')));
        assert_eq!("-a".parse::<CameraId>(), Err(IdError::BadCharacter('-')));
        assert_eq!("a/b".parse::<CameraId>(), Err(IdError::BadCharacter('/')));
        assert_eq!("..".parse::<CommuneId>(), Err(IdError::BadCharacter('.')));
        assert_eq!(
            "a".repeat(65).parse::<CameraId>(),
            Err(IdError::TooLong(65))
        );
    }
}
