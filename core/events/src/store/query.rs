//! Finding events.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use serde::{Deserialize, Serialize};
use taimat_base::CommuneId;
use taimat_contract::Severity;
use utoipa::{IntoParams, ToSchema};

use super::rows::{self, COLUMNS};
use crate::error::StoreError;
use crate::event::{Event, EventId};
use crate::log::Told;

/// Events of a page, if nothing else is said, and at most.
const PAGE: u32 = 50;
const MAX_PAGE: u32 = 500;
/// Words that are searched for at once.
const MAX_WORDS: usize = 8;
/// Entries that are read at once for who was away.
const CATCH_UP: u32 = 256;

/// Which events are wanted, as far as it is about what is done with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EventState {
    /// They go on.
    Open,
    /// Nobody has dealt with them.
    Unanswered,
    /// Somebody has.
    Answered,
    /// Nothing was there.
    FalseAlarm,
}

/// Which events are wanted. What is not said does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// At this camera.
    pub camera: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Seen by this plugin; `taimat` for what the house saw itself.
    pub plugin: Option<String>,
    /// At least this severe.
    pub severity: Option<Severity>,
    /// What is done with them.
    pub state: Option<EventState>,
    /// Not over before this time, in microseconds since 1970.
    pub from: Option<i64>,
    /// Not begun after this time, in microseconds since 1970.
    pub to: Option<i64>,
    /// With all these words, or what begins so: in what the plugin said, in comments, in the name of
    /// the camera. Marks of letters do not matter.
    pub text: Option<String>,
    /// Older than this event: `next` of the page before.
    #[param(value_type = Option<String>)]
    pub before: Option<EventId>,
    /// So many at most: 50 if nothing is said, 500 in any case.
    pub limit: Option<u32>,
}

/// Events, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Event>,
    /// Goes on there, if there are more.
    #[schema(value_type = Option<String>)]
    pub next: Option<EventId>,
    /// The number of the newest entry in the log: who follows from there misses nothing.
    pub seq: u64,
}

impl EventQuery {
    /// What is asked of the database, without the page.
    fn conditions(&self, commune: &CommuneId) -> (Vec<&'static str>, Vec<Value>) {
        let mut conditions = vec!["commune = ?"];
        let mut values = vec![Value::from(commune.to_string())];
        let mut and = |condition, value: Option<Value>| {
            if let Some(value) = value {
                conditions.push(condition);
                values.push(value);
            }
        };
        and("camera = ?", self.camera.clone().map(Value::from));
        and("kind = ?", self.kind.clone().map(Value::from));
        and("plugin = ?", self.plugin.clone().map(Value::from));
        let severity = self.severity.map(rows::severity_number);
        and("severity >= ?", severity.map(Value::from));
        and("coalesce(ended, last) >= ?", self.from.map(Value::from));
        and("began <= ?", self.to.map(Value::from));
        and("id < ?", self.before.map(|id| Value::from(id.to_string())));
        let words = self.text.as_deref().and_then(words).map(Value::from);
        and(
            "number IN (SELECT rowid FROM event_text WHERE event_text MATCH ?)",
            words,
        );
        match self.state {
            None => {}
            Some(EventState::Open) => conditions.push("ended IS NULL"),
            Some(EventState::Unanswered) => conditions.push("answered_by IS NULL"),
            Some(EventState::Answered) => conditions.push("answered_by IS NOT NULL"),
            Some(EventState::FalseAlarm) => conditions.push("false_alarm"),
        }
        (conditions, values)
    }
}

/// What people write into the field, as FTS5 has it: all words, each as the beginning of one.
fn words(text: &str) -> Option<String> {
    let folded = rows::folded(text);
    let words: Vec<String> = folded
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(MAX_WORDS)
        .map(|word| format!("\"{word}\"*"))
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

fn newest(from: &Connection) -> rusqlite::Result<u64> {
    let seq: i64 = from
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM log")?
        .query_row([], |row| row.get(0))?;
    Ok(u64::try_from(seq).unwrap_or(0))
}

/// A page of a commune's events.
pub(super) fn page(
    from: &Connection,
    commune: &CommuneId,
    query: &EventQuery,
) -> Result<EventPage, StoreError> {
    let limit = query.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let (conditions, mut values) = query.conditions(commune);
    values.push(Value::from(i64::from(limit) + 1));
    let select = format!(
        "SELECT {COLUMNS} FROM event WHERE {} ORDER BY id DESC LIMIT ?",
        conditions.join(" AND ")
    );
    // Before the events: who follows from there may be told one twice, but misses none.
    let seq = newest(from)?;
    let mut all = from.prepare_cached(&select)?;
    let all = all.query_map(params_from_iter(values), rows::event)?;
    let mut events = all.collect::<Result<Vec<Event>, _>>()?;
    let more = events.len() > limit as usize;
    events.truncate(limit as usize);
    let next = events.last().filter(|_| more).map(|event| event.id);
    Ok(EventPage { events, next, seq })
}

/// What was told after an entry, some at once.
pub(super) fn told_after(from: &Connection, seq: u64) -> Result<Vec<Told>, StoreError> {
    let columns = rows::columns_of_event();
    let select = format!(
        "SELECT {columns}, seq, log.revision, at, what FROM log JOIN event ON number = log.event \
         WHERE seq > ?1 ORDER BY seq LIMIT ?2"
    );
    let mut all = from.prepare_cached(&select)?;
    let seq = i64::try_from(seq).unwrap_or(i64::MAX);
    let all = all.query_map([seq, i64::from(CATCH_UP)], |row| {
        Ok(Told {
            event: rows::event(row)?,
            entry: rows::entry(row, 20)?,
        })
    })?;
    Ok(all.collect::<Result<_, _>>()?)
}

/// How many events of a commune stand out.
pub(super) fn standing(from: &Connection, commune: &CommuneId) -> Result<Standing, StoreError> {
    let count = |sql: &str| -> rusqlite::Result<u64> {
        from.prepare_cached(sql)?
            .query_row([commune.as_str()], |row| row.get(0))
    };
    Ok(Standing {
        open: count("SELECT count(*) FROM event WHERE commune = ?1 AND ended IS NULL")?,
        unanswered: count(
            "SELECT count(*) FROM event WHERE commune = ?1 AND answered_by IS NULL \
             AND silenced = 0 AND severity >= 2",
        )?,
    })
}

/// How many events stand out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct Standing {
    /// They go on.
    pub open: u64,
    /// Nobody has dealt with them; of warnings and alarms that are not silenced.
    pub unanswered: u64,
}
