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
    /// The metric labels that tell channels apart, whichever room counts.
    pub const LABELS: [&'static str; 3] = ["commune", "camera", "profile"];

    /// Puts the two parts together.
    pub fn new(camera: CameraKey, profile: Profile) -> Self {
        Self { camera, profile }
    }

    /// The values of [`ChannelKey::LABELS`] for this channel.
    pub fn label_values(&self) -> [&str; 3] {
        [
            self.camera.commune.as_str(),
            self.camera.camera.as_str(),
            self.profile.as_str(),
        ]
    }
}

impl fmt::Display for ChannelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.camera, self.profile)
    }
}
