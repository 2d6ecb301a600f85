//! Cameras and routers with clocks of all kinds, on a virtual clock, from the packet's time to the timeline: nothing
//! overlaps, no second is lost, the order is kept, and what was asked for is given or listed.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime};

use proptest::prelude::*;
use taimat_base::metrics::Registry;
use taimat_base::{CameraKey, Profile};
use taimat_contract::UnixMicros;
use taimat_hub::ChannelKey;
use taimat_media::capture::{CaptureClock, ClockTrust};
use taimat_media::{AccessUnit, Start, TrackKind, VideoParams};
use taimat_simulate::{Encoding, Scene, SceneKind, encode};

use super::{Recording, Step};
use crate::assemble::Assembler;
use crate::config::Mode;
use crate::index::{rows, schema};
use crate::layout;
use crate::load::Load;
use crate::metrics::ArchiveMetrics;
use crate::part::Part;
use crate::reason::GapReason;
use crate::timeline::{JITTER, Near, timeline};
use crate::volume::{Syncing, Volume};

const MS: i64 = 1_000_000;
const SECOND: i64 = 1000 * MS;
const HOUR: i64 = 3600 * SECOND;
const VIDEO: u32 = 90_000;
/// How often the recorder looks.
const LOOK: i64 = 100 * MS;
/// When the clocks begin.
const BEGIN: i64 = 1_800_000_000;

static PARAMS: LazyLock<Arc<VideoParams>> = LazyLock::new(|| {
    let encoding = Encoding {
        width: 64,
        height: 48,
        keyframe_interval: 1,
        bitrate: 10_000,
    };
    let pictures = encode(&Scene::new(SceneKind::Street, 1, 1, 1), &encoding).unwrap();
    Arc::clone(&pictures[0].params)
});

/// What happens to clocks and cameras.
#[derive(Debug, Clone, Copy)]
enum Happens {
    /// Somebody sets our wall clock.
    Set(i64),
    /// NTP leads our wall clock, in millionths.
    Slew(i64),
    /// Somebody sets the camera's time of day.
    CameraSet(i64),
    /// NTP leads the camera's time of day, in millionths.
    CameraSlew(i64),
    /// Nothing comes for so long.
    Silence(i64),
    /// The same, and the camera is connected anew after it.
    Reconnect(i64),
}

fn happens() -> impl Strategy<Value = Happens> {
    let hour = prop::sample::select(vec![-HOUR, -SECOND, SECOND, HOUR]);
    let pace = -500..=500_i64;
    let silence = (4..30_i64).prop_map(|seconds| seconds * SECOND);
    prop_oneof![
        hour.clone().prop_map(Happens::Set),
        pace.clone().prop_map(Happens::Slew),
        hour.prop_map(Happens::CameraSet),
        pace.prop_map(Happens::CameraSlew),
        silence.clone().prop_map(Happens::Silence),
        silence.prop_map(Happens::Reconnect),
    ]
}

/// A clock that is set and led.
#[derive(Debug, Default)]
struct Day {
    /// So far it is off at the last change, and when that was.
    off: i64,
    since: i64,
    ppm: i64,
}

impl Day {
    fn off(&self, at: i64) -> i64 {
        self.off + (at - self.since) / 1_000_000 * self.ppm
    }

    fn change(&mut self, at: i64, step: i64, ppm: Option<i64>) {
        self.off = self.off(at) + step;
        self.since = at;
        self.ppm = ppm.unwrap_or(self.ppm);
    }
}

fn wall(nanos: i64) -> SystemTime {
    let at = u64::try_from(BEGIN * SECOND + nanos).unwrap();
    SystemTime::UNIX_EPOCH + Duration::from_nanos(at)
}

/// A camera, its capture line, and what becomes of it on the disk.
struct Bench {
    origin: Instant,
    clock: CaptureClock,
    drift_ppm: i64,
    jitter: i64,
    random: u64,
    ours: Day,
    cameras: Day,
    assembler: Assembler,
    recording: Recording,
    load: Arc<Load>,
    volume: Volume,
    ids: u64,
    heard: i64,
    sent: usize,
    /// From when until when, and how many pictures.
    parts: Vec<(i64, i64, usize)>,
}

fn key() -> ChannelKey {
    let camera = CameraKey::new("hoa-lac".parse().unwrap(), "cho".parse().unwrap());
    ChannelKey::new(camera, Profile::Main)
}

