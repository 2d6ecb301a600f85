//! What waits to be mended.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// Segments that wait to be mended at most; what is beyond is found again.
const WAITING: usize = 1000;

/// Segments that were found to be damaged.
#[derive(Debug, Default)]
pub(crate) struct Repairs {
    waiting: Mutex<VecDeque<u64>>,
    wake: Notify,
}

impl Repairs {
    /// A segment is to be looked at, and mended if it has to be.
    pub(crate) fn want(&self, segment: u64) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING && !waiting.contains(&segment) {
            waiting.push_back(segment);
            self.wake.notify_one();
        }
    }

    /// The one that has waited for longest.
    pub(super) fn next(&self) -> Option<u64> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.pop_front()
    }

    /// Waits until there is one more.
    pub(super) async fn wanted(&self) {
        self.wake.notified().await;
    }
}
