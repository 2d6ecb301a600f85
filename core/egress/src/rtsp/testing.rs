//! A channel that is live and served at `/thu/cho`, for the tests of this folder.

use std::sync::Arc;

use bytes::Bytes;
use taimat_base::tasks::Stop;
use taimat_base::{CameraKey, Profile, clock};
use taimat_hub::{Channel, ChannelKey, Hub, Limits, SourceState, Status};
use taimat_media::{StreamInfo, VideoCodec, VideoParams, VideoTrack};
use tokio::sync::watch;

use super::shared::{Mounts, RtspShared};
use crate::metrics::EgressMetrics;
use crate::track::Tracks;

struct OneCamera(Arc<Channel>);

impl Mounts for OneCamera {
    fn find(&self, path: &str, _query: Option<&str>) -> Option<Arc<Channel>> {
        (path == "/thu/cho").then(|| Arc::clone(&self.0))
    }
}

/// What a connection shares with others, the channel, and what kicks connections.
pub(super) fn one_camera() -> (RtspShared, Arc<Channel>, watch::Sender<(u64, String)>) {
    let limits = Limits::default();
    let camera = CameraKey::new("thu".parse().unwrap(), "cho".parse().unwrap());
    let channel = Hub::new().ensure(&ChannelKey::new(camera, Profile::Main), limits);
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
    let (kick, kicked) = watch::channel((0, String::new()));
    let shared = RtspShared {
        mounts: Arc::new(OneCamera(Arc::clone(&channel))),
        tracks: Arc::new(Tracks::new(&Stop::new(), limits)),
        metrics: Arc::new(EgressMetrics::register(&prometheus::Registry::new()).unwrap()),
        kick: kicked,
    };
    (shared, channel, kick)
}