impl Bench {
    #[expect(clippy::disallowed_methods, reason = "an arbitrary origin")]
    fn new(root: &Path, trust: ClockTrust, drift_ppm: i64, jitter: i64) -> Self {
        let file = root.join(layout::INDEX);
        let index = schema::open(&file).unwrap();
        let (number, _) = rows::stream(&index, &key()).unwrap();
        let metrics = ArchiveMetrics::register(&Registry::new()).unwrap();
        let syncing = Syncing::of(root, &file).unwrap();
        let mut clock = CaptureClock::new(trust);
        clock.restart(VIDEO, None);
        Self {
            origin: Instant::now(),
            clock,
            drift_ppm,
            jitter,
            random: 1,
            ours: Day::default(),
            cameras: Day::default(),
            assembler: Assembler::default(),
            recording: Recording::new(key(), number, None),
            load: Arc::default(),
            volume: Volume::start(root.to_owned(), index, syncing, metrics.volume).unwrap(),
            ids: 0,
            heard: 0,
            sent: 0,
            parts: Vec::new(),
        }
    }

    fn late(&mut self) -> i64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(11);
        20 * MS + i64::try_from(self.random >> 33).unwrap() % self.jitter.max(1)
    }

    fn now(&self, at: i64) -> Instant {
        self.origin + Duration::from_nanos(at.unsigned_abs())
    }

    /// What the camera's oscillator has counted.
    fn rtp(&self, at: i64) -> u32 {
        let counted = at + at / 1_000_000 * self.drift_ppm;
        let ticks = i128::from(counted) * i128::from(VIDEO) / i128::from(SECOND);
        u32::try_from(ticks.rem_euclid(1 << 32))
            .unwrap()
            .wrapping_add(4_200_000_000)
    }

    /// A picture that was captured then arrives.
    fn picture(&mut self, at: i64, key: bool) {
        let arrived = at + self.late();
        let (rtp, now) = (self.rtp(at), self.now(arrived));
        let day = wall(arrived + self.ours.off(arrived));
        let stamp = self.clock.stamp(TrackKind::Video, rtp, now, day).unwrap();
        let unit = Arc::new(AccessUnit {
            track: TrackKind::Video,
            media_time: stamp.media_time,
            wall_time: stamp.wall_time,
            camera_time: stamp.camera_time,
            received: now,
            keyframe: key,
            start: key.then_some(Start::Idr),
            params: Some(Arc::clone(&PARAMS)),
            data: vec![0, 0, 0, 2, 0x65, 0x80].into(),
            lost_packets: 0,
            damaged: false,
        });
        self.sent += 1;
        let part = self.assembler.push(&unit, None);
        self.keep(part, arrived);
    }

    fn report(&mut self, at: i64) {
        let captured = wall(at + self.cameras.off(at));
        let (rtp, now) = (self.rtp(at), self.now(at + 15 * MS));
        self.clock
            .sender_report(TrackKind::Video, rtp, captured, now);
    }

    fn look(&mut self, at: i64) {
        let part = self.assembler.tick(self.now(at));
        self.keep(part, at);
        let quiet = Duration::from_nanos((at - self.heard).unsigned_abs());
        let day = UnixMicros::from(wall(at + self.ours.off(at))).0;
        let mut steps = Vec::new();
        self.recording
            .idle(quiet, day, GapReason::CameraLost, &mut steps);
        self.run(steps);
    }

    fn keep(&mut self, part: Option<Part>, at: i64) {
        let Some(part) = part else { return };
        self.heard = at;
        let pictures = part.video.samples.len();
        assert!(part.video.samples.iter().all(|sample| sample.duration > 0));
        self.parts.push((part.start, part.end, pictures));
        let mut steps = Vec::new();
        let waiting = self.load.stream().room(part.bytes()).unwrap();
        let next = || {
            self.ids += 1;
            self.ids
        };
        self.recording
            .take(part, waiting, (Mode::Continuous, true), next, &mut steps)
            .unwrap();
        self.run(steps);
    }

    fn run(&self, steps: Vec<Step>) {
        for step in steps {
            let done = match step {
                Step::Begin(beginning) => self.volume.begin(beginning),
                Step::Append(id, part, waiting) => self.volume.append(id, part, waiting),
                Step::Close { id, watched } => self.volume.close(id, watched),
                Step::Note(change) => self.volume.change(change),
            };
            done.unwrap();
        }
    }
}

