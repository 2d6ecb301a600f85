//! The outbox on disk: whom to tell of what, how far it is, what came of it.

use rand::RngExt;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use taimat_base::CommuneId;
use taimat_contract::UnixMicros;
use taimat_contract::alerter::{Item, Receipt};
use ulid::Ulid;

use super::event_store::{EventStore, name};
use super::rows;
use crate::delivery::{Delivery, DeliveryStatus, Progress};
use crate::error::StoreError;
use crate::event::{Event, EventId};
use crate::log::{Happening, NotToldReason, Told};
use crate::target::Target;

/// Deliveries of a commune that wait at most. Whoever is ruled to be told beyond is not, and the story
/// says so.
const MAX_WAITING: u32 = 10_000;
/// Events of one delivery: as many as an alerter may be given.
const MAX_TOGETHER: usize = taimat_contract::alerter::Task::MAX_ITEMS;
/// Deliveries of a page.
const PAGE: u32 = 100;

/// What a ruling says about telling a target.
#[derive(Debug)]
pub(super) struct NewDelivery<'a> {
    pub(super) follow: bool,
    pub(super) together: &'a str,
    pub(super) not_before: UnixMicros,
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Enqueued {
    /// It is told from now on.
    New,
    /// It waits already, or has been told of the event as it is.
    Already,
    /// It is not told.
    Refused(NotToldReason),
}

/// What the alerter's file says of a target, as it is kept with a target that is no more.
fn address(target: &Target) -> Result<String, StoreError> {
    rows::json(&(&target.alerter, &target.address))
}

fn key(now: UnixMicros) -> String {
    let milliseconds = u64::try_from(now.0 / 1000).unwrap_or(0);
    let ulid = Ulid::from_parts(milliseconds, rand::rng().random());
    let mut key = ulid.to_string();
    key.make_ascii_lowercase();
    key
}

/// Who is told of an event's end.
pub(super) fn followers(from: &Connection, event: i64) -> Result<Vec<String>, StoreError> {
    let mut all = from.prepare_cached("SELECT target FROM told WHERE event = ?1 AND follow")?;
    let all = all.query_map([event], |row| row.get(0))?;
    Ok(all.collect::<Result<_, _>>()?)
}

