//! The thread that writes, and how it is told what.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use taimat_base::clock;
use taimat_base::metrics::{Histogram, IntCounter};
use tokio::sync::oneshot;

use super::appending::{Appended, Appending, Beginning};
use super::home::Home;
use super::losses::{self, Failure, Losses, Of, Told};
use super::sync::{Dirty, Syncing};
use crate::error::ArchiveError;
use crate::index::rows::Change;
use crate::load::Waiting;
use crate::reason::GapReason;
use crate::recover;

/// How often what was written is brought to the disk.
const EVERY: Duration = Duration::from_secs(1);
/// What waits at most: some parts of each of a thousand streams. Media are bounded by their bytes before.
const WAITING: usize = 8192;
/// Changes of the index that wait while it can not be written: an hour of thirty cameras. What is beyond is
/// found again from the files.
const CHANGES: usize = 200_000;
/// Segments that are looked at again after a sync that failed. What is beyond is found at the next start.
const DOUBTED: usize = 4096;

type Question = Box<dyn FnOnce(&mut Thread) + Send>;

enum Job {
    Begin(Beginning),
    Append {
        id: u64,
        part: Box<Appended>,
        _waiting: Waiting,
    },
    Close {
        id: u64,
        watched: bool,
    },
    Change(Change),
    Ask(Question),
}

/// What is counted while writing.
#[derive(Debug, Clone)]
pub(crate) struct VolumeMetrics {
    pub(crate) bytes: IntCounter,
    pub(crate) parts: IntCounter,
    pub(crate) sync_seconds: Histogram,
    pub(crate) errors: IntCounter,
}

/// The disk that is recorded to. What was given to it is written when this is dropped.
#[derive(Debug)]
pub(crate) struct Volume {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    told: Arc<Told>,
    /// Milliseconds since `begun` when what was written last got to the disk.
    synced: Arc<AtomicU64>,
    begun: Instant,
}

pub(super) struct Thread {
    root: PathBuf,
    home: Home,
    connection: Connection,
    syncing: Syncing,
    open: HashMap<u64, Appending>,
    /// The chain of each stream.
    chains: HashMap<i64, [u8; 32]>,
    changes: Vec<Change>,
    dirty: HashMap<u64, Dirty>,
    folders: Vec<PathBuf>,
    losses: Losses,
    told: Arc<Told>,
    /// The newest segment of each stream that the disk refused, and why.
    broken: HashMap<i64, (u64, GapReason)>,
    /// Segments of which a sync failed, and the parts of which nobody knows whether they are on the disk, packed.
    doubted: BTreeMap<u64, Vec<u8>>,
    metrics: VolumeMetrics,
    synced: Arc<AtomicU64>,
    begun: Instant,
    /// It is said once that the index can not be written.
    said: bool,
}