/// Films until then and says how long pictures came, and how often they did not.
fn film(
    bench: &mut Bench,
    rate: i64,
    reports: bool,
    length: i64,
    events: &[(i64, Happens)],
) -> (i64, usize) {
    let mut events = events.iter().peekable();
    let (mut filmed, mut silent, mut until, mut anew) = (0, 0, 0, false);
    let (step, mut looked, mut reported, mut n) = (SECOND / rate, 0, 0, 0);
    let mut at = 0;
    while at < length {
        while let Some((_, happens)) = events.next_if(|(when, _)| *when <= at) {
            match *happens {
                Happens::Set(by) => bench.ours.change(at, by, None),
                Happens::Slew(ppm) => bench.ours.change(at, 0, Some(ppm)),
                Happens::CameraSet(by) => bench.cameras.change(at, by, None),
                Happens::CameraSlew(ppm) => bench.cameras.change(at, 0, Some(ppm)),
                Happens::Silence(span) | Happens::Reconnect(span) => {
                    silent += usize::from(at >= until);
                    until = until.max(at + span);
                    anew |= matches!(happens, Happens::Reconnect(_));
                }
            }
        }
        if at >= until {
            if std::mem::take(&mut anew) {
                bench.clock.restart(VIDEO, None);
            }
            if reports && at >= reported {
                bench.report(at);
                reported = at + 5 * SECOND;
            }
            bench.picture(at, n % rate == 0);
            n += 1;
            filmed += step;
        }
        at += step;
        while looked + LOOK <= at {
            looked += LOOK;
            bench.look(looked + 80 * MS);
        }
    }
    let rest = bench.assembler.finish();
    bench.keep(rest, at + 80 * MS);
    (filmed / 1000, silent)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn no_overlap_no_lost_second_and_asked_is_given_and_listed(
        trust in prop::sample::select(vec![ClockTrust::Auto, ClockTrust::Camera, ClockTrust::Arrival]),
        drift_ppm in -500..=500_i64,
        jitter in 0..60 * MS,
        rate in 4..26_i64,
        reports in any::<bool>(),
        day in prop::sample::select(vec![0, -2 * SECOND, 2 * SECOND, HOUR, -HOUR]),
        events in prop::collection::vec((5 * SECOND..170 * SECOND, happens()), 0..7),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut events = events;
        events.sort_by_key(|(at, _)| *at);
        let mut bench = Bench::new(folder.path(), trust, drift_ppm, jitter);
        bench.cameras.change(0, day, None);
        let (filmed, silent) = film(&mut bench, rate, reports, 180 * SECOND, &events);

        // In order, nothing twice, each picture once.
        let parts = std::mem::take(&mut bench.parts);
        for pair in parts.windows(2) {
            prop_assert!(pair[0].1 <= pair[1].0, "{pair:?}");
        }
        prop_assert!(parts.iter().all(|(start, end, _)| start < end));
        prop_assert_eq!(parts.iter().map(|part| part.2).sum::<usize>(), bench.sent);
        // Where pictures came there is no hole, and as long as they came they last: clocks that are off by
        // 500 ppm and led by as much, and a picture before each silence that stands for a moment.
        let holes = parts.windows(2).filter(|pair| pair[1].0 - pair[0].1 > JITTER).count();
        prop_assert!(holes <= silent, "{holes} holes, {silent} times nothing came");
        let lasted: i64 = parts.iter().map(|(start, end, _)| end - start).sum();
        let most = filmed / 500 + (i64::try_from(silent).unwrap() + 1) * 1_000_000;
        prop_assert!((lasted - filmed).abs() <= most, "{lasted} of {filmed}");

        // What was asked for is given and listed, and why nothing is there is known.
        drop(bench);
        let index = schema::open_to_read(&folder.path().join(layout::INDEX)).unwrap();
        let (first, last) = (parts[0].0, parts[parts.len() - 1].1);
        let (from, to) = (UnixMicros(first - 10_000_000), UnixMicros(last + 10_000_000));
        let now = UnixMicros(last + 3600 * 1_000_000);
        let told = timeline(&index, &key(), from, to, now, &Near::default()).unwrap();
        let mut all: Vec<(i64, i64, Option<GapReason>)> = told.recorded.iter()
            .map(|piece| (piece.start.0, piece.end.0, None)).collect();
        all.extend(told.gaps.iter().map(|gap| (gap.start.0, gap.end.0, Some(gap.reason))));
        all.sort_unstable_by_key(|(start, _, _)| *start);
        let mut at = from.0;
        for (start, end, why) in &all {
            prop_assert_eq!(*start, at, "{:?}", &all);
            prop_assert!(end > start);
            let known = *end <= first || *start >= last || *why != Some(GapReason::Unknown);
            prop_assert!(known, "{:?}", &all);
            at = *end;
        }
        prop_assert_eq!(at, to.0);
        let given: i64 = told.recorded.iter().map(|piece| piece.end.0 - piece.start.0).sum();
        prop_assert!(given >= lasted, "{given} of {lasted}");
        prop_assert!(given - lasted <= JITTER * i64::try_from(parts.len()).unwrap());

        let checked = crate::check(folder.path(), true).unwrap();
        prop_assert_eq!(checked.wrong, []);
    }
}
