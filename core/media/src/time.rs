//! Media time: ticks of a track's clock.

use std::time::Duration;

/// A point on one track's own time line: `ticks` of a clock with `rate` ticks a second.
///
/// Points of different tracks are not comparable; their wall-clock times are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MediaTime {
    /// Ticks since an arbitrary origin; never wraps.
    pub ticks: i64,
    /// Ticks a second, as in RTP: 90000 for video, the sample rate for audio.
    pub rate: u32,
}

impl MediaTime {
    /// A point in time.
    pub const fn new(ticks: i64, rate: u32) -> Self {
        Self { ticks, rate }
    }

    /// The RTP timestamp (RFC 3550 section 5.1): the low 32 bits.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "RTP wraps"
    )]
    pub const fn rtp(self) -> u32 {
        self.ticks as u32
    }

    /// Time passed since `earlier`, a point of the same track; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        ticks_to_duration(self.ticks.saturating_sub(earlier.ticks), self.rate)
    }
}

/// The time that `ticks` of a clock with `rate` take; negative counts are zero.
pub fn ticks_to_duration(ticks: i64, rate: u32) -> Duration {
    let ticks = u64::try_from(ticks).unwrap_or(0);
    let rate = u64::from(rate.max(1));
    let nanos = (ticks % rate) * 1_000_000_000 / rate;
    Duration::from_secs(ticks / rate) + Duration::from_nanos(nanos)
}

/// How many ticks of a clock with `rate` pass in `time`.
pub fn duration_to_ticks(time: Duration, rate: u32) -> i64 {
    let ticks = time.as_nanos() * u128::from(rate) / 1_000_000_000;
    i64::try_from(ticks).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_both_ways() {
        assert_eq!(ticks_to_duration(3600, 90_000), Duration::from_millis(40));
        assert_eq!(duration_to_ticks(Duration::from_millis(40), 90_000), 3600);
        assert_eq!(ticks_to_duration(-5, 90_000), Duration::ZERO);
        assert_eq!(ticks_to_duration(i64::MAX, 1).as_secs(), i64::MAX as u64);
        let (early, late) = (MediaTime::new(0, 8000), MediaTime::new(160, 8000));
        assert_eq!(late.since(early), Duration::from_millis(20));
        assert_eq!(early.since(late), Duration::ZERO);
    }
}
