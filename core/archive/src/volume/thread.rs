//! The thread that writes, and how it is told what.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use taimat_base::clock;
use taimat_base::metrics::{Histogram, IntCounter};
use tokio::sync::oneshot;

use super::appending::{Appended, Appending, Beginning};
use super::sync::Syncing;
use crate::error::ArchiveError;
use crate::index::rows::Change;
use crate::load::Waiting;

/// How often what was written is brought to the disk.
const EVERY: Duration = Duration::from_secs(1);
/// What waits at most: some parts of each of a thousand streams. Media are bounded by their bytes before.
const WAITING: usize = 8192;
/// Changes of the index that wait while it can not be written: an hour of thirty cameras. What is beyond is
/// found again from the files.
const CHANGES: usize = 200_000;

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

/// What went wrong with a segment: it is not written to any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) segment: u64,
    /// The disk has no room.
    pub(crate) full: bool,
    pub(crate) error: String,
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
    failures: Arc<Mutex<Vec<Failure>>>,
    /// Milliseconds since `begun` when what was written last got to the disk.
    synced: Arc<AtomicU64>,
    begun: Instant,
}

pub(super) struct Thread {
    root: PathBuf,
    connection: Connection,
    syncing: Syncing,
    open: HashMap<u64, Appending>,
    /// The chain of each stream.
    chains: HashMap<i64, [u8; 32]>,
    changes: Vec<Change>,
    dirty: HashMap<u64, Arc<std::fs::File>>,
    folders: Vec<PathBuf>,
    failures: Arc<Mutex<Vec<Failure>>>,
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
        let (failures, synced) = (Arc::default(), Arc::default());
        let begun = clock::thread_now();
        let mut thread = Thread {
            root,
            connection,
            syncing,
            open: HashMap::new(),
            chains: HashMap::new(),
            changes: Vec::new(),
            dirty: HashMap::new(),
            folders: Vec::new(),
            failures: Arc::clone(&failures),
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
            failures,
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
        part: Appended,
        waiting: Waiting,
    ) -> Result<(), ArchiveError> {
        self.send(Job::Append {
            id,
            part: Box::new(part),
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

    /// What went wrong since it was asked before.
    pub(crate) fn failures(&self) -> Vec<Failure> {
        std::mem::take(&mut *self.failures.lock().unwrap_or_else(|e| e.into_inner()))
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
        match Appending::begin(&self.root, beginning, chain) {
            Ok((appending, change)) => {
                self.folders.push(appending.folder.clone());
                self.dirty.insert(id, Arc::clone(&appending.file));
                self.open.insert(id, appending);
                self.note(change);
            }
            Err(error) => self.failed(id, &error),
        }
    }

    fn append(&mut self, id: u64, part: Appended) {
        // One that failed takes no more; it was said.
        let Some(appending) = self.open.get_mut(&id) else {
            return;
        };
        let bytes = part.row.bytes();
        match appending.append(part) {
            Ok(change) => {
                self.metrics.bytes.inc_by(bytes);
                self.metrics.parts.inc();
                self.chains
                    .insert(appending.beginning.stream, appending.chain);
                self.dirty.insert(id, Arc::clone(&appending.file));
                self.note(change);
            }
            Err(error) => {
                self.failed(id, &error);
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

    fn failed(&self, segment: u64, error: &io::Error) {
        self.metrics.errors.inc();
        let full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        let mut failures = self.failures.lock().unwrap_or_else(|e| e.into_inner());
        if failures.len() < WAITING {
            failures.push(Failure {
                segment,
                full,
                error: error.to_string(),
            });
        }
    }

    /// Brings what was written to the disk, then the index up to it.
    fn sync(&mut self) -> bool {
        if self.dirty.is_empty() && self.changes.is_empty() {
            self.is_synced();
            return true;
        }
        let begun = clock::thread_now();
        let dirty: Vec<Arc<std::fs::File>> = self.dirty.values().map(Arc::clone).collect();
        self.folders.sort_unstable();
        self.folders.dedup();
        if let Err(error) = self.syncing.sync(&dirty, &self.folders) {
            self.metrics.errors.inc();
            // After that nobody knows what of a file is on the disk: it is not written to any more.
            for id in self.dirty.keys().copied().collect::<Vec<u64>>() {
                self.failed(id, &error);
                self.close(id, false);
            }
            // The index does not name what may not be there: the next start finds from the files what is.
            let dirty = &self.dirty;
            self.changes.retain(|change| match change {
                Change::Part { id, .. } | Change::Closed { id, .. } => !dirty.contains_key(id),
                _ => true,
            });
            tracing::error!(%error, "what was recorded does not get to the disk");
            self.dirty.clear();
            self.folders.clear();
        }
        self.dirty.clear();
        self.folders.clear();
        let written = self.commit();
        self.metrics
            .sync_seconds
            .observe(clock::thread_now().duration_since(begun).as_secs_f64());
        if written {
            self.is_synced();
        }
        written
    }

    fn is_synced(&self) {
        let now = clock::thread_now().saturating_duration_since(self.begun);
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.synced.store(now, Ordering::Relaxed);
    }

    /// Writes the changes that wait to the index.
    fn commit(&mut self) -> bool {
        if self.changes.is_empty() {
            return true;
        }
        let result = transaction(&mut self.connection, |to| {
            self.changes.iter().try_for_each(|change| change.apply(to))
        });
        let Err(error) = result else {
            self.changes.clear();
            self.said = false;
            return true;
        };
        self.metrics.errors.inc();
        if is_about_a_row(&error) {
            // One of them is wrong: the others are not to wait for it.
            self.one_by_one();
            return true;
        }
        if !std::mem::replace(&mut self.said, true) {
            tracing::error!(%error, "the index can not be written; it is tried again");
        }
        false
    }

    fn one_by_one(&mut self) {
        for change in std::mem::take(&mut self.changes) {
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
