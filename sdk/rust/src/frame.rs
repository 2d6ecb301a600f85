//! A frame: what the host knows of it, and ways to look at it.

use crate::bindings::detector::taimat::plugin::frames as host;
use crate::bindings::taimat::plugin::types::{Detection, Error};
use crate::memory::Memory;

pub use host::{CellStats, FrameError, Plane, Region};

/// A frame, valid during the call it came with.
#[derive(Debug, Clone)]
pub struct Frame {
    info: host::FrameInfo,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Host,
    Memory(Memory),
}

impl From<FrameError> for Error {
    fn from(error: FrameError) -> Self {
        Self::Retry(format!("frame: {error:?}"))
    }
}

impl Frame {
    pub(crate) fn from_host(info: host::FrameInfo) -> Self {
        Self {
            info,
            source: Source::Host,
        }
    }

    pub(crate) fn in_memory(info: host::FrameInfo, memory: Memory) -> Self {
        Self {
            info,
            source: Source::Memory(memory),
        }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.info.width, self.info.height)
    }

    /// When it was captured, in microseconds since 1970.
    pub fn at(&self) -> i64 {
        self.info.at
    }

    /// The camera's name.
    pub fn camera(&self) -> &str {
        &self.info.camera
    }

    /// Its number: rises by one with every frame.
    pub fn id(&self) -> u64 {
        self.info.id
    }

    /// Decoded from a key frame.
    pub fn is_key(&self) -> bool {
        self.info.key
    }

    /// Frames that were due since the last call and were not delivered.
    pub fn dropped_before(&self) -> u32 {
        self.info.dropped_before
    }

    /// All of it.
    pub fn whole(&self) -> Region {
        let (width, height) = self.size();
        Region {
            x: 0,
            y: 0,
            width,
            height,
        }
    }

    /// A detection at this frame's time.
    pub fn detection(&self, kind: &str, confidence: f32) -> Detection {
        Detection {
            kind: kind.into(),
            at: self.info.at,
            confidence,
            regions: Vec::new(),
            track: None,
            text: String::new(),
            extra: Vec::new(),
        }
    }

    /// The frame `back` deliveries before.
    pub fn previous(&self, back: u32) -> Option<Self> {
        match &self.source {
            Source::Host => host::previous(self.info.id, back).map(Self::from_host),
            Source::Memory(memory) => {
                let memory = memory.previous(back)?;
                Some(Self::in_memory(memory.info(0), memory))
            }
        }
    }

    /// Statistics of cells; with `against`, also how much each has changed.
    pub fn grid(
        &self,
        columns: u32,
        rows: u32,
        against: Option<&Self>,
    ) -> Result<CellStats, FrameError> {
        match &self.source {
            Source::Host => host::grid(self.info.id, against.map(|f| f.info.id), columns, rows),
            Source::Memory(memory) => {
                let other = against.map(|f| match &f.source {
                    Source::Memory(memory) => Ok(memory),
                    Source::Host => Err(FrameError::Expired),
                });
                memory.grid(other.transpose()?, columns, rows)
            }
        }
    }

    /// Luma of a region, scaled.
    pub fn gray(&self, region: Region, width: u32, height: u32) -> Result<Vec<u8>, FrameError> {
        match &self.source {
            Source::Host => host::gray(self.info.id, region, width, height),
            Source::Memory(memory) => memory.gray(region, width, height),
        }
    }

    /// Luma of the whole frame, as it is.
    pub fn luma(&self) -> Result<Vec<u8>, FrameError> {
        self.plane(Plane::Luma)
    }

    /// One plane of the whole frame, as it is. Those of colour are half as wide and high, rounded
    /// up.
    pub fn plane(&self, plane: Plane) -> Result<Vec<u8>, FrameError> {
        let (width, height) = match plane {
            Plane::Luma => self.size(),
            Plane::Cb | Plane::Cr => (self.info.width.div_ceil(2), self.info.height.div_ceil(2)),
        };
        let region = Region {
            x: 0,
            y: 0,
            width,
            height,
        };
        match &self.source {
            Source::Host => host::read_plane(self.info.id, plane, region),
            Source::Memory(memory) => Ok(memory.plane(plane)),
        }
    }

    /// Colours of a region, scaled, three bytes a pixel. Natively, shades of gray.
    pub fn rgb(&self, region: Region, width: u32, height: u32) -> Result<Vec<u8>, FrameError> {
        match &self.source {
            Source::Host => host::rgb(self.info.id, region, width, height),
            Source::Memory(memory) => {
                let gray = memory.gray(region, width, height)?;
                Ok(gray.into_iter().flat_map(|v| [v; 3]).collect())
            }
        }
    }

    /// A JPEG, `width` wide. Not natively.
    pub fn jpeg(
        &self,
        region: Option<Region>,
        width: u32,
        quality: u8,
    ) -> Result<Vec<u8>, FrameError> {
        match &self.source {
            Source::Host => host::jpeg(self.info.id, region, width, quality),
            Source::Memory(_) => Err(FrameError::NotGranted),
        }
    }
}
