//! Where an instance of a plugin is.

use std::fmt;

use taimat_base::{CameraId, CameraKey, CommuneId};

/// Where an instance of a plugin is: at a camera, or in its commune.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// One for each camera.
    Camera(CameraKey),
    /// One for the commune.
    Commune(CommuneId),
}

impl Place {
    /// The commune, in either case.
    pub(crate) fn commune(&self) -> &CommuneId {
        match self {
            Self::Camera(key) => &key.commune,
            Self::Commune(commune) => commune,
        }
    }

    /// The camera, if it is at one.
    pub(crate) fn camera(&self) -> Option<&CameraId> {
        match self {
            Self::Camera(key) => Some(&key.camera),
            Self::Commune(_) => None,
        }
    }

    /// The camera's name in logs and labels; empty if it is at none.
    pub(crate) fn label(&self) -> &str {
        self.camera().map_or("", CameraId::as_str)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.commune(), self.label())
    }
}
