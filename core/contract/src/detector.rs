//! A detector looks at frames of one camera.

use std::fmt::Debug;

use async_trait::async_trait;
use serde::Serialize;
use taimat_base::{CameraId, CameraKey};
use utoipa::ToSchema;

use crate::detection::{Detection, UnixMicros};
use crate::failure::Failure;
use crate::frames::Delivery;

/// What a plugin says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct About {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// JSON Schema of its settings.
    pub settings_schema: String,
}

/// What a detector needs to see.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Want {
    /// Width that it works at; 0 leaves the choice to the host.
    pub width: u32,
    /// Height that it works at; 0 leaves the choice to the host.
    pub height: u32,
    /// Frames per second at most.
    pub max_fps: f32,
    /// Key frames are enough.
    pub keyframes_only: bool,
    /// How many earlier frames are kept.
    pub history: u32,
}

impl Want {
    /// Earlier frames kept at most.
    pub const MAX_HISTORY: u32 = 16;
    /// What a detector gets that does not say.
    pub const DEFAULT_WIDTH: u32 = 640;

    /// This want within a grant: no wider than `width`, no more often than `fps`.
    #[must_use]
    pub fn within(mut self, width: u32, fps: f32) -> Self {
        if self.width == 0 {
            self.width = Self::DEFAULT_WIDTH;
        }
        if self.width > width {
            let scaled = u64::from(self.height) * u64::from(width) / u64::from(self.width);
            self.height = u32::try_from(scaled).unwrap_or(u32::MAX);
            self.width = width;
        }
        let asked = if self.max_fps.is_finite() && self.max_fps > 0.0 {
            self.max_fps
        } else {
            fps
        };
        self.max_fps = asked.min(fps);
        self.history = self.history.min(Self::MAX_HISTORY);
        self
    }
}

/// Looks at frames of one camera and says what it saw. Calls come one at a time; after a failure
/// that ended it, no further one.
#[async_trait]
pub trait Detector: Send + Debug {
    /// What it says of itself.
    async fn describe(&mut self) -> Result<About, Failure>;
    /// Takes settings, as JSON.
    async fn configure(&mut self, settings: &str) -> Result<(), Failure>;
    /// What it needs to see of a camera.
    async fn wants(&mut self, camera: &CameraId) -> Result<Want, Failure>;
    /// Looks at a frame.
    async fn on_frame(&mut self, frame: &Delivery) -> Result<Vec<Detection>, Failure>;
    /// About once a second, also when the camera gives nothing.
    async fn on_tick(&mut self, now: UnixMicros) -> Result<Vec<Detection>, Failure>;
    /// State for the one that replaces it; `None` when it has no such thing.
    async fn save(&mut self) -> Result<Option<Vec<u8>>, Failure>;
    /// State of the one that it replaces.
    async fn load(&mut self, from_version: &str, saved: &[u8]) -> Result<(), Failure>;
}

/// Where detections go. Must not wait: a detector is never held back by who reads.
pub trait DetectionSink: Send + Sync + Debug {
    /// What a plugin saw on a camera.
    fn publish(&self, camera: &CameraKey, plugin: &str, detections: &[Detection]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_want_stays_within_its_grant() {
        let want = Want {
            width: 1280,
            height: 720,
            max_fps: 25.0,
            keyframes_only: false,
            history: 99,
        };
        let granted = want.within(640, 5.0);
        assert_eq!((granted.width, granted.height), (640, 360));
        assert_eq!((granted.max_fps, granted.history), (5.0, 16));
        let unsaid = Want {
            width: 0,
            height: 0,
            max_fps: f32::NAN,
            ..want
        };
        assert_eq!(unsaid.within(320, 2.0).width, 320);
        assert_eq!(unsaid.within(320, 2.0).max_fps, 2.0);
    }
}
