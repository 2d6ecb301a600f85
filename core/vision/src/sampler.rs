//! A detector's frames from pictures that somebody else has decoded: when one is due, of what size,
//! with which ones before it. The same rules as for a live camera, without a camera.

use std::sync::Arc;
use std::time::Duration;

use taimat_base::CameraId;
use taimat_contract::{Delivery, UnixMicros, Want};

use crate::picture::Picture;
use crate::slot::{Moment, Slot};

/// Picks a detector's frames out of a recording.
#[derive(Debug)]
pub struct Sampler {
    slot: Slot,
    camera: CameraId,
}

impl Sampler {
    /// For what a detector wants to see of a camera.
    pub fn new(camera: CameraId, want: Want) -> Self {
        Self {
            slot: Slot::new(want),
            camera,
        }
    }

    /// A picture at a time of the recording, which is `at` on the clock. Gives a frame when one is
    /// due.
    pub fn offer(
        &self,
        picture: &Arc<Picture>,
        time: Duration,
        at: UnixMicros,
        key: bool,
    ) -> Option<Delivery> {
        if !self.slot.is_due(time, key) {
            return None;
        }
        let (width, height) = self.slot.size(picture.width, picture.height);
        let fits = (picture.width, picture.height) == (width, height);
        let frame = if fits {
            Arc::clone(picture)
        } else {
            Arc::new(picture.scaled(width, height))
        };
        let moment = Moment {
            camera: self.camera.clone(),
            at,
            key,
        };
        self.slot.deliver(frame, &moment, time);
        self.slot.take()
    }
}
