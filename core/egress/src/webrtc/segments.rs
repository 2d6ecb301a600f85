//! Whether the kernel takes many datagrams in one call (UDP_SEGMENT), as far as is known.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

/// Runs that are sent otherwise after it was refused: a minute of ten viewers. What refused it may have been
/// the way to one of them.
const RUNS_WITHOUT: u32 = 15_000;
const FOR_GOOD: u32 = u32::MAX;

/// Of one port of ours.
#[derive(Debug)]
pub(super) struct Segments {
    most: usize,
    /// It was refused although the kernel knows it (some virtual interfaces do that): so many runs are sent
    /// otherwise before it is tried again.
    without: AtomicU32,
}

impl Segments {
    /// The kernel says that it takes so many.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            without: AtomicU32::new(0),
        }
    }

    /// Largest number of datagrams in one call.
    pub(super) fn most(&self) -> usize {
        if self.without.load(Ordering::Relaxed) > 0 {
            1
        } else {
            self.most
        }
    }

    /// Whether the next run goes out by them. Counts the runs that do not.
    pub(super) fn are_used(&self) -> bool {
        let left = self.without.load(Ordering::Relaxed);
        if left > 0 && left != FOR_GOOD {
            // Threads that count at once count once; the number is no promise.
            self.without.store(left - 1, Ordering::Relaxed);
        }
        left == 0 && self.most > 1
    }

    /// Goes on as if there were none.
    pub(super) fn forget(&self) {
        self.without.store(FOR_GOOD, Ordering::Relaxed);
    }

    /// They were refused.
    pub(super) fn refused(&self, error: &io::Error) {
        if self.without.swap(RUNS_WITHOUT, Ordering::Relaxed) == 0 {
            tracing::debug!(%error, "UDP_SEGMENT is refused; sending otherwise");
        }
    }

    #[cfg(test)]
    pub(super) fn try_again_after(&self, runs: u32) {
        self.without.store(runs, Ordering::Relaxed);
    }
}

/// Whether a call may have failed because of segments: EIO, no checksum offload on the way; EINVAL and
/// EOPNOTSUPP, the option itself.
pub(super) fn may_refuse(error: &io::Error) -> bool {
    const REFUSALS: [i32; 3] = [5, 22, 95];
    error
        .raw_os_error()
        .is_some_and(|code| REFUSALS.contains(&code))
}
