//! A channel that is live and what it gets, for the tests of this package.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use taimat_base::{CameraKey, Profile, clock};
use taimat_hub::{Channel, ChannelKey, Hub, Limits, SourceState, Status};
use taimat_media::{
    AccessUnit, MediaTime, Start, StreamInfo, TrackKind, VideoCodec, VideoParams, VideoTrack, nal,
};

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

/// A picture to start with, of RTP time 4711 and three packets.
pub(crate) fn key_frame() -> AccessUnit {
    let mut data = BytesMut::new();
    nal::push(&mut data, &[0x65; 3000]);
    AccessUnit {
        track: TrackKind::Video,
        media_time: MediaTime::new(4711, 90_000),
        wall_time: clock::wall(),
        received: clock::now(),
        camera_time: None,
        keyframe: true,
        start: Some(Start::Idr),
        params: None,
        data: data.freeze(),
        lost_packets: 0,
        damaged: false,
    }
}
