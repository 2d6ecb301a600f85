//! Places in memory that go well and badly, and a plugin that says what a test has it say.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "a set-up that fails fails its test; not every test needs all of it"
)]

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use sha2::{Digest, Sha256};
use taimat_archive::{Archive, ArchiveSurroundings, CommuneArchive, StoreKind, StoreSpec};
use taimat_base::metrics::{Encoder, Registry, TextEncoder};
use taimat_base::tasks::Tasks;
use taimat_base::{CommuneId, PluginId, clock};
use taimat_contract::UnixMicros;
use taimat_contract::failure::Unanswered;
use taimat_contract::place::{
    BlobPage, BlobStat, BlobStore, ByteStream, PlaceError, PlaceSpace, Places, PutContent,
};
use taimat_contract::storage::{Placed, Placement, Review, ReviewCause, Storage, Storages};
use taimat_hub::Hub;
use tempfile::TempDir;

use crate::house::{Around, Camera, House, file, key, micros, recorded, until};
use taimat_testkit::movies::movies_below;

/// How a place behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    Well,
    /// It says 500 to everything.
    Breaks,
    /// It never answers.
    Hangs,
    /// It says that it has what was put, and keeps nothing.
    Forgets,
    /// It keeps other bytes, as many.
    KeepsOther,
    /// It gives back half.
    Truncates,
    /// It refuses to let anything go.
    LetsNothingGo,
}

/// A place in memory.
#[derive(Debug)]
pub(crate) struct Shelf {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    does: Mutex<Does>,
    asked: AtomicUsize,
    removals: AtomicUsize,
}

impl Default for Shelf {
    fn default() -> Self {
        Self {
            objects: Mutex::default(),
            does: Mutex::new(Does::Well),
            asked: AtomicUsize::new(0),
            removals: AtomicUsize::new(0),
        }
    }
}

impl Shelf {
    pub(crate) fn does(&self, what: Does) {
        *self.does.lock().unwrap() = what;
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }

    pub(crate) fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.objects.lock().unwrap().get(key).cloned()
    }

    /// Whether it has these, byte for byte.
    pub(crate) fn holds(&self, files: &BTreeMap<String, Vec<u8>>) -> bool {
        let objects = self.objects.lock().unwrap();
        files
            .iter()
            .all(|(key, bytes)| objects.get(key) == Some(bytes))
    }

    pub(crate) fn change(&self, key: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change(self.objects.lock().unwrap().get_mut(key).unwrap());
    }

    pub(crate) fn lose(&self, key: &str) {
        self.objects.lock().unwrap().remove(key).unwrap();
    }

    /// How often anything was to be put.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// How often anything was to be let go.
    pub(crate) fn removals(&self) -> usize {
        self.removals.load(Ordering::Relaxed)
    }

    async fn now(&self) -> Result<Does, PlaceError> {
        let does = *self.does.lock().unwrap();
        match does {
            Does::Breaks => Err(PlaceError::later("the server says 500")),
            Does::Hangs => std::future::pending().await,
            other => Ok(other),
        }
    }
}

