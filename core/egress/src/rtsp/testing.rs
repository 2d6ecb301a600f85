//! A channel that is live and served at `/thu/cho`, for the tests of this folder.

use std::sync::Arc;

use taimat_base::tasks::Stop;
use taimat_hub::{Channel, Limits};
use tokio::sync::watch;

use super::mounts::{Mounts, RtspShared};
use crate::metrics::EgressMetrics;
use crate::testing::live_channel;
use crate::track::Tracks;

struct OneCamera(Arc<Channel>);

impl Mounts for OneCamera {
    fn find(&self, path: &str, _query: Option<&str>) -> Option<Arc<Channel>> {
        (path == "/thu/cho").then(|| Arc::clone(&self.0))
    }
}

/// What a connection shares with others, the channel, and what kicks connections.
pub(super) fn one_camera() -> (RtspShared, Arc<Channel>, watch::Sender<(u64, String)>) {
    let channel = live_channel();
    let (kick, kicked) = watch::channel((0, String::new()));
    let shared = RtspShared {
        mounts: Arc::new(OneCamera(Arc::clone(&channel))),
        tracks: Arc::new(Tracks::new(&Stop::new(), Limits::default())),
        metrics: Arc::new(EgressMetrics::register(&prometheus::Registry::new()).unwrap()),
        kick: kicked,
    };
    (shared, channel, kick)
}
