//! Files that are given out.

use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension};
use taimat_hub::ChannelKey;

use super::clip::copies;
use super::shelves::Shelves;
use crate::error::ArchiveError;
use crate::index::rows;
use crate::layout;

/// A segment's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFile {
    /// Where it lies.
    pub path: PathBuf,
    /// How much of it is whole.
    pub bytes: u64,
    /// Nothing more comes.
    pub complete: bool,
}

/// A segment's file by its number, if it is of that stream and here.
pub(crate) fn segment_file(
    index: &Connection,
    shelves: &Shelves<'_>,
    key: &ChannelKey,
    id: u64,
) -> Result<SegmentFile, ArchiveError> {
    let stream = rows::known(index, key)?.ok_or(ArchiveError::Unknown)?;
    let found: Option<(i64, u64, i64)> = index
        .prepare_cached(
            "SELECT start, bytes, state FROM segment WHERE id = ?1 AND stream = ?2 AND state IN (0, 1, 3)",
        )?
        .query_row(rusqlite::params![id, stream], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let (start, bytes, state) = found.ok_or(ArchiveError::Unknown)?;
    let elsewhere = if state == 3 {
        copies(index, id)?
    } else {
        Vec::new()
    };
    Ok(SegmentFile {
        path: shelves.one(id, &layout::segment(key, start, id), &elsewhere)?,
        bytes,
        complete: state != 0,
    })
}
