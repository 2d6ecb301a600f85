//! Capability `metrics`: always granted; few names, bounded labels.

use std::sync::Arc;

use super::context::InstanceContext;
use crate::budget::Budget;
use crate::metrics::{OwnMetrics, PluginMetrics};

/// An instance's part.
#[derive(Debug)]
pub(crate) struct MetricsCapability {
    metrics: Arc<PluginMetrics>,
    budget: Arc<Budget>,
}

impl MetricsCapability {
    pub(super) fn new(context: &InstanceContext, budget: &Arc<Budget>) -> Self {
        Self {
            metrics: Arc::clone(&context.common.metrics),
            budget: Arc::clone(budget),
        }
    }

    fn write(&self, name: &str, write: impl FnOnce(&OwnMetrics) -> bool) {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let good = (1..=48).contains(&name.len()) && name.chars().all(fits);
        // Who has no place yet is not counted anywhere.
        let written = good && self.budget.own.as_ref().is_none_or(write);
        if !written {
            self.metrics.values_ignored.inc();
        }
    }

    pub(crate) fn add(&self, name: &str, delta: f64) {
        if delta.is_finite() && delta >= 0.0 {
            self.write(name, |own| own.add(name, delta));
        }
    }

    pub(crate) fn set(&self, name: &str, value: f64) {
        if value.is_finite() {
            self.write(name, |own| own.set(name, value));
        }
    }
}
