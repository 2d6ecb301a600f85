//! A detector's frames, as it reads them. While it holds this, the camera is decoded.

use std::sync::Arc;

use async_trait::async_trait;
use taimat_contract::{Delivery, FrameReader, Want};

use crate::slot::Slot;
use crate::watchers::Watchers;

/// A detector's frames.
#[derive(Debug)]
pub(crate) struct Subscription {
    slot: Arc<Slot>,
    watchers: Arc<Watchers>,
}

impl Subscription {
    /// One more watches the camera.
    pub(crate) fn new(watchers: Arc<Watchers>, want: Want) -> Self {
        let slot = watchers.join(want);
        Self { slot, watchers }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.watchers.leave(&self.slot);
    }
}

#[async_trait]
impl FrameReader for Subscription {
    async fn next(&mut self) -> Option<Delivery> {
        self.slot.next().await
    }
}
