//! Questions to the policy, and what it answered. A question is written down with what it is about, and
//! goes with its answer: no crash lies between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OptionalExtension, params};
use taimat_base::CommuneId;
use taimat_contract::policy::{OtherEvent, Ruling, Situation, Told as ToldTarget, Why};
use taimat_contract::{Attribute, UnixMicros};

use super::browsers::{self, Which};
use super::enqueue::{self, Enqueued, NewDelivery};
use super::event_store::EventStore;
use super::rows;
use crate::delivery::DeliveryStatus;
use crate::error::StoreError;
use crate::event::{Event, EventId};
use crate::log::{Happening, NotTold, NotToldReason, SilencedBy, Told};
use crate::silence::Silence;
use crate::target::CommuneAlerts;

/// What a policy is told of as "within the last hour".
const LATELY: Duration = Duration::from_secs(3600);
/// A policy answers so often about one event; then it has no timer any more.
const MAX_ASKED: u32 = 2_000;
/// Rulings of one event that are noted.
const MAX_NOTED: u32 = 200;
/// What a policy may write on an event.
const MAX_NOTES: usize = 16;

/// Something that the policy has to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) number: i64,
    pub(crate) event: Event,
    pub(crate) situation: Situation,
}

/// What was answered.
#[derive(Debug, Clone)]
pub(crate) struct Ruled {
    pub(crate) question: i64,
    pub(crate) event: EventId,
    pub(crate) why: Why,
    /// The plugin, or what is built in.
    pub(crate) by: String,
    /// Why the commune's policy did not say it. Its memo stays as it was then.
    pub(crate) instead_of: Option<String>,
    pub(crate) ruling: Ruling,
    pub(crate) alerts: Arc<CommuneAlerts>,
}

impl EventStore {
    /// Communes whose policy has to be asked something now.
    pub(crate) fn communes_with_questions(
        &self,
        now: UnixMicros,
    ) -> Result<Vec<CommuneId>, StoreError> {
        self.read(|from| {
            let mut all = from.prepare_cached(
                "SELECT DISTINCT commune FROM question JOIN event ON event.number = question.event \
                 WHERE due <= ?1",
            )?;
            let all = all.query_map([now.0], |row| row.get::<_, String>(0))?;
            let names = all.collect::<Result<Vec<_>, _>>()?;
            Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
        })
    }

    /// When the next question is due.
    pub(crate) fn next_question(&self) -> Result<Option<UnixMicros>, StoreError> {
        self.read(|from| {
            let least = from
                .prepare_cached("SELECT min(due) FROM question")?
                .query_row([], |row| row.get::<_, Option<i64>>(0))?;
            Ok(least.map(UnixMicros))
        })
    }

    /// The oldest question about a commune's events that is due, with all that the policy gets to know.
    pub(crate) fn question(
        &self,
        commune: &CommuneId,
        now: UnixMicros,
    ) -> Result<Option<Question>, StoreError> {
        self.read(|from| {
            let columns = rows::columns_of_event();
            let one = format!(
                "SELECT {columns}, question.number, why, asked, memo, event.number FROM question \
                 JOIN event ON event.number = question.event WHERE due <= ?1 AND commune = ?2 \
                 ORDER BY due, question.number LIMIT 1"
            );
            let found = from
                .prepare_cached(&one)?
                .query_row(params![now.0, commune.as_str()], |row| {
                    let why = rows::why(row.get(21)?);
                    let asked = (row.get(22)?, row.get(23)?);
                    Ok((rows::event(row)?, row.get(20)?, why, asked, row.get(24)?))
                })
                .optional()?;
            let Some((event, number, why, (asked, memo), event_number)) = found else {
                return Ok(None);
            };
            let situation = Situation {
                why,
                now,
                asked,
                memo,
                told: told(from, event_number)?,
                others: others(from, &event, now)?,
                same_last_hour: same_lately(from, &event, now)?,
            };
            Ok(Some(Question {
                number,
                event,
                situation,
            }))
        })
    }

    /// Writes down what follows. It is acted on only then.
    pub(crate) async fn rule(&self, ruled: Ruled, now: UnixMicros) -> Result<(), StoreError> {
        let write = move |to: &Connection, told: &mut Vec<Told>| ruled.write(to, now, told);
        self.writer.run(write).await
    }
}

/// Names of events that were opened before it are less than this.
fn lately(now: UnixMicros) -> String {
    let micros = u64::try_from(now.0).unwrap_or(0);
    let now = SystemTime::UNIX_EPOCH + Duration::from_micros(micros);
    let then = now.checked_sub(LATELY).unwrap_or(SystemTime::UNIX_EPOCH);
    EventId::new(then, 0).to_string()
}

