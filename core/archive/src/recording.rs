//! One stream that is recorded: its parts become segments, and where none come it is said why.
//!
//! A segment is a minute, and begins with a key frame; streams begin theirs at different seconds. Something
//! missing or another format begins another one, so that segments say by themselves where nothing is.

#[cfg(test)]
mod clock_tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use taimat_hub::ChannelKey;
use taimat_media::mp4::{self, Mp4Track, PartTimes, PartTrack};
use taimat_media::{TrackKind, VideoParams};

use crate::config::Mode;
use crate::error::ArchiveError;
use crate::index::rows::Change;
use crate::layout;
use crate::load::Waiting;
use crate::packed::PartRow;
use crate::part::{Format, Part};
use crate::reason::GapReason;
use crate::timeline::JITTER;
use crate::volume::{Appended, Beginning};

/// A segment is this long, in microseconds.
const SEGMENT: i64 = 60_000_000;
/// One for which no key frame comes is cut all the same.
const LONGEST: i64 = 10 * SEGMENT;
/// Parts of a segment at most.
const MAX_PARTS: u32 = 3000;
/// Nothing has come for so long: it is noted that nothing is there.
const MISSING: Duration = Duration::from_secs(3);

/// What is to be done with the disk.
#[derive(Debug)]
pub(crate) enum Step {
    /// Begin a segment.
    Begin(Beginning),
    /// Append a part to it; it has its room among what waits.
    Append(u64, Box<Appended>, Waiting),
    /// Nothing more comes for it.
    Close { id: u64, watched: bool },
    /// Write to the index.
    Note(Change),
}

#[derive(Debug)]
struct Segment {
    id: u64,
    format: Format,
    mode: Mode,
    /// The first key frame from then on begins the next one.
    due: i64,
    began: i64,
    parts: u32,
    watched: bool,
    /// Which of the file's tracks is sound, if one is.
    audio: Option<usize>,
}

/// A stream that is recorded.
#[derive(Debug)]
pub(crate) struct Recording {
    key: ChannelKey,
    /// In the index.
    number: i64,
    /// Which second of a minute is its own, in microseconds.
    stagger: i64,
    segment: Option<Segment>,
    sequence: u32,
    /// When the newest part was over.
    end: Option<i64>,
    /// Why nothing comes after it, if it is known.
    why: Option<GapReason>,
    /// What the index has been told of that.
    noted: Option<GapReason>,
}

impl Recording {
    /// A stream of which something was recorded until `end`, perhaps.
    pub(crate) fn new(key: ChannelKey, number: i64, end: Option<i64>) -> Self {
        Self {
            stagger: stagger(&key),
            key,
            number,
            segment: None,
            sequence: 0,
            end,
            why: end.map(|_| GapReason::RouterStopped),
            noted: None,
        }
    }

    pub(crate) fn key(&self) -> &ChannelKey {
        &self.key
    }

    /// In the index.
    pub(crate) fn number(&self) -> i64 {
        self.number
    }

    /// When the newest part was over.
    pub(crate) fn end(&self) -> Option<i64> {
        self.end
    }

    /// Whether a detector looks at it at this moment.
    pub(crate) fn watched(&mut self, watched: bool) {
        if let Some(segment) = &mut self.segment {
            segment.watched &= watched;
        }
    }

    /// What comes is missing for this reason. The first reason is the reason.
    pub(crate) fn missing(&mut self, why: GapReason) {
        self.why.get_or_insert(why);
    }

    /// What came from a time until another can not be kept: that is noted, and nothing more comes to the segment.
    pub(crate) fn lost(&mut self, span: (i64, i64), why: GapReason, steps: &mut Vec<Step>) {
        let (start, end) = span;
        self.note_gap(start, steps);
        self.close(steps);
        steps.push(self.loss(span, why));
        self.end = Some(end.max(start));
    }

    /// How it is noted that something can not be kept.
    pub(crate) fn loss(&self, (start, end): (i64, i64), why: GapReason) -> Step {
        Step::Note(Change::Gap {
            stream: self.number,
            start,
            end,
            reason: why.as_str(),
        })
    }

    /// The disk refused a segment: nothing more comes to it. What was lost is noted where it was.
    pub(crate) fn failed(&mut self, segment: u64) {
        if self.segment.as_ref().is_some_and(|s| s.id <= segment) {
            self.segment = None;
        }
    }

    /// Closes the segment.
    pub(crate) fn close(&mut self, steps: &mut Vec<Step>) {
        if let Some(segment) = self.segment.take() {
            steps.push(Step::Close {
                id: segment.id,
                watched: segment.watched,
            });
        }
    }

    /// Nothing came for so long, by our own clock, whatever the stream's line says: that is noted, if it is not
    /// yet.
    pub(crate) fn idle(
        &mut self,
        quiet: Duration,
        now: i64,
        why: GapReason,
        steps: &mut Vec<Step>,
    ) {
        let Some(end) = self.end.filter(|_| quiet > MISSING) else {
            return;
        };
        let why = self.why.unwrap_or(why);
        self.close(steps);
        if self.noted == Some(why) {
            return;
        }
        // What was the reason until now is not the reason any more.
        let start = match self.noted {
            Some(_) => now,
            None => end,
        };
        if let Some(before) = self.noted.replace(why) {
            steps.push(Step::Note(Change::GapEnded {
                stream: self.number,
                start: end,
                end: now,
                reason: before.as_str(),
            }));
        }
        steps.push(Step::Note(Change::GapBegun {
            stream: self.number,
            start,
            reason: why.as_str(),
        }));
    }

