//! Cameras with clocks of all kinds, on a virtual clock.

use super::*;
use proptest::prelude::*;

const MS: i64 = 1_000_000;
const SECOND: i64 = 1000 * MS;
const HOUR: i64 = 3600 * SECOND;
const VIDEO: u32 = 90_000;
const AUDIO: u32 = 8000;

/// A camera whose capture is known, nanosecond by nanosecond.
struct Bench {
    clock: CaptureClock,
    now: Instant,
    wall: SystemTime,
    drift_ppm: i64,
    /// The camera's time of day less ours.
    day: i64,
    /// Our wall clock was set by so much.
    set: i64,
    random: u64,
}

impl Bench {
    #[expect(clippy::disallowed_methods, reason = "an arbitrary origin")]
    fn new(trust: ClockTrust, drift_ppm: i64) -> Self {
        let mut clock = CaptureClock::new(trust);
        clock.restart(VIDEO, Some(AUDIO));
        Self {
            clock,
            now: Instant::now(),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
            drift_ppm,
            day: 0,
            set: 0,
            random: 1,
        }
    }

    fn jitter(&mut self, up_to: i64) -> i64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(11);
        i64::try_from(self.random >> 33).unwrap() % up_to.max(1)
    }

    /// What the camera's oscillator has counted at a moment.
    fn counted(&self, at: i64) -> i64 {
        at + at / 1_000_000 * self.drift_ppm
    }

    fn rtp(&self, rate: u32, at: i64) -> u32 {
        let ticks = i128::from(self.counted(at)) * i128::from(rate) / 1_000_000_000;
        u32::try_from(ticks.rem_euclid(1 << 32))
            .unwrap()
            .wrapping_add(4_000_000_000)
    }

    fn unit(&mut self, kind: TrackKind, at: i64) -> Stamp {
        let rate = if kind == TrackKind::Video {
            VIDEO
        } else {
            AUDIO
        };
        let rtp = self.rtp(rate, at);
        let arrived = at + 20 * MS + self.jitter(30 * MS);
        let now = self.now + Duration::from_nanos(arrived.unsigned_abs());
        let wall = shift(self.wall, arrived + self.set).unwrap();
        self.clock.stamp(kind, rtp, now, wall).unwrap()
    }

    /// A report about `at` with a lie in it that arrives `late`.
    fn report(&mut self, kind: TrackKind, at: i64, lie: i64, late: i64) {
        let rate = if kind == TrackKind::Video {
            VIDEO
        } else {
            AUDIO
        };
        let rtp = self.rtp(rate, at);
        let captured = shift(self.wall, self.counted(at) + self.day + lie).unwrap();
        let now = self.now + Duration::from_nanos((at + late).unsigned_abs());
        self.clock.sender_report(kind, rtp, captured, now);
    }

    /// How far the line is from the truth.
    fn error(&self, at: i64, stamp: &Stamp) -> i64 {
        between(self.wall, stamp.wall_time) - at
    }
}

#[test]
fn goes_by_the_least_delayed_packets_until_there_are_reports() {
    let mut bench = Bench::new(ClockTrust::Auto, 0);
    let mut errors = Vec::new();
    for n in 0..1200 {
        let stamp = bench.unit(TrackKind::Video, n * 100 * MS);
        assert_eq!(stamp.camera_time, None);
        errors.push(bench.error(n * 100 * MS, &stamp));
    }
    let end = *errors.last().unwrap();
    assert!((19 * MS..24 * MS).contains(&end), "{end}");
    assert!(
        errors
            .windows(2)
            .all(|e| (e[0] - e[1]).abs() <= 100 * MS / 1000)
    );
}

#[test]
fn follows_a_camera_that_says_when_and_keeps_sound_with_it() {
    let mut bench = Bench::new(ClockTrust::Auto, 80);
    bench.day = -300 * MS;
    for n in 0..12_000 {
        let at = n * 100 * MS;
        if n % 50 == 20 {
            bench.report(TrackKind::Video, at, 0, 10 * MS);
            bench.report(TrackKind::Audio, at, 0, 10 * MS);
        }
        let picture = bench.unit(TrackKind::Video, at);
        let sound = bench.unit(TrackKind::Audio, at);
        let apart = between(picture.wall_time, sound.wall_time).abs();
        assert!(apart < 35 * MS, "{n}: {apart}");
        if n > 10_000 {
            assert!(apart < MS, "{n}: {apart}");
            let error = bench.error(at, &picture);
            let drifted = bench.counted(at) - at - 300 * MS;
            assert!((error - drifted).abs() < 2 * MS, "{n}: {error} {drifted}");
        }
        if n > 20 {
            let said = between(bench.wall, picture.camera_time.unwrap());
            assert!((said - bench.counted(at) - bench.day).abs() < MS);
        }
    }
    assert_eq!(bench.clock.quirks(), Quirks::default());
}

