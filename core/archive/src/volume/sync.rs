//! How what was written gets to the disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file that was written to since the last sync.
#[derive(Debug)]
pub(super) struct Dirty {
    pub(super) file: Arc<File>,
    /// Of its stream in the index.
    pub(super) stream: i64,
    /// Parts that were appended since.
    pub(super) parts: u64,
    /// From when until when they are.
    pub(super) span: Option<(i64, i64)>,
}

impl Dirty {
    pub(super) fn new(stream: i64, file: Arc<File>) -> Self {
        Self {
            file,
            stream,
            parts: 0,
            span: None,
        }
    }

    pub(super) fn appended(&mut self, (start, end): (i64, i64)) {
        let (since, until) = self.span.unwrap_or((start, end));
        self.span = Some((since.min(start), until.max(end)));
        self.parts += 1;
    }
}

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
    pub(crate) fn sync(&self, files: &[&File], folders: &[PathBuf]) -> io::Result<()> {
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
