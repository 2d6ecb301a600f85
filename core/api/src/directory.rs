//! What communes and cameras there are, as the configuration says; replaced as a whole on reload.

use std::sync::{Arc, RwLock};

use taimat_base::{CameraId, CommuneId, Problem};

/// A camera as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Camera {
    /// Its name in URLs.
    pub id: CameraId,
    /// Its name for people.
    pub title: String,
    /// Whether it has a sub profile.
    pub has_sub: bool,
    /// Whether it runs only while somebody watches.
    pub on_demand: bool,
}

/// A commune as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commune {
    /// Its name in URLs.
    pub id: CommuneId,
    /// Its name for people.
    pub name: String,
    /// Its time zone's IANA name.
    pub time_zone: String,
    /// Its cameras, in the file's order.
    pub cameras: Vec<Camera>,
}

/// What is configured at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// The communes.
    pub communes: Vec<Commune>,
    /// What is wrong with the files as they are now; the communes above are from before that.
    pub problems: Vec<Problem>,
}

/// The current [`Snapshot`].
#[derive(Debug, Default)]
pub struct Directory(RwLock<Arc<Snapshot>>);

impl Directory {
    /// The snapshot of this moment.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.read().unwrap_or_else(|e| e.into_inner()))
    }

    /// Replaces it.
    pub fn replace(&self, snapshot: Snapshot) {
        *self.0.write().unwrap_or_else(|e| e.into_inner()) = Arc::new(snapshot);
    }
}
