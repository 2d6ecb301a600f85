//! What is let go.

use std::time::Duration;

use rusqlite::{Connection, params};
use taimat_base::CommuneId;
use taimat_contract::UnixMicros;

use crate::error::StoreError;

/// Events that are let go at once: others wait meanwhile.
const AT_ONCE: u32 = 200;

/// How much of a commune's events is kept. Those that go on are kept in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// The commune.
    pub commune: CommuneId,
    /// So long after their end.
    pub time: Duration,
    /// So many at most, the newest.
    pub count: u32,
}

/// Lets go of some of a commune's events; whether there may be more.
pub(super) fn let_go(to: &Connection, keep: &Keep, now: UnixMicros) -> Result<bool, StoreError> {
    let micros = i64::try_from(keep.time.as_micros()).unwrap_or(i64::MAX);
    let before = now.0.saturating_sub(micros);
    to.prepare_cached("DELETE FROM silence WHERE until < ?1")?
        .execute([before])?;
    let commune = keep.commune.as_str();
    // The oldest that is within the number.
    let within: Option<String> = to
        .prepare_cached(
            "SELECT id FROM event WHERE commune = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2",
        )?
        .query_map(params![commune, keep.count.saturating_sub(1)], |row| {
            row.get(0)
        })?
        .next()
        .transpose()?;
    let mut old = to.prepare_cached(
        "SELECT number FROM event WHERE commune = ?1 AND ended IS NOT NULL \
         AND (ended < ?2 OR id < ?3) ORDER BY id LIMIT ?4",
    )?;
    let numbers = old
        .query_map(
            params![commune, before, within.unwrap_or_default(), AT_ONCE],
            |row| row.get::<_, i64>(0),
        )?
        .collect::<Result<Vec<_>, _>>()?;
    let mut text = to.prepare_cached("DELETE FROM event_text WHERE rowid = ?1")?;
    let mut event = to.prepare_cached("DELETE FROM event WHERE number = ?1")?;
    for number in &numbers {
        text.execute([number])?;
        event.execute([number])?;
    }
    if !numbers.is_empty() {
        to.prepare_cached(
            "DELETE FROM delivery WHERE state != 0 AND commune = ?1 AND number IN (\
             SELECT number FROM delivery LEFT JOIN delivery_item ON delivery = number \
             WHERE event IS NULL LIMIT ?2)",
        )?
        .execute(params![commune, AT_ONCE * 4])?;
    }
    Ok(numbers.len() == AT_ONCE as usize)
}
