//! Where a plugin's task writes down how the plugin is doing, and others read it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use taimat_base::{CameraId, PluginId};
use taimat_contract::{Cause, SettingsSchema};

use crate::metrics::PluginMetrics;
use crate::place::Place;
use crate::states::{PluginState, RunState};
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
    /// What its settings may be, if it says so.
    pub(crate) schema: Option<Arc<SettingsSchema>>,
    pub(crate) last_error: Option<LastError>,
    cameras: BTreeMap<CameraId, SharedRunStatus>,
    commune: Option<SharedRunStatus>,
}

/// How it stands at a place, for others to read.
pub(crate) type SharedRunStatus = Arc<Mutex<RunStatus>>;

impl Showing {
    /// It runs there too.
    pub(crate) fn insert(&mut self, place: &Place, status: SharedRunStatus) {
        match place.camera() {
            Some(camera) => drop(self.cameras.insert(camera.clone(), status)),
            None => self.commune = Some(status),
        }
    }

    /// It runs there no more.
    pub(crate) fn remove(&mut self, place: &Place) {
        match place.camera() {
            Some(camera) => drop(self.cameras.remove(camera)),
            None => self.commune = None,
        }
    }

    /// How it is doing: what runs is refused if none of its places takes it.
    pub(crate) fn state(&self) -> PluginState {
        let mut places = self.places().peekable();
        let is_refused = |status: &SharedRunStatus| {
            let status = status.lock().unwrap_or_else(|e| e.into_inner());
            status.state == RunState::Refused
        };
        match self.state {
            PluginState::Running if places.peek().is_some() && places.all(is_refused) => {
                PluginState::Refused
            }
            state => state,
        }
    }

    /// How it stands at all its places.
    pub(crate) fn places(&self) -> impl Iterator<Item = &SharedRunStatus> {
        self.cameras.values().chain(&self.commune)
    }
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
                schema: None,
                last_error: None,
                cameras: BTreeMap::new(),
                commune: None,
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
        let read = |status: &SharedRunStatus| {
            let status = status.lock().unwrap_or_else(|e| e.into_inner());
            status.clone()
        };
        let cameras = shown.cameras.iter();
        let cameras = cameras.map(|(camera, status)| (camera.clone(), read(status)));
        let ended = Cause::ALL
            .iter()
            .map(|cause| (cause.as_str(), self.metrics.ended_count(*cause)))
            .filter(|(_, count)| *count > 0);
        PluginStatus {
            name: self.name.clone(),
            state: shown.state(),
            change_refused: shown.change_refused,
            generation: shown.generation,
            component: shown.component.clone(),
            last_error: shown.last_error.clone(),
            cameras: cameras.collect(),
            commune: shown.commune.as_ref().map(read),
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