impl Volume {
    /// Starts writing to a folder.
    pub(crate) fn start(
        root: PathBuf,
        connection: Connection,
        syncing: Syncing,
        metrics: VolumeMetrics,
    ) -> io::Result<Self> {
        let (jobs, waiting) = mpsc::sync_channel(WAITING);
        let (told, synced): (Arc<Told>, _) = (Arc::default(), Arc::default());
        let home = Home::of(&root)?;
        let begun = clock::thread_now();
        let mut thread = Thread {
            root,
            home,
            connection,
            syncing,
            open: HashMap::new(),
            chains: HashMap::new(),
            changes: Vec::new(),
            dirty: HashMap::new(),
            folders: Vec::new(),
            losses: Losses::new(Arc::clone(&told)),
            told: Arc::clone(&told),
            broken: HashMap::new(),
            doubted: BTreeMap::new(),
            metrics,
            synced: Arc::clone(&synced),
            begun,
            said: false,
        };
        let thread = std::thread::Builder::new()
            .name("archive".into())
            .spawn(move || thread.run(&waiting))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
            told,
            synced,
            begun,
        })
    }

    fn send(&self, job: Job) -> Result<(), ArchiveError> {
        let jobs = self.jobs.as_ref().ok_or(ArchiveError::Stopped)?;
        jobs.try_send(job).map_err(|refused| match refused {
            mpsc::TrySendError::Full(_) => {
                ArchiveError::Refused("the disk does not keep up".into())
            }
            mpsc::TrySendError::Disconnected(_) => ArchiveError::Stopped,
        })
    }

    /// Begins a segment.
    pub(crate) fn begin(&self, beginning: Beginning) -> Result<(), ArchiveError> {
        self.send(Job::Begin(beginning))
    }

    /// Appends a part to a segment that was begun.
    pub(crate) fn append(
        &self,
        id: u64,
        part: Box<Appended>,
        waiting: Waiting,
    ) -> Result<(), ArchiveError> {
        self.send(Job::Append {
            id,
            part,
            _waiting: waiting,
        })
    }

    /// Nothing more comes for a segment.
    pub(crate) fn close(&self, id: u64, watched: bool) -> Result<(), ArchiveError> {
        self.send(Job::Close { id, watched })
    }

    /// Writes to the index, after what was given before.
    pub(crate) fn change(&self, change: Change) -> Result<(), ArchiveError> {
        self.send(Job::Change(change))
    }

    /// Writes to the index, all or nothing, and returns when it is on the disk.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let (done, result) = oneshot::channel();
        let question = Box::new(move |thread: &mut Thread| {
            // Who asked may not wait any more.
            drop(done.send(thread.write(write)));
        });
        self.send(Job::Ask(question))?;
        result.await.map_err(|_gone| ArchiveError::Stopped)?
    }

    /// What was lost since it was asked before.
    pub(crate) fn failures(&self) -> Vec<Failure> {
        self.told.failures()
    }

    /// What is the matter with the disk, if anything is. Does not wait for it.
    pub(crate) fn matter(&self) -> Option<String> {
        self.told.matter()
    }

    /// How long ago everything was on the disk.
    pub(crate) fn behind(&self) -> Duration {
        let synced = Duration::from_millis(self.synced.load(Ordering::Relaxed));
        clock::thread_now()
            .saturating_duration_since(self.begun)
            .saturating_sub(synced)
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported.
            drop(thread.join());
        }
    }
}

