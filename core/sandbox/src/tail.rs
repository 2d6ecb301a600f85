//! The newest lines about a plugin: what it wrote, and what the host said about it.

use std::collections::VecDeque;
use std::sync::Mutex;

use serde::Serialize;
use taimat_base::{clock, text};
use taimat_contract::UnixMicros;

/// Lines kept for the console.
const KEPT: usize = 200;
/// Bytes of a line.
const LINE_BYTES: usize = 1024;

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
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
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
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
