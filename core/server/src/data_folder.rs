//! The folder for what is kept between runs: made, and looked at before anything in it is believed.
//!
//! Live pictures need nothing of it. So whatever is the matter with it, with the disk or with a file in it, the
//! router goes on without that: in a folder that goes with it, and says so in the log, as an event of each commune
//! and by `taimat_not_kept`.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Context as _;
use nix::unistd::geteuid;
use prometheus::{IntGaugeVec, Opts, Registry};
use tempfile::TempDir;

/// Who runs has it locked.
const LOCK: &str = "lock";
/// Where something can be written if the disk of the usual place is full: memory.
const MEMORY: &str = "/dev/shm";
/// As much has to fit there.
const ROOM: usize = 256 << 10;

/// What may not be kept, in metrics and events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// All of it.
    Data,
    /// The communes' files as they were when they were good last.
    Communes,
    /// The events.
    Events,
    /// The recordings.
    Recordings,
}

impl Kept {
    const ALL: [Self; 4] = [Self::Data, Self::Communes, Self::Events, Self::Recordings];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Communes => "communes",
            Self::Events => "events",
            Self::Recordings => "recordings",
        }
    }
}

/// What is not kept in this run, and why.
#[derive(Debug, Clone)]
pub(crate) struct NotKept {
    pub(crate) what: Kept,
    pub(crate) why: String,
}

/// The folder, and what is the matter with it.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: Option<PathBuf>,
    /// Held as long as the router runs.
    lock: Mutex<Option<File>>,
    scratch: Option<TempDir>,
    not_kept: Vec<NotKept>,
    shown: IntGaugeVec,
}

impl DataFolder {
    /// Makes it if it is not there. `None`: nothing is to be kept.
    pub(crate) fn open(wanted: Option<PathBuf>, registry: &Registry) -> anyhow::Result<Self> {
        let shown = IntGaugeVec::new(
            Opts::new(
                "taimat_not_kept",
                "1: it is gone when the router ends, since the folder or the disk for it can not be used.",
            ),
            &["what"],
        )?;
        registry.register(Box::new(shown.clone()))?;
        for what in Kept::ALL {
            shown.with_label_values(&[what.as_str()]).set(0);
        }
        let mut folder = Self {
            path: None,
            lock: Mutex::default(),
            scratch: None,
            not_kept: Vec::new(),
            shown,
        };
        if let Some(wanted) = wanted {
            match own(&wanted) {
                Ok(lock) => {
                    folder.path = Some(wanted);
                    folder.lock = Mutex::new(Some(lock));
                }
                Err(error) => {
                    let why = format!("the data folder {}: {error}", wanted.display());
                    folder.do_without(Kept::Data, why);
                }
            }
        }
        Ok(folder)
    }

    /// Where it is, if it can be used.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The router goes on without that.
    pub(crate) fn do_without(&mut self, what: Kept, why: String) {
        tracing::error!(
            what = what.as_str(),
            why,
            "the router goes on, and keeps nothing of this when it ends"
        );
        self.shown.with_label_values(&[what.as_str()]).set(1);
        self.not_kept.push(NotKept { what, why });
    }

    /// A folder that goes with the router.
    pub(crate) fn scratch(&mut self) -> anyhow::Result<PathBuf> {
        if self.scratch.is_none() {
            self.scratch = Some(scratch().context("a folder that goes with the router")?);
        }
        let scratch = self.scratch.as_ref().map(TempDir::path);
        Ok(scratch.unwrap_or(Path::new(".")).to_owned())
    }

    /// Another router may use it from now on.
    pub(crate) fn release(&self) {
        drop(self.lock.lock().unwrap_or_else(|e| e.into_inner()).take());
    }

    /// What is not kept.
    pub(crate) fn not_kept(&self) -> &[NotKept] {
        &self.not_kept
    }
}

/// The usual place, or memory where its disk is full.
fn scratch() -> io::Result<TempDir> {
    let usual = std::env::temp_dir();
    let mut last = io::Error::other("there is no such place");
    for place in [usual.as_path(), Path::new(MEMORY)] {
        let made = tempfile::Builder::new().prefix("taimat-").tempdir_in(place);
        let tried = made.and_then(|folder| {
            let file = folder.path().join("room");
            File::create(&file)?.write_all(&vec![0; ROOM])?;
            fs::remove_file(&file)?;
            Ok(folder)
        });
        match tried {
            Ok(folder) => return Ok(folder),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Makes the folder nobody's but ours, and locks it. What others could have put there is not believed: there is
/// native code and a key in it.
fn own(folder: &Path) -> io::Result<File> {
    let refuse = |why: String| Err(io::Error::other(why));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let about = fs::metadata(folder)?;
    let (owner, us, mode) = (about.uid(), geteuid().as_raw(), about.mode() & 0o7777);
    if owner != us {
        return refuse(format!(
            "it belongs to user {owner}, and the router runs as {us}; give it its own"
        ));
    }
    if mode & 0o002 != 0 {
        return refuse(format!(
            "everybody may write to it (mode {mode:o}); look at what is in it, then chmod 700"
        ));
    }
    if mode & 0o077 != 0 {
        tracing::info!(folder = %folder.display(), "the data folder is nobody's but the router's from now on");
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    let mut options = File::options();
    let lock = options
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join(LOCK))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => refuse("another router uses it".into()),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path) -> DataFolder {
        DataFolder::open(Some(folder.to_owned()), &Registry::new()).unwrap()
    }

    fn why(folder: &DataFolder) -> Option<&str> {
        folder.not_kept().first().map(|not| not.why.as_str())
    }

    fn mode(folder: &Path) -> u32 {
        fs::metadata(folder).unwrap().mode() & 0o7777
    }

    #[test]
    fn it_is_nobodys_but_ours_and_one_routers() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/data");
        let mut first = open(&path);
        assert_eq!((first.path(), mode(&path)), (Some(path.as_path()), 0o700));
        assert!(why(&first).is_none());
        let second = open(&path);
        assert_eq!(second.path(), None);
        assert!(why(&second).unwrap().contains("another router"));
        assert!(first.scratch().unwrap().is_dir());
        first.release();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(open(&path).path(), Some(path.as_path()));
        assert_eq!(mode(&path), 0o700);
    }

    #[test]
    fn what_others_could_have_put_there_is_not_believed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("data");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        let folder = open(&path);
        assert_eq!(folder.path(), None);
        assert!(why(&folder).unwrap().contains("chmod 700"));
        if geteuid().is_root() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
            std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
            assert!(why(&open(&path)).unwrap().contains("belongs to user 65534"));
        }
    }

    #[test]
    fn a_file_in_its_place_stops_nothing() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("data");
        fs::write(&path, "x").unwrap();
        let mut folder = open(&path);
        assert_eq!(folder.path(), None);
        let scratch = folder.scratch().unwrap();
        assert_eq!(folder.scratch().unwrap(), scratch);
        drop(folder);
        assert!(!scratch.exists());
    }
}
