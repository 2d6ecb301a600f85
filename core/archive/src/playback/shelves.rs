//! Where files of recordings lie: here, or in folders that copies are kept in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use taimat_base::CommuneId;

use crate::archive::Configured;
use crate::config::StoreKind;
use crate::error::ArchiveError;

/// The folders that files may lie in.
#[derive(Debug)]
pub(crate) struct Shelves<'a> {
    root: &'a Path,
    folders: BTreeMap<&'a str, &'a Path>,
}

impl<'a> Shelves<'a> {
    pub(crate) fn of(root: &'a Path, configured: &'a Configured, commune: &CommuneId) -> Self {
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
        }
    }

    /// Where a file lies, by its name within the archive: here, unless copies elsewhere are all there is.
    pub(crate) fn find(
        &self,
        within: &Path,
        elsewhere: &[String],
    ) -> Result<PathBuf, ArchiveError> {
        let Some(first) = elsewhere.first() else {
            return Ok(self.root.join(within));
        };
        let known = elsewhere
            .iter()
            .find_map(|name| self.folders.get(name.as_str()));
        let known = known.map(|folder| folder.join(within));
        known.ok_or_else(|| {
            ArchiveError::Refused(format!("it is not here any more: it is at {first}"))
        })
    }
}
