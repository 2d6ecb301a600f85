//! How fast a viewer is given what it has to catch up with, and how much is sent again.
//!
//! Owner: a viewer's `media`. Two budgets that time fills up: bytes of the burst at the beginning, and
//! retransmissions. What comes live is not paced: it leaves when it arrives.

use std::time::{Duration, Instant};

use taimat_base::bucket::Bucket;

/// The burst goes out at this multiple of the stream's rate, within bounds: measured in Chromium,
/// 20 to 200 Mbit/s make no difference to the first picture, and 50 loses nothing on loopback.
const BURST_MULTIPLE: f64 = 25.0;
const BURST_RATE: (f64, f64) = (10e6, 100e6);
/// Bytes of the burst that go out at once: most of a key frame.
const BURST_CREDIT: f64 = 96.0 * 1024.0;
/// How often the burst goes on.
const PUMP_INTERVAL: Duration = Duration::from_millis(2);
/// Retransmissions a second at most: beyond, the network needs less and not more.
const RETRANSMIT_RATE: f64 = 500.0;

/// The pace of a burst.
#[derive(Debug)]
pub(super) struct BurstPace {
    bits_per_second: f64,
    /// Bytes that may go out now.
    credit: f64,
    /// When credit was given last.
    at: Option<Instant>,
}

impl BurstPace {
    /// Before anything is known of the stream.
    pub(super) fn new() -> Self {
        Self {
            bits_per_second: BURST_RATE.1,
            credit: 0.0,
            at: None,
        }
    }

    /// The rate of the stream that there is to catch up with.
    pub(super) fn set_stream_rate(&mut self, bits_per_second: f64) {
        let (least, most) = BURST_RATE;
        self.bits_per_second = (bits_per_second * BURST_MULTIPLE).clamp(least, most);
    }

    /// A burst begins, with most of a key frame at once.
    pub(super) fn begin(&mut self, now: Instant) {
        (self.credit, self.at) = (BURST_CREDIT, Some(now));
    }

    /// A burst begins beside what is sent already, with nothing at once.
    pub(super) fn begin_slowly(&mut self, now: Instant) {
        (self.credit, self.at) = (0.0, Some(now));
    }

    /// Gives the credit for the time that has passed.
    pub(super) fn earn(&mut self, now: Instant) {
        let passed = self
            .at
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.at = Some(now);
        let earned = passed.as_secs_f64() * self.bits_per_second / 8.0;
        self.credit = (self.credit + earned).min(BURST_CREDIT);
    }

    /// Whether the next access unit may go out, however large it is.
    pub(super) fn allows(&self) -> bool {
        self.credit > 0.0
    }

    /// So many bytes went out.
    pub(super) fn spend(&mut self, bytes: usize) {
        self.credit -= bytes as f64;
    }

    /// When a burst goes on.
    pub(super) fn next(&self) -> Option<Instant> {
        self.at.map(|at| at + PUMP_INTERVAL)
    }
}

/// How many packets may be sent again: full, a second's worth.
pub(super) fn retransmit_budget() -> Bucket {
    Bucket::new(RETRANSMIT_RATE, RETRANSMIT_RATE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_base::clock;

    /// Bytes that go out within a second in pieces of 1,000.
    fn burst(stream: f64) -> usize {
        let (mut pace, start) = (BurstPace::new(), clock::thread_now());
        pace.set_stream_rate(stream);
        pace.begin(start);
        let (mut bytes, mut now) = (0, start);
        while now <= start + Duration::from_secs(1) {
            pace.earn(now);
            while pace.allows() {
                pace.spend(1000);
                bytes += 1000;
            }
            now += PUMP_INTERVAL;
            assert_eq!(pace.next(), Some(now));
        }
        bytes
    }

    #[test]
    fn a_burst_goes_out_at_a_multiple_of_the_rate_within_bounds() {
        let near = |bytes: usize, bits: f64| {
            let expected = bits / 8.0 + BURST_CREDIT;
            assert!((bytes as f64 - expected).abs() < 2000.0, "{bytes}");
        };
        near(burst(2e6), 50e6);
        near(burst(0.0), BURST_RATE.0);
        near(burst(1e9), BURST_RATE.1);
    }

    #[test]
    fn retransmissions_are_limited_by_the_second() {
        let (mut budget, start) = (retransmit_budget(), clock::thread_now());
        let mut taken = |now| (0..10_000).take_while(|_| budget.take(now)).count();
        assert_eq!(taken(start), 500);
        assert_eq!(taken(start), 0);
        assert_eq!(taken(start + Duration::from_millis(500)), 250);
        assert_eq!(taken(start + Duration::from_secs(60)), 500);
    }
}
