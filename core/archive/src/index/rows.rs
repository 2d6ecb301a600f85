//! What is written to the index, and what it says of streams, formats and segments.

use rusqlite::{Connection, OptionalExtension, params};
use taimat_hub::ChannelKey;

use crate::chain;
use crate::error::ArchiveError;
use crate::layout;

/// What a run of the router may have left undone with a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SegmentState {
    /// Being written.
    Open,
    /// About to be removed.
    Going,
}

impl SegmentState {
    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::Open => 0,
            Self::Going => 2,
        }
    }
}

/// The number of a stream in the index, and its chain; made if it is new.
pub(crate) fn stream(of: &Connection, key: &ChannelKey) -> Result<(i64, [u8; 32]), ArchiveError> {
    let camera = &key.camera;
    let names = params![
        camera.commune.as_str(),
        camera.camera.as_str(),
        key.profile.as_str()
    ];
    let found = of
        .prepare_cached(
            "SELECT number, chain FROM stream WHERE commune = ?1 AND camera = ?2 AND profile = ?3",
        )?
        .query_row(names, |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some(found) = found {
        return Ok(found);
    }
    let chain = chain::beginning(key);
    of.prepare_cached(
        "INSERT INTO stream (commune, camera, profile, chain) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![
        camera.commune.as_str(),
        camera.camera.as_str(),
        key.profile.as_str(),
        chain
    ])?;
    Ok((of.last_insert_rowid(), chain))
}

/// The number of a stream, if anything was ever recorded of it.
pub(crate) fn known(of: &Connection, key: &ChannelKey) -> Result<Option<i64>, ArchiveError> {
    let camera = &key.camera;
    Ok(of
        .prepare_cached(
            "SELECT number FROM stream WHERE commune = ?1 AND camera = ?2 AND profile = ?3",
        )?
        .query_row(
            params![
                camera.commune.as_str(),
                camera.camera.as_str(),
                key.profile.as_str()
            ],
            |row| row.get(0),
        )
        .optional()?)
}

/// All streams that anything was ever recorded of.
pub(crate) fn streams(of: &Connection) -> Result<Vec<(i64, ChannelKey)>, ArchiveError> {
    let mut all = of.prepare_cached("SELECT number, commune, camera, profile FROM stream")?;
    let all = all.query_map([], |row| {
        let names: (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
        Ok((row.get(0)?, names))
    })?;
    let mut streams = Vec::new();
    for one in all {
        let (number, (commune, camera, profile)) = one?;
        let key = key(&commune, &camera, &profile)
            .ok_or_else(|| ArchiveError::Damaged(format!("no stream is called {camera}")))?;
        streams.push((number, key));
    }
    Ok(streams)
}

/// A stream by its names.
pub(crate) fn key(commune: &str, camera: &str, profile: &str) -> Option<ChannelKey> {
    let camera = taimat_base::CameraKey::new(commune.parse().ok()?, camera.parse().ok()?);
    Some(ChannelKey::new(camera, layout::profile(profile)?))
}

/// The number of what a segment begins with.
pub(crate) fn format(of: &Connection, init: &[u8]) -> Result<i64, ArchiveError> {
    let found = of
        .prepare_cached("SELECT number FROM format WHERE init = ?1")?
        .query_row([init], |row| row.get(0))
        .optional()?;
    if let Some(found) = found {
        return Ok(found);
    }
    of.prepare_cached("INSERT INTO format (init) VALUES (?1)")?
        .execute([init])?;
    Ok(of.last_insert_rowid())
}

/// Something that is to be written once the media it speaks of is on the disk. It may be tried twice.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// A segment has begun.
    Begun {
        id: u64,
        stream: i64,
        init: Vec<u8>,
        start: i64,
        bytes: u64,
        key: bool,
        chain: [u8; 32],
        mode: i64,
    },
    /// A part was appended to it.
    Part {
        id: u64,
        n: u32,
        packed: Vec<u8>,
        end: i64,
        bytes: u64,
    },
    /// It is complete.
    Closed {
        id: u64,
        stream: i64,
        parts: Vec<u8>,
        watched: bool,
        chain: [u8; 32],
    },
    /// It was begun, and nothing ever came for it.
    Undone { id: u64 },
    /// Nothing is between two moments.
    Gap {
        stream: i64,
        start: i64,
        end: i64,
        reason: &'static str,
    },
    /// Nothing is there from then on.
    GapBegun {
        stream: i64,
        start: i64,
        reason: &'static str,
    },
    /// Something is there again.
    GapEnded {
        stream: i64,
        end: i64,
        /// If it was not said to have begun.
        start: i64,
        reason: &'static str,
    },
}