#[async_trait]
impl BlobStore for Shelf {
    async fn put(&self, key: &str, content: PutContent) -> Result<(), PlaceError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let does = self.now().await?;
        let mut bytes = Vec::new();
        let mut source = content.source.open(0).await.unwrap();
        while let Some(part) = source.next().await {
            bytes.extend_from_slice(&part.unwrap());
        }
        match does {
            Does::Forgets => return Ok(()),
            Does::KeepsOther => bytes[100] ^= 1,
            _ => {}
        }
        self.objects.lock().unwrap().insert(key.to_owned(), bytes);
        Ok(())
    }

    async fn stat(&self, key: &str) -> Result<Option<BlobStat>, PlaceError> {
        self.now().await?;
        let object = self.object(key);
        Ok(object.map(|bytes| BlobStat {
            size: bytes.len() as u64,
            sha256: None,
        }))
    }

    async fn get(&self, key: &str, offset: u64, length: u64) -> Result<ByteStream, PlaceError> {
        let does = self.now().await?;
        let object = self.object(key).ok_or(PlaceError::Missing)?;
        let from = usize::try_from(offset).unwrap();
        let length = usize::try_from(length).unwrap();
        let some = if does == Does::Truncates {
            length / 2
        } else {
            length
        };
        let part = object.get(from..from + some);
        let part = part.ok_or_else(|| PlaceError::Differs("no such range".into()))?;
        let mut parts = vec![Ok(Bytes::copy_from_slice(part))];
        if some < length {
            parts.push(Err(std::io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(Box::pin(stream::iter(parts)))
    }

    async fn delete(&self, key: &str) -> Result<(), PlaceError> {
        self.removals.fetch_add(1, Ordering::Relaxed);
        if self.now().await? == Does::LetsNothingGo {
            return Err(PlaceError::Refused("locked".into()));
        }
        self.objects.lock().unwrap().remove(key);
        Ok(())
    }

    async fn list(&self, _: &str, _: Option<&str>) -> Result<BlobPage, PlaceError> {
        Err(PlaceError::Unsupported)
    }

    async fn space(&self) -> Result<Option<PlaceSpace>, PlaceError> {
        Ok(None)
    }
}

/// Says where copies are to be.
#[derive(Debug, Default)]
pub(crate) struct Decider {
    targets: Mutex<Vec<String>>,
    /// It fails when it is asked about that one.
    fails_at: Mutex<Option<u64>>,
    /// The times it says are over.
    over: Mutex<bool>,
    asked: Mutex<Vec<ReviewCause>>,
}

impl Decider {
    pub(crate) fn fails_at(&self, segment: Option<u64>) {
        *self.fails_at.lock().unwrap() = segment;
    }

    pub(crate) fn over(&self, over: bool) {
        *self.over.lock().unwrap() = over;
    }

    /// Segments that it was asked about for a reason.
    pub(crate) fn asked(&self, why: ReviewCause) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|one| **one == why).count()
    }
}

#[async_trait]
impl Storage for Decider {
    async fn review(&self, review: &Review) -> Result<Vec<Placement>, Unanswered> {
        let poison = *self.fails_at.lock().unwrap();
        if review.segments.iter().any(|s| Some(s.id) == poison) {
            return Err(Unanswered::NotRunning);
        }
        let causes = review.segments.iter().map(|_| review.why);
        self.asked.lock().unwrap().extend(causes);
        let until = match *self.over.lock().unwrap() {
            true => UnixMicros(review.now.0 - 1_000_000),
            false => review.now.after(Duration::from_secs(86_400)),
        };
        let copies = |segment: u64| Placement {
            id: segment,
            copies: self
                .targets
                .lock()
                .unwrap()
                .iter()
                .map(|target| Placed {
                    target: target.clone(),
                    until,
                    worth: 7,
                })
                .collect(),
        };
        Ok(review.segments.iter().map(|s| copies(s.id)).collect())
    }
}

/// The places and the plugin of the commune.
#[derive(Debug, Default)]
struct Commune {
    places: BTreeMap<String, Arc<Shelf>>,
    decider: Arc<Decider>,
}

impl Places for Commune {
    fn place(&self, _: &CommuneId, name: &str) -> Option<Arc<dyn BlobStore>> {
        let place = self.places.get(name)?;
        Some(Arc::clone(place) as Arc<dyn BlobStore>)
    }
}

impl Storages for Commune {
    fn storage(&self, _: &CommuneId, _: &PluginId) -> Option<Arc<dyn Storage>> {
        Some(Arc::clone(&self.decider) as Arc<dyn Storage>)
    }
}

/// An archive with places elsewhere.
pub(crate) struct Elsewhere {
    pub(crate) house: House,
    pub(crate) decider: Arc<Decider>,
    pub(crate) a: Arc<Shelf>,
    pub(crate) b: Arc<Shelf>,
    folder: TempDir,
    file: CommuneArchive,
}

impl Elsewhere {
    /// Records `cho`, with places of these names, whose copies are held against their hash so often.
    pub(crate) async fn start(check_every: Duration, places: &[&str]) -> Self {
        let store = |name: &&str| StoreSpec {
            name: (*name).to_owned(),
            kind: StoreKind::Reached,
            quota: None,
            check_every,
        };
        let file = CommuneArchive {
            storage: Some("tiers".parse().unwrap()),
            stores: places.iter().map(store).collect(),
            said: "first".into(),
            ..file(vec![recorded("cho")])
        };
        let folder = tempfile::tempdir().unwrap();
        Self::open(folder, file, Arc::default(), Arc::default())
    }

