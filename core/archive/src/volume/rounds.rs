//! A round: what was written is brought to the disk, then the index up to it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use taimat_base::clock;

use super::losses::Of;
use super::sync::Dirty;
use super::thread::Thread;
use crate::error::ArchiveError;
use crate::index::rows::Change;
use crate::reason::GapReason;
use crate::recover;

/// Segments that are looked at again after a sync that failed. What is beyond is found at the next start.
const DOUBTED: usize = 4096;
/// A disk that takes something is said to be well if it has refused nothing for so long: what one stream's parts
/// are apart.
const AGAIN: Duration = Duration::from_secs(2);
/// One that was given nothing since is said to refuse it for so long.
const SAID: Duration = Duration::from_secs(60);

impl Thread {
    /// Brings what was written to the disk, then the index up to it.
    pub(super) fn sync(&mut self) -> bool {
        let there = self.home.is_there();
        self.told.place(&there);
        let now = clock::thread_now();
        let refused = self.refused_at.map(|at| now.saturating_duration_since(at));
        if refused.is_some_and(|ago| ago > SAID) {
            self.well();
        }
        if self.dirty.is_empty() && self.changes.is_empty() && self.losses.is_empty() {
            self.is_synced();
            return true;
        }
        let begun = now;
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
            if refused.is_some_and(|ago| ago > AGAIN) {
                self.well();
            }
            self.mend();
            self.settle();
        }
        if written {
            self.is_synced();
        }
        written
    }

    fn well(&mut self) {
        self.refused_at = None;
        self.told.took();
    }

    /// A sync failed. After that nobody knows what of these files is on the disk: they are not written to any
    /// more, and the index does not name what may not be there.
    fn doubt(&mut self, dirty: &HashMap<u64, Dirty>, error: &io::Error) {
        tracing::error!(%error, "what was recorded does not get to the disk");
        self.holed = true;
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

    /// The disk takes something again: the index's log, which may have a hole on the disk, is written to where it
    /// belongs, synced, and begun anew.
    fn mend(&mut self) {
        if !self.holed {
            return;
        }
        let busy = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
                row.get::<_, bool>(0)
            });
        match busy {
            Ok(busy) => self.holed = busy,
            Err(error) => tracing::warn!(%error, "the index's log is not mended yet"),
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
        let mut apply = || {
            transaction(&mut self.connection, |to| {
                let mut all = self.changes.iter().chain(&lost);
                all.try_for_each(|change| change.apply(to))
            })
        };
        let mut result = apply();
        if result.as_ref().is_err_and(ArchiveError::is_full) && self.reserve.spend() {
            result = apply();
        }
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

    pub(super) fn write<T>(
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
        let written = transaction(&mut self.connection, write);
        if written.as_ref().is_err_and(ArchiveError::is_full) {
            // Whoever asks again will find room.
            self.reserve.spend();
        }
        let written = written?;
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
