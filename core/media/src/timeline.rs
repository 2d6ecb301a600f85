//! From a camera's RTP timestamps to media time and wall-clock time.
//!
//! A camera's clock wraps, jumps, restarts with the camera and is often set wrong. Readers get a
//! time line that goes on: after a jump or a reconnection it continues where it was, advanced by the
//! time that passed here.

use std::time::{Duration, Instant, SystemTime};

use crate::time::{MediaTime, duration_to_ticks, ticks_to_duration};

/// A step further than this from what the arrival time says is a jump, not jitter.
const JUMP: Duration = Duration::from_secs(10);
/// A step back of up to this is a reordered picture, that is a B-frame.
const REORDER: Duration = Duration::from_secs(2);
/// A camera whose clock is further than this from ours is not believed.
const CLOCK_TRUST: Duration = Duration::from_secs(5);

/// What was noticed about a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noticed {
    /// Nothing.
    Regular,
    /// It lies before the one before: the camera sends B-frames.
    Reordered,
    /// The camera's clock jumped; the time line went on without the jump.
    Jump,
}

/// A stamped access unit's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Position on the track's time line.
    pub media_time: MediaTime,
    /// When it was captured, or when it arrived.
    pub wall_time: SystemTime,
    /// What was noticed.
    pub noticed: Noticed,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    rtp: u32,
    ticks: i64,
    arrived: Instant,
}

/// One track's time line.
#[derive(Debug, Clone)]
pub struct Timeline {
    rate: u32,
    last: Option<Last>,
    /// A new connection: the next timestamp has nothing to do with the last one.
    restarted: bool,
    /// From the last sender report: media time and the wall-clock time it was captured at.
    anchor: Option<(i64, SystemTime)>,
}

impl Timeline {
    /// A time line of a clock with `rate` ticks a second.
    pub fn new(rate: u32) -> Self {
        Self {
            rate: rate.max(1),
            last: None,
            restarted: false,
            anchor: None,
        }
    }

    /// Ticks a second.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// The source was connected anew: its timestamps start anywhere.
    pub fn restart(&mut self) {
        self.restarted = true;
        self.anchor = None;
    }

    /// Takes a sender report (RFC 3550 section 6.4.1): the camera's clock showed `captured` at RTP
    /// time `rtp`. Believed only if it is close to `wall`, our own clock.
    pub fn sender_report(&mut self, rtp: u32, captured: SystemTime, wall: SystemTime) {
        let apart = match captured.duration_since(wall) {
            Ok(ahead) => ahead,
            Err(behind) => behind.duration(),
        };
        let believed = self
            .last
            .filter(|_| !self.restarted && apart <= CLOCK_TRUST);
        self.anchor = believed.map(|last| (last.ticks + signed_step(last.rtp, rtp), captured));
    }

    /// Places the access unit with RTP time `rtp` that arrived at `now` (`wall` on the wall clock).
    pub fn stamp(&mut self, rtp: u32, now: Instant, wall: SystemTime) -> Stamp {
        let (ticks, noticed) = match self.last {
            None => (0, Noticed::Regular),
            Some(last) => self.next_ticks(last, rtp, now),
        };
        self.restarted = false;
        // A reordered picture must not become the reference that the next one is compared with.
        if noticed != Noticed::Reordered {
            self.last = Some(Last {
                rtp,
                ticks,
                arrived: now,
            });
        }
        Stamp {
            media_time: MediaTime::new(ticks, self.rate),
            wall_time: self.captured(ticks).unwrap_or(wall),
            noticed,
        }
    }

    fn next_ticks(&mut self, last: Last, rtp: u32, now: Instant) -> (i64, Noticed) {
        let passed = duration_to_ticks(now.saturating_duration_since(last.arrived), self.rate);
        if self.restarted {
            return (last.ticks + passed.max(1), Noticed::Regular);
        }
        let step = signed_step(last.rtp, rtp);
        let reorder = duration_to_ticks(REORDER, self.rate);
        if step < 0 && step >= -reorder {
            return (last.ticks + step, Noticed::Reordered);
        }
        if (step - passed).abs() > duration_to_ticks(JUMP, self.rate) || step < 0 {
            self.anchor = None;
            return (last.ticks + passed.max(1), Noticed::Jump);
        }
        (last.ticks + step, Noticed::Regular)
    }

