//! How much a channel may send: over time, and at once.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use taimat_base::bucket::Bucket;
use taimat_base::clock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::{Failure, Outcome};
use crate::spec::Rate;

/// A message waits so long for its turn; who sends it has others to send.
const PATIENCE: Duration = Duration::from_secs(5);
/// A channel's sends at once.
pub(crate) const AT_ONCE: usize = 4;
/// A commune's sends at once: each may hold 20 MiB.
pub(crate) const OF_A_COMMUNE: usize = 8;

/// A channel's turn-taking. Who waits is held by the caller, who has bounded what it sends at once.
#[derive(Debug)]
pub(crate) struct Turns {
    bucket: Mutex<Bucket>,
    between: Duration,
    patience: Duration,
    channel: Arc<Semaphore>,
    commune: Arc<Semaphore>,
}

/// A message's turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _channel: OwnedSemaphorePermit,
    _commune: OwnedSemaphorePermit,
}

impl Turns {
    pub(crate) fn new(rate: Rate, commune: Arc<Semaphore>) -> Self {
        Self::waiting(rate, AT_ONCE, PATIENCE, commune)
    }

    /// With so many sends at once, each of which waits so long for its turn.
    pub(crate) fn waiting(
        rate: Rate,
        at_once: usize,
        patience: Duration,
        commune: Arc<Semaphore>,
    ) -> Self {
        let per_second = rate.per_minute / 60.0;
        let between = Duration::try_from_secs_f64(1.0 / per_second);
        Self {
            bucket: Mutex::new(Bucket::new(per_second, rate.burst)),
            between: between.unwrap_or(patience),
            patience,
            channel: Arc::new(Semaphore::new(at_once)),
            commune,
        }
    }

    /// A turn in time, or why there is none.
    pub(crate) async fn turn(&self) -> Result<Turn, Failure> {
        let deadline = clock::now() + self.patience;
        self.allowance(deadline).await?;
        let both = async {
            let channel = Arc::clone(&self.channel).acquire_owned().await;
            let commune = Arc::clone(&self.commune).acquire_owned().await;
            channel.ok().zip(commune.ok())
        };
        let turn = tokio::time::timeout_at(deadline.into(), both).await;
        let (channel, commune) = turn.ok().flatten().ok_or_else(|| {
            let text = "too many messages are on their way at once; the rate of answers is too low";
            Failure::new(Outcome::Rate, text)
        })?;
        Ok(Turn {
            _channel: channel,
            _commune: commune,
        })
    }

    async fn allowance(&self, deadline: Instant) -> Result<(), Failure> {
        // Often enough that a turn is not lost, and not more often than turns come.
        let look = self
            .between
            .clamp(Duration::from_millis(20), Duration::from_millis(500));
        loop {
            let now = clock::now();
            if self
                .bucket
                .lock()
                .unwrap_or_else(|e| e.into_inner())
                .take(now)
            {
                return Ok(());
            }
            if now >= deadline {
                let text = "the channel's rate is used up: it may send no more for now";
                return Err(Failure::new(Outcome::Rate, text));
            }
            clock::sleep_until((now + look).min(deadline)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(per_minute: f64, burst: f64) -> Turns {
        let commune = Arc::new(Semaphore::new(OF_A_COMMUNE));
        Turns::new(Rate { per_minute, burst }, commune)
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_its_rate_a_message_waits_and_then_fails() {
        let turns = turns(1.0, 2.0);
        assert!(turns.turn().await.is_ok());
        assert!(turns.turn().await.is_ok());
        let before = clock::now();
        let failure = turns.turn().await.unwrap_err();
        assert!(failure.text.contains("rate"));
        assert_eq!(clock::now() - before, PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_comes_soon_is_waited_for() {
        let turns = turns(60.0, 1.0);
        assert!(turns.turn().await.is_ok());
        let before = clock::now();
        assert!(turns.turn().await.is_ok());
        assert!(clock::now() - before <= Duration::from_millis(1500));
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_does_not_send_more_at_once_than_it_may() {
        let turns = turns(600.0, 100.0);
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(turns.turn().await.unwrap());
        }
        assert_eq!(turns.turn().await.unwrap_err().outcome, Outcome::Rate);
        held.pop();
        assert!(turns.turn().await.is_ok());
    }
}
