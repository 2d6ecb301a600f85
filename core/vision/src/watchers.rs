//! Who watches a camera: a place for each of them. It lives as long as somebody holds it, and so long
//! the camera is decoded.

use std::sync::{Arc, Mutex};

use taimat_base::CameraKey;
use taimat_base::tasks::Stop;
use taimat_contract::Want;

use crate::slot::Slot;

/// Those who watch one camera.
#[derive(Debug)]
pub(crate) struct Watchers {
    camera: CameraKey,
    slots: Mutex<Vec<Arc<Slot>>>,
    gone: Stop,
}

impl Drop for Watchers {
    fn drop(&mut self) {
        self.gone.cancel();
    }
}

impl Watchers {
    pub(crate) fn new(camera: CameraKey) -> Self {
        Self {
            camera,
            slots: Mutex::default(),
            gone: Stop::new(),
        }
    }

    /// What they watch.
    pub(crate) fn camera(&self) -> &CameraKey {
        &self.camera
    }

    /// Fires when nobody watches any more.
    pub(crate) fn gone(&self) -> Stop {
        self.gone.clone()
    }

    /// A place for one more.
    pub(crate) fn join(&self, want: Want) -> Arc<Slot> {
        let slot = Arc::new(Slot::new(want));
        self.lock().push(Arc::clone(&slot));
        slot
    }

    pub(crate) fn leave(&self, slot: &Arc<Slot>) {
        self.lock().retain(|s| !Arc::ptr_eq(s, slot));
    }

    /// The places of all who watch now.
    pub(crate) fn slots(&self) -> Vec<Arc<Slot>> {
        self.lock().clone()
    }

    /// No frame will come any more.
    pub(crate) fn close(&self) {
        self.lock().iter().for_each(|slot| slot.close());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(|e| e.into_inner())
    }
}
