//! Brings the room to life: one task records, one says what is to be recorded, one decides what becomes of it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use taimat_base::tasks::{Stop, Tasks};
use taimat_base::{Seldom, clock};
use taimat_hub::{ChannelKey, Hub};
use tokio::sync::watch;

use crate::archive::Archive;
use crate::copies::Copier;
use crate::error::ArchiveError;
use crate::index::rows;
use crate::keeping::Keeper;
use crate::modes::{self, Refusals};
use crate::moment::now;
use crate::recorder::Recorder;
use crate::watching::ArchiveSurroundings;

/// How often streams are looked at.
const LOOK: Duration = Duration::from_millis(100);

impl Archive {
    /// Records, and keeps what it records in order, until the tasks are stopped.
    pub fn run(self: &Arc<Self>, tasks: &Tasks, hub: Arc<Hub>, around: ArchiveSurroundings) {
        let (refuse, refusals) = watch::channel(Refusals::default());
        let recorder = Recorder::new(
            hub,
            Arc::clone(self.volume()),
            Arc::clone(&around.watching),
            Arc::clone(self.load()),
            self.next(),
            self.metrics().clone(),
        );
        let (archive, span) = (Arc::clone(self), tracing::info_span!("recorder"));
        tasks.spawn("recorder", span, |stop| record(archive, recorder, stop));
        let (archive, span) = (Arc::clone(self), tracing::info_span!("recording modes"));
        let policies = Arc::clone(&around.policies);
        tasks.spawn("recording modes", span, |stop| {
            modes::run(archive, policies, refusals, stop)
        });
        let copier = Copier::new(Arc::clone(self), Arc::clone(&around.places));
        tasks.spawn("copies", tracing::info_span!("copies"), |stop| {
            copier.run(stop)
        });
        let keeper = Keeper::new(Arc::clone(self), around, refuse);
        tasks.spawn("keeper", tracing::info_span!("keeper"), |stop| {
            keeper.run(stop)
        });
    }
}

async fn record(archive: Arc<Archive>, mut recorder: Recorder, stop: Stop) {
    let mut wanted = archive.wanted().subscribe();
    let mut due = clock::now();
    // A disk that does not answer is waited for beside all else: what is known goes on to be recorded.
    let mut learning = FuturesUnordered::new();
    let mut asked: HashSet<ChannelKey> = HashSet::new();
    let mut unknown = Seldom::default();
    loop {
        let all = Arc::clone(&wanted.borrow_and_update());
        for key in recorder.unknown(&all) {
            if asked.insert(key.clone()) {
                learning.push(learn(&archive, key));
            }
        }
        recorder.poll(clock::now(), now(), &all);
        measure(&archive);
        due = (due + LOOK).max(clock::now());
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return recorder.stop(),
                Some((key, learned)) = learning.next(), if !learning.is_empty() => {
                    asked.remove(&key);
                    match learned {
                        Ok((number, end)) => recorder.learn(key, number, end),
                        Err(error) => if let Some(unsaid) = unknown.say(clock::now()) {
                            tracing::warn!(stream = %key, %error, unsaid, "not recorded yet");
                        },
                    }
                }
                () = clock::sleep_until(due) => break,
            }
        }
    }
}

/// What waits for the disk, and since when.
fn measure(archive: &Archive) {
    let metrics = archive.metrics();
    let queue = archive.load().bytes();
    metrics.queue.set(i64::try_from(queue).unwrap_or(i64::MAX));
    metrics.behind.set(archive.volume().behind().as_secs_f64());
}

/// A stream's number in the index, and when the newest of it was over.
async fn learn(
    archive: &Archive,
    key: ChannelKey,
) -> (ChannelKey, Result<(i64, Option<i64>), ArchiveError>) {
    let own = key.clone();
    let learned = archive
        .volume()
        .write(move |to| {
            let (number, _) = rows::stream(to, &own)?;
            let end = to.query_row(
                "SELECT max(end) FROM segment WHERE stream = ?1 AND id = \
                 (SELECT max(id) FROM segment WHERE stream = ?1)",
                [number],
                |row| row.get(0),
            )?;
            Ok((number, end))
        })
        .await;
    (key, learned)
}
