//! Bit rate, frame rate and keyframe interval of a channel, over the last few seconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Serialize;
use taimat_media::{AccessUnit, TrackKind};

/// The window that rates are averaged over.
const WINDOW: Duration = Duration::from_secs(5);
/// More access units in the window than any camera sends.
const MAX_SAMPLES: usize = 2048;

/// What a channel carries, averaged over a few seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Rates {
    /// Bits a second, all tracks.
    pub bits_per_second: f64,
    /// Pictures a second.
    pub frames_per_second: f64,
    /// Seconds between the last two key frames.
    pub keyframe_interval_seconds: Option<f64>,
}

#[derive(Debug, Default)]
pub(crate) struct Meter {
    samples: VecDeque<(Instant, usize, bool)>,
    bytes: usize,
    frames: usize,
    last_picture: Option<Instant>,
    last_key: Option<Instant>,
    key_interval: Option<Duration>,
}

impl Meter {
    pub(crate) fn count(&mut self, unit: &AccessUnit) {
        let picture = unit.track == TrackKind::Video;
        if picture {
            self.last_picture = Some(unit.received);
        }
        if unit.starts_video() {
            let before = self.last_key.replace(unit.received);
            self.key_interval = before.map(|b| unit.received.saturating_duration_since(b));
        }
        self.samples
            .push_back((unit.received, unit.data.len(), picture));
        self.bytes += unit.data.len();
        self.frames += usize::from(picture);
        self.forget(unit.received);
    }

    fn forget(&mut self, now: Instant) {
        while let Some((at, bytes, picture)) = self.samples.front().copied() {
            let old = now.saturating_duration_since(at) > WINDOW;
            if !old && self.samples.len() <= MAX_SAMPLES {
                break;
            }
            self.samples.pop_front();
            self.bytes -= bytes;
            self.frames -= usize::from(picture);
        }
    }

    pub(crate) fn last_picture(&self) -> Option<Instant> {
        self.last_picture
    }

    pub(crate) fn restart(&mut self) {
        *self = Self {
            last_picture: self.last_picture,
            ..Self::default()
        };
    }

    pub(crate) fn rates(&mut self, now: Instant) -> Rates {
        self.forget(now);
        let Some((first, ..)) = self.samples.front() else {
            return Rates::default();
        };
        // The first sample opens the window and does not fill it: n samples make n - 1 intervals.
        let seconds = now
            .saturating_duration_since(*first)
            .as_secs_f64()
            .max(0.04);
        Rates {
            bits_per_second: self.bytes as f64 * 8.0 / seconds,
            frames_per_second: self.frames.saturating_sub(1) as f64 / seconds,
            keyframe_interval_seconds: self.key_interval.map(|d| d.as_secs_f64()),
        }
    }
}
