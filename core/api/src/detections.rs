//! Detections on their way to browsers: a bounded broadcast; who is late misses the oldest.

use std::sync::Arc;

use serde::Serialize;
use taimat_contract::{Detected, Detection, DetectionSink};
use tokio::sync::broadcast;
use utoipa::ToSchema;

/// Messages kept for a reader that is late: some seconds of a busy commune.
const KEPT: usize = 1024;

/// What a plugin saw on a camera.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Seen {
    /// The commune.
    pub commune: String,
    /// The camera.
    pub camera: String,
    /// The plugin.
    pub plugin: String,
    /// What it saw.
    pub detections: Vec<Detection>,
}

/// All detections of this moment.
#[derive(Debug)]
pub struct Detections(broadcast::Sender<Arc<Seen>>);

impl Default for Detections {
    fn default() -> Self {
        Self(broadcast::Sender::new(KEPT))
    }
}

impl Detections {
    /// Follows what is seen from now on.
    pub fn follow(&self) -> broadcast::Receiver<Arc<Seen>> {
        self.0.subscribe()
    }
}

impl DetectionSink for Detections {
    fn publish(&self, detected: &Detected<'_>) {
        if self.0.receiver_count() == 0 {
            return;
        }
        let seen = Seen {
            commune: detected.camera.commune.to_string(),
            camera: detected.camera.camera.to_string(),
            plugin: detected.plugin.to_string(),
            detections: detected.detections.to_vec(),
        };
        // The last reader may have gone in the meantime.
        let _readers = self.0.send(Arc::new(seen));
    }
}
