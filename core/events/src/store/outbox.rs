//! The outbox on disk: whose turn it is at a target, how far a delivery is, what came of it.

use rusqlite::{Connection, OptionalExtension, Row, params};
use taimat_base::CommuneId;
use taimat_contract::UnixMicros;
use taimat_contract::alerter::{Item, Receipt};

use super::browsers::{self, Which};
use super::enqueue::{self, Enqueued, NewDelivery, Room};
use super::event_store::{EventStore, name};
use super::rows;
use crate::delivery::{DeliveryStatus, Progress};
use crate::error::StoreError;
use crate::event::Event;
use crate::log::{Happening, NotToldReason, Told};
use crate::target::{self, Target};

/// A delivery whose turn it is, with all that is needed for it.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) number: i64,
    pub(crate) key: String,
    pub(crate) made: UnixMicros,
    pub(crate) due: UnixMicros,
    pub(crate) expires: UnixMicros,
    pub(crate) attempts: u32,
    /// None while it is not worded.
    pub(crate) progress: Option<Progress>,
    pub(crate) events: Vec<HeadEvent>,
}

/// An event of a delivery.
#[derive(Debug, Clone)]
pub(crate) struct HeadEvent {
    pub(crate) event: Event,
    pub(crate) earlier: Vec<Receipt>,
}

/// What a target has before it.
#[derive(Debug)]
pub(crate) enum Turn {
    /// This one is due.
    Now(Box<Head>),
    /// Something is due then.
    Later(UnixMicros),
    /// Nothing waits.
    Idle,
}

impl EventStore {
    /// Targets for which something waits.
    pub(crate) fn waiting_targets(&self) -> Result<Vec<(CommuneId, String)>, StoreError> {
        self.read(|from| {
            let mut all = from
                .prepare_cached("SELECT DISTINCT commune, target FROM delivery WHERE state = 0")?;
            let all = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let all: Vec<(String, String)> = all.collect::<Result<_, _>>()?;
            let known = |(commune, target): (String, String)| Some((commune.parse().ok()?, target));
            Ok(all.into_iter().filter_map(known).collect())
        })
    }

    /// Whose turn it is at a target. They go out in the order in which they were ruled; one that its target
    /// answered with an error again and again stands aside, and is tried when its time comes.
    pub(crate) fn turn(
        &self,
        commune: &CommuneId,
        target: &str,
        now: UnixMicros,
    ) -> Result<Turn, StoreError> {
        self.read(|from| {
            let head = from
                .prepare_cached(
                    "SELECT number, key, made, due, expires, attempts, plan FROM delivery \
                     WHERE state = 0 AND commune = ?1 AND target = ?2 AND not_before <= ?3 \
                     AND (aside = 0 OR due <= ?3) ORDER BY number LIMIT 1",
                )?
                .query_row(params![commune.as_str(), target, now.0], head)
                .optional()?;
            match head {
                Some(head) if head.due <= now => {
                    let head = with_events(from, head, target)?;
                    return Ok(Turn::Now(Box::new(head)));
                }
                Some(head) => return Ok(Turn::Later(head.due)),
                None => {}
            }
            let next: Option<i64> = from
                .prepare_cached(
                    "SELECT min(max(not_before, due)) FROM delivery \
                     WHERE state = 0 AND commune = ?1 AND target = ?2",
                )?
                .query_row([commune.as_str(), target], |row| row.get(0))?;
            Ok(next.map_or(Turn::Idle, |at| Turn::Later(UnixMicros(at))))
        })
    }

    /// Keeps how a delivery is worded, before any of it is sent. False if it was taken back meanwhile.
    pub(crate) async fn composed(
        &self,
        number: i64,
        target: String,
        progress: Progress,
        now: UnixMicros,
    ) -> Result<bool, StoreError> {
        let write = move |to: &Connection, told: &mut Vec<Told>| {
            let kept = to
                .prepare_cached("UPDATE delivery SET plan = ?2 WHERE number = ?1 AND state = 0")?
                .execute(params![number, rows::json(&progress)?])?;
            if kept == 0 {
                return Ok(false);
            }
            for item in &progress.task.items {
                let revision = item.event.revision;
                to.prepare_cached(
                    "UPDATE delivery_item SET revision = ?3 WHERE delivery = ?1 \
                     AND event = (SELECT number FROM event WHERE id = ?2)",
                )?
                .execute(params![number, item.event.id, revision])?;
            }
            let happening = Happening::Composed {
                target,
                delivery: number.unsigned_abs(),
                messages: u32::try_from(progress.planned.len()).unwrap_or(u32::MAX),
            };
            say(to, number, &happening, now, told)?;
            Ok(true)
        };
        self.writer.run(write).await
    }

