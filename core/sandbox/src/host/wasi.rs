//! What the runtimes of languages need to start, and nothing behind it: no files, no environment,
//! no network; what is written to the standard error is kept for a while, the rest is thrown away. Time is that of the frame and randomness comes from the camera's
//! name, so that a run can be repeated.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};
use taimat_contract::UnixMicros;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx};

use super::stderr::Stderr;
use crate::place::Place;

/// Imports under these are linked, inert. What is not here is refused.
pub(crate) const INERT: [&str; 5] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:io/",
    "wasi:random/",
];

/// The time that an instance believes it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Time {
    wall: Arc<AtomicI64>,
    reads: Arc<AtomicU64>,
}

impl Time {
    /// It is now this time.
    pub(crate) fn set(&self, now: UnixMicros) {
        self.wall.store(now.0, Ordering::Relaxed);
    }
}

impl HostWallClock for Time {
    fn resolution(&self) -> Duration {
        Duration::from_micros(1)
    }

    fn now(&self) -> Duration {
        let micros = u64::try_from(self.wall.load(Ordering::Relaxed)).unwrap_or(0);
        Duration::from_micros(micros)
    }
}

impl HostMonotonicClock for Time {
    fn resolution(&self) -> u64 {
        1
    }

    /// Rises with every look, so that code that waits for it to rise does not hang.
    fn now(&self) -> u64 {
        let wall = u64::try_from(self.wall.load(Ordering::Relaxed)).unwrap_or(0);
        let reads = self.reads.fetch_add(1, Ordering::Relaxed);
        wall.saturating_mul(1000).saturating_add(reads)
    }
}

/// An empty world.
pub(crate) fn context(time: &Time, stderr: &Stderr, place: &Place) -> WasiCtx {
    let seed: [u8; 32] = Sha256::digest(place.to_string()).into();
    WasiCtx::builder()
        .stderr(stderr.clone())
        .wall_clock(time.clone())
        .monotonic_clock(time.clone())
        .secure_random(StdRng::from_seed(seed))
        .insecure_random(StdRng::from_seed(seed))
        .insecure_random_seed(u128::from(seed[0]))
        .build()
}
