//! Segments that are kept elsewhere only, brought back for who wants to see them: a folder of bounded size, of
//! which what was not looked at for longest goes first. It is empty at each start.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::disk_space::Space;
use crate::error::ArchiveError;

/// Within the archive's folder; no commune can be called so.
const FOLDER: &str = ".fetched";
/// A share of the disk, as one part of so many; and bytes at most, for what people look at is a few hours.
const SHARE: u64 = 20;
const MOST: u64 = 16 << 30;
/// What was looked at lately stays: somebody may be reading it.
const LATELY: Duration = Duration::from_secs(600);
/// Segments that wait at most: six hours of some cameras. Who wants more is told to ask for less.
const WAITING: usize = 2048;
/// After a failure it is tried again, if it is asked for, when this has passed.
const AGAIN: Duration = Duration::from_secs(5);

/// What was brought back, and what is wanted.
#[derive(Debug)]
pub(crate) struct Fetched {
    folder: PathBuf,
    state: Mutex<State>,
    wake: Notify,
    /// Somebody fetches.
    runs: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    there: HashMap<u64, There>,
    /// Of what is there, and of what is being fetched.
    bytes: u64,
    wanted: VecDeque<u64>,
    /// Wanted, or being fetched.
    coming: HashSet<u64>,
    failed: HashMap<u64, (Instant, String)>,
}

#[derive(Debug)]
struct There {
    bytes: u64,
    used: Instant,
}

