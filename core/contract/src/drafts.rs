//! Drafts: storage, alerter and policy plugins. Their worlds in `wit/plugin.wit` are marked
//! unstable and are not served yet; the shapes are here so that the sandbox is built for all four.

use std::fmt::Debug;

use async_trait::async_trait;
use taimat_base::CameraId;

use crate::detection::{Attribute, Detection, Severity, UnixMicros};
use crate::failure::Failure;

/// Detections that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its name.
    pub id: String,
    /// Where it stands.
    pub phase: Phase,
    /// The camera.
    pub camera: CameraId,
    /// What was seen.
    pub kind: String,
    /// How much attention it deserves.
    pub severity: Severity,
    /// When it began.
    pub began: UnixMicros,
    /// When it ended.
    pub ended: Option<UnixMicros>,
    /// The detection with the highest confidence.
    pub best: Detection,
    /// Who saw it.
    pub plugin: String,
    /// What else there is to say.
    pub extra: Vec<Attribute>,
}

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It began.
    Opened,
    /// It goes on.
    Updated,
    /// It is over.
    Closed,
}

/// A segment of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its name, valid during the call.
    pub id: u64,
    /// The camera.
    pub camera: CameraId,
    /// When it begins.
    pub start: UnixMicros,
    /// How long it is, in microseconds.
    pub duration_us: u64,
    /// How large it is.
    pub bytes: u64,
    /// Digest of its bytes.
    pub sha256: [u8; 32],
}

/// Where something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// A granted target.
    pub target: String,
    /// Its path there.
    pub path: String,
}

/// Decides where segments go and when they leave.
#[async_trait]
pub trait Storage: Send + Debug {
    /// A segment is complete. Returns where it was put.
    async fn on_segment(
        &mut self,
        segment: &Segment,
        events: &[Event],
    ) -> Result<Vec<Located>, Failure>;
    /// What may leave.
    async fn sweep(&mut self, now: UnixMicros, free_bytes: u64) -> Result<Vec<Located>, Failure>;
}

/// What became of telling somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Sent, with the receipt.
    Sent(String),
    /// Not sent, with the reason.
    Suppressed(String),
    /// To be tried again after so many seconds.
    Later(u32),
}

/// Tells people about events.
#[async_trait]
pub trait Alerter: Send + Debug {
    /// Events to tell; one outcome for each.
    async fn on_events(&mut self, events: &[Event], attempt: u32) -> Result<Vec<Outcome>, Failure>;
}

/// What somebody wants to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who.
    pub subject: String,
    /// In which roles.
    pub roles: Vec<String>,
    /// What, for example `watch-live`.
    pub act: String,
    /// With which camera.
    pub camera: CameraId,
    /// Whose camera it is.
    pub owner: String,
    /// When.
    pub at: UnixMicros,
    /// What for.
    pub purpose: Option<String>,
}

/// Whether somebody may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Allow,
    /// Yes, until then.
    AllowUntil(UnixMicros),
    /// No, with the reason.
    Deny(String),
}

/// The commune's rules.
#[async_trait]
pub trait Policy: Send + Debug {
    /// Whether somebody may do something.
    async fn decide(&mut self, request: &Request) -> Result<Decision, Failure>;
}
