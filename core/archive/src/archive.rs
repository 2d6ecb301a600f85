//! The room: its folder, what it is told by the house, what others ask of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use taimat_audit::{AuditLog, Deed, Receipt};
use taimat_base::CommuneId;
use taimat_base::metrics::Registry;
use tokio::sync::watch;

use crate::config::CommuneArchive;
use crate::copies::fetched::Fetched;
use crate::copies::repairs::Repairs;
use crate::error::ArchiveError;
use crate::holds::{self, Hold, NewHold, SharedLog};
use crate::index::Index;
use crate::layout;
use crate::load::Load;
use crate::marks::Happened;
use crate::metrics::ArchiveMetrics;
use crate::moment::now;
use crate::recorder::AllWanted;
use crate::recover::{self, Found};
use crate::trouble::{Trouble, TroubleKind};
use crate::volume::{Syncing, Volume};

/// So long nothing got to the disk: that is an event.
const BEHIND: Duration = Duration::from_secs(10);
/// Damaged files that are said at most.
const MAX_DAMAGED: usize = 100;

pub(crate) type Configured = BTreeMap<CommuneId, Arc<CommuneArchive>>;

/// What cameras show, kept and found again.
#[derive(Debug)]
pub struct Archive {
    root: PathBuf,
    floor: u64,
    index: Arc<Index>,
    volume: Arc<Volume>,
    log: SharedLog,
    configured: RwLock<Arc<Configured>>,
    /// Each time it is configured.
    changed: watch::Sender<u64>,
    wanted: watch::Sender<Arc<AllWanted>>,
    metrics: ArchiveMetrics,
    load: Arc<Load>,
    /// The first number that no segment has.
    next: u64,
    troubles: Mutex<Vec<Trouble>>,
    /// Files that were found to be damaged.
    damaged: Mutex<Vec<Trouble>>,
    fetched: Arc<Fetched>,
    repairs: Arc<Repairs>,
    _lock: Flock<File>,
}

impl Archive {
    /// Opens the archive in a folder, which is made if it is not there. What a crash has left is put in order.
    /// `floor` is how many bytes of the disk are left free. Waits for the disk.
    ///
    /// # Errors
    /// If another router records there, or the disk says no.
    pub fn open(root: &Path, floor: u64, registry: &Registry) -> Result<Self, ArchiveError> {
        std::fs::create_dir_all(root).map_err(ArchiveError::disk("making", root))?;
        let lock = lock(root)?;
        let opened = AuditLog::open(&root.join(holds::FOLDER), now().0 / 1000)?;
        if let Some(cut) = &opened.cut {
            tracing::warn!(file = %cut.file.display(), after = cut.after, "half a line was cut off the log");
        }
        let file = root.join(layout::INDEX);
        let (mut connection, made) = crate::rebuild::open(root, &file)?;
        if let Some(made) = &made {
            let (parts, unproven, apart) = (made.parts, made.unproven, made.apart.len());
            tracing::warn!(
                parts,
                unproven,
                apart,
                "the index was made anew from the files"
            );
        }
        let found = recover::recover(root, &mut connection)?;
        if found != Found::default() {
            tracing::info!(?found, "what the last run left was put in order");
        }
        let next: u64 = connection.query_row(
            "SELECT max(coalesce((SELECT max(id) FROM segment), 0), \
             coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'segment'), 0)) + 1",
            [],
            |row| row.get(0),
        )?;
        let syncing = Syncing::of(root, &file).map_err(ArchiveError::disk("asking about", root))?;
        tracing::debug!(?syncing, "the archive's disk");
        // Once nothing of the folder can fail any more: another one may be tried.
        let metrics = ArchiveMetrics::register(registry)
            .map_err(|error| ArchiveError::Refused(error.to_string()))?;
        let volume = Volume::start(root.to_owned(), connection, syncing, metrics.volume.clone())
            .map_err(ArchiveError::disk("starting to write to", root))?;
        let archive = Self {
            root: root.to_owned(),
            floor,
            index: Arc::new(Index::over(&file)),
            volume: Arc::new(volume),
            log: Arc::new(Mutex::new(opened.log)),
            configured: RwLock::default(),
            changed: watch::Sender::new(0),
            wanted: watch::Sender::default(),
            metrics,
            load: Arc::default(),
            next,
            troubles: Mutex::default(),
            damaged: Mutex::default(),
            fetched: Arc::new(Fetched::open(root)?),
            repairs: Arc::default(),
            _lock: lock,
        };
        for apart in made.iter().flat_map(|made| &made.apart) {
            let about = apart.path.display().to_string();
            archive.note_damaged(&apart.camera.commune, about, apart.to_string());
        }
        Ok(archive)
    }

