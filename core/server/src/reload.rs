//! Follows one commune's folder: says when it is to be read again, reads it off the runtime, and hands over what it
//! says. Each commune has its own task, its own notes of the kernel and its own patience.
//!
//! Cost: once a second a look at which folders its paths lead to; every ten a look at the stamps of all files that it
//! names, for disks that tell nothing.

mod changes;
mod watches;
mod way;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use notify::Event;
use taimat_base::clock;
use taimat_base::files::Stamp;
use taimat_base::tasks::Stop;
use tokio::sync::watch;

use crate::communes::{CommunePlace, PATIENCE};
use crate::config::{FolderRead, Named};
use changes::{Changes, is_hidden};
use watches::{Notes, POLL, Watches};
use way::folders_on_the_way;

/// How often it is asked whether a path leads to another folder: of a folder that is put in the place of the
/// commune's, nothing that is watched tells.
const LOOK: Duration = Duration::from_secs(1);
/// Who decides what comes of a reading.
#[async_trait]
pub(crate) trait Judge: Send + Sync + Debug {
    /// Takes in what the folder of this number says. When to read it again, if that is not to wait for a change.
    async fn judge(&self, number: usize, read: FolderRead) -> Option<Instant>;

    /// So many more folders can not be watched than before.
    fn unwatched(&self, more: i64);
}

