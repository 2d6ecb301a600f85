//! Access units become parts.
//!
//! The capture line, which never steps, is what the file's times are made of: ticks since 1970. A picture
//! lasts until the next one; the last of a part until the first of the next, or as long as the one before it
//! where the next does not come. So parts follow each other without overlap, whatever the clocks do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use taimat_contract::UnixMicros;
use taimat_media::codec::VIDEO_CLOCK;
use taimat_media::mp4::Sample;
use taimat_media::{AccessUnit, AudioTrack, TrackKind};

use crate::part::{Format, Part, TrackPart};
use crate::sound::Sound;
use crate::ticks;

/// A part is no longer than this, in ticks of video, if the camera sends pictures in order. Together with how
/// often streams are looked at it is less than a second.
const LONGEST: u64 = ticks_of(Duration::from_millis(800));
/// A key frame begins another part if this one begins with one and has so much already.
const SHORTEST: u64 = ticks_of(Duration::from_millis(200));
/// A part for which no picture comes is closed after so long.
const PATIENCE: Duration = Duration::from_millis(850);
/// A picture does not last longer than this, or than a few of those before it.
const STANDS: u64 = ticks_of(Duration::from_secs(2));
/// What lies so far before what is there was led back; what lies further belongs to another line: the clock was
/// set, or the source began anew.
const LED: u64 = STANDS * 5;
/// What the first picture of a camera lasts if no other comes.
const FIRST: u64 = ticks_of(Duration::from_millis(40));
/// A part has no more pictures than this, and no more bytes: whoever sends more has more parts.
const MAX_SAMPLES: usize = 1000;
const MAX_BYTES: u64 = 64 << 20;

const fn ticks_of(span: Duration) -> u64 {
    span.as_millis() as u64 * (VIDEO_CLOCK as u64) / 1000
}

#[derive(Debug)]
struct Picture {
    unit: Arc<AccessUnit>,
    /// When it is shown.
    shown: u64,
}

/// The part that is being filled, and what is known of those before.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    pictures: Vec<Picture>,
    bytes: u64,
    /// When the first of them arrived.
    since: Option<Instant>,
    /// The latest that is shown.
    latest: u64,
    /// When the part before was over.
    end: u64,
    /// How long pictures last at present.
    interval: Option<u64>,
    /// Pictures are not shown in the order in which they come.
    reorders: bool,
    /// The newest one by the camera's own count, in that count's ticks, and when it is shown.
    newest: Option<(i64, u64)>,
    sound: Sound,
}

impl Assembler {
    /// Takes an access unit; gives the part that it closes. `audio` says what the sound is.
    pub(crate) fn push(
        &mut self,
        unit: &Arc<AccessUnit>,
        audio: Option<&AudioTrack>,
    ) -> Option<Part> {
        if unit.track == TrackKind::Audio {
            self.sound.push(unit, audio);
            return None;
        }
        let params = unit.params.as_ref()?;
        let shown = self.shown(unit);
        let closed = match self.pictures.last() {
            Some(last) => {
                let same = last.unit.params.as_ref() == Some(params);
                (!same || self.is_full(unit, shown)).then(|| self.close(Some(shown)))
            }
            None => None,
        };
        if closed.is_some() || self.pictures.is_empty() {
            self.since = Some(unit.received);
            self.latest = shown;
        } else if shown > self.latest {
            self.latest = shown;
        } else {
            self.reorders = true;
        }
        self.bytes += unit.data.len() as u64;
        self.pictures.push(Picture {
            unit: Arc::clone(unit),
            shown,
        });
        closed.flatten()
    }

    /// When a picture is shown. One that comes later by the camera's own count is not shown before the one before
    /// it, though the capture line be led back a little: a player could not show it in order.
    fn shown(&mut self, unit: &AccessUnit) -> u64 {
        let mut shown = ticks::video(UnixMicros::from(unit.wall_time).0);
        let count = unit.media_time.ticks;
        if let Some((newest, at)) = self.newest {
            if count > newest && shown <= at && at - shown <= LED {
                shown = at + 1;
            }
            // Shown earlier than it comes; or the count began anew.
            if count <= newest && newest.abs_diff(count) <= LED {
                return shown;
            }
        }
        self.newest = Some((count, shown));
        shown
    }