fn told(from: &Connection, event: i64) -> Result<Vec<ToldTarget>, StoreError> {
    let mut all = from.prepare_cached(
        // A target that stands for browsers is told if one of them is.
        "SELECT target, at, (SELECT state FROM delivery JOIN delivery_item ON delivery = number \
         WHERE delivery_item.event = told.event AND (delivery.target = told.target \
           OR substr(delivery.target, 1, length(told.target) + 1) = told.target || '/') \
         ORDER BY instr(delivery.target, '/') > 0 AND state != ?3, number DESC LIMIT 1) \
         FROM told WHERE event = ?1 AND instr(target, '/') = 0 ORDER BY at, target LIMIT ?2",
    )?;
    let delivered = DeliveryStatus::Delivered.number();
    let all = all.query_map(params![event, Situation::MAX_LISTED, delivered], |row| {
        let state: Option<usize> = row.get(2)?;
        let state = state.and_then(|state| DeliveryStatus::ALL.get(state));
        // What was taken back before it was worded is no delivery any more.
        let state = state.copied().unwrap_or(DeliveryStatus::TakenBack);
        Ok(ToldTarget {
            target: row.get(0)?,
            at: UnixMicros(row.get(1)?),
            state: state.told(),
        })
    })?;
    Ok(all.collect::<Result<_, _>>()?)
}

fn others(
    from: &Connection,
    event: &Event,
    now: UnixMicros,
) -> Result<Vec<OtherEvent>, StoreError> {
    let columns = rows::columns_of_event();
    let all = format!(
        "SELECT {columns}, EXISTS (SELECT 1 FROM told WHERE told.event = event.number) FROM event \
         WHERE commune = ?1 AND id != ?2 AND (ended IS NULL OR id >= ?3 AND began > ?4) \
         AND number IN (SELECT number FROM event WHERE commune = ?1 AND ended IS NULL \
                        UNION SELECT number FROM event WHERE commune = ?1 AND id >= ?3) \
         ORDER BY id DESC LIMIT ?5"
    );
    let hour_ago = now.0.saturating_sub(3_600_000_000);
    let mut all = from.prepare_cached(&all)?;
    let all = all.query_map(
        params![
            event.commune.as_str(),
            event.id.to_string(),
            lately(now),
            hour_ago,
            Situation::MAX_LISTED
        ],
        |row| {
            let told = row.get(20)?;
            Ok((rows::event(row)?, told))
        },
    )?;
    let other = |(event, told): (Event, bool)| OtherEvent {
        id: event.id.to_string(),
        camera: event.camera,
        kind: event.kind,
        severity: event.severity,
        phase: event.phase.into(),
        began: event.began,
        answered: event.answered.is_some(),
        told,
    };
    let all = all.collect::<Result<Vec<_>, _>>()?;
    Ok(all.into_iter().map(other).collect())
}

fn same_lately(from: &Connection, event: &Event, now: UnixMicros) -> Result<u32, StoreError> {
    let hour_ago = now.0.saturating_sub(3_600_000_000);
    let others = from
        .prepare_cached(
            "SELECT count(*) FROM event WHERE commune = ?1 AND camera IS ?2 AND kind = ?3 \
             AND id >= ?4 AND began > ?5 AND id != ?6",
        )?
        .query_row(
            params![
                event.commune.as_str(),
                event.camera.as_ref().map(|c| c.as_str()),
                event.kind,
                lately(now),
                hour_ago,
                event.id.to_string()
            ],
            |row| row.get::<_, u32>(0),
        )?;
    Ok(others.saturating_add(1))
}

impl Ruled {
    fn write(
        &self,
        to: &Connection,
        now: UnixMicros,
        told: &mut Vec<Told>,
    ) -> Result<(), StoreError> {
        // One that took its place meanwhile has another number, and is about the event as it is now.
        let open = to
            .prepare_cached("DELETE FROM question WHERE number = ?1")?
            .execute([self.question])?;
        if open == 0 {
            return Ok(());
        }
        let Some((number, event)) = rows::read(to, self.event)? else {
            return Ok(());
        };
        let ruling = &self.ruling;
        let asked: u32 = to
            .prepare_cached(
                "UPDATE event SET asked = asked + 1, memo = iif(?2, memo, ?3) WHERE number = ?1 \
                 RETURNING asked",
            )?
            .query_row(
                params![number, self.instead_of.is_some(), ruling.memo],
                |row| row.get(0),
            )?;
        let severity = ruling.severity.filter(|new| *new != event.severity);
        let notes = self.annotate(to, number, &event)?;
        if let Some(severity) = severity {
            to.prepare_cached("UPDATE event SET severity = ?2 WHERE number = ?1")?
                .execute(params![number, rows::severity_number(severity)])?;
        }
        let again = (ruling.ask_again > 0 && asked < MAX_ASKED)
            .then(|| now.after(Duration::from_secs(ruling.ask_again.into())));
        if let Some(due) = again {
            rows::ask(to, number, Why::Timer, due)?;
        }
        if let Some(why) = &ruling.suppress {
            enqueue::take_back(to, self.event, number, why, now, told)?;
        }
        let raised = i64::from(severity.is_some() || !notes.is_empty());
        let (tell, not_told) = self.tell(to, number, &event, raised, now)?;
        let happening = Happening::Ruled {
            by: self.by.clone(),
            why: self.why,
            instead_of: self.instead_of.clone(),
            severity,
            suppressed: ruling.suppress.clone(),
            tell,
            not_told,
            takes: ruling.takes.clone(),
            notes,
            again,
        };
        if asked == 1 || happening.says_something() && self.may_note(to, number, &happening)? {
            let indexed = raised > 0;
            told.push(rows::append(to, self.event, now, happening)?);
            if indexed {
                rows::index(to, self.event)?;
            }
        }
        Ok(())
    }

