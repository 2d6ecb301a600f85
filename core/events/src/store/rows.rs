//! Events and entries as rows.

use rusqlite::{Connection, OptionalExtension, Row, params, types::Type};
use taimat_base::{CameraId, CommuneId};
use taimat_contract::policy::Why;
use taimat_contract::{Severity, UnixMicros};

use crate::error::StoreError;
use crate::event::{Event, EventAnswer, EventId, EventPicture, Phase};
use crate::grouping::Course;
use crate::log::{Happening, LogEntry, Told};

/// What [`event`] reads.
pub(super) const COLUMNS: &str = "id, commune, camera, kind, plugin, severity, phase, revision, \
    began, last, ended, best, detections, picture, answered_by, answered_at, false_alarm, \
    assigned, silenced, extra";

/// [`COLUMNS`], where other tables have some of the same.
pub(super) fn columns_of_event() -> String {
    let columns: Vec<String> = COLUMNS.split(", ").map(|c| format!("event.{c}")).collect();
    columns.join(", ")
}

/// A column that does not hold what was written there.
pub(super) fn odd(
    column: usize,
    why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, why.into())
}

const PHASES: [Phase; 3] = [Phase::Opened, Phase::Updated, Phase::Closed];

/// The number that is kept for a severity.
pub(super) fn severity_number(severity: Severity) -> i64 {
    severity as i64
}

/// An event, of [`COLUMNS`].
pub(super) fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let text = |column| row.get_ref(column)?.as_str().map_err(|e| odd(column, e));
    let named = |column| -> rusqlite::Result<Option<String>> { row.get(column) };
    let number = |column| -> rusqlite::Result<usize> { row.get(column) };
    let id: EventId = text(0)?.parse().map_err(|e| odd(0, e))?;
    let commune: CommuneId = text(1)?.parse().map_err(|e| odd(1, e))?;
    let camera: Option<CameraId> = match named(2)? {
        Some(camera) => Some(camera.parse().map_err(|e| odd(2, e))?),
        None => None,
    };
    let severity = Severity::ALL.get(number(5)?).copied();
    let phase = PHASES.get(number(6)?).copied();
    let answered = match named(14)? {
        None => None,
        Some(who) => Some(EventAnswer {
            who,
            at: UnixMicros(row.get(15)?),
            false_alarm: row.get(16)?,
        }),
    };
    Ok(Event {
        id,
        commune,
        camera,
        kind: row.get(3)?,
        plugin: row.get(4)?,
        severity: severity.ok_or_else(|| odd(5, "no severity"))?,
        phase: phase.ok_or_else(|| odd(6, "no phase"))?,
        revision: row.get(7)?,
        began: UnixMicros(row.get(8)?),
        last: UnixMicros(row.get(9)?),
        ended: row.get::<_, Option<i64>>(10)?.map(UnixMicros),
        best: serde_json::from_str(text(11)?).map_err(|e| odd(11, e))?,
        detections: row.get(12)?,
        picture: row.get(13)?,
        answered,
        assigned: named(17)?,
        silenced: row.get(18)?,
        extra: serde_json::from_str(text(19)?).map_err(|e| odd(19, e))?,
    })
}

/// An entry, of `seq, revision, at, what` from a column on.
pub(super) fn entry(row: &Row<'_>, from: usize) -> rusqlite::Result<LogEntry> {
    let what = row.get_ref(from + 3)?;
    let what = what.as_str().map_err(|e| odd(from + 3, e))?;
    Ok(LogEntry {
        seq: row.get(from)?,
        revision: row.get(from + 1)?,
        at: UnixMicros(row.get(from + 2)?),
        happening: serde_json::from_str(what).map_err(|e| odd(from + 3, e))?,
    })
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(StoreError::Unwritable)
}

