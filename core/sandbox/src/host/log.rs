//! Capability `log`: always granted, within a rate.

use std::sync::Arc;

use taimat_base::clock;

use super::context::InstanceContext;
use crate::budget::Budget;
use crate::metrics::PluginMetrics;
use crate::place::Place;
use crate::tail::{Level, Tail, line};

/// An instance's part.
#[derive(Debug)]
pub(crate) struct LogCapability {
    tail: Arc<Tail>,
    metrics: Arc<PluginMetrics>,
    camera: String,
    budget: Arc<Budget>,
}

impl LogCapability {
    pub(super) fn new(context: &InstanceContext, place: &Place, budget: &Arc<Budget>) -> Self {
        Self {
            tail: Arc::clone(&context.common.tail),
            metrics: Arc::clone(&context.common.metrics),
            camera: place.label().to_owned(),
            budget: Arc::clone(budget),
        }
    }

    pub(crate) fn write(&self, level: Level, message: &str) {
        if !self.budget.log_line(clock::now()) {
            self.metrics.log_dropped.inc();
            return;
        }
        self.metrics.log_lines.inc();
        let text = line(message);
        match level {
            Level::Trace => tracing::trace!(camera = self.camera, "{text}"),
            Level::Debug => tracing::debug!(camera = self.camera, "{text}"),
            Level::Info => tracing::info!(camera = self.camera, "{text}"),
            Level::Warn => tracing::warn!(camera = self.camera, "{text}"),
            Level::Error => tracing::error!(camera = self.camera, "{text}"),
        }
        self.tail.push(level, &self.camera, text);
    }
}