    /// From now on nothing is recorded, or it is again, for another reason.
    pub(crate) fn because(&mut self, why: Option<GapReason>) {
        self.why = why;
    }

    /// Takes a part, for which there is room among what waits.
    ///
    /// # Errors
    /// If it can not be packed: then nothing of it is kept.
    pub(crate) fn take(
        &mut self,
        part: Part,
        waiting: Waiting,
        (mode, watched): (Mode, bool),
        next_id: impl FnOnce() -> u64,
        steps: &mut Vec<Step>,
    ) -> Result<(), ArchiveError> {
        self.note_gap(part.start, steps);
        if self.must_begin(&part, mode) {
            self.close(steps);
            self.begin(&part, mode, watched, next_id(), steps)?;
        }
        let Some(segment) = &mut self.segment else {
            return Ok(());
        };
        segment.watched &= watched;
        segment.parts += 1;
        let id = segment.id;
        let appended = appended(part, self.number, self.sequence, segment.audio)?;
        self.sequence = self.sequence.wrapping_add(1);
        self.end = Some(appended.row.end);
        steps.push(Step::Append(id, Box::new(appended), waiting));
        Ok(())
    }

    fn note_gap(&mut self, start: i64, steps: &mut Vec<Step>) {
        let noted = self.noted.take();
        let why = self.why.take();
        let Some(end) = self.end else {
            return;
        };
        if noted.is_some() || start - end > JITTER {
            let why = why.unwrap_or(GapReason::PicturesMissing);
            steps.push(Step::Note(Change::GapEnded {
                stream: self.number,
                start: end,
                end: start,
                reason: why.as_str(),
            }));
        }
    }

    fn must_begin(&self, part: &Part, mode: Mode) -> bool {
        let (Some(segment), Some(end)) = (&self.segment, self.end) else {
            return true;
        };
        let length = part.start - segment.began;
        let far = part.start - end > JITTER || end - part.start > JITTER;
        let due = part.start >= segment.due && part.begins_with_key();
        let long = length >= LONGEST || segment.parts >= MAX_PARTS;
        far || due || long || segment.mode != mode || segment.format != part.format
    }

    fn begin(
        &mut self,
        part: &Part,
        mode: Mode,
        watched: bool,
        id: u64,
        steps: &mut Vec<Step>,
    ) -> Result<(), ArchiveError> {
        let (init, audio) = init(&part.format)?;
        let start = part.start;
        let within = (start + self.stagger).rem_euclid(SEGMENT);
        steps.push(Step::Begin(Beginning {
            id,
            stream: self.number,
            path: layout::segment(&self.key, start, id),
            init,
            start,
            key: part.begins_with_key(),
            mode: mode.code(),
        }));
        self.segment = Some(Segment {
            id,
            format: part.format.clone(),
            mode,
            due: start - within + SEGMENT,
            began: start,
            parts: 0,
            watched,
            audio,
        });
        Ok(())
    }
}

/// What a file of that format begins with, and which of its tracks is sound.
fn init(format: &Format) -> Result<(Vec<u8>, Option<usize>), ArchiveError> {
    let params: &Arc<VideoParams> = &format.video;
    let mut tracks = vec![Mp4Track::video(params)?];
    if let Some(audio) = &format.audio {
        match Mp4Track::audio(audio) {
            Ok(track) => tracks.push(track),
            // Pictures are what it is for.
            Err(error) => tracing::debug!(%error, "recorded without sound"),
        }
    }
    let audio = tracks.iter().position(|t| t.kind() == TrackKind::Audio);
    Ok((mp4::init(&tracks)?, audio))
}

/// A part as it is written.
fn appended(
    part: Part,
    stream: i64,
    sequence: u32,
    audio: Option<usize>,
) -> Result<Appended, ArchiveError> {
    let Part {
        start,
        end,
        camera,
        video,
        audio: mut sound,
        mut payload,
        ..
    } = part;
    if audio.is_none() {
        payload.truncate(video.samples.len());
        sound = crate::part::TrackPart::default();
    }
    let pictures = PartTrack {
        track: 0,
        decode_time: video.time,
        samples: &video.samples,
    };
    let heard = audio.map(|track| PartTrack {
        track,
        decode_time: sound.time,
        samples: &sound.samples,
    });
    let mut tracks = vec![pictures];
    tracks.extend(heard.filter(|heard| !heard.samples.is_empty()));
    let times = PartTimes {
        wall: start,
        camera,
    };
    let header = mp4::part_header(sequence, times, &tracks)?;
    let row = PartRow {
        header: u32::try_from(header.len()).unwrap_or(u32::MAX),
        start,
        end,
        camera,
        video,
        audio: sound,
        hash: [0; 32],
    };
    Ok(Appended {
        stream,
        header,
        payload,
        row,
    })
}

/// Which second of a minute is a stream's own, in microseconds.
fn stagger(key: &ChannelKey) -> i64 {
    // FNV-1a: the same at every start.
    let name: PathBuf = layout::stream(key);
    let name = name.as_os_str().as_encoded_bytes();
    let hash = name.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    });
    i64::try_from(hash % 60).unwrap_or(0) * 1_000_000
}
