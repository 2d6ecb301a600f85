//! Words for how a plugin is doing: in the API, in metrics, in the console.

use serde::Serialize;

/// How a plugin is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PluginState {
    /// The commune has switched it off.
    Disabled,
    /// Its file is being read and compiled for the first time.
    Loading,
    /// It runs.
    Running,
    /// Its file was not accepted, and none was before.
    Refused,
}

/// How a plugin is doing at a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// The first instance is being made.
    Starting,
    /// It looks at frames.
    Running,
    /// It runs and has not proved itself yet: the one before is kept for the case that it fails. Who is
    /// asked nothing stays so.
    Probation,
    /// It failed again and again, or says that it may start later; there is a pause.
    Suspended,
    /// It does not accept its settings.
    Refused,
}

impl RunState {
    /// All, in their order.
    pub const ALL: [Self; 5] = [
        Self::Starting,
        Self::Running,
        Self::Probation,
        Self::Suspended,
        Self::Refused,
    ];

    /// As API and metrics have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Probation => "probation",
            Self::Suspended => "suspended",
            Self::Refused => "refused",
        }
    }
}
