//! What the disk did not take: kept for the timeline, told to who counts it, and shown while it lasts.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use crate::index::rows::Change;
use crate::reason::GapReason;

/// Losses that nobody has asked about yet, at most: some of each of a thousand streams. Those of one stream for
/// one reason are one.
const MOST: usize = 4096;
/// Two losses of one stream between which there is less are one, in microseconds: parts follow each other.
const NEAR: i64 = 2_000_000;

/// Something that the disk did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Of its stream in the index.
    pub(crate) stream: i64,
    /// The newest segment that it was to be in: that is not written to any more.
    pub(crate) segment: u64,
    pub(crate) reason: GapReason,
    /// How many parts are lost.
    pub(crate) parts: u64,
    /// What the system said last.
    pub(crate) error: String,
}

/// What is the matter with the disk at present.
#[derive(Debug, Default)]
struct Matter {
    /// The folder is not where it was.
    away: Option<String>,
    /// It refuses recordings.
    refuses: Option<String>,
    /// It refuses the index.
    index: Option<String>,
}

/// What others are told.
#[derive(Debug, Default)]
pub(super) struct Told {
    failures: Mutex<Vec<Failure>>,
    matter: Mutex<Matter>,
}

impl Told {
    /// What was lost since it was asked before.
    pub(super) fn failures(&self) -> Vec<Failure> {
        std::mem::take(&mut *self.failures.lock().unwrap_or_else(|e| e.into_inner()))
    }

    /// What is the matter with the disk, if anything is.
    pub(super) fn matter(&self) -> Option<String> {
        let matter = self.matter.lock().unwrap_or_else(|e| e.into_inner());
        let all = [&matter.away, &matter.refuses, &matter.index];
        all.into_iter().flatten().next().cloned()
    }

    fn set(&self, set: impl FnOnce(&mut Matter)) {
        set(&mut self.matter.lock().unwrap_or_else(|e| e.into_inner()));
    }

    /// Whether the folder is where it was.
    pub(super) fn place(&self, found: &io::Result<()>) {
        self.set(|matter| matter.away = found.as_ref().err().map(ToString::to_string));
    }

    /// Recordings got to the disk.
    pub(super) fn took(&self) {
        self.set(|matter| matter.refuses = None);
    }

    /// The index was written, or was not.
    pub(super) fn index(&self, error: Option<String>) {
        self.set(|matter| matter.index = error);
    }
}

/// What is lost, and not yet in the index.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// The newest of each stream by its reason: what follows makes it longer.
    newest: HashMap<(i64, GapReason), (i64, i64)>,
    told: Arc<Told>,
}

/// Of what something is lost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Of {
    pub(super) stream: i64,
    pub(super) segment: u64,
}

/// Why the disk said no.
pub(super) fn reason(error: &io::Error) -> GapReason {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => GapReason::DiskFull,
        _ => GapReason::DiskFailed,
    }
}

impl Losses {
    pub(super) fn new(told: Arc<Told>) -> Self {
        Self {
            newest: HashMap::new(),
            told,
        }
    }

    /// A segment is not written to any more.
    pub(super) fn refused(&self, of: Of, reason: GapReason, error: &str) {
        let text = match reason {
            GapReason::DiskFull => format!("the disk is full: {error}"),
            _ => format!("the disk refuses recordings: {error}"),
        };
        self.told.set(|matter| matter.refuses = Some(text));
        self.tell(of, reason, 0, error);
    }

    /// What was to be kept from a time until another is lost: so many parts. Gives what has to be written of
    /// what was lost before, if it is not one with this.
    pub(super) fn lost(
        &mut self,
        of: Of,
        (start, end): (i64, i64),
        parts: u64,
        reason: GapReason,
    ) -> Option<Change> {
        self.tell(of, reason, parts, "");
        let before = self.newest.insert((of.stream, reason), (start, end))?;
        let apart = (start - before.1).max(before.0 - end);
        if apart > NEAR {
            return Some(change((of.stream, reason), before));
        }
        let both = (before.0.min(start), before.1.max(end));
        self.newest.insert((of.stream, reason), both);
        None
    }

