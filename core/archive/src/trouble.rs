//! What is the matter with recordings, and should not be: each is an event.

use taimat_base::{CameraKey, CommuneId};

/// What is the matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TroubleKind {
    /// All that is there is held, or wanted by a policy: nothing new is recorded.
    Full,
    /// Room will be short within some days.
    Short,
    /// The disk does not keep up, or refuses.
    Failing,
    /// A copy can not be made.
    Copy,
    /// Who decides about copies does not answer.
    Storage,
    /// Files are missing or altered.
    Damaged,
}

/// Something that is the matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What.
    pub kind: TroubleKind,
    /// Whose.
    pub commune: CommuneId,
    /// At which camera, if at one.
    pub camera: Option<CameraKey>,
    /// What it is about, where there can be several.
    pub about: String,
    /// In words.
    pub text: String,
}
