//! The stream's description in SDP (RFC 8866), with parameter sets, for clients that pull.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use taimat_media::{AudioCodec, AudioTrack, StreamInfo, TrackKind, VideoCodec, VideoTrack};

/// RTP payload types that we use.
pub(super) fn payload_type(kind: TrackKind, info: &StreamInfo) -> u8 {
    let jpeg = info
        .video
        .as_ref()
        .is_some_and(|v| v.codec == VideoCodec::Jpeg);
    match (kind, info.audio.as_ref().map(|a| &a.codec)) {
        // The static type of RFC 3551 section 6.
        (TrackKind::Video, _) if jpeg => 26,
        (TrackKind::Video, _) => 96,
        (TrackKind::Audio, Some(AudioCodec::Pcmu)) => 0,
        (TrackKind::Audio, Some(AudioCodec::Pcma)) => 8,
        (TrackKind::Audio, _) => 97,
    }
}

/// The description. `control` makes the URL of a track.
pub(super) fn sdp(info: &StreamInfo, control: impl Fn(TrackKind) -> String) -> String {
    let mut sdp = String::from(
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=Taimat\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=tool:Taimat\r\na=range:npt=now-\r\na=control:*\r\n",
    );
    if let Some(video) = &info.video {
        section(
            &mut sdp,
            "video",
            payload_type(TrackKind::Video, info),
            &video_lines(video),
        );
        line(
            &mut sdp,
            &format!("a=control:{}", control(TrackKind::Video)),
        );
    }
    if let Some(audio) = &info.audio {
        section(
            &mut sdp,
            "audio",
            payload_type(TrackKind::Audio, info),
            &audio_lines(audio),
        );
        line(
            &mut sdp,
            &format!("a=control:{}", control(TrackKind::Audio)),
        );
    }
    sdp
}

fn section(sdp: &mut String, kind: &str, payload_type: u8, (map, fmtp): &(String, String)) {
    line(sdp, &format!("m={kind} 0 RTP/AVP {payload_type}"));
    line(sdp, &format!("a=rtpmap:{payload_type} {map}"));
    if !fmtp.is_empty() {
        line(sdp, &format!("a=fmtp:{payload_type} {fmtp}"));
    }
}

fn line(sdp: &mut String, text: &str) {
    sdp.push_str(text);
    sdp.push_str("\r\n");
}

fn sets(list: &[Bytes]) -> String {
    list.iter()
        .map(|set| STANDARD.encode(set))
        .collect::<Vec<_>>()
        .join(",")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// `rtpmap` and `fmtp` (RFC 6184 section 8.2.1, RFC 7798 section 7.1).
fn video_lines(video: &VideoTrack) -> (String, String) {
    let params = &video.params;
    let fmtp = match video.codec {
        VideoCodec::H264 => {
            let level = params
                .profile_level_id()
                .map(|id| hex(&id))
                .unwrap_or_default();
            let all = [sets(&params.sps), sets(&params.pps)].join(",");
            format!("packetization-mode=1;profile-level-id={level};sprop-parameter-sets={all}")
        }
        VideoCodec::H265 => format!(
            "sprop-vps={};sprop-sps={};sprop-pps={}",
            sets(&params.vps),
            sets(&params.sps),
            sets(&params.pps)
        ),
        VideoCodec::Jpeg => String::new(),
    };
    (format!("{}/90000", video.codec.sdp_name()), fmtp)
}

fn audio_lines(audio: &AudioTrack) -> (String, String) {
    let (rate, channels) = (audio.rate, audio.channels);
    match &audio.codec {
        AudioCodec::Pcmu => (format!("PCMU/{rate}/{channels}"), String::new()),
        AudioCodec::Pcma => (format!("PCMA/{rate}/{channels}"), String::new()),
        AudioCodec::Opus => ("opus/48000/2".into(), String::new()),
        AudioCodec::Aac { config } => (
            format!("mpeg4-generic/{rate}/{channels}"),
            format!(
                "streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;\
                 indexdeltalength=3;config={}",
                hex(config)
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use taimat_media::VideoParams;

    #[test]
    fn describes_tracks_with_their_sets() {
        let params = VideoParams {
            codec: VideoCodec::H264,
            vps: Vec::new(),
            sps: vec![Bytes::from_static(&[0x67, 0x64, 0, 0x1F])],
            pps: vec![Bytes::from_static(&[0x68, 1])],
            width: 1,
            height: 1,
        };
        let config = Bytes::from_static(&[0x12, 0x10]);
        let info = StreamInfo {
            video: Some(VideoTrack {
                codec: VideoCodec::H264,
                params: Arc::new(params),
            }),
            audio: Some(AudioTrack {
                codec: AudioCodec::Aac { config },
                rate: 44_100,
                channels: 2,
            }),
        };
        let sdp = sdp(&info, |kind| format!("rtsp://h/{kind:?}"));
        for expected in [
            "a=fmtp:96 packetization-mode=1;profile-level-id=64001F;sprop-parameter-sets=Z2QAHw==,aAE=\r\n",
            "a=rtpmap:97 mpeg4-generic/44100/2\r\n",
            "config=1210\r\n",
            "a=control:rtsp://h/Audio\r\n",
        ] {
            assert!(sdp.contains(expected), "{expected} in {sdp}");
        }
    }
}