    /// Keeps how far a delivery is.
    pub(crate) async fn progressed(
        &self,
        number: i64,
        progress: Progress,
        attempts: u32,
    ) -> Result<(), StoreError> {
        let write = move |to: &Connection, _: &mut Vec<Told>| {
            to.prepare_cached("UPDATE delivery SET plan = ?2, attempts = ?3 WHERE number = ?1")?
                .execute(params![number, rows::json(&progress)?, attempts])?;
            Ok(())
        };
        self.writer.run(write).await
    }

    /// It did not go well, and is tried again.
    pub(crate) async fn tried(&self, tried: Tried, now: UnixMicros) -> Result<(), StoreError> {
        let write = move |to: &Connection, told: &mut Vec<Told>| {
            let former: Option<Option<String>> = to
                .prepare_cached("SELECT error FROM delivery WHERE number = ?1")?
                .query_row([tried.number], |row| row.get(0))
                .optional()?;
            to.prepare_cached(
                "UPDATE delivery SET plan = ifnull(?2, plan), attempts = ?3, due = ?4, aside = ?5, \
                 error = ?6 WHERE number = ?1 AND state = 0",
            )?
            .execute(params![
                tried.number,
                tried.progress.as_ref().map(rows::json).transpose()?,
                tried.attempts,
                tried.again.0,
                tried.aside,
                tried.error,
            ])?;
            if former.flatten().as_deref() != Some(&tried.error) {
                let happening = Happening::Tried {
                    target: tried.target,
                    delivery: tried.number.unsigned_abs(),
                    attempt: tried.attempts,
                    error: tried.error,
                    again: tried.again,
                };
                say(to, tried.number, &happening, now, told)?;
            }
            Ok(())
        };
        self.writer.run(write).await
    }

    /// Tries a delivery that was given up once more.
    ///
    /// # Errors
    /// If there is none that was given up, or the disk says no.
    pub async fn retry(
        &self,
        commune: &CommuneId,
        number: u64,
        who: &str,
        deadline: std::time::Duration,
        now: UnixMicros,
    ) -> Result<(), StoreError> {
        let (who, commune) = (name(who)?, commune.clone());
        let write = move |to: &Connection, told: &mut Vec<Told>| {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            let target: String = to
                .prepare_cached(
                    "UPDATE delivery SET state = 0, due = ?3, not_before = ?3, expires = ?4, aside = 0, \
                     ended = NULL WHERE number = ?1 AND commune = ?2 AND state = ?5 RETURNING target",
                )?
                .query_row(
                    params![
                        number,
                        commune.as_str(),
                        now.0,
                        now.after(deadline).0,
                        DeliveryStatus::Failed.number()
                    ],
                    |row| row.get(0),
                )
                .optional()?
                .ok_or(StoreError::Unknown)?;
            // A person knows better.
            to.prepare_cached("UPDATE target SET gone = NULL WHERE commune = ?1 AND target = ?2")?
                .execute([commune.as_str(), &target])?;
            let happening = Happening::Retried {
                who,
                target,
                delivery: number.unsigned_abs(),
            };
            say(to, number, &happening, now, told)
        };
        self.writer.run(write).await
    }

    /// Tells a target of an event that somebody made for trying it.
    pub(crate) async fn test(
        &self,
        event: Event,
        who: &str,
        target: (String, Target),
        now: UnixMicros,
    ) -> Result<Told, StoreError> {
        let who = name(who)?;
        let write = move |to: &Connection, told: &mut Vec<Told>| {
            rows::insert(to, &event)?;
            let (number, event) = rows::read(to, event.id)?.ok_or(StoreError::Unknown)?;
            let (name, target) = target;
            to.prepare_cached("UPDATE target SET gone = NULL WHERE commune = ?1 AND target = ?2")?
                .execute([event.commune.as_str(), &name])?;
            let new = NewDelivery {
                follow: false,
                together: "",
                not_before: UnixMicros(0),
            };
            if let Some((_, number)) = target::browser(&name)
                && !browsers::exists(to, event.commune.as_str(), number)?
            {
                return Err(StoreError::Unknown);
            }
            // One browser is tried by its own name, all of them by their target's.
            let enqueued = if target.is_push() && target::browser(&name).is_none() {
                let about = (number, &event, 1);
                browsers::enqueue(to, about, (&name, &target), Which::All, &new, now)?
            } else {
                let whom = (&event.commune, name.as_str(), &target);
                enqueue::enqueue(to, (number, 1), whom, &new, &mut Room::default(), now)?
            };
            if enqueued != Enqueued::New {
                let why = match enqueued {
                    Enqueued::Refused(NotToldReason::Unwanted) => {
                        "no browser has asked for notifications yet"
                    }
                    _ => "too many messages wait already",
                };
                return Err(StoreError::Refused(why.into()));
            }
            let happening = Happening::Tested { who, target: name };
            let entry = rows::append(to, event.id, now, happening)?;
            rows::index(to, event.id)?;
            told.push(entry.clone());
            Ok(entry)
        };
        self.writer.run(write).await
    }

