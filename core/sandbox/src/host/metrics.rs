//! Capability `metrics`: always granted; few names, bounded labels.

use std::collections::BTreeSet;
use std::sync::Arc;

use taimat_base::CameraKey;

use super::Shared;
use crate::metrics::PluginMetrics;

/// Names of one plugin at one camera.
const MAX_NAMES: usize = 32;

/// An instance's part.
#[derive(Debug)]
pub(crate) struct Metrics {
    metrics: Arc<PluginMetrics>,
    camera: String,
    names: BTreeSet<String>,
}

impl Metrics {
    pub(super) fn new(shared: &Shared, camera: &CameraKey) -> Self {
        Self {
            metrics: Arc::clone(&shared.metrics),
            camera: camera.camera.to_string(),
            names: BTreeSet::new(),
        }
    }

    fn known(&mut self, name: &str) -> bool {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let good = (1..=48).contains(&name.len()) && name.chars().all(fits);
        if good && self.names.contains(name) {
            return true;
        }
        if good && self.names.len() < MAX_NAMES {
            self.names.insert(name.to_owned());
            self.metrics.remember(&self.camera, name);
            return true;
        }
        self.metrics.values_ignored.inc();
        false
    }

    pub(crate) fn add(&mut self, name: &str, delta: f64) {
        if delta.is_finite() && delta >= 0.0 && self.known(name) {
            self.metrics.count(&self.camera, name, delta);
        }
    }

    pub(crate) fn set(&mut self, name: &str, value: f64) {
        if value.is_finite() && self.known(name) {
            self.metrics.value(&self.camera, name, value);
        }
    }
}
