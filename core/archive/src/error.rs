//! What can go wrong with the archive.

use std::io;
use std::path::{Path, PathBuf};

use taimat_media::mp4::Mp4Error;

/// Why something could not be kept, found or shown.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The disk says no.
    #[error("{doing} {path}: {source}")]
    Disk {
        /// What was tried.
        doing: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The index can not be read or written.
    #[error("the archive's index: {0}")]
    Index(#[from] rusqlite::Error),
    /// The index is of a later router.
    #[error(
        "the archive's index has version {found}, this router knows {known}; run the later one"
    )]
    Newer {
        /// What the file says.
        found: i32,
        /// What is known here.
        known: i32,
    },
    /// Something in the index is not what was written.
    #[error("the archive's index: {0}; `taimat archive rebuild` makes it anew from the files")]
    Damaged(String),
    /// Somebody else records there.
    #[error("another router records in {0}; two may not share an archive")]
    InUse(PathBuf),
    /// It can not be packed.
    #[error(transparent)]
    Mp4(#[from] Mp4Error),
    /// What people did can not be written down.
    #[error("the log of what people did: {0}")]
    Audit(#[from] taimat_audit::AuditError),
    /// There is no such thing.
    #[error("there is no such recording")]
    Unknown,
    /// What was asked for makes no sense or is more than is given at once.
    #[error("{0}")]
    Refused(String),
    /// It is kept elsewhere only, and is being brought back: it can be asked for again in some seconds.
    #[error(
        "it is kept elsewhere and is being fetched: {waiting} of its files are not here yet{}{why}",
        if why.is_empty() { "" } else { "; the last attempt: " }
    )]
    Fetching {
        /// Files that are not here yet.
        waiting: usize,
        /// Why the last attempt failed, if it did.
        why: String,
    },
    /// The archive is going.
    #[error("the router stops")]
    Stopped,
}

impl ArchiveError {
    /// An error of the disk.
    pub(crate) fn disk(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk {
            doing,
            path,
            source,
        }
    }

    /// Whether the disk has no room, or none for us.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Disk { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ),
            Self::Index(rusqlite::Error::SqliteFailure(error, _)) => {
                error.code == rusqlite::ErrorCode::DiskFull
            }
            _ => false,
        }
    }
}
