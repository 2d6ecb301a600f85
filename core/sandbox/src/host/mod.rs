//! What the host gives a plugin: one file a capability. Each says when it is granted, makes its
//! part of an instance, and answers the calls.

pub(crate) mod frames;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod state;
pub(crate) mod wasi;

use std::sync::Arc;

use taimat_base::CameraKey;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::cpu::Meter;
use crate::limits::{Limits, MemoryLimit};
use crate::metrics::PluginMetrics;

/// All that an instance can reach: the data of its store.
pub(crate) struct HostState {
    pub(crate) memory: MemoryLimit,
    pub(crate) meter: Arc<Meter>,
    pub(crate) log: log::Log,
    pub(crate) metrics: metrics::Metrics,
    pub(crate) state: Option<state::State>,
    pub(crate) frames: frames::Frames,
    pub(crate) time: wasi::Time,
    wasi: WasiCtx,
    table: ResourceTable,
}

/// What one plugin's instances share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) tail: Arc<log::Tail>,
    pub(crate) metrics: Arc<PluginMetrics>,
    pub(crate) store: Arc<state::Store>,
    pub(crate) state_bytes: Option<u64>,
    pub(crate) limits: Limits,
    pub(crate) plugin: Arc<str>,
}

impl HostState {
    pub(crate) fn new(shared: &Shared, camera: &CameraKey) -> Self {
        let time = wasi::Time::default();
        let state = shared.state_bytes.map(|quota| {
            let owner = state::Owner::new(camera, &shared.plugin);
            state::State::new(Arc::clone(&shared.store), owner, quota)
        });
        Self {
            memory: MemoryLimit::new(shared.limits.memory_bytes),
            meter: Arc::default(),
            log: log::Log::new(shared, camera),
            metrics: metrics::Metrics::new(shared, camera),
            state,
            frames: frames::Frames::default(),
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
