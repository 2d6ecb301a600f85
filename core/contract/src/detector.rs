//! A detector looks at frames of one camera.

use std::fmt::Debug;

use async_trait::async_trait;
use serde::Serialize;
use taimat_base::{CameraId, CameraKey, PluginId};

use crate::detection::{Detection, UnixMicros};
use crate::failure::Failure;
use crate::frames::{Delivery, Want};

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

/// What a plugin saw on a camera.
#[derive(Debug, Clone, Copy)]
pub struct Detected<'a> {
    /// Where.
    pub camera: &'a CameraKey,
    /// Who saw it.
    pub plugin: &'a PluginId,
    /// What.
    pub detections: &'a [Detection],
    /// The frame that was looked at, if there was one.
    pub frame: Option<&'a Delivery>,
}

/// Where detections go. Must not wait: a detector is never held back by who reads.
pub trait DetectionSink: Send + Sync + Debug {
    /// Takes what a plugin saw.
    fn publish(&self, detected: &Detected<'_>);
}