impl Fetched {
    /// For an archive's folder. Waits for the disk.
    pub(crate) fn open(root: &Path) -> Result<Self, ArchiveError> {
        let folder = root.join(FOLDER);
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(ArchiveError::disk("emptying", &folder)(error));
            }
            _ => {}
        }
        Ok(Self {
            folder,
            state: Mutex::default(),
            wake: Notify::new(),
            runs: AtomicBool::new(false),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file that is written before it counts.
    pub(super) fn scratch(&self, what: &str, segment: u64) -> PathBuf {
        self.folder.join(format!("{segment:x}.{what}"))
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.folder.join(format!("{segment:x}.mp4"))
    }

    /// Where a segment is, if it was brought back. From then on it stays for a while.
    pub(crate) fn find(&self, segment: u64, now: Instant) -> Option<PathBuf> {
        let mut state = self.state();
        let there = state.there.get_mut(&segment)?;
        there.used = there.used.max(now);
        Some(self.path(segment))
    }

    /// What was brought back.
    pub(crate) fn all(&self) -> HashSet<u64> {
        self.state().there.keys().copied().collect()
    }

    /// Somebody wants to see these. Says what to tell them.
    pub(crate) fn want(&self, segments: &[u64], now: Instant) -> ArchiveError {
        if !self.runs.load(Ordering::Relaxed) {
            let why = "it is kept elsewhere, and no router runs that would fetch it";
            return ArchiveError::Refused(why.into());
        }
        let mut state = self.state();
        let state = &mut *state;
        state
            .failed
            .retain(|_, (at, _)| now.saturating_duration_since(*at) < LATELY);
        let mut why = String::new();
        for segment in segments {
            if let Some((at, error)) = state.failed.get(segment) {
                why.clone_from(error);
                if now.saturating_duration_since(*at) < AGAIN {
                    continue;
                }
            }
            if state.coming.contains(segment) || state.there.contains_key(segment) {
                continue;
            }
            if state.coming.len() >= WAITING {
                why = "too much is being fetched already".into();
                break;
            }
            state.coming.insert(*segment);
            state.wanted.push_back(*segment);
        }
        self.wake.notify_one();
        ArchiveError::Fetching {
            waiting: segments.len(),
            why,
        }
    }

    /// Bytes that may be here.
    pub(crate) fn limit(space: Space) -> u64 {
        (space.total / SHARE).min(MOST)
    }

    /// From now on somebody fetches.
    pub(super) fn runs(&self) {
        self.runs.store(true, Ordering::Relaxed);
    }

    /// Returns when something is wanted.
    pub(super) async fn wanted(&self) {
        if self.state().wanted.is_empty() {
            self.wake.notified().await;
        }
    }

    /// The next that is to be fetched.
    pub(super) fn next(&self) -> Option<u64> {
        self.state().wanted.pop_front()
    }

    /// Makes room for so many bytes, and takes it. Waits for the disk.
    pub(super) fn make_room(
        &self,
        bytes: u64,
        space: Space,
        floor: u64,
        now: Instant,
    ) -> Result<(), String> {
        let limit = Self::limit(space);
        let mut free = space.free;
        let mut state = self.state();
        while state.bytes.saturating_add(bytes) > limit || free < floor.saturating_add(bytes) {
            let old = state
                .there
                .iter()
                .filter(|(_, there)| now.saturating_duration_since(there.used) >= LATELY);
            let oldest = old.min_by_key(|(_, there)| there.used);
            let oldest = oldest.map(|(segment, there)| (*segment, there.bytes));
            let Some((segment, own)) = oldest else {
                return Err("there is no room to bring it back to".into());
            };
            // One that is not there any more needs no removing.
            let _removed = std::fs::remove_file(self.path(segment));
            state.there.remove(&segment);
            state.bytes = state.bytes.saturating_sub(own);
            free = free.saturating_add(own);
        }
        state.bytes += bytes;
        Ok(())
    }

    /// It was fetched to its scratch file, and is what was recorded; or not, after room was made for it or
    /// before.
    pub(super) fn done(&self, segment: u64, took: u64, came: Result<(), String>, now: Instant) {
        let named = came.and_then(|()| {
            let from = self.scratch("new", segment);
            std::fs::rename(from, self.path(segment)).map_err(|e| e.to_string())
        });
        let mut state = self.state();
        state.coming.remove(&segment);
        match named {
            Ok(()) => {
                state.failed.remove(&segment);
                let there = There {
                    bytes: took,
                    used: now,
                };
                state.there.insert(segment, there);
            }
            Err(why) => {
                state.bytes = state.bytes.saturating_sub(took);
                state.failed.insert(segment, (now, why));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use taimat_base::clock;

    use super::*;

    const SPACE: Space = Space {
        total: 2000,
        free: 1000,
    };

    fn bring(fetched: &Fetched, segment: u64, bytes: u64, now: Instant) -> Result<(), String> {
        fetched.want(&[segment], now);
        assert_eq!(fetched.next(), Some(segment));
        let room = fetched.make_room(bytes, SPACE, 0, now);
        let took = if room.is_ok() { bytes } else { 0 };
        if room.is_ok() {
            std::fs::create_dir_all(&fetched.folder).unwrap();
            std::fs::write(fetched.scratch("new", segment), "x").unwrap();
        }
        fetched.done(segment, took, room.clone(), now);
        room
    }

    #[test]
    fn what_was_not_looked_at_for_longest_goes_and_what_was_lately_does_not() {
        let root = tempfile::tempdir().unwrap();
        let fetched = Fetched::open(root.path()).unwrap();
        fetched.runs();
        // A twentieth of the disk: 100 bytes.
        let begun = clock::thread_now();
        bring(&fetched, 1, 40, begun).unwrap();
        bring(&fetched, 2, 40, begun).unwrap();
        assert!(bring(&fetched, 3, 40, begun).is_err());
        let refused = fetched.want(&[3], begun);
        assert!(refused.to_string().contains("no room"), "{refused}");
        assert_eq!(fetched.next(), None, "it is not tried again at once");
        let later = begun + LATELY;
        let first = fetched.find(1, later).unwrap();
        bring(&fetched, 3, 40, later).unwrap();
        assert!(first.exists());
        assert_eq!(fetched.find(2, later), None);
        assert_eq!(fetched.all(), HashSet::from([1, 3]));
        // The floor of the disk counts too.
        let short = Space {
            total: 2000,
            free: 30,
        };
        assert!(fetched.make_room(10, short, 25, later).is_err());
        // Nothing of it is believed after a start.
        let again = Fetched::open(root.path()).unwrap();
        assert_eq!(again.find(1, later), None);
        assert!(!first.exists());
    }

    #[test]
    fn what_waits_is_bounded_and_asked_for_once() {
        let root = tempfile::tempdir().unwrap();
        let fetched = Fetched::open(root.path()).unwrap();
        let now = clock::thread_now();
        let nobody = fetched.want(&[1], now);
        assert!(matches!(nobody, ArchiveError::Refused(_)), "{nobody}");
        fetched.runs();
        let many: Vec<u64> = (0..5000).collect();
        let said = fetched.want(&many, now);
        assert!(said.to_string().contains("too much"), "{said}");
        fetched.want(&many, now);
        let waiting = std::iter::from_fn(|| fetched.next()).count();
        assert_eq!(waiting, WAITING);
    }
}
