//! Tracks and codecs, as far as the router has to know them.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

/// The clock of every video track, ticks a second (RFC 6184, RFC 7798, RFC 2435).
pub const VIDEO_CLOCK: u32 = 90_000;

/// Video codecs that are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    /// H.264 / AVC.
    H264,
    /// H.265 / HEVC.
    H265,
    /// Motion JPEG: for detectors and clients that pull; browsers do not play it by WebRTC.
    Jpeg,
}

impl VideoCodec {
    /// The name that people know.
    pub const fn name(self) -> &'static str {
        match self {
            Self::H264 => "H.264",
            Self::H265 => "H.265",
            Self::Jpeg => "MJPEG",
        }
    }

    /// The encoding name in SDP.
    pub const fn sdp_name(self) -> &'static str {
        match self {
            Self::H264 => "H264",
            Self::H265 => "H265",
            Self::Jpeg => "JPEG",
        }
    }

    /// Whether every picture stands alone, so that one may be left out without harm to the next.
    pub const fn is_intra_only(self) -> bool {
        matches!(self, Self::Jpeg)
    }
}

impl fmt::Display for VideoCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Audio codecs that are carried.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase", tag = "codec")]
pub enum AudioCodec {
    /// G.711 μ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// AAC in the form of RFC 3640 (`mpeg4-generic`, AAC-hbr).
    Aac {
        /// AudioSpecificConfig (ISO 14496-3 section 1.6), as in the `config` of RFC 3640.
        #[serde(skip)]
        config: Bytes,
    },
    /// Opus (RFC 7587).
    Opus,
}

impl AudioCodec {
    /// The name that people know.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::Aac { .. } => "AAC",
            Self::Opus => "Opus",
        }
    }
}

/// An audio track.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct AudioTrack {
    /// How it is encoded.
    #[serde(flatten)]
    pub codec: AudioCodec,
    /// Ticks a second of its RTP clock.
    pub rate: u32,
    /// Channels.
    pub channels: u16,
}

/// The parameter sets of a video track and what they say. Replaced as a whole when the camera
/// changes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoParams {
    /// How the track is encoded.
    pub codec: VideoCodec,
    /// Video parameter sets, H.265 only; NAL units without length or start code.
    pub vps: Vec<Bytes>,
    /// Sequence parameter sets.
    pub sps: Vec<Bytes>,
    /// Picture parameter sets.
    pub pps: Vec<Bytes>,
    /// Width of the shown picture in pixels.
    pub width: u32,
    /// Height of the shown picture in pixels.
    pub height: u32,
}

impl VideoParams {
    /// All sets in the order in which a decoder wants them.
    pub fn sets(&self) -> impl Iterator<Item = &Bytes> {
        self.vps.iter().chain(&self.sps).chain(&self.pps)
    }

    /// H.264: profile, constraint flags and level as SDP writes them (RFC 6184 section 8.1).
    pub fn profile_level_id(&self) -> Option<[u8; 3]> {
        let sps = self
            .sps
            .first()
            .filter(|_| self.codec == VideoCodec::H264)?;
        sps.get(1..4)?.try_into().ok()
    }
}

/// A video track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoTrack {
    /// How it is encoded.
    pub codec: VideoCodec,
    /// The parameter sets in force.
    pub params: Arc<VideoParams>,
}

/// What a camera's stream consists of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamInfo {
    /// Pictures; a stream is usable only with them.
    pub video: Option<VideoTrack>,
    /// Sound, if the camera sends any that is carried.
    pub audio: Option<AudioTrack>,
}

impl StreamInfo {
    /// Whether readers that were set up for `self` can go on with `other`: the same codecs.
    /// Changed parameter sets alone do not disturb a reader.
    pub fn compatible(&self, other: &Self) -> bool {
        self.video.as_ref().map(|v| v.codec) == other.video.as_ref().map(|v| v.codec)
            && self.audio == other.audio
    }
}
