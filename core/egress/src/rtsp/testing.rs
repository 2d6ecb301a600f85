//! A channel that is live and served at `/thu/cho`, and places for its clients, for the tests of this
//! folder.

use std::sync::Arc;

use taimat_base::budget::{Budget, BudgetMetrics, Place};
use taimat_base::peer::PeerNetwork;
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

/// So many places for clients.
pub(super) fn places(limit: usize) -> Budget {
    let metrics = BudgetMetrics::register(&prometheus::Registry::new());
    Budget::new(metrics.unwrap().allot("rtsp", limit))
}

/// A place that nobody else wants.
pub(super) fn a_place() -> Place {
    places(1).enter(PeerNetwork::Alone(1)).unwrap()
}
