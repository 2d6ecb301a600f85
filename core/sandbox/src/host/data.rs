//! All that an instance can reach.

use std::sync::Arc;

use taimat_base::PluginId;
use taimat_contract::PluginError;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::commune::CommuneCapability;
use super::context::InstanceContext;
use super::frames::FramesCapability;
use super::log::LogCapability;
use super::metrics::MetricsCapability;
use super::state::{Owner, StateCapability};
use super::stderr::Stderr;
use super::wasi;
use crate::budget::Budget;
use crate::cpu::Meter;
use crate::limits::MemoryLimit;
use crate::place::Place;

/// All that an instance can reach: the data of its store.
pub(crate) struct HostState {
    pub(crate) memory: MemoryLimit,
    pub(crate) meter: Arc<Meter>,
    pub(crate) log: LogCapability,
    pub(crate) metrics: MetricsCapability,
    pub(crate) state: Result<StateCapability, PluginError>,
    pub(crate) frames: FramesCapability,
    pub(crate) commune: CommuneCapability,
    pub(crate) stderr: Stderr,
    pub(crate) time: wasi::Time,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl HostState {
    pub(crate) fn new(context: &InstanceContext, place: &Place, budget: &Arc<Budget>) -> Self {
        let (time, stderr) = (wasi::Time::default(), Stderr::default());
        let owner = Owner::new(place, &context.plugin);
        let state = match context.granted.state_bytes {
            Some(quota) => Ok(StateCapability::new(
                Arc::clone(&context.common.store),
                owner,
                quota,
            )),
            None => Err(ungranted("state", &context.plugin)),
        };
        Self {
            memory: MemoryLimit::new(context.limits.memory_bytes),
            meter: Arc::default(),
            log: LogCapability::new(context, place, budget),
            metrics: MetricsCapability::new(context, budget),
            state,
            frames: FramesCapability::new(context.granted.frames.is_some()),
            wasi: wasi::context(&time, &stderr, place),
            stderr,
            commune: CommuneCapability::new(Arc::clone(&context.facts)),
            time,
            table: ResourceTable::new(),
        }
    }
}

impl HostState {
    /// From now on what is written to the state waits until it is committed.
    pub(crate) fn hold_state(&mut self) {
        if let Ok(state) = &mut self.state {
            state.hold();
        }
    }
}

/// What an interface answers that is not granted.
fn ungranted(interface: &str, plugin: &PluginId) -> PluginError {
    PluginError::Settings(format!(
        "{interface} is not granted: [requests] of the manifest and `grant` of [plugin.{plugin}] both \
         have to name it"
    ))
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}
