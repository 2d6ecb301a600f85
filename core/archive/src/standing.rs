//! How it stands with recordings: what is where, how long it lasts.

use rusqlite::{Connection, params};
use serde::Serialize;
use taimat_base::{CameraId, CommuneId};
use taimat_contract::UnixMicros;
use taimat_hub::ChannelKey;
use utoipa::ToSchema;

use crate::archive::Archive;
use crate::config::{CommuneArchive, StoreKind};
use crate::disk_space::Space;
use crate::error::ArchiveError;
use crate::facts::LOCAL;
use crate::moment::now;
use crate::recorder::AllWanted;

/// A day, in microseconds.
const DAY: i64 = 86_400_000_000;
/// How far back it is looked for what comes and goes.
const WEEK: i64 = 7;

/// How it stands with a camera's recordings here.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CameraStanding {
    /// The camera.
    #[schema(value_type = String)]
    pub camera: CameraId,
    /// What is recorded at present: `off`, `on-event` or `continuous`.
    pub mode: String,
    /// Nothing is recorded although it should be: there is no room.
    pub refused: bool,
    /// Bytes.
    pub used: u64,
    /// Bytes it may have.
    pub quota: Option<u64>,
    /// When the oldest begins, in microseconds since 1970.
    pub oldest: Option<UnixMicros>,
    /// When the newest ends.
    pub newest: Option<UnixMicros>,
}

/// How it stands with a place for recordings.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct StoreStanding {
    /// Its name; `local` is the disk that is recorded to.
    pub name: String,
    /// The folder, if it is one.
    pub folder: Option<String>,
    /// Bytes of the commune's recordings there.
    pub used: u64,
    /// Bytes it may have.
    pub quota: Option<u64>,
    /// Copies that are to be made or let go.
    pub waiting: u64,
    /// Why the last that failed did.
    pub error: Option<String>,
}

/// How it stands with a commune's recordings.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct StorageStanding {
    /// Bytes of the disk that is recorded to.
    pub total: u64,
    /// Bytes free on it.
    pub free: u64,
    /// Bytes that are left free.
    pub floor: u64,
    /// Bytes a day that came lately, of all communes.
    pub came_a_day: u64,
    /// Bytes a day that went by age lately, of all communes.
    pub aged_a_day: u64,
    /// When room is short if that goes on, in microseconds since 1970; none if it never is.
    pub short_at: Option<UnixMicros>,
    /// The plugin that decides what is kept where.
    pub storage: Option<String>,
    /// The cameras.
    pub cameras: Vec<CameraStanding>,
    /// The places.
    pub stores: Vec<StoreStanding>,
}

impl Archive {
    /// How it stands with a commune's recordings. Waits for the disk.
    ///
    /// # Errors
    /// If the index can not be read.
    pub fn standing(&self, commune: &CommuneId) -> Result<StorageStanding, ArchiveError> {
        let configured = self.configured();
        let own = configured.get(commune).ok_or(ArchiveError::Unknown)?;
        let space = Space::of(self.root())?;
        let now = now();
        let wanted = self.wanted().borrow().clone();
        self.index().read(|index| {
            let (came, aged) = flow(index, now)?;
            let room = space.free.saturating_sub(self.floor());
            Ok(StorageStanding {
                total: space.total,
                free: space.free,
                floor: self.floor(),
                came_a_day: came,
                aged_a_day: aged,
                short_at: short_at(room, came, aged, now),
                storage: own.storage.as_ref().map(ToString::to_string),
                cameras: cameras(index, own, &wanted)?,
                stores: stores(index, own)?,
            })
        })
    }
}

