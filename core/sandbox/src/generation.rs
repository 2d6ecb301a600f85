//! One load of a plugin with one set of settings: what instances are made of.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use taimat_contract::{Failure, PluginError};

use crate::host::InstanceContext;
use crate::load::Loaded;
use crate::place::Place;
use crate::spec::PluginSpec;

/// What instances are made of.
#[derive(Debug)]
pub(crate) struct Generation {
    /// Counted from 1 for each plugin.
    pub(crate) number: u64,
    /// The plugin's version.
    pub(crate) version: String,
    pub(crate) loaded: Loaded,
    pub(crate) context: InstanceContext,
    /// What the commune said when it was made.
    pub(crate) spec: Arc<PluginSpec>,
    proven: AtomicBool,
}

impl Generation {
    /// Made of what was loaded and what the commune says.
    pub(crate) fn new(
        number: u64,
        loaded: Loaded,
        context: InstanceContext,
        spec: &Arc<PluginSpec>,
    ) -> Self {
        Self {
            number,
            version: loaded.package.manifest.version.clone(),
            loaded,
            context,
            spec: Arc::clone(spec),
            proven: AtomicBool::new(false),
        }
    }

    /// It has passed its probation at one of its places.
    pub(crate) fn prove(&self) {
        self.proven.store(true, Ordering::Relaxed);
    }

    /// Whether it has passed its probation anywhere.
    pub(crate) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

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
