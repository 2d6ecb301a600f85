//! How a plugin is doing, as others get to know it: what its task writes, and API and console read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde::Serialize;
use taimat_base::CameraId;
use taimat_contract::{Cause, UnixMicros, Want};
use utoipa::ToSchema;

use crate::host::log::{Line, Tail};
use crate::load::Surface;
use crate::metrics::PluginMetrics;
use crate::served::Served;

/// How a plugin is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PluginState {
    /// The commune has switched it off.
    Disabled,
    /// Its file is being read and compiled for the first time.
    Loading,
    /// It runs.
    Running,
    /// Its file was not accepted, and none was before.
    Refused,
}

/// How a plugin is doing at a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// The first instance is being made.
    Starting,
    /// It looks at frames.
    Running,
    /// It runs, and the one before is kept for the case that it fails.
    Probation,
    /// It failed again and again; there is a pause.
    Suspended,
    /// It does not accept its settings.
    Refused,
}

impl RunState {
    /// All, in their order.
    pub const ALL: [Self; 5] = [
        Self::Starting,
        Self::Running,
        Self::Probation,
        Self::Suspended,
        Self::Refused,
    ];

    /// As API and metrics have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Probation => "probation",
            Self::Suspended => "suspended",
            Self::Refused => "refused",
        }
    }
}

/// What is known about a plugin at a camera.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RunStatus {
    /// How it is doing.
    pub state: RunState,
    /// Which generation runs; 0 for none.
    pub generation: u64,
    /// Frames looked at.
    pub frames: u64,
    /// Detections taken over.
    pub detections: u64,
    /// Instances that ended by a fault or a limit.
    pub failures: u64,
    /// What it gets to see.
    pub want: Option<Want>,
}

/// Something that went wrong.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LastError {
    /// When.
    pub at: UnixMicros,
    /// What.
    pub text: String,
}

/// What is known about a plugin.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PluginStatus {
    /// Its name.
    pub name: String,
    /// How it is doing.
    pub state: PluginState,
    /// What runs is not what the file and the settings say now: that was refused, or failed on
    /// probation.
    pub change_refused: bool,
    /// Which load runs, counted from 1; 0 for none.
    pub generation: u64,
    /// The component that runs.
    pub component: Option<ComponentStatus>,
    /// What went wrong last.
    pub last_error: Option<LastError>,
    /// How it is doing at each camera.
    #[schema(value_type = BTreeMap<String, RunStatus>)]
    pub cameras: BTreeMap<CameraId, RunStatus>,
    /// What it uses.
    pub usage: Usage,
}

/// What is known about a component.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ComponentStatus {
    /// Its own name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the file.
    pub digest: String,
    /// Who signed it.
    pub signer: Option<String>,
    /// Size of the file.
    pub bytes: usize,
    /// Which version of the contract it is for.
    pub contract: Served,
    /// What it imports and exports.
    pub surface: Surface,
    /// Memory of an instance at most.
    pub memory_limit_bytes: usize,
    /// CPU time of a call at most, in milliseconds.
    pub call_limit_ms: f64,
    /// Part of a core at most.
    pub cpu_share: f64,
}

/// What a plugin uses and has done since the router started.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Usage {
    /// Instances.
    pub instances: i64,
    /// Linear memory of all instances.
    pub memory_bytes: i64,
    /// CPU time.
    pub cpu_seconds: f64,
    /// Calls.
    pub calls: u64,
    /// Detections.
    pub detections: u64,
    /// Frames not looked at.
    pub frames_skipped: u64,
    /// Instances ended, by cause.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub ended: BTreeMap<&'static str, u64>,
}

/// What the task shows.
#[derive(Debug)]
pub(crate) struct Face {
    name: String,
    pub(crate) tail: Arc<Tail>,
    pub(crate) metrics: Arc<PluginMetrics>,
    state: Mutex<Shown>,
}

/// What changes.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) state: PluginState,
    pub(crate) change_refused: bool,
    pub(crate) generation: u64,
    pub(crate) component: Option<ComponentStatus>,
    pub(crate) last_error: Option<LastError>,
    pub(crate) cameras: BTreeMap<CameraId, Arc<Mutex<RunStatus>>>,
}

impl Face {
    /// Of a plugin that is being loaded.
    pub(crate) fn new(name: &str, metrics: PluginMetrics) -> Self {
        Self {
            name: name.to_owned(),
            tail: Arc::default(),
            metrics: Arc::new(metrics),
            state: Mutex::new(Shown {
                state: PluginState::Loading,
                change_refused: false,
                generation: 0,
                component: None,
                last_error: None,
                cameras: BTreeMap::new(),
            }),
        }
    }

    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, Shown> {
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
