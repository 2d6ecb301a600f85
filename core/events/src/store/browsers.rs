//! Browsers that asked to be told, and the ones that an event is told to.

use rusqlite::{Connection, OptionalExtension, Row, params};
use taimat_base::{CommuneId, Secret};
use taimat_contract::{PushEndpoint, Severity, UnixMicros};

use super::enqueue::{self, Enqueued, NewDelivery};
use super::event_store::{EventStore, name};
use super::rows;
use crate::delivery::DeliveryStatus;
use crate::error::StoreError;
use crate::event::Event;
use crate::log::{NotToldReason, Told};
use crate::push::{Browser, NewSubscription, Subscription};
use crate::target::{self, Target};

/// Browsers of a commune at most: each is told of everything by itself.
const MAX_BROWSERS: u32 = 200;
/// One that has not asked for so long makes room for others, when there is none. A console that is opened
/// asks again.
const FORGOTTEN: i64 = 90 * 24 * 3600 * 1_000_000;

const COLUMNS: &str = "number, who, wants, made, renewed, endpoint, p256dh, auth";

impl EventStore {
    /// A browser asks to be told, or says anew what it wants.
    ///
    /// # Errors
    /// If a name is no name, too much is named, there are too many, or the disk says no.
    pub async fn subscribe(
        &self,
        new: NewSubscription,
        now: UnixMicros,
    ) -> Result<Subscription, StoreError> {
        let who = name(&new.who)?;
        new.wants.checked()?;
        let write =
            move |to: &Connection, _: &mut Vec<Told>| {
                let (commune, url) = (new.commune.as_str(), new.endpoint.url().reveal());
                make_room(to, commune, url, now)?;
                let (key, auth) = new.endpoint.keys();
                to.prepare_cached(
                "INSERT INTO browser (commune, endpoint, p256dh, auth, who, wants, made, renewed) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7) ON CONFLICT (commune, endpoint) DO UPDATE \
                 SET p256dh = ?3, auth = ?4, who = ?5, wants = ?6, renewed = ?7",
            )?
            .execute(params![commune, url, key, auth, who, rows::json(&new.wants)?, now.0])?;
                let sql =
                    format!("SELECT {COLUMNS} FROM browser WHERE commune = ?1 AND endpoint = ?2");
                let mut one = to.prepare_cached(&sql)?;
                Ok(one.query_row([commune, url], subscription)?)
            };
        self.writer.run(write).await
    }

    /// A browser wants to be told no more; false if it is not known. Whoever knows its address is it.
    ///
    /// # Errors
    /// If the disk says no.
    pub async fn unsubscribe(
        &self,
        commune: &CommuneId,
        endpoint: Secret,
        now: UnixMicros,
    ) -> Result<bool, StoreError> {
        let commune = commune.clone();
        let write = move |to: &Connection, _: &mut Vec<Told>| {
            let number = to
                .prepare_cached("SELECT number FROM browser WHERE commune = ?1 AND endpoint = ?2")?
                .query_row([commune.as_str(), endpoint.reveal()], |row| row.get(0))
                .optional()?;
            number.map_or(Ok(false), |number| {
                remove(to, commune.as_str(), number, now)
            })
        };
        self.writer.run(write).await
    }

    /// A browser is told no more: a phone that was lost. False if it is not known.
    ///
    /// # Errors
    /// If the disk says no.
    pub async fn remove_browser(
        &self,
        commune: &CommuneId,
        number: u64,
        now: UnixMicros,
    ) -> Result<bool, StoreError> {
        let commune = commune.clone();
        let write = move |to: &Connection, _: &mut Vec<Told>| {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            remove(to, commune.as_str(), number, now)
        };
        self.writer.run(write).await
    }

    /// A commune's browsers, the oldest first.
    ///
    /// # Errors
    /// If the disk says no. Waits for the disk.
    pub fn browsers(&self, commune: &CommuneId) -> Result<Vec<Subscription>, StoreError> {
        self.read(|from| all(from, commune.as_str()))
    }

    /// One of them, with where it is told.
    pub(crate) fn browser(
        &self,
        commune: &CommuneId,
        number: i64,
    ) -> Result<Option<Browser>, StoreError> {
        self.read(|from| {
            let sql = format!("SELECT {COLUMNS} FROM browser WHERE commune = ?1 AND number = ?2");
            let mut one = from.prepare_cached(&sql)?;
            let one = one.query_row(params![commune.as_str(), number], |row| {
                let text = |column| {
                    row.get_ref(column)?
                        .as_str()
                        .map_err(|e| rows::odd(column, e))
                };
                let endpoint = PushEndpoint::new(text(5)?, text(6)?, text(7)?);
                Ok(Browser {
                    subscription: subscription(row)?,
                    endpoint: endpoint.map_err(|e| rows::odd(5, e))?,
                })
            });
            Ok(one.optional()?)
        })
    }
}

fn subscription(row: &Row<'_>) -> rusqlite::Result<Subscription> {
    let wants = row.get_ref(2)?.as_str().map_err(|e| rows::odd(2, e))?;
    Ok(Subscription {
        number: row.get(0)?,
        who: row.get(1)?,
        wants: serde_json::from_str(wants).map_err(|e| rows::odd(2, e))?,
        made: UnixMicros(row.get(3)?),
        renewed: UnixMicros(row.get(4)?),
    })
}

