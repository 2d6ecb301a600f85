//! Capability `metrics`: always granted; few names, bounded labels.

use std::sync::Arc;

use super::context::InstanceContext;
use crate::budget::Budget;
use crate::metrics::PluginMetrics;
use crate::place::Place;

/// An instance's part.
#[derive(Debug)]
pub(crate) struct MetricsCapability {
    metrics: Arc<PluginMetrics>,
    camera: String,
    budget: Arc<Budget>,
}

impl MetricsCapability {
    pub(super) fn new(context: &InstanceContext, place: &Place, budget: &Arc<Budget>) -> Self {
        Self {
            metrics: Arc::clone(&context.metrics),
            camera: place.label().to_owned(),
            budget: Arc::clone(budget),
        }
    }

    fn known(&self, name: &str) -> bool {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let good = (1..=48).contains(&name.len()) && name.chars().all(fits);
        let known = good && self.budget.metric(name);
        if known {
            self.metrics.remember(&self.camera, name);
        } else {
            self.metrics.values_ignored.inc();
        }
        known
    }

    pub(crate) fn add(&self, name: &str, delta: f64) {
        if delta.is_finite() && delta >= 0.0 && self.known(name) {
            self.metrics.count(&self.camera, name, delta);
        }
    }

    pub(crate) fn set(&self, name: &str, value: f64) {
        if value.is_finite() && self.known(name) {
            self.metrics.value(&self.camera, name, value);
        }
    }
}
