//! An alerter words events as messages, and reads the answers.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use taimat_base::{CameraId, CommuneId, PluginId};

use crate::bounds::{self, MEMO_BYTES, OutOfBounds, TEXT_BYTES, most};
use crate::detection::{Attribute, UnixMicros};
use crate::event::Event;
use crate::failure::Unanswered;
use crate::message::{Outgoing, Reply};

/// What an alerter returned as the receipt of an earlier revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The revision.
    pub revision: u32,
    /// When it was delivered.
    pub at: UnixMicros,
    /// What the alerter made of the answer.
    pub text: String,
}

/// One event of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// The event.
    pub event: Event,
    /// Of the event's page, for people who may sign in.
    pub link: String,
    /// For services that fetch the picture themselves: signed, valid for a day.
    pub picture_link: Option<String>,
    /// The same for the clip.
    pub clip_link: Option<String>,
    /// Who follows it can answer the event without signing in.
    pub answer_link: Option<String>,
    /// At most [`Item::MAX_EARLIER`], the newest first: to change, or to add to, what was sent before.
    pub earlier: Vec<Receipt>,
}

impl Item {
    /// Earlier receipts at most.
    pub const MAX_EARLIER: usize = 8;
}

/// To tell a target about events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The same for every attempt at the same thing, up to 64 of 0-9, a-z, `-` and `_`.
    pub key: String,
    /// Whom, by the name that `commune.toml` has.
    pub target: String,
    /// What the commune's file says of the target, at most 32.
    pub address: Vec<Attribute>,
    /// 1 to [`Task::MAX_ITEMS`], the oldest first.
    pub items: Vec<Item>,
    /// When it was composed; `judge` gets the same.
    pub now: UnixMicros,
}

impl Task {
    /// Events of one task at most.
    pub const MAX_ITEMS: usize = 32;
    /// What the commune's file says of a target, at most.
    pub const MAX_ADDRESS: usize = 32;
}

/// A message that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// The message.
    pub message: Outgoing,
    /// Comes back with the reply, up to 4 KiB.
    pub memo: String,
}

/// What becomes of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// In this order; each is sent when the one before was delivered.
    Send(Vec<Planned>),
    /// Nothing to send, with the reason.
    Skip(String),
}

/// The message that a reply is to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// 0 is the first of the task.
    pub step: u32,
    /// 1 is its first attempt.
    pub attempt: u32,
    /// When the reply came.
    pub at: UnixMicros,
    /// What the alerter wrote on the message.
    pub memo: String,
}

/// What a reply means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As the host reads it: 2xx is delivered; 408, 425, 429, 5xx and `failed` are tried again, with
    /// Retry-After when it is given; other codes are given up; `accepted` and `bytes` are delivered.
    Usual,
    /// With the receipt, which may be empty.
    Delivered(String),
    /// Try the same again after so many seconds, 1 to 86400; 0 is when the host thinks fit.
    Again(u32),
    /// This will never work, with the reason.
    GiveUp(String),
    /// The target is no more. It is told nothing until the commune's file says it anew.
    Gone(String),
    /// In place of this one and of what was still planned.
    Instead(Vec<Planned>),
}

fn planned(messages: &[Planned]) -> Result<(), OutOfBounds> {
    most("messages", messages.len(), Outgoing::MAX_MESSAGES)?;
    let mut bytes = 0;
    for Planned { message, memo } in messages {
        most("bytes of the memo", memo.len(), MEMO_BYTES)?;
        bytes += message.checked()? + memo.len();
    }
    most("bytes of all messages", bytes, Outgoing::MAX_BYTES)
}

impl Decision {
    /// The decision, if it keeps to the contract.
    pub fn checked(self) -> Result<Self, OutOfBounds> {
        match &self {
            Self::Send(messages) => planned(messages)?,
            Self::Skip(why) => most("bytes of the reason", why.len(), TEXT_BYTES)?,
        }
        Ok(self)
    }
}

impl Verdict {
    /// The verdict, if it keeps to the contract.
    pub fn checked(self) -> Result<Self, OutOfBounds> {
        match &self {
            Self::Usual => {}
            Self::Delivered(receipt) => most("bytes of the receipt", receipt.len(), TEXT_BYTES)?,
            Self::Again(seconds) => {
                bounds::between("again", *seconds, 0..=86_400, "0 to 86400")?;
            }
            Self::GiveUp(why) | Self::Gone(why) => {
                most("bytes of the reason", why.len(), TEXT_BYTES)?;
            }
            Self::Instead(messages) => planned(messages)?,
        }
        Ok(self)
    }
}

