//! What can be wrong with the log.

use std::io;
use std::path::PathBuf;

use super::line::{BadLine, MAX_LINE_BYTES};

/// Why the log was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The disk.
    #[error("{}: {error}", file.display())]
    File {
        /// Which file or folder.
        file: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// A line that is not as it was written.
    #[error("{}, line {line}: {why}", file.display())]
    Broken {
        /// In which file.
        file: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        why: BadLine,
    },
    /// The lines fit together, and end elsewhere than they did.
    #[error("the log ends with {found}, and it had {expected}: lines at its end are gone")]
    OtherHead {
        /// What it must have had.
        expected: crate::digest::Digest,
        /// What its last line is.
        found: crate::digest::Digest,
    },
    /// More than a line may have.
    #[error("an entry has at most {MAX_LINE_BYTES} bytes, this one has {0}")]
    TooLong(usize),
    /// An entry that can not be written as JSON.
    #[error("the entry can not be written: {0}")]
    Json(#[from] serde_json::Error),
    /// A write failed before, and what is on the disk is not known.
    #[error("a write failed before; the log has to be opened again")]
    Closed,
    /// A time that has no year.
    #[error("{0} ms since 1970 is no time")]
    BadTime(i64),
}

impl AuditError {
    pub(super) fn at(file: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |error| Self::File { file, error }
    }
}
