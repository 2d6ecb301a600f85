//! Takes recordings out: notes who does and why, signs what comes out if there is a key, and has it ready to
//! be fetched for a while.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};
use taimat_api::{ExportError, ExportOrder, Exported, ExportedFile, Exports};
use taimat_archive::{Archive, ArchiveError, MovieFile};
use taimat_audit::{Deed, Done, Receipt};
use taimat_base::redact::SourceUrl;
use taimat_base::{CameraKey, CommuneId, clock, text};
use taimat_contract::UnixMicros;
use taimat_hub::ChannelKey;

use crate::config::Commune;

/// Exports that can be fetched at once; the oldest goes.
const MAX_READY: usize = 64;
/// How long one can be fetched.
const READY: Duration = Duration::from_secs(3600);
/// Bytes of a name, and of what somebody writes.
const MAX_NAME: usize = 100;
const MAX_TEXT: usize = 1000;

/// What is known of a camera, for what an export says of itself.
#[derive(Debug, Clone)]
pub(crate) struct ExportedCamera {
    pub(crate) title: String,
    pub(crate) url: Option<SourceUrl>,
    pub(crate) commune: String,
}

/// What signs an export.
pub(crate) trait Sealing: Send + Sync + std::fmt::Debug {
    /// The header of a movie, signed; or why nothing is signed here.
    fn seal(&self, export: &Sealed<'_>) -> Result<Vec<u8>, SealError>;
}

/// Why an export is not signed.
#[derive(Debug)]
pub(crate) enum SealError {
    /// There is no key: it goes out unsigned, and that is said.
    NoKey(String),
    /// There is one, and it failed.
    Failed(String),
}

/// What is to be signed.
#[derive(Debug)]
pub(crate) struct Sealed<'a> {
    pub(crate) id: &'a str,
    pub(crate) order: &'a ExportOrder,
    pub(crate) camera: &'a CameraKey,
    pub(crate) facts: &'a ExportedCamera,
    pub(crate) movie: &'a MovieFile,
    pub(crate) receipt: Receipt,
    pub(crate) now: UnixMicros,
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
}

impl ExportDesk {
    pub(crate) fn new(archive: Arc<Archive>, sealing: Arc<dyn Sealing>) -> Self {
        Self(Arc::new(Desk {
            archive,
            sealing,
            cameras: RwLock::default(),
            ready: Mutex::default(),
        }))
    }

    /// From now on it is as the communes' files say.
    pub(crate) fn configure(&self, communes: &[Commune]) {
        let mut all = HashMap::new();
        for commune in communes {
            for camera in &commune.cameras {
                let key = CameraKey::new(commune.id.clone(), camera.id.clone());
                let facts = ExportedCamera {
                    title: camera.title.clone(),
                    url: camera.sources.first().map(|source| source.url.clone()),
                    commune: commune.name.clone(),
                };
                all.insert(key, facts);
            }
        }
        *self.0.cameras.write().unwrap_or_else(|e| e.into_inner()) = all;
    }
}

impl Desk {
    fn facts(&self, key: &CameraKey) -> ExportedCamera {
        let cameras = self.cameras.read().unwrap_or_else(|e| e.into_inner());
        let known = cameras.get(key).cloned();
        // One that was taken out of the file.
        known.unwrap_or_else(|| ExportedCamera {
            title: key.camera.to_string(),
            url: None,
            commune: key.commune.to_string(),
        })
    }

    /// Waits for the disk.
    fn make(&self, order: &ExportOrder) -> Result<Exported, ExportError> {
        let now = UnixMicros::from(clock::wall());
        let order = &checked(order)?;
        let mut movies = Vec::new();
        for camera in &order.cameras {
            let camera = CameraKey::new(order.commune.clone(), camera.clone());
            let key = ChannelKey::new(camera.clone(), order.profile);
            match self.archive.movie(&key, order.from, order.to) {
                Ok(movie) => movies.push((camera, movie)),
                Err(ArchiveError::Unknown) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if movies.is_empty() {
            return Err(ArchiveError::Unknown.into());
        }
        let id = id();
        // Who takes something out is written down before it is out.
        let receipt = self.archive.write_down(deed(order, &id, &movies))?;
        let (mut files, mut unsigned) = (Vec::new(), None);
        for (camera, movie) in movies {
            let facts = self.facts(&camera);
            let sealed = Sealed {
                id: &id,
                order,
                camera: &camera,
                facts: &facts,
                movie: &movie,
                receipt,
                now,
            };
            let header = match self.sealing.seal(&sealed) {
                Ok(header) => header,
                Err(SealError::NoKey(why)) => {
                    unsigned = Some(why);
                    movie.movie.header(&[], &[])
                }
                Err(SealError::Failed(why)) => return Err(ExportError::Sign(why)),
            };
            files.push(ExportedFile {
                name: name(&camera, &movie),
                camera: camera.camera,
                header: header.into(),
                pieces: movie.pieces,
                gaps: movie.gaps,
            });
        }
        Ok(Exported {
            id,
            commune: order.commune.clone(),
            unsigned,
            files,
            until: now.after(READY),
        })
    }
}

#[async_trait]
impl Exports for ExportDesk {
    async fn export(&self, order: ExportOrder) -> Result<Arc<Exported>, ExportError> {
        let desk = Arc::clone(&self.0);
        let made = tokio::task::spawn_blocking(move || desk.make(&order));
        let made = made.await.map_err(|_panicked| ArchiveError::Stopped)??;
        let made = Arc::new(made);
        let mut ready = self.0.ready.lock().unwrap_or_else(|e| e.into_inner());
        ready.push_back(Arc::clone(&made));
        while ready.len() > MAX_READY {
            ready.pop_front();
        }
        Ok(made)
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

fn deed(order: &ExportOrder, id: &str, movies: &[(CameraKey, MovieFile)]) -> Deed {
    let cameras = movies.iter().map(|(camera, _)| camera.camera.as_str());
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
    fn seal(&self, _export: &Sealed<'_>) -> Result<Vec<u8>, SealError> {
        Err(SealError::NoKey(self.0.into()))
    }
}
