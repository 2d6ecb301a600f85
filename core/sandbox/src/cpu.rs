//! The CPU time of a call, and what a plugin has left of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use taimat_base::bucket::Bucket;
use taimat_base::cpu;

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// CPU time that a plugin has left, in seconds: all its instances together. It belongs to the plugin and
/// not to a generation: a new one does not begin with a full purse. Every call into a component is taken
/// off it, once, where it is metered.
#[derive(Debug)]
pub(crate) struct CpuShare(Mutex<Bucket>);

impl CpuShare {
    /// Nothing until there is a limit.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Bucket::new(0.0, 0.0)))
    }

    /// So much of a core. Ten seconds' worth at once: the mean counts, not the moment.
    pub(crate) fn limit(&self, cores: f64) {
        self.left().limit(cores, cores * 10.0);
    }

    /// A call has used so much.
    pub(crate) fn spend(&self, used: Duration, now: Instant) {
        self.left().spend(used.as_secs_f64(), now);
    }

    /// Whether there is any left.
    pub(crate) fn has_some(&self, now: Instant) -> bool {
        self.left().has_some(now)
    }

    fn left(&self) -> MutexGuard<'_, Bucket> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// What a call has used, and may use. Only the thread that polls the call writes.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Of the polls that have ended, in nanoseconds.
    used: AtomicU64,
    /// The thread's CPU time when the present poll began.
    begun: AtomicU64,
    limit: AtomicU64,
}

impl Meter {
    /// A call begins.
    pub(crate) fn arm(&self, limit: Duration) {
        self.used.store(0, Ordering::Relaxed);
        self.limit.store(nanos(limit), Ordering::Relaxed);
    }

    /// Whether the call has used up its time. Asked from within a poll.
    pub(crate) fn is_over(&self) -> bool {
        let now = nanos(cpu::of_thread()).saturating_sub(self.begun.load(Ordering::Relaxed));
        self.used.load(Ordering::Relaxed) + now > self.limit.load(Ordering::Relaxed)
    }

    /// What the call has used.
    pub(crate) fn used(&self) -> Duration {
        Duration::from_nanos(self.used.load(Ordering::Relaxed))
    }
}

/// Meters a future's polls.
pub(crate) struct Metered<F> {
    pub(crate) meter: Arc<Meter>,
    pub(crate) inner: Pin<Box<F>>,
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let begun = nanos(cpu::of_thread());
        self.meter.begun.store(begun, Ordering::Relaxed);
        let polled = self.inner.as_mut().poll(cx);
        let spent = nanos(cpu::of_thread()).saturating_sub(begun);
        self.meter.used.fetch_add(spent, Ordering::Relaxed);
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_costs_nothing_and_working_does() {
        let meter = Arc::new(Meter::default());
        meter.arm(Duration::from_millis(2));
        let waits = Metered {
            meter: Arc::clone(&meter),
            inner: Box::pin(async {
                tokio::task::yield_now().await;
            }),
        };
        waits.await;
        assert!(meter.used() < Duration::from_millis(2));
        let begun = nanos(cpu::of_thread());
        meter.begun.store(begun, Ordering::Relaxed);
        assert!(!meter.is_over());
        let mut value = 1_u64;
        while nanos(cpu::of_thread()) - begun < 3_000_000 {
            value = std::hint::black_box(value.wrapping_mul(3));
        }
        assert!(meter.is_over());
    }
}