    /// Targets whose last delivery was given up, of all communes, with why.
    pub(crate) fn unreached(&self) -> Result<Vec<(CommuneId, String, String)>, StoreError> {
        self.read(|from| {
            let mut all = from.prepare_cached(
                "SELECT commune, target, error FROM target WHERE failed > ifnull(delivered, 0)",
            )?;
            let all = all.query_map([], |row| {
                let error: Option<String> = row.get(2)?;
                Ok((
                    row.get::<_, String>(0)?,
                    row.get(1)?,
                    error.unwrap_or_default(),
                ))
            })?;
            let all: Vec<(String, String, String)> = all.collect::<Result<_, _>>()?;
            let known = |(commune, target, error): (String, String, String)| {
                Some((commune.parse().ok()?, target, error))
            };
            Ok(all.into_iter().filter_map(known).collect())
        })
    }

    /// How many deliveries are due, and since when the oldest of them.
    pub(crate) fn backlog(&self, now: UnixMicros) -> Result<(u64, Option<UnixMicros>), StoreError> {
        self.read(|from| {
            let sql = "SELECT count(*), min(not_before) FROM delivery \
                       WHERE state = 0 AND not_before <= ?1";
            Ok(from.prepare_cached(sql)?.query_row([now.0], |row| {
                Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.map(UnixMicros)))
            })?)
        })
    }
}

/// An attempt that did not go well.
#[derive(Debug, Clone)]
pub(crate) struct Tried {
    pub(crate) number: i64,
    pub(crate) target: String,
    pub(crate) progress: Option<Progress>,
    pub(crate) attempts: u32,
    pub(crate) again: UnixMicros,
    pub(crate) aside: bool,
    pub(crate) error: String,
}

/// Writes an entry into the story of each event of a delivery.
pub(super) fn say(
    to: &Connection,
    delivery: i64,
    happening: &Happening,
    now: UnixMicros,
    told: &mut Vec<Told>,
) -> Result<(), StoreError> {
    // How far each of many browsers is stands with its delivery; what came of it is the event's story.
    if let Happening::Composed { target, .. } | Happening::Tried { target, .. } = happening
        && target::browser(target).is_some()
    {
        return Ok(());
    }
    let mut all = to.prepare_cached(
        "SELECT id FROM delivery_item JOIN event ON number = event WHERE delivery = ?1",
    )?;
    let ids = all.query_map([delivery], |row| row.get::<_, String>(0))?;
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    for id in ids.iter().filter_map(|id| id.parse().ok()) {
        told.push(rows::append(to, id, now, happening.clone())?);
    }
    Ok(())
}

fn head(row: &Row<'_>) -> rusqlite::Result<Head> {
    let plan: Option<String> = row.get(6)?;
    let progress = plan.map(|plan| serde_json::from_str(&plan)).transpose();
    Ok(Head {
        number: row.get(0)?,
        key: row.get(1)?,
        made: UnixMicros(row.get(2)?),
        due: UnixMicros(row.get(3)?),
        expires: UnixMicros(row.get(4)?),
        attempts: row.get(5)?,
        progress: progress.map_err(|e| rows::odd(6, e))?,
        events: Vec::new(),
    })
}

fn with_events(from: &Connection, head: Head, target: &str) -> Result<Head, StoreError> {
    let columns = rows::columns_of_event();
    let all = format!(
        "SELECT {columns}, event.number FROM delivery_item JOIN event ON event.number = event \
         WHERE delivery = ?1 ORDER BY id"
    );
    let mut all = from.prepare_cached(&all)?;
    let all = all.query_map([head.number], |row| Ok((rows::event(row)?, row.get(20)?)))?;
    let all: Vec<(Event, i64)> = all.collect::<Result<_, _>>()?;
    let mut receipts = from.prepare_cached(
        "SELECT revision, ended, receipt FROM delivery JOIN delivery_item ON delivery = number \
         WHERE event = ?1 AND target = ?2 AND state = ?3 AND receipt != '' \
         ORDER BY number DESC LIMIT ?4",
    )?;
    let mut events = Vec::new();
    for (event, number) in all {
        let delivered = DeliveryStatus::Delivered.number();
        let earlier = receipts.query_map(
            params![number, target, delivered, Item::MAX_EARLIER],
            |row| {
                Ok(Receipt {
                    revision: row.get(0)?,
                    at: UnixMicros(row.get(1)?),
                    text: row.get(2)?,
                })
            },
        )?;
        let earlier = earlier.collect::<Result<_, _>>()?;
        events.push(HeadEvent { event, earlier });
    }
    Ok(Head { events, ..head })
}
