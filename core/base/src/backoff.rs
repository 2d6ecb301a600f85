//! Waiting longer after each failure, with jitter, so that a hundred cameras behind one switch do
//! not all come back in the same millisecond.

use std::time::Duration;

/// Exponential backoff with full range jitter in the upper half: the delay of failure *n* lies in
/// `[d/2, d)` for `d = min(first × 2ⁿ, limit)`.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    limit: Duration,
    failures: u32,
    /// xorshift state; jitter needs spread, not secrecy.
    seed: u64,
}

impl Backoff {
    /// A backoff that starts at `first` and never exceeds `limit`. Different `seed`s spread.
    pub fn new(first: Duration, limit: Duration, seed: u64) -> Self {
        Self {
            first,
            limit,
            failures: 0,
            seed: seed | 1,
        }
    }

    /// How many failures were counted since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts a failure and returns how long to wait before the next attempt.
    pub fn fail(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(1_u32 << self.failures.min(16));
        let ceiling = doubled.min(self.limit);
        self.failures = self.failures.saturating_add(1);
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let fraction = (self.seed >> 40) as f64 / (1_u64 << 24) as f64;
        ceiling / 2 + ceiling.mul_f64(fraction / 2.0)
    }

    /// Forgets one failure.
    pub fn forgive_one(&mut self) {
        // More failures than it takes to reach the limit count as that many.
        let mut at_limit = 0;
        while at_limit < 16 && self.first.saturating_mul(1 << at_limit) < self.limit {
            at_limit += 1;
        }
        self.failures = self.failures.min(at_limit + 1).saturating_sub(1);
    }

    /// Forgets the failures.
    pub fn succeed(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_the_limit_and_resets() {
        let (first, limit) = (Duration::from_millis(500), Duration::from_secs(30));
        let mut backoff = Backoff::new(first, limit, 7);
        let mut ceiling = first;
        for _ in 0..40 {
            let wait = backoff.fail();
            assert!(
                wait >= ceiling / 2 && wait <= ceiling,
                "{wait:?} for {ceiling:?}"
            );
            ceiling = (ceiling * 2).min(limit);
        }
        backoff.succeed();
        assert!(backoff.fail() <= first);
    }

    #[test]
    fn spreads_by_seed() {
        let wait = |seed| Backoff::new(Duration::from_secs(1), Duration::from_secs(1), seed).fail();
        let mut waits: Vec<_> = (0..50).map(|i| wait(i * 7919 + 3)).collect();
        waits.dedup();
        assert!(waits.len() > 40);
    }
}
