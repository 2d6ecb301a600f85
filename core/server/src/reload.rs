//! Watches the communes' folders and says when to read them again.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use taimat_base::clock;
use tokio::sync::Notify;

use crate::config;

/// Editors write `commune.toml` in several steps; this long without another one, and it is read.
const QUIET: Duration = Duration::from_millis(150);
/// Any other file is whole once it was closed or renamed; others may come with it.
const TOGETHER: Duration = Duration::from_millis(20);
/// Nobody can hold back a reload for longer by writing on and on.
const LONGEST: Duration = Duration::from_secs(1);
/// How often it is asked whether a folder's path leads to another one: of a folder that is put in the place
/// of the commune's, nothing that is watched tells.
const LOOK: Duration = Duration::from_secs(1);
/// Paths that are remembered at once; what matters is whether there are any.
const MAX_UNFINISHED: usize = 1000;

/// What has happened in the folders since they were read.
#[derive(Debug, Default)]
struct Changes {
    first: Option<Instant>,
    last: Option<Instant>,
    /// Files of which more may come.
    unfinished: BTreeSet<PathBuf>,
}

impl Changes {
    /// Takes an event in. False if it is about nothing that is read.
    fn add(&mut self, event: &Event, now: Instant) -> bool {
        if event.kind.is_access() && !whole(event.kind) {
            return false;
        }
        // Hidden files are how editors and we ourselves write what is then renamed.
        let hidden = |p: &PathBuf| {
            let name = p.file_name().map(|n| n.to_string_lossy());
            name.is_some_and(|name| name.starts_with('.'))
        };
        let mut any = event.paths.is_empty();
        for path in event.paths.iter().filter(|p| !hidden(p)) {
            any = true;
            if whole(event.kind) && !path.ends_with(config::FILE) {
                self.unfinished.remove(path);
            } else if self.unfinished.len() < MAX_UNFINISHED {
                self.unfinished.insert(path.clone());
            }
        }
        if any {
            self.note(now);
        }
        any
    }

    /// Something has happened.
    fn note(&mut self, now: Instant) {
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    /// When to read the folders.
    fn due(&self) -> Option<Instant> {
        let quiet = if self.unfinished.is_empty() {
            TOGETHER
        } else {
            QUIET
        };
        Some((self.last? + quiet).min(self.first? + LONGEST))
    }
}

/// Whether a file is whole after such an event.
fn whole(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Name(_) | ModifyKind::Metadata(_))
            | EventKind::Remove(_)
    )
}

/// The communes' folders, watched.
pub(crate) struct Folders {
    folders: Vec<PathBuf>,
    /// The communes' own, and those with components. A watcher that is told that a folder has left the one
    /// above it forgets it by its path, even if another one is watched there by now; so those above are
    /// another one's.
    watched: [Watched; 2],
    changes: Arc<Mutex<Changes>>,
    told: Arc<Notify>,
}

impl Folders {
    /// Begins to watch. What can not be watched is told and left alone.
    pub(crate) fn watch(folders: Vec<PathBuf>) -> notify::Result<Self> {
        let changes = Arc::new(Mutex::new(Changes::default()));
        let told = Arc::new(Notify::new());
        let watcher = || {
            let (noted, tell) = (Arc::clone(&changes), Arc::clone(&told));
            notify::recommended_watcher(move |event: notify::Result<Event>| {
                let mut changes = noted.lock().unwrap_or_else(|e| e.into_inner());
                if event.is_ok_and(|event| changes.add(&event, clock::now())) {
                    tell.notify_one();
                }
            })
        };
        let mut watched = [Watched::by(watcher()?), Watched::by(watcher()?)];
        follow(&mut watched, &folders);
        Ok(Self {
            folders,
            watched,
            changes,
            told,
        })
    }

