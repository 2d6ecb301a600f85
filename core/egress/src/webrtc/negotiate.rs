//! From an offer and a camera's stream to an agreement.
//!
//! Nothing is transcoded, so negotiation is a search: is there a payload type under which the viewer
//! takes what the camera sends? Not here: how the answer says it (`answer`).

use taimat_media::{AudioCodec, AudioTrack, StreamInfo, VideoCodec, VideoTrack};

use super::offer::{MediaSection, Offer, OfferedCodec};

/// The header extension that tells a viewer how long to hold pictures back.
pub(super) const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";

/// Why an offer and a stream do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// The camera sends what few viewers play.
    #[error(
        "this viewer does not play {camera}, which the camera sends; it offers {offered}. \
         Set the camera's video encoding to H.264 (or give the camera an H.264 sub-stream)"
    )]
    Video {
        /// What the camera sends.
        camera: VideoCodec,
        /// What the viewer offers.
        offered: String,
    },
    /// The camera sends H.264, which every viewer should play.
    #[error(
        "this viewer has no H.264, which the camera sends; it offers {offered}. The camera is set \
         right: use a browser or player with H.264 (some builds of Chromium have none, Firefox has \
         none until it has fetched its OpenH264 plugin)"
    )]
    ViewerWithoutH264 {
        /// What the viewer offers.
        offered: String,
    },
    /// The viewer can not put together what does not fit into a packet.
    #[error(
        "this viewer takes H.264 in whole NAL units only (packetization-mode=0); pictures of cameras \
         are larger than a packet. It has to offer packetization-mode=1"
    )]
    WholeUnitsOnly,
    /// RTCP would need a port of its own.
    #[error("the video section has no a=rtcp-mux, which is required")]
    NoRtcpMux,
}

impl Mismatch {
    /// Whether another setting of the camera would help.
    pub fn is_of_the_camera(&self) -> bool {
        matches!(self, Self::Video { .. })
    }
}

/// One track that will be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendParams {
    /// RTP payload type.
    pub payload_type: u8,
    /// Synchronization source.
    pub ssrc: u32,
}

/// A track that viewer and camera agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgreedTrack {
    /// How it is sent.
    pub send: SendParams,
    /// The section of the offer that it goes into.
    pub(super) section: usize,
    pub(super) codec: OfferedCodec,
}

/// What was agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// Video.
    pub video: AgreedTrack,
    /// Audio, if camera and viewer have a codec in common.
    pub audio: Option<AgreedTrack>,
    /// Number of the playout-delay header extension, if the viewer offered it.
    pub playout_delay: Option<u8>,
}

impl Agreement {
    /// What will be sent.
    pub(super) fn tracks(&self) -> impl Iterator<Item = &AgreedTrack> {
        std::iter::once(&self.video).chain(&self.audio)
    }
}

/// Finds payload types for a stream. `ssrcs` are for video and audio.
pub fn agree(offer: &Offer, info: &StreamInfo, ssrcs: [u32; 2]) -> Result<Agreement, Mismatch> {
    let video = info.video.as_ref();
    let receiving = |kind: &'static str| {
        let sections = offer.sections.iter().enumerate();
        sections.filter(move |(_, s)| s.kind == kind && s.receives)
    };
    // A section whose transport is not told can not be reached.
    let best = receiving("video")
        .filter(|(index, _)| offer.transport(*index).is_ok())
        .find_map(|(index, section)| Some((index, section, pick_video(section, video?)?.clone())));
    let Some((video_section, section, video_codec)) = best else {
        return Err(mismatch(video, receiving("video").map(|(_, s)| s)));
    };
    if !section.rtcp_mux {
        return Err(Mismatch::NoRtcpMux);
    }
    // One transport carries all: audio comes along only in the same bundle.
    let together = |s: &MediaSection| s.bundle.is_some() && s.bundle == section.bundle;
    let audio = info.audio.as_ref().and_then(|track| {
        receiving("audio")
            .filter(|(_, s)| together(s))
            .find_map(|(index, s)| Some((index, pick_audio(s, track)?.clone())))
    });
    let playout_delay = section
        .extensions
        .iter()
        .find(|(number, uri)| uri == PLAYOUT_DELAY && (1..=14).contains(number))
        .map(|(number, _)| *number);
    let track = |section, codec: OfferedCodec, ssrc| AgreedTrack {
        send: SendParams {
            payload_type: codec.payload_type,
            ssrc,
        },
        section,
        codec,
    };
    Ok(Agreement {
        video: track(video_section, video_codec, ssrcs[0]),
        audio: audio.map(|(section, codec)| track(section, codec, ssrcs[1])),
        playout_delay,
    })
}

