//! From RTP payloads to frames, by codec.
//!
//! Each depacketizer takes packets in order and is told of losses before them. Bad input costs a
//! typed error and what it is in: a picture of NAL units is passed on as damaged, with the units of
//! it that are whole; anything else is left out. The next frame starts clean. Memory is bounded by
//! [`MAX_FRAME_BYTES`].

mod aac;
mod assembler;
mod codec;
mod h264;
mod h265;
mod jpeg;
mod marker;
mod payload;
mod picture;
mod sets;
mod simple;
mod start_codes;
mod starts;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;

use super::Packet;
use crate::codec::{AudioCodec, VideoCodec, VideoParams};
use crate::quirk::Quirks;
use crate::start::Start;

pub use aac::Aac;
pub use h264::H264;
pub use h265::H265;
pub use jpeg::{Jpeg, JpegError};
pub use payload::NalDepacketizer;
pub use simple::Simple;

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

/// Why a packet was not understood. The picture it belongs to is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DepacketizeError {
    /// Shorter than its own headers say.
    #[error("packet of {0} bytes is shorter than its headers say")]
    Truncated(usize),
    /// A type that the payload format does not have, or that no camera uses.
    #[error("NAL unit type {0} is not one that can be carried")]
    Type(u8),
    /// A fragment without its beginning.
    #[error("fragment without a start")]
    NoStart,
    /// More than [`MAX_FRAME_BYTES`].
    #[error("frame is larger than {MAX_FRAME_BYTES} bytes")]
    TooLarge,
    /// The forbidden bit is set: the bytes are something else or were damaged.
    #[error("forbidden bit is set")]
    Forbidden,
    /// Parameter sets that can not be read.
    #[error("{0}")]
    Params(#[from] crate::h264::SpsError),
    /// A picture that is not carried.
    #[error("{0}")]
    Jpeg(#[from] JpegError),
    /// The stream's description can not be used.
    #[error("stream description: {0}")]
    Description(&'static str),
}

/// The depacketizer of any codec.
#[derive(Debug)]
pub enum Depacketizer {
    /// H.264, RFC 6184.
    H264(H264),
    /// H.265, RFC 7798.
    H265(H265),
    /// Motion JPEG, RFC 2435.
    Jpeg(Jpeg),
    /// AAC, RFC 3640.
    Aac(Aac),
    /// One packet is one frame: G.711 (RFC 3551), Opus (RFC 7587).
    Simple(Simple),
}

impl Depacketizer {
    /// For a video track. `sets` are parameter sets from the stream's description, as NAL units.
    pub fn video(codec: VideoCodec, sets: &[Bytes]) -> Self {
        match codec {
            VideoCodec::H264 => Self::H264(H264::new(sets)),
            VideoCodec::H265 => Self::H265(H265::new(sets)),
            VideoCodec::Jpeg => Self::Jpeg(Jpeg::default()),
        }
    }

    /// For an audio track.
    pub fn audio(codec: &AudioCodec) -> Self {
        match codec {
            AudioCodec::Aac { .. } => Self::Aac(Aac::default()),
            AudioCodec::Pcmu | AudioCodec::Pcma | AudioCodec::Opus => Self::Simple(Simple),
        }
    }

    /// Believes the markers from the beginning on, which is right for senders of our own only: those
    /// of cameras have to prove themselves, see [`Depacketizer::flush`].
    #[must_use]
    pub fn trusting_markers(mut self) -> Self {
        match &mut self {
            Self::H264(d) => d.trust_markers(),
            Self::H265(d) => d.trust_markers(),
            Self::Jpeg(_) | Self::Aac(_) | Self::Simple(_) => {}
        }
        self
    }

    /// To be called when the stream is over or has been silent for much longer than a picture's
    /// packets are apart (200 ms): the picture that waits for the beginning of the next one to show
    /// that it is complete leaves. A unit that is still under way is kept.
    pub fn flush(&mut self, out: &mut Vec<Frame>) {
        match self {
            Self::H264(d) => d.flush(out),
            Self::H265(d) => d.flush(out),
            Self::Jpeg(_) | Self::Aac(_) | Self::Simple(_) => {}
        }
    }

    /// What the source does wrongly and was put up with, since this was asked last.
    pub fn quirks(&mut self) -> Quirks {
        match self {
            Self::H264(d) => d.quirks(),
            Self::H265(d) => d.quirks(),
            Self::Jpeg(_) | Self::Aac(_) | Self::Simple(_) => Quirks::default(),
        }
    }

    /// Takes the next packet; complete frames are appended to `out`.
    pub fn push(
        &mut self,
        packet: &Packet<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), DepacketizeError> {
        match self {
            Self::H264(d) => d.push(packet, out),
            Self::H265(d) => d.push(packet, out),
            Self::Jpeg(d) => d.push(packet, out),
            Self::Aac(d) => d.push(packet, out),
            Self::Simple(d) => d.push(packet, out),
        }
    }
}