    fn open(folder: TempDir, file: CommuneArchive, a: Arc<Shelf>, b: Arc<Shelf>) -> Self {
        let registry = Registry::new();
        let archive = Arc::new(Archive::open(folder.path(), 0, &registry).unwrap());
        let house = House {
            archive,
            hub: Arc::new(Hub::new()),
            tasks: Tasks::new(),
            registry,
        };
        let decider: Arc<Decider> = Arc::default();
        let own = Arc::new(Commune {
            places: BTreeMap::from([
                ("a".to_owned(), Arc::clone(&a)),
                ("b".to_owned(), Arc::clone(&b)),
            ]),
            decider: Arc::clone(&decider),
        });
        house.archive.configure(vec![file.clone()]);
        let around = ArchiveSurroundings {
            watching: Arc::new(Around),
            policies: Arc::new(Around),
            storages: Arc::clone(&own) as _,
            places: own,
        };
        house
            .archive
            .run(&house.tasks, Arc::clone(&house.hub), around);
        Self {
            house,
            decider,
            a,
            b,
            folder,
            file,
        }
    }

    /// The router ends, and another one goes on.
    pub(crate) async fn restart(self) -> Self {
        self.house.close().await;
        let file = CommuneArchive {
            said: "another quota".into(),
            ..self.file
        };
        let again = Self::open(self.folder, file, self.a, self.b);
        again.decides(&["local", "a"]);
        again
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// From now on the plugin wants copies there.
    pub(crate) fn decides(&self, targets: &[&str]) {
        let targets = targets.iter().map(|target| (*target).to_owned());
        *self.decider.targets.lock().unwrap() = targets.collect();
    }

    /// The commune's file says something else of its places.
    pub(crate) fn says(&self, said: &str) {
        let file = CommuneArchive {
            said: said.to_owned(),
            ..self.file.clone()
        };
        self.house.archive.configure(vec![file]);
    }

    pub(crate) fn camera(&self) -> Camera {
        self.house
            .camera("cho", clock::wall() - Duration::from_secs(3600))
    }

    /// Films some time and waits until it is in the index.
    pub(crate) async fn film(&self, camera: &mut Camera, span: Duration) {
        let begun = camera.at;
        camera.film(span).await;
        let end = micros(camera.at);
        until("it is in the index", || {
            let after = micros(camera.at + Duration::from_secs(1));
            let timeline = self
                .house
                .archive
                .timeline(&key("cho"), micros(begun), after);
            let last = timeline.unwrap().recorded.last().copied();
            last.is_some_and(|last| end.0 - last.end.0 < 50_000)
        })
        .await;
    }

    /// Waits until what was there before has been dealt with: another minute is filmed, and asked about last.
    pub(crate) async fn settles(&self, camera: &mut Camera) {
        for _ in 0..2 {
            let before = self.decider.asked(ReviewCause::Fresh);
            self.film(camera, Duration::from_secs(61)).await;
            until("it is asked about what is new", || {
                self.decider.asked(ReviewCause::Fresh) > before
            })
            .await;
        }
    }

    /// The files here that are complete: all but the newest.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut all = movies_below(self.folder());
        all.pop();
        let named = all.iter().map(|path| {
            let name = path.strip_prefix(self.folder()).unwrap();
            (
                name.to_str().unwrap().to_owned(),
                std::fs::read(path).unwrap(),
            )
        });
        named.collect()
    }

    /// The sum of a metric's samples whose labels contain this.
    pub(crate) fn metric(&self, name: &str, labels: &str) -> u64 {
        let mut text = Vec::new();
        let all = self.house.registry.gather();
        TextEncoder::new().encode(&all, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines = text.lines();
        let own = lines.filter(|line| line.starts_with(name) && line.contains(labels));
        own.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }
}

/// SHA-256 of a part of a file.
pub(crate) fn digest(path: &Path, offset: u64, bytes: u64) -> [u8; 32] {
    let mut read = vec![0; usize::try_from(bytes).unwrap()];
    let file = std::fs::File::open(path).unwrap();
    file.read_exact_at(&mut read, offset).unwrap();
    Sha256::digest(read).into()
}
