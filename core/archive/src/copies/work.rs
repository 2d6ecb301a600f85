//! What is to be done with copies, by the index.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use taimat_base::CommuneId;
use taimat_contract::UnixMicros;

use crate::error::ArchiveError;
use crate::index::rows;
use crate::layout;
use crate::reason::GapReason;

/// Attempts are apart by this at least and at most, in seconds: each time twice as much.
const FIRST_PAUSE: i64 = 2;
const LONGEST_PAUSE: i64 = 900;
/// A copy that could not be looked at is looked at again after so long.
const LATER: Duration = Duration::from_secs(3600);

/// A copy that is to be made or let go.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub(super) segment: u64,
    /// Its name at every place, and within the archive's folder.
    pub(super) key: String,
    pub(super) bytes: u64,
    pub(super) make: bool,
    pub(super) tries: i64,
}

/// A copy that is to be held against its hash again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stale {
    pub(super) segment: u64,
    pub(super) store: String,
    /// When it was held last, in microseconds since 1970.
    pub(super) checked: i64,
}

/// The next copies to make at a place, or to let go.
pub(super) fn due(
    index: &Connection,
    commune: &CommuneId,
    store: &str,
    make: bool,
    now: UnixMicros,
    most: usize,
) -> Result<Vec<Work>, ArchiveError> {
    // What is to go waits until all others are there; the last one there is stays as long as somebody holds it.
    let mut all = index.prepare_cached(
        "SELECT id, commune, camera, profile, segment.start, segment.bytes, segment.state, \
         tries FROM copy \
         JOIN segment ON id = copy.segment JOIN stream ON number = segment.stream \
         WHERE target = ?2 AND copy.state = ?5 AND copy.state != 1 AND next <= ?3 AND commune = ?1 \
         AND segment.state IN (1, 3) \
         AND (copy.state = 0 OR NOT EXISTS (SELECT 1 FROM copy AS other \
              WHERE other.segment = id AND other.state = 0)) \
         AND (copy.state = 0 OR segment.state = 1 \
           OR EXISTS (SELECT 1 FROM copy AS other WHERE other.segment = id AND other.state = 1) \
           OR NOT EXISTS (SELECT 1 FROM hold WHERE hold.commune = stream.commune \
             AND hold.camera = stream.camera AND released IS NULL AND hold.start < segment.end \
             AND hold.end > segment.start AND (hold.until IS NULL OR hold.until > ?3)) \
           AND NOT EXISTS (SELECT 1 FROM take WHERE take.commune = stream.commune \
             AND take.camera = stream.camera AND take.start < segment.end \
             AND take.end > segment.start AND take.until > ?3)) \
         ORDER BY id LIMIT ?4",
    )?;
    let state = if make { 0 } else { 2 };
    let params = params![commune.as_str(), store, now.0, most, state];
    let all = all.query_map(params, |row| {
        let names: (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let fields: (u64, i64, u64, i64) = (row.get(0)?, row.get(4)?, row.get(5)?, row.get(7)?);
        Ok((names, fields))
    })?;
    let mut found = Vec::new();
    for one in all {
        let ((commune, camera, profile), (segment, start, bytes, tries)) = one?;
        let Some(key) = rows::key(&commune, &camera, &profile) else {
            continue;
        };
        let key = layout::segment(&key, start, segment);
        found.push(Work {
            segment,
            key: key.to_string_lossy().into_owned(),
            bytes,
            make,
            tries,
        });
    }
    Ok(found)
}

/// A copy is there, and is what was recorded.
pub(super) fn made(
    to: &Connection,
    work: &Work,
    store: &str,
    hash: &[u8; 32],
    now: UnixMicros,
) -> Result<(), ArchiveError> {
    to.prepare_cached(
        "UPDATE copy SET state = 1, bytes = ?3, checked = ?4, hash = ?5, tries = 0, next = 0, \
         error = NULL WHERE segment = ?1 AND target = ?2 AND state = 0",
    )?
    .execute(params![work.segment, store, work.bytes, now.0, hash])?;
    Ok(())
}

/// The copy of a commune at a place that was not held against its hash for longest, if that is long enough ago.
pub(super) fn stale(
    index: &Connection,
    commune: &CommuneId,
    store: &str,
    before: UnixMicros,
    now: UnixMicros,
) -> Result<Option<Stale>, ArchiveError> {
    let found = index
        .prepare_cached(
            "SELECT copy.segment, coalesce(checked, 0) FROM copy INDEXED BY copy_checked \
             JOIN segment ON id = copy.segment JOIN stream ON number = segment.stream \
             WHERE target = ?2 AND copy.state = 1 AND commune = ?1 \
             AND (checked IS NULL OR checked <= ?3) AND next <= ?4 ORDER BY checked LIMIT 1",
        )?
        .query_row(params![commune.as_str(), store, before.0, now.0], |row| {
            Ok(Stale {
                segment: row.get(0)?,
                store: store.to_owned(),
                checked: row.get(1)?,
            })
        })
        .optional()?;
    Ok(found)
}

/// A copy was held against its hash, and is what it should be.
pub(super) fn held(
    to: &Connection,
    (segment, store): (u64, &str),
    hash: &[u8; 32],
    now: UnixMicros,
) -> Result<(), ArchiveError> {
    to.prepare_cached(
        "UPDATE copy SET checked = ?3, hash = ?4, next = 0, error = NULL \
         WHERE segment = ?1 AND target = ?2 AND state = 1",
    )?
    .execute(params![segment, store, now.0, hash])?;
    Ok(())
}

/// A copy could not be looked at: others come first, and it is tried again later.
pub(super) fn not_held(
    to: &Connection,
    (segment, store): (u64, &str),
    why: &str,
    now: UnixMicros,
) -> Result<(), ArchiveError> {
    to.prepare_cached(
        "UPDATE copy SET next = ?3, error = ?4 WHERE segment = ?1 AND target = ?2 AND state = 1",
    )?
    .execute(params![segment, store, now.after(LATER).0, why])?;
    Ok(())
}

/// A copy is gone, or is not what it should be: it is made anew.
pub(super) fn spoilt(
    to: &Connection,
    (segment, store): (u64, &str),
    why: &str,
    now: UnixMicros,
) -> Result<bool, ArchiveError> {
    let found = to
        .prepare_cached(
            "UPDATE copy SET state = 0, tries = 0, next = 0, checked = ?3, error = ?4 \
             WHERE segment = ?1 AND target = ?2 AND state = 1",
        )?
        .execute(params![segment, store, now.0, why])?;
    Ok(found > 0)
}

/// Settings have changed: what waits is tried at once.
pub(crate) fn try_again(to: &Connection, commune: &CommuneId) -> Result<(), ArchiveError> {
    to.prepare_cached(
        "UPDATE copy SET next = 0 WHERE state != 1 AND next > 0 AND segment IN (\
         SELECT id FROM segment JOIN stream ON number = segment.stream WHERE commune = ?1)",
    )?
    .execute([commune.as_str()])?;
    Ok(())
}

/// A copy is gone. If there is none left, nor one here, the segment is.
pub(super) fn gone(to: &Connection, work: &Work, store: &str) -> Result<(), ArchiveError> {
    to.prepare_cached("DELETE FROM copy WHERE segment = ?1 AND target = ?2 AND state = 2")?
        .execute(params![work.segment, store])?;
    let last: Option<(i64, i64, i64)> = to
        .prepare_cached(
            "SELECT stream, start, end FROM segment WHERE id = ?1 AND state = 3 \
             AND NOT EXISTS (SELECT 1 FROM copy WHERE copy.segment = id)",
        )?
        .query_row([work.segment], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    if let Some((stream, start, end)) = last {
        rows::gap(to, stream, (start, end), GapReason::Aged.as_str())?;
        to.prepare_cached("DELETE FROM segment WHERE id = ?1")?
            .execute([work.segment])?;
    }
    Ok(())
}

/// It did not go well: it is tried again later.
pub(super) fn failed(
    to: &Connection,
    work: &Work,
    store: &str,
    error: &str,
    now: UnixMicros,
) -> Result<(), ArchiveError> {
    let pause = FIRST_PAUSE.saturating_mul(1 << work.tries.clamp(0, 16));
    let next = now.0 + pause.min(LONGEST_PAUSE) * 1_000_000;
    to.prepare_cached(
        "UPDATE copy SET tries = tries + 1, next = ?3, error = ?4 \
         WHERE segment = ?1 AND target = ?2",
    )?
    .execute(params![work.segment, store, next, error])?;
    Ok(())
}

/// Copies with the least worth, of that the oldest, that go for a place to have no more than it may.
pub(super) fn too_much(
    to: &Connection,
    commune: &CommuneId,
    store: &str,
    quota: u64,
    now: UnixMicros,
) -> Result<(), ArchiveError> {
    let used: u64 = to
        .prepare_cached(
            "SELECT coalesce(sum(copy.bytes), 0) FROM copy JOIN segment ON id = copy.segment \
             JOIN stream ON number = segment.stream \
             WHERE target = ?2 AND copy.state = 1 AND commune = ?1",
        )?
        .query_row(params![commune.as_str(), store], |row| row.get(0))?;
    let Some(mut missing) = used.checked_sub(quota).filter(|more| *more > 0) else {
        return Ok(());
    };
    let mut all = to.prepare_cached(
        "SELECT copy.segment, copy.bytes FROM copy JOIN segment ON id = copy.segment \
         JOIN stream ON number = segment.stream \
         WHERE target = ?2 AND copy.state = 1 AND commune = ?1 \
         AND NOT EXISTS (SELECT 1 FROM hold WHERE hold.commune = stream.commune \
           AND hold.camera = stream.camera AND released IS NULL AND hold.start < segment.end \
           AND hold.end > segment.start AND (hold.until IS NULL OR hold.until > ?3)) \
         AND NOT EXISTS (SELECT 1 FROM take WHERE take.commune = stream.commune \
           AND take.camera = stream.camera AND take.start < segment.end \
           AND take.end > segment.start AND take.until > ?3) \
         ORDER BY copy.worth, copy.segment LIMIT 256",
    )?;
    let rows = all.query_map(params![commune.as_str(), store, now.0], |row| {
        Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?))
    })?;
    let rows: Vec<(u64, u64)> = rows.collect::<Result<_, _>>()?;
    for (segment, bytes) in rows {
        if missing == 0 {
            break;
        }
        to.prepare_cached(
            "UPDATE copy SET state = 2, next = 0 WHERE segment = ?1 AND target = ?2",
        )?
        .execute(params![segment, store])?;
        missing = missing.saturating_sub(bytes);
    }
    Ok(())
}
