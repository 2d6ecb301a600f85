//! What an event is.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use taimat_base::ids::IdError;
use taimat_base::{CameraId, CommuneId};
use taimat_contract::{Attribute, Detection, Severity, UnixMicros, event as contract};
use ulid::Ulid;
use utoipa::ToSchema;

/// Names an event: 26 of 0-9 and a-z, sorted by the time at which it was opened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct EventId(Ulid);

/// Why a text names no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event's name is 26 of 0-9 and a-z")]
pub struct BadEventId;

impl EventId {
    /// Of an event that is opened now; `random` tells it from others of the same millisecond.
    pub fn new(now: SystemTime, random: u128) -> Self {
        let since = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let milliseconds = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Self(Ulid::from_parts(milliseconds, random))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; ulid::ULID_LEN];
        let text = self.0.array_to_str(&mut buffer);
        text.make_ascii_lowercase();
        f.write_str(text)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EventId {
    type Err = BadEventId;
    fn from_str(text: &str) -> Result<Self, BadEventId> {
        let written = |c: u8| c.is_ascii_digit() || c.is_ascii_lowercase();
        if !text.bytes().all(written) {
            return Err(BadEventId);
        }
        Ulid::from_string(text).map(Self).map_err(|_odd| BadEventId)
    }
}

impl TryFrom<String> for EventId {
    type Error = BadEventId;
    fn try_from(text: String) -> Result<Self, BadEventId> {
        text.parse()
    }
}

impl From<EventId> for String {
    fn from(id: EventId) -> Self {
        id.to_string()
    }
}

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It has just begun.
    Opened,
    /// It goes on.
    Updated,
    /// It is over.
    Closed,
}

impl Phase {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Updated => "updated",
            Self::Closed => "closed",
        }
    }
}

impl From<Phase> for contract::Phase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Opened => Self::Opened,
            Phase::Updated => Self::Updated,
            Phase::Closed => Self::Closed,
        }
    }
}

/// Who dealt with an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventAnswer {
    /// The name that the person gave.
    pub who: String,
    /// When.
    pub at: UnixMicros,
    /// Reported as wrong: nothing was there.
    pub false_alarm: bool,
}

/// Detections that belong together, or something that the house saw itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its name.
    pub id: EventId,
    /// 1 when opened, one more with each change.
    pub revision: u32,
    /// Where it stands.
    pub phase: Phase,
    /// The commune.
    #[schema(value_type = String)]
    pub commune: CommuneId,
    /// The camera; none for what the house saw of itself.
    #[schema(value_type = Option<String>)]
    pub camera: Option<CameraId>,
    /// What was seen, as the detection says it.
    pub kind: String,
    /// How much attention it deserves.
    pub severity: Severity,
    /// When it began: the first detection.
    pub began: UnixMicros,
    /// The newest detection. Kept with every change, and now and then between them.
    pub last: UnixMicros,
    /// When it ended: the last detection. None while it is open.
    pub ended: Option<UnixMicros>,
    /// The detection with the highest confidence.
    pub best: Detection,
    /// How many detections it consists of.
    pub detections: u32,
    /// The plugin that saw it; [`HOUSE`] for what the house saw itself.
    pub plugin: String,
    /// There is a picture of it.
    pub picture: bool,
    /// Who dealt with it.
    pub answered: Option<EventAnswer>,
    /// Who is to deal with it.
    pub assigned: Option<String>,
    /// Somebody wanted not to be told of such events when it was opened.
    pub silenced: bool,
    /// What else there is to say; at most 16.
    pub extra: Vec<Attribute>,
}

/// Stands in place of a plugin's name where the house itself saw something. No plugin can have it:
/// the configuration refuses it.
pub const HOUSE: &str = "taimat";

impl Event {
    /// Whether it goes on.
    pub fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    /// As plugins are told of it.
    ///
    /// # Errors
    /// If its plugin has a name that no plugin can have.
    pub(crate) fn for_plugins(&self) -> Result<contract::Event, IdError> {
        let answered = self.answered.as_ref().map(|answer| contract::Answer {
            who: answer.who.clone(),
            at: answer.at,
            false_alarm: answer.false_alarm,
        });
        Ok(contract::Event {
            id: self.id.to_string(),
            revision: self.revision,
            phase: self.phase.into(),
            camera: self.camera.clone(),
            kind: self.kind.clone(),
            severity: self.severity,
            began: self.began,
            ended: self.ended,
            best: self.best.clone(),
            detections: self.detections,
            plugin: self.plugin.parse()?,
            picture: self.picture,
            clip: false,
            answered,
            extra: self.extra.clone(),
        })
    }
}

/// A picture of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPicture {
    /// As the camera saw it, a JPEG.
    pub plain: Vec<u8>,
    /// With what was detected drawn into it, a JPEG.
    pub marked: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_time_and_read_back() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let early = EventId::new(at(1_700_000_000), u128::MAX);
        let late = EventId::new(at(1_700_000_001), 0);
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!(early.to_string().parse(), Ok(early));
        assert_eq!(early.to_string().len(), 26);
        assert_eq!(
            early.to_string().to_uppercase().parse::<EventId>(),
            Err(BadEventId)
        );
        assert!("".parse::<EventId>().is_err());
        assert!("../../etc/passwd/aaaaaaaaaa".parse::<EventId>().is_err());
        let json = serde_json::to_string(&late).unwrap();
        assert_eq!(serde_json::from_str::<EventId>(&json).unwrap(), late);
    }
}
