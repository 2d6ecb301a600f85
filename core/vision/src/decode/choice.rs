//! Which decoder is taken for a codec.

use taimat_media::VideoCodec;

use super::decoder::Decoder;
use super::h264::H264;
use super::h265::H265;
use super::jpeg::Jpeg;
#[cfg(feature = "libavcodec")]
use super::libav::Libav;

/// Whether libavcodec was built in.
pub const HAS_LIBAVCODEC: bool = cfg!(feature = "libavcodec");

/// A new decoder: libavcodec's, where that was built in and has one.
pub fn decoder(codec: VideoCodec) -> Box<dyn Decoder> {
    #[cfg(feature = "libavcodec")]
    if codec != VideoCodec::Jpeg {
        match Libav::new(codec) {
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
        VideoCodec::H264 => Box::new(H264::new()),
        VideoCodec::H265 => Box::new(H265::new()),
        VideoCodec::Jpeg => Box::new(Jpeg),
    }
}
