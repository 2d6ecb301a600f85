//! What the instances of one plugin have in common.

use std::sync::Arc;

use taimat_base::PluginId;
use taimat_contract::{CommuneFacts, Manifest};

use super::state::StateStore;
use crate::cpu::CpuShare;
use crate::granted::Granted;
use crate::limits::Limits;
use crate::metrics::PluginMetrics;
use crate::spec::PluginSpec;
use crate::tail::Tail;

/// What stays a plugin's over all its generations.
#[derive(Debug, Clone)]
pub(crate) struct PluginCommon {
    pub(crate) tail: Arc<Tail>,
    pub(crate) metrics: Arc<PluginMetrics>,
    pub(crate) store: Arc<StateStore>,
    /// CPU time that it has left.
    pub(crate) share: Arc<CpuShare>,
}

/// What the instances of one generation of a plugin have in common.
#[derive(Debug, Clone)]
pub(crate) struct InstanceContext {
    pub(crate) plugin: PluginId,
    pub(crate) common: PluginCommon,
    /// What it asks for and is granted.
    pub(crate) granted: Arc<Granted>,
    pub(crate) limits: Limits,
    pub(crate) facts: Arc<CommuneFacts>,
}

impl InstanceContext {
    /// Of a component with this manifest, as the commune has it.
    pub(crate) fn new(
        common: &PluginCommon,
        spec: &PluginSpec,
        manifest: &Manifest,
        granted: Granted,
    ) -> Self {
        Self {
            plugin: spec.name.clone(),
            common: common.clone(),
            granted: Arc::new(granted),
            limits: Limits::resolve(manifest, &spec.limits),
            facts: Arc::clone(&spec.facts),
        }
    }
}