    fn captured(&self, ticks: i64) -> Option<SystemTime> {
        let (anchor, wall) = self.anchor?;
        let step = ticks - anchor;
        let apart = ticks_to_duration(step.abs(), self.rate);
        if step < 0 {
            wall.checked_sub(apart)
        } else {
            wall.checked_add(apart)
        }
    }
}

/// The way from one RTP time to another, the shorter way around.
fn signed_step(from: u32, to: u32) -> i64 {
    i64::from(to.wrapping_sub(from).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        line: Timeline,
        now: Instant,
        wall: SystemTime,
    }

    impl Bench {
        #[expect(clippy::disallowed_methods, reason = "an arbitrary origin")]
        fn new() -> Self {
            let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
            Self {
                line: Timeline::new(90_000),
                now: Instant::now(),
                wall,
            }
        }

        fn after(&mut self, ms: u64, rtp: u32) -> Stamp {
            self.now += Duration::from_millis(ms);
            self.wall += Duration::from_millis(ms);
            self.line.stamp(rtp, self.now, self.wall)
        }
    }

    #[test]
    fn goes_on_over_the_wrap() {
        let mut bench = Bench::new();
        assert_eq!(bench.after(0, u32::MAX - 1000).media_time.ticks, 0);
        let stamp = bench.after(40, 2599);
        assert_eq!(
            (stamp.media_time.ticks, stamp.noticed),
            (3600, Noticed::Regular)
        );
    }

    #[test]
    fn steps_over_a_jump() {
        let mut bench = Bench::new();
        bench.after(0, 0);
        bench.after(40, 3600);
        let stamp = bench.after(40, 3600 + 90_000 * 60);
        assert_eq!(
            (stamp.media_time.ticks, stamp.noticed),
            (7200, Noticed::Jump)
        );
        let stamp = bench.after(40, 7200 + 90_000 * 60);
        assert_eq!(
            (stamp.media_time.ticks, stamp.noticed),
            (10_800, Noticed::Regular)
        );
        let back = bench.after(40, 5);
        assert_eq!(back.noticed, Noticed::Jump);
        assert_eq!(back.media_time.ticks, 14_400);
    }

    #[test]
    fn a_pause_is_no_jump() {
        let mut bench = Bench::new();
        bench.after(0, 0);
        let stamp = bench.after(60_000, 90_000 * 60);
        assert_eq!(
            (stamp.media_time.ticks, stamp.noticed),
            (90_000 * 60, Noticed::Regular)
        );
    }

    #[test]
    fn continues_after_a_reconnection() {
        let mut bench = Bench::new();
        bench.after(0, 1_000_000);
        bench.line.restart();
        assert_eq!(bench.after(2000, 77).media_time.ticks, 180_000);
        assert_eq!(bench.after(40, 77 + 3600).media_time.ticks, 183_600);
    }

    #[test]
    fn notices_b_frames() {
        let mut bench = Bench::new();
        bench.after(0, 0);
        bench.after(40, 10_800);
        let b = bench.after(40, 3600);
        assert_eq!((b.media_time.ticks, b.noticed), (3600, Noticed::Reordered));
        let b = bench.after(40, 7200);
        assert_eq!((b.media_time.ticks, b.noticed), (7200, Noticed::Reordered));
        assert_eq!(bench.after(40, 21_600).media_time.ticks, 21_600);
    }

    #[test]
    fn believes_a_camera_clock_that_is_close() {
        let mut bench = Bench::new();
        bench.after(0, 0);
        let captured = bench.wall - Duration::from_millis(300);
        bench.line.sender_report(0, captured, bench.wall);
        let stamp = bench.after(40, 3600);
        assert_eq!(stamp.wall_time, captured + Duration::from_millis(40));
        bench
            .line
            .sender_report(3600, SystemTime::UNIX_EPOCH, bench.wall);
        assert_eq!(bench.after(40, 7200).wall_time, bench.wall);
    }
}