    /// From now on it is as the communes' files say.
    pub fn configure(&self, communes: Vec<CommuneArchive>) {
        let all: Configured = communes
            .into_iter()
            .map(|commune| (commune.commune.clone(), Arc::new(commune)))
            .collect();
        *self.configured.write().unwrap_or_else(|e| e.into_inner()) = Arc::new(all);
        self.changed.send_modify(|n| *n += 1);
    }

    /// Takes over what happened, up to an entry of the events' log. Returns when it is on the disk.
    ///
    /// # Errors
    /// If the disk says no: then none of it was taken over.
    pub async fn learn(&self, happened: Vec<Happened>, entry: u64) -> Result<(), ArchiveError> {
        self.volume
            .write(move |to| {
                for one in &happened {
                    match one {
                        Happened::Event(mark) => mark.write(to)?,
                        Happened::Take(take) => take.write(to)?,
                    }
                }
                to.execute(
                    "INSERT OR REPLACE INTO meta (name, value) VALUES ('events', ?1)",
                    [entry.to_string()],
                )?;
                Ok(())
            })
            .await
    }

    /// What was told of events up to which entry of their log was taken over.
    ///
    /// # Errors
    /// If the index can not be read. Waits for the disk.
    pub fn followed(&self) -> Result<u64, ArchiveError> {
        self.index.read(|of| {
            let found = of.query_row(
                "SELECT coalesce((SELECT value FROM meta WHERE name = 'events'), '0')",
                [],
                |row| row.get::<_, String>(0),
            )?;
            Ok(found.parse().unwrap_or(0))
        })
    }

    /// Has something be kept, whatever else is said.
    ///
    /// # Errors
    /// If something is missing in it, or the disk says no.
    pub async fn hold(&self, new: NewHold) -> Result<Hold, ArchiveError> {
        let log = Arc::clone(&self.log);
        let now = now();
        self.volume.write(move |to| new.insert(to, &log, now)).await
    }

    /// Ends a hold.
    ///
    /// # Errors
    /// If there is none, something is missing, or the disk says no.
    pub async fn release(
        &self,
        commune: &CommuneId,
        number: u64,
        who: &str,
        why: &str,
    ) -> Result<(), ArchiveError> {
        let (log, commune) = (Arc::clone(&self.log), commune.clone());
        let (who, why) = (who.to_owned(), why.to_owned());
        let now = now();
        self.volume
            .write(move |to| holds::release(to, &log, &commune, number, (&who, &why), now))
            .await
    }

    /// The holds of a commune that are not released, the newest first.
    ///
    /// # Errors
    /// If the index can not be read. Waits for the disk.
    pub fn holds(&self, commune: &CommuneId) -> Result<Vec<Hold>, ArchiveError> {
        self.index.read(|of| holds::list(of, commune))
    }

    /// Notes what somebody did, in the log that can not be changed unseen. Waits for the disk.
    ///
    /// # Errors
    /// If the disk says no.
    pub fn write_down(&self, deed: Deed) -> Result<Receipt, ArchiveError> {
        holds::write_down(&self.log, deed, now())
    }

    /// The lines of that log from an entry to its head, with the words of that entry only. The log is read
    /// whole, and nothing is written down meanwhile. Waits for the disk.
    ///
    /// # Errors
    /// If the log can not be read, is not whole, or has no such entry.
    pub fn excerpt(&self, entry: u64) -> Result<Vec<u8>, ArchiveError> {
        holds::excerpt(&self.log, &self.root.join(holds::FOLDER), entry)
    }

