//! The meeting point: one camera in, many readers out.
//!
//! Owner: `server` makes the [`Hub`], `ingest` publishes, everyone else reads. Cost: publishing is
//! one short lock and a wake-up; reading is one short lock and an `Arc`. A slow reader never holds
//! back the camera or another reader: it is told what it lost and goes on at the next key frame.
//! Not here: decoding, packets, disks.

mod channel;
mod demand;
mod meter;
mod ring;
mod status;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, RwLock};

use taimat_base::{CameraKey, Profile};

pub use channel::Channel;
pub use demand::Reader;
pub use meter::Rates;
pub use ring::{Cursor, Item, Limits, Read, Ring};
pub use status::{FaultCause, SourceFacts, SourceState, Status};

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

/// All channels there are.
#[derive(Debug, Default)]
pub struct Hub {
    channels: RwLock<BTreeMap<ChannelKey, Arc<Channel>>>,
}

impl Hub {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The channel of that key, made if there is none.
    pub fn ensure(&self, key: &ChannelKey, limits: Limits) -> Arc<Channel> {
        let mut channels = self.channels.write().unwrap_or_else(|e| e.into_inner());
        let make = || Arc::new(Channel::new(key.clone(), limits));
        Arc::clone(channels.entry(key.clone()).or_insert_with(make))
    }

    /// The channel of that key, if there is one.
    pub fn get(&self, key: &ChannelKey) -> Option<Arc<Channel>> {
        self.channels
            .read()
            .unwrap_or_else(|e| e.into_inner())
            .get(key)
            .cloned()
    }

    /// Removes a channel; its readers come to an end.
    pub fn remove(&self, key: &ChannelKey) {
        let removed = self
            .channels
            .write()
            .unwrap_or_else(|e| e.into_inner())
            .remove(key);
        if let Some(channel) = removed {
            channel.close();
        }
    }

    /// All channels, in the order of their keys.
    pub fn list(&self) -> Vec<Arc<Channel>> {
        self.channels
            .read()
            .unwrap_or_else(|e| e.into_inner())
            .values()
            .cloned()
            .collect()
    }
}
