//! When things were captured: one line for all tracks of a source.
//!
//! Two clocks say when: the camera's, by the time of day in its sender reports, and ours, when the
//! packets arrive. Both are flawed: cameras' clocks are set wrongly, jump and drift; arrival has the
//! network's jitter, and ours may be set, too. So what is handed out is a line of its own. It goes
//! at the pace of the RTP clock and is led towards the better of the two so slowly that nobody sees
//! it: never a step, and never more than 500 ppm beside real time. One exception: as long as a source
//! sends what it had kept before we came, units leave faster than they were captured, and the line
//! waits for them. The camera's own time is kept beside it, as it is.
//!
//! Cost: a few additions an access unit; a slope over a dozen points every five seconds.

mod offset;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant, SystemTime};

use crate::access_unit::TrackKind;
use crate::time::MediaTime;
use crate::timeline::{Noticed, Timeline, signed_step};
use crate::{Quirk, Quirks};
use offset::Offset;

/// A camera whose clock is further than this from ours is not believed.
const BELIEVABLE: i64 = 5_000_000_000;
/// Reports that differ by more than this from what the one before foretold do not agree with it.
const AGREEMENT: i64 = 250_000_000;
/// A report says nothing any more when none has come for so long: usual are five seconds.
const REPORT_AGE: i64 = 120_000_000_000;
/// At the beginning of a connection units come faster than they were captured: many cameras, and all
/// routers, send what they have kept first. Less than this is the network's jitter.
const AHEAD: i64 = 50_000_000;
/// What clocks drift from one unit to the next is less.
const DRIFT: i64 = 1_000_000;
/// Whoever has not sent faster than real time for so long has caught up.
const CAUGHT_UP: i64 = 10_000_000_000;
/// How fast the line is led, in millionths of real time.
const SLEW_PPM: i64 = 500;

/// Which clock a source is led by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ClockTrust {
    /// The camera's as long as it can be believed: it is within five seconds of ours, and its
    /// reports agree with each other. Else arrival.
    #[default]
    Auto,
    /// The camera's, however far it is from ours, as long as its reports agree with each other.
    Camera,
    /// Arrival.
    Arrival,
}

/// An access unit's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Position on the track's time line.
    pub media_time: MediaTime,
    /// When it was captured, on the source's line. Never earlier than that of the unit before,
    /// unless it is to be shown before that one.
    pub wall_time: SystemTime,
    /// When it was captured by the camera's own clock, as its reports say.
    pub camera_time: Option<SystemTime>,
    /// What was noticed about its timestamp.
    pub noticed: Noticed,
}

/// Where our two clocks were when the first packet came: nanoseconds count from there.
#[derive(Debug, Clone, Copy)]
struct Origin {
    now: Instant,
    wall: SystemTime,
}

/// The camera's clock showed `wall` at RTP time `rtp`.
#[derive(Debug, Clone, Copy)]
struct Report {
    rtp: u32,
    wall: SystemTime,
    /// When it came.
    at: Instant,
    /// Reports in a row that agree, this one included.
    agreeing: u32,
    /// It was not yet held against our clock.
    fresh: bool,
}

/// The first units were older than they seemed, for what comes after them comes sooner.
#[derive(Debug, Clone, Copy)]
struct CatchUp {
    /// The least there was between media time and arrival when the line was set, or put right.
    lowest: i64,
    /// Nanoseconds of arrival at which it is over.
    until: i64,
    /// How much sooner a unit has to come: once it is plain that the source catches up, the
    /// network's jitter needs no room any more.
    ahead: i64,
}

#[derive(Debug)]
struct Track {
    timeline: Timeline,
    offset: Offset,
    report: Option<Report>,
    /// What is added to media time: the line. Nanoseconds.
    line: Option<i64>,
    /// Media time and wall time of the last unit that was not reordered.
    last: Option<(i64, i64)>,
    /// Its clock of day can be believed.
    believed: bool,
    restarted: bool,
    /// No unit came since the clocks were forgotten.
    fresh: bool,
    catch_up: Option<CatchUp>,
}

impl Track {
    fn new(rate: u32) -> Self {
        Self {
            timeline: Timeline::new(rate),
            offset: Offset::default(),
            report: None,
            line: None,
            last: None,
            believed: false,
            restarted: false,
            fresh: true,
            catch_up: None,
        }
    }

    fn forget_clocks(&mut self) {
        self.offset = Offset::default();
        self.report = None;
        self.believed = false;
        self.fresh = true;
        self.catch_up = None;
    }
}

/// The capture times of a source's tracks.
#[derive(Debug)]
pub struct CaptureClock {
    trust: ClockTrust,
    origin: Option<Origin>,
    video: Option<Track>,
    audio: Option<Track>,
    quirks: Quirks,
}

impl CaptureClock {
    /// A line without tracks.
    pub fn new(trust: ClockTrust) -> Self {
        Self {
            trust,
            origin: None,
            video: None,
            audio: None,
            quirks: Quirks::default(),
        }
    }

