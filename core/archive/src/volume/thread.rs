//! The thread that writes, and how it is told what.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use taimat_base::clock;
use taimat_base::metrics::{Histogram, IntCounter};
use tokio::sync::oneshot;

use super::appending::{Appended, Appending, Beginning};
use super::home::Home;
use super::losses::{self, Failure, Losses, Of, Told};
use super::reserve::Reserve;
use super::sync::{Dirty, Syncing};
use crate::error::ArchiveError;
use crate::index::rows::Change;
use crate::load::Waiting;
use crate::reason::GapReason;

/// How often what was written is brought to the disk.
const EVERY: Duration = Duration::from_secs(1);
/// At least so long between two syncs parts are taken.
const BETWEEN: Duration = Duration::from_millis(250);
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
    pub(super) root: PathBuf,
    pub(super) home: Home,
    pub(super) reserve: Reserve,
    pub(super) connection: Connection,
    pub(super) syncing: Syncing,
    pub(super) open: HashMap<u64, Appending>,
    /// The chain of each stream.
    chains: HashMap<i64, [u8; 32]>,
    pub(super) changes: Vec<Change>,
    pub(super) dirty: HashMap<u64, Dirty>,
    pub(super) folders: Vec<PathBuf>,
    pub(super) losses: Losses,
    pub(super) told: Arc<Told>,
    /// The newest segment of each stream that the disk refused, and why.
    broken: HashMap<i64, (u64, GapReason)>,
    /// Segments of which a sync failed, and the parts of which nobody knows whether they are on the disk, packed.
    pub(super) doubted: BTreeMap<u64, Vec<u8>>,
    /// A sync failed, and it may have been of the index's log: what comes after a hole in it is lost with it.
    pub(super) holed: bool,
    /// When the disk last refused something, as long as that is said.
    pub(super) refused_at: Option<Instant>,
    pub(super) metrics: VolumeMetrics,
    pub(super) synced: Arc<AtomicU64>,
    pub(super) begun: Instant,
    /// It is said once that the index can not be written.
    pub(super) said: bool,
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
            reserve: Reserve::of(&root),
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
            holed: false,
            refused_at: None,
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
                // A sync that takes long does not put the next one off; but what came meanwhile is taken first.
                due = (due + EVERY).max(clock::thread_now() + BETWEEN);
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
        let begun = self.home.is_there().and_then(|()| {
            if !self.reserve.restore() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Appending::begin(&self.root, beginning, chain)
        });
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
    pub(super) fn refused(&mut self, of: Of, error: &io::Error) {
        self.metrics.errors.inc();
        self.refused_at = Some(clock::thread_now());
        let reason = losses::reason(error);
        self.losses.refused(of, reason, &error.to_string());
        self.broken.insert(of.stream, (of.segment, reason));
    }

    pub(super) fn lost(&mut self, of: Of, span: (i64, i64), parts: u64, reason: GapReason) {
        if let Some(before) = self.losses.lost(of, span, parts, reason) {
            self.note(before);
        }
    }
}
