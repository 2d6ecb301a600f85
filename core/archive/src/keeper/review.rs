//! Asks what becomes of segments, and writes the answer down.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, params};
use taimat_base::clock;
use taimat_contract::UnixMicros;
use taimat_contract::storage::{Placement, Review, ReviewCause, Segment, Storage, StorageTarget};

use super::asking::{self, Asking};
use crate::builtin;
use crate::config::{CommuneArchive, Keep};
use crate::error::ArchiveError;
use crate::facts::{self, Facts, LOCAL};
use crate::index::Index;
use crate::volume::Volume;

/// What is due and not answered, or may not go, is asked about again after so long.
const LATER: Duration = Duration::from_secs(3600);
/// A time that is over already is asked about again after so long, whatever a plugin says.
const SOON: Duration = Duration::from_secs(60);

/// Who is asked, and about what.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) commune: Arc<CommuneArchive>,
    /// The plugin; none if the file decides.
    pub(crate) storage: Option<Arc<dyn Storage>>,
    /// The places that it may name.
    pub(crate) targets: Vec<StorageTarget>,
}

/// What is written down of an answer.
#[derive(Debug, Default)]
struct Answer {
    /// Segments that were asked about, and why.
    asked: Vec<(u64, i64)>,
    placements: Vec<Placement>,
    /// Why others were not answered.
    error: Option<String>,
}

/// Asks about some of a commune's segments. Says whether there are more.
///
/// # Errors
/// If the index says no. What the storage plugin says wrong is told and leaves everything as it is.
pub(crate) async fn review(
    index: &Arc<Index>,
    volume: &Volume,
    question: &Question,
    asking: &mut Asking,
    now: UnixMicros,
) -> Result<bool, ArchiveError> {
    let most = asking.batch();
    let (from, own) = (Arc::clone(index), Arc::clone(&question.commune));
    let known =
        tokio::task::spawn_blocking(move || from.read(|index| asking::swept(index, &own.commune)));
    let known = known.await.map_err(|_ended| ArchiveError::Stopped)??;
    let (id, said) = (
        question.commune.commune.clone(),
        question.commune.said.clone(),
    );
    let mut swept = match known {
        Some((before, swept)) if before == said => swept,
        other => {
            let (id, said, first) = (id.clone(), said.clone(), other.is_none());
            let write = volume.write(move |to| asking::begin(to, &id, &said, first));
            write.await?
        }
    };
    let (from, own) = (Arc::clone(index), Arc::clone(&question.commune));
    let asked = tokio::task::spawn_blocking(move || {
        let keep = |camera: &str| keep_of(&own, camera);
        from.read(|index| facts::asked(index, &own.commune, keep, swept, now, most))
    });
    let asked = asked.await.map_err(|_ended| ArchiveError::Stopped)??;
    let more = asked.len() == most;
    let answer = match &question.storage {
        Some(storage) => by_plugin(storage.as_ref(), &asked, &question.targets, now).await,
        None => built_in(&asked, &question.commune, now),
    };
    let going_on = answer.error.is_none();
    match answer.error {
        Some(error) => asking.failed(error, asked.len(), clock::now()),
        // Who was not asked has not answered.
        None if asked.is_empty() => {}
        None => asking.answered(),
    }
    let before = swept;
    let last = answer.asked.iter().filter(|(_, asks)| *asks == SWEPT);
    swept.after = last.map(|(id, _)| *id).max().unwrap_or(swept.after);
    if going_on && !more {
        swept.after = swept.upto;
    }
    if answer.asked.is_empty() && swept == before {
        return Ok(false);
    }
    volume
        .write(move |to| {
            for (id, asks) in answer.asked {
                answered(to, id, asks, now)?;
            }
            for placement in &answer.placements {
                place(to, placement, now)?;
            }
            if swept != before {
                asking::note(to, &id, &said, swept)?;
            }
            Ok(())
        })
        .await?;
    Ok(more && going_on)
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

fn built_in(asked: &[Facts], commune: &CommuneArchive, now: UnixMicros) -> Answer {
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
    Answer {
        asked: asked.iter().map(|f| (f.segment.id, f.asks)).collect(),
        placements: asked.iter().map(one).collect(),
        error: None,
    }
}

/// Segments that are asked about because settings have changed.
const SWEPT: i64 = 3;

/// What the plugin says: of segments about which it is asked for one reason. Where it fails nothing more is
/// asked, and what it was not asked about is asked about later.
async fn by_plugin(
    storage: &dyn Storage,
    asked: &[Facts],
    targets: &[StorageTarget],
    now: UnixMicros,
) -> Answer {
    let mut answer = Answer::default();
    for (asks, why) in [
        (1, ReviewCause::Fresh),
        (4, ReviewCause::Due),
        (2, ReviewCause::Changed),
        (SWEPT, ReviewCause::Configured),
    ] {
        let of = asked.iter().filter(|facts| facts.asks == asks);
        let mut segments: Vec<Segment> = of.map(|facts| facts.segment.clone()).collect();
        if segments.is_empty() {
            continue;
        }
        segments.sort_by_key(|segment| segment.start);
        let ids = segments.iter().map(|segment| (segment.id, asks));
        let ids: Vec<(u64, i64)> = ids.collect();
        let review = Review {
            why,
            segments,
            targets: targets.to_vec(),
            now,
        };
        // The plugin's own side holds the answer against the contract too; whoever it is, it is held here.
        let placed = match storage.review(&review).await {
            Ok(placements) => review.answered(placements).map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match placed {
            Ok(placements) => {
                answer.asked.extend(ids);
                answer.placements.extend(placements);
            }
            Err(error) => {
                tracing::warn!(
                    ?why,
                    error,
                    "storage does not answer: everything stays where it is"
                );
                if ids.len() == 1 {
                    // The one at which it fails: the others are not to wait for it.
                    answer.asked.extend(ids);
                }
                answer.error = Some(error);
                break;
            }
        }
    }
    answer
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
fn place(to: &Connection, placement: &Placement, now: UnixMicros) -> Result<(), ArchiveError> {
    let here = placement.copies.iter().find(|copy| copy.target == LOCAL);
    // It is asked again when the first of them is due.
    let until = placement.copies.iter().map(|copy| copy.until.0).min();
    let until = until.unwrap_or(i64::MAX);
    // One that is over is no reason to ask without end.
    let until = if until <= now.0 {
        now.after(SOON).0
    } else {
        until
    };
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
             checked = CASE state WHEN 2 THEN NULL ELSE checked END, \
             tries = CASE state WHEN 2 THEN 0 ELSE tries END, \
             next = CASE state WHEN 2 THEN 0 ELSE next END, \
             state = CASE state WHEN 2 THEN 0 ELSE state END",
        )?
        .execute(params![placement.id, copy.target, copy.until.0, copy.worth])?;
    }
    // Here is wanted what is elsewhere only: nothing replaces the copies there are, so they stay for that long.
    let only_elsewhere: bool = to
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM segment WHERE id = ?1 AND state = 3)")?
        .query_row([placement.id], |row| row.get(0))?;
    if let Some(copy) = here.filter(|_| only_elsewhere) {
        to.prepare_cached(
            "UPDATE copy SET until = max(until, ?2), worth = max(worth, ?3) \
             WHERE segment = ?1 AND state = 1",
        )?
        .execute(params![placement.id, copy.until.0, copy.worth])?;
        return Ok(());
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
