//! The story of an event: what happened to it, one entry after the other.

use serde::{Deserialize, Serialize};
use taimat_contract::UnixMicros;
use utoipa::ToSchema;

use crate::event::Event;

/// What happened to an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Happening {
    /// It began.
    Opened,
    /// A better detection came.
    Updated,
    /// It is over.
    Closed,
    /// Somebody dealt with it.
    Answered {
        /// The name that the person gave.
        who: String,
        /// Reported as wrong: nothing was there.
        false_alarm: bool,
    },
    /// Somebody took the answer back.
    Reopened {
        /// The name that the person gave.
        who: String,
    },
    /// Somebody wrote something about it.
    Commented {
        /// The name that the person gave.
        who: String,
        /// What was written.
        text: String,
    },
    /// Somebody is to deal with it.
    Assigned {
        /// The name that the person gave.
        who: String,
        /// Who is to deal with it; none is nobody any more.
        to: Option<String>,
    },
}

/// An entry of an event's story.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    /// Its number in the log of all events: rises, and is never given twice.
    pub seq: u64,
    /// The event's revision after it.
    pub revision: u32,
    /// When it was written down.
    pub at: UnixMicros,
    /// What happened.
    #[serde(flatten)]
    pub happening: Happening,
}

/// What is told once it is on the disk: an entry, and the event after it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Told {
    /// What happened.
    pub entry: LogEntry,
    /// The event as it is now.
    pub event: Event,
}

/// An event and its story.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Story {
    /// The event.
    pub event: Event,
    /// What happened to it, in order.
    pub log: Vec<LogEntry>,
}
