//! Makes copies and lets them go: each place in turn, so that a slow one costs the others no more than its
//! share.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use taimat_base::clock;
use taimat_base::tasks::Stop;
use taimat_contract::place::{BlobSource, BlobStore, ByteStream, PlaceError, Places, PutContent};
use tokio::io::AsyncSeekExt as _;
use tokio::task::JoinSet;

use super::bring::bring;
use super::folder::{self, Folder};
use super::kept::{self, Kept};
use super::pauses::{Pauses, PlaceKey};
use super::work::{self, Work};
use crate::archive::Archive;
use crate::config::{CommuneArchive, StoreKind, StoreSpec};
use crate::error::ArchiveError;
use crate::moment::now;

/// How often it is looked what is to be done.
const EVERY: Duration = Duration::from_secs(1);
/// Copies that are made at a place in one look, and that are let go: who can not let go still makes.
const AT_ONCE: usize = 16;
/// One copy may take so long.
const PATIENCE: Duration = Duration::from_secs(600);

/// All that is done with copies.
#[derive(Debug)]
pub(crate) struct Copier {
    pub(super) archive: Arc<Archive>,
    places: Arc<dyn Places>,
    pub(super) pauses: Pauses,
}

impl Copier {
    pub(crate) fn new(archive: Arc<Archive>, places: Arc<dyn Places>) -> Arc<Self> {
        Arc::new(Self {
            archive,
            places,
            pauses: Pauses::default(),
        })
    }

    /// Works until told to stop.
    pub(crate) async fn run(self: Arc<Self>, stop: Stop) {
        tokio::join!(
            self.copy(&stop),
            self.check(&stop),
            self.fetch(&stop),
            self.mend(&stop)
        );
    }

