//! Why nothing is there. A closed set: each is a sentence in the console, and a metric's label.

use serde::Serialize;
use utoipa::ToSchema;

/// Why nothing is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GapReason {
    /// It was not to be recorded.
    Off,
    /// The camera gave nothing.
    CameraLost,
    /// The camera is there, and pictures are missing.
    PicturesMissing,
    /// The router did not run.
    RouterStopped,
    /// The disk did not keep up.
    DiskSlow,
    /// The disk was full.
    DiskFull,
    /// The disk failed.
    DiskFailed,
    /// All that is there is held, or the quota leaves no room.
    NoRoom,
    /// Its time was over.
    Aged,
    /// It had to make room for others.
    Evicted,
    /// Somebody removed it.
    Removed,
    /// Its file is missing or damaged.
    Damaged,
    /// It has not come yet.
    NotYet,
    /// Nothing is known, as from before the camera was recorded.
    Unknown,
}

impl GapReason {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Off,
        Self::CameraLost,
        Self::PicturesMissing,
        Self::RouterStopped,
        Self::DiskSlow,
        Self::DiskFull,
        Self::DiskFailed,
        Self::NoRoom,
        Self::Aged,
        Self::Evicted,
        Self::Removed,
        Self::Damaged,
        Self::NotYet,
        Self::Unknown,
    ];

    /// Its word in the index, in metrics and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::CameraLost => "camera-lost",
            Self::PicturesMissing => "pictures-missing",
            Self::RouterStopped => "router-stopped",
            Self::DiskSlow => "disk-slow",
            Self::DiskFull => "disk-full",
            Self::DiskFailed => "disk-failed",
            Self::NoRoom => "no-room",
            Self::Aged => "aged",
            Self::Evicted => "evicted",
            Self::Removed => "removed",
            Self::Damaged => "damaged",
            Self::NotYet => "not-yet",
            Self::Unknown => "unknown",
        }
    }

    /// By its word.
    pub(crate) fn of(word: &str) -> Self {
        let found = Self::ALL.into_iter().find(|reason| reason.as_str() == word);
        found.unwrap_or(Self::Unknown)
    }
}