/// Follows a folder until stopped. `asked` changes when somebody wants it to be read, whatever has changed.
pub(crate) async fn follow(
    judge: Arc<dyn Judge>,
    number: usize,
    place: CommunePlace,
    asked: watch::Receiver<u64>,
    stop: Stop,
) {
    let mut followed = Followed::new(number, place, asked);
    let follow = async {
        loop {
            // What changes while it is read is seen.
            followed.look(&*judge, false).await;
            let again = followed.read(&*judge).await;
            followed.until_due(&*judge, again).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = follow => {}
    }
}

/// A folder that is followed.
struct Followed {
    number: usize,
    place: CommunePlace,
    /// The files that it named last, as they were then.
    files: Named,
    /// The folders that lead to them.
    folders: BTreeSet<PathBuf>,
    watches: Watches,
    notes: Option<Notes>,
    changes: Changes,
    asked: watch::Receiver<u64>,
}

impl Followed {
    fn new(number: usize, place: CommunePlace, asked: watch::Receiver<u64>) -> Self {
        let (watches, notes) = match watches::open() {
            Ok((watches, notes)) => (watches, Some(notes)),
            Err(error) => {
                let commune = &place.id;
                tracing::warn!(%commune, %error, "nothing of it can be watched");
                (Watches::default(), None)
            }
        };
        Self {
            folders: BTreeSet::from([place.folder.clone()]),
            number,
            place,
            files: Named::new(),
            watches,
            notes,
            changes: Changes::default(),
            asked,
        }
    }

    /// Reads the folder and hands over what it says; says meanwhile that it does not answer, if it does not.
    async fn read(&mut self, judge: &dyn Judge) -> Option<Instant> {
        let (place, named) = (self.place.clone(), self.files.clone());
        let reading = move || {
            let mut read = place.read();
            if read.commune.is_err() {
                // What ran goes on, and with it what it named.
                for file in named.into_keys() {
                    let stamp = Stamp::now(&file);
                    read.files.entry(file).or_insert(stamp);
                }
            }
            read
        };
        let (read, _late) = patiently(reading, || self.silent(judge)).await?;
        self.files.clone_from(&read.files);
        judge.judge(self.number, read).await
    }

    /// Says that the folder does not answer.
    async fn silent(&self, judge: &dyn Judge) {
        // When to read it again is not for the judge to say now: as soon as it answers.
        let _again = judge.judge(self.number, self.place.silent()).await;
    }

    /// Waits until something has changed that is worth reading, or until then.
    async fn until_due(&mut self, judge: &dyn Judge, again: Option<Instant>) {
        let mut polled = None;
        let mut looked = None::<Instant>;
        loop {
            let now = clock::now();
            if looked.is_none_or(|at| now >= at + LOOK) {
                // At once, too: what is named only now was not watched while it was read.
                let poll = polled.is_none_or(|at| now >= at + POLL);
                if self.look(judge, poll).await {
                    self.changes.note(clock::now());
                }
                looked = Some(now);
                polled = if poll { Some(now) } else { polled };
            }
            let due = match (self.changes.due(), again) {
                (Some(due), Some(again)) => Some(due.min(again)),
                (due, again) => due.or(again),
            };
            let look = looked.map(|at| at + LOOK);
            tokio::select! {
                (noted, lost) = noted(&mut self.notes) => self.add(noted, lost),
                _ = self.asked.changed() => break,
                () = clock::until(due) => break,
                () = clock::until(look) => {}
            }
        }
        // What comes from now on is for the next time.
        self.changes = Changes::default();
    }

    /// Looks which folders the paths lead to, and with `poll` whether files have changed. Whether something is not as
    /// it was.
    async fn look(&mut self, judge: &dyn Judge, poll: bool) -> bool {
        let before = self.watches.unwatched();
        let mut watches = std::mem::take(&mut self.watches);
        let mut folders = std::mem::take(&mut self.folders);
        let (place, files) = (self.place.clone(), self.files.clone());
        let looking = move || {
            let mut others = false;
            if poll {
                folders = wanted(&place, &files);
                others = files.iter().any(|(path, stamp)| Stamp::now(path) != *stamp);
            }
            others |= watches.follow(&folders);
            (watches, folders, others)
        };
        let looked = patiently(looking, || self.silent(judge)).await;
        // There is nothing only while the runtime ends.
        let Some(((watches, folders, others), late)) = looked else {
            return false;
        };
        (self.watches, self.folders) = (watches, folders);
        let number = |folders| i64::try_from(folders).unwrap_or(i64::MAX);
        judge.unwatched(number(self.watches.unwatched()) - number(before));
        // That it did not answer has been said, so it is to be read.
        others || late
    }

    fn add(&mut self, noted: Vec<Event>, lost: bool) {
        let now = clock::now();
        if lost {
            self.changes.note(now);
        }
        for event in noted {
            for (path, step) in self.watches.steps(event) {
                if self.files.contains_key(&path) || !is_hidden(&path) {
                    self.changes.add(&path, step, now);
                }
            }
        }
    }
}

/// The folders that lead to a commune's files.
fn wanted(place: &CommunePlace, files: &Named) -> BTreeSet<PathBuf> {
    let secrets = place.secrets.of(&place.id);
    let mut wanted: BTreeSet<PathBuf> = [Some(place.folder.clone()), secrets.clone()]
        .into_iter()
        .flatten()
        .collect();
    for file in files.keys() {
        for root in [Some(&place.folder), secrets.as_ref()]
            .into_iter()
            .flatten()
        {
            wanted.append(&mut folders_on_the_way(root, file));
        }
    }
    wanted
}

/// What has been noted, and whether something was lost. Waits for ever if nothing is noted any more.
async fn noted(notes: &mut Option<Notes>) -> (Vec<Event>, bool) {
    if let Some(open) = notes
        && let Some(noted) = open.next().await
    {
        return noted;
    }
    std::future::pending().await
}

/// What a thread that waits for a disk has found out, and whether that took long: `silent` is told so then. It is
/// waited for all the same, for a second thread would wait as long. None if the runtime ends.
async fn patiently<T: Send + 'static, F: Future>(
    ask: impl FnOnce() -> T + Send + 'static,
    silent: impl FnOnce() -> F,
) -> Option<(T, bool)> {
    let mut asking = tokio::task::spawn_blocking(ask);
    if let Ok(found) = tokio::time::timeout(PATIENCE, &mut asking).await {
        return Some((found.ok()?, false));
    }
    silent().await;
    Some((asking.await.ok()?, true))
}

#[cfg(test)]
mod tests;