/// What to tell whom: a camera's setting, or what the viewer lacks.
fn mismatch<'a>(
    video: Option<&VideoTrack>,
    sections: impl Iterator<Item = &'a MediaSection> + Clone,
) -> Mismatch {
    let camera = video.map_or(VideoCodec::H264, |v| v.codec);
    let offered = offered_names(sections.clone());
    let mut codecs = sections.flat_map(|s| &s.codecs);
    match camera {
        VideoCodec::H264 if codecs.any(|c| c.name == camera.sdp_name()) => Mismatch::WholeUnitsOnly,
        VideoCodec::H264 => Mismatch::ViewerWithoutH264 { offered },
        _ => Mismatch::Video { camera, offered },
    }
}

/// The codec names of some sections, each once, without what only helps others.
fn offered_names<'a>(sections: impl Iterator<Item = &'a MediaSection>) -> String {
    let mut names: Vec<&str> = Vec::new();
    for codec in sections.flat_map(|s| &s.codecs) {
        if !codec.is_helper() && !names.contains(&codec.name.as_str()) && names.len() < 10 {
            names.push(&codec.name);
        }
    }
    if names.is_empty() {
        "no codecs".to_owned()
    } else {
        names.join(", ")
    }
}

/// For H.264 the profile that the viewer names is a lower bound of what it plays: Chromium, Firefox
/// and Safari decode High under any of theirs. Best is the camera's own profile, then High, then any.
///
/// Who does not speak of the packetization mode stands, by RFC 6184 section 8.1, for whole NAL units
/// only; but what is written by such offers (GStreamer's, when its caps say no more than the codec) puts
/// fragments together all the same. So this comes last, and only a mode that is said to be 0 is none.
fn pick_video<'a>(section: &'a MediaSection, track: &VideoTrack) -> Option<&'a OfferedCodec> {
    let is_h264 = track.codec == VideoCodec::H264;
    let mode = |codec: &'a OfferedCodec| codec.parameter("packetization-mode");
    let fits = |c: &&'a OfferedCodec| {
        let fragments = !is_h264 || matches!(mode(c), None | Some("1"));
        c.name == track.codec.sdp_name() && c.clock_rate == 90_000 && fragments
    };
    let camera = track.params.profile_level_id();
    let rank = |codec: &&'a OfferedCodec| {
        let offered = codec.parameter("profile-level-id").and_then(|p| p.get(..2));
        let offered = offered.and_then(|p| u8::from_str_radix(p, 16).ok());
        let profile = match (camera, offered) {
            (Some([profile, ..]), Some(o)) if o == profile => 0,
            (_, Some(100)) => 1,
            _ => 2,
        };
        (is_h264 && mode(codec).is_none(), profile)
    };
    section.codecs.iter().filter(fits).min_by_key(rank)
}

fn pick_audio<'a>(section: &'a MediaSection, track: &AudioTrack) -> Option<&'a OfferedCodec> {
    let (name, rate) = match &track.codec {
        AudioCodec::Pcmu => ("PCMU", 8000),
        AudioCodec::Pcma => ("PCMA", 8000),
        AudioCodec::Opus => ("OPUS", 48_000),
        AudioCodec::Aac { .. } => return None,
    };
    let same = |c: &&OfferedCodec| c.name == name && c.clock_rate == rate && track.rate == rate;
    section.codecs.iter().find(same)
}

#[cfg(test)]
pub(super) mod tests;