    /// What is the matter, and should not be.
    pub fn troubles(&self) -> Vec<Trouble> {
        let of = |troubles: &Mutex<Vec<Trouble>>| {
            let troubles = troubles.lock().unwrap_or_else(|e| e.into_inner());
            troubles.clone()
        };
        let mut all = of(&self.troubles);
        all.extend(of(&self.damaged));
        all.extend(self.failing());
        all
    }

    /// What is the matter with the disk that is recorded to. It is not asked: it may not answer.
    fn failing(&self) -> Vec<Trouble> {
        let behind = self.volume.behind();
        let late = || {
            let text = || format!("nothing got to the disk for {} s", behind.as_secs());
            (behind >= BEHIND).then(text)
        };
        let Some(text) = self.volume.matter().or_else(late) else {
            return Vec::new();
        };
        let failing = |commune: &CommuneId| Trouble {
            kind: TroubleKind::Failing,
            commune: commune.clone(),
            camera: None,
            about: String::new(),
            text: text.clone(),
        };
        self.configured().keys().map(failing).collect()
    }

    /// Where recordings lie.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file is not what was recorded: that is said until it is mended from a copy, or the router starts anew.
    pub fn found_damaged(&self, commune: &CommuneId, path: &Path) {
        let name = path.strip_prefix(&self.root).unwrap_or(path).display();
        let text = format!("{name} is not what was recorded");
        self.note_damaged(commune, name.to_string(), text);
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(segment) = name.and_then(layout::id) {
            self.repairs.want(segment);
        }
    }

    fn note_damaged(&self, commune: &CommuneId, about: String, text: String) {
        let trouble = Trouble {
            kind: TroubleKind::Damaged,
            commune: commune.clone(),
            camera: None,
            about,
            text,
        };
        let mut damaged = self.damaged.lock().unwrap_or_else(|e| e.into_inner());
        if !damaged.contains(&trouble) {
            self.metrics.damaged.inc();
            tracing::error!(what = trouble.text, "a recording is not what was recorded");
            if damaged.len() < MAX_DAMAGED {
                damaged.push(trouble);
            }
        }
    }

    /// A file is what was recorded again.
    pub(crate) fn mended(&self, commune: &CommuneId, path: &Path) {
        let name = path.strip_prefix(&self.root).unwrap_or(path).display();
        let name = name.to_string();
        let mut damaged = self.damaged.lock().unwrap_or_else(|e| e.into_inner());
        damaged.retain(|trouble| trouble.about != name || trouble.commune != *commune);
    }

    pub(crate) fn fetched(&self) -> &Arc<Fetched> {
        &self.fetched
    }

    pub(crate) fn repairs(&self) -> &Arc<Repairs> {
        &self.repairs
    }

    pub(crate) fn set_troubles(&self, troubles: Vec<Trouble>) {
        *self.troubles.lock().unwrap_or_else(|e| e.into_inner()) = troubles;
    }

    pub(crate) fn configured(&self) -> Arc<Configured> {
        let configured = self.configured.read().unwrap_or_else(|e| e.into_inner());
        Arc::clone(&configured)
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn wanted(&self) -> &watch::Sender<Arc<AllWanted>> {
        &self.wanted
    }

    pub(crate) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    pub(crate) fn volume(&self) -> &Arc<Volume> {
        &self.volume
    }

    pub(crate) fn metrics(&self) -> &ArchiveMetrics {
        &self.metrics
    }

    pub(crate) fn load(&self) -> &Arc<Load> {
        &self.load
    }

    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }
}

/// Nobody else records there.
pub(crate) fn lock(root: &Path) -> Result<Flock<File>, ArchiveError> {
    let path = root.join(layout::LOCK);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(ArchiveError::disk("opening", &path))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
        nix::errno::Errno::EWOULDBLOCK => ArchiveError::InUse(root.to_owned()),
        other => ArchiveError::disk("locking", &path)(other.into()),
    })
}
