//! Events: what the host made of detections, or saw itself.

use serde::{Deserialize, Serialize};
use taimat_base::{CameraId, PluginId};
use utoipa::ToSchema;

use crate::detection::{Attribute, Detection, Severity, UnixMicros};

/// Where an event stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It has begun.
    Opened,
    /// Something about it changed.
    Updated,
    /// It is over.
    Closed,
}

/// Who dealt with an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Answer {
    /// The person, or the rule, that did.
    pub who: String,
    /// When.
    pub at: UnixMicros,
    /// Reported as wrong: nothing was there.
    pub false_alarm: bool,
}

/// Detections that belong together, as the host keeps them, or something that the host saw itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Up to 32 of 0-9 and a-z. Ids sort by time, and are the same on every machine.
    pub id: String,
    /// 1 when opened; one more with each change.
    pub revision: u32,
    /// Where it stands.
    pub phase: Phase,
    /// The camera; none for an event of the host that has none.
    #[schema(value_type = Option<String>)]
    pub camera: Option<CameraId>,
    /// What it is, for example `motion` or `camera-lost`.
    pub kind: String,
    /// How much attention it deserves.
    pub severity: Severity,
    /// When it began.
    pub began: UnixMicros,
    /// When it ended; none while it is open.
    pub ended: Option<UnixMicros>,
    /// The detection with the highest confidence.
    pub best: Detection,
    /// How many detections it consists of.
    pub detections: u32,
    /// The plugin that saw it; [`Event::HOST`] for what the host saw.
    #[schema(value_type = String)]
    pub plugin: PluginId,
    /// There is a picture of it.
    pub picture: bool,
    /// There is a clip of it.
    pub clip: bool,
    /// Who dealt with it.
    pub answered: Option<Answer>,
    /// What the policy wrote on it, at most 16.
    pub extra: Vec<Attribute>,
}

impl Event {
    /// The plugin of events that the host makes.
    pub const HOST: &str = "taimat";
}
