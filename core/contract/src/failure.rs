//! How a call of a plugin fails.

use std::fmt;

use serde::Serialize;

use crate::bounds::OutOfBounds;

/// What a plugin answers when it can not do its work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// The settings are wrong.
    #[error("settings: {0}")]
    Settings(String),
    /// It did not work now and may later.
    #[error("for now: {0}")]
    Retry(String),
    /// It will not work again in this instance.
    #[error("for good: {0}")]
    Fatal(String),
}

/// What ended an instance. A closed set: it is a label of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The code trapped: panic, unreachable, division by zero, access out of bounds.
    Trap,
    /// It ran longer than its CPU limit for one call.
    Cpu,
    /// The call took longer than its wall limit, waiting included.
    Wall,
    /// It asked for more memory than granted.
    Memory,
    /// Its stack was used up.
    Stack,
    /// It handed the host more bytes than one call may.
    Volume,
    /// What it returned is against the contract.
    Contract,
    /// It said itself that it can not go on.
    Fatal,
    /// It could not be instantiated.
    Start,
}

impl Cause {
    /// All causes.
    pub const ALL: [Self; 9] = [
        Self::Trap,
        Self::Cpu,
        Self::Wall,
        Self::Memory,
        Self::Stack,
        Self::Volume,
        Self::Contract,
        Self::Fatal,
        Self::Start,
    ];

    /// The word for metrics and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Cpu => "cpu",
            Self::Wall => "wall",
            Self::Memory => "memory",
            Self::Stack => "stack",
            Self::Volume => "volume",
            Self::Contract => "contract",
            Self::Fatal => "fatal",
            Self::Start => "start",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The plugin answered with an error; the instance lives on.
    #[error("the plugin says, {0}")]
    Said(PluginError),
    /// The instance is gone.
    #[error("ended by {cause}: {detail}")]
    Ended {
        /// Why.
        cause: Cause,
        /// What is known about it, for people.
        detail: String,
    },
}

impl Failure {
    /// An end with what is known about it.
    pub fn ended(cause: Cause, detail: impl Into<String>) -> Self {
        Self::Ended {
            cause,
            detail: detail.into(),
        }
    }

    /// Why the instance is gone, if it is.
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Self::Said(_) => None,
            Self::Ended { cause, .. } => Some(*cause),
        }
    }
}

impl From<PluginError> for Failure {
    fn from(error: PluginError) -> Self {
        match error {
            PluginError::Fatal(why) => Self::ended(Cause::Fatal, why),
            other => Self::Said(other),
        }
    }
}

impl From<OutOfBounds> for Failure {
    /// An answer that is over a bound is refused with the call, and its instance with it.
    fn from(bad: OutOfBounds) -> Self {
        Self::ended(Cause::Contract, bad.to_string())
    }
}

/// Why a question of the house was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// The call failed.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// Nothing of the plugin runs: it is being loaded, suspended, refused or switched off.
    #[error("the plugin does not run")]
    NotRunning,
    /// More questions wait for it than may.
    #[error("too many questions wait for the plugin")]
    Busy,
    /// The question itself is against the contract: it was not asked.
    #[error("not asked: {0}")]
    Unasked(String),
}
