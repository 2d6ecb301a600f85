//! What the room is given by the house: it knows none of it.

use std::fmt::Debug;
use std::sync::Arc;

use taimat_base::CameraKey;
use taimat_contract::Policies;
use taimat_contract::place::Places;
use taimat_contract::storage::Storages;

/// Who knows whether a detector looks.
pub trait Watching: Send + Sync + Debug {
    /// Whether a detector looks at a camera now. Does not wait.
    fn is_watched(&self, camera: &CameraKey) -> bool;
}

/// Who is asked.
#[derive(Debug, Clone)]
pub struct ArchiveSurroundings {
    /// Who knows whether a detector looks.
    pub watching: Arc<dyn Watching>,
    /// The communes' policies.
    pub policies: Arc<dyn Policies>,
    /// The communes' storage plugins.
    pub storages: Arc<dyn Storages>,
    /// Places for copies that are reached over the network.
    pub places: Arc<dyn Places>,
}
