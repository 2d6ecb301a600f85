//! What is known of segments when it is decided what becomes of them.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};
use taimat_base::CommuneId;
use taimat_contract::storage::{Placed, Segment};
use taimat_contract::{Severity, UnixMicros};

use crate::config::Keep;
use crate::error::ArchiveError;

/// The name of the copy here: the disk that is recorded to.
pub const LOCAL: &str = "local";

/// A segment, and what only the host knows of it.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) segment: Segment,
    /// It was recorded for what events are about.
    pub(crate) on_event: bool,
    /// Why it is asked.
    pub(crate) asks: i64,
}

/// Segments that are asked about because settings have changed: with these numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Swept {
    /// The last about which it was asked.
    pub(crate) after: u64,
    /// The last that there was when they changed.
    pub(crate) upto: u64,
}

/// Segments for which it is to be asked what becomes of them: fresh ones, those that something has changed,
/// those whose time is over, and, if there are few of these, those for which settings have. At most so many, of
/// one commune.
pub(crate) fn asked(
    index: &Connection,
    commune: &CommuneId,
    keep: impl Fn(&str) -> Keep,
    swept: Swept,
    now: UnixMicros,
    most: usize,
) -> Result<Vec<Facts>, ArchiveError> {
    let mut all = index.prepare_cached(
        "SELECT id, camera, start, end, bytes, watched, mode, asks, until, worth, state \
         FROM segment JOIN stream ON number = segment.stream \
         WHERE commune = ?1 AND asks != 0 AND state IN (1, 3) ORDER BY id LIMIT ?2",
    )?;
    let mut found = rows(&mut all, params![commune.as_str(), most])?;
    if found.len() < most {
        let mut due = index.prepare_cached(
            "SELECT id, camera, start, end, bytes, watched, mode, 4, until, worth, state \
             FROM segment JOIN stream ON number = segment.stream \
             WHERE commune = ?1 AND asks = 0 AND state IN (1, 3) AND until <= ?2 \
             ORDER BY until LIMIT ?3",
        )?;
        found.extend(rows(
            &mut due,
            params![commune.as_str(), now.0, most - found.len()],
        )?);
    }
    if found.len() < most && swept.after < swept.upto {
        let mut all = index.prepare_cached(
            "SELECT id, camera, start, end, bytes, watched, mode, 3, until, worth, state \
             FROM segment JOIN stream ON number = segment.stream \
             WHERE commune = ?1 AND id > ?2 AND id <= ?3 AND asks = 0 AND until > ?4 \
             AND state IN (1, 3) ORDER BY id LIMIT ?5",
        )?;
        let Swept { after, upto } = swept;
        let most = most - found.len();
        let params = params![commune.as_str(), after, upto, now.0, most];
        found.extend(rows(&mut all, params)?);
    }
    for facts in &mut found {
        complete(index, commune, keep(&facts.segment.camera), now, facts)?;
    }
    Ok(found)
}

fn rows(
    statement: &mut rusqlite::CachedStatement<'_>,
    params: impl rusqlite::Params,
) -> Result<Vec<Facts>, ArchiveError> {
    let rows = statement.query_map(params, |row| {
        let (start, end): (i64, i64) = (row.get(2)?, row.get(3)?);
        let state: i64 = row.get(10)?;
        let here = Placed {
            target: LOCAL.into(),
            until: UnixMicros(row.get(8)?),
            worth: row.get(9)?,
        };
        Ok(Facts {
            segment: Segment {
                id: row.get(0)?,
                camera: row.get(1)?,
                start: UnixMicros(start),
                duration_ms: u32::try_from((end - start) / 1000).unwrap_or(u32::MAX),
                size: row.get(4)?,
                watched: row.get(5)?,
                kinds: Vec::new(),
                highest: None,
                held: false,
                keep_until: None,
                copies: (state == 1).then_some(here).into_iter().collect(),
            },
            on_event: row.get::<_, i64>(6)? == 2,
            asks: row.get(7)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn complete(
    index: &Connection,
    commune: &CommuneId,
    keep: Keep,
    now: UnixMicros,
    facts: &mut Facts,
) -> Result<(), ArchiveError> {
    let segment = &mut facts.segment;
    let (start, end) = (
        segment.start.0,
        segment.start.0 + i64::from(segment.duration_ms) * 1000,
    );
    let micros = |span: std::time::Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    let mut marks = index.prepare_cached(
        "SELECT kind, severity FROM mark WHERE commune = ?1 AND camera = ?2 \
         AND start < ?3 AND (end IS NULL OR end > ?4)",
    )?;
    let around = params![
        commune.as_str(),
        segment.camera,
        end.saturating_add(micros(keep.before)),
        start.saturating_sub(micros(keep.after))
    ];
    let marks = marks.query_map(around, |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
    })?;
    let mut kinds = BTreeSet::new();
    for mark in marks {
        let (kind, severity) = mark?;
        segment.highest = segment.highest.max(Some(self::severity(severity)));
        if kinds.len() < Segment::MAX_KINDS {
            kinds.insert(kind);
        }
    }
    segment.kinds = kinds.into_iter().collect();
    segment.held = is_held(index, commune, &segment.camera, (start, end), now)?;
    segment.keep_until = index
        .prepare_cached(
            "SELECT max(until) FROM take WHERE commune = ?1 AND camera = ?2 \
             AND start < ?3 AND end > ?4",
        )?
        .query_row(
            params![commune.as_str(), segment.camera, end, start],
            |row| row.get::<_, Option<i64>>(0),
        )?
        .map(UnixMicros);
    let mut copies = index.prepare_cached(
        "SELECT target, until, worth FROM copy WHERE segment = ?1 AND state != 2 ORDER BY target",
    )?;
    let copies = copies.query_map([segment.id], |row| {
        Ok(Placed {
            target: row.get(0)?,
            until: UnixMicros(row.get(1)?),
            worth: row.get(2)?,
        })
    })?;
    for copy in copies {
        segment.copies.push(copy?);
    }
    Ok(())
}

/// Whether somebody holds what lies between two moments.
pub(crate) fn is_held(
    index: &Connection,
    commune: &CommuneId,
    camera: &str,
    (start, end): (i64, i64),
    now: UnixMicros,
) -> Result<bool, ArchiveError> {
    Ok(index
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM hold WHERE commune = ?1 AND camera = ?2 \
             AND released IS NULL AND start < ?3 AND end > ?4 AND (until IS NULL OR until > ?5))",
        )?
        .query_row(
            params![commune.as_str(), camera, end, start, now.0],
            |row| row.get(0),
        )?)
}

/// A severity as the index has it.
pub(crate) fn severity_code(severity: Severity) -> i64 {
    let place = Severity::ALL.iter().position(|s| *s == severity);
    place.and_then(|p| i64::try_from(p).ok()).unwrap_or(0)
}

/// A severity by its number.
pub(crate) fn severity(code: i64) -> Severity {
    let place = usize::try_from(code).unwrap_or(0);
    Severity::ALL.get(place).copied().unwrap_or(Severity::Info)
}
