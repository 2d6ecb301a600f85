//! Takes what cameras give and has it written: looks at all streams ten times a second.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use taimat_base::{Seldom, clock};
use taimat_contract::UnixMicros;
use taimat_hub::{Channel, ChannelKey, Cursor, Hub, Read, Reader, SourceState};
use taimat_media::{AccessUnit, TrackKind};

use crate::assemble::Assembler;
use crate::config::Mode;
use crate::error::ArchiveError;
use crate::load::{Load, StreamLoad};
use crate::metrics::ArchiveMetrics;
use crate::owed::Owed;
use crate::part::Part;
use crate::reason::GapReason;
use crate::recording::{Recording, Step};
use crate::volume::Volume;
use crate::watching::Watching;

/// Units that are taken of a stream at once: what comes faster has to wait for the next look.
const AT_ONCE: usize = 2000;
/// How far back a source may begin anew and still be waited for: its oldest pictures were recorded.
const AGAIN: i64 = 60_000_000;

/// What is to be recorded of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) mode: Mode,
    /// Why nothing is recorded although it should be.
    pub(crate) refused: Option<GapReason>,
}

/// All streams, and what is to be recorded of them.
pub(crate) type AllWanted = HashMap<ChannelKey, Wanted>;

#[derive(Debug)]
struct Joined {
    channel: Arc<Channel>,
    cursor: Cursor<AccessUnit>,
    /// The camera runs as long as it is recorded.
    _reader: Reader,
    /// What is older was recorded before.
    after: Option<i64>,
}

#[derive(Debug)]
struct Source {
    recording: Recording,
    assembler: Assembler,
    joined: Option<Joined>,
    load: StreamLoad,
    owed: Owed,
    /// When something came.
    heard: Instant,
    /// How what came is recorded: its end too, whatever is wanted by then.
    mode: Mode,
}

/// The streams that are recorded.
#[derive(Debug)]
pub(crate) struct Recorder {
    hub: Arc<Hub>,
    volume: Arc<Volume>,
    watching: Arc<dyn Watching>,
    load: Arc<Load>,
    ids: AtomicU64,
    sources: HashMap<ChannelKey, Source>,
    metrics: ArchiveMetrics,
    refused: Seldom,
}

impl Recorder {
    /// `next` is the first number that no segment has.
    pub(crate) fn new(
        hub: Arc<Hub>,
        volume: Arc<Volume>,
        watching: Arc<dyn Watching>,
        load: Arc<Load>,
        next: u64,
        metrics: ArchiveMetrics,
    ) -> Self {
        Self {
            hub,
            volume,
            watching,
            load,
            ids: AtomicU64::new(next),
            sources: HashMap::new(),
            metrics,
            refused: Seldom::default(),
        }
    }

    /// Streams that are not known yet.
    pub(crate) fn unknown(&self, wanted: &AllWanted) -> Vec<ChannelKey> {
        let new = wanted.keys().filter(|key| !self.sources.contains_key(*key));
        new.cloned().collect()
    }

    /// A stream's number in the index, and when the newest of it was over.
    pub(crate) fn learn(&mut self, key: ChannelKey, number: i64, end: Option<i64>) {
        let source = Source {
            recording: Recording::new(key.clone(), number, end),
            assembler: Assembler::default(),
            joined: None,
            load: self.load.stream(),
            owed: Owed::default(),
            heard: clock::now(),
            mode: Mode::OnEvent,
        };
        self.sources.insert(key, source);
    }

    /// Looks at all streams.
    pub(crate) fn poll(&mut self, now: Instant, wall: UnixMicros, wanted: &AllWanted) {
        self.failures(now);
        let gone: HashSet<ChannelKey> = self
            .sources
            .keys()
            .filter(|key| !wanted.contains_key(*key))
            .cloned()
            .collect();
        for key in gone {
            if let Some(mut source) = self.sources.remove(&key) {
                self.end(&mut source);
            }
        }
        let keys: Vec<ChannelKey> = self.sources.keys().cloned().collect();
        for key in keys {
            let (Some(mut source), Some(wanted)) = (self.sources.remove(&key), wanted.get(&key))
            else {
                continue;
            };
            self.look(&mut source, *wanted, now, wall);
            self.sources.insert(key, source);
        }
    }

