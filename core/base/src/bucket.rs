//! An amount that fills again with time.

use std::time::{Duration, Instant};

/// Lets so many through a second, with bursts.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    rate: f64,
    burst: f64,
    level: f64,
    last: Option<Instant>,
}

impl Bucket {
    /// Full, for `burst` at once and `rate` a second.
    pub fn new(rate: f64, burst: f64) -> Self {
        Self {
            rate,
            burst,
            level: burst,
            last: None,
        }
    }

    /// Another rate and burst. The first burst is there at once; later ones have to be earned.
    pub fn limit(&mut self, rate: f64, burst: f64) {
        if self.burst == 0.0 {
            *self = Self::new(rate, burst);
            return;
        }
        (self.rate, self.burst) = (rate, burst);
        self.level = self.level.min(burst);
    }

    fn fill(&mut self, now: Instant) {
        let since = self
            .last
            .map_or(Duration::ZERO, |l| now.saturating_duration_since(l));
        self.level = (self.level + since.as_secs_f64() * self.rate).min(self.burst);
        self.last = Some(now);
    }

    /// Takes one, if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let there = self.level >= 1.0;
        if there {
            self.level -= 1.0;
        }
        there
    }

    /// Takes any amount; what is overdrawn has to be waited for.
    pub fn spend(&mut self, amount: f64, now: Instant) {
        self.fill(now);
        self.level -= amount;
    }

    /// Whether there is anything.
    pub fn has_some(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level > 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_bucket_fills_again() {
        let mut bucket = Bucket::new(10.0, 20.0);
        let now = clock::now();
        assert_eq!((0..100).filter(|_| bucket.take(now)).count(), 20);
        let later = now + Duration::from_millis(500);
        assert_eq!((0..100).filter(|_| bucket.take(later)).count(), 5);
        bucket.spend(7.0, later);
        assert!(!bucket.has_some(later + Duration::from_millis(500)));
        assert!(bucket.has_some(later + Duration::from_millis(900)));
    }
}
