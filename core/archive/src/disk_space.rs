//! The room on a disk.

use std::path::Path;

use crate::error::ArchiveError;

/// How it stands with the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Space {
    /// Bytes of the file system.
    pub total: u64,
    /// Bytes that are free for us.
    pub free: u64,
}

impl Space {
    /// Of the file system that a folder is on.
    pub(crate) fn of(folder: &Path) -> Result<Self, ArchiveError> {
        let found = nix::sys::statvfs::statvfs(folder);
        let found =
            found.map_err(|e| ArchiveError::disk("asking for the room of", folder)(e.into()))?;
        let unit = found.fragment_size();
        Ok(Self {
            total: found.blocks() * unit,
            free: found.blocks_available() * unit,
        })
    }
}