    /// Which clock leads from now on; the line goes there without a step.
    pub fn set_trust(&mut self, trust: ClockTrust) {
        self.trust = trust;
    }

    /// The source was connected anew and has these tracks: clocks by their ticks a second. A track
    /// that had the same rate before goes on where it was.
    pub fn restart(&mut self, video: u32, audio: Option<u32>) {
        let keep = |track: &mut Option<Track>, rate: Option<u32>| match (&mut *track, rate) {
            (Some(known), Some(rate)) if known.timeline.rate() == rate => {
                known.timeline.restart();
                known.forget_clocks();
                known.restarted = true;
            }
            (_, rate) => *track = rate.map(Track::new),
        };
        keep(&mut self.video, Some(video));
        keep(&mut self.audio, audio);
    }

    fn track(&mut self, kind: TrackKind) -> &mut Option<Track> {
        match kind {
            TrackKind::Video => &mut self.video,
            TrackKind::Audio => &mut self.audio,
        }
    }

    /// Takes a sender report (RFC 3550 section 6.4.1): the camera's clock showed `captured` at RTP
    /// time `rtp`. It arrived at `now`.
    pub fn sender_report(&mut self, kind: TrackKind, rtp: u32, captured: SystemTime, now: Instant) {
        let mut quirks = Quirks::default();
        if let Some(track) = self.track(kind) {
            let mut agreeing = 1;
            if let Some(former) = track.report {
                let foretold = shift(
                    former.wall,
                    ticks_to_nanos(signed_step(former.rtp, rtp), track.timeline.rate()),
                );
                let apart = foretold.map_or(i64::MAX, |foretold| between(foretold, captured));
                if apart.abs() <= AGREEMENT {
                    agreeing = former.agreeing.saturating_add(1);
                } else {
                    // The next one has to agree with this one first.
                    agreeing = 0;
                    quirks.note(Quirk::WrongTimeOfDay);
                }
            }
            track.report = Some(Report {
                rtp,
                wall: captured,
                at: now,
                agreeing,
                fresh: true,
            });
        }
        self.quirks.merge(&quirks);
    }

    /// Places the access unit with RTP time `rtp` that arrived at `now` (`wall` on our wall clock).
    /// `None`: there is no such track.
    pub fn stamp(
        &mut self,
        kind: TrackKind,
        rtp: u32,
        now: Instant,
        wall: SystemTime,
    ) -> Option<Stamp> {
        let trust = self.trust;
        let origin = *self.origin.get_or_insert(Origin { now, wall });
        let others_believed = match kind {
            TrackKind::Video => self.audio.as_ref(),
            TrackKind::Audio => self.video.as_ref(),
        }
        .is_none_or(|other| other.believed || other.last.is_none());
        let lead = match kind {
            TrackKind::Video => self.audio.as_ref(),
            TrackKind::Audio => self.video.as_ref(),
        }
        .and_then(|other| Some(other.line? - other.offset.lowest()?));
        let track = match kind {
            TrackKind::Video => self.video.as_mut(),
            TrackKind::Audio => self.audio.as_mut(),
        }?;
        let (media_time, noticed) = track.timeline.stamp(rtp, now);
        let media = ticks_to_nanos(media_time.ticks, media_time.rate);
        let reordered = noticed == Noticed::Reordered;
        match noticed {
            Noticed::Jump => {
                self.quirks.note(Quirk::ClockJumps);
                track.forget_clocks();
            }
            Noticed::Odd => {
                self.quirks.note(Quirk::OddClock);
                track.report = None;
            }
            Noticed::Regular | Noticed::Reordered => {}
        }
        let arrived =
            i64::try_from(now.saturating_duration_since(origin.now).as_nanos()).unwrap_or(i64::MAX);
        if !reordered {
            track.offset.arrived(media, arrived);
        }
        // How far our wall clock has come off the steady one.
        let set = between(origin.wall, wall).saturating_sub(arrived);
        let by_arrival = track
            .offset
            .lowest()
            .unwrap_or(arrived - media)
            .saturating_add(set);
        let camera_time = track.camera_time(rtp, now);
        let by_camera = camera_time
            .map(|time| between(origin.wall, time).saturating_sub(media))
            .filter(|offset| {
                let apart = offset.saturating_sub(by_arrival).saturating_abs();
                track.believe(trust, apart, &mut self.quirks)
            });
        track.believed = by_camera.is_some();
        let target = by_camera
            .filter(|_| others_believed)
            .unwrap_or_else(|| match lead {
                // Both go by arrival, or on the way there: sound and picture stay together.
                Some(lead) if track.line.is_none() => by_arrival.saturating_sub(set) + lead,
                _ => by_arrival,
            });
        if !reordered {
            track.catch_up(arrived, by_camera.is_some());
        }
        let line = track.lead(media, target, reordered);
        let mut at = media.saturating_add(line);
        if !reordered {
            at = track.last.map_or(at, |(_, former)| at.max(former));
            track.last = Some((media, at));
        }
        Some(Stamp {
            media_time,
            wall_time: shift(origin.wall, at).unwrap_or(wall),
            camera_time,
            noticed,
        })
    }

