//! The trait that a detector implements. What exports it is in `glue`.

use serde::de::DeserializeOwned;

use crate::bindings::taimat::plugin::types::{Detection, Error};
use crate::frame::Frame;

/// Looks at frames of one camera.
pub trait Detector: Sized + 'static {
    /// What an operator may set; `serde(default)` makes settings optional.
    type Settings: DeserializeOwned;
    /// JSON Schema of the settings.
    const SETTINGS_SCHEMA: &'static str = "{}";

    /// Takes settings. An error should say which and what would be right.
    fn new(settings: Self::Settings) -> Result<Self, Error>;
    /// What it needs to see.
    fn wants(&self, camera: &str) -> Want;
    /// Looks at a frame.
    fn on_frame(&mut self, frame: &Frame) -> Result<Vec<Detection>, Error>;
    /// Called about once a second, also when the camera gives nothing. `now` is in microseconds
    /// since 1970.
    fn on_tick(&mut self, now: i64) -> Result<Vec<Detection>, Error> {
        let _unused = now;
        Ok(Vec::new())
    }
    /// State for the instance that replaces this one; empty for none.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }
    /// State of the instance that this one replaces.
    fn load(&mut self, from_version: &str, saved: &[u8]) -> Result<(), String> {
        let _unused = (from_version, saved);
        Ok(())
    }
}

/// What a detector needs to see.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Want {
    /// Width it works at.
    pub width: u32,
    /// Height it works at.
    pub height: u32,
    /// Frames per second at most.
    pub max_fps: f32,
    /// Key frames are enough.
    pub keyframes_only: bool,
    /// How many earlier frames are kept.
    pub history: u32,
}

impl Want {
    /// Five frames per second of this size, and the one before each.
    pub const fn size(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            max_fps: 5.0,
            keyframes_only: false,
            history: 1,
        }
    }

    /// So many frames per second.
    #[must_use]
    pub const fn fps(mut self, fps: f32) -> Self {
        self.max_fps = fps;
        self
    }

    /// So many earlier frames.
    #[must_use]
    pub const fn history(mut self, frames: u32) -> Self {
        self.history = frames;
        self
    }
}