/// Has a target told of an event, alone or with others.
pub(super) fn enqueue(
    to: &Connection,
    (event, revision): (i64, i64),
    (commune, name, target): (&CommuneId, &str, &Target),
    new: &NewDelivery<'_>,
    now: UnixMicros,
) -> Result<Enqueued, StoreError> {
    let commune = commune.as_str();
    let gone: Option<Option<String>> = to
        .prepare_cached("SELECT gone FROM target WHERE commune = ?1 AND target = ?2")?
        .query_row([commune, name], |row| row.get(0))
        .optional()?;
    if gone
        .flatten()
        .is_some_and(|gone| address(target).ok() == Some(gone))
    {
        return Ok(Enqueued::Refused(NotToldReason::Gone));
    }
    to.prepare_cached(
        "INSERT INTO told (event, target, at, follow) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT DO UPDATE SET follow = max(follow, excluded.follow)",
    )?
    .execute(params![event, name, now.0, new.follow])?;
    // One that is not worded yet will say how it is then.
    let (newest, waits): (Option<i64>, Option<bool>) = to
        .prepare_cached(
            "SELECT max(revision), max(state = 0 AND plan IS NULL) FROM delivery \
             JOIN delivery_item ON delivery = number \
             WHERE event = ?1 AND target = ?2 AND state != ?3",
        )?
        .query_row(
            params![event, name, DeliveryStatus::TakenBack.number()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
    if waits == Some(true) {
        hasten(to, event, name, new.not_before.max(now))?;
        return Ok(Enqueued::Already);
    }
    if newest.is_some_and(|newest| newest >= revision) {
        return Ok(Enqueued::Already);
    }
    let joined = join(to, (event, revision), (commune, name), new)?;
    if joined {
        return Ok(Enqueued::New);
    }
    let waiting: u32 = to
        .prepare_cached("SELECT count(*) FROM delivery WHERE state = 0 AND commune = ?1")?
        .query_row([commune], |row| row.get(0))?;
    if waiting >= MAX_WAITING {
        return Ok(Enqueued::Refused(NotToldReason::Full));
    }
    let start = now.max(new.not_before);
    to.prepare_cached(
        "INSERT INTO delivery (key, commune, target, together, state, not_before, due, made, expires) \
         VALUES (?1, ?2, ?3, ?4, 0, ?5, ?5, ?6, ?7)",
    )?
    .execute(params![
        key(now),
        commune,
        name,
        new.together,
        start.0,
        now.0,
        start.after(target.deadline).0,
    ])?;
    let delivery = to.last_insert_rowid();
    add(to, delivery, event, revision)?;
    Ok(Enqueued::New)
}

fn add(to: &Connection, delivery: i64, event: i64, revision: i64) -> Result<(), StoreError> {
    to.prepare_cached(
        "INSERT OR REPLACE INTO delivery_item (delivery, event, revision) VALUES (?1, ?2, ?3)",
    )?
    .execute(params![delivery, event, revision])?;
    Ok(())
}

/// Adds it to a delivery of the same group that waits, if there is one.
fn join(
    to: &Connection,
    (event, revision): (i64, i64),
    (commune, name): (&str, &str),
    new: &NewDelivery<'_>,
) -> Result<bool, StoreError> {
    if new.together.is_empty() {
        return Ok(false);
    }
    let group: Option<i64> = to
        .prepare_cached(
            "SELECT number FROM delivery WHERE state = 0 AND commune = ?1 AND target = ?2 \
             AND together = ?3 AND plan IS NULL \
             AND (SELECT count(*) FROM delivery_item WHERE delivery = number) < ?4 LIMIT 1",
        )?
        .query_row(params![commune, name, new.together, MAX_TOGETHER], |row| {
            row.get(0)
        })
        .optional()?;
    let Some(group) = group else {
        return Ok(false);
    };
    add(to, group, event, revision)?;
    // What is urgent takes the others along.
    to.prepare_cached(
        "UPDATE delivery SET not_before = min(not_before, ?2), due = min(due, ?2) WHERE number = ?1",
    )?
    .execute(params![group, new.not_before.0])?;
    Ok(true)
}

/// What waits for a later time goes out sooner, and takes those of its group along.
fn hasten(to: &Connection, event: i64, name: &str, at: UnixMicros) -> Result<(), StoreError> {
    to.prepare_cached(
        "UPDATE delivery SET not_before = ?3, due = ?3 WHERE state = 0 AND plan IS NULL \
         AND attempts = 0 AND not_before > ?3 AND target = ?2 \
         AND number IN (SELECT delivery FROM delivery_item WHERE event = ?1)",
    )?
    .execute(params![event, name, at.0])?;
    Ok(())
}

/// Takes back what waits about an event. What is worded about others too goes out.
pub(super) fn take_back(
    to: &Connection,
    id: EventId,
    event: i64,
    reason: &str,
    now: UnixMicros,
    told: &mut Vec<Told>,
) -> Result<(), StoreError> {
    let mut all = to.prepare_cached(
        "SELECT number, target, plan IS NULL, \
         (SELECT count(*) FROM delivery_item WHERE delivery = number) FROM delivery \
         JOIN delivery_item ON delivery = number WHERE event = ?1 AND state = 0",
    )?;
    let all = all.query_map([event], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    let all: Vec<(i64, String, bool, u32)> = all.collect::<Result<_, _>>()?;
    // Who was not told of it is not told of its end.
    to.prepare_cached(
        "UPDATE told SET follow = 0 WHERE event = ?1 AND NOT EXISTS (SELECT 1 FROM delivery \
         JOIN delivery_item ON delivery = number WHERE delivery_item.event = told.event \
         AND delivery.target = told.target AND state = ?2)",
    )?
    .execute(params![event, DeliveryStatus::Delivered.number()])?;
    for (number, target, unworded, events) in all {
        if events == 1 {
            to.prepare_cached("UPDATE delivery SET state = ?2, ended = ?3 WHERE number = ?1")?
                .execute(params![number, DeliveryStatus::TakenBack.number(), now.0])?;
        } else if unworded {
            to.prepare_cached("DELETE FROM delivery_item WHERE delivery = ?1 AND event = ?2")?
                .execute([number, event])?;
        } else {
            continue;
        }
        let happening = Happening::TakenBack {
            target,
            delivery: number.unsigned_abs(),
            reason: reason.to_owned(),
        };
        told.push(rows::append(to, id, now, happening)?);
    }
    Ok(())
}

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

/// How a delivery ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Delivered,
    Failed(String),
    /// As failed; and the target is told nothing more until the file says it anew.
    Gone(String),
    Skipped(String),
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

    /// It is over. `target` is the one of the file as it is now, if there is one.
    pub(crate) async fn ended(
        &self,
        ended: Ended,
        target: Option<Target>,
        now: UnixMicros,
    ) -> Result<(), StoreError> {
        let write = move |to: &Connection, told: &mut Vec<Told>| {
            ended.write(to, target.as_ref(), now, told)
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
            let whom = (&event.commune, name.as_str(), &target);
            if enqueue(to, (number, 1), whom, &new, now)? != Enqueued::New {
                let full = "too many messages wait already";
                return Err(StoreError::Refused(full.into()));
            }
            let happening = Happening::Tested { who, target: name };
            let entry = rows::append(to, event.id, now, happening)?;
            rows::index(to, event.id)?;
            told.push(entry.clone());
            Ok(entry)
        };
        self.writer.run(write).await
    }

    /// How it stands with a commune's targets, as far as anything was ever sent there.
    ///
    /// # Errors
    /// If the disk says no. Waits for the disk.
    pub fn target_states(&self, commune: &CommuneId) -> Result<Vec<TargetState>, StoreError> {
        self.read(|from| {
            let mut all = from.prepare_cached(
                "SELECT target.target, delivered, failed, error, gone IS NOT NULL FROM target \
                 WHERE commune = ?1",
            )?;
            let all = all.query_map([commune.as_str()], |row| {
                let at = |at: Option<i64>| at.map(UnixMicros);
                Ok(TargetState {
                    name: row.get(0)?,
                    delivered: at(row.get(1)?),
                    failed: at(row.get(2)?),
                    error: row.get(3)?,
                    gone: row.get(4)?,
                    waiting: 0,
                    oldest: None,
                })
            })?;
            let mut all: Vec<TargetState> = all.collect::<Result<_, _>>()?;
            let mut waiting = from.prepare_cached(
                "SELECT target, count(*), min(made) FROM delivery \
                 WHERE state = 0 AND commune = ?1 GROUP BY target",
            )?;
            let mut rows = waiting.query([commune.as_str()])?;
            while let Some(row) = rows.next()? {
                let name: String = row.get(0)?;
                let (waiting, oldest) = (row.get(1)?, Some(UnixMicros(row.get(2)?)));
                match all.iter_mut().find(|state| state.name == name) {
                    Some(state) => (state.waiting, state.oldest) = (waiting, oldest),
                    None => all.push(TargetState {
                        name,
                        waiting,
                        oldest,
                        ..TargetState::default()
                    }),
                }
            }
            Ok(all)
        })
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

    /// Deliveries of a commune, the newest first: all of a state, a target or both, older than one.
    ///
    /// # Errors
    /// If the disk says no. Waits for the disk.
    pub fn deliveries(
        &self,
        commune: &CommuneId,
        state: Option<DeliveryStatus>,
        target: Option<&str>,
        before: Option<u64>,
    ) -> Result<Vec<Delivery>, StoreError> {
        let mut conditions = vec!["commune = ?"];
        let mut values = vec![Value::from(commune.to_string())];
        if let Some(state) = state {
            conditions.push("state = ?");
            values.push(state.number().into());
        }
        if let Some(target) = target {
            conditions.push("target = ?");
            values.push(target.to_owned().into());
        }
        if let Some(before) = before {
            conditions.push("number < ?");
            values.push(i64::try_from(before).unwrap_or(i64::MAX).into());
        }
        values.push(i64::from(PAGE).into());
        let sql = format!(
            "SELECT {COLUMNS} FROM delivery WHERE {} ORDER BY number DESC LIMIT ?",
            conditions.join(" AND ")
        );
        self.read(|from| {
            let mut all = from.prepare_cached(&sql)?;
            let all = all.query_map(params_from_iter(values), delivery)?;
            let all = all.collect::<Result<Vec<_>, _>>()?;
            all.into_iter().map(|d| with_ids(from, d)).collect()
        })
    }
}

/// Deliveries of one event, the oldest first.
pub(super) fn of_event(from: &Connection, event: i64) -> Result<Vec<Delivery>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM delivery JOIN delivery_item ON delivery = number WHERE event = ?1 \
         ORDER BY number"
    );
    let mut all = from.prepare_cached(&sql)?;
    let all = all.query_map([event], delivery)?;
    let all = all.collect::<Result<Vec<_>, _>>()?;
    all.into_iter().map(|d| with_ids(from, d)).collect()
}

const COLUMNS: &str = "number, target, state, made, due, attempts, error, ended";

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let state: usize = row.get(2)?;
    let state = DeliveryStatus::ALL.get(state).copied();
    let state = state.ok_or_else(|| rows::odd(2, "no state of a delivery"))?;
    let due = UnixMicros(row.get(4)?);
    Ok(Delivery {
        number: row.get(0)?,
        target: row.get(1)?,
        state,
        events: Vec::new(),
        made: UnixMicros(row.get(3)?),
        next: (state == DeliveryStatus::Waiting).then_some(due),
        attempts: row.get(5)?,
        error: row.get(6)?,
        ended: row.get::<_, Option<i64>>(7)?.map(UnixMicros),
    })
}

