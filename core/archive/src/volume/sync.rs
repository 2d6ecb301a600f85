//! How what was written gets to the disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a folder's files are synced.
#[derive(Debug)]
pub(crate) enum Syncing {
    /// It has a file system of its own: all of it at once.
    FileSystem(File),
    /// It shares one with others, who would be synced as well: each file, and the index's log.
    Files(PathBuf),
}

impl Syncing {
    /// For the archive's folder; `index` is the file of its index.
    pub(crate) fn of(folder: &Path, index: &Path) -> io::Result<Self> {
        let own = std::fs::metadata(folder)?.dev();
        let above = folder.canonicalize()?;
        let shared = match above.parent() {
            Some(above) => std::fs::metadata(above)?.dev() == own,
            None => true,
        };
        if shared {
            let mut log = index.as_os_str().to_owned();
            log.push("-wal");
            Ok(Self::Files(log.into()))
        } else {
            Ok(Self::FileSystem(File::open(folder)?))
        }
    }

    /// Brings everything to the disk.
    pub(crate) fn sync(&self, files: &[Arc<File>], folders: &[PathBuf]) -> io::Result<()> {
        match self {
            Self::FileSystem(folder) => Ok(nix::unistd::syncfs(folder)?),
            Self::Files(log) => {
                for file in files {
                    file.sync_data()?;
                }
                for folder in folders {
                    File::open(folder)?.sync_all()?;
                }
                match File::open(log) {
                    Ok(log) => log.sync_data(),
                    // As long as nothing was written to it.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    Err(error) => Err(error),
                }
            }
        }
    }
}
