//! Capability `frames`: granted by `grant = { frames = { width = …, fps = … } }`. Without the grant it
//! is there and answers `not-granted`.

use std::sync::Arc;

use taimat_contract::{CellStats, FrameError, FrameId, FrameInfo, Frames as Source, Plane, Region};

/// An instance's part: the frames of the present call, and none between calls.
#[derive(Debug)]
pub(crate) struct FramesCapability {
    granted: bool,
    current: Option<Arc<dyn Source>>,
}

impl FramesCapability {
    pub(super) fn new(granted: bool) -> Self {
        Self {
            granted,
            current: None,
        }
    }

    pub(crate) fn lend(&mut self, frames: Arc<dyn Source>) {
        self.current = Some(frames);
    }

    pub(crate) fn take_back(&mut self) {
        self.current = None;
    }

    fn now(&self) -> Result<&dyn Source, FrameError> {
        let none = if self.granted {
            FrameError::Expired
        } else {
            FrameError::NotGranted
        };
        self.current.as_deref().ok_or(none)
    }

    pub(crate) fn previous(&self, id: u64, back: u32) -> Option<FrameInfo> {
        self.now().ok()?.previous(FrameId(id), back)
    }

    pub(crate) fn read_plane(
        &self,
        id: u64,
        plane: Plane,
        region: Region,
    ) -> Result<Vec<u8>, FrameError> {
        self.now()?.read_plane(FrameId(id), plane, region)
    }

    pub(crate) fn gray(&self, id: u64, r: Region, w: u32, h: u32) -> Result<Vec<u8>, FrameError> {
        self.now()?.gray(FrameId(id), r, w, h)
    }

    pub(crate) fn rgb(&self, id: u64, r: Region, w: u32, h: u32) -> Result<Vec<u8>, FrameError> {
        self.now()?.rgb(FrameId(id), r, w, h)
    }

    pub(crate) fn grid(
        &self,
        id: u64,
        against: Option<u64>,
        columns: u32,
        rows: u32,
    ) -> Result<CellStats, FrameError> {
        self.now()?
            .grid(FrameId(id), against.map(FrameId), columns, rows)
    }

    pub(crate) fn jpeg(
        &self,
        id: u64,
        region: Option<Region>,
        width: u32,
        quality: u8,
    ) -> Result<Vec<u8>, FrameError> {
        self.now()?.jpeg(FrameId(id), region, width, quality)
    }
}
