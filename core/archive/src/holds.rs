//! What people hold: nothing removes it, neither age nor quota, until somebody releases it. Who held and who
//! released, and why, goes into the log that can not be changed unseen, before it is so.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde_json::{Map, Value};
use taimat_audit::{AuditLog, Deed, Done, Entry, Receipt};
use taimat_base::{CameraId, CameraKey, CommuneId, text};
use taimat_contract::UnixMicros;
use utoipa::ToSchema;

use crate::error::ArchiveError;
use crate::marks::ask_again;

/// The log of what people did, within the archive's folder.
pub const FOLDER: &str = "audit";
/// Bytes of a name, and of what somebody writes.
const MAX_NAME: usize = 100;
const MAX_TEXT: usize = 1000;
/// Holds of a commune at most that are not released.
const MAX_HOLDS: u64 = 10_000;
/// A hold covers no more than this: a year.
const LONGEST: i64 = 366 * 86_400_000_000;

/// What somebody wants to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHold {
    /// The camera.
    pub camera: CameraKey,
    /// From when on.
    pub start: UnixMicros,
    /// Until when.
    pub end: UnixMicros,
    /// It ends by itself then; none is until it is released.
    pub until: Option<UnixMicros>,
    /// Who.
    pub who: String,
    /// Why.
    pub why: String,
    /// The case it is for; may be empty.
    pub case_number: String,
}

/// What somebody holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Hold {
    /// Its number.
    pub number: u64,
    /// The camera.
    #[schema(value_type = String)]
    pub camera: CameraId,
    /// From when on.
    pub start: UnixMicros,
    /// Until when.
    pub end: UnixMicros,
    /// It ends by itself then.
    pub until: Option<UnixMicros>,
    /// Who.
    pub who: String,
    /// Why.
    pub why: String,
    /// The case it is for; may be empty.
    pub case_number: String,
    /// When it was said.
    pub made: UnixMicros,
}

/// The log of what people did.
pub(crate) type SharedLog = Arc<Mutex<AuditLog>>;

impl NewHold {
    /// With what was given put in order.
    fn checked(self) -> Result<Self, ArchiveError> {
        let refuse = |why: &str| Err(ArchiveError::Refused(why.to_owned()));
        if self.end <= self.start {
            return refuse("a hold ends after it begins");
        }
        if self.end.0.saturating_sub(self.start.0) > LONGEST {
            return refuse("a hold is for a year at most");
        }
        let new = Self {
            who: named(&self.who)?,
            why: written(&self.why, "why it is held")?,
            case_number: text::line(self.case_number.trim(), MAX_NAME),
            ..self
        };
        Ok(new)
    }

    /// Writes it down. Returns it as it is from then on.
    pub(crate) fn insert(
        self,
        to: &Connection,
        log: &SharedLog,
        now: UnixMicros,
    ) -> Result<Hold, ArchiveError> {
        let new = self.checked()?;
        let commune = new.camera.commune.as_str();
        let many: u64 = to.query_row(
            "SELECT count(*) FROM hold WHERE commune = ?1 AND released IS NULL",
            [commune],
            |row| row.get(0),
        )?;
        if many >= MAX_HOLDS {
            let full = format!("{MAX_HOLDS} things are held: release some");
            return Err(ArchiveError::Refused(full));
        }
        to.execute(
            "INSERT INTO hold (commune, camera, start, end, until, who, why, case_number, made) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                commune,
                new.camera.camera.as_str(),
                new.start.0,
                new.end.0,
                new.until.map(|until| until.0),
                new.who,
                new.why,
                new.case_number,
                now.0
            ],
        )?;
        let number = u64::try_from(to.last_insert_rowid()).unwrap_or(0);
        ask_again(to, &new.camera, (new.start.0, new.end.0))?;
        let hold = Hold {
            number,
            camera: new.camera.camera.clone(),
            start: new.start,
            end: new.end,
            until: new.until,
            who: new.who,
            why: new.why,
            case_number: new.case_number,
            made: now,
        };
        let what = what(&new.camera.commune, &hold);
        let deed = Deed {
            done: Done::Hold,
            by: hold.who.clone(),
            role: String::new(),
            what,
            why: hold.why.clone(),
            case: hold.case_number.clone(),
        };
        write_down(log, deed, now)?;
        Ok(hold)
    }
}

/// Releases a hold.
pub(crate) fn release(
    to: &Connection,
    log: &SharedLog,
    commune: &CommuneId,
    number: u64,
    (who, why): (&str, &str),
    now: UnixMicros,
) -> Result<(), ArchiveError> {
    let (who, why) = (named(who)?, written(why, "why it is released")?);
    let hold = to
        .prepare_cached(
            "SELECT number, camera, start, end, until, who, why, case_number, made FROM hold \
             WHERE commune = ?1 AND number = ?2 AND released IS NULL",
        )?
        .query_row(params![commune.as_str(), number], read)
        .optional()?
        .ok_or(ArchiveError::Unknown)?;
    to.execute(
        "UPDATE hold SET released = ?2, released_by = ?3, released_why = ?4 WHERE number = ?1",
        params![number, now.0, who, why],
    )?;
    let camera = CameraKey::new(commune.clone(), hold.camera.clone());
    ask_again(to, &camera, (hold.start.0, hold.end.0))?;
    let deed = Deed {
        done: Done::Release,
        by: who,
        role: String::new(),
        what: what(commune, &hold),
        why,
        case: hold.case_number,
    };
    write_down(log, deed, now).map(drop)
}

