//! All that an instance can reach.

use std::sync::Arc;

use taimat_base::CameraKey;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::context::InstanceContext;
use super::frames::FramesCapability;
use super::log::LogCapability;
use super::metrics::MetricsCapability;
use super::state::{Owner, StateCapability};
use super::wasi;
use crate::budget::Budget;
use crate::cpu::Meter;
use crate::limits::MemoryLimit;

/// All that an instance can reach: the data of its store.
pub(crate) struct HostState {
    pub(crate) memory: MemoryLimit,
    pub(crate) meter: Arc<Meter>,
    pub(crate) log: LogCapability,
    pub(crate) metrics: MetricsCapability,
    pub(crate) state: Option<StateCapability>,
    pub(crate) frames: FramesCapability,
    pub(crate) time: wasi::Time,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl HostState {
    pub(crate) fn new(context: &InstanceContext, camera: &CameraKey, budget: &Arc<Budget>) -> Self {
        let time = wasi::Time::default();
        let state = context.state_bytes.map(|quota| {
            let owner = Owner::new(camera, &context.plugin);
            StateCapability::new(Arc::clone(&context.store), owner, quota)
        });
        Self {
            memory: MemoryLimit::new(context.limits.memory_bytes),
            meter: Arc::default(),
            log: LogCapability::new(context, camera, budget),
            metrics: MetricsCapability::new(context, camera, budget),
            state,
            frames: FramesCapability::default(),
            wasi: wasi::context(&time, camera),
            time,
            table: ResourceTable::new(),
        }
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}
