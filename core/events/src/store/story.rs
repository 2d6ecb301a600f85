//! The story of an event, with who was told of it.

use super::event_store::EventStore;
use super::{deliveries, rows};
use crate::error::StoreError;
use crate::event::EventId;
use crate::log::Story;

impl EventStore {
    /// An event and what happened to it.
    ///
    /// # Errors
    /// If there is none, or the disk says no. Waits for the disk.
    pub fn story(&self, id: EventId) -> Result<Story, StoreError> {
        self.read(|from| {
            let (number, event) = rows::read(from, id)?.ok_or(StoreError::Unknown)?;
            let mut all = from.prepare_cached(
                "SELECT seq, revision, at, what FROM log WHERE event = ?1 ORDER BY seq",
            )?;
            let log = all.query_map([number], |row| rows::entry(row, 0))?;
            Ok(Story {
                event,
                log: log.collect::<Result<_, _>>()?,
                deliveries: deliveries::of_event(from, number)?,
            })
        })
    }
}
