//! What plugins may know of their commune: what its file says, and nothing that changes by itself.

use serde::{Deserialize, Serialize};
use taimat_base::{CameraId, PluginId};

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Date {
    /// The year.
    pub year: i16,
    /// 1 to 12.
    pub month: i8,
    /// 1 to 31.
    pub day: i8,
}

/// A part of a camera's picture that people drew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// At most 8.
    pub tags: Vec<String>,
    /// Corners of a polygon in fractions of the picture, 3 to 64.
    pub outline: Vec<(f32, f32)>,
}

/// What is known of a camera.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CameraFacts {
    /// Its name.
    pub name: CameraId,
    /// Its name for people.
    pub title: String,
    /// At most 32.
    pub tags: Vec<String>,
    /// Whose it is; empty is the commune's own.
    pub owner: String,
    /// At most 32.
    pub zones: Vec<Zone>,
}

/// Somebody or something that can be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetFacts {
    /// The only one of that name in the commune.
    pub name: String,
    /// The alerter that reaches it.
    pub alerter: PluginId,
    /// Its name for people.
    pub title: String,
    /// At most 32.
    pub tags: Vec<String>,
}

/// What plugins may know of their commune.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommuneFacts {
    /// Its name for people.
    pub title: String,
    /// BCP 47, for example `vi`.
    pub language: String,
    /// The IANA name of its time zone.
    pub time_zone: String,
    /// Days on which people do not work.
    pub holidays: Vec<Date>,
    /// All of them, in the file's order.
    pub cameras: Vec<CameraFacts>,
    /// All of them, in the file's order.
    pub targets: Vec<TargetFacts>,
}

impl Default for CommuneFacts {
    /// A commune of which nothing is known.
    fn default() -> Self {
        Self {
            title: String::new(),
            language: "vi".into(),
            time_zone: "Asia/Ho_Chi_Minh".into(),
            holidays: Vec::new(),
            cameras: Vec::new(),
            targets: Vec::new(),
        }
    }
}