fn all(from: &Connection, commune: &str) -> Result<Vec<Subscription>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM browser WHERE commune = ?1 ORDER BY number");
    let mut all = from.prepare_cached(&sql)?;
    let all = all.query_map([commune], subscription)?;
    Ok(all.collect::<Result<_, _>>()?)
}

/// Whether there is such a browser.
pub(super) fn exists(from: &Connection, commune: &str, number: i64) -> rusqlite::Result<bool> {
    from.prepare_cached("SELECT EXISTS (SELECT 1 FROM browser WHERE commune = ?1 AND number = ?2)")?
        .query_row(params![commune, number], |row| row.get(0))
}

/// For one more, if it is not there already.
fn make_room(
    to: &Connection,
    commune: &str,
    endpoint: &str,
    now: UnixMicros,
) -> Result<(), StoreError> {
    let others: u32 = to
        .prepare_cached("SELECT count(*) FROM browser WHERE commune = ?1 AND endpoint != ?2")?
        .query_row([commune, endpoint], |row| row.get(0))?;
    if others < MAX_BROWSERS {
        return Ok(());
    }
    let forgotten: Option<i64> = to
        .prepare_cached(
            "SELECT number FROM browser WHERE commune = ?1 AND renewed < ?2 \
             ORDER BY renewed LIMIT 1",
        )?
        .query_row(params![commune, now.0.saturating_sub(FORGOTTEN)], |row| {
            row.get(0)
        })
        .optional()?;
    match forgotten {
        Some(number) => remove(to, commune, number, now).map(drop),
        None => {
            let full =
                format!("{MAX_BROWSERS} browsers of the commune are told already; remove one");
            Err(StoreError::Refused(full))
        }
    }
}

/// Removes a browser and what waits for it.
pub(super) fn remove(
    to: &Connection,
    commune: &str,
    number: i64,
    now: UnixMicros,
) -> Result<bool, StoreError> {
    let removed = to
        .prepare_cached("DELETE FROM browser WHERE commune = ?1 AND number = ?2")?
        .execute(params![commune, number])?;
    to.prepare_cached(
        "UPDATE delivery SET state = ?3, ended = ?4 \
         WHERE state = 0 AND commune = ?1 AND target LIKE '%/' || ?2",
    )?
    .execute(params![
        commune,
        number,
        DeliveryStatus::Skipped.number(),
        now.0
    ])?;
    Ok(removed > 0)
}

/// Which browsers of a target are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// All that want to know of an event that is so severe, and those that have been told of it.
    Wanting(Severity),
    /// Those that have been told of it, and are told of its end.
    Following,
    /// All, whatever they want: somebody tries it.
    All,
}

/// Has the browsers of a target told of an event.
pub(super) fn enqueue(
    to: &Connection,
    (number, event, revision): (i64, &Event, i64),
    (name, target): (&str, &Target),
    which: Which,
    new: &NewDelivery<'_>,
    now: UnixMicros,
) -> Result<Enqueued, StoreError> {
    let commune = &event.commune;
    let before = followers(to, number, name)?;
    let told = all(to, commune.as_str())?.into_iter().filter(|browser| {
        let told = || before.contains(&target::of_browser(name, browser.number));
        match which {
            Which::Wanting(severity) => browser.wants.fits(event, severity) || told(),
            Which::Following => told(),
            Which::All => true,
        }
    });
    // Nobody wants to know: that is for each of them to say, and no fault of the target's.
    let mut became = Enqueued::Refused(NotToldReason::Unwanted);
    for browser in told {
        let one = target::of_browser(name, browser.number);
        let whom = (commune, &*one, target);
        // A browser has room of its own.
        let room = &mut enqueue::Room::default();
        match enqueue::enqueue(to, (number, revision), whom, new, room, now)? {
            Enqueued::New => became = Enqueued::New,
            Enqueued::Already if became != Enqueued::New => became = Enqueued::Already,
            refused @ Enqueued::Refused(_)
                if became == Enqueued::Refused(NotToldReason::Unwanted) =>
            {
                became = refused;
            }
            _ => {}
        }
    }
    if !matches!(became, Enqueued::Refused(_)) {
        // To rules and policies it is the target that is told.
        enqueue::note_told(to, number, name, new.follow, now)?;
    }
    Ok(became)
}

/// Browsers of a target that are told of an event's end.
fn followers(from: &Connection, event: i64, name: &str) -> Result<Vec<String>, StoreError> {
    let mut all = from.prepare_cached(
        "SELECT target FROM told WHERE event = ?1 AND follow \
         AND substr(target, 1, length(?2) + 1) = ?2 || '/'",
    )?;
    let all = all.query_map(params![event, name], |row| row.get(0))?;
    Ok(all.collect::<Result<_, _>>()?)
}

/// Whether a browser of a target was told of an event, or still may be.
pub(super) fn may_reach(from: &Connection, event: i64, name: &str) -> Result<bool, StoreError> {
    Ok(from
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM delivery JOIN delivery_item ON delivery = number \
             WHERE event = ?1 AND state IN (?3, ?4) \
             AND substr(target, 1, length(?2) + 1) = ?2 || '/')",
        )?
        .query_row(
            params![
                event,
                name,
                DeliveryStatus::Waiting.number(),
                DeliveryStatus::Delivered.number()
            ],
            |row| row.get(0),
        )?)
}
