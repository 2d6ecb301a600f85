//! How fast a viewer is given what it has to catch up with, and how much is sent again.
//!
//! Owner: a viewer's `media`, a client's session by RTSP. Two budgets that time fills up: bytes of the
//! burst at the beginning, and retransmissions. What WebRTC viewers get live is not paced: it leaves when
//! it arrives. By RTSP over UDP everything is: nothing that is lost there can be asked for again.

use std::time::{Duration, Instant};

use taimat_base::bucket::Bucket;

/// How often the burst goes on.
const PUMP_INTERVAL: Duration = Duration::from_millis(2);
/// Retransmissions a second at most: beyond, the network needs less and not more.
const RETRANSMIT_RATE: f64 = 500.0;

/// How a kind of viewer is paced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PaceLimits {
    /// At this multiple of the stream's rate,
    multiple: f64,
    /// within these bounds, in bits a second.
    rate: (f64, f64),
    /// Bytes that go out at once.
    credit: f64,
}

/// Viewers by WebRTC. Measured in Chromium, 20 to 200 Mbit/s make no difference to the first picture, and
/// 50 loses nothing on loopback. The credit is most of a key frame.
pub(crate) const WEBRTC: PaceLimits = PaceLimits {
    multiple: 25.0,
    rate: (10e6, 100e6),
    credit: 96.0 * 1024.0,
};

/// Clients that take RTP by UDP. Their kernel holds 208 KiB unless they ask for more, which are some 90
/// full packets, and a player that begins is busy with other things for tens of milliseconds: so much has
/// to fit. A group of ten seconds takes one.
pub(crate) const DATAGRAMS: PaceLimits = PaceLimits {
    multiple: 10.0,
    rate: (2e6, 40e6),
    credit: 32.0 * 1024.0,
};

/// The pace of a burst.
#[derive(Debug)]
pub(crate) struct BurstPace {
    limits: PaceLimits,
    bits_per_second: f64,
    /// Bytes that may go out now.
    credit: f64,
    /// When credit was given last.
    at: Option<Instant>,
}

impl BurstPace {
    /// Before anything is known of the stream.
    pub(crate) fn new(limits: PaceLimits) -> Self {
        Self {
            limits,
            bits_per_second: limits.rate.1,
            credit: 0.0,
            at: None,
        }
    }

    /// The rate of the stream that there is to catch up with.
    pub(crate) fn set_stream_rate(&mut self, bits_per_second: f64) {
        let (least, most) = self.limits.rate;
        // A stream of more than that is not held up.
        let most = most.max(bits_per_second * 2.0);
        self.bits_per_second = (bits_per_second * self.limits.multiple).clamp(least, most);
    }

    /// A burst begins, with most of a key frame at once.
    pub(crate) fn begin(&mut self, now: Instant) {
        (self.credit, self.at) = (self.limits.credit, Some(now));
    }

    /// A burst begins beside what is sent already, with nothing at once.
    pub(crate) fn begin_slowly(&mut self, now: Instant) {
        (self.credit, self.at) = (0.0, Some(now));
    }

    /// Gives the credit for the time that has passed.
    pub(crate) fn earn(&mut self, now: Instant) {
        let passed = self
            .at
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.at = Some(now);
        let earned = passed.as_secs_f64() * self.bits_per_second / 8.0;
        self.credit = (self.credit + earned).min(self.limits.credit);
    }

    /// Whether the next access unit may go out, however large it is.
    pub(crate) fn allows(&self) -> bool {
        self.credit > 0.0
    }

    /// So many bytes went out.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.credit -= bytes as f64;
    }

    /// When a burst goes on.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.at.map(|at| at + PUMP_INTERVAL)
    }
}

/// How many packets may be sent again: full, a second's worth.
pub(crate) fn retransmit_budget() -> Bucket {
    Bucket::new(RETRANSMIT_RATE, RETRANSMIT_RATE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_base::clock;

    /// Bytes that go out within a second in pieces of 1,000.
    fn burst(limits: PaceLimits, stream: f64) -> usize {
        let (mut pace, start) = (BurstPace::new(limits), clock::thread_now());
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
        for limits in [WEBRTC, DATAGRAMS] {
            let near = |bytes: usize, bits: f64| {
                let expected = bits / 8.0 + limits.credit;
                assert!((bytes as f64 - expected).abs() < 2000.0, "{bytes}");
            };
            near(burst(limits, 2e6), 2e6 * limits.multiple);
            near(burst(limits, 0.0), limits.rate.0);
            near(burst(limits, 20e6), limits.rate.1);
        }
        let held_up = burst(WEBRTC, 80e6) as f64 * 8.0;
        assert!(held_up > 80e6, "a stream is not held up: {held_up}");
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
