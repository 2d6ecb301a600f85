//! Where files of recordings lie: here, in folders that copies are kept in, or among what was brought back.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Instant;

use taimat_base::{CommuneId, clock};

use super::clip::ClipPart;
use crate::archive::Configured;
use crate::config::StoreKind;
use crate::copies::fetched::Fetched;
use crate::disk_space::Space;
use crate::error::ArchiveError;

/// The folders that files may lie in.
#[derive(Debug)]
pub(crate) struct Shelves<'a> {
    root: &'a Path,
    folders: BTreeMap<&'a str, &'a Path>,
    fetched: &'a Fetched,
    now: Instant,
}

impl<'a> Shelves<'a> {
    pub(crate) fn of(
        root: &'a Path,
        configured: &'a Configured,
        fetched: &'a Fetched,
        commune: &CommuneId,
    ) -> Self {
        let stores = configured.get(commune).map(|own| own.stores.as_slice());
        let folders = stores.unwrap_or_default().iter().filter_map(|store| {
            let StoreKind::Folder(folder) = &store.kind else {
                return None;
            };
            Some((store.name.as_str(), folder.as_path()))
        });
        Self {
            root,
            folders: folders.collect(),
            fetched,
            now: clock::now(),
        }
    }

    /// The names of the places whose files can be read as they lie.
    pub(crate) fn near(&self) -> Vec<&str> {
        self.folders.keys().copied().collect()
    }

    fn find(&self, segment: u64, within: &Path, elsewhere: &[String]) -> Option<PathBuf> {
        if elsewhere.is_empty() {
            return Some(self.root.join(within));
        }
        let folders = elsewhere
            .iter()
            .filter_map(|name| self.folders.get(name.as_str()));
        let mut files = folders.map(|folder| folder.join(within));
        // A disk may be gone.
        let there = files.find(|file| file.is_file());
        there.or_else(|| self.fetched.find(segment, self.now))
    }

    /// Where a file lies, by its name within the archive: here, unless copies elsewhere are all there is.
    ///
    /// # Errors
    /// [`ArchiveError::Fetching`] if it has to be brought back first: that has begun.
    pub(crate) fn one(
        &self,
        segment: u64,
        within: &Path,
        elsewhere: &[String],
    ) -> Result<PathBuf, ArchiveError> {
        let found = self.find(segment, within, elsewhere);
        found.ok_or_else(|| self.fetched.want(&[segment], self.now))
    }

    /// Where the files of some parts lie, by their segments.
    ///
    /// # Errors
    /// [`ArchiveError::Fetching`] if any of them has to be brought back first: that has begun for all of them.
    pub(crate) fn all(&self, parts: &[ClipPart]) -> Result<HashMap<u64, PathBuf>, ArchiveError> {
        let (mut found, mut wanted) = (HashMap::new(), Vec::new());
        let mut bytes = 0_u64;
        for part in parts {
            let segment = &part.segment;
            if wanted.last() == Some(&segment.id) {
                bytes += part.row.bytes();
                continue;
            }
            if found.contains_key(&segment.id) {
                continue;
            }
            match self.find(segment.id, &segment.path, &segment.elsewhere) {
                Some(path) => drop(found.insert(segment.id, path)),
                None => {
                    bytes += part.row.bytes();
                    wanted.push(segment.id);
                }
            }
        }
        if wanted.is_empty() {
            return Ok(found);
        }
        if bytes > Fetched::limit(Space::of(self.root)?) {
            let why =
                "so much is kept elsewhere that it can not be brought back at once: ask for less";
            return Err(ArchiveError::Refused(why.into()));
        }
        Err(self.fetched.want(&wanted, self.now))
    }
}