    /// What is told, or that the event is another one, is noted always; the rest so often.
    fn may_note(
        &self,
        to: &Connection,
        event: i64,
        happening: &Happening,
    ) -> Result<bool, StoreError> {
        let tells = matches!(happening, Happening::Ruled { tell, takes, .. }
            if !tell.is_empty() || !takes.is_empty());
        if tells || happening.changes() {
            return Ok(true);
        }
        let noted: u32 = to
            .prepare_cached(
                "SELECT count(*) FROM log WHERE event = ?1 AND what LIKE '{\"what\":\"ruled\"%'",
            )?
            .query_row([event], |row| row.get(0))?;
        Ok(noted < MAX_NOTED)
    }

    /// Writes notes on the event in place of those with the same key; returns those that are new.
    fn annotate(
        &self,
        to: &Connection,
        number: i64,
        event: &Event,
    ) -> Result<Vec<Attribute>, StoreError> {
        let mut all: Vec<Attribute> = event.extra.clone();
        let mut new = Vec::new();
        for note in &self.ruling.notes {
            match all.iter().position(|there| there.key == note.key) {
                Some(at) if all[at].value == note.value => continue,
                Some(at) => all[at].value.clone_from(&note.value),
                None if all.len() < MAX_NOTES => all.push(note.clone()),
                None => continue,
            }
            new.push(note.clone());
        }
        if !new.is_empty() {
            to.prepare_cached("UPDATE event SET extra = ?2 WHERE number = ?1")?
                .execute(params![number, rows::json(&all)?])?;
        }
        Ok(new)
    }

    fn tell(
        &self,
        to: &Connection,
        number: i64,
        event: &Event,
        raised: i64,
        now: UnixMicros,
    ) -> Result<(Vec<String>, Vec<NotTold>), StoreError> {
        let (mut tell, mut not_told) = (Vec::new(), Vec::new());
        let mut new: BTreeMap<&str, NewDelivery<'_>> = BTreeMap::new();
        for alert in &self.ruling.alerts {
            let delivery = NewDelivery {
                follow: alert.follow,
                together: &alert.group,
                not_before: alert.not_before,
            };
            new.entry(&alert.target).or_insert(delivery);
        }
        let named: BTreeSet<&str> = new.keys().copied().collect();
        let ends = matches!(self.why, Why::Closed | Why::Answered);
        let followers = match ends && self.ruling.suppress.is_none() {
            true => enqueue::followers(to, number)?,
            false => Vec::new(),
        };
        for target in &followers {
            new.entry(target).or_insert(NewDelivery {
                follow: true,
                together: "",
                not_before: UnixMicros(0),
            });
        }
        let revision = i64::from(event.revision) + raised;
        if new.is_empty() {
            return Ok((tell, not_told));
        }
        let mut room = enqueue::Room::default();
        let silence = match event.silenced {
            true => silence_of(to, number, event)?,
            false => None,
        };
        for (name, delivery) in new {
            let refused = match self.alerts.targets.get(name) {
                None => Some(NotToldReason::Unknown),
                Some(_) if event.silenced => Some(NotToldReason::Silenced),
                Some(target) => {
                    let enqueued = if target.is_push() {
                        let which = match named.contains(name) {
                            true => Which::Wanting(self.ruling.severity.unwrap_or(event.severity)),
                            false => Which::Following,
                        };
                        let about = (number, event, revision);
                        browsers::enqueue(to, about, (name, target), which, &delivery, now)
                    } else {
                        let whom = (&event.commune, name, target);
                        enqueue::enqueue(to, (number, revision), whom, &delivery, &mut room, now)
                    };
                    match enqueued? {
                        Enqueued::New => {
                            tell.push(name.to_owned());
                            None
                        }
                        Enqueued::Already => None,
                        Enqueued::Refused(why) => Some(why),
                    }
                }
            };
            not_told.extend(refused.map(|reason| {
                NotTold {
                    target: name.to_owned(),
                    silence: silence
                        .clone()
                        .filter(|_| reason == NotToldReason::Silenced),
                    reason,
                }
            }));
        }
        Ok((tell, not_told))
    }
}

/// Under whose silence an event was opened.
fn silence_of(
    from: &Connection,
    number: i64,
    event: &Event,
) -> Result<Option<SilencedBy>, StoreError> {
    let opened: Option<i64> = from
        .prepare_cached("SELECT at FROM log WHERE event = ?1 ORDER BY seq LIMIT 1")?
        .query_row([number], |row| row.get(0))
        .optional()?;
    match opened {
        Some(opened) => Silence::of(from, event, UnixMicros(opened)),
        None => Ok(None),
    }
}
