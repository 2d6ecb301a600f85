//! What communes' files say about recording.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use taimat_base::{CameraKey, CommuneId, PluginId, Profile};
use taimat_contract::hours::{DayKinds, Hours, Moment};
use taimat_contract::policy::RecordingMode;
use taimat_contract::{CommuneFacts, Severity, UnixMicros};

/// What is recorded of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Nothing.
    Off,
    /// What events are about, with what came before.
    OnEvent,
    /// All.
    Continuous,
}

impl Mode {
    /// What a policy says, over what the file says.
    pub fn ruled(self, by: RecordingMode) -> Self {
        match by {
            RecordingMode::Usual => self,
            RecordingMode::Off => Self::Off,
            RecordingMode::OnEvent => Self::OnEvent,
            RecordingMode::Continuous => Self::Continuous,
        }
    }

    /// Its word in configuration and API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::OnEvent => "on-event",
            Self::Continuous => "continuous",
        }
    }

    /// As the index has it.
    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::Off | Self::Continuous => 1,
            Self::OnEvent => 2,
        }
    }
}

/// Another mode at certain hours; the first that applies decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduled {
    /// On which days; all, if nothing is said.
    pub days: Option<DayKinds>,
    /// At which hours; all day, if nothing is said.
    pub hours: Option<Hours>,
    /// What is recorded then.
    pub mode: Mode,
}

/// How a camera is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraArchive {
    /// The camera.
    pub camera: CameraKey,
    /// Which of its encodings.
    pub profiles: Vec<Profile>,
    /// What is recorded if no hours say otherwise.
    pub mode: Mode,
    /// What is recorded at certain hours.
    pub schedule: Vec<Scheduled>,
    /// How long it is kept.
    pub keep: Keep,
    /// Bytes it may have.
    pub quota: Option<u64>,
}

/// How long things are kept where no storage plugin decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Of what is recorded all the time.
    pub usual: Duration,
    /// Of what events are about.
    pub events: Duration,
    /// So much before an event belongs to it.
    pub before: Duration,
    /// So much after it.
    pub after: Duration,
    /// Events of less than this do not count.
    pub severity: Severity,
}

impl Default for Keep {
    /// Two weeks of everything, a quarter of a year of what happened.
    fn default() -> Self {
        Self {
            usual: Duration::from_secs(14 * 86_400),
            events: Duration::from_secs(90 * 86_400),
            before: Duration::from_secs(10),
            after: Duration::from_secs(20),
            severity: Severity::Info,
        }
    }
}

/// A place where copies are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSpec {
    /// Its name in the commune.
    pub name: String,
    /// What it is.
    pub kind: StoreKind,
    /// Bytes it may have.
    pub quota: Option<u64>,
    /// Each copy there is held against its hash so often at least, as far as a fifth of the line and of the
    /// disks suffices.
    pub check_every: Duration,
}

/// What a place is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreKind {
    /// A folder: another disk, or what the system has mounted.
    Folder(PathBuf),
    /// Something that `outbound` reaches, by the name of the place.
    Reached,
}

/// How a commune's cameras are recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct CommuneArchive {
    /// The commune.
    pub commune: CommuneId,
    /// Its cameras.
    pub cameras: Vec<CameraArchive>,
    /// Bytes all of them may have here.
    pub quota: Option<u64>,
    /// Who decides about copies.
    pub storage: Option<PluginId>,
    /// Who is asked what is recorded when.
    pub policy: Option<PluginId>,
    /// Where copies can be.
    pub stores: Vec<StoreSpec>,
    /// Its clock and its holidays.
    pub facts: Arc<CommuneFacts>,
    /// What the file says of places and of who decides about copies, in a digest: when it is another one,
    /// all is asked about again.
    pub said: String,
}

impl CameraArchive {
    /// What is recorded at a time, as the file says.
    pub fn mode_at(&self, at: UnixMicros, facts: &CommuneFacts) -> Mode {
        if self.schedule.is_empty() {
            return self.mode;
        }
        let moment = Moment::of(at, facts);
        let applies = |one: &&Scheduled| moment.is_in(one.hours, one.days);
        let found = self.schedule.iter().find(applies);
        found.map_or(self.mode, |one| one.mode)
    }
}
