//! Where a plugin's task writes down how the plugin is doing, and others read it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use taimat_base::{CameraId, PluginId};
use taimat_contract::Cause;

use crate::metrics::PluginMetrics;
use crate::states::PluginState;
use crate::status::{ComponentStatus, LastError, PluginStatus, RunStatus, Usage};
use crate::tail::{Line, Tail};

/// What the task shows.
#[derive(Debug)]
pub(crate) struct StatusBoard {
    name: PluginId,
    pub(crate) tail: Arc<Tail>,
    pub(crate) metrics: Arc<PluginMetrics>,
    state: Mutex<Showing>,
}

/// What changes.
#[derive(Debug)]
pub(crate) struct Showing {
    pub(crate) state: PluginState,
    pub(crate) change_refused: bool,
    pub(crate) generation: u64,
    pub(crate) component: Option<ComponentStatus>,
    pub(crate) last_error: Option<LastError>,
    pub(crate) cameras: BTreeMap<CameraId, Arc<Mutex<RunStatus>>>,
}

impl StatusBoard {
    /// Of a plugin that is being loaded.
    pub(crate) fn new(name: &PluginId, metrics: PluginMetrics) -> Self {
        Self {
            name: name.clone(),
            tail: Arc::default(),
            metrics: Arc::new(metrics),
            state: Mutex::new(Showing {
                state: PluginState::Loading,
                change_refused: false,
                generation: 0,
                component: None,
                last_error: None,
                cameras: BTreeMap::new(),
            }),
        }
    }

    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, Showing> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The newest lines of its log.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.tail.lines()
    }

    pub(crate) fn status(&self) -> PluginStatus {
        let shown = self.lock();
        let cameras = shown.cameras.iter().map(|(camera, status)| {
            let status = status.lock().unwrap_or_else(|e| e.into_inner());
            (camera.clone(), status.clone())
        });
        let ended = Cause::ALL
            .iter()
            .map(|cause| (cause.as_str(), self.metrics.ended_count(*cause)))
            .filter(|(_, count)| *count > 0);
        PluginStatus {
            name: self.name.clone(),
            state: shown.state,
            change_refused: shown.change_refused,
            generation: shown.generation,
            component: shown.component.clone(),
            last_error: shown.last_error.clone(),
            cameras: cameras.collect(),
            usage: Usage {
                instances: self.metrics.instances.get(),
                memory_bytes: self.metrics.memory.get(),
                cpu_seconds: self.metrics.cpu.get(),
                calls: self.metrics.calls.get_sample_count(),
                detections: self.metrics.detections.get(),
                frames_skipped: self.metrics.frames_skipped.get(),
                ended: ended.collect(),
            },
        }
    }
}
