//! What every decoder does, whoever wrote it, and what it may say.

use crate::picture::Picture;

/// Pictures larger than this are not decoded: 8192 × 4320, the largest that cameras make.
pub const MAX_PIXELS: usize = 8192 * 4320;

/// Why an access unit could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeFault {
    /// The decoder says so.
    #[error("{0}")]
    Refused(String),
    /// What came out is not a picture.
    #[error("the decoder gave planes that do not fit {0}x{1}")]
    Planes(usize, usize),
    /// Larger than [`MAX_PIXELS`].
    #[error("a picture of {0}x{1} is too large")]
    Size(usize, usize),
}

/// Decodes one stream.
pub trait Decoder: Send {
    /// Takes an access unit as a byte stream (an image of JPEG as it is) and gives the pictures that
    /// are ready.
    fn decode(&mut self, stream: &[u8]) -> Result<Vec<Picture>, DecodeFault>;
}
