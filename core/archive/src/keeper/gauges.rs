//! What ops are shown of recordings, and what is the matter as the index knows it.

use rusqlite::{Connection, params};
use taimat_base::CommuneId;
use taimat_contract::UnixMicros;

use crate::config::CommuneArchive;
use crate::disk_space::Space;
use crate::error::ArchiveError;
use crate::metrics::ArchiveMetrics;
use crate::standing::{flow, short_at};
use crate::trouble::{Trouble, TroubleKind};

/// Room that is short within this is an event, in microseconds: three days.
const SOON: i64 = 3 * 86_400_000_000;
/// A copy that failed so often in a row is an event.
const OFTEN: i64 = 5;

/// What there is of a camera.
#[derive(Debug)]
struct CameraGauge {
    commune: String,
    camera: String,
    bytes: u64,
    oldest: Option<i64>,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Gauges {
    cameras: Vec<CameraGauge>,
    held: Vec<(String, u64)>,
    copies: Vec<(String, String, u64)>,
    short_at: Option<UnixMicros>,
    pub(crate) troubles: Vec<Trouble>,
}

/// Looks at the index.
pub(crate) fn gauges(
    index: &Connection,
    communes: &[&CommuneArchive],
    space: Space,
    floor: u64,
    now: UnixMicros,
) -> Result<Gauges, ArchiveError> {
    let (came, aged) = flow(index, now)?;
    let short_at = short_at(space.free.saturating_sub(floor), came, aged, now);
    let mut found = Gauges {
        cameras: cameras(index)?,
        held: Vec::new(),
        copies: Vec::new(),
        short_at,
        troubles: Vec::new(),
    };
    let soon = short_at.filter(|at| at.0 - now.0 < SOON);
    for commune in communes {
        let id = &commune.commune;
        found.held.push((id.to_string(), held(index, id, now)?));
        let recorded = commune
            .cameras
            .iter()
            .any(|c| c.mode != crate::config::Mode::Off);
        if let (Some(at), true) = (soon, recorded) {
            let hours = (at.0 - now.0) / 3_600_000_000;
            let text = format!("room is short in {hours} hours, as it goes at present");
            found
                .troubles
                .push(trouble(TroubleKind::Short, id, "", text));
        }
        for store in &commune.stores {
            let (waiting, error) = copies(index, id, &store.name)?;
            found
                .copies
                .push((id.to_string(), store.name.clone(), waiting));
            if let Some(error) = error {
                found
                    .troubles
                    .push(trouble(TroubleKind::Copy, id, &store.name, error));
            }
        }
    }
    Ok(found)
}

fn trouble(kind: TroubleKind, commune: &CommuneId, about: &str, text: String) -> Trouble {
    Trouble {
        kind,
        commune: commune.clone(),
        camera: None,
        about: about.into(),
        text,
    }
}

fn cameras(index: &Connection) -> Result<Vec<CameraGauge>, ArchiveError> {
    let mut all = index.prepare_cached(
        "SELECT commune, camera, sum(stored), \
         min((SELECT min(start) FROM segment WHERE segment.stream = number)) \
         FROM stream GROUP BY commune, camera",
    )?;
    let all = all.query_map([], |row| {
        Ok(CameraGauge {
            commune: row.get(0)?,
            camera: row.get(1)?,
            bytes: row.get(2)?,
            oldest: row.get(3)?,
        })
    })?;
    Ok(all.collect::<Result<_, _>>()?)
}

fn held(index: &Connection, commune: &CommuneId, now: UnixMicros) -> Result<u64, ArchiveError> {
    Ok(index
        .prepare_cached(
            "SELECT coalesce(sum(bytes), 0) FROM segment WHERE id IN (\
             SELECT segment.id FROM hold JOIN stream ON stream.commune = hold.commune \
               AND stream.camera = hold.camera \
             JOIN segment ON segment.stream = stream.number AND segment.start < hold.end \
               AND segment.start > hold.start - 3600000000 AND segment.end > hold.start \
             WHERE hold.commune = ?1 AND released IS NULL \
               AND (hold.until IS NULL OR hold.until > ?2))",
        )?
        .query_row(params![commune.as_str(), now.0], |row| row.get(0))?)
}

/// Copies that wait at a place, and what the one says that failed most often; or, before that, one that was there
/// and is not what it should be.
fn copies(
    index: &Connection,
    commune: &CommuneId,
    store: &str,
) -> Result<(u64, Option<String>), ArchiveError> {
    let (waiting, tries, spoilt, error): (u64, Option<i64>, u64, Option<String>) = index
        .prepare_cached(
            "SELECT count(*), max(2 * tries + (checked IS NOT NULL)), \
             coalesce(sum(copy.state = 0 AND checked IS NOT NULL), 0), error FROM copy \
             JOIN segment ON id = copy.segment JOIN stream ON number = segment.stream \
             WHERE target = ?2 AND copy.state != 1 AND commune = ?1",
        )?
        .query_row(params![commune.as_str(), store], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
    let failing = spoilt > 0 || tries.is_some_and(|twice| twice / 2 >= OFTEN);
    Ok((waiting, error.filter(|_| failing)))
}

impl Gauges {
    /// Shows them.
    pub(crate) fn show(&self, metrics: &ArchiveMetrics, now: UnixMicros) {
        let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        metrics.used.reset();
        metrics.oldest.reset();
        for one in &self.cameras {
            let labels = [one.commune.as_str(), one.camera.as_str()];
            let used = metrics.used.with_label_values(&labels);
            used.set(number(one.bytes));
            if let Some(oldest) = one.oldest {
                let oldest_seconds = oldest / 1_000_000;
                metrics
                    .oldest
                    .with_label_values(&labels)
                    .set(oldest_seconds);
            }
        }
        for (commune, bytes) in &self.held {
            metrics
                .held
                .with_label_values(&[commune])
                .set(number(*bytes));
        }
        metrics.copies.reset();
        for (commune, store, waiting) in &self.copies {
            let labels = [commune.as_str(), store.as_str()];
            metrics
                .copies
                .with_label_values(&labels)
                .set(number(*waiting));
        }
        let left = self.short_at.map(|at| at.since(now).as_secs_f64());
        metrics.short.set(left.unwrap_or(f64::INFINITY));
    }
}
