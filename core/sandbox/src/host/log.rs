//! Capability `log`: always granted, within a rate.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde::Serialize;
use taimat_base::{CameraKey, clock, text};
use taimat_contract::UnixMicros;
use utoipa::ToSchema;

use super::Shared;
use crate::limits::Bucket;
use crate::metrics::PluginMetrics;

/// Lines kept for the console.
const KEPT: usize = 200;
/// Bytes of a line.
const LINE_BYTES: usize = 1024;

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Every step.
    Trace,
    /// For who looks for a mistake.
    Debug,
    /// For the operator.
    Info,
    /// Something is not as it should be.
    Warn,
    /// Something does not work.
    Error,
}

/// A line that a plugin wrote, or the host about it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Line {
    /// When.
    pub at: UnixMicros,
    /// How important it is.
    pub level: Level,
    /// About which camera; empty when about none.
    pub camera: String,
    /// What it says.
    pub text: String,
}

/// What a plugin says, as it is shown.
pub(crate) fn line(text: &str) -> String {
    text::line(text, LINE_BYTES)
}

/// The newest lines of a plugin.
#[derive(Debug, Default)]
pub(crate) struct Tail(Mutex<VecDeque<Line>>);

impl Tail {
    pub(crate) fn push(&self, level: Level, camera: &str, text: String) {
        let line = Line {
            at: clock::wall().into(),
            level,
            camera: camera.to_owned(),
            text,
        };
        let mut lines = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if lines.len() >= KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// The lines, the oldest first.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let lines = self.0.lock().unwrap_or_else(|e| e.into_inner());
        lines.iter().cloned().collect()
    }
}

/// An instance's part.
#[derive(Debug)]
pub(crate) struct Log {
    tail: Arc<Tail>,
    metrics: Arc<PluginMetrics>,
    camera: String,
    bucket: Bucket,
}

impl Log {
    pub(super) fn new(shared: &Shared, camera: &CameraKey) -> Self {
        let rate = f64::from(shared.limits.log_lines);
        Self {
            tail: Arc::clone(&shared.tail),
            metrics: Arc::clone(&shared.metrics),
            camera: camera.camera.to_string(),
            bucket: Bucket::new(rate, rate * 5.0),
        }
    }

    pub(crate) fn write(&mut self, level: Level, message: &str) {
        if !self.bucket.take(clock::now()) {
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
