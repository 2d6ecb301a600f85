//! CPU time, not the time on the clock: on a busy machine who is kept waiting by others is not at
//! fault.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// What the calling thread has used since it began. A system call: not for each packet.
pub fn of_thread() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
