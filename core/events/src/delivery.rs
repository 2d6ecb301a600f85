//! A delivery: one target is told of one or some events.

use serde::{Deserialize, Serialize};
use taimat_contract::UnixMicros;
use taimat_contract::alerter::{Planned, Task};
use taimat_contract::message::Reply;
use taimat_contract::policy::DeliveryState;
use utoipa::ToSchema;

use crate::event::EventId;

/// How it stands with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryStatus {
    /// Not yet: not before its time, or the target is being tried.
    Waiting,
    /// The target has it.
    Delivered,
    /// Given up. A person may have it tried again.
    Failed,
    /// The alerter had nothing to say.
    Skipped,
    /// It was not sent, since the policy changed its mind.
    TakenBack,
}

impl DeliveryStatus {
    /// All of them. The place is what is kept on the disk.
    pub(crate) const ALL: [Self; 5] = [
        Self::Waiting,
        Self::Delivered,
        Self::Failed,
        Self::Skipped,
        Self::TakenBack,
    ];

    /// The number that is kept for it.
    pub(crate) fn number(self) -> i64 {
        self as i64
    }

    /// What a policy is told of it.
    pub(crate) fn told(self) -> DeliveryState {
        match self {
            Self::Waiting => DeliveryState::Waiting,
            Self::Delivered => DeliveryState::Delivered,
            Self::Failed => DeliveryState::Failed,
            Self::Skipped | Self::TakenBack => DeliveryState::Skipped,
        }
    }
}

/// A delivery, as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Delivery {
    /// Its number; rises.
    pub number: u64,
    /// Whom.
    pub target: String,
    /// How it stands.
    pub state: DeliveryStatus,
    /// Of which events.
    #[schema(value_type = Vec<String>)]
    pub events: Vec<EventId>,
    /// When it was ruled.
    pub made: UnixMicros,
    /// While it waits: when it is tried next.
    pub next: Option<UnixMicros>,
    /// How often something was sent.
    pub attempts: u32,
    /// What came back last when it did not go well.
    pub error: Option<String>,
    /// When it came to its end.
    pub ended: Option<UnixMicros>,
}

/// How far a delivery is. Kept on the disk before anything of it is sent, so that it is worded once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) task: Task,
    pub(crate) planned: Vec<Planned>,
    /// The message that is next, of `planned`.
    pub(crate) step: u32,
    /// Attempts at that message.
    pub(crate) attempt: u32,
    /// How often the alerter had others in their place.
    pub(crate) replaced: u32,
    /// An answer that nobody has read yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reply: Option<(Reply, UnixMicros)>,
    /// The newest receipt.
    #[serde(default)]
    pub(crate) receipt: String,
}

impl Progress {
    /// The message that is next.
    pub(crate) fn next(&self) -> Option<&Planned> {
        self.planned.get(usize::try_from(self.step).ok()?)
    }

    /// The same for every attempt at the same message, and for no other.
    pub(crate) fn message_key(&self) -> String {
        format!("{}-{}-{}", self.task.key, self.replaced, self.step)
    }
}
