//! Deliveries and targets, as people see them.

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};
use taimat_base::CommuneId;
use taimat_contract::UnixMicros;

use super::event_store::EventStore;
use super::rows;
use crate::delivery::{Delivery, DeliveryStatus};
use crate::error::StoreError;
use crate::target;

/// Deliveries of a page.
const PAGE: u32 = 100;

impl EventStore {
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
                // What waits for its browsers waits for the target.
                let name = target::browser(&name).map_or(name.as_str(), |(of, _)| of);
                let (waiting, oldest): (u64, _) = (row.get(1)?, UnixMicros(row.get(2)?));
                let state = match all.iter_mut().find(|state| state.name == name) {
                    Some(state) => state,
                    None => {
                        all.push(TargetState {
                            name: name.to_owned(),
                            ..TargetState::default()
                        });
                        let Some(new) = all.last_mut() else { continue };
                        new
                    }
                };
                state.waiting += waiting;
                state.oldest = Some(state.oldest.map_or(oldest, |other| other.min(oldest)));
            }
            Ok(all)
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
            // With those to its browsers.
            conditions.push("(target = ? OR substr(target, 1, length(?) + 1) = ? || '/')");
            values.extend([(); 3].map(|()| Value::from(target.to_owned())));
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
