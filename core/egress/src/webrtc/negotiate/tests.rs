use super::super::offer::tests::CHROMIUM;
use super::*;
use bytes::Bytes;
use std::sync::Arc;
use taimat_media::VideoParams;

pub(in super::super) fn info(
    codec: VideoCodec,
    profile: u8,
    audio: Option<AudioCodec>,
) -> StreamInfo {
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
fn a_viewer_without_h264_is_told_of_itself_and_not_of_the_camera() {
    let stream = info(VideoCodec::H264, 100, None);
    let told = |text: String| {
        let offer = Offer::parse(text.as_bytes()).unwrap();
        agree(&offer, &stream, [1, 2]).unwrap_err()
    };
    let without = told(CHROMIUM.replace("H264", "AV1"));
    assert!(!without.is_of_the_camera() && without.to_string().contains("it offers VP8, AV1"));
    let whole = told(CHROMIUM.replace("packetization-mode=1", "packetization-mode=0"));
    assert_eq!(whole, Mismatch::WholeUnitsOnly);
}

#[test]
fn h264_without_a_packetization_mode_is_taken_if_nothing_better_is_offered() {
    let stream = info(VideoCodec::H264, 100, None);
    let taken = |text: &str| {
        let offer = Offer::parse(text.as_bytes()).unwrap();
        agree(&offer, &stream, [1, 2])
            .unwrap()
            .video
            .send
            .payload_type
    };
    // 107 stays with mode 0.
    let unsaid = CHROMIUM.replace("packetization-mode=1;", "");
    assert_eq!(taken(&unsaid), 108);
    let one = unsaid.replacen("level-asymmetry-allowed=1;", "packetization-mode=1;", 1);
    assert_eq!(taken(&one), 103);
}