    /// What the camera's clocks do wrongly, since this was asked last.
    pub fn quirks(&mut self) -> Quirks {
        self.quirks.take()
    }
}

impl Track {
    /// What the camera's clock showed at RTP time `rtp`.
    fn camera_time(&mut self, rtp: u32, now: Instant) -> Option<SystemTime> {
        /// Moved along long before timestamps wrap.
        const FAR: i64 = 1 << 29;
        let rate = self.timeline.rate();
        let report = self.report.as_mut()?;
        let step = signed_step(report.rtp, rtp);
        let time = shift(report.wall, ticks_to_nanos(step, rate));
        let age = now.saturating_duration_since(report.at).as_nanos();
        if i64::try_from(age).unwrap_or(i64::MAX) > REPORT_AGE {
            self.report = None;
        } else if let Some(time) = time.filter(|_| step > FAR) {
            (report.rtp, report.wall) = (rtp, time);
        }
        time
    }

    fn believe(&mut self, trust: ClockTrust, apart: i64, quirks: &mut Quirks) -> bool {
        let Some(report) = &mut self.report else {
            return false;
        };
        let near = apart <= BELIEVABLE;
        if std::mem::take(&mut report.fresh) && !near {
            quirks.note(Quirk::WrongTimeOfDay);
        }
        report.agreeing > 0
            && match trust {
                ClockTrust::Auto => near,
                ClockTrust::Camera => true,
                ClockTrust::Arrival => false,
            }
    }

    /// Nothing is captured after it has arrived: where the first units came late, the line was set
    /// too late by as much as later ones come sooner, and is put right at once. Led there at 500 ppm,
    /// a second would take half an hour.
    fn catch_up(&mut self, arrived: i64, by_camera: bool) {
        let Some(lowest) = self.offset.lowest() else {
            return;
        };
        if std::mem::take(&mut self.fresh) {
            // A line that begins with the camera's own time is right as it is.
            let right = self.line.is_none() && by_camera;
            self.catch_up = (!right).then_some(CatchUp {
                lowest,
                until: arrived.saturating_add(CAUGHT_UP),
                ahead: AHEAD,
            });
            return;
        }
        let Some(catch_up) = &mut self.catch_up else {
            return;
        };
        if arrived > catch_up.until {
            self.catch_up = None;
            return;
        }
        let sooner = catch_up.lowest.saturating_sub(lowest);
        if sooner > catch_up.ahead {
            if sooner > DRIFT {
                catch_up.until = arrived.saturating_add(CAUGHT_UP);
            }
            (catch_up.lowest, catch_up.ahead) = (lowest, 0);
            self.line = self.line.map(|line| line.saturating_sub(sooner));
        }
    }

    /// Leads the line towards `target` by as much as the time since the last unit allows.
    fn lead(&mut self, media: i64, target: i64, reordered: bool) -> i64 {
        let Some(line) = self.line else {
            self.line = Some(target);
            return target;
        };
        if reordered {
            return line;
        }
        let restarted = std::mem::take(&mut self.restarted);
        if restarted && target.saturating_sub(line) > BELIEVABLE {
            // Nothing was there for a while: the time to go forward to where it should be, as after
            // our own clock was set.
            self.line = Some(target);
            return target;
        }
        let passed = self
            .last
            .map_or(0, |(former, _)| media.saturating_sub(former))
            .max(0);
        let Some(pace) = self.offset.pace_ppm() else {
            return line;
        };
        let part = |ppm: i64| {
            let part = i128::from(passed) * i128::from(ppm) / 1_000_000;
            i64::try_from(part).unwrap_or(0)
        };
        let missing = target.saturating_sub(line);
        // Where the clock itself is off by more, nothing is added to that, and nothing forced.
        let slew = SLEW_PPM - self.offset.doubt_ppm();
        let most = part(slew - pace).max(0);
        let least = part(-slew - pace).min(0);
        let led = line + missing.clamp(least, most);
        self.line = Some(led);
        led
    }
}

/// Nanoseconds that `ticks` take.
fn ticks_to_nanos(ticks: i64, rate: u32) -> i64 {
    let nanos = i128::from(ticks) * 1_000_000_000 / i128::from(rate.max(1));
    i64::try_from(nanos).unwrap_or(i64::MAX)
}

/// Nanoseconds from one time to another.
fn between(from: SystemTime, to: SystemTime) -> i64 {
    let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    match to.duration_since(from) {
        Ok(later) => nanos(later),
        Err(earlier) => -nanos(earlier.duration()),
    }
}

fn shift(time: SystemTime, nanos: i64) -> Option<SystemTime> {
    let by = Duration::from_nanos(nanos.unsigned_abs());
    if nanos < 0 {
        time.checked_sub(by)
    } else {
        time.checked_add(by)
    }
}
