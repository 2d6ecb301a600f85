//! Decoders behind one trait, and the wrapper that survives what cameras send.

mod h264;
mod h265;
mod jpeg;
#[cfg(feature = "libavcodec")]
mod libav;
mod resilient;

use std::borrow::Cow;

use taimat_media::{AccessUnit, VideoCodec};

use crate::picture::Picture;

pub use resilient::{Resilient, Restart};

/// Pictures larger than this are not decoded: 8192 × 4320, the largest that cameras make.
pub const MAX_PIXELS: usize = 8192 * 4320;

/// Whether libavcodec was built in.
pub const HAS_LIBAVCODEC: bool = cfg!(feature = "libavcodec");

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

/// A new decoder: libavcodec's, where that was built in and has one.
pub fn decoder(codec: VideoCodec) -> Box<dyn Decoder> {
    #[cfg(feature = "libavcodec")]
    if codec != VideoCodec::Jpeg {
        match libav::Libav::new(codec) {
            Ok(decoder) => return Box::new(decoder),
            Err(error) => {
                tracing::warn!(%error, "libavcodec can not be used; the decoder in Rust is");
            }
        }
    }
    in_rust(codec)
}

/// A new decoder written in Rust.
pub fn in_rust(codec: VideoCodec) -> Box<dyn Decoder> {
    match codec {
        VideoCodec::H264 => Box::new(h264::H264::new()),
        VideoCodec::H265 => Box::new(h265::H265::new()),
        VideoCodec::Jpeg => Box::new(jpeg::Jpeg),
    }
}

/// An access unit as [`Decoder::decode`] takes it.
pub fn stream(codec: VideoCodec, unit: &AccessUnit) -> Cow<'_, [u8]> {
    match codec {
        VideoCodec::H264 | VideoCodec::H265 => annex_b(unit).into(),
        VideoCodec::Jpeg => Cow::Borrowed(&unit.data),
    }
}

/// An access unit as a byte stream (ITU-T H.264 annex B), parameter sets before a key frame.
fn annex_b(unit: &AccessUnit) -> Vec<u8> {
    let mut stream = Vec::with_capacity(unit.data.len() + 256);
    let mut push = |nal: &[u8]| {
        stream.extend_from_slice(&[0, 0, 0, 1]);
        stream.extend_from_slice(nal);
    };
    if unit.keyframe
        && let Some(params) = &unit.params
    {
        params.sets().for_each(|set| push(set));
    }
    taimat_media::nal::units(&unit.data).for_each(|nal| push(&nal));
    stream
}
