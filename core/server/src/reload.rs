//! Watches the communes' folders. What changes is read, checked and reconciled; what is wrong is
//! told, and what ran goes on.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use taimat_base::tasks::Stop;
use tokio::sync::mpsc;

use crate::router::Router;

/// Editors write a file in several steps; this long without another one, and it is read.
const QUIET: Duration = Duration::from_millis(150);

/// Reloads until stopped.
pub(crate) async fn watch(router: Arc<Router>, folders: Vec<PathBuf>, stop: Stop) {
    // One place: what matters is that something changed, not how often.
    let (changed, mut changes) = mpsc::channel::<()>(1);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let relevant = event.is_ok_and(|e| !e.kind.is_access());
        if relevant {
            // Full means that a change is waiting already.
            let _sent = changed.try_send(());
        }
    });
    let mut watcher = match watcher {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::error!(%error, "folders can not be watched; restart after changes");
            return;
        }
    };
    for folder in &folders {
        if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
            tracing::error!(folder = %folder.display(), %error, "folder can not be watched");
        }
    }
    let mut plugins = PluginFolders::default();
    loop {
        plugins.watch(&folders, &mut watcher);
        tokio::select! {
            change = changes.recv() => if change.is_none() { return },
            () = stop.cancelled() => return,
        }
        while tokio::time::timeout(QUIET, changes.recv()).await.is_ok() {}
        router.reload(&folders).await;
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
