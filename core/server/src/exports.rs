//! Takes recordings out: notes who does and why, signs what comes out if there is a key, and has it ready to
//! be fetched for a while.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Bytes;
use serde_json::{Map, Value};
use taimat_api::{
    ExportError, ExportOrder, Exported, ExportedFile, ExportedFolder, Exports, Signing,
};
use taimat_archive::{Archive, ArchiveError, MovieFile, MoviePiece};
use taimat_audit::{Deed, Done, Receipt};
use taimat_base::redact::SourceUrl;
use taimat_base::{CameraKey, CommuneId, clock, text};
use taimat_contract::UnixMicros;
use taimat_hub::ChannelKey;
use tokio::sync::Semaphore;

use crate::config::Commune;

/// Exports that can be fetched at once; the oldest goes.
const MAX_READY: usize = 64;
/// Parts of one export, and of all that can be fetched: about 250 bytes of memory each. So many are ten cameras'
/// six hours.
const MAX_PIECES: usize = 300_000;
const MAX_READY_PIECES: usize = 2 * MAX_PIECES;
/// Exports that are made at once, for others want to read the index, too; and those that may wait for that.
const MAKING: usize = 2;
const WAITING: usize = 32;
/// How long one can be fetched.
const READY: Duration = Duration::from_secs(3600);
/// Bytes of a name, and of what somebody writes.
const MAX_NAME: usize = 100;
const MAX_TEXT: usize = 1000;
/// The time zone of a commune that is not known.
const TIME_ZONE: &str = "Asia/Ho_Chi_Minh";

/// What is known of a camera, for what an export says of itself.
#[derive(Debug, Clone)]
pub(crate) struct ExportedCamera {
    pub(crate) title: String,
    pub(crate) url: Option<SourceUrl>,
    pub(crate) commune: String,
    pub(crate) time_zone: String,
}

/// What signs an export.
pub(crate) trait Sealing: Send + Sync + std::fmt::Debug {
    /// Whether there is what signs, at a time. Waits for the disk.
    fn signing(&self, now: UnixMicros) -> Signing;

    /// The headers of its movies, signed, and all of it as one.
    fn seal(&self, taken: &Taken, archive: &Arc<Archive>) -> Result<SealedExport, SealError>;
}

/// Why an export is not signed.
#[derive(Debug)]
pub(crate) enum SealError {
    /// There is no key that signs: it goes out unsigned, and that is said.
    NoKey(String),
    /// There is one, and it failed.
    Failed(String),
}

/// An export that was signed.
#[derive(Debug)]
pub(crate) struct SealedExport {
    /// Each clip: what comes before its media, and these.
    pub(crate) clips: Vec<(Bytes, Arc<[MoviePiece]>)>,
    /// All of it as one.
    pub(crate) folder: Arc<dyn ExportedFolder>,
}

/// What was taken out: it is written down who did, and nothing is signed yet.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) id: String,
    pub(crate) order: ExportOrder,
    /// One for each camera that something is there of.
    pub(crate) clips: Vec<TakenClip>,
    pub(crate) receipt: Receipt,
    pub(crate) now: UnixMicros,
}

/// What was taken out of a camera.
#[derive(Debug)]
pub(crate) struct TakenClip {
    pub(crate) name: String,
    pub(crate) camera: CameraKey,
    pub(crate) facts: ExportedCamera,
    pub(crate) movie: MovieFile,
}

/// Takes recordings out.
#[derive(Debug, Clone)]
pub(crate) struct ExportDesk(Arc<Desk>);

#[derive(Debug)]
struct Desk {
    archive: Arc<Archive>,
    sealing: Arc<dyn Sealing>,
    cameras: RwLock<HashMap<CameraKey, ExportedCamera>>,
    ready: Mutex<VecDeque<Arc<Exported>>>,
    making: Semaphore,
    waiting: Semaphore,
}

impl ExportDesk {
    pub(crate) fn new(archive: Arc<Archive>, sealing: Arc<dyn Sealing>) -> Self {
        Self(Arc::new(Desk {
            archive,
            sealing,
            cameras: RwLock::default(),
            ready: Mutex::default(),
            making: Semaphore::new(MAKING),
            waiting: Semaphore::new(WAITING),
        }))
    }