    fn tell(&self, of: Of, reason: GapReason, parts: u64, error: &str) {
        let mut failures = self.told.failures.lock().unwrap_or_else(|e| e.into_inner());
        let same = |known: &&mut Failure| known.stream == of.stream && known.reason == reason;
        if let Some(known) = failures.iter_mut().find(same) {
            known.parts += parts;
            known.segment = known.segment.max(of.segment);
            if !error.is_empty() {
                error.clone_into(&mut known.error);
            }
        } else if failures.len() < MOST {
            failures.push(Failure {
                stream: of.stream,
                segment: of.segment,
                reason,
                parts,
                error: error.to_owned(),
            });
        }
    }

    /// All that is to be written of it.
    pub(super) fn all(&self) -> Vec<Change> {
        let all = self.newest.iter();
        all.map(|(of, span)| change(*of, *span)).collect()
    }

    /// It is written.
    pub(super) fn clear(&mut self) {
        self.newest.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.newest.is_empty()
    }
}

fn change((stream, reason): (i64, GapReason), (start, end): (i64, i64)) -> Change {
    Change::Gap {
        stream,
        start,
        end,
        reason: reason.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn of(stream: i64, segment: u64) -> Of {
        Of { stream, segment }
    }

    fn spans(changes: Vec<Change>) -> Vec<(i64, i64, i64)> {
        let mut spans: Vec<(i64, i64, i64)> = changes
            .into_iter()
            .map(|change| match change {
                Change::Gap {
                    stream, start, end, ..
                } => (stream, start / SECOND, end / SECOND),
                other => panic!("{other:?}"),
            })
            .collect();
        spans.sort_unstable();
        spans
    }

    #[test]
    fn an_hour_without_a_disk_is_one_loss_of_each_stream() {
        let told = Arc::new(Told::default());
        let mut losses = Losses::new(Arc::clone(&told));
        let full = GapReason::DiskFull;
        for second in 0..3600 {
            for stream in [1, 2] {
                let id = u64::try_from(second).unwrap();
                losses.refused(of(stream, id), full, "no room");
                let span = (second * SECOND, (second + 1) * SECOND);
                assert!(losses.lost(of(stream, id), span, 1, full).is_none());
            }
        }
        assert_eq!(spans(losses.all()), [(1, 0, 3600), (2, 0, 3600)]);
        losses.clear();
        assert!(losses.is_empty());
        let failures = told.failures();
        let counted: Vec<_> = failures.iter().map(|f| (f.parts, f.segment)).collect();
        assert_eq!(counted, [(3600, 3599), (3600, 3599)]);
        assert_eq!(failures[0].error, "no room");
        assert!(told.failures().is_empty(), "told once");
    }

    #[test]
    fn what_is_apart_or_has_another_reason_is_another_loss() {
        let mut losses = Losses::default();
        let (full, failed) = (GapReason::DiskFull, GapReason::DiskFailed);
        let mut written = Vec::new();
        for (span, why) in [((0, 1), full), ((1, 2), failed), ((2, 3), full)] {
            let span = (span.0 * SECOND, span.1 * SECOND);
            written.extend(losses.lost(of(1, 1), span, 1, why));
        }
        assert!(written.is_empty());
        // A minute later, and after the clock was set back by an hour.
        written.extend(losses.lost(of(1, 2), (60 * SECOND, 61 * SECOND), 1, full));
        assert_eq!(spans(std::mem::take(&mut written)), [(1, 0, 3)]);
        written.extend(losses.lost(of(1, 3), (-3600 * SECOND, -3599 * SECOND), 1, full));
        assert_eq!(spans(written), [(1, 60, 61)]);
        assert_eq!(spans(losses.all()), [(1, -3600, -3599), (1, 1, 2)]);
    }

    #[test]
    fn what_is_the_matter_is_said_until_it_is_over() {
        let told = Arc::new(Told::default());
        let losses = Losses::new(Arc::clone(&told));
        assert_eq!(told.matter(), None);
        losses.refused(of(1, 1), GapReason::DiskFailed, "input/output error");
        assert!(told.matter().unwrap().contains("input/output error"));
        let away = Err(io::Error::new(io::ErrorKind::NotFound, "it is not there"));
        told.place(&away);
        assert_eq!(told.matter().unwrap(), "it is not there");
        told.place(&Ok(()));
        assert!(told.matter().is_some(), "nothing was written since");
        told.took();
        told.index(Some("the index".into()));
        assert_eq!(told.matter().unwrap(), "the index");
        told.index(None);
        assert_eq!(told.matter(), None);
    }
}