    /// What is watched.
    pub(crate) fn paths(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Waits until something has changed that is worth reading.
    pub(crate) async fn next(&mut self) {
        loop {
            if follow(&mut self.watched, &self.folders) {
                self.changes().note(clock::now());
            }
            let due = self.changes().due();
            tokio::select! {
                () = self.told.notified() => continue,
                () = clock::until(due) => {}
                () = tokio::time::sleep(LOOK), if due.is_none() => continue,
            }
            // What comes from now on is for the next time.
            std::mem::take(&mut *self.changes());
            return;
        }
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// Device and number of a folder, and when it was made: numbers are given again. A path may lead to another
/// one from one moment to the next.
type Inode = (u64, u64, Option<SystemTime>);

/// Watches the folders that the paths lead to by now. Whether any is another one than before.
fn follow([own, plugins]: &mut [Watched; 2], communes: &[PathBuf]) -> bool {
    let mut others = false;
    for commune in communes {
        others |= own.follow(commune);
        others |= plugins.follow(&commune.join("plugins"));
    }
    others
}

/// Folders, and which they were when the watch was set: it is on the folder, not on its path, and stays
/// with one that is moved away.
struct Watched {
    watcher: RecommendedWatcher,
    folders: BTreeMap<PathBuf, Inode>,
}

impl Watched {
    fn by(watcher: RecommendedWatcher) -> Self {
        Self {
            watcher,
            folders: BTreeMap::new(),
        }
    }

    fn follow(&mut self, folder: &Path) -> bool {
        let now = std::fs::metadata(folder).ok();
        let now = now.map(|m| (m.dev(), m.ino(), m.created().ok()));
        if self.folders.get(folder).copied() == now {
            return false;
        }
        if self.folders.remove(folder).is_some() {
            // A folder that was removed has taken its watch with it.
            let _unwatched = self.watcher.unwatch(folder);
        }
        if let Some(now) = now {
            if let Err(error) = self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::error!(folder = %folder.display(), %error, "folder can not be watched");
            }
            // Also if it can not be watched: that is told once.
            self.folders.insert(folder.to_owned(), now);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{CreateKind, DataChange, RenameMode};

    const CREATED: EventKind = EventKind::Create(CreateKind::File);
    const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
    const RENAMED: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::To));
    const OPENED: EventKind = EventKind::Access(AccessKind::Open(AccessMode::Any));

    /// Due after so long since the last of these events, a millisecond apart.
    fn due(events: &[(EventKind, &str)]) -> Option<Duration> {
        let (mut changes, mut now) = (Changes::default(), clock::now());
        for (kind, path) in events {
            now += Duration::from_millis(1);
            changes.add(&Event::new(*kind).add_path(path.into()), now);
        }
        changes.due().map(|due| due - now)
    }

    #[test]
    fn a_component_that_is_whole_is_read_soon_and_half_a_one_is_not() {
        assert_eq!(due(&[(RENAMED, "/c/plugins/a.wasm")]), Some(TOGETHER));
        let half = [
            (CREATED, "/c/plugins/a.wasm"),
            (WRITTEN, "/c/plugins/a.wasm"),
        ];
        assert_eq!(due(&half), Some(QUIET));
        let whole = [half[0], half[1], (CLOSED, "/c/plugins/a.wasm")];
        assert_eq!(due(&whole), Some(TOGETHER));
        // From a place that is watched too.
        let away = EventKind::Modify(ModifyKind::Name(RenameMode::From));
        assert_eq!(
            due(&[(away, "/c/new"), (RENAMED, "/c/plugins/a.wasm")]),
            Some(TOGETHER)
        );
        // Another one is still being written.
        let two = [whole[0], whole[1], whole[2], (CREATED, "/c/plugins/b.wasm")];
        assert_eq!(due(&two), Some(QUIET));
    }

    #[test]
    fn editors_are_waited_for_and_what_is_hidden_does_not_count() {
        let saved = [(RENAMED, "/c/commune.toml~"), (CLOSED, "/c/commune.toml")];
        assert_eq!(due(&saved), Some(QUIET));
        assert_eq!(due(&[(CREATED, "/c/.commune.toml.swp")]), None);
        assert_eq!(due(&[(OPENED, "/c/commune.toml")]), None);
    }

    #[test]
    fn who_writes_on_and_on_holds_back_nothing_for_ever() {
        let (mut changes, begin) = (Changes::default(), clock::now());
        let event = Event::new(WRITTEN).add_path("/c/log".into());
        for step in 0..100 {
            changes.add(&event, begin + Duration::from_millis(step * 100));
        }
        assert_eq!(changes.due(), Some(begin + LONGEST));
    }

    /// Waits until nothing has changed for longer than it takes to notice.
    async fn settled(folders: &mut Folders) {
        while tokio::time::timeout(QUIET * 2, folders.next())
            .await
            .is_ok()
        {}
    }

    async fn noticed(folders: &mut Folders) -> bool {
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, folders.next()).await.is_ok()
    }

    #[tokio::test]
    async fn a_folder_that_takes_the_place_of_another_is_watched() {
        let place = tempfile::tempdir().unwrap();
        let at = |path: &str| place.path().join(path);
        std::fs::create_dir_all(at("thu/plugins")).unwrap();
        let mut folders = Folders::watch(vec![at("thu")]).unwrap();
        // Components are exchanged by moving, and by copying.
        for (old, new) in [(Some("old"), Some("new")), (None, None)] {
            match old {
                Some(old) => std::fs::rename(at("thu/plugins"), at(old)).unwrap(),
                None => std::fs::remove_dir_all(at("thu/plugins")).unwrap(),
            }
            match new {
                Some(new) => {
                    std::fs::create_dir(at(new)).unwrap();
                    std::fs::rename(at(new), at("thu/plugins")).unwrap();
                }
                None => std::fs::create_dir(at("thu/plugins")).unwrap(),
            }
            assert!(noticed(&mut folders).await);
            settled(&mut folders).await;
            std::fs::write(at("thu/plugins/a.wasm"), "x").unwrap();
            assert!(noticed(&mut folders).await);
            settled(&mut folders).await;
        }
        // The commune itself.
        std::fs::rename(at("thu"), at("before")).unwrap();
        std::fs::create_dir(at("after")).unwrap();
        assert!(noticed(&mut folders).await);
        settled(&mut folders).await;
        std::fs::rename(at("after"), at("thu")).unwrap();
        assert!(noticed(&mut folders).await);
        settled(&mut folders).await;
        std::fs::write(at("thu/commune.toml"), "name = 1").unwrap();
        assert!(noticed(&mut folders).await);
        settled(&mut folders).await;
        // What was moved away is no longer any business of ours.
        std::fs::write(at("before/commune.toml"), "name = 1").unwrap();
        std::fs::write(at("old/b.wasm"), "x").unwrap();
        let told = tokio::time::timeout(QUIET * 2, folders.next()).await;
        assert!(told.is_err());
    }
}
