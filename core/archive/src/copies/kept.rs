//! What the index says of a segment's file, and holding a file against it.

use std::fs::File;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};
use taimat_base::CommuneId;

use crate::chain_box;
use crate::error::ArchiveError;
use crate::index::rows;
use crate::layout;
use crate::packed::PartRow;
use crate::scan;

/// A segment that is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) segment: u64,
    pub(super) commune: CommuneId,
    /// Its name at every place, and within the archive's folder.
    pub(super) key: String,
    pub(super) bytes: u64,
    /// Its file should be here.
    pub(super) is_here: bool,
    /// What the file begins with.
    begin: Vec<u8>,
    parts: Vec<PartRow>,
    pub(super) copies: Vec<Copy>,
}

/// Where a copy is, and what it was when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) target: String,
    /// SHA-256 of the file; unknown of what an earlier router copied.
    pub(super) hash: Option<[u8; 32]>,
}

/// A file is not what was recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unlike(String);

/// A segment that is complete; none if there is no such.
pub(super) fn kept(index: &Connection, segment: u64) -> Result<Option<Kept>, ArchiveError> {
    type Row = (
        String,
        String,
        String,
        i64,
        u64,
        i64,
        Vec<u8>,
        Vec<u8>,
        [u8; 32],
    );
    let found: Option<Row> = index
        .prepare_cached(
            "SELECT commune, camera, profile, start, bytes, state, init, parts, segment.chain \
             FROM segment JOIN stream ON stream.number = segment.stream \
             JOIN format ON format.number = segment.format \
             WHERE id = ?1 AND state IN (1, 3) AND parts IS NOT NULL",
        )?
        .query_row([segment], |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
                row.get(6)?,
                row.get(7)?,
                row.get(8)?,
            ))
        })
        .optional()?;
    let Some((commune, camera, profile, start, bytes, state, init, parts, chain)) = found else {
        return Ok(None);
    };
    let Some(stream) = rows::key(&commune, &camera, &profile) else {
        return Ok(None);
    };
    let mut copies = index.prepare_cached(
        "SELECT target, hash FROM copy WHERE segment = ?1 AND state = 1 ORDER BY target",
    )?;
    let copies = copies.query_map([segment], |row| {
        Ok(Copy {
            target: row.get(0)?,
            hash: row.get(1)?,
        })
    })?;
    Ok(Some(Kept {
        segment,
        key: layout::segment(&stream, start, segment)
            .to_string_lossy()
            .into_owned(),
        commune: stream.camera.commune,
        bytes,
        is_here: state == 1,
        begin: chain_box::write(&init, &chain),
        parts: PartRow::unpack_all(&parts)?,
        copies: copies.collect::<Result<_, _>>()?,
    }))
}

impl Kept {
    /// Holds a file against what was recorded: what it begins with, where each part lies, its samples, its
    /// hash. Returns the SHA-256 of all of it. Reads it.
    pub(super) fn hold(&self, path: &Path) -> Result<[u8; 32], Unlike> {
        let unlike = |why: &str| Unlike(why.to_owned());
        let read = |error: &dyn std::fmt::Display| Unlike(format!("it can not be read: {error}"));
        let file = File::open(path).map_err(|e| read(&e))?;
        let length = file.metadata().map_err(|e| read(&e))?.len();
        if length < self.bytes {
            let missing = self.bytes - length;
            return Err(Unlike(format!("{missing} bytes of it are missing")));
        }
        let begin = scan::beginning(path).map_err(|e| read(&e))?;
        let begin = begin.ok_or_else(|| unlike("it does not begin as a recording"))?;
        if chain_box::write(&begin.init, &begin.chain) != self.begin {
            return Err(unlike("it begins otherwise"));
        }
        let scanned = scan::parts(path, &begin, begin.length, true).map_err(|e| read(&e))?;
        let same = |(own, found): &(&PartRow, &PartRow)| is_same(own, found);
        let alike = self.parts.iter().zip(&scanned.parts);
        let alike = alike.take_while(same).count();
        if alike < self.parts.len() {
            return Err(Unlike(format!("part {alike} is another")));
        }
        scan::hash_of(&file, 0, self.bytes).map_err(|e| read(&e))
    }
}

fn is_same(own: &PartRow, found: &PartRow) -> bool {
    let (sound, other) = (&own.audio, &found.audio);
    own.header == found.header
        && own.hash == found.hash
        && own.video == found.video
        && sound.samples == other.samples
        // Of no samples the file says no time.
        && (sound.samples.is_empty() || sound.time == other.time)
}
