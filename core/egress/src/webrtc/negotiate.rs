//! From an offer and a camera's stream to an answer.
//!
//! Nothing is transcoded, so negotiation is a search: is there a payload type under which the viewer
//! takes what the camera sends?

use std::fmt::Write;
use std::net::SocketAddr;

use taimat_media::{AudioCodec, AudioTrack, StreamInfo, VideoCodec, VideoTrack};

use super::candidate;
use super::offer::{MediaSection, Offer, OfferedCodec};

const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";

/// Why an offer and a stream do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// The viewer does not play the camera's video.
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
    /// RTCP would need a port of its own.
    #[error("the video section has no a=rtcp-mux, which is required")]
    NoRtcpMux,
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
    section: usize,
    codec: OfferedCodec,
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

/// Our half of the connection's description.
#[derive(Debug, Clone)]
pub struct LocalDescription {
    /// ICE user name fragment.
    pub ufrag: String,
    /// ICE password.
    pub pwd: String,
    /// SHA-256 fingerprint of our certificate, as SDP writes it.
    pub fingerprint: String,
    /// Addresses at which we can be reached.
    pub addresses: Vec<SocketAddr>,
}

/// Finds payload types for a stream. `ssrcs` are for video and audio.
pub fn agree(offer: &Offer, info: &StreamInfo, ssrcs: [u32; 2]) -> Result<Agreement, Mismatch> {
    let video = info.video.as_ref();
    let receiving = |kind: &'static str| {
        offer
            .sections
            .iter()
            .enumerate()
            .filter(move |(_, s)| s.kind == kind && s.receives)
    };
    let mut best = None;
    for (index, section) in receiving("video") {
        if let Some(codec) = video.and_then(|v| pick_video(section, v)) {
            best = Some((index, section, codec.clone()));
            break;
        }
    }
    let Some((video_section, section, video_codec)) = best else {
        return Err(Mismatch::Video {
            camera: video.map_or(VideoCodec::H264, |v| v.codec),
            offered: offered_names(receiving("video").map(|(_, s)| s)),
        });
    };
    if !section.rtcp_mux {
        return Err(Mismatch::NoRtcpMux);
    }
    // One transport carries all: audio comes along only in the same bundle.
    let audio = info.audio.as_ref().and_then(|track| {
        let (index, s) = receiving("audio").find(|(_, s)| s.bundled && section.bundled)?;
        Some((index, pick_audio(s, track)?.clone()))
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

/// The codec names of some sections, each once, without what only repairs or redistributes.
fn offered_names<'a>(sections: impl Iterator<Item = &'a MediaSection>) -> String {
    let mut names: Vec<&str> = Vec::new();
    for codec in sections.flat_map(|s| &s.codecs) {
        let helper = matches!(codec.name.as_str(), "RTX" | "RED" | "ULPFEC" | "FLEXFEC-03");
        if !helper && !names.contains(&codec.name.as_str()) && names.len() < 10 {
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
fn pick_video<'a>(section: &'a MediaSection, track: &VideoTrack) -> Option<&'a OfferedCodec> {
    let fits = |c: &&OfferedCodec| {
        c.name == track.codec.sdp_name()
            && c.clock_rate == 90_000
            && (track.codec != VideoCodec::H264 || c.parameter("packetization-mode") == Some("1"))
    };
    let camera = track.params.profile_level_id();
    let rank = |codec: &OfferedCodec| {
        let offered = codec.parameter("profile-level-id").and_then(|p| p.get(..2));
        let offered = offered.and_then(|p| u8::from_str_radix(p, 16).ok());
        match (camera, offered) {
            (Some([profile, ..]), Some(o)) if o == profile => 0,
            (_, Some(100)) => 1,
            _ => 2,
        }
    };
    section.codecs.iter().filter(fits).min_by_key(|c| rank(c))
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

impl Agreement {
    /// The answer's SDP (RFC 8829 section 5.3.1). `id` tells answers apart.
    pub fn answer(&self, offer: &Offer, local: &LocalDescription, id: u64) -> String {
        let mut sdp = format!("v=0\r\no=- {id} 1 IN IP4 127.0.0.1\r\ns=Taimat\r\nt=0 0\r\n");
        let accepted = |index: usize| self.tracks().find(|track| track.section == index);
        let mids: Vec<&str> = offer
            .sections
            .iter()
            .enumerate()
            .filter(|(i, s)| s.bundled && accepted(*i).is_some())
            .map(|(_, s)| s.mid.as_str())
            .collect();
        if !mids.is_empty() {
            line(&mut sdp, format_args!("a=group:BUNDLE {}", mids.join(" ")));
        }
        if offer.extmap_allow_mixed {
            line(&mut sdp, format_args!("a=extmap-allow-mixed"));
        }
        line(&mut sdp, format_args!("a=msid-semantic: WMS taimat"));
        let first = self.tracks().map(|track| track.section).min();
        for (index, section) in offer.sections.iter().enumerate() {
            match accepted(index) {
                Some(track) => self.section(&mut sdp, section, track, local),
                None => reject(&mut sdp, section),
            }
            if Some(index) == first {
                for candidate in candidate::describe(&local.addresses) {
                    line(&mut sdp, format_args!("a=candidate:{candidate}"));
                }
                line(&mut sdp, format_args!("a=end-of-candidates"));
            }
        }
        sdp
    }

    fn tracks(&self) -> impl Iterator<Item = &AgreedTrack> {
        std::iter::once(&self.video).chain(&self.audio)
    }

    fn section(
        &self,
        sdp: &mut String,
        section: &MediaSection,
        track: &AgreedTrack,
        local: &LocalDescription,
    ) {
        let AgreedTrack { send, codec, .. } = track;
        let (kind, pt, ssrc) = (&section.kind, send.payload_type, send.ssrc);
        let video = section.kind == "video";
        line(sdp, format_args!("m={kind} 9 {} {pt}", section.protocol));
        line(sdp, format_args!("c=IN IP4 0.0.0.0"));
        line(sdp, format_args!("a=rtcp:9 IN IP4 0.0.0.0"));
        line(sdp, format_args!("a=ice-ufrag:{}", local.ufrag));
        line(sdp, format_args!("a=ice-pwd:{}", local.pwd));
        line(sdp, format_args!("a=ice-options:trickle"));
        line(
            sdp,
            format_args!("a=fingerprint:sha-256 {}", local.fingerprint),
        );
        line(sdp, format_args!("a=setup:passive"));
        line(sdp, format_args!("a=mid:{}", section.mid));
        if let Some(number) = self.playout_delay.filter(|_| video) {
            line(sdp, format_args!("a=extmap:{number} {PLAYOUT_DELAY}"));
        }
        line(sdp, format_args!("a=sendonly"));
        line(sdp, format_args!("a=msid:taimat {kind}"));
        line(sdp, format_args!("a=rtcp-mux"));
        line(sdp, format_args!("a=rtcp-rsize"));
        let channels = if codec.name == "OPUS" { "/2" } else { "" };
        let name = if codec.name == "OPUS" {
            "opus"
        } else {
            codec.name.as_str()
        };
        line(
            sdp,
            format_args!("a=rtpmap:{pt} {name}/{}{channels}", codec.clock_rate),
        );
        if video {
            for feedback in ["nack", "nack pli", "ccm fir"] {
                line(sdp, format_args!("a=rtcp-fb:{pt} {feedback}"));
            }
        }
        if !codec.fmtp.is_empty() {
            line(sdp, format_args!("a=fmtp:{pt} {}", codec.fmtp));
        }
        line(sdp, format_args!("a=ssrc:{ssrc} cname:taimat"));
        line(sdp, format_args!("a=ssrc:{ssrc} msid:taimat {kind}"));
    }
}

/// A section that is not taken up: port zero (RFC 3264 section 6).
fn reject(sdp: &mut String, section: &MediaSection) {
    let format = section.formats.first().map_or("0", String::as_str);
    line(
        sdp,
        format_args!("m={} 0 {} {format}", section.kind, section.protocol),
    );
    line(sdp, format_args!("c=IN IP4 0.0.0.0"));
    if !section.mid.is_empty() {
        line(sdp, format_args!("a=mid:{}", section.mid));
    }
    line(sdp, format_args!("a=inactive"));
}

fn line(sdp: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String can not fail.
    if sdp.write_fmt(text).is_ok() {
        sdp.push_str("\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::super::offer::tests::CHROMIUM;
    use super::*;
    use bytes::Bytes;
    use std::sync::Arc;
    use taimat_media::VideoParams;

    fn info(codec: VideoCodec, profile: u8, audio: Option<AudioCodec>) -> StreamInfo {
        let params = VideoParams {
            codec,
            vps: Vec::new(),
            sps: vec![Bytes::from(vec![0x67, profile, 0, 0x1F])],
            pps: Vec::new(),
            width: 640,
            height: 360,
        };
        let rate = if audio == Some(AudioCodec::Opus) {
            48_000
        } else {
            8000
        };
        StreamInfo {
            video: Some(VideoTrack {
                codec,
                params: Arc::new(params),
            }),
            audio: audio.map(|codec| AudioTrack {
                codec,
                rate,
                channels: 1,
            }),
        }
    }

    fn local() -> LocalDescription {
        LocalDescription {
            ufrag: "u".repeat(8),
            pwd: "p".repeat(24),
            fingerprint: "AA".into(),
            addresses: vec![
                "127.0.0.1:8189".parse().unwrap(),
                "[::1]:8189".parse().unwrap(),
            ],
        }
    }

    #[test]
    fn prefers_the_cameras_profile() {
        let offer = Offer::parse(CHROMIUM.as_bytes()).unwrap();
        let high = agree(&offer, &info(VideoCodec::H264, 100, None), [1, 2]).unwrap();
        assert_eq!(high.video.send.payload_type, 108);
        let baseline = agree(&offer, &info(VideoCodec::H264, 0x42, None), [1, 2]).unwrap();
        assert_eq!(
            (baseline.video.send.payload_type, baseline.playout_delay),
            (103, Some(5))
        );
        assert_eq!(baseline.audio, None);
    }

    #[test]
    fn names_the_setting_to_change() {
        let offer = Offer::parse(CHROMIUM.as_bytes()).unwrap();
        let error = agree(&offer, &info(VideoCodec::H265, 1, None), [1, 2]).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("H.265") && text.contains("VP8, H264"),
            "{text}"
        );
        assert!(
            text.contains("Set the camera's video encoding to H.264"),
            "{text}"
        );
    }

    #[test]
    fn answers_what_a_browser_can_use() {
        let offer = Offer::parse(CHROMIUM.as_bytes()).unwrap();
        for codec in [AudioCodec::Opus, AudioCodec::Pcmu, AudioCodec::Pcma] {
            let stream = info(VideoCodec::H264, 100, Some(codec));
            let agreement = agree(&offer, &stream, [7, 8]).unwrap();
            let sdp = agreement.answer(&offer, &local(), 3);
            for expected in [
                "a=group:BUNDLE 0 1\r\n",
                "m=video 9 UDP/TLS/RTP/SAVPF 108\r\n",
                "a=setup:passive\r\n",
                "a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f",
                "a=ssrc:7 cname:taimat",
                "a=ssrc:8 cname:taimat",
                " 127.0.0.1 8189 typ host",
                " ::1 8189 typ host",
            ] {
                assert!(sdp.contains(expected), "{expected} in {sdp}");
            }
            // Our own answer is SDP that a library reads.
            let mut reader = std::io::Cursor::new(sdp.as_bytes());
            rtc_sdp::description::session::SessionDescription::unmarshal(&mut reader).unwrap();
        }
    }

    #[test]
    fn rejects_sections_that_are_not_served() {
        let offer = Offer::parse(CHROMIUM.as_bytes()).unwrap();
        let agreement = agree(&offer, &info(VideoCodec::H264, 100, None), [7, 8]).unwrap();
        let sdp = agreement.answer(&offer, &local(), 3);
        assert!(sdp.contains("a=group:BUNDLE 0\r\n"), "{sdp}");
        assert!(sdp.contains("m=audio 0 UDP/TLS/RTP/SAVPF 111\r\n"), "{sdp}");
    }
}