impl Change {
    pub(crate) fn apply(&self, to: &Connection) -> Result<(), ArchiveError> {
        match self {
            Self::Begun {
                id,
                stream,
                init,
                start,
                bytes,
                key,
                chain,
                mode,
            } => {
                let format = format(to, init)?;
                to.prepare_cached(
                    "INSERT INTO segment \
                     (id, stream, format, start, end, bytes, state, key, watched, mode, asks, until, \
                      worth, chain) \
                     VALUES (?1, ?2, ?3, ?4, ?4, ?5, 0, ?6, 0, ?7, 0, 0, 0, ?8)",
                )?
                .execute(params![id, stream, format, start, bytes, key, mode, chain])?;
            }
            Self::Part {
                id,
                n,
                packed,
                end,
                bytes,
            } => {
                to.prepare_cached("INSERT INTO part (segment, n, packed) VALUES (?1, ?2, ?3)")?
                    .execute(params![id, n, packed])?;
                to.prepare_cached("UPDATE segment SET end = ?2, bytes = ?3 WHERE id = ?1")?
                    .execute(params![id, end, bytes])?;
            }
            Self::Closed {
                id,
                stream,
                parts,
                watched,
                chain,
            } => {
                to.prepare_cached(
                    "UPDATE segment SET state = 1, asks = 1, parts = ?2, watched = ?3 \
                     WHERE id = ?1",
                )?
                .execute(params![id, parts, watched])?;
                to.prepare_cached("DELETE FROM part WHERE segment = ?1")?
                    .execute([id])?;
                to.prepare_cached(
                    "UPDATE stream SET chain = ?2, \
                     stored = stored + (SELECT bytes FROM segment WHERE id = ?3) WHERE number = ?1",
                )?
                .execute(params![stream, chain, id])?;
                to.prepare_cached(
                    "INSERT INTO flow (day, commune, came) \
                     SELECT segment.end / 86400000000, commune, segment.bytes FROM segment \
                     JOIN stream ON number = segment.stream WHERE id = ?1 \
                     ON CONFLICT (day, commune) DO UPDATE SET came = came + excluded.came",
                )?
                .execute([id])?;
            }
            Self::Undone { id } => {
                to.prepare_cached("DELETE FROM segment WHERE id = ?1 AND state = 0")?
                    .execute([id])?;
            }
            Self::Gap {
                stream,
                start,
                end,
                reason,
            } => gap(to, *stream, (*start, *end), reason)?,
            Self::GapBegun {
                stream,
                start,
                reason,
            } => {
                to.prepare_cached(
                    "INSERT OR REPLACE INTO gap (stream, start, end, reason) \
                     VALUES (?1, ?2, NULL, ?3)",
                )?
                .execute(params![stream, start, reason])?;
            }
            Self::GapEnded {
                stream,
                end,
                start,
                reason,
            } => {
                let ended = to
                    .prepare_cached(
                        "UPDATE gap SET end = max(?2, start) WHERE stream = ?1 AND end IS NULL",
                    )?
                    .execute(params![stream, end])?;
                if ended == 0 && end > start {
                    to.prepare_cached(
                        "INSERT OR REPLACE INTO gap (stream, start, end, reason) \
                         VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute(params![stream, start, end, reason])?;
                }
            }
        }
        Ok(())
    }
}

/// A segment's file is not here any more: it does not count.
fn forget_bytes(to: &Connection, id: u64) -> Result<(), ArchiveError> {
    to.prepare_cached(
        "UPDATE stream SET stored = max(0, stored - (SELECT bytes FROM segment WHERE id = ?1)) \
         WHERE number = (SELECT stream FROM segment WHERE id = ?1)",
    )?
    .execute([id])?;
    Ok(())
}

/// A segment's file is not here any more. Its row goes, and it is noted why nothing is there; if there are
/// copies elsewhere it stays.
pub(crate) fn gone(to: &Connection, id: u64, reason: &str) -> Result<(), ArchiveError> {
    forget_bytes(to, id)?;
    let elsewhere: bool = to
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM copy WHERE segment = ?1 AND state = 1)")?
        .query_row([id], |row| row.get(0))?;
    if elsewhere {
        to.prepare_cached("UPDATE segment SET state = 3, leaves = 0 WHERE id = ?1")?
            .execute([id])?;
        return Ok(());
    }
    let (stream, start, end): (i64, i64, i64) = to
        .prepare_cached("SELECT stream, start, end FROM segment WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    gap(to, stream, (start, end), reason)?;
    to.prepare_cached("DELETE FROM segment WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// Notes that nothing is between two moments any more; what lies beside it with the same reason is one with
/// it.
pub(crate) fn gap(
    to: &Connection,
    stream: i64,
    (mut start, mut end): (i64, i64),
    reason: &str,
) -> Result<(), ArchiveError> {
    const NEAR: i64 = 2_000_000;
    let before: Option<i64> = to
        .prepare_cached(
            "SELECT start FROM gap WHERE stream = ?1 AND reason = ?2 AND start <= ?3 \
             AND end BETWEEN ?3 - ?4 AND ?5 ORDER BY start DESC LIMIT 1",
        )?
        .query_row(params![stream, reason, start, NEAR, end], |row| row.get(0))
        .optional()?;
    if let Some(before) = before {
        to.prepare_cached("DELETE FROM gap WHERE stream = ?1 AND start = ?2")?
            .execute([stream, before])?;
        start = before;
    }
    let after: Option<(i64, i64)> = to
        .prepare_cached(
            "SELECT start, end FROM gap WHERE stream = ?1 AND reason = ?2 \
             AND start BETWEEN ?3 AND ?4 + ?5 AND end IS NOT NULL ORDER BY start LIMIT 1",
        )?
        .query_row(params![stream, reason, start, end, NEAR], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    if let Some((next, until)) = after {
        to.prepare_cached("DELETE FROM gap WHERE stream = ?1 AND start = ?2")?
            .execute([stream, next])?;
        end = end.max(until);
    }
    to.prepare_cached(
        "INSERT OR REPLACE INTO gap (stream, start, end, reason) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![stream, start, end, reason])?;
    Ok(())
}
