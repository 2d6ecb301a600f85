//! Whom to tell of what: deliveries that a ruling makes, joins, hastens or takes back.

use std::collections::BTreeSet;

use rand::RngExt;
use rusqlite::{Connection, OptionalExtension, params};
use taimat_base::CommuneId;
use taimat_contract::UnixMicros;
use ulid::Ulid;

use super::rows;
use crate::delivery::DeliveryStatus;
use crate::error::StoreError;
use crate::event::EventId;
use crate::log::{Happening, NotToldReason, Told};
use crate::target::{self, Target};

/// Deliveries of a commune that wait at most. Whoever is ruled to be told beyond is not, and the story
/// says so.
const MAX_WAITING: u32 = 10_000;
/// The same for one browser: whoever comes back to it after a day reads no more.
const MAX_WAITING_BROWSER: u32 = 32;
/// Events of one delivery: as many as an alerter may be given.
const MAX_TOGETHER: usize = taimat_contract::alerter::Task::MAX_ITEMS;

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
pub(super) fn address(target: &Target) -> Result<String, StoreError> {
    rows::json(&(&target.alerter, &target.address))
}

fn key(now: UnixMicros) -> String {
    let milliseconds = u64::try_from(now.0 / 1000).unwrap_or(0);
    let ulid = Ulid::from_parts(milliseconds, rand::rng().random());
    let mut key = ulid.to_string();
    key.make_ascii_lowercase();
    key
}

/// Who is told of an event's end. Browsers go with their target.
pub(super) fn followers(from: &Connection, event: i64) -> Result<Vec<String>, StoreError> {
    let mut all = from.prepare_cached(
        "SELECT target FROM told WHERE event = ?1 AND follow AND instr(target, '/') = 0",
    )?;
    let all = all.query_map([event], |row| row.get(0))?;
    Ok(all.collect::<Result<_, _>>()?)
}

/// It is told of the event, as rules and policies see it.
pub(super) fn note_told(
    to: &Connection,
    event: i64,
    name: &str,
    follow: bool,
    now: UnixMicros,
) -> rusqlite::Result<()> {
    to.prepare_cached(
        "INSERT INTO told (event, target, at, follow) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT DO UPDATE SET follow = max(follow, excluded.follow)",
    )?
    .execute(params![event, name, now.0, follow])?;
    Ok(())
}

/// How many more deliveries may wait: a commune's are counted once for all that a ruling tells.
#[derive(Default)]
pub(super) struct Room(Option<u32>);

impl Room {
    /// Takes a place for a target of the commune, if there is one.
    fn take(&mut self, from: &Connection, commune: &str, name: &str) -> rusqlite::Result<bool> {
        let is_browser = target::browser(name).is_some();
        let count = || {
            from.prepare_cached(
                "SELECT count(*) FROM delivery WHERE state = 0 AND commune = ?1 \
                 AND iif(?3, target = ?2, instr(target, '/') = 0)",
            )?
            .query_row(params![commune, name, is_browser], |row| {
                row.get::<_, u32>(0)
            })
        };
        if is_browser {
            return Ok(count()? < MAX_WAITING_BROWSER);
        }
        let left = match self.0 {
            Some(left) => left,
            None => MAX_WAITING.saturating_sub(count()?),
        };
        self.0 = Some(left.saturating_sub(1));
        Ok(left > 0)
    }
}

/// Has a target told of an event, alone or with others, as long as there is room.
pub(super) fn enqueue(
    to: &Connection,
    (event, revision): (i64, i64),
    (commune, name, target): (&CommuneId, &str, &Target),
    new: &NewDelivery<'_>,
    room: &mut Room,
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
    note_told(to, event, name, new.follow, now)?;
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
    if !room.take(to, commune, name)? {
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
    // Who was not told of it is not told of its end. A target is told if one of its browsers is.
    to.prepare_cached(
        "UPDATE told SET follow = 0 WHERE event = ?1 AND NOT EXISTS (SELECT 1 FROM delivery \
         JOIN delivery_item ON delivery = number WHERE delivery_item.event = told.event \
         AND (delivery.target = told.target \
              OR substr(delivery.target, 1, length(told.target) + 1) = told.target || '/') \
         AND state = ?2)",
    )?
    .execute(params![event, DeliveryStatus::Delivered.number()])?;
    let mut said = BTreeSet::new();
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
        // Once for all browsers of a target.
        let target = match target::browser(&target) {
            Some((of, _)) if !said.insert(of.to_owned()) => continue,
            Some((of, _)) => of.to_owned(),
            None => target,
        };
        let happening = Happening::TakenBack {
            target,
            delivery: number.unsigned_abs(),
            reason: reason.to_owned(),
        };
        told.push(rows::append(to, id, now, happening)?);
    }
    Ok(())
}