    /// Nothing more is recorded: what there is is written.
    pub(crate) fn stop(&mut self) {
        let keys: Vec<ChannelKey> = self.sources.keys().cloned().collect();
        for key in keys {
            if let Some(mut source) = self.sources.remove(&key) {
                self.end(&mut source);
            }
        }
    }

    fn end(&self, source: &mut Source) {
        let part = source.assembler.finish();
        let mut steps = Vec::new();
        if let Some(part) = part {
            self.keep(source, part, source.mode, &mut steps);
        }
        source.recording.close(&mut steps);
        self.run(source, steps);
        self.show(source.recording.key(), false);
    }

    /// What the disk did not take. It is on the timeline already.
    fn failures(&mut self, now: Instant) {
        for failure in self.volume.failures() {
            let hit = self
                .sources
                .values_mut()
                .find(|source| source.recording.number() == failure.stream);
            let Some(source) = hit else {
                continue;
            };
            self.metrics
                .lost(source.recording.key(), failure.reason, failure.parts);
            source.recording.failed(failure.segment);
            if let Some(unsaid) = self.refused.say(now) {
                tracing::warn!(
                    stream = %source.recording.key(),
                    error = %failure.error,
                    unsaid,
                    "the disk does not take what is to be recorded"
                );
            }
        }
    }

    fn look(&self, source: &mut Source, wanted: Wanted, now: Instant, wall: UnixMicros) {
        let mut steps = Vec::new();
        let off = match wanted.mode {
            Mode::Off => Some(GapReason::Off),
            Mode::OnEvent | Mode::Continuous => wanted.refused,
        };
        if let Some(why) = off {
            if source.joined.take().is_some() {
                if let Some(part) = source.assembler.finish() {
                    self.keep(source, part, source.mode, &mut steps);
                }
                source.recording.close(&mut steps);
            }
            source.recording.because(Some(why));
            self.show(source.recording.key(), false);
            let quiet = now.saturating_duration_since(source.heard);
            source.recording.idle(quiet, wall.0, why, &mut steps);
            return self.run(source, steps);
        }
        source.mode = wanted.mode;
        if source.joined.is_none() {
            source.joined = self.join(source.recording.key(), source.recording.end());
        }
        let watched = self.watching.is_watched(&source.recording.key().camera);
        source.recording.watched(watched);
        let parts = self.parts(source, now);
        if !parts.is_empty() {
            source.heard = now;
            self.show(source.recording.key(), true);
        }
        for part in parts {
            self.keep(source, part, wanted.mode, &mut steps);
            // One after the other: the load of each is known before the next.
            self.run(source, std::mem::take(&mut steps));
        }
        let why = match source.joined.as_ref().map(|j| j.channel.status().state) {
            Some(SourceState::Live) => GapReason::PicturesMissing,
            _ => GapReason::CameraLost,
        };
        let quiet = now.saturating_duration_since(source.heard);
        source.recording.idle(quiet, wall.0, why, &mut steps);
        self.run(source, steps);
    }

    /// Shows whether it is recorded.
    fn show(&self, key: &ChannelKey, recorded: bool) {
        let recording = &self.metrics.recording;
        let recording = recording.with_label_values(&key.label_values());
        recording.set(i64::from(recorded));
    }

    fn join(&self, key: &ChannelKey, end: Option<i64>) -> Option<Joined> {
        let channel = self.hub.get(key)?;
        Some(Joined {
            cursor: channel.read(),
            _reader: channel.join(),
            after: end,
            channel,
        })
    }