fn with_ids(from: &Connection, delivery: Delivery) -> Result<Delivery, StoreError> {
    let mut all = from.prepare_cached(
        "SELECT id FROM delivery_item JOIN event ON number = event WHERE delivery = ?1 ORDER BY id",
    )?;
    let number = i64::try_from(delivery.number).unwrap_or(i64::MAX);
    let ids = all.query_map([number], |row| row.get::<_, String>(0))?;
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    Ok(Delivery {
        events: ids.iter().filter_map(|id| id.parse().ok()).collect(),
        ..delivery
    })
}

/// How it stands with a target.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, utoipa::ToSchema)]
pub struct TargetState {
    /// Its name.
    pub name: String,
    /// When it was told something last.
    pub delivered: Option<UnixMicros>,
    /// When something was given up last.
    pub failed: Option<UnixMicros>,
    /// Why that was.
    pub error: Option<String>,
    /// It is no more, as its alerter says; it is told nothing until the file says it anew, or somebody
    /// tries it.
    pub gone: bool,
    /// Deliveries that wait.
    pub waiting: u64,
    /// When the oldest of them was ruled.
    pub oldest: Option<UnixMicros>,
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

/// A delivery that is over.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) number: i64,
    pub(crate) commune: CommuneId,
    pub(crate) target: String,
    pub(crate) attempts: u32,
    pub(crate) receipt: Option<String>,
    pub(crate) end: End,
}

