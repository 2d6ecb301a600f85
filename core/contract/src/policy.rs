//! A policy says what follows from an event, and what is recorded when.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use taimat_base::{CameraId, CommuneId, PluginId};
use utoipa::ToSchema;

use crate::bounds::{self, MEMO_BYTES, OutOfBounds, TEXT_BYTES, most};
use crate::detection::{Attribute, Severity, UnixMicros};
use crate::event::{Event, Phase};
use crate::failure::Unanswered;

/// Why a policy is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// The event has begun.
    Opened,
    /// Something about it changed.
    Updated,
    /// It is over.
    Closed,
    /// Somebody answered it, or took the answer back.
    Answered,
    /// The time that the policy wanted is over.
    Timer,
    /// A target that it named can not be reached.
    Undelivered,
}

/// How it stands with telling somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// Not yet: not before its time, or the target is being tried.
    Waiting,
    /// The target has it.
    Delivered,
    /// Given up.
    Failed,
    /// The alerter had nothing to say.
    Skipped,
}

/// Who was told about an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Told {
    /// The target.
    pub target: String,
    /// When the policy said so the first time.
    pub at: UnixMicros,
    /// How it stands.
    pub state: DeliveryState,
}

/// Another event in a few words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OtherEvent {
    /// Its id.
    pub id: String,
    /// Its camera, if it has one.
    #[schema(value_type = Option<String>)]
    pub camera: Option<CameraId>,
    /// What it is.
    pub kind: String,
    /// How much attention it deserves.
    pub severity: Severity,
    /// Where it stands.
    pub phase: Phase,
    /// When it began.
    pub began: UnixMicros,
    /// Somebody dealt with it.
    pub answered: bool,
    /// Somebody was told.
    pub told: bool,
}

/// What a policy gets to know besides the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Situation {
    /// Why it is asked.
    pub why: Why,
    /// The time.
    pub now: UnixMicros,
    /// How often it answered about this event before.
    pub asked: u32,
    /// The memo of its last answer about this event; empty the first time.
    pub memo: String,
    /// At most [`Situation::MAX_LISTED`].
    pub told: Vec<Told>,
    /// Those of the commune that are open or began within the last hour, this one left out: the newest
    /// first, at most [`Situation::MAX_LISTED`].
    pub others: Vec<OtherEvent>,
    /// Events of the same kind at the same camera within the last hour, this one included.
    pub same_last_hour: u32,
}

impl Situation {
    /// Who was told, and other events, at most.
    pub const MAX_LISTED: usize = 64;
}

/// To tell somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// Who, by the name that `commune.toml` has. Naming the same again tells the newer revision.
    pub target: String,
    /// Tell also, without being named again, when the event closes and when somebody answers it.
    pub follow: bool,
    /// Alerts for one target with the same group that wait at the same time go out together. Empty is
    /// alone.
    pub group: String,
    /// Not before; 0 is now.
    pub not_before: UnixMicros,
}

/// To record, at the event's camera or another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Take {
    /// The camera's name.
    pub camera: String,
    /// Seconds before the event began, at most 60; as far as they are still there.
    pub before: u32,
    /// Seconds from now on, at most 3600.
    pub after: u32,
    /// Keep that many days at least; 0 leaves it to storage. At most 3650.
    pub keep_days: u32,
}

/// What follows from an event. An empty one changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Ruling {
    /// The event's severity from now on.
    pub severity: Option<Severity>,
    /// Nobody is told, and what waits is taken back, for this reason. A later ruling may tell somebody
    /// all the same.
    pub suppress: Option<String>,
    /// Who is to be told, at most 32.
    pub alerts: Vec<Alert>,
    /// What is to be recorded, at most 16.
    pub takes: Vec<Take>,
    /// Ask again after so many seconds, whatever happens meanwhile; 0 is not. 5 to 604800.
    pub ask_again: u32,
    /// Written on the event in place of those with the same key, at most 16 altogether.
    pub notes: Vec<Attribute>,
    /// Comes back with the next question about this event, up to 4 KiB.
    pub memo: String,
}

impl Ruling {
    /// How far ahead somebody may be told.
    pub const MAX_AHEAD: Duration = Duration::from_secs(7 * 24 * 3600);

