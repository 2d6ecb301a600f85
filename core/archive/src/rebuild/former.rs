//! What the former index knew of files, as far as it can be read.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use crate::error::ArchiveError;
use crate::index::schema;
use crate::packed::PartRow;

/// The former index.
#[derive(Debug)]
pub(super) struct Former(Option<Connection>);

/// What it knew of a segment.
#[derive(Debug)]
pub(super) struct FormerSegment {
    /// The chain before its first part.
    pub(super) chain: [u8; 32],
    pub(super) parts: Vec<PartRow>,
    /// It was being written: there may be more of it.
    pub(super) open: bool,
}

impl Former {
    /// There was none.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// One that was put aside. One that is damaged says nothing: it would speak against files that are good.
    pub(super) fn open(file: &Path) -> Self {
        let opened = schema::open_to_read(file).and_then(|connection| {
            let said: String =
                connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
            if said == "ok" {
                Ok(connection)
            } else {
                Err(ArchiveError::Damaged(said))
            }
        });
        match opened {
            Ok(connection) => Self(Some(connection)),
            Err(error) => {
                tracing::warn!(%error, "the former index can not be read");
                Self(None)
            }
        }
    }

    /// What it knew of a segment; none if it did not know it, or can not be read there.
    pub(super) fn segment(&self, id: u64) -> Option<FormerSegment> {
        let connection = self.0.as_ref()?;
        match read(connection, id) {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%error, id, "what the former index knew can not be read");
                None
            }
        }
    }
}

fn read(index: &Connection, id: u64) -> Result<Option<FormerSegment>, ArchiveError> {
    let found: Option<([u8; 32], i64, Option<Vec<u8>>)> = index
        .prepare_cached("SELECT chain, state, parts FROM segment WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((chain, state, packed)) = found else {
        return Ok(None);
    };
    let packed = match packed {
        Some(packed) => packed,
        None => {
            let mut all =
                index.prepare_cached("SELECT packed FROM part WHERE segment = ?1 ORDER BY n")?;
            let all = all.query_map([id], |row| row.get::<_, Vec<u8>>(0))?;
            all.collect::<Result<Vec<_>, _>>()?.concat()
        }
    };
    Ok(Some(FormerSegment {
        chain,
        parts: PartRow::unpack_all(&packed)?,
        open: state == 0,
    }))
}
