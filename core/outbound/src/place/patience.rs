//! How long a transfer may take: it has to go on, and not too slowly.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use taimat_base::clock;

/// Nothing moves for so long: the other side hangs.
const STALL: Duration = Duration::from_secs(30);
/// What is not sent or fetched: a question and its answer.
const SMALL: Duration = Duration::from_secs(60);
/// Bytes a second at least: a recording of a minute takes a quarter of an hour then.
const SLOWEST: u64 = 16 << 10;

/// A transfer's time.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    end: Instant,
    moved: Arc<Mutex<Instant>>,
}

impl Patience {
    /// For a transfer of so many bytes that begins now.
    pub(super) fn of(bytes: u64) -> Self {
        let now = clock::now();
        Self {
            end: now + SMALL + Duration::from_secs(bytes / SLOWEST),
            moved: Arc::new(Mutex::new(now)),
        }
    }

    /// Something moved.
    pub(super) fn moved(&self) {
        *self.moved.lock().unwrap_or_else(|e| e.into_inner()) = clock::now();
    }

    /// Until when something has to move.
    pub(super) fn until(&self) -> Instant {
        let moved = *self.moved.lock().unwrap_or_else(|e| e.into_inner());
        self.end.min(moved + STALL)
    }

    /// When it is at its end.
    pub(super) async fn over(&self) {
        loop {
            let until = self.until();
            if until <= clock::now() {
                return;
            }
            clock::sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_moves_is_waited_for_and_what_hangs_is_not() {
        let (begin, patience) = (clock::now(), Patience::of(16 << 20));
        for _ in 0..4 {
            let moves = tokio::time::sleep(Duration::from_secs(20));
            tokio::select! {
                () = patience.over() => unreachable!("it moved"),
                () = moves => patience.moved(),
            }
        }
        patience.over().await;
        assert_eq!(clock::now() - begin, Duration::from_secs(110));
    }

    #[tokio::test(start_paused = true)]
    async fn what_crawls_is_not_waited_for_without_end() {
        let (begin, patience) = (clock::now(), Patience::of(0));
        let crawl = async {
            loop {
                patience.moved();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            () = patience.over() => {}
            () = crawl => {}
        }
        assert_eq!(clock::now() - begin, SMALL);
    }
}
