//! The index: what lies where, in SQLite. The files alone suffice to make it anew.

pub(crate) mod rows;
pub(crate) mod schema;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rusqlite::Connection;

use crate::error::ArchiveError;

/// Connections that are kept for who reads.
const READERS: usize = 4;

/// For who reads.
#[derive(Debug)]
pub(crate) struct Index {
    file: PathBuf,
    readers: Mutex<Vec<Connection>>,
}

impl Index {
    /// Over a file that is there.
    pub(crate) fn over(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            readers: Mutex::default(),
        }
    }

    /// Reads. Waits for the disk.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, ArchiveError>,
    ) -> Result<T, ArchiveError> {
        let kept = || self.readers.lock().unwrap_or_else(|e| e.into_inner());
        let idle = kept().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => schema::open_to_read(&self.file)?,
        };
        let result = read(&connection);
        let mut kept = kept();
        if kept.len() < READERS {
            kept.push(connection);
        }
        result
    }
}
