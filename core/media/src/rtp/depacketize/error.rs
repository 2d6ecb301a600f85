//! Why a packet was not understood.

use super::frame::MAX_FRAME_BYTES;
use crate::h264::SpsError;

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
    Params(#[from] SpsError),
    /// A picture that is not carried.
    #[error("{0}")]
    Jpeg(#[from] JpegError),
    /// The stream's description can not be used.
    #[error("stream description: {0}")]
    Description(&'static str),
}

/// What RFC 2435 or this router does not carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JpegError {
    /// Width and height have eight bits each, in units of eight pixels.
    #[error("the picture is larger than 2040 pixels, which RTP does not carry as JPEG")]
    Size,
    /// Two fields instead of one picture.
    #[error("the picture is interlaced")]
    Interlaced,
    /// Other than 4:2:0 and 4:2:2.
    #[error("JPEG type {0} of RTP is not one that cameras use")]
    Type(u8),
    /// A quality that has no tables, or tables of 16 bits.
    #[error("quality {0} comes without quantization tables of 8 bits")]
    Quantizers(u8),
}