pub(super) fn insert(to: &Connection, event: &Event) -> Result<(), StoreError> {
    to.prepare_cached(
        "INSERT INTO event (id, commune, camera, kind, plugin, severity, phase, revision, began, \
         last, ended, best, detections, silenced, extra) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?
    .execute(params![
        event.id.to_string(),
        event.commune.as_str(),
        event.camera.as_ref().map(CameraId::as_str),
        event.kind,
        event.plugin,
        severity_number(event.severity),
        event.phase as i64,
        event.revision,
        event.began.0,
        event.last.0,
        event.ended.map(|at| at.0),
        json(&event.best)?,
        event.detections,
        event.silenced,
        json(&event.extra)?,
    ])?;
    Ok(())
}

/// What a group knows. The rest of the row belongs to others.
pub(super) fn set_course(
    to: &Connection,
    id: EventId,
    course: &Course,
    phase: Phase,
) -> Result<bool, StoreError> {
    let ended = (phase == Phase::Closed).then_some(course.last.0);
    let rows = to
        .prepare_cached(
            "UPDATE event SET began = ?2, last = ?3, best = ?4, detections = ?5, phase = ?6, \
             ended = ?7 WHERE id = ?1 AND ended IS NULL",
        )?
        .execute(params![
            id.to_string(),
            course.began.0,
            course.last.0,
            json(&course.best)?,
            course.detections,
            phase as i64,
            ended,
        ])?;
    Ok(rows == 1)
}

/// As [`set_course`], for an event that goes on as before.
pub(super) fn touch(to: &Connection, id: EventId, course: &Course) -> Result<(), StoreError> {
    to.prepare_cached(
        "UPDATE event SET last = ?2, detections = ?3 WHERE id = ?1 AND ended IS NULL",
    )?
    .execute(params![id.to_string(), course.last.0, course.detections])?;
    Ok(())
}

/// In place of the picture that was kept before.
pub(super) fn set_picture(
    to: &Connection,
    id: EventId,
    picture: &EventPicture,
) -> Result<(), StoreError> {
    let mut keep = to.prepare_cached(
        "INSERT INTO picture (event, marked, jpeg) SELECT number, ?2, ?3 FROM event WHERE id = ?1 \
         ON CONFLICT DO UPDATE SET jpeg = excluded.jpeg",
    )?;
    keep.execute(params![id.to_string(), false, picture.plain])?;
    keep.execute(params![id.to_string(), true, picture.marked])?;
    to.prepare_cached("UPDATE event SET picture = 1 WHERE id = ?1")?
        .execute([id.to_string()])?;
    Ok(())
}

pub(super) fn read(from: &Connection, id: EventId) -> rusqlite::Result<Option<(i64, Event)>> {
    let one = format!("SELECT {COLUMNS}, number FROM event WHERE id = ?1");
    from.prepare_cached(&one)?
        .query_row([id.to_string()], |row| Ok((row.get(20)?, event(row)?)))
        .optional()
}

/// Writes an entry; one that changes the event makes its revision rise. What the policy has to be asked
/// about is asked from then on.
pub(super) fn append(
    to: &Connection,
    id: EventId,
    at: UnixMicros,
    happening: Happening,
) -> Result<Told, StoreError> {
    if happening.changes() {
        to.prepare_cached("UPDATE event SET revision = revision + 1 WHERE id = ?1")?
            .execute([id.to_string()])?;
    }
    let (number, event) = read(to, id)?.ok_or(StoreError::Unknown)?;
    to.prepare_cached("INSERT INTO log (event, revision, at, what) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![number, event.revision, at.0, json(&happening)?])?;
    let seq = u64::try_from(to.last_insert_rowid()).unwrap_or(0);
    if let Some(why) = happening.asks() {
        ask(to, number, why, at)?;
    }
    Ok(Told {
        entry: LogEntry {
            seq,
            revision: event.revision,
            at,
            happening,
        },
        event,
    })
}

/// A question waits from now on, or is asked later than it was to be.
pub(super) fn ask(to: &Connection, event: i64, why: Why, due: UnixMicros) -> rusqlite::Result<()> {
    // The newest replaces one that waits: the answer is to the event as it is now.
    to.prepare_cached("INSERT OR REPLACE INTO question (event, why, due) VALUES (?1, ?2, ?3)")?
        .execute(params![event, why_number(why), due.0])?;
    Ok(())
}

const WHYS: [Why; 6] = [
    Why::Opened,
    Why::Updated,
    Why::Closed,
    Why::Answered,
    Why::Timer,
    Why::Undelivered,
];

/// The number that is kept for a reason to ask.
pub(super) fn why_number(why: Why) -> i64 {
    WHYS.iter()
        .position(|w| *w == why)
        .map_or(0, |at| at as i64)
}

/// The reason that a number was kept for.
pub(super) fn why(number: usize) -> Why {
    WHYS.get(number).copied().unwrap_or(Why::Timer)
}

/// What can be searched for: what the detection says, what people wrote, where it was.
pub(super) fn index(to: &Connection, id: EventId) -> Result<(), StoreError> {
    let Some((number, event)) = read(to, id)? else {
        return Ok(());
    };
    let mut words = vec![event.kind.clone(), event.best.text.clone()];
    words.extend(event.camera.iter().map(ToString::to_string));
    let extra = event.best.extra.iter().chain(&event.extra);
    words.extend(extra.map(|attribute| attribute.value.clone()));
    let mut log = to.prepare_cached("SELECT what FROM log WHERE event = ?1")?;
    for what in log.query_map([number], |row| row.get::<_, String>(0))? {
        if let Ok(Happening::Commented { text, .. }) = serde_json::from_str(&what?) {
            words.push(text);
        }
    }
    to.prepare_cached("DELETE FROM event_text WHERE rowid = ?1")?
        .execute([number])?;
    to.prepare_cached("INSERT INTO event_text (rowid, text) VALUES (?1, ?2)")?
        .execute(params![number, folded(&words.join("\n"))])?;
    Ok(())
}

/// As the index has it. It leaves out the marks of Vietnamese, but `đ` is a letter to it.
pub(super) fn folded(text: &str) -> String {
    text.replace('đ', "d").replace('Đ', "D")
}