    /// From now on it is as the communes' files say.
    pub(crate) fn configure(&self, communes: &[Arc<Commune>]) {
        let cameras = cameras(communes.iter().map(|commune| &**commune));
        *self.0.cameras.write().unwrap_or_else(|e| e.into_inner()) = cameras;
    }
}

/// What the communes' files say of cameras.
pub(crate) fn cameras<'a>(
    communes: impl IntoIterator<Item = &'a Commune>,
) -> HashMap<CameraKey, ExportedCamera> {
    let mut all = HashMap::new();
    for commune in communes {
        for camera in &commune.cameras {
            let key = CameraKey::new(commune.id.clone(), camera.id.clone());
            let facts = ExportedCamera {
                title: camera.title.clone(),
                url: camera.sources.first().map(|source| source.url.clone()),
                commune: commune.name.clone(),
                time_zone: commune.time_zone.clone(),
            };
            all.insert(key, facts);
        }
    }
    all
}

/// Takes something out of the archive. Waits for the disk.
pub(crate) fn take(
    archive: &Archive,
    order: &ExportOrder,
    cameras: &HashMap<CameraKey, ExportedCamera>,
) -> Result<Taken, ArchiveError> {
    let now = UnixMicros::from(clock::wall());
    let order = checked(order)?;
    let (mut clips, mut pieces) = (Vec::new(), 0);
    for camera in &order.cameras {
        let camera = CameraKey::new(order.commune.clone(), camera.clone());
        let key = ChannelKey::new(camera.clone(), order.profile);
        let movie = match archive.movie(&key, order.from, order.to) {
            Ok(movie) => movie,
            Err(ArchiveError::Unknown) => continue,
            Err(error) => return Err(error),
        };
        pieces += movie.pieces.len();
        if pieces > MAX_PIECES {
            let much = "that is too much for one export: ask for fewer cameras or hours";
            return Err(ArchiveError::Refused(much.into()));
        }
        // One that was taken out of the file, or all of whose file is not known here.
        let facts = cameras.get(&camera).cloned().unwrap_or(ExportedCamera {
            title: camera.camera.to_string(),
            url: None,
            commune: camera.commune.to_string(),
            time_zone: TIME_ZONE.into(),
        });
        clips.push(TakenClip {
            name: name(&camera, &movie),
            camera,
            facts,
            movie,
        });
    }
    if clips.is_empty() {
        return Err(ArchiveError::Unknown);
    }
    let id = id();
    // Who takes something out is written down before it is out.
    let receipt = archive.write_down(deed(&order, &id, &clips))?;
    Ok(Taken {
        id,
        order,
        clips,
        receipt,
        now,
    })
}

impl Desk {
    /// Waits for the disk.
    fn make(&self, order: &ExportOrder) -> Result<Exported, ExportError> {
        let cameras = self.cameras.read().unwrap_or_else(|e| e.into_inner());
        let cameras = cameras.clone();
        let taken = take(&self.archive, order, &cameras)?;
        let (clips, folder, unsigned) = match self.sealing.seal(&taken, &self.archive) {
            Ok(sealed) => (sealed.clips, Some(sealed.folder), None),
            Err(SealError::NoKey(why)) => {
                let plain = taken.clips.iter().map(|clip| {
                    let header = Bytes::from(clip.movie.movie.header(&[], &[]));
                    (header, Arc::from(clip.movie.pieces.as_slice()))
                });
                (plain.collect(), None, Some(why))
            }
            Err(SealError::Failed(why)) => return Err(ExportError::Sign(why)),
        };
        let files = taken.clips.into_iter().zip(clips);
        let files = files.map(|(clip, (header, pieces))| ExportedFile {
            name: clip.name,
            camera: clip.camera.camera,
            header,
            pieces,
            gaps: clip.movie.gaps,
        });
        Ok(Exported {
            id: taken.id,
            commune: taken.order.commune,
            unsigned,
            files: files.collect(),
            folder,
            until: taken.now.after(READY),
        })
    }

