//! A delivery comes to its end, and what follows from it.

use rusqlite::{Connection, params};
use taimat_base::CommuneId;
use taimat_contract::UnixMicros;

use super::event_store::EventStore;
use super::outbox::say;
use super::{browsers, enqueue, rows};
use crate::delivery::DeliveryStatus;
use crate::error::StoreError;
use crate::log::{Happening, Told};
use crate::target::{self, Target};

/// How a delivery ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Delivered,
    Failed(String),
    /// As failed; and the target is told nothing more until the file says it anew. A browser that is gone is
    /// removed.
    Gone(String),
    Skipped(String),
}

impl EventStore {
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
        let browser = target::browser(&self.target);
        let (state, happening) = self.happening(browser.is_some());
        let error = match &self.end {
            End::Failed(error) | End::Gone(error) => Some(error.as_str()),
            End::Delivered | End::Skipped(_) => None,
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
        say(to, self.number, &happening, now, told)?;
        let commune = self.commune.as_str();
        let (name, number) = match browser {
            Some((name, number)) => (name, Some(number)),
            None => (self.target.as_str(), None),
        };
        if sent {
            to.prepare_cached(
                "INSERT INTO target (commune, target, delivered) VALUES (?1, ?2, ?3) \
                 ON CONFLICT DO UPDATE SET delivered = ?3, gone = NULL",
            )?
            .execute(params![commune, name, now.0])?;
            return Ok(());
        }
        let Some(error) = error else {
            return Ok(());
        };
        if let Some(number) = number {
            if matches!(self.end, End::Gone(_)) {
                browsers::remove(to, commune, number, now)?;
            }
            return self.unreached_by_any(to, name, error, now, told);
        }
        let gone = match (&self.end, target) {
            (End::Gone(_), Some(target)) => Some(enqueue::address(target)?),
            _ => None,
        };
        fails(to, (commune, name), error, gone.as_deref(), now)
    }

    /// How it stands with the delivery, and what the story says.
    fn happening(&self, is_browser: bool) -> (DeliveryStatus, Happening) {
        let (target, delivery) = (self.target.clone(), self.number.unsigned_abs());
        match self.end.clone() {
            End::Delivered => {
                let attempt = self.attempts;
                let happening = Happening::Delivered {
                    target,
                    delivery,
                    attempt,
                };
                (DeliveryStatus::Delivered, happening)
            }
            // A browser that is no more is nothing that could be tried again.
            End::Gone(reason) if is_browser => {
                let happening = Happening::Skipped {
                    target,
                    delivery,
                    reason,
                };
                (DeliveryStatus::Skipped, happening)
            }
            End::Skipped(reason) => {
                let happening = Happening::Skipped {
                    target,
                    delivery,
                    reason,
                };
                (DeliveryStatus::Skipped, happening)
            }
            End::Failed(error) | End::Gone(error) => {
                let happening = Happening::Undelivered {
                    target,
                    delivery,
                    error,
                };
                (DeliveryStatus::Failed, happening)
            }
        }
    }

    /// If none of a target's browsers has been told of an event, and none may still be, then the target was
    /// not reached: the policy is asked, and the house says so.
    fn unreached_by_any(
        &self,
        to: &Connection,
        name: &str,
        error: &str,
        now: UnixMicros,
        told: &mut Vec<Told>,
    ) -> Result<(), StoreError> {
        let mut all = to.prepare_cached(
            "SELECT event.number, id FROM delivery_item JOIN event ON event.number = event \
             WHERE delivery = ?1",
        )?;
        let all = all.query_map([self.number], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        })?;
        for (event, id) in all.collect::<Result<Vec<_>, _>>()? {
            let Ok(id) = id.parse() else { continue };
            if browsers::may_reach(to, event, name)? {
                continue;
            }
            let happening = Happening::Undelivered {
                target: name.to_owned(),
                delivery: self.number.unsigned_abs(),
                error: error.to_owned(),
            };
            told.push(rows::append(to, id, now, happening)?);
            fails(to, (self.commune.as_str(), name), error, None, now)?;
        }
        Ok(())
    }
}

fn fails(
    to: &Connection,
    (commune, name): (&str, &str),
    error: &str,
    gone: Option<&str>,
    now: UnixMicros,
) -> Result<(), StoreError> {
    to.prepare_cached(
        "INSERT INTO target (commune, target, failed, error, gone) \
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE \
         SET failed = ?3, error = ?4, gone = ifnull(?5, gone)",
    )?
    .execute(params![commune, name, now.0, error, gone])?;
    Ok(())
}
