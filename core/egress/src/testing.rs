//! A channel that is live, for the tests of this package.

use std::sync::Arc;

use bytes::Bytes;
use taimat_base::{CameraKey, Profile, clock};
use taimat_hub::{Channel, ChannelKey, Hub, Limits, SourceState, Status};
use taimat_media::{StreamInfo, VideoCodec, VideoParams, VideoTrack};

/// The main profile of `thu/cho`: H.264, no sound, nothing published yet.
pub(crate) fn live_channel() -> Arc<Channel> {
    let camera = CameraKey::new("thu".parse().unwrap(), "cho".parse().unwrap());
    let key = ChannelKey::new(camera, Profile::Main);
    let channel = Hub::new().ensure(&key, Limits::default());
    let params = VideoParams {
        codec: VideoCodec::H264,
        vps: Vec::new(),
        sps: vec![Bytes::from_static(&[0x67, 0x42, 0, 0x1F])],
        pps: Vec::new(),
        width: 64,
        height: 64,
    };
    channel.set_info(StreamInfo {
        video: Some(VideoTrack {
            codec: VideoCodec::H264,
            params: Arc::new(params),
        }),
        audio: None,
    });
    channel.set_status(Status::new(SourceState::Live, clock::wall()));
    channel
}