    /// Has it be ready to be fetched; what is too much goes, the oldest first.
    fn put(&self, made: &Arc<Exported>) {
        let mut ready = self.ready.lock().unwrap_or_else(|e| e.into_inner());
        ready.push_back(Arc::clone(made));
        let pieces =
            |one: &Arc<Exported>| -> usize { one.files.iter().map(|file| file.pieces.len()).sum() };
        let mut all: usize = ready.iter().map(pieces).sum();
        while ready.len() > MAX_READY || (all > MAX_READY_PIECES && ready.len() > 1) {
            all -= ready.pop_front().as_ref().map_or(0, pieces);
        }
    }
}

#[async_trait]
impl Exports for ExportDesk {
    async fn export(&self, order: ExportOrder) -> Result<Arc<Exported>, ExportError> {
        let busy = |_all_taken| ExportError::Busy;
        let _place = self.0.waiting.try_acquire().map_err(busy)?;
        // It ends with the router only.
        let _turn = self.0.making.acquire().await.ok();
        let desk = Arc::clone(&self.0);
        let made = tokio::task::spawn_blocking(move || desk.make(&order));
        let made = made.await.map_err(|_panicked| ArchiveError::Stopped)??;
        let made = Arc::new(made);
        self.0.put(&made);
        Ok(made)
    }

    fn signing(&self) -> Signing {
        self.0.sealing.signing(UnixMicros::from(clock::wall()))
    }

    fn find(&self, commune: &CommuneId, id: &str) -> Option<Arc<Exported>> {
        let now = UnixMicros::from(clock::wall());
        let mut ready = self.0.ready.lock().unwrap_or_else(|e| e.into_inner());
        ready.retain(|one| one.until > now);
        let found = ready
            .iter()
            .find(|one| one.id == id && one.commune == *commune);
        found.map(Arc::clone)
    }
}

/// With what is obligatory, put in order.
fn checked(order: &ExportOrder) -> Result<ExportOrder, ArchiveError> {
    let needed = |given: &str, most: usize, what: &str| {
        let line = text::line(given.trim(), most);
        if line.is_empty() {
            return Err(ArchiveError::Refused(format!("an export needs {what}")));
        }
        Ok(line)
    };
    Ok(ExportOrder {
        who: needed(&order.who, MAX_NAME, "the name of who takes it out")?,
        why: needed(&order.why, MAX_TEXT, "a reason")?,
        case_number: needed(&order.case_number, MAX_NAME, "a case number")?,
        ..order.clone()
    })
}

fn deed(order: &ExportOrder, id: &str, clips: &[TakenClip]) -> Deed {
    let cameras = clips.iter().map(|clip| clip.camera.camera.as_str());
    let mut what = Map::new();
    what.insert("commune".into(), order.commune.as_str().into());
    what.insert("cameras".into(), cameras.collect::<Vec<&str>>().into());
    what.insert("profile".into(), order.profile.as_str().into());
    what.insert("start-us".into(), Value::from(order.from.0));
    what.insert("end-us".into(), Value::from(order.to.0));
    what.insert("export".into(), id.into());
    Deed {
        done: Done::Export,
        by: order.who.clone(),
        role: String::new(),
        what,
        why: order.why.clone(),
        case: order.case_number.clone(),
    }
}

/// A name that nobody guesses: whoever has it may fetch.
fn id() -> String {
    use rand::RngExt as _;
    format!("{:032x}", rand::rng().random::<u128>())
}

fn name(camera: &CameraKey, movie: &MovieFile) -> String {
    let start = jiff::Timestamp::from_microsecond(movie.covered().start);
    let start = start.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!(
        "{}_{}_{}.mp4",
        camera.commune,
        camera.camera,
        start.strftime("%Y%m%dT%H%M%SZ")
    )
}

/// Where nothing is signed.
#[cfg(not(feature = "evidence"))]
#[derive(Debug)]
pub(crate) struct Unsealed(pub(crate) &'static str);

#[cfg(not(feature = "evidence"))]
impl Sealing for Unsealed {
    fn signing(&self, _now: UnixMicros) -> Signing {
        Signing {
            signed: false,
            because: Some(self.0.into()),
            until: None,
        }
    }

    fn seal(&self, _taken: &Taken, _archive: &Arc<Archive>) -> Result<SealedExport, SealError> {
        Err(SealError::NoKey(self.0.into()))
    }
}
