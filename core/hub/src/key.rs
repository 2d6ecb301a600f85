//! How a channel is named.

use std::fmt;

use taimat_base::{CameraKey, Profile};

/// One encoding of one camera.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelKey {
    /// The camera.
    pub camera: CameraKey,
    /// Which of its encodings.
    pub profile: Profile,
}

impl ChannelKey {
    /// Puts the two parts together.
    pub fn new(camera: CameraKey, profile: Profile) -> Self {
        Self { camera, profile }
    }
}

impl fmt::Display for ChannelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.camera, self.profile)
    }
}