/// Writes the holds that the log of what people did knows of: where the index was lost, that has not.
pub(crate) fn replay(to: &Connection, folder: &Path) -> Result<(), ArchiveError> {
    let mut failed = None;
    let read = taimat_audit::replay(folder, |entry| {
        if failed.is_none() {
            failed = again(to, entry).err();
        }
    });
    match (read, failed) {
        (_, Some(error)) => Err(error),
        (Err(error), None) => Err(error.into()),
        (Ok(()), None) => Ok(()),
    }
}

fn again(to: &Connection, entry: &Entry) -> Result<(), ArchiveError> {
    let deed = &entry.deed;
    let number = |name: &str| deed.what.get(name).and_then(Value::as_i64);
    let text = |name: &str| deed.what.get(name).and_then(Value::as_str);
    let at = entry.at_ms.saturating_mul(1000);
    let Some(hold) = number("hold") else {
        return Ok(());
    };
    match deed.done {
        Done::Hold => {
            to.execute(
                "INSERT OR IGNORE INTO hold \
                 (number, commune, camera, start, end, until, who, why, case_number, made) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                params![
                    hold,
                    text("commune").unwrap_or_default(),
                    text("camera").unwrap_or_default(),
                    number("start-us").unwrap_or(0),
                    number("end-us").unwrap_or(i64::MAX),
                    number("until-us"),
                    deed.by,
                    deed.why,
                    deed.case,
                    at
                ],
            )?;
        }
        Done::Release => {
            to.execute(
                "UPDATE hold SET released = ?2, released_by = ?3, released_why = ?4 \
                 WHERE number = ?1",
                params![hold, at, deed.by, deed.why],
            )?;
        }
        Done::Export | Done::Delete | Done::Key => {}
    }
    Ok(())
}

/// Notes what somebody did, in the log.
pub(crate) fn write_down(
    log: &SharedLog,
    deed: Deed,
    now: UnixMicros,
) -> Result<Receipt, ArchiveError> {
    let mut log = log.lock().unwrap_or_else(|e| e.into_inner());
    Ok(log.append(now.0 / 1000, deed)?)
}

/// The lines of the log from an entry to its head.
pub(crate) fn excerpt(log: &SharedLog, folder: &Path, entry: u64) -> Result<Vec<u8>, ArchiveError> {
    // So that no line is read of which only the half is written.
    let _log = log.lock().unwrap_or_else(|e| e.into_inner());
    let mut lines = Vec::new();
    if taimat_audit::write_excerpt(folder, &[entry], &mut lines)? {
        Ok(lines)
    } else {
        Err(ArchiveError::Unknown)
    }
}

fn what(commune: &CommuneId, hold: &Hold) -> Map<String, Value> {
    let mut what = Map::new();
    what.insert("commune".into(), commune.as_str().into());
    what.insert("camera".into(), hold.camera.as_str().into());
    what.insert("hold".into(), hold.number.into());
    what.insert("start-us".into(), hold.start.0.into());
    what.insert("end-us".into(), hold.end.0.into());
    if let Some(until) = hold.until {
        what.insert("until-us".into(), until.0.into());
    }
    what
}

/// The holds of a commune that are not released, the newest first.
pub(crate) fn list(of: &Connection, commune: &CommuneId) -> Result<Vec<Hold>, ArchiveError> {
    let mut all = of.prepare_cached(
        "SELECT number, camera, start, end, until, who, why, case_number, made FROM hold \
         WHERE commune = ?1 AND released IS NULL ORDER BY number DESC",
    )?;
    let all = all.query_map([commune.as_str()], read)?;
    Ok(all.collect::<Result<_, _>>()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Hold> {
    let camera: String = row.get(1)?;
    let camera = camera.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, Box::new(error))
    })?;
    Ok(Hold {
        number: row.get(0)?,
        camera,
        start: UnixMicros(row.get(2)?),
        end: UnixMicros(row.get(3)?),
        until: row.get::<_, Option<i64>>(4)?.map(UnixMicros),
        who: row.get(5)?,
        why: row.get(6)?,
        case_number: row.get(7)?,
        made: UnixMicros(row.get(8)?),
    })
}

/// The name that somebody gave.
pub(crate) fn named(given: &str) -> Result<String, ArchiveError> {
    let name = text::line(given.trim(), MAX_NAME);
    if name.is_empty() {
        return Err(ArchiveError::Refused("a name is needed".into()));
    }
    Ok(name)
}

/// What somebody wrote.
pub(crate) fn written(given: &str, what: &str) -> Result<String, ArchiveError> {
    let text = text::line(given.trim(), MAX_TEXT);
    if text.is_empty() {
        return Err(ArchiveError::Refused(format!("say {what}")));
    }
    Ok(text)
}
