//! What a connection needs of the rest of the house.

use std::sync::Arc;

use taimat_hub::Channel;
use tokio::sync::watch;

use crate::metrics::EgressMetrics;
use crate::track::Tracks;

/// Where clients find channels.
pub trait Mounts: Send + Sync + 'static {
    /// The channel at a URL's path and query.
    fn find(&self, path: &str, query: Option<&str>) -> Option<Arc<Channel>>;
}

/// What all connections share.
pub(super) struct RtspShared {
    pub(super) mounts: Arc<dyn Mounts>,
    pub(super) tracks: Arc<Tracks>,
    pub(super) metrics: Arc<EgressMetrics>,
    pub(super) kick: watch::Receiver<(u64, String)>,
}
