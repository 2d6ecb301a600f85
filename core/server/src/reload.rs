//! Watches the communes' folders and says when to read them again.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

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
            self.first.get_or_insert(now);
            self.last = Some(now);
        }
        any
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
    plugins: PluginFolders,
    watcher: RecommendedWatcher,
    changes: Arc<Mutex<Changes>>,
    told: Arc<Notify>,
}

impl Folders {
    /// Begins to watch. What can not be watched is told and left alone.
    pub(crate) fn watch(folders: Vec<PathBuf>) -> notify::Result<Self> {
        let changes = Arc::new(Mutex::new(Changes::default()));
        let told = Arc::new(Notify::new());
        let (noted, tell) = (Arc::clone(&changes), Arc::clone(&told));
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let mut changes = noted.lock().unwrap_or_else(|e| e.into_inner());
            if event.is_ok_and(|event| changes.add(&event, clock::now())) {
                tell.notify_one();
            }
        })?;
        for folder in &folders {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::error!(folder = %folder.display(), %error, "folder can not be watched");
            }
        }
        Ok(Self {
            folders,
            plugins: PluginFolders::default(),
            watcher,
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
            self.plugins.watch(&self.folders, &mut self.watcher);
            let due = self.changes().due();
            tokio::select! {
                () = self.told.notified() => continue,
                () = clock::until(due) => {}
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

/// Folders with components. They may come later than the commune's own.
#[derive(Default)]
struct PluginFolders(BTreeSet<PathBuf>);

impl PluginFolders {
    fn watch(&mut self, communes: &[PathBuf], watcher: &mut impl Watcher) {
        for folder in communes.iter().map(|f| f.join("plugins")) {
            if !folder.is_dir() {
                self.0.remove(&folder);
            } else if !self.0.contains(&folder) {
                match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                    Ok(()) => drop(self.0.insert(folder)),
                    Err(error) => {
                        let folder = folder.display();
                        tracing::error!(%folder, %error, "folder can not be watched");
                    }
                }
            }
        }
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
}
