//! Whether the kernel takes many datagrams in one call (UDP_SEGMENT), as far as is known.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// Of one address of ours.
#[derive(Debug)]
pub(super) struct Segments {
    most: usize,
    /// It was refused although the kernel knows it (some virtual interfaces do that).
    refused: AtomicBool,
}

impl Segments {
    /// The kernel says that it takes so many.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            refused: AtomicBool::new(false),
        }
    }

    /// Largest number of datagrams in one call.
    pub(super) fn most(&self) -> usize {
        if self.refused.load(Ordering::Relaxed) {
            1
        } else {
            self.most
        }
    }

    /// Goes on as if there were none.
    pub(super) fn forget(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    /// Whether a call failed because of them: then no other one is tried.
    pub(super) fn are_refused_by(&self, error: &io::Error) -> bool {
        // EIO: no checksum offload on the way; EINVAL and EOPNOTSUPP: the option itself.
        const REFUSALS: [i32; 3] = [5, 22, 95];
        let refused = error
            .raw_os_error()
            .is_some_and(|code| REFUSALS.contains(&code));
        if refused {
            self.forget();
            tracing::warn!(%error, "the kernel refuses UDP_SEGMENT; sending datagrams one by one");
        }
        refused
    }
}
