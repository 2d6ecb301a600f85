//! What all plugins have in common: the engine and what stands around it.

use std::sync::Arc;

use taimat_contract::{DetectionSink, FrameSource};
use wasmtime::Engine;

use crate::compile::Compiler;
use crate::host::state::StateStore;
use crate::metrics::PluginFamilies;
use crate::proven::ProvenComponents;
use crate::room::InstanceRoom;

/// What all plugins have in common.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) engine: Engine,
    pub(crate) room: Arc<InstanceRoom>,
    pub(crate) compiler: Compiler,
    /// Where components that proved themselves are kept, if they are.
    pub(crate) proven: Option<ProvenComponents>,
    pub(crate) metrics: Arc<PluginFamilies>,
    pub(crate) store: Arc<StateStore>,
    pub(crate) source: Arc<dyn FrameSource>,
    pub(crate) sink: Arc<dyn DetectionSink>,
}
