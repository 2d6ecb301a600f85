//! The tables of a track (ISO 14496-12 sections 8.6 and 8.7), grown sample by sample in the form in
//! which they are written.

use std::ops::Range;

use super::super::boxes::Boxes;
use super::super::error::Mp4Error;
use super::super::sample::Sample;

/// Equal values one behind the other.
#[derive(Debug)]
struct Runs<T>(Vec<(u32, T)>);

impl<T: PartialEq + Copy> Runs<T> {
    fn push(&mut self, value: T) {
        match self.0.last_mut() {
            Some((count, last)) if *last == value => *count += 1,
            _ => self.0.push((1, value)),
        }
    }

    fn last(&self) -> Option<T> {
        self.0.last().map(|(_, value)| *value)
    }

    /// Takes the newest value back.
    fn pop(&mut self) -> Option<T> {
        let (count, value) = self.0.last_mut()?;
        let value = *value;
        *count -= 1;
        if *count == 0 {
            self.0.pop();
        }
        Some(value)
    }
}

/// All tables of one track.
#[derive(Debug)]
pub(super) struct Tables {
    /// When its first sample is decoded, in ticks from the movie's origin.
    pub(super) start: Option<i64>,
    /// When its newest sample ends.
    end: i64,
    durations: Runs<u32>,
    shifts: Runs<i32>,
    /// The smallest of them, or 0.
    lowest: i32,
    shifted: bool,
    sizes: Vec<u32>,
    /// The numbers of the sync samples, counted from one, if not all are.
    sync: Option<Vec<u32>>,
    /// Samples of each chunk, and their description, counted from one.
    chunks: Runs<(u32, u32)>,
    offsets: Vec<u64>,
}

impl Tables {
    /// For so many samples.
    pub(super) fn with_capacity(samples: usize) -> Self {
        Self {
            start: None,
            end: 0,
            durations: Runs(Vec::new()),
            shifts: Runs(Vec::new()),
            lowest: 0,
            shifted: false,
            sizes: Vec::with_capacity(samples),
            sync: None,
            chunks: Runs(Vec::new()),
            offsets: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sizes.len()
    }

    /// When its newest sample ends, if there is one.
    pub(super) fn end(&self) -> Option<i64> {
        self.start.map(|_| self.end)
    }

    /// The time that the track's own clock begins with: when its first sample is decoded, less what would
    /// make a shift negative.
    pub(super) fn media_start(&self) -> Option<i64> {
        self.start.map(|start| start + i64::from(self.lowest))
    }

    /// By how much the newest sample can end earlier.
    pub(super) fn slack(&self) -> i64 {
        let last = self.durations.0.last();
        last.map_or(0, |(_, duration)| i64::from(*duration) - 1)
            .max(0)
    }

    /// Ticks of all samples.
    pub(super) fn duration(&self) -> u64 {
        let start = self.start.unwrap_or(self.end);
        self.end.abs_diff(start)
    }

    /// The next sample begins at `at`: the newest one lasts until then. Returns when it really begins.
    pub(super) fn begin(&mut self, at: i64) -> Result<i64, Mp4Error> {
        let Some(last) = self.durations.pop() else {
            self.start = Some(at.max(0));
            self.end = at.max(0);
            return Ok(self.end);
        };
        let before = self.end - i64::from(last);
        let at = at.max(before + 1);
        let lasts = u32::try_from(at - before).ok();
        self.durations
            .push(lasts.ok_or(Mp4Error::TooLarge("a hole in a track"))?);
        self.end = at;
        Ok(at)
    }

    /// A chunk of samples that begin where the newest one ended.
    pub(super) fn chunk(
        &mut self,
        samples: &[Sample],
        description: u32,
        offset: u64,
    ) -> Result<(), Mp4Error> {
        let count = |n: usize| u32::try_from(n).ok();
        let too_many = Mp4Error::TooLarge("the number of samples");
        let (Some(length), Some(_)) = (count(samples.len()), count(self.len() + samples.len()))
        else {
            return Err(too_many);
        };
        self.chunks.push((length, description));
        self.offsets.push(offset);
        for sample in samples {
            let before = self.sizes.len() as u32;
            self.sizes.push(sample.size);
            match &mut self.sync {
                Some(sync) if sample.sync => sync.push(before + 1),
                None if !sample.sync => self.sync = Some((1..=before).collect()),
                _ => {}
            }
            self.durations.push(sample.duration);
            self.shifts.push(sample.shift);
            self.lowest = self.lowest.min(sample.shift);
            self.shifted |= sample.shift != 0;
            self.end += i64::from(sample.duration);
        }
        Ok(())
    }

    /// Leaves the newest samples out, as long as they are shown at `end` or later: there are players,
    /// Chromium for one, that do not end where an edit list does. Their bytes stay.
    pub(super) fn end_at(&mut self, end: i64) {
        while self.len() > 1 {
            let (duration, shift) = (self.durations.last(), self.shifts.last());
            let begin = self.end - i64::from(duration.unwrap_or(0));
            if begin + i64::from(shift.unwrap_or(0)) < end {
                return;
            }
            self.end = begin;
            self.durations.pop();
            self.shifts.pop();
            self.sizes.pop();
            let length = self.sizes.len();
            let sync = self.sync.as_mut();
            sync.and_then(|sync| sync.pop_if(|number| *number as usize > length));
            match self.chunks.pop() {
                Some((samples, description)) if samples > 1 => {
                    self.chunks.push((samples - 1, description));
                }
                _ => drop(self.offsets.pop()),
            }
        }
    }

    /// Writes them; returns where the offsets of the chunks are.
    pub(super) fn write(&self, b: &mut Boxes) -> Range<usize> {
        b.full(*b"stts", 0, 0, |b| {
            b.count(self.durations.0.len());
            for (count, duration) in &self.durations.0 {
                b.u32(*count);
                b.u32(*duration);
            }
        });
        if self.shifted {
            // All are later by the same, so that none is negative: there are players, ffmpeg for one, that
            // take the largest negative one off an edit's start and then find no picture there.
            b.full(*b"ctts", 0, 0, |b| {
                b.count(self.shifts.0.len());
                for (count, shift) in &self.shifts.0 {
                    b.u32(*count);
                    b.u32(shift.abs_diff(self.lowest));
                }
            });
        }
        // Without this table all are sync samples.
        if let Some(sync) = &self.sync {
            b.full(*b"stss", 0, 0, |b| {
                b.count(sync.len());
                for number in sync {
                    b.u32(*number);
                }
            });
        }
        b.full(*b"stsc", 0, 0, |b| {
            b.count(self.chunks.0.len());
            let mut first = 1;
            for (count, (samples, description)) in &self.chunks.0 {
                b.u32(first);
                b.u32(*samples);
                b.u32(*description);
                first += count;
            }
        });
        b.full(*b"stsz", 0, 0, |b| {
            // Each has a size of its own.
            b.u32(0);
            b.count(self.len());
            for size in &self.sizes {
                b.u32(*size);
            }
        });
        let mut place = 0..0;
        b.full(*b"co64", 0, 0, |b| {
            b.count(self.offsets.len());
            let start = b.len();
            for offset in &self.offsets {
                b.u64(*offset);
            }
            place = start..b.len();
        });
        place
    }
}
