//! One load of a plugin with one set of settings: what instances are made of.

use std::sync::{Arc, Mutex};

use taimat_base::bucket::Bucket;
use taimat_contract::{Failure, PluginError};

use crate::host::InstanceContext;
use crate::load::Loaded;
use crate::place::Place;
use crate::spec::PluginSpec;

/// CPU time that a plugin has left, in seconds: all its instances together.
pub(crate) type CpuShare = Arc<Mutex<Bucket>>;

/// What instances are made of.
#[derive(Debug, Clone)]
pub(crate) struct Generation {
    /// Counted from 1 for each plugin.
    pub(crate) number: u64,
    /// The plugin's version.
    pub(crate) version: String,
    pub(crate) share: CpuShare,
    pub(crate) loaded: Loaded,
    pub(crate) context: InstanceContext,
    /// What the commune said when it was made.
    pub(crate) spec: Arc<PluginSpec>,
}

impl Generation {
    /// Its settings at a place, as JSON, if they fit what the plugin says that they may be.
    pub(crate) fn settings(&self, place: &Place) -> Result<&str, Failure> {
        let settings = self.spec.settings_at(place.camera());
        let wrong = |why: String| Failure::Said(PluginError::Settings(why));
        let Some(schema) = &self.loaded.schema else {
            return Ok(settings);
        };
        let value = serde_json::from_str(settings).map_err(|e| wrong(e.to_string()))?;
        match schema.check(&value).first() {
            Some(mismatch) => Err(wrong(mismatch.to_string())),
            None => Ok(settings),
        }
    }
}
