//! Notices that the clock on the wall was set: a state machine, with both times as arguments.

use std::time::Instant;

use taimat_contract::UnixMicros;

/// A clock that is off by so many microseconds from one look to the next was set. Those that are kept right by
/// NTP run a little faster or slower instead.
const SET: i64 = 2_000_000;

/// How the clock on the wall goes beside one that nobody sets.
#[derive(Debug)]
pub(crate) struct WallClock {
    looked: Instant,
    wall: UnixMicros,
    /// By how much what waits is still to be moved.
    owed: i64,
}

impl WallClock {
    pub(crate) fn new(now: Instant, wall: UnixMicros) -> Self {
        Self {
            looked: now,
            wall,
            owed: 0,
        }
    }

    /// By how many microseconds what waits is to be moved; 0 is not at all. It is said until it was
    /// [`moved`](Self::moved), since the disk may be full.
    pub(crate) fn look(&mut self, now: Instant, wall: UnixMicros) -> i64 {
        let passed = now.saturating_duration_since(self.looked);
        let passed = i64::try_from(passed.as_micros()).unwrap_or(i64::MAX);
        let by = wall.0.saturating_sub(self.wall.0).saturating_sub(passed);
        (self.looked, self.wall) = (now, wall);
        if by.abs() >= SET {
            self.owed = self.owed.saturating_add(by);
        }
        self.owed
    }

    /// It was moved.
    pub(crate) fn moved(&mut self) {
        self.owed = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use taimat_base::clock;

    use super::*;

    const HOUR: i64 = 3_600_000_000;

    #[test]
    fn a_clock_that_was_set_is_noticed_once_and_one_that_drifts_is_not() {
        let begun = clock::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let wall = |seconds: i64| UnixMicros(HOUR * 10 + seconds * 1_000_000);
        let mut clock = WallClock::new(begun, wall(0));
        assert_eq!(clock.look(after(10), wall(11)), 0);
        assert_eq!(clock.look(after(20), wall(22)), 0);
        assert_eq!(clock.look(after(21), wall(23 - 3600)), -HOUR);
        // The disk was full: it is owed, and more is.
        assert_eq!(clock.look(after(22), wall(24 - 3600)), -HOUR);
        assert_eq!(clock.look(after(23), wall(25)), 0);
        assert_eq!(clock.look(after(24), wall(26 + 3600)), HOUR);
        clock.moved();
        assert_eq!(clock.look(after(25), wall(27 + 3600)), 0);
        // A suspended machine: both stood still, or only one of them.
        assert_eq!(clock.look(after(26), wall(28 + 2 * 3600)), HOUR);
    }
}
