//! From a camera's RTP timestamps to media time.
//!
//! A camera's clock wraps, jumps, restarts with the camera, stands still or ticks at a wrong rate.
//! Readers get a time line that goes on: after a jump or a reconnection it continues where it was,
//! advanced by the time that passed here; a clock that does not keep the pace at all is replaced by
//! arrival.

use std::time::{Duration, Instant};

use crate::time::{MediaTime, duration_to_ticks};

/// A step further than this from what the arrival time says is a jump, not jitter.
const JUMP: Duration = Duration::from_secs(10);
/// A step back of up to this is a reordered picture, that is a B-frame.
const REORDER: Duration = Duration::from_secs(2);
/// The pace of a clock is looked at over windows of this length, two in a row.
const PACE_WINDOW: Duration = Duration::from_secs(1);
/// Two fields of a picture may have one timestamp and arrive together; other pictures do not.
const FIELDS: Duration = Duration::from_millis(5);

/// What was noticed about a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noticed {
    /// Nothing.
    Regular,
    /// It lies before the one before: the camera sends B-frames.
    Reordered,
    /// The camera's clock jumped; the time line went on without the jump.
    Jump,
    /// The camera's clock stands still or has a wrong rate; the time line goes by arrival.
    Odd,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    rtp: u32,
    ticks: i64,
    arrived: Instant,
}

/// How fast the camera's clock goes against ours, in ticks.
#[derive(Debug, Clone, Default)]
struct Pace {
    theirs: i64,
    ours: i64,
    /// Theirs per thousand of ours in the window before.
    former: Option<i64>,
    odd: bool,
}

impl Pace {
    fn step(&mut self, theirs: i64, ours: i64, window: i64) {
        self.theirs = self.theirs.saturating_add(theirs);
        self.ours = self.ours.saturating_add(ours);
        if self.ours < window {
            return;
        }
        let pace = self.theirs.saturating_mul(1000) / self.ours.max(1);
        let former = self.former.replace(pace);
        (self.theirs, self.ours) = (0, 0);
        // Stalls of the network make one window slow and the next one fast: only two that agree say
        // something about the clock.
        let apart = |a: i64, b: i64| (a - b).abs() * 3 > a.abs().max(b.abs()) + 60;
        let Some(former) = former.filter(|former| !apart(*former, pace)) else {
            return;
        };
        let fits = |pace: i64| (800..=1250).contains(&pace);
        match (fits(former), fits(pace)) {
            (false, false) => self.odd = true,
            (true, true) => self.odd = false,
            _ => {}
        }
    }

    fn forget(&mut self) {
        *self = Self {
            odd: self.odd,
            ..Self::default()
        };
    }
}

/// One track's time line.
#[derive(Debug, Clone)]
pub struct Timeline {
    rate: u32,
    last: Option<Last>,
    /// A new connection: the next timestamp has nothing to do with the last one.
    restarted: bool,
    pace: Pace,
}

impl Timeline {
    /// A time line of a clock with `rate` ticks a second.
    pub fn new(rate: u32) -> Self {
        Self {
            rate: rate.max(1),
            last: None,
            restarted: false,
            pace: Pace::default(),
        }
    }

    /// Ticks a second.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// The source was connected anew: its timestamps start anywhere.
    pub fn restart(&mut self) {
        self.restarted = true;
        self.pace.forget();
    }

    /// Places the access unit with RTP time `rtp` that arrived at `now`.
    pub fn stamp(&mut self, rtp: u32, now: Instant) -> (MediaTime, Noticed) {
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
        (MediaTime::new(ticks, self.rate), noticed)
    }

    fn next_ticks(&mut self, last: Last, rtp: u32, now: Instant) -> (i64, Noticed) {
        let passed = duration_to_ticks(now.saturating_duration_since(last.arrived), self.rate);
        let by_arrival = last.ticks + passed.max(1);
        if self.restarted {
            return (by_arrival, Noticed::Regular);
        }
        let step = signed_step(last.rtp, rtp);
        let back = step < 0 && step >= -duration_to_ticks(REORDER, self.rate);
        if back && !self.pace.odd {
            return (last.ticks + step, Noticed::Reordered);
        }
        if (step - passed).abs() > duration_to_ticks(JUMP, self.rate) || (step < 0 && !back) {
            self.pace.forget();
            return (by_arrival, Noticed::Jump);
        }
        let window = duration_to_ticks(PACE_WINDOW, self.rate);
        self.pace.step(step, passed, window);
        let stands = step == 0 && passed > duration_to_ticks(FIELDS, self.rate);
        if self.pace.odd || stands {
            return (by_arrival, Noticed::Odd);
        }
        (last.ticks + step, Noticed::Regular)
    }
}

/// The way from one RTP time to another, the shorter way around.
pub(crate) fn signed_step(from: u32, to: u32) -> i64 {
    i64::from(to.wrapping_sub(from).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        line: Timeline,
        now: Instant,
    }

    struct Stamp {
        media_time: MediaTime,
        noticed: Noticed,
    }

    impl Bench {
        #[expect(clippy::disallowed_methods, reason = "an arbitrary origin")]
        fn new() -> Self {
            Self {
                line: Timeline::new(90_000),
                now: Instant::now(),
            }
        }

        fn after(&mut self, ms: u64, rtp: u32) -> Stamp {
            self.now += Duration::from_millis(ms);
            let (media_time, noticed) = self.line.stamp(rtp, self.now);
            Stamp {
                media_time,
                noticed,
            }
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
    fn a_clock_that_stands_still_is_replaced_by_arrival() {
        let mut bench = Bench::new();
        bench.after(0, 5);
        for n in 1..100 {
            let stamp = bench.after(40, 5);
            assert_eq!(
                (stamp.media_time.ticks, stamp.noticed),
                (n * 3600, Noticed::Odd)
            );
        }
    }

    #[test]
    fn so_is_one_with_a_wrong_rate_until_it_is_right() {
        let mut bench = Bench::new();
        let mut rtp = 0;
        let mut run = |bench: &mut Bench, count: u32, step: u32| {
            for _ in 1..count {
                rtp += step;
                bench.after(40, rtp);
            }
            rtp += step;
            bench.after(40, rtp)
        };
        assert_eq!(run(&mut bench, 20, 40).noticed, Noticed::Regular);
        let odd = run(&mut bench, 40, 40);
        assert_eq!(odd.noticed, Noticed::Odd);
        let later = run(&mut bench, 100, 40);
        assert_eq!(later.media_time.ticks - odd.media_time.ticks, 360_000);
        assert_eq!(run(&mut bench, 80, 3600).noticed, Noticed::Regular);
    }

    #[test]
    fn a_stall_of_the_network_is_no_wrong_rate() {
        let mut bench = Bench::new();
        let mut rtp = 0;
        for round in 0..20 {
            for n in 0..100_u32 {
                rtp += 3600;
                // Three seconds of nothing, then all of it at once.
                let ms = match n {
                    0 => 3040,
                    1..75 => 0,
                    _ => 40,
                };
                assert_eq!(
                    bench.after(ms, rtp).noticed,
                    Noticed::Regular,
                    "{round} {n}"
                );
            }
        }
    }
}