    /// Whether a picture begins another part. Where pictures are reordered only one that is shown after
    /// all before it may.
    fn is_full(&self, unit: &AccessUnit, shown: u64) -> bool {
        if self.pictures.len() >= MAX_SAMPLES || self.bytes >= MAX_BYTES {
            return true;
        }
        let Some(first) = self.pictures.first() else {
            return false;
        };
        let length = shown.saturating_sub(first.shown);
        let step = shown.saturating_sub(self.latest);
        let fresh = first.unit.keyframe && length < SHORTEST;
        let enough = length + step > LONGEST || (unit.keyframe && !fresh);
        // One that lies before all of it belongs to a line of its own.
        let back = shown < first.shown;
        (shown > self.latest && enough) || back
    }

    /// Closes the part if nothing has come for it in time.
    pub(crate) fn tick(&mut self, now: Instant) -> Option<Part> {
        let late = |since: Instant| now.saturating_duration_since(since) >= PATIENCE;
        self.since.is_some_and(late).then(|| self.close(None))?
    }

    /// Closes the part, as nothing comes after it.
    pub(crate) fn finish(&mut self) -> Option<Part> {
        let part = self.close(None);
        self.sound = Sound::default();
        part
    }

    /// `next` is when the first picture after it is shown.
    fn close(&mut self, next: Option<u64>) -> Option<Part> {
        self.since = None;
        let pictures = std::mem::take(&mut self.pictures);
        let bytes = std::mem::take(&mut self.bytes);
        let first = pictures.first()?;
        let format = Format {
            video: Arc::clone(first.unit.params.as_ref()?),
            audio: self.sound.track().cloned(),
        };
        let camera = first.unit.camera_time.map(|at| UnixMicros::from(at).0);
        let decoded = self.decoded(&pictures, next);
        let time = *decoded.first()?;
        let end = *decoded.last()?;
        let samples = pictures.iter().zip(decoded.windows(2));
        let samples = samples.filter_map(|(picture, at)| {
            let [at, after] = at else { return None };
            Some(Sample {
                size: u32::try_from(picture.unit.data.len()).unwrap_or(u32::MAX),
                duration: u32::try_from(after - at).unwrap_or(u32::MAX),
                shift: shift(picture.shown, *at),
                sync: picture.unit.starts_video(),
            })
        });
        let video = TrackPart {
            time,
            samples: samples.collect(),
        };
        let mut payload: Vec<Bytes> = Vec::with_capacity(pictures.len() + 64);
        payload.extend(pictures.iter().map(|p| p.unit.data.clone()));
        let (audio, sound) = self.sound.take();
        payload.extend(sound);
        debug_assert!(bytes == video.bytes(), "each picture is a sample");
        self.end = end;
        Some(Part {
            start: ticks::video_micros(time),
            end: ticks::video_micros(end),
            camera,
            format,
            video,
            audio,
            payload,
        })
    }

    /// When each picture is decoded, and then when the last is over: rises by one tick at least.
    fn decoded(&mut self, pictures: &[Picture], next: Option<u64>) -> Vec<u64> {
        let mut times: Vec<u64> = pictures.iter().map(|p| p.shown).collect();
        times.sort_unstable();
        let mut before = self.end;
        for time in &mut times {
            // Never before the one before it is over: the two may have been led by other clocks.
            *time = near(*time, before);
            before = *time + 1;
        }
        let mut steps: Vec<u64> = times.windows(2).map(|t| t[1] - t[0]).collect();
        let last = times.last().copied().unwrap_or(before);
        if !steps.is_empty() {
            let middle = steps.len() / 2;
            self.interval = Some(*steps.select_nth_unstable(middle).1);
        }
        let usual = self.interval.unwrap_or(FIRST).clamp(1, STANDS * 5);
        let stands = STANDS.max(usual * 4);
        let next = next.filter(|next| *next > last && next - last <= stands && !self.reorders);
        if let (Some(next), true) = (next, steps.is_empty()) {
            self.interval = Some(next - last);
        }
        times.push(next.unwrap_or(last + usual));
        times
    }
}

/// The same, unless it lies a little before the end of what is there.
fn near(time: u64, end: u64) -> u64 {
    if time < end && end - time <= LED {
        end
    } else {
        time
    }
}

fn shift(shown: u64, decoded: u64) -> i32 {
    let shift = i128::from(shown) - i128::from(decoded);
    i32::try_from(shift).unwrap_or(0)
}
