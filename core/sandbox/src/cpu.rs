//! The CPU time of a call.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use taimat_base::cpu;

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
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
