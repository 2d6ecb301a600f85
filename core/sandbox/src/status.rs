//! How a plugin is doing, as API and console read it.

use std::collections::BTreeMap;

use serde::Serialize;
use taimat_base::{CameraId, PluginId};
use taimat_contract::{Kind, UnixMicros, Want};
use utoipa::ToSchema;

use crate::states::{PluginState, RunState};
use crate::surface::Surface;
use crate::version::ContractVersion;

/// What is known about a plugin at a camera.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RunStatus {
    /// How it is doing.
    pub state: RunState,
    /// Which generation runs; 0 for none.
    pub generation: u64,
    /// Frames looked at, or questions answered.
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
    #[schema(value_type = String)]
    pub name: PluginId,
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
    /// How it is doing in the commune, if it is of a kind that has one instance there.
    pub commune: Option<RunStatus>,
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
    /// Its kind.
    pub kind: Kind,
    /// SHA-256 of the file.
    pub digest: String,
    /// Who signed it.
    pub signer: Option<String>,
    /// Size of the file.
    pub bytes: usize,
    /// Which version of the contract it is for.
    pub contract: ContractVersion,
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