impl Thread {
    fn run(&mut self, waiting: &mpsc::Receiver<Job>) {
        let mut due = clock::thread_now() + EVERY;
        loop {
            let wait = due.saturating_duration_since(clock::thread_now());
            match waiting.recv_timeout(wait) {
                Ok(job) => self.take(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if clock::thread_now() >= due {
                self.sync();
                due = clock::thread_now() + EVERY;
            }
        }
        let open: Vec<u64> = self.open.keys().copied().collect();
        for id in open {
            self.close(id, false);
        }
        self.sync();
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Begin(beginning) => self.begin(beginning),
            Job::Append { id, part, .. } => self.append(id, *part),
            Job::Close { id, watched } => self.close(id, watched),
            Job::Change(change) => self.note(change),
            Job::Ask(question) => question(self),
        }
    }

    fn note(&mut self, change: Change) {
        if self.changes.len() < CHANGES {
            self.changes.push(change);
        }
    }

    fn begin(&mut self, beginning: Beginning) {
        let (id, stream) = (beginning.id, beginning.stream);
        let chain = match self.chains.get(&stream) {
            Some(chain) => *chain,
            None => {
                let chain = self.connection.query_row(
                    "SELECT chain FROM stream WHERE number = ?1",
                    [stream],
                    |row| row.get(0),
                );
                // A stream is in the index before anything of it is written.
                let chain = chain.unwrap_or_default();
                self.chains.insert(stream, chain);
                chain
            }
        };
        let begun = self.home.is_there();
        let begun = begun.and_then(|()| Appending::begin(&self.root, beginning, chain));
        match begun {
            Ok((appending, change)) => {
                self.folders.push(appending.folder.clone());
                let file = Arc::clone(&appending.file);
                self.dirty.insert(id, Dirty::new(stream, file));
                self.open.insert(id, appending);
                self.note(change);
            }
            Err(error) => self.refused(
                Of {
                    stream,
                    segment: id,
                },
                &error,
            ),
        }
    }

    fn append(&mut self, id: u64, part: Appended) {
        let (bytes, span) = (part.row.bytes(), (part.row.start, part.row.end));
        let of = Of {
            stream: part.stream,
            segment: id,
        };
        // One that was refused takes no more.
        let Some(appending) = self.open.get_mut(&id) else {
            let broken = self.broken.get(&of.stream);
            let own = broken.filter(|(segment, _)| *segment == id);
            let reason = own.map_or(GapReason::DiskFailed, |(_, reason)| *reason);
            return self.lost(of, span, 1, reason);
        };
        match appending.append(part) {
            Ok(change) => {
                self.metrics.bytes.inc_by(bytes);
                self.metrics.parts.inc();
                self.chains.insert(of.stream, appending.chain);
                let file = Arc::clone(&appending.file);
                let dirty = self.dirty.entry(id);
                dirty
                    .or_insert_with(|| Dirty::new(of.stream, file))
                    .appended(span);
                self.note(change);
            }
            Err(error) => {
                self.refused(of, &error);
                self.lost(of, span, 1, losses::reason(&error));
                self.close(id, false);
            }
        }
    }

    fn close(&mut self, id: u64, watched: bool) {
        if let Some(appending) = self.open.remove(&id) {
            let change = appending.close(watched);
            self.note(change);
        }
    }

    /// The disk refused a segment: it is not written to any more.
    fn refused(&mut self, of: Of, error: &io::Error) {
        self.metrics.errors.inc();
        let reason = losses::reason(error);
        self.losses.refused(of, reason, &error.to_string());
        self.broken.insert(of.stream, (of.segment, reason));
    }

    fn lost(&mut self, of: Of, span: (i64, i64), parts: u64, reason: GapReason) {
        if let Some(before) = self.losses.lost(of, span, parts, reason) {
            self.note(before);
        }
    }

    /// Brings what was written to the disk, then the index up to it.
    fn sync(&mut self) -> bool {
        let there = self.home.is_there();
        self.told.place(&there);
        if self.dirty.is_empty() && self.changes.is_empty() && self.losses.is_empty() {
            self.is_synced();
            return true;
        }
        let begun = clock::thread_now();
        let dirty = std::mem::take(&mut self.dirty);
        let mut folders = std::mem::take(&mut self.folders);
        folders.sort_unstable();
        folders.dedup();
        let files: Vec<&std::fs::File> = dirty.values().map(|one| &*one.file).collect();
        let synced = self.syncing.sync(&files, &folders);
        if let Err(error) = &synced {
            self.doubt(&dirty, error);
        }
        let written = self.commit();
        self.metrics
            .sync_seconds
            .observe(clock::thread_now().duration_since(begun).as_secs_f64());
        let took = dirty.values().any(|one| one.span.is_some());
        if synced.is_ok() && written && took && there.is_ok() {
            self.told.took();
            self.settle();
        }
        if written {
            self.is_synced();
        }
        written
    }

    /// A sync failed. After that nobody knows what of these files is on the disk: they are not written to any
    /// more, and the index does not name what may not be there.
    fn doubt(&mut self, dirty: &HashMap<u64, Dirty>, error: &io::Error) {
        tracing::error!(%error, "what was recorded does not get to the disk");
        let mut doubted: BTreeMap<u64, Vec<u8>> =
            dirty.keys().map(|segment| (*segment, Vec::new())).collect();
        self.changes.retain(|change| match change {
            Change::Part { id, packed, .. } => match doubted.get_mut(id) {
                Some(parts) => {
                    parts.extend_from_slice(packed);
                    false
                }
                None => true,
            },
            Change::Closed { id, .. } => !doubted.contains_key(id),
            _ => true,
        });
        for (&segment, one) in dirty {
            let of = Of {
                stream: one.stream,
                segment,
            };
            self.refused(of, error);
            self.open.remove(&segment);
            if let Some(span) = one.span {
                self.lost(of, span, one.parts, GapReason::DiskFailed);
            }
        }
        if self.doubted.len() < DOUBTED {
            self.doubted.append(&mut doubted);
        }
    }

    /// The disk takes something again: the index is told what of the segments in doubt is there.
    fn settle(&mut self) {
        for (id, parts) in std::mem::take(&mut self.doubted) {
            let root = &self.root;
            let found = transaction(&mut self.connection, |to| {
                recover::settle(root, to, id, &parts)
            });
            match found {
                Ok(found) => tracing::info!(segment = id, ?found, "what a failed sync left"),
                Err(error) => {
                    tracing::warn!(segment = id, %error, "what a failed sync left is looked at again at the next start");
                }
            }
        }
    }

    fn is_synced(&self) {
        let now = clock::thread_now().saturating_duration_since(self.begun);
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.synced.store(now, Ordering::Relaxed);
    }

    /// Writes the changes that wait, and what was lost, to the index.
    fn commit(&mut self) -> bool {
        let lost = self.losses.all();
        if self.changes.is_empty() && lost.is_empty() {
            return true;
        }
        let result = transaction(&mut self.connection, |to| {
            let mut all = self.changes.iter().chain(&lost);
            all.try_for_each(|change| change.apply(to))
        });
        let Err(error) = result else {
            self.changes.clear();
            self.losses.clear();
            self.told.index(None);
            self.said = false;
            return true;
        };
        self.metrics.errors.inc();
        if is_about_a_row(&error) {
            // One of them is wrong: the others are not to wait for it.
            self.losses.clear();
            self.one_by_one(lost);
            return true;
        }
        self.told
            .index(Some(format!("the index can not be written: {error}")));
        if !std::mem::replace(&mut self.said, true) {
            tracing::error!(%error, "the index can not be written; it is tried again");
        }
        false
    }

    fn one_by_one(&mut self, lost: Vec<Change>) {
        for change in std::mem::take(&mut self.changes).into_iter().chain(lost) {
            let done = transaction(&mut self.connection, |to| change.apply(to));
            if let Err(error) = done {
                tracing::error!(%error, ?change, "the index does not take a row");
            }
        }
    }

    fn write<T>(
        &mut self,
        write: impl FnOnce(&Connection) -> Result<T, ArchiveError>,
    ) -> Result<T, ArchiveError> {
        // Files go by their names: nothing is decided about those of another folder.
        self.home
            .is_there()
            .map_err(ArchiveError::disk("looking for", &self.root))?;
        // What waits comes first: what is asked may be about it.
        if !self.sync() {
            return Err(ArchiveError::Refused("the index can not be written".into()));
        }
        let written = transaction(&mut self.connection, write)?;
        self.syncing
            .sync(&[], &[])
            .map_err(ArchiveError::disk("syncing", &self.root))?;
        Ok(written)
    }
}

/// Whether an error is about what was to be written, and not about the disk.
fn is_about_a_row(error: &ArchiveError) -> bool {
    match error {
        ArchiveError::Index(rusqlite::Error::SqliteFailure(error, _)) => matches!(
            error.code,
            rusqlite::ErrorCode::ConstraintViolation
                | rusqlite::ErrorCode::TypeMismatch
                | rusqlite::ErrorCode::TooBig
        ),
        ArchiveError::Index(_) | ArchiveError::Damaged(_) => true,
        _ => false,
    }
}

fn transaction<T>(
    connection: &mut Connection,
    write: impl FnOnce(&Connection) -> Result<T, ArchiveError>,
) -> Result<T, ArchiveError> {
    let all = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let written = write(&all)?;
    all.commit()?;
    Ok(written)
}
