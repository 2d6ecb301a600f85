//! From RTP payloads to frames, by codec.
//!
//! Each depacketizer takes packets in order and is told of losses before them. Bad input costs a
//! typed error and what it is in: a picture of NAL units is passed on as damaged, with the units of
//! it that are whole; anything else is left out. The next frame starts clean. Memory is bounded by
//! [`MAX_FRAME_BYTES`].

mod aac;
mod assembler;
mod codec;
mod error;
#[cfg(test)]
mod fields;
mod frame;
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

use bytes::Bytes;

use crate::codec::{AudioCodec, VideoCodec};
use crate::quirk::Quirks;
use crate::rtp::packet::Packet;

pub use aac::Aac;
pub use error::{DepacketizeError, JpegError};
pub use frame::{Frame, MAX_FRAME_BYTES};
pub use h264::H264;
pub use h265::H265;
pub use jpeg::Jpeg;
pub use payload::NalDepacketizer;
pub use simple::Simple;

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
