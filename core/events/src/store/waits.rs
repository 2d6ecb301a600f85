//! The clock was set: what waits for a time waits as long as before.

use rusqlite::{Connection, params};
use taimat_contract::UnixMicros;
use taimat_contract::policy::Why;

use super::event_store::EventStore;
use super::rows;
use crate::error::StoreError;
use crate::log::Told;

impl EventStore {
    /// Moves what waits by as much as the clock was set.
    pub(crate) async fn shift(&self, by_micros: i64) -> Result<(), StoreError> {
        let write = move |to: &Connection, _: &mut Vec<Told>| {
            // What happened meanwhile was asked about on the clock as it is now: it is due already, and is
            // not to wait until it would have been.
            let questions = "UPDATE question SET due = due + ?1 WHERE ?1 < 0 OR why = ?2";
            to.execute(questions, params![by_micros, rows::why_number(Why::Timer)])?;
            let waiting = "UPDATE delivery SET made = made + ?1, not_before = not_before + ?1, \
                           due = due + ?1, expires = expires + ?1 WHERE state = 0";
            to.execute(waiting, [by_micros])?;
            // Which of the two was last decides whether a target can be reached.
            let targets = "UPDATE target SET delivered = delivered + ?1, failed = failed + ?1";
            to.execute(targets, [by_micros])?;
            Ok(())
        };
        self.writer.run(write).await
    }

    /// The router starts anew: what was ruled at a time that is still to come was ruled before the clock was
    /// set back.
    pub(crate) async fn woken(&self, now: UnixMicros) -> Result<(), StoreError> {
        let newest: Option<i64> = self.read(|from| {
            let newest = "SELECT max(made) FROM delivery WHERE state = 0";
            Ok(from.query_row(newest, [], |row| row.get(0))?)
        })?;
        if let Some(newest) = newest.filter(|newest| *newest > now.0) {
            self.shift(now.0.saturating_sub(newest)).await?;
        }
        let write = move |to: &Connection, _: &mut Vec<Told>| {
            let questions = "UPDATE question SET due = min(due, ?1) WHERE why != ?2";
            to.execute(questions, params![now.0, rows::why_number(Why::Timer)])?;
            Ok(())
        };
        self.writer.run(write).await
    }
}
