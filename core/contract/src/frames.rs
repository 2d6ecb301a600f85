//! Decoded frames, as detectors see them, and what a detector asks for of them.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use taimat_base::{CameraId, CameraKey};

use crate::detection::{Rect, UnixMicros};

/// Names a frame. Rises by one with every frame that is delivered to a detector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct FrameId(pub u64);

/// A plane of a 4:2:0 picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    /// Brightness, at full size.
    Luma,
    /// Blue difference, half as wide and high.
    Cb,
    /// Red difference, half as wide and high.
    Cr,
}

/// Pixels of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Left edge.
    pub x: u32,
    /// Upper edge.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

impl Region {
    /// All of a frame.
    pub const fn whole(width: u32, height: u32) -> Self {
        Self {
            x: 0,
            y: 0,
            width,
            height,
        }
    }

    /// The region, if it lies within a picture of this size and is not empty.
    pub fn within(self, width: u32, height: u32) -> Result<Self, FrameError> {
        let right = self.x.checked_add(self.width);
        let bottom = self.y.checked_add(self.height);
        let inside = right.is_some_and(|r| r <= width) && bottom.is_some_and(|b| b <= height);
        if inside && self.width > 0 && self.height > 0 {
            Ok(self)
        } else {
            Err(FrameError::OutOfRange)
        }
    }
}

/// What is known of a frame without looking at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameInfo {
    /// Its name.
    pub id: FrameId,
    /// The camera it comes from.
    pub camera: CameraId,
    /// When it was captured.
    pub at: UnixMicros,
    /// Its width.
    pub width: u32,
    /// Its height.
    pub height: u32,
    /// Decoded from a key frame.
    pub key: bool,
    /// Frames that were due since the last delivery and were not delivered.
    pub dropped_before: u32,
}

/// Why a frame does not give what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It is not kept any more, or never was.
    #[error("the frame is not kept any more")]
    Expired,
    /// The region does not lie within the frame.
    #[error("the region does not lie within the frame")]
    OutOfRange,
    /// The answer would be larger than one may be.
    #[error("the answer would be too large")]
    TooLarge,
    /// Not granted.
    #[error("not granted")]
    NotGranted,
}

/// Statistics of a frame's cells, row by row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CellStats {
    /// Mean of luma.
    pub mean: Vec<u8>,
    /// Standard deviation of luma.
    pub deviation: Vec<u8>,
    /// Mean absolute difference against the other frame; empty when there is none.
    pub change: Vec<u8>,
}

/// The newest frame of one delivery and some before it.
///
/// All calls are bounded work on memory; none waits.
pub trait Frames: Send + Sync + Debug {
    /// The frame `back` deliveries before `id`.
    fn previous(&self, id: FrameId, back: u32) -> Option<FrameInfo>;
    /// Bytes of a plane.
    fn read_plane(&self, id: FrameId, plane: Plane, region: Region) -> Result<Vec<u8>, FrameError>;
    /// Luma of a region, scaled.
    fn gray(
        &self,
        id: FrameId,
        region: Region,
        width: u32,
        height: u32,
    ) -> Result<Vec<u8>, FrameError>;
    /// Colours of a region, scaled.
    fn rgb(
        &self,
        id: FrameId,
        region: Region,
        width: u32,
        height: u32,
    ) -> Result<Vec<u8>, FrameError>;
    /// Statistics of cells.
    fn grid(
        &self,
        id: FrameId,
        against: Option<FrameId>,
        columns: u32,
        rows: u32,
    ) -> Result<CellStats, FrameError>;
    /// A JPEG.
    fn jpeg(
        &self,
        id: FrameId,
        region: Option<Region>,
        width: u32,
        quality: u8,
    ) -> Result<Vec<u8>, FrameError>;
    /// A JPEG for people, as large as there is, with frames drawn around `marks`.
    fn still(&self, id: FrameId, marks: &[Rect]) -> Result<Vec<u8>, FrameError>;
}

/// A frame on its way to a detector, with the ones before it.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The frame.
    pub info: FrameInfo,
    /// What it and those before look like.
    pub frames: Arc<dyn Frames>,
}

/// What a detector needs to see.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, utoipa::ToSchema)]
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

/// Where frames come from.
pub trait FrameSource: Send + Sync + Debug {
    /// Begins to decode a camera for a detector; ends when the reader is dropped.
    fn watch(&self, camera: &CameraKey, want: &Want) -> Box<dyn FrameReader>;
}

/// A detector's frames. The newest wins: one that waits is replaced by the next.
#[async_trait]
pub trait FrameReader: Send + Debug {
    /// The next frame; `None` when there will be no more. Losing the future loses no frame.
    async fn next(&mut self) -> Option<Delivery>;
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
