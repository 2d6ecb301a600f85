//! What comes out: a frame of any codec.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::VideoParams;
use crate::start::Start;

/// No camera sends a larger picture (key pictures of 4K at the best quality have 10 MB); one that seems
/// to is sending something else.
pub const MAX_FRAME_BYTES: usize = 12 << 20;

/// A complete frame, before it gets its place in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// RTP time of its packets; of a picture of NAL units, that of its first slice.
    pub timestamp: u32,
    /// If decoding can start here: how. Never in a damaged picture, nor before its parameter sets
    /// are known. Sound and JPEG: always [`Start::Idr`].
    pub start: Option<Start>,
    /// Video: the parameter sets in force, once they are known.
    pub params: Option<Arc<VideoParams>>,
    /// Whether `params` are others than those of the frame before.
    pub new_params: bool,
    /// See [`crate::AccessUnit::data`].
    pub data: Bytes,
    /// Packets lost since the frame before and in this one. At least one if a whole picture is
    /// missing in between for another reason.
    pub lost_packets: u32,
    /// A part of this picture is missing; what is here are its whole NAL units.
    pub damaged: bool,
}

impl Frame {
    /// Whether decoding can start here.
    pub fn is_key(&self) -> bool {
        self.start.is_some()
    }
}