#[test]
fn a_report_before_the_first_picture_counts_at_once() {
    let mut bench = Bench::new(ClockTrust::Auto, 0);
    bench.clock.restart(VIDEO, None);
    bench.day = 1200 * MS;
    bench.report(TrackKind::Video, 0, 0, 0);
    let stamp = bench.unit(TrackKind::Video, 40 * MS);
    assert!((bench.error(40 * MS, &stamp) - bench.day).abs() < MS);
}

#[test]
fn a_wrong_time_of_day_is_kept_but_not_followed() {
    let mut bench = Bench::new(ClockTrust::Auto, 0);
    bench.day = -HOUR;
    for n in 0..300 {
        if n % 50 == 0 {
            bench.report(TrackKind::Video, n * 100 * MS, 0, 0);
        }
        let stamp = bench.unit(TrackKind::Video, n * 100 * MS);
        assert!(bench.error(n * 100 * MS, &stamp).abs() < 60 * MS);
        let said = between(bench.wall, stamp.camera_time.unwrap());
        assert!((said - n * 100 * MS + HOUR).abs() < MS);
    }
    assert_eq!(bench.clock.quirks().count(Quirk::WrongTimeOfDay), 6);
}

#[test]
fn the_commune_may_say_which_clock_counts() {
    let mut camera = Bench::new(ClockTrust::Camera, 0);
    camera.clock.restart(VIDEO, None);
    camera.day = 7 * HOUR;
    camera.report(TrackKind::Video, 0, 0, 0);
    let stamp = camera.unit(TrackKind::Video, 0);
    assert!((camera.error(0, &stamp) - 7 * HOUR).abs() < MS);
    let mut arrival = Bench::new(ClockTrust::Arrival, 0);
    arrival.day = SECOND;
    arrival.report(TrackKind::Video, 0, 0, 0);
    let stamp = arrival.unit(TrackKind::Video, 0);
    assert!(arrival.error(0, &stamp) < 60 * MS && stamp.camera_time.is_some());
}

#[test]
fn goes_on_over_reconnections_and_other_tracks() {
    let mut bench = Bench::new(ClockTrust::Auto, 0);
    let before = bench.unit(TrackKind::Video, SECOND);
    bench.clock.restart(VIDEO, None);
    assert_eq!(
        bench
            .clock
            .stamp(TrackKind::Audio, 0, bench.now, bench.wall),
        None
    );
    bench.drift_ppm = -400_000;
    let after = bench.unit(TrackKind::Video, 5 * SECOND);
    let passed = between(before.wall_time, after.wall_time) - 4 * SECOND;
    assert!(passed.abs() < 60 * MS);
    assert!(after.media_time.ticks > before.media_time.ticks);
    // Our own clock was set while nothing came: forward is made up for.
    bench.clock.restart(VIDEO, None);
    bench.set = HOUR;
    let later = bench.unit(TrackKind::Video, 9 * SECOND);
    assert!((bench.error(9 * SECOND, &later) - HOUR).abs() < 60 * MS);
}

/// What a source has kept comes at once when the connection begins, the rest as it is captured.
fn burst(
    bench: &mut Bench,
    from: i64,
    kept: i64,
    pause: i64,
    kinds: &[TrackKind],
) -> Vec<(i64, i64)> {
    let mut line = Vec::new();
    for n in 0..(kept / (40 * MS - pause) + 250) {
        let at = from - kept + n * 40 * MS;
        for &kind in kinds {
            let rate = if kind == TrackKind::Video {
                VIDEO
            } else {
                AUDIO
            };
            let rtp = bench.rtp(rate, at);
            let arrived = at.max(from + n * pause) + 5 * MS + bench.jitter(5 * MS);
            let now = bench.now + Duration::from_nanos(arrived.unsigned_abs());
            let wall = shift(bench.wall, arrived).unwrap();
            let stamp = bench.clock.stamp(kind, rtp, now, wall).unwrap();
            line.push((arrived, between(bench.wall, stamp.wall_time)));
        }
    }
    line
}