    async fn copy(self: &Arc<Self>, stop: &Stop) {
        let mut busy: HashMap<PlaceKey, tokio::task::AbortHandle> = HashMap::new();
        let mut rounds = JoinSet::new();
        let mut changes = self.archive.changes();
        loop {
            while rounds.try_join_next().is_some() {}
            busy.retain(|_, round| !round.is_finished());
            if changes.has_changed().unwrap_or(false) {
                changes.mark_unchanged();
                self.pauses.forget();
            }
            for commune in self.archive.configured().values() {
                for store in &commune.stores {
                    let key = (commune.commune.clone(), store.name.clone());
                    if busy.contains_key(&key) || self.pauses.covers(&key, clock::now()) {
                        continue;
                    }
                    let (own, commune) = (Arc::clone(self), Arc::clone(commune));
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
        if let Some(quota) = store.quota {
            let (id, name) = (commune.commune.clone(), store.name.clone());
            let write = self
                .archive
                .volume()
                .write(move |to| work::too_much(to, &id, &name, quota, now()));
            write.await?;
        }
        let Some(place) = self.place(commune, &store.name) else {
            return Ok(());
        };
        let key = (commune.commune.clone(), store.name.clone());
        // What goes makes room for what comes.
        for make in [false, true] {
            for one in self.due(&key, make).await? {
                if stop.is_cancelled() {
                    return Ok(());
                }
                let done = self.timely(&place, &key, &one).await;
                self.pauses.note(&key, &done, clock::now());
                let stays = matches!(&done, Err(error) if !is_ours(error));
                self.note(one, key.clone(), done).await?;
                if stays {
                    // The place is in trouble: the others wait until it has had its pause. If it is only
                    // that it lets nothing go, it may still take what is to be made.
                    break;
                }
            }
        }
        Ok(())
    }

    async fn due(&self, place: &PlaceKey, make: bool) -> Result<Vec<Work>, ArchiveError> {
        let index = Arc::clone(self.archive.index());
        let (commune, store) = place.clone();
        let due = tokio::task::spawn_blocking(move || {
            index.read(|of| work::due(of, &commune, &store, make, now(), AT_ONCE))
        });
        due.await.map_err(|_ended| ArchiveError::Stopped)?
    }

    /// One of a commune's places; none if it is not there at present.
    pub(super) fn place(&self, commune: &CommuneArchive, name: &str) -> Option<Arc<dyn BlobStore>> {
        let store = commune.stores.iter().find(|store| store.name == name)?;
        match &store.kind {
            StoreKind::Folder(folder) => Some(Arc::new(Folder::new(folder))),
            StoreKind::Reached => self.places.place(&commune.commune, name),
        }
    }

    async fn timely(
        &self,
        place: &Arc<dyn BlobStore>,
        at: &PlaceKey,
        work: &Work,
    ) -> Result<Option<[u8; 32]>, PlaceError> {
        let one = async {
            match work.make {
                true => self.make(place, at, work).await.map(Some),
                false => place.delete(&work.key).await.map(|()| None),
            }
        };
        let done = tokio::time::timeout(PATIENCE, one).await;
        done.unwrap_or_else(|_late| Err(PlaceError::later("it took too long")))
    }

    /// Makes a copy of what was recorded and of nothing else, and holds it against that.
    async fn make(
        &self,
        place: &Arc<dyn BlobStore>,
        at: &PlaceKey,
        work: &Work,
    ) -> Result<[u8; 32], PlaceError> {
        let kept = self.kept(work.segment).await?;
        let kept = kept.ok_or_else(|| PlaceError::Source("there is no such recording".into()))?;
        if kept.is_here {
            let digest = self.hold_here(&kept).await?;
            let path = self.archive.root().join(&kept.key);
            return put(place, &kept, path, digest).await;
        }
        // Of what is not here any more another copy is copied.
        let name = format!("{}.new", at.1);
        let scratch = self.archive.fetched().scratch(&name, kept.segment);
        let digest = self.copy_back(&kept, Some(&at.1), &scratch).await?;
        let done = put(place, &kept, scratch.clone(), digest).await;
        let _removed = tokio::fs::remove_file(&scratch).await;
        done
    }

    /// What the index says of a segment.
    pub(super) async fn kept(&self, segment: u64) -> Result<Option<Arc<Kept>>, PlaceError> {
        let index = Arc::clone(self.archive.index());
        let found = tokio::task::spawn_blocking(move || index.read(|of| kept::kept(of, segment)));
        let found = found.await.map_err(|e| PlaceError::Source(e.to_string()))?;
        let found = found.map_err(|e| PlaceError::Source(e.to_string()))?;
        Ok(found.map(Arc::new))
    }

    /// Holds the file here against what was recorded. One that is damaged is said to be, and mended.
    pub(super) async fn hold_here(&self, kept: &Arc<Kept>) -> Result<[u8; 32], PlaceError> {
        let path = self.archive.root().join(&kept.key);
        let (own, file) = (Arc::clone(kept), path.clone());
        let held = tokio::task::spawn_blocking(move || own.hold(&file)).await;
        let held = held.map_err(|e| PlaceError::Source(e.to_string()))?;
        held.map_err(|unlike| {
            self.archive.found_damaged(&kept.commune, &path);
            PlaceError::Source(format!("the file here is not what was recorded: {unlike}"))
        })
    }

    /// Writes a segment to a file, from the first of its copies that is what was recorded. Copies that are not
    /// are made anew.
    pub(super) async fn copy_back(
        &self,
        kept: &Arc<Kept>,
        but: Option<&str>,
        to: &Path,
    ) -> Result<[u8; 32], PlaceError> {
        let configured = self.archive.configured();
        let key = |target: &str| (kept.commune.clone(), target.to_owned());
        let others = kept.copies.iter();
        let others = others.filter(|copy| but.is_none_or(|but| but != copy.target));
        let mut others: Vec<_> = others.collect();
        // Where it is known to go badly is asked last.
        others.sort_by_key(|copy| self.pauses.covers(&key(&copy.target), clock::now()));
        let mut last = PlaceError::Source("there is no good copy of it".into());
        for copy in others {
            let commune = configured.get(&kept.commune);
            let Some(place) = commune.and_then(|own| self.place(own, &copy.target)) else {
                last = PlaceError::Source(format!("it is at {}, which is not there", copy.target));
                continue;
            };
            match bring(place.as_ref(), kept, copy, to).await {
                Ok(digest) => return Ok(digest),
                Err(error) => {
                    self.spoilt(kept, &copy.target, &error).await;
                    last = PlaceError::Source(format!("{}: {error}", copy.target));
                }
            }
        }
        Err(last)
    }

    /// A copy that is gone, or is not what it should be, is made anew. Any other error says nothing of it.
    pub(super) async fn spoilt(&self, kept: &Kept, store: &str, error: &PlaceError) {
        let result = match error {
            PlaceError::Missing => "gone",
            PlaceError::Differs(_) => "differs",
            _ => return,
        };
        let labels = [kept.commune.as_str(), store, result];
        let checks = &self.archive.metrics().copy_checks;
        checks.with_label_values(&labels).inc();
        tracing::error!(store, segment = kept.key, %error, "a copy is not what it should be; it is made anew");
        let (segment, store) = (kept.segment, store.to_owned());
        let why = format!("a copy was there and is not what it should be: {error}");
        let write = self
            .archive
            .volume()
            .write(move |to| work::spoilt(to, (segment, &store), &why, now()));
        if let Err(error) = write.await {
            // It is found again.
            tracing::warn!(%error, "what is the matter with a copy can not be written down");
        }
    }

    async fn note(
        &self,
        work: Work,
        (commune, store): PlaceKey,
        done: Result<Option<[u8; 32]>, PlaceError>,
    ) -> Result<(), ArchiveError> {
        let (metrics, labels) = (self.archive.metrics(), [commune.as_str(), store.as_str()]);
        match &done {
            Ok(Some(_)) => {
                let copied = metrics.copied_bytes.with_label_values(&labels);
                copied.inc_by(work.bytes);
            }
            Ok(None) => {}
            Err(error) => {
                metrics.copy_failures.with_label_values(&labels).inc();
                tracing::debug!(store, segment = work.segment, %error, "a copy waits");
            }
        }
        let write = self.archive.volume().write(move |to| match done {
            Ok(Some(hash)) => work::made(to, &work, &store, &hash, now()),
            Ok(None) => work::gone(to, &work, &store),
            Err(error) => work::failed(to, &work, &store, &error.to_string(), now()),
        });
        write.await
    }
}

/// Whether an error says nothing of the place.
fn is_ours(error: &PlaceError) -> bool {
    matches!(error, PlaceError::Source(_))
}

async fn put(
    place: &Arc<dyn BlobStore>,
    kept: &Kept,
    path: PathBuf,
    digest: [u8; 32],
) -> Result<[u8; 32], PlaceError> {
    let content = PutContent {
        size: kept.bytes,
        sha256: digest,
        content_type: "video/mp4".into(),
        source: Arc::new(FileSource(path, kept.bytes)),
    };
    place.put(&kept.key, content).await?;
    if place.digest(&kept.key, kept.bytes).await? == digest {
        return Ok(digest);
    }
    let why = "it does not give back what was put";
    Err(PlaceError::Differs(why.into()))
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
