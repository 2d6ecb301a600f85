//! Makes room before there is none: the least worth first, of that the oldest; never what somebody holds.

use rusqlite::{Connection, params};
use taimat_base::{CameraKey, CommuneId};
use taimat_contract::UnixMicros;

use crate::config::CommuneArchive;
use crate::disk_space::Space;
use crate::error::ArchiveError;
use crate::volume::RESERVE;

/// Segments that are taken off the disk at once.
const AT_ONCE: usize = 64;
/// Seconds of what is recorded for which there is always to be room.
const HEADROOM: u64 = 60;

/// Where room is short, and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shortage {
    /// On the disk.
    Disk(u64),
    /// Of what a commune may have.
    Commune(CommuneId, u64),
    /// Of what a camera may have.
    Camera(CameraKey, u64),
}

impl Shortage {
    /// Bytes that are missing.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Disk(bytes) | Self::Commune(_, bytes) | Self::Camera(_, bytes) => *bytes,
        }
    }
}

/// Where room is short. `rate` is what is recorded, in bytes a second.
pub(crate) fn shortages(
    index: &Connection,
    space: Space,
    floor: u64,
    rate: u64,
    communes: &[std::sync::Arc<CommuneArchive>],
) -> Result<Vec<Shortage>, ArchiveError> {
    let mut found = Vec::new();
    let wanted = floor.saturating_add(rate.saturating_mul(HEADROOM));
    // Nothing is recorded where the index's room can not be kept.
    let wanted = wanted.max(RESERVE * 2);
    // A disk that is smaller than that is filled to the half.
    let wanted = wanted.min(space.total / 2);
    if space.free < wanted {
        found.push(Shortage::Disk(wanted - space.free));
    }
    for commune in communes {
        let cameras = used(index, &commune.commune)?;
        let all: u64 = cameras.iter().map(|(_, bytes)| bytes).sum();
        if let Some(quota) = commune.quota.filter(|quota| all > *quota) {
            found.push(Shortage::Commune(commune.commune.clone(), all - quota));
        }
        for (camera, bytes) in cameras {
            let own = commune.cameras.iter();
            let own = own.filter(|own| own.camera.camera.as_str() == camera);
            let quota = own.filter_map(|own| own.quota).next();
            if let Some(quota) = quota.filter(|quota| bytes > *quota) {
                let camera = camera.parse().ok();
                let key = camera.map(|camera| CameraKey::new(commune.commune.clone(), camera));
                found.extend(key.map(|key| Shortage::Camera(key, bytes - quota)));
            }
        }
    }
    Ok(found)
}

/// Bytes of recordings here, by camera.
pub(crate) fn used(
    index: &Connection,
    commune: &CommuneId,
) -> Result<Vec<(String, u64)>, ArchiveError> {
    let mut all = index.prepare_cached(
        "SELECT camera, sum(stored) FROM stream WHERE commune = ?1 GROUP BY camera",
    )?;
    let all = all.query_map([commune.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(all.collect::<Result<_, _>>()?)
}

/// What goes to make room: enough of it, or as much as may go at once. Nothing if all that is there is held
/// or wanted.
pub(crate) fn make_room(
    index: &Connection,
    shortage: &Shortage,
    now: UnixMicros,
) -> Result<Vec<u64>, ArchiveError> {
    let (commune, camera) = match shortage {
        Shortage::Disk(_) => (None, None),
        Shortage::Commune(commune, _) => (Some(commune.as_str()), None),
        Shortage::Camera(camera, _) => {
            (Some(camera.commune.as_str()), Some(camera.camera.as_str()))
        }
    };
    let mut all = index.prepare_cached(
        "SELECT id, bytes FROM segment INDEXED BY segment_by_worth \
         JOIN stream ON number = segment.stream \
         WHERE state = 1 AND (?1 IS NULL OR commune = ?1) AND (?2 IS NULL OR camera = ?2) \
         AND NOT EXISTS (SELECT 1 FROM hold WHERE hold.commune = stream.commune \
           AND hold.camera = stream.camera AND released IS NULL AND hold.start < segment.end \
           AND hold.end > segment.start AND (hold.until IS NULL OR hold.until > ?3)) \
         AND NOT EXISTS (SELECT 1 FROM take WHERE take.commune = stream.commune \
           AND take.camera = stream.camera AND take.start < segment.end \
           AND take.end > segment.start AND take.until > ?3) \
         ORDER BY worth, segment.start LIMIT ?4",
    )?;
    let all = all.query_map(params![commune, camera, now.0, AT_ONCE], |row| {
        Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?))
    })?;
    let (mut ids, mut bytes) = (Vec::new(), 0);
    for one in all {
        if bytes >= shortage.bytes() {
            break;
        }
        let (id, own) = one?;
        ids.push(id);
        bytes += own;
    }
    Ok(ids)
}

/// What is due, has been asked about, and may go: its time is over, or it is to be elsewhere only and is there.
pub(crate) fn aged(index: &Connection, now: UnixMicros) -> Result<Vec<u64>, ArchiveError> {
    let mut all = index.prepare_cached(
        "SELECT id FROM segment JOIN stream ON number = segment.stream \
         WHERE state = 1 AND leaves = 1 \
         AND NOT EXISTS (SELECT 1 FROM copy WHERE copy.segment = segment.id AND copy.state = 0) \
         AND NOT EXISTS (SELECT 1 FROM hold WHERE hold.commune = stream.commune \
           AND hold.camera = stream.camera AND released IS NULL AND hold.start < segment.end \
           AND hold.end > segment.start AND (hold.until IS NULL OR hold.until > ?1)) \
         AND NOT EXISTS (SELECT 1 FROM take WHERE take.commune = stream.commune \
           AND take.camera = stream.camera AND take.start < segment.end \
           AND take.end > segment.start AND take.until > ?1) \
         ORDER BY segment.start LIMIT ?2",
    )?;
    let all = all.query_map(params![now.0, AT_ONCE], |row| row.get(0))?;
    Ok(all.collect::<Result<_, _>>()?)
}
