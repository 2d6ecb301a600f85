//! Takes segments off the disk: the row is marked, the file unlinked, its folder synced, the row gone; and it
//! is noted what is missing from then on, and why.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use taimat_contract::UnixMicros;
use taimat_hub::ChannelKey;

use crate::error::ArchiveError;
use crate::facts;
use crate::index::rows;
use crate::layout;
use crate::metrics::ArchiveMetrics;
use crate::reason::GapReason;
use crate::recover::remove_file;
use crate::volume::Volume;

/// Segments to be taken off the disk, and why.
#[derive(Debug, Clone)]
pub(crate) struct Removal {
    pub(crate) ids: Vec<u64>,
    pub(crate) reason: GapReason,
}

#[derive(Debug, Clone)]
struct Going {
    id: u64,
    key: ChannelKey,
    start: i64,
    bytes: u64,
}

/// Takes them off the disk. What is held by then stays. Returns the bytes that are free from then on.
///
/// # Errors
/// If the disk or the index says no: what is not done is done at the next start.
pub(crate) async fn remove(
    root: &Path,
    volume: &Volume,
    metrics: &ArchiveMetrics,
    removal: Removal,
    now: UnixMicros,
) -> Result<u64, ArchiveError> {
    let Removal { ids, reason } = removal;
    let going = volume
        .write(move |to| {
            let mut going = Vec::new();
            let streams: HashMap<i64, ChannelKey> = rows::streams(to)?.into_iter().collect();
            for id in ids {
                going.extend(mark(to, &streams, id, now)?);
            }
            Ok(going)
        })
        .await?;
    if going.is_empty() {
        return Ok(0);
    }
    let (root, files) = (root.to_owned(), going.clone());
    let unlinked = tokio::task::spawn_blocking(move || unlink(&root, &files));
    unlinked.await.map_err(|_ended| ArchiveError::Stopped)??;
    let bytes = going.iter().map(|one| one.bytes).sum();
    for one in &going {
        let labels = [one.key.camera.commune.as_str(), reason.as_str()];
        metrics.removed.with_label_values(&labels).inc();
        metrics
            .removed_bytes
            .with_label_values(&labels)
            .inc_by(one.bytes);
        tracing::debug!(segment = one.id, stream = %one.key, start = one.start, reason = reason.as_str(), "removed");
    }
    let ids: Arc<[u64]> = going.iter().map(|one| one.id).collect();
    volume
        .write(move |to| ids.iter().try_for_each(|id| gone(to, *id, reason, now)))
        .await?;
    Ok(bytes)
}

/// Marks one that may go.
fn mark(
    to: &Connection,
    streams: &HashMap<i64, ChannelKey>,
    id: u64,
    now: UnixMicros,
) -> Result<Option<Going>, ArchiveError> {
    let found: Option<(i64, i64, i64, u64)> = to
        .prepare_cached(
            "SELECT stream, start, end, bytes FROM segment WHERE id = ?1 AND state = 1",
        )?
        .query_row([id], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((stream, start, end, bytes)) = found else {
        return Ok(None);
    };
    let Some(key) = streams.get(&stream) else {
        return Ok(None);
    };
    let camera = &key.camera;
    // Somebody may have said so since it was looked.
    if facts::is_held(
        to,
        &camera.commune,
        camera.camera.as_str(),
        (start, end),
        now,
    )? {
        return Ok(None);
    }
    to.prepare_cached("UPDATE segment SET state = 2 WHERE id = ?1")?
        .execute([id])?;
    Ok(Some(Going {
        id,
        key: key.clone(),
        start,
        bytes,
    }))
}

fn unlink(root: &Path, going: &[Going]) -> Result<(), ArchiveError> {
    let mut folders: BTreeSet<PathBuf> = BTreeSet::new();
    for one in going {
        let path = root.join(layout::segment(&one.key, one.start, one.id));
        remove_file(&path)?;
        folders.extend(path.parent().map(Path::to_owned));
    }
    for folder in folders {
        // A day of which nothing is left. One that is not empty stays.
        if std::fs::remove_dir(&folder).is_ok() {
            continue;
        }
        match File::open(&folder) {
            Ok(open) => open
                .sync_all()
                .map_err(ArchiveError::disk("syncing", &folder))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(ArchiveError::disk("opening", &folder)(error)),
        }
    }
    Ok(())
}

/// Its row goes, unless there are copies elsewhere.
fn gone(to: &Connection, id: u64, reason: GapReason, now: UnixMicros) -> Result<(), ArchiveError> {
    if reason == GapReason::Aged {
        to.prepare_cached(
            "INSERT INTO flow (day, commune, aged) SELECT ?2 / 86400000000, commune, segment.bytes \
             FROM segment JOIN stream ON number = segment.stream WHERE id = ?1 \
             ON CONFLICT (day, commune) DO UPDATE SET aged = aged + excluded.aged",
        )?
        .execute(params![id, now.0])?;
    }
    rows::gone(to, id, reason.as_str())
}
