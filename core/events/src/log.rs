//! The story of an event: what happened to it, one entry after the other.

use serde::{Deserialize, Serialize};
use taimat_contract::policy::{Take, Why};
use taimat_contract::{Attribute, Severity, UnixMicros};
use utoipa::ToSchema;

use crate::delivery::Delivery;
use crate::event::Event;
use crate::target;

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
    /// It was said what follows. Of questions that changed nothing only the first is noted.
    Ruled {
        /// The plugin that said it, or [`BUILT_IN`].
        by: String,
        /// Why it was asked.
        why: Why,
        /// Why the commune's policy did not say it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instead_of: Option<String>,
        /// The severity from then on, if it changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        severity: Option<Severity>,
        /// Nobody is told, for this reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        suppressed: Option<String>,
        /// Targets that are to be told.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tell: Vec<String>,
        /// Targets that were named and are not told.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        not_told: Vec<NotTold>,
        /// What is to be recorded.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        takes: Vec<Take>,
        /// What was written on the event.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<Attribute>,
        /// It is asked again then, whatever happens.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again: Option<UnixMicros>,
    },
    /// A message was worded.
    Composed {
        /// For whom.
        target: String,
        /// The delivery.
        delivery: u64,
        /// How many messages it is.
        messages: u32,
    },
    /// A target could not be reached.
    Tried {
        /// Whom.
        target: String,
        /// The delivery.
        delivery: u64,
        /// 1 is the first attempt. Of further ones only those are noted that fail in another way.
        attempt: u32,
        /// What came back.
        error: String,
        /// It is tried again then.
        again: UnixMicros,
    },
    /// A target has been told.
    Delivered {
        /// Who.
        target: String,
        /// The delivery.
        delivery: u64,
        /// The attempt that went well.
        attempt: u32,
    },
    /// Nobody tries to tell a target any more.
    Undelivered {
        /// Whom.
        target: String,
        /// The delivery.
        delivery: u64,
        /// Why.
        error: String,
    },
    /// The alerter had nothing to say.
    Skipped {
        /// To whom.
        target: String,
        /// The delivery.
        delivery: u64,
        /// Why.
        reason: String,
    },
    /// What waited was not sent.
    TakenBack {
        /// To whom.
        target: String,
        /// The delivery.
        delivery: u64,
        /// Why.
        reason: String,
    },
    /// Somebody wants it to be tried once more.
    Retried {
        /// The name that the person gave.
        who: String,
        /// Whom to reach.
        target: String,
        /// The delivery.
        delivery: u64,
    },
    /// Somebody tries whether a target can be reached.
    Tested {
        /// The name that the person gave.
        who: String,
        /// Whom to reach.
        target: String,
    },
}

/// The policy that is built in: the rules of the commune's file.
pub const BUILT_IN: &str = "rules";

/// A target that was named and is not told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotTold {
    /// Its name.
    pub target: String,
    /// Why it is not told.
    pub reason: NotToldReason,
    /// Whose silence it is, if that is why; none if it was taken back before it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence: Option<SilencedBy>,
}

/// The silence under which an event began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SilencedBy {
    /// Its number.
    pub number: u64,
    /// Who wants it.
    pub who: String,
    /// When it ends.
    pub until: UnixMicros,
    /// Why; may be empty.
    pub why: String,
}

/// Why a target that was named is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NotToldReason {
    /// The commune has no such target.
    Unknown,
    /// Somebody does not want to be told of such events.
    Silenced,
    /// The target is no more, as its alerter says.
    Gone,
    /// Too many messages wait already.
    Full,
    /// It stands for browsers, and none asked to be told of such events.
    Unwanted,
}

impl Happening {
    /// Why the policy is asked about it, if it is.
    pub(crate) fn asks(&self) -> Option<Why> {
        match self {
            Self::Opened => Some(Why::Opened),
            Self::Updated => Some(Why::Updated),
            Self::Closed => Some(Why::Closed),
            Self::Answered { .. } | Self::Reopened { .. } => Some(Why::Answered),
            // One browser of several is nobody's whole hope: if none is reached, that is said of the target.
            Self::Undelivered { target, .. } if target::browser(target).is_none() => {
                Some(Why::Undelivered)
            }
            _ => None,
        }
    }

    /// Whether a ruling has any consequence that people should find in the story.
    pub(crate) fn says_something(&self) -> bool {
        match self {
            Self::Ruled {
                why,
                severity,
                suppressed,
                tell,
                not_told,
                takes,
                notes,
                ..
            } => {
                let still = suppressed.is_some() || !not_told.is_empty();
                severity.is_some()
                    || !tell.is_empty()
                    || !takes.is_empty()
                    || !notes.is_empty()
                    // Said at every change of an event that goes on, it is nothing new.
                    || still && *why != Why::Updated
            }
            _ => true,
        }
    }

    /// Whether the event is another one after it: what was told of it before is out of date.
    pub(crate) fn changes(&self) -> bool {
        match self {
            Self::Updated
            | Self::Closed
            | Self::Answered { .. }
            | Self::Reopened { .. }
            | Self::Commented { .. }
            | Self::Assigned { .. } => true,
            Self::Ruled {
                severity, notes, ..
            } => severity.is_some() || !notes.is_empty(),
            _ => false,
        }
    }
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
    /// Who is or was told of it, the oldest first.
    pub deliveries: Vec<Delivery>,
}
