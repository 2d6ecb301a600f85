//! What stands at targets without events: topics that a broker keeps for us. Kept on disk, so that what no
//! longer stands is cleared also after a restart.

use rusqlite::{Connection, params};
use taimat_base::{CameraId, CommuneId};

use super::event_store::EventStore;
use crate::error::StoreError;
use crate::log::Told;

/// A topic that stands at a target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Topic {
    pub(crate) target: String,
    pub(crate) channel: String,
    pub(crate) topic: String,
}

impl EventStore {
    /// What stands at a commune's targets.
    pub(crate) fn standing_topics(&self, commune: &CommuneId) -> Result<Vec<Topic>, StoreError> {
        self.read(|from| {
            let mut all = from
                .prepare_cached("SELECT target, channel, topic FROM stands WHERE commune = ?1")?;
            let all = all.query_map([commune.as_str()], |row| {
                Ok(Topic {
                    target: row.get(0)?,
                    channel: row.get(1)?,
                    topic: row.get(2)?,
                })
            })?;
            Ok(all.collect::<Result<_, _>>()?)
        })
    }

    /// A topic is about to stand, or stands no longer.
    pub(crate) async fn stand(
        &self,
        commune: &CommuneId,
        topics: Vec<(Topic, bool)>,
    ) -> Result<(), StoreError> {
        let commune = commune.clone();
        let write = move |to: &Connection, _: &mut Vec<Told>| {
            let mut add =
                to.prepare_cached("INSERT OR IGNORE INTO stands VALUES (?1, ?2, ?3, ?4)")?;
            let mut remove = to.prepare_cached(
                "DELETE FROM stands WHERE commune = ?1 AND target = ?2 AND channel = ?3 AND topic = ?4",
            )?;
            for (topic, stands) in &topics {
                let change = if *stands { &mut add } else { &mut remove };
                change.execute(params![
                    commune.as_str(),
                    topic.target,
                    topic.channel,
                    topic.topic
                ])?;
            }
            Ok(())
        };
        self.writer.run(write).await
    }

    /// Which kinds of events a commune's cameras had since an event's name, and whether one goes on.
    pub(crate) fn kinds_of_cameras(
        &self,
        commune: &CommuneId,
        since: &str,
    ) -> Result<Vec<(CameraId, String, bool)>, StoreError> {
        self.read(|from| {
            let mut all = from.prepare_cached(
                "SELECT camera, kind, max(ended IS NULL) FROM event \
                 WHERE commune = ?1 AND camera IS NOT NULL AND id >= ?2 GROUP BY camera, kind \
                 UNION SELECT camera, kind, 1 FROM event \
                 WHERE commune = ?1 AND camera IS NOT NULL AND ended IS NULL",
            )?;
            let all = all.query_map([commune.as_str(), since], |row| {
                Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))
            })?;
            let all: Vec<(String, String, bool)> = all.collect::<Result<_, _>>()?;
            let known = |(camera, kind, open): (String, String, bool)| {
                Some((camera.parse().ok()?, kind, open))
            };
            Ok(all.into_iter().filter_map(known).collect())
        })
    }
}