    /// What has come since it was looked before.
    fn parts(&self, source: &mut Source, now: Instant) -> Vec<Part> {
        let mut parts = Vec::new();
        let Some(joined) = &mut source.joined else {
            return parts;
        };
        let info = joined.channel.info();
        let audio = info.as_ref().and_then(|info| info.audio.as_ref());
        for _ in 0..AT_ONCE {
            match joined.cursor.try_next() {
                None => break,
                Some(Read::Item(_, unit)) => {
                    if !joined.is_new(&unit) {
                        continue;
                    }
                    parts.extend(source.assembler.push(&unit, audio));
                }
                Some(Read::Lost(_)) => {
                    parts.extend(source.assembler.finish());
                    source.recording.missing(GapReason::PicturesMissing);
                }
                Some(Read::Closed) => {
                    parts.extend(source.assembler.finish());
                    source.joined = None;
                    break;
                }
            }
        }
        parts.extend(source.assembler.tick(now));
        parts
    }

    /// Puts a part on its way to the disk, if that keeps up.
    fn keep(&self, source: &mut Source, part: Part, mode: Mode, steps: &mut Vec<Step>) {
        let (recording, span) = (&mut source.recording, (part.start, part.end));
        let Some(waiting) = source.load.room(part.bytes()) else {
            self.metrics.lost(recording.key(), GapReason::DiskSlow, 1);
            return recording.lost(span, GapReason::DiskSlow, steps);
        };
        let watched = self.watching.is_watched(&recording.key().camera);
        let next = || self.ids.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = recording.take(part, waiting, (mode, watched), next, steps) {
            tracing::warn!(stream = %recording.key(), %error, "a part can not be kept");
            self.metrics.lost(recording.key(), GapReason::Damaged, 1);
            recording.lost(span, GapReason::Damaged, steps);
        }
    }

    /// Has it done. What the disk's thread does not take now it is told later, except for media.
    fn run(&self, source: &mut Source, steps: Vec<Step>) {
        let Source {
            recording, owed, ..
        } = source;
        owed.tell(|step| self.step(step));
        let mut refused = !owed.is_empty();
        for step in steps {
            let (span, later) = match &step {
                Step::Append(_, part, _) => (Some((part.row.start, part.row.end)), None),
                Step::Begin(_) => (None, None),
                Step::Close { id, watched } => {
                    let (id, watched) = (*id, *watched);
                    (None, Some(Step::Close { id, watched }))
                }
                Step::Note(change) => (None, Some(Step::Note(change.clone()))),
            };
            if !refused {
                match self.step(step) {
                    Ok(()) => continue,
                    Err(error) => {
                        tracing::debug!(stream = %recording.key(), %error, "not written");
                        refused = true;
                    }
                }
            }
            if let Some(span) = span {
                self.metrics.lost(recording.key(), GapReason::DiskSlow, 1);
                owed.push(recording.loss(span, GapReason::DiskSlow));
            }
            if let Some(later) = later {
                owed.push(later);
            }
        }
        if refused {
            // Nothing comes to the segment any more, of which something is missing.
            let mut close = Vec::new();
            recording.close(&mut close);
            close.into_iter().for_each(|step| owed.push(step));
        }
    }

    fn step(&self, step: Step) -> Result<(), ArchiveError> {
        match step {
            Step::Begin(beginning) => self.volume.begin(beginning),
            Step::Append(id, part, waiting) => self.volume.append(id, part, waiting),
            Step::Close { id, watched } => self.volume.close(id, watched),
            Step::Note(change) => self.volume.change(change),
        }
    }
}

impl Joined {
    /// Whether it was not recorded before: who joins anew is given what the hub has kept.
    fn is_new(&mut self, unit: &AccessUnit) -> bool {
        let Some(after) = self.after else {
            return true;
        };
        let at = UnixMicros::from(unit.wall_time).0;
        let again = at < after && after - at < AGAIN;
        let begins = unit.track == TrackKind::Video && unit.keyframe;
        if again || !begins {
            return false;
        }
        self.after = None;
        true
    }
}
