//! What happened at cameras, as far as it decides what is kept: events, and what policies want recorded.

use std::time::Duration;

use rusqlite::{Connection, params};
use taimat_base::CameraKey;
use taimat_contract::{Severity, UnixMicros};

use crate::error::ArchiveError;
use crate::facts::severity_code;

/// Around an event recordings are looked at so far away, whatever a camera's own span is.
const AROUND: i64 = 600_000_000;

/// An event at a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The event.
    pub event: String,
    /// Where.
    pub camera: CameraKey,
    /// What it is.
    pub kind: String,
    /// How much attention it deserves.
    pub severity: Severity,
    /// When it began.
    pub start: UnixMicros,
    /// When it ended; none while it goes on.
    pub end: Option<UnixMicros>,
}

/// What a policy wants to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeOrder {
    /// The event, and at which camera: not always the event's own.
    pub mark: Mark,
    /// Kept until then at least; none leaves it to storage.
    pub until: Option<UnixMicros>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// An event at a camera has begun, changed or ended.
    Event(Mark),
    /// A policy wants something to be recorded.
    Take(TakeOrder),
}

impl Mark {
    /// Writes it down; what is recorded around it is asked about again.
    pub(crate) fn write(&self, to: &Connection) -> Result<(), ArchiveError> {
        let (commune, camera) = (self.camera.commune.as_str(), self.camera.camera.as_str());
        to.prepare_cached(
            "INSERT INTO mark (event, commune, camera, start, end, kind, severity) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
             ON CONFLICT (event, camera) DO UPDATE SET start = min(start, ?4), \
             end = CASE WHEN ?5 IS NULL THEN NULL ELSE max(coalesce(end, ?5), ?5) END, \
             kind = ?6, severity = ?7",
        )?
        .execute(params![
            self.event,
            commune,
            camera,
            self.start.0,
            self.end.map(|end| end.0),
            self.kind,
            severity_code(self.severity)
        ])?;
        let end = self
            .end
            .map_or(i64::MAX, |end| end.0.saturating_add(AROUND));
        ask_again(to, &self.camera, (self.start.0.saturating_sub(AROUND), end))
    }
}

impl TakeOrder {
    /// Writes it down.
    pub(crate) fn write(&self, to: &Connection) -> Result<(), ArchiveError> {
        self.mark.write(to)?;
        let (Some(until), Some(end)) = (self.until, self.mark.end) else {
            return Ok(());
        };
        let camera = &self.mark.camera;
        to.prepare_cached(
            "INSERT INTO take (event, commune, camera, start, end, until) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
             ON CONFLICT (event, camera, start) DO UPDATE SET end = max(end, ?5), \
             until = max(until, ?6)",
        )?
        .execute(params![
            self.mark.event,
            camera.commune.as_str(),
            camera.camera.as_str(),
            self.mark.start.0,
            end.0,
            until.0
        ])?;
        Ok(())
    }
}

/// What was recorded of a camera between two moments is asked about again.
pub(crate) fn ask_again(
    to: &Connection,
    camera: &CameraKey,
    (start, end): (i64, i64),
) -> Result<(), ArchiveError> {
    to.prepare_cached(
        "UPDATE segment SET asks = 2 WHERE asks = 0 AND state IN (1, 3) AND start < ?4 AND end > ?3 \
         AND stream IN (SELECT number FROM stream WHERE commune = ?1 AND camera = ?2)",
    )?
    .execute(params![
        camera.commune.as_str(),
        camera.camera.as_str(),
        start,
        end
    ])?;
    Ok(())
}

/// Lets go of marks that nothing is recorded around any more.
pub(crate) fn let_go(to: &Connection, now: UnixMicros) -> Result<(), ArchiveError> {
    let old = now.0.saturating_sub(micros(Duration::from_secs(86_400)));
    to.prepare_cached(
        "DELETE FROM mark WHERE end IS NOT NULL AND end < ?1 AND NOT EXISTS (\
         SELECT 1 FROM segment JOIN stream ON number = segment.stream \
         WHERE stream.commune = mark.commune AND stream.camera = mark.camera \
         AND segment.start < mark.end + ?2 AND segment.end > mark.start - ?2)",
    )?
    .execute(params![old, AROUND])?;
    to.prepare_cached("DELETE FROM take WHERE until < ?1")?
        .execute([old])?;
    Ok(())
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
