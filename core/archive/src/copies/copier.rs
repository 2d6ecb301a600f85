//! Makes copies and lets them go: one task, each place in turn, so that a slow one costs the others no more
//! than its share.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use taimat_base::tasks::Stop;
use taimat_base::{CommuneId, clock};
use taimat_contract::place::{BlobSource, BlobStore, ByteStream, PlaceError, Places, PutContent};
use tokio::io::AsyncSeekExt as _;
use tokio::task::JoinSet;

use super::folder::{self, Folder};
use super::work::{self, Work};
use crate::archive::Archive;
use crate::config::{CommuneArchive, StoreKind, StoreSpec};
use crate::error::ArchiveError;
use crate::moment::now;

/// How often it is looked what is to be done.
const EVERY: Duration = Duration::from_secs(1);
/// Copies of one look at one place.
const AT_ONCE: usize = 16;
/// One copy may take so long.
const PATIENCE: Duration = Duration::from_secs(600);

/// Makes copies and lets them go.
#[derive(Debug)]
pub(crate) struct Copier {
    archive: Arc<Archive>,
    places: Arc<dyn Places>,
}

impl Copier {
    pub(crate) fn new(archive: Arc<Archive>, places: Arc<dyn Places>) -> Arc<Self> {
        Arc::new(Self { archive, places })
    }

    /// Works until told to stop.
    pub(crate) async fn run(self: Arc<Self>, stop: Stop) {
        let mut busy: HashMap<(CommuneId, String), tokio::task::AbortHandle> = HashMap::new();
        let mut rounds = JoinSet::new();
        loop {
            while rounds.try_join_next().is_some() {}
            busy.retain(|_, round| !round.is_finished());
            for commune in self.archive.configured().values() {
                for store in &commune.stores {
                    let key = (commune.commune.clone(), store.name.clone());
                    if busy.contains_key(&key) {
                        continue;
                    }
                    let (own, commune) = (Arc::clone(&self), Arc::clone(commune));
                    let (store, stop) = (store.clone(), stop.clone());
                    let round = rounds.spawn(async move {
                        if let Err(error) = own.round(&commune, &store, &stop).await {
                            tracing::warn!(store = store.name, %error, "copies wait");
                        }
                    });
                    busy.insert(key, round);
                }
            }
            let due = clock::now() + EVERY;
            tokio::select! {
                () = stop.cancelled() => break,
                () = clock::sleep_until(due) => {}
            }
        }
        // What is half done is done again at the next start.
        rounds.shutdown().await;
    }

    /// Some copies at one place.
    async fn round(
        &self,
        commune: &CommuneArchive,
        store: &StoreSpec,
        stop: &Stop,
    ) -> Result<(), ArchiveError> {
        let (id, name) = (commune.commune.clone(), store.name.clone());
        if let Some(quota) = store.quota {
            let (id, name) = (id.clone(), name.clone());
            let write = self
                .archive
                .volume()
                .write(move |to| work::too_much(to, &id, &name, quota, now()));
            write.await?;
        }
        let index = Arc::clone(self.archive.index());
        let due = tokio::task::spawn_blocking(move || {
            index.read(|of| work::due(of, &id, &name, now(), AT_ONCE))
        });
        let due = due.await.map_err(|_ended| ArchiveError::Stopped)??;
        if due.is_empty() {
            return Ok(());
        }
        let place: Option<Arc<dyn BlobStore>> = match &store.kind {
            StoreKind::Folder(folder) => Some(Arc::new(Folder::new(folder))),
            StoreKind::Reached => self.places.place(&commune.commune, &store.name),
        };
        let Some(place) = place else {
            return Ok(());
        };
        let labels = [commune.commune.as_str(), store.name.as_str()];
        for one in due {
            if stop.is_cancelled() {
                return Ok(());
            }
            let done = tokio::time::timeout(PATIENCE, self.one(&place, &one)).await;
            let done = done.unwrap_or_else(|_late| Err(PlaceError::later("it took too long")));
            let metrics = self.archive.metrics();
            let failed = done.is_err();
            match &done {
                Ok(()) if one.make => {
                    let copied = metrics.copied_bytes.with_label_values(&labels);
                    copied.inc_by(one.bytes);
                }
                Ok(()) => {}
                Err(error) => {
                    metrics.copy_failures.with_label_values(&labels).inc();
                    tracing::debug!(store = store.name, segment = one.segment, %error, "a copy waits");
                }
            }
            self.note(one, store.name.clone(), done).await?;
            if failed {
                // The place is in trouble: the others wait for the next look.
                return Ok(());
            }
        }
        Ok(())
    }

    /// Makes a copy and holds it against what was recorded, or lets one go.
    async fn one(&self, place: &Arc<dyn BlobStore>, work: &Work) -> Result<(), PlaceError> {
        if !work.make {
            return place.delete(&work.key).await;
        }
        if !work.is_here {
            return Err(PlaceError::Source("it is not here any more".into()));
        }
        let path = self.archive.root().join(&work.key);
        let (of, bytes) = (path.clone(), work.bytes);
        let digest = tokio::task::spawn_blocking(move || digest(&of, bytes));
        let digest = digest
            .await
            .map_err(|e| PlaceError::Source(e.to_string()))?;
        let digest = digest.map_err(|e| PlaceError::Source(e.to_string()))?;
        let content = PutContent {
            size: work.bytes,
            sha256: digest,
            content_type: "video/mp4".into(),
            source: Arc::new(FileSource(path, work.bytes)),
        };
        place.put(&work.key, content).await?;
        let there = place.digest(&work.key, work.bytes).await?;
        if there == digest {
            Ok(())
        } else {
            Err(PlaceError::Differs(
                "it does not give back what was put".into(),
            ))
        }
    }

    async fn note(
        &self,
        work: Work,
        store: String,
        done: Result<(), PlaceError>,
    ) -> Result<(), ArchiveError> {
        let write = self.archive.volume().write(move |to| match done {
            Ok(()) if work.make => work::made(to, &work, &store, now()),
            Ok(()) => work::gone(to, &work, &store),
            Err(error) => work::failed(to, &work, &store, &error.to_string(), now()),
        });
        write.await
    }
}

fn digest(path: &Path, bytes: u64) -> io::Result<[u8; 32]> {
    let file = std::fs::File::open(path)?;
    if file.metadata()?.len() < bytes {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the file is shorter than it was",
        ));
    }
    crate::scan::hash_of(&file, 0, bytes)
}

/// A segment's file, as far as it is whole.
#[derive(Debug)]
struct FileSource(PathBuf, u64);

#[async_trait]
impl BlobSource for FileSource {
    async fn open(&self, offset: u64) -> io::Result<ByteStream> {
        let mut file = tokio::fs::File::open(&self.0).await?;
        file.seek(io::SeekFrom::Start(offset)).await?;
        Ok(folder::parts(file, self.1.saturating_sub(offset)))
    }
}