/// Bytes a day that came and that went by age within the last week, as far as anything was recorded in it.
pub(crate) fn flow(index: &Connection, now: UnixMicros) -> Result<(u64, u64), ArchiveError> {
    let today = now.0 / DAY;
    let (came, aged, first): (u64, u64, Option<i64>) = index
        .prepare_cached(
            "SELECT coalesce(sum(came), 0), coalesce(sum(aged), 0), min(day) FROM flow WHERE day > ?1",
        )?
        .query_row([today - WEEK], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    let Some(first) = first else {
        return Ok((0, 0));
    };
    // Since the beginning of the first of these days; an hour at least.
    let span = (now.0 - first * DAY).max(DAY / 24);
    let a_day = |bytes: u64| {
        let scaled = u128::from(bytes) * u128::from(DAY.unsigned_abs());
        u64::try_from(scaled / u128::from(span.unsigned_abs())).unwrap_or(u64::MAX)
    };
    Ok((a_day(came), a_day(aged)))
}

/// When so much room is used up.
pub(crate) fn short_at(room: u64, came: u64, aged: u64, now: UnixMicros) -> Option<UnixMicros> {
    let more = came.checked_sub(aged).filter(|more| *more > 0)?;
    let micros = u128::from(room) * u128::from(DAY.unsigned_abs()) / u128::from(more);
    let at = i64::try_from(micros).ok()?.checked_add(now.0)?;
    // Further than that nobody plans.
    (at - now.0 < 3650 * DAY).then_some(UnixMicros(at))
}

fn cameras(
    index: &Connection,
    commune: &CommuneArchive,
    wanted: &AllWanted,
) -> Result<Vec<CameraStanding>, ArchiveError> {
    let mut all = Vec::new();
    for own in &commune.cameras {
        let names = params![commune.commune.as_str(), own.camera.camera.as_str()];
        let (used, oldest, newest): (u64, Option<i64>, Option<i64>) = index
            .prepare_cached(
                "SELECT coalesce(sum(stored), 0), \
                 min((SELECT min(start) FROM segment WHERE segment.stream = number)), \
                 max((SELECT end FROM segment WHERE segment.stream = number \
                      ORDER BY start DESC LIMIT 1)) \
                 FROM stream WHERE commune = ?1 AND camera = ?2",
            )?
            .query_row(names, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let profile = own.profiles.first().copied().unwrap_or_default();
        let present = wanted.get(&ChannelKey::new(own.camera.clone(), profile));
        all.push(CameraStanding {
            camera: own.camera.camera.clone(),
            mode: present.map_or("off", |wanted| wanted.mode.as_str()).into(),
            refused: present.is_some_and(|wanted| wanted.refused.is_some()),
            used,
            quota: own.quota,
            oldest: oldest.map(UnixMicros),
            newest: newest.map(UnixMicros),
        });
    }
    Ok(all)
}

fn stores(
    index: &Connection,
    commune: &CommuneArchive,
) -> Result<Vec<StoreStanding>, ArchiveError> {
    let used: u64 = index
        .prepare_cached("SELECT coalesce(sum(stored), 0) FROM stream WHERE commune = ?1")?
        .query_row([commune.commune.as_str()], |row| row.get(0))?;
    let mut all = vec![StoreStanding {
        name: LOCAL.into(),
        folder: None,
        used,
        quota: commune.quota,
        waiting: 0,
        error: None,
    }];
    for store in &commune.stores {
        let names = params![commune.commune.as_str(), store.name];
        let (used, waiting, error): (u64, u64, Option<String>) = index
            .prepare_cached(
                "SELECT coalesce(sum(CASE copy.state WHEN 1 THEN copy.bytes ELSE 0 END), 0), \
                 coalesce(sum(copy.state != 1), 0), max(copy.error) FROM copy \
                 JOIN segment ON id = copy.segment JOIN stream ON number = segment.stream \
                 WHERE commune = ?1 AND target = ?2",
            )?
            .query_row(names, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        all.push(StoreStanding {
            name: store.name.clone(),
            folder: match &store.kind {
                StoreKind::Folder(folder) => Some(folder.display().to_string()),
                StoreKind::Reached => None,
            },
            used,
            quota: store.quota,
            waiting,
            error,
        });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_lasts_as_long_as_more_comes_than_goes() {
        let now = UnixMicros(1_800_000_000_000_000);
        let gib = 1 << 30;
        assert_eq!(
            short_at(10 * gib, 2 * gib, gib, now),
            Some(UnixMicros(now.0 + 10 * DAY))
        );
        assert_eq!(short_at(10 * gib, gib, gib, now), None);
        assert_eq!(short_at(10 * gib, 0, gib, now), None);
        assert_eq!(short_at(u64::MAX, 1, 0, now), None);
        assert_eq!(short_at(0, 1, 0, now), Some(now));
    }
}
