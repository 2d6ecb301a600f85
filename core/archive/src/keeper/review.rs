//! Asks what becomes of segments, and writes the answer down.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, params};
use taimat_contract::UnixMicros;
use taimat_contract::storage::{Placement, Review, ReviewCause, Segment, Storage, StorageTarget};

use crate::builtin;
use crate::config::{CommuneArchive, Keep};
use crate::error::ArchiveError;
use crate::facts::{self, Facts, LOCAL};
use crate::index::Index;
use crate::volume::Volume;

/// Segments of one question.
const AT_ONCE: usize = Segment::MAX_ASKED;
/// What is due and not answered, or may not go, is asked about again after so long.
const LATER: Duration = Duration::from_secs(3600);

/// Asks about some of a commune's segments. Says whether there are more.
///
/// # Errors
/// If the index says no. What the storage plugin says wrong is told and leaves everything as it is.
pub(crate) async fn review(
    index: &Arc<Index>,
    volume: &Volume,
    commune: &Arc<CommuneArchive>,
    storage: Option<Arc<dyn Storage>>,
    targets: Vec<StorageTarget>,
    now: UnixMicros,
) -> Result<bool, ArchiveError> {
    let (from, own) = (Arc::clone(index), Arc::clone(commune));
    let asked = tokio::task::spawn_blocking(move || {
        let keep = |camera: &str| keep_of(&own, camera);
        from.read(|index| facts::asked(index, &own.commune, keep, now, AT_ONCE))
    });
    let asked = asked.await.map_err(|_ended| ArchiveError::Stopped)??;
    if asked.is_empty() {
        return Ok(false);
    }
    let more = asked.len() == AT_ONCE;
    let answers = match storage {
        Some(storage) => by_plugin(storage.as_ref(), &asked, targets, now).await,
        None => built_in(&asked, commune, now),
    };
    let ids: Vec<(u64, i64)> = asked.iter().map(|f| (f.segment.id, f.asks)).collect();
    volume
        .write(move |to| {
            for (id, asks) in ids {
                answered(to, id, asks, now)?;
            }
            for placement in &answers {
                place(to, placement)?;
            }
            Ok(())
        })
        .await?;
    Ok(more)
}

/// How long a camera's recordings are kept.
pub(super) fn keep_of(commune: &CommuneArchive, camera: &str) -> Keep {
    let found = commune
        .cameras
        .iter()
        .find(|own| own.camera.camera.as_str() == camera);
    // One that was taken out of the file: as if nothing had been said.
    found.map_or_else(Keep::default, |own| own.keep)
}

fn built_in(asked: &[Facts], commune: &CommuneArchive, now: UnixMicros) -> Vec<Placement> {
    let one = |facts: &Facts| {
        let segment = &facts.segment;
        let here = segment.copies.iter().any(|copy| copy.target == LOCAL);
        let keep = keep_of(commune, &segment.camera);
        let own = builtin::place(segment, facts.on_event, keep);
        // What is elsewhere was put there by a plugin that is no more: it stays until its time is over.
        let others = segment.copies.iter().filter(|copy| copy.target != LOCAL);
        Placement {
            id: segment.id,
            copies: (here && own.until > now)
                .then_some(own)
                .into_iter()
                .chain(others.filter(|copy| copy.until > now).cloned())
                .collect(),
        }
    };
    asked.iter().map(one).collect()
}

/// What the plugin says: of segments about which it is asked for one reason.
async fn by_plugin(
    storage: &dyn Storage,
    asked: &[Facts],
    targets: Vec<StorageTarget>,
    now: UnixMicros,
) -> Vec<Placement> {
    let mut answers = Vec::new();
    for (asks, why) in [
        (1, ReviewCause::Fresh),
        (4, ReviewCause::Due),
        (2, ReviewCause::Changed),
        (3, ReviewCause::Configured),
    ] {
        let of = asked.iter().filter(|facts| facts.asks == asks);
        let mut segments: Vec<Segment> = of.map(|facts| facts.segment.clone()).collect();
        if segments.is_empty() {
            continue;
        }
        segments.sort_by_key(|segment| segment.start);
        let review = Review {
            why,
            segments,
            targets: targets.clone(),
            now,
        };
        match storage.review(&review).await {
            Ok(placements) => answers.extend(placements),
            Err(error) => {
                tracing::warn!(?why, %error, "storage does not answer: everything stays where it is");
            }
        }
    }
    answers
}

/// It has been asked: what is due is asked about again later if nothing else is said.
fn answered(to: &Connection, id: u64, asks: i64, now: UnixMicros) -> Result<(), ArchiveError> {
    // A change that came meanwhile is asked about still.
    to.prepare_cached("UPDATE segment SET asks = 0 WHERE id = ?1 AND asks = ?2")?
        .execute(params![id, asks])?;
    to.prepare_cached("UPDATE segment SET until = ?2 WHERE id = ?1 AND until <= ?3")?
        .execute(params![id, now.after(LATER).0, now.0])?;
    Ok(())
}

/// Has the copies be as it was said.
fn place(to: &Connection, placement: &Placement) -> Result<(), ArchiveError> {
    let here = placement.copies.iter().find(|copy| copy.target == LOCAL);
    // It is asked again when the first of them is due.
    let until = placement.copies.iter().map(|copy| copy.until.0).min();
    let until = until.unwrap_or(i64::MAX);
    match here {
        Some(copy) => to
            .prepare_cached("UPDATE segment SET until = ?2, worth = ?3, leaves = 0 WHERE id = ?1")?
            .execute(params![placement.id, until, copy.worth])?,
        // Once all others are there.
        None => to
            .prepare_cached("UPDATE segment SET until = ?2, leaves = 1 WHERE id = ?1")?
            .execute(params![placement.id, until])?,
    };
    for copy in placement.copies.iter().filter(|c| c.target != LOCAL) {
        to.prepare_cached(
            "INSERT INTO copy (segment, target, state, until, worth) VALUES (?1, ?2, 0, ?3, ?4) \
             ON CONFLICT (segment, target) DO UPDATE SET until = ?3, worth = ?4, \
             state = CASE state WHEN 2 THEN 0 ELSE state END",
        )?
        .execute(params![placement.id, copy.target, copy.until.0, copy.worth])?;
    }
    // What is not named goes once the others are there.
    let mut there =
        to.prepare_cached("SELECT target FROM copy WHERE segment = ?1 AND state != 2")?;
    let there = there.query_map([placement.id], |row| row.get::<_, String>(0))?;
    let there: Vec<String> = there.collect::<Result<_, _>>()?;
    for target in there {
        if placement.copies.iter().all(|copy| copy.target != target) {
            to.prepare_cached(
                "UPDATE copy SET state = 2, tries = 0, next = 0 WHERE segment = ?1 AND target = ?2",
            )?
            .execute(params![placement.id, target])?;
        }
    }
    Ok(())
}
