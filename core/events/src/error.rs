//! What can go wrong with events.

use std::io;

/// Why something about events did not work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database says no: a full disk, a damaged file.
    #[error("the events' database: {0}")]
    Database(#[from] rusqlite::Error),
    /// The file was written by a later router.
    #[error("the events' database is of version {0}, this router knows none later than 3")]
    Newer(i32),
    /// A damaged file could not be put aside.
    #[error("the events' database is damaged, and can not be put aside: {0}")]
    Aside(io::Error),
    /// The thread that writes, or the place for the file.
    #[error("the events' database can not be opened: {0}")]
    Io(#[from] io::Error),
    /// Something of ours can not be written as JSON.
    #[error("an event can not be written down: {0}")]
    Unwritable(serde_json::Error),
    /// There is no such event.
    #[error("there is no such event")]
    Unknown,
    /// What a person said is not what it should be.
    #[error("{0}")]
    Refused(String),
    /// The router stops.
    #[error("the router stops")]
    Stopped,
}

impl StoreError {
    /// Whether the disk has no room.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Database(e)
            if e.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull))
    }
}
