//! Silences: somebody does not want to be told of something until a time.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use taimat_base::{CameraId, CommuneId};
use taimat_contract::UnixMicros;
use utoipa::ToSchema;

use crate::error::StoreError;
use crate::event::Event;
use crate::log::SilencedBy;

/// Silences of a commune at most.
const MAX_SILENCES: u32 = 200;
/// Microseconds of the longest silence: thirty days.
const LONGEST: i64 = 30 * 24 * 3600 * 1_000_000;

/// What nobody is to be told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSilence {
    /// The commune.
    pub commune: CommuneId,
    /// At this camera; none is all.
    pub camera: Option<CameraId>,
    /// Of this kind; none is all.
    pub kind: Option<String>,
    /// When it ends.
    pub until: UnixMicros,
    /// Who wants it: the name that the person gave.
    pub who: String,
    /// Why; may be empty.
    pub why: String,
}

/// A silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Silence {
    /// Its number.
    pub number: u64,
    /// The commune.
    #[schema(value_type = String)]
    pub commune: CommuneId,
    /// At this camera; none is all.
    #[schema(value_type = Option<String>)]
    pub camera: Option<CameraId>,
    /// Of this kind; none is all.
    pub kind: Option<String>,
    /// When it ends.
    pub until: UnixMicros,
    /// Who wants it.
    pub who: String,
    /// Why.
    pub why: String,
    /// Since when.
    pub made: UnixMicros,
}

impl NewSilence {
    pub(crate) fn insert(self, to: &Connection, now: UnixMicros) -> Result<Silence, StoreError> {
        if self.until <= now || self.until.0.saturating_sub(now.0) > LONGEST {
            let when = "a silence ends within thirty days, and not in the past";
            return Err(StoreError::Refused(when.into()));
        }
        let there: u32 = to
            .prepare_cached("SELECT count(*) FROM silence WHERE commune = ?1 AND until > ?2")?
            .query_row(params![self.commune.as_str(), now.0], |row| row.get(0))?;
        if there >= MAX_SILENCES {
            let many = format!("there are {MAX_SILENCES} silences already");
            return Err(StoreError::Refused(many));
        }
        to.prepare_cached(
            "INSERT INTO silence (commune, camera, kind, until, who, why, made) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            self.commune.as_str(),
            self.camera.as_ref().map(CameraId::as_str),
            self.kind,
            self.until.0,
            self.who,
            self.why,
            now.0,
        ])?;
        Ok(Silence {
            number: u64::try_from(to.last_insert_rowid()).unwrap_or(0),
            commune: self.commune,
            camera: self.camera,
            kind: self.kind,
            until: self.until,
            who: self.who,
            why: self.why,
            made: now,
        })
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Option<Silence>> {
    let commune = row.get::<_, String>(1)?.parse();
    let camera: Option<String> = row.get(2)?;
    let (Ok(commune), Ok(camera)) = (commune, camera.map(|c| c.parse()).transpose()) else {
        return Ok(None);
    };
    Ok(Some(Silence {
        number: row.get(0)?,
        commune,
        camera,
        kind: row.get(3)?,
        until: UnixMicros(row.get(4)?),
        who: row.get(5)?,
        why: row.get(6)?,
        made: UnixMicros(row.get(7)?),
    }))
}

impl Silence {
    pub(crate) fn list(from: &Connection, now: UnixMicros) -> Result<Vec<Self>, StoreError> {
        let mut all = from.prepare_cached(
            "SELECT number, commune, camera, kind, until, who, why, made FROM silence \
             WHERE until > ?1 ORDER BY number",
        )?;
        let all = all.query_map([now.0], read)?;
        let all = all.filter_map(Result::transpose);
        Ok(all.collect::<Result<_, _>>()?)
    }

    pub(crate) fn remove(
        to: &Connection,
        commune: &CommuneId,
        number: u64,
    ) -> Result<bool, StoreError> {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        let removed = to
            .prepare_cached("DELETE FROM silence WHERE number = ?1 AND commune = ?2")?
            .execute(params![number, commune.as_str()])?;
        Ok(removed == 1)
    }

    /// The silence under which an event began at a time: of several the one that ends last, since nobody is
    /// told before. None if it was taken back meanwhile.
    pub(crate) fn of(
        from: &Connection,
        event: &Event,
        began: UnixMicros,
    ) -> Result<Option<SilencedBy>, StoreError> {
        let mut last = from.prepare_cached(
            "SELECT number, who, until, why FROM silence WHERE commune = ?1 AND made <= ?2 \
             AND until > ?2 AND (camera IS NULL OR camera = ?3) AND (kind IS NULL OR kind = ?4) \
             ORDER BY until DESC, number LIMIT 1",
        )?;
        let event = params![
            event.commune.as_str(),
            began.0,
            event.camera.as_ref().map(CameraId::as_str),
            event.kind,
        ];
        let found = last.query_row(event, |row| {
            Ok(SilencedBy {
                number: row.get(0)?,
                who: row.get(1)?,
                until: UnixMicros(row.get(2)?),
                why: row.get(3)?,
            })
        });
        Ok(found.optional()?)
    }

    /// Whether nobody is to be told of an event.
    pub(crate) fn covers(
        from: &Connection,
        event: &Event,
        now: UnixMicros,
    ) -> Result<bool, StoreError> {
        let mut any = from.prepare_cached(
            "SELECT count(*) FROM silence WHERE commune = ?1 AND until > ?2 \
             AND (camera IS NULL OR camera = ?3) AND (kind IS NULL OR kind = ?4)",
        )?;
        let silences: u32 = any.query_row(
            params![
                event.commune.as_str(),
                now.0,
                event.camera.as_ref().map(CameraId::as_str),
                event.kind,
            ],
            |row| row.get(0),
        )?;
        Ok(silences > 0)
    }
}
