//! Notes of what changes in folders. The kernel has them on folders, not on paths: one that is moved away takes its
//! note with it, and the one that comes in its place has none until somebody looks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::changes::Step;

/// How often files are looked at that may change without a note: on network disks, or when there are no more watches.
pub(super) const POLL: Duration = Duration::from_secs(10);
/// Notes that wait to be looked at. When there are more it does not matter any more which: all is read.
const NOTES: usize = 1024;

/// Device and number of a folder, and when it was made: numbers are given again.
type Inode = (u64, u64, Option<SystemTime>);

/// What tells of changes.
#[derive(Debug)]
pub(super) struct Notes {
    noted: mpsc::Receiver<Event>,
    lost: Arc<AtomicBool>,
}

impl Notes {
    /// What has been noted since, at least one, and whether something was lost. `None` if nothing will be any more.
    pub(super) async fn next(&mut self) -> Option<(Vec<Event>, bool)> {
        let mut noted = vec![self.noted.recv().await?];
        while let Ok(event) = self.noted.try_recv() {
            noted.push(event);
        }
        let lost = self.lost.swap(false, Ordering::AcqRel);
        let lost = lost || noted.iter().any(Event::need_rescan);
        Some((noted, lost))
    }
}

/// How a folder is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// By its path.
    Own,
    /// By another path that leads to it.
    Shared,
    /// Something by its name came or went: the watcher forgets by name, and may have forgotten this one.
    Unsure,
    /// The system would not.
    Refused,
}

/// A folder that is watched.
#[derive(Debug)]
struct Watched {
    inode: Inode,
    hold: Hold,
}

/// The folders of a commune that are watched.
#[derive(Debug, Default)]
pub(super) struct Watches {
    watcher: Option<RecommendedWatcher>,
    folders: BTreeMap<PathBuf, Watched>,
    /// Folders that are there and can not be watched, when they were looked at last.
    unwatched: usize,
}

/// Nothing is watched yet. An error when the system has no more notes: 128 of a user, if nobody said otherwise.
pub(super) fn open() -> notify::Result<(Watches, Notes)> {
    let (note, noted) = mpsc::channel(NOTES);
    let lost = Arc::new(AtomicBool::new(false));
    let full = Arc::clone(&lost);
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| note.try_send(event).is_err()) {
            full.store(true, Ordering::Release);
        }
    })?;
    let watches = Watches {
        watcher: Some(watcher),
        ..Watches::default()
    };
    Ok((watches, Notes { noted, lost }))
}

impl Watches {
    /// Folders that are there and can not be watched.
    pub(super) fn unwatched(&self) -> usize {
        self.unwatched
    }

    /// Watches the folders that these paths lead to by now, and no others. Whether any is another one than before, or
    /// was perhaps not watched. Waits for the disk.
    pub(super) fn follow(&mut self, wanted: &BTreeSet<PathBuf>) -> bool {
        let gone: Vec<PathBuf> = self
            .folders
            .keys()
            .filter(|path| !wanted.contains(*path))
            .cloned()
            .collect();
        gone.iter().for_each(|path| self.forget(path));
        let before = self.unwatched;
        self.unwatched = 0;
        let mut others = false;
        for path in wanted {
            others |= self.follow_one(path);
        }
        if self.unwatched > 0 && before == 0 {
            let (folders, seconds) = (self.unwatched, POLL.as_secs());
            tracing::warn!(
                folders,
                "folders can not be watched (fs.inotify.max_user_watches, max_user_instances): changes are \
                 seen every {seconds} s"
            );
        } else if self.unwatched == 0 && before > 0 {
            tracing::info!("all folders are watched again");
        }
        others
    }

    fn follow_one(&mut self, path: &Path) -> bool {
        let now = fs::metadata(path).ok().filter(fs::Metadata::is_dir);
        let now = now.map(|m| (m.dev(), m.ino(), m.created().ok()));
        let before = self.folders.get(path);
        let same = before.map(|watched| watched.inode) == now;
        let hold = before.map(|watched| watched.hold);
        if same && matches!(hold, None | Some(Hold::Own | Hold::Shared)) {
            return false;
        }
        self.forget(path);
        if let Some(inode) = now {
            let hold = self.hold(path, inode);
            self.unwatched += usize::from(hold == Hold::Refused);
            self.folders
                .insert(path.to_owned(), Watched { inode, hold });
        }
        !same || hold == Some(Hold::Unsure)
    }

    fn hold(&mut self, path: &Path, inode: Inode) -> Hold {
        let mut others = self.folders.values();
        if others.any(|other| other.inode == inode && other.hold == Hold::Own) {
            return Hold::Shared;
        }
        let Some(watcher) = &mut self.watcher else {
            return Hold::Refused;
        };
        match watcher.watch(path, RecursiveMode::NonRecursive) {
            Ok(()) => Hold::Own,
            Err(error) => {
                tracing::debug!(folder = %path.display(), %error, "folder can not be watched");
                Hold::Refused
            }
        }
    }

    fn forget(&mut self, path: &Path) {
        let Some(gone) = self.folders.remove(path) else {
            return;
        };
        if let (Some(watcher), Hold::Own | Hold::Unsure) = (&mut self.watcher, gone.hold) {
            // A folder that was removed has taken its watch with it.
            let _unwatched = watcher.unwatch(path);
        }
        let others = self.folders.values_mut();
        for other in others.filter(|other| other.inode == gone.inode) {
            other.hold = Hold::Unsure;
        }
    }

    /// Which files a note is about, and what happened to them. Nothing if it does not matter.
    pub(super) fn steps(&mut self, event: Event) -> Vec<(PathBuf, Step)> {
        let Some(step) = step(event.kind) else {
            return Vec::new();
        };
        let by_name = matches!(
            event.kind,
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
        );
        for path in event.paths.iter().filter(|_| by_name) {
            if let Some(watched) = self.folders.get_mut(path) {
                watched.hold = Hold::Unsure;
            }
        }
        event.paths.into_iter().map(|path| (path, step)).collect()
    }
}

fn step(kind: EventKind) -> Option<Step> {
    match kind {
        // Nobody closes a folder that was made.
        EventKind::Create(CreateKind::Folder) => Some(Step::Whole),
        EventKind::Create(_) => Some(Step::Made),
        EventKind::Modify(ModifyKind::Metadata(_)) => Some(Step::Touched),
        EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_) => Some(Step::Whole),
        EventKind::Modify(_) => Some(Step::Written),
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Step::Whole),
        EventKind::Access(_) | EventKind::Any | EventKind::Other => None,
    }
}