proptest! {
    /// Nothing is captured after it has arrived, however much a source has kept for us, at a
    /// connection or at the next; time goes on forward.
    #[test]
    fn nothing_is_captured_after_it_arrived(
        kept in 0..20 * SECOND,
        // Not at the flank of a quarter, where a clock is called odd now and then.
        pause in prop_oneof![0..25 * MS, 34 * MS..39 * MS],
        sound in any::<bool>(),
        again in any::<bool>(),
    ) {
        let mut bench = Bench::new(ClockTrust::Auto, 0);
        let both = [TrackKind::Video, TrackKind::Audio];
        let kinds = if sound { &both[..] } else { &both[..1] };
        let mut line = Vec::new();
        // A little that is kept is not told from jitter, at each connection and of each track.
        let most = AHEAD * (2 + i64::from(again)) + 10 * MS;
        if again {
            line = burst(&mut bench, 100 * SECOND, SECOND, 0, kinds);
            bench.clock.restart(VIDEO, Some(AUDIO));
        }
        let from = 150 * SECOND;
        let settled = line.len();
        line.extend(burst(&mut bench, from, kept, pause, kinds));
        for (arrived, captured) in &line {
            prop_assert!(captured - arrived <= most, "{arrived}: {captured}");
        }
        for each in line[..settled].chunks(kinds.len()).collect::<Vec<_>>().windows(2) {
            prop_assert!(each[0][0].1 <= each[1][0].1);
        }
        for each in line[settled..].chunks(kinds.len()).collect::<Vec<_>>().windows(2) {
            prop_assert!(each[0][0].1 <= each[1][0].1);
        }
        let (arrived, captured) = *line.last().unwrap();
        prop_assert!((arrived - captured).abs() <= most + 10 * MS, "{arrived}: {captured}");
    }
}

/// What becomes of the camera's reports in a stretch of time.
#[derive(Debug, Clone, Copy)]
enum Reports {
    Good,
    Late,
    Lie(i64),
    None,
}

fn reports() -> impl Strategy<Value = Reports> {
    prop_oneof![
        Just(Reports::Good),
        Just(Reports::Late),
        Just(Reports::None),
        (-2 * HOUR..2 * HOUR).prop_map(Reports::Lie),
        (-4 * SECOND..4 * SECOND).prop_map(Reports::Lie),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever a camera says about the time: the line goes forward, never more than 500 ppm beside
    /// real time, and stays within what is believed of a camera's clock.
    #[test]
    fn never_steps(
        drift in -500_i64..=500,
        stretches in prop::collection::vec((reports(), -1_i64..=1), 1..8),
        arrival in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let trust = if arrival { ClockTrust::Arrival } else { ClockTrust::Auto };
        let mut bench = Bench::new(trust, drift);
        bench.random = seed;
        let mut lines: [Vec<(i64, i64)>; 2] = [Vec::new(), Vec::new()];
        let mut at = 0;
        for (reports, hours) in stretches {
            bench.day += hours * HOUR;
            for n in 0..600 {
                if n % 50 == 0 {
                    let (lie, late) = match reports {
                        Reports::Good => (0, 5 * MS),
                        Reports::Late => (0, 3 * SECOND),
                        Reports::Lie(most) => (bench.jitter(most.abs()) * most.signum(), 0),
                        Reports::None => (0, i64::MAX),
                    };
                    for kind in [TrackKind::Video, TrackKind::Audio] {
                        if late != i64::MAX {
                            bench.report(kind, at, lie, late);
                        }
                    }
                }
                for (kind, line) in [TrackKind::Video, TrackKind::Audio].into_iter().zip(&mut lines) {
                    let stamp = bench.unit(kind, at);
                    line.push((at, bench.error(at, &stamp)));
                }
                at += 100 * MS;
            }
        }
        for line in &lines {
            for pair in line.windows(11) {
                let ((from, before), (to, after)) = (pair[0], pair[10]);
                // A tick of the audio's clock is 125 µs.
                let most = (to - from) / 2000 + 130_000;
                prop_assert!((after - before).abs() <= most, "{from}: {before} to {after}");
            }
            for pair in line.windows(2) {
                prop_assert!(pair[1].0 + pair[1].1 > pair[0].0 + pair[0].1);
            }
            let worst = line.iter().map(|(_, error)| error.abs()).max().unwrap_or(0);
            let most = if arrival { 150 * MS } else { BELIEVABLE + 100 * MS };
            prop_assert!(worst <= most, "{worst}");
        }
    }
}