    /// The ruling, if it keeps to the contract. `now` is that of the question.
    pub fn checked(self, now: UnixMicros) -> Result<Self, OutOfBounds> {
        let reason = self.suppress.as_deref().unwrap_or("");
        most("bytes of the reason to suppress", reason.len(), TEXT_BYTES)?;
        most("alerts", self.alerts.len(), 32)?;
        for alert in &self.alerts {
            most("bytes of a target", alert.target.len(), 64)?;
            most("bytes of a group", alert.group.len(), 64)?;
            bounds::time("not-before", alert.not_before)?;
            let soon = alert.not_before <= now.after(Self::MAX_AHEAD);
            bounds::holds(soon, "not-before", "within the next 7 days")?;
        }
        most("takes", self.takes.len(), 16)?;
        for take in &self.takes {
            most("bytes of a camera's name", take.camera.len(), 64)?;
            bounds::between("before of a take", take.before, 0..=60, "0 to 60")?;
            bounds::between("after of a take", take.after, 0..=3600, "0 to 3600")?;
            let days = take.keep_days;
            bounds::between("keep-days of a take", days, 0..=3650, "0 to 3650")?;
        }
        if self.ask_again != 0 {
            let range = 5..=604_800;
            bounds::between("ask-again", self.ask_again, range, "0, or 5 to 604800")?;
        }
        bounds::attributes("notes", &self.notes, 16)?;
        most("bytes of the memo", self.memo.len(), MEMO_BYTES)?;
        Ok(self)
    }
}

/// What is recorded of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RecordingMode {
    /// As the commune's file says.
    #[default]
    Usual,
    /// Nothing.
    Off,
    /// Around events.
    OnEvent,
    /// All.
    Continuous,
}

/// A commune's policy, whatever instance of it is running at the moment. Answers come from the
/// arguments and from what the policy was given before: whoever asks writes them down first, and then
/// acts.
#[async_trait]
pub trait Policy: Send + Sync + Debug {
    /// What follows from an event.
    async fn on_event(&self, event: &Event, situation: &Situation) -> Result<Ruling, Unanswered>;
    /// What is recorded of a camera from now on. What the camera's owner has not allowed stays off.
    async fn recording(
        &self,
        camera: &CameraId,
        now: UnixMicros,
    ) -> Result<RecordingMode, Unanswered>;
}

/// Who knows the communes' policies.
pub trait Policies: Send + Sync + Debug {
    /// One of a commune's, by the name that its file has; none if no component of it runs, or it is none.
    /// It is asked for again with every question: `commune.toml` changes.
    fn policy(&self, commune: &CommuneId, name: &PluginId) -> Option<Arc<dyn Policy>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMicros = UnixMicros(1_800_000_000_000_000);

    fn alert() -> Alert {
        Alert {
            target: "duty".into(),
            follow: false,
            group: String::new(),
            not_before: UnixMicros(0),
        }
    }

    fn refused(change: impl FnOnce(&mut Ruling)) -> String {
        let mut ruling = Ruling::default();
        change(&mut ruling);
        let checked = ruling.checked(NOW);
        checked.map_or_else(|bad| bad.to_string(), |_good| String::new())
    }

    #[test]
    fn an_empty_ruling_is_good_and_what_is_beyond_a_bound_is_named() {
        assert_eq!(refused(|_| {}), "");
        let seven = NOW.after(Ruling::MAX_AHEAD);
        let later = |at| {
            move |r: &mut Ruling| {
                r.alerts.push(Alert {
                    not_before: at,
                    ..alert()
                })
            }
        };
        assert_eq!(refused(later(seven)), "");
        let too_late = refused(later(UnixMicros(seven.0 + 1)));
        assert_eq!(too_late, "not-before is not within the next 7 days");
        assert!(refused(later(UnixMicros(i64::MIN))).contains("2^53"));
        let many = refused(|r| r.alerts = vec![alert(); 33]);
        assert_eq!(many, "alerts: 33, at most 32");
        assert_eq!(refused(|r| r.ask_again = 5), "");
        assert!(refused(|r| r.ask_again = 4).contains("0, or 5 to 604800"));
        assert!(refused(|r| r.memo = "x".repeat(4097)).contains("4097, at most 4096"));
        let take = |after| Take {
            camera: "a".into(),
            before: 60,
            after,
            keep_days: 0,
        };
        assert_eq!(refused(|r| r.takes.push(take(3600))), "");
        assert!(refused(|r| r.takes.push(take(3601))).contains("after of a take"));
    }
}