impl Ended {
    fn write(
        self,
        to: &Connection,
        target: Option<&Target>,
        now: UnixMicros,
        told: &mut Vec<Told>,
    ) -> Result<(), StoreError> {
        let delivery = self.number.unsigned_abs();
        let (state, error, happening) = match self.end.clone() {
            End::Delivered => (
                DeliveryStatus::Delivered,
                None,
                Happening::Delivered {
                    target: self.target.clone(),
                    delivery,
                    attempt: self.attempts,
                },
            ),
            End::Skipped(reason) => (
                DeliveryStatus::Skipped,
                None,
                Happening::Skipped {
                    target: self.target.clone(),
                    delivery,
                    reason,
                },
            ),
            End::Failed(error) | End::Gone(error) => (
                DeliveryStatus::Failed,
                Some(error.clone()),
                Happening::Undelivered {
                    target: self.target.clone(),
                    delivery,
                    error,
                },
            ),
        };
        // What was taken back while it was on its way has arrived all the same.
        let sent = state == DeliveryStatus::Delivered;
        let changed = to
            .prepare_cached(
                "UPDATE delivery SET state = ?2, attempts = ?3, receipt = ?4, \
                 error = ifnull(?5, error), ended = ?6 WHERE number = ?1 AND (state = 0 OR ?7)",
            )?
            .execute(params![
                self.number,
                state.number(),
                self.attempts,
                self.receipt,
                error,
                now.0,
                sent,
            ])?;
        if changed == 0 {
            return Ok(());
        }
        let gone = match (&self.end, target) {
            (End::Gone(_), Some(target)) => Some(address(target)?),
            _ => None,
        };
        let (commune, name) = (self.commune.as_str(), &self.target);
        match state {
            DeliveryStatus::Delivered => {
                to.prepare_cached(
                    "INSERT INTO target (commune, target, delivered) VALUES (?1, ?2, ?3) \
                     ON CONFLICT DO UPDATE SET delivered = ?3, gone = NULL",
                )?
                .execute(params![commune, name, now.0])?;
            }
            DeliveryStatus::Failed => {
                to.prepare_cached(
                    "INSERT INTO target (commune, target, failed, error, gone) \
                     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE \
                     SET failed = ?3, error = ?4, gone = ifnull(?5, gone)",
                )?
                .execute(params![commune, name, now.0, error, gone])?;
            }
            _ => {}
        }
        say(to, self.number, &happening, now, told)
    }
}

/// Writes an entry into the story of each event of a delivery.
fn say(
    to: &Connection,
    delivery: i64,
    happening: &Happening,
    now: UnixMicros,
    told: &mut Vec<Told>,
) -> Result<(), StoreError> {
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