/// How a camera is doing, for who tells it without events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CameraState {
    /// Its name.
    pub name: CameraId,
    /// It gives pictures.
    pub online: bool,
    /// Since when it does, or does not.
    pub since: UnixMicros,
    /// Kinds of the events that it had within 30 days, at most [`CameraState::MAX_KINDS`].
    pub kinds: Vec<String>,
    /// Kinds of those that are open now, as many at most.
    pub open: Vec<String>,
}

impl CameraState {
    /// Kinds of either list at most.
    pub const MAX_KINDS: usize = 64;
}

/// What is to stand at a target without events.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Chores {
    /// At most [`Chores::MAX_MESSAGES`]. Sent once, in order, not tried again. What is published with
    /// `retain` is what is to stand: what is no longer among them is cleared.
    pub messages: Vec<Outgoing>,
    /// Ask again after so many seconds; 0 leaves it at changes. 10 to 86400.
    pub ask_again: u32,
}

impl Chores {
    /// Messages at most.
    pub const MAX_MESSAGES: usize = 1024;
    /// Bytes of all messages at most, media not counted.
    pub const MAX_BYTES: usize = 1 << 20;

    /// The chores, if they keep to the contract.
    pub fn checked(self) -> Result<Self, OutOfBounds> {
        most("messages", self.messages.len(), Self::MAX_MESSAGES)?;
        let mut bytes = 0;
        for message in &self.messages {
            bytes += message.checked()?;
        }
        most("bytes of all messages", bytes, Self::MAX_BYTES)?;
        if self.ask_again != 0 {
            let range = 10..=86_400;
            bounds::between("ask-again", self.ask_again, range, "0, or 10 to 86400")?;
        }
        Ok(self)
    }
}

/// One of a commune's alerters, whatever instance of it is running at the moment. Answers come from
/// the arguments and from what it was given before: whoever asks writes them down first, and then
/// sends.
#[async_trait]
pub trait Alerter: Send + Sync + Debug {
    /// Asked once for a task; the answer is kept until all of it is delivered or given up.
    async fn compose(&self, task: &Task) -> Result<Decision, Unanswered>;
    /// What a reply means.
    async fn judge(&self, task: &Task, sent: &Sent, reply: &Reply) -> Result<Verdict, Unanswered>;
    /// What is to stand at a target without events; none when it has no such thing.
    async fn tend(
        &self,
        target: &str,
        address: &[Attribute],
        cameras: &[CameraState],
        now: UnixMicros,
    ) -> Result<Option<Chores>, Unanswered>;
}

/// Who knows the communes' alerters.
pub trait Alerters: Send + Sync + Debug {
    /// One of a commune's, by the name that its file has. It is asked for again with every question:
    /// `commune.toml` changes.
    fn alerter(&self, commune: &CommuneId, name: &PluginId) -> Option<Arc<dyn Alerter>>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Wire;

    fn wire(bytes: usize) -> Outgoing {
        Outgoing::Wire(Wire {
            channel: "horn".into(),
            bytes: vec![0; bytes],
            answer_bytes: 0,
        })
    }

    fn plan(memo: usize) -> Planned {
        Planned {
            message: wire(8),
            memo: "x".repeat(memo),
        }
    }

    #[test]
    fn an_answer_has_few_messages_and_short_memos() {
        assert!(Decision::Send(vec![plan(4096); 16]).checked().is_ok());
        assert!(Decision::Send(vec![plan(0); 17]).checked().is_err());
        assert!(Decision::Send(vec![plan(4097)]).checked().is_err());
        assert!(Verdict::Instead(vec![plan(0); 17]).checked().is_err());
        assert!(Decision::Skip("x".repeat(1025)).checked().is_err());
        assert!(Verdict::Again(86_400).checked().is_ok());
        assert!(Verdict::Again(86_401).checked().is_err());
    }

    #[test]
    fn chores_are_bounded_by_count_and_bytes() {
        let chores = |messages: Vec<Outgoing>, ask_again| Chores {
            messages,
            ask_again,
        };
        assert!(chores(vec![wire(1); 1024], 0).checked().is_ok());
        assert!(chores(vec![wire(1); 1025], 0).checked().is_err());
        assert!(chores(vec![wire(1100); 1000], 0).checked().is_err());
        assert!(chores(Vec::new(), 9).checked().is_err());
    }
}
