//! What a commune says about one of its plugins.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use taimat_base::{CameraId, CameraKey, CommuneId, PluginId};
use taimat_contract::CommuneFacts;
use taimat_contract::package::PublicKey;

use crate::limits::LimitSettings;

/// What a commune grants a plugin.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Grant {
    /// Decoded frames: width at most, frames per second at most.
    pub frames: Option<(u32, f32)>,
    /// A memory that outlives instances, of so many bytes.
    pub state_bytes: Option<u64>,
    /// The channels that it may send by, of the commune's file.
    pub channels: BTreeSet<String>,
}

/// What a commune says about one of its plugins.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginSpec {
    /// The commune.
    pub commune: CommuneId,
    /// The plugin's name there.
    pub name: PluginId,
    /// Its file.
    pub component: PathBuf,
    /// Whether it is to run.
    pub enabled: bool,
    /// Where it is to run.
    pub cameras: Vec<CameraKey>,
    /// Its settings, as JSON.
    pub settings: String,
    /// Where it has others: all of them, as JSON.
    pub camera_settings: BTreeMap<CameraId, String>,
    /// What it is granted.
    pub grant: Grant,
    /// What it may know of the commune.
    pub facts: Arc<CommuneFacts>,
    /// Its limits.
    pub limits: LimitSettings,
    /// Whose signatures the commune trusts; empty for not asking.
    pub trusted_keys: Vec<PublicKey>,
}

impl PluginSpec {
    /// The settings at a camera, or of a plugin that is at none.
    pub fn settings_at(&self, camera: Option<&CameraId>) -> &str {
        let own = camera.and_then(|camera| self.camera_settings.get(camera));
        own.unwrap_or(&self.settings)
    }
}
