//! What the instances of one plugin have in common.

use std::sync::Arc;

use taimat_base::PluginId;
use taimat_contract::CommuneFacts;

use super::channels::ChannelGrant;
use super::state::StateStore;
use crate::limits::Limits;
use crate::metrics::PluginMetrics;
use crate::tail::Tail;

/// What the instances of one plugin have in common.
#[derive(Debug, Clone)]
pub(crate) struct InstanceContext {
    pub(crate) tail: Arc<Tail>,
    pub(crate) metrics: Arc<PluginMetrics>,
    pub(crate) store: Arc<StateStore>,
    /// Frames are asked for and granted.
    pub(crate) frames: bool,
    /// As much is asked for and granted.
    pub(crate) state_bytes: Option<u64>,
    /// What it may send by.
    pub(crate) channels: Arc<ChannelGrant>,
    pub(crate) facts: Arc<CommuneFacts>,
    pub(crate) limits: Limits,
    pub(crate) plugin: PluginId,
}
