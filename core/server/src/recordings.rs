//! What recordings have to know of the house: which cameras detectors look at, and what happened there.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::Context;
use prometheus::Registry;
use taimat_api::Directory;
use taimat_archive::{Archive, Happened, Mark, TakeOrder, Watching};
use taimat_base::tasks::Stop;
use taimat_base::{CameraId, CameraKey, clock};
use taimat_contract::UnixMicros;
use taimat_contract::policy::Take;
use taimat_events::{Event, Events, HOUSE, Happening, Told};
use taimat_sandbox::{RunState, Sandbox};
use tokio::sync::broadcast::error::RecvError;

use crate::data_folder::{DataFolder, Kept};

/// Where it is recorded to within the data folder.
pub(crate) const FOLDER: &str = "archive";
/// How often it is looked which cameras are watched.
const LOOK: Duration = Duration::from_secs(1);
/// How long it is waited after the disk said no.
const AGAIN: Duration = Duration::from_secs(2);
/// A day.
const DAY: Duration = Duration::from_secs(86_400);

/// Opens the recordings: in their own folder, in the data folder, or, if nothing is kept between runs or that can
/// not be used, in one that goes with the router.
pub(crate) async fn open(
    own: Option<&Path>,
    data: &mut DataFolder,
    floor: u64,
    registry: &Registry,
) -> anyhow::Result<Arc<Archive>> {
    let wanted = match (own, data.path()) {
        (Some(folder), _) => Some(folder.to_owned()),
        (None, Some(data)) => Some(data.join(FOLDER)),
        (None, None) => None,
    };
    if let Some(folder) = wanted {
        match open_in(folder, floor, registry).await {
            Ok(archive) => return Ok(archive),
            Err(error) => data.do_without(Kept::Recordings, format!("{error:#}")),
        }
    }
    open_in(data.scratch()?.join(FOLDER), floor, registry).await
}

async fn open_in(folder: PathBuf, floor: u64, registry: &Registry) -> anyhow::Result<Arc<Archive>> {
    let registry = registry.clone();
    let opened = tokio::task::spawn_blocking(move || {
        Archive::open(&folder, floor, &registry)
            .with_context(|| format!("opening the recordings in {}", folder.display()))
    });
    Ok(Arc::new(opened.await??))
}

/// Which cameras detectors look at.
#[derive(Debug)]
pub(crate) struct WatchedCameras {
    sandbox: Arc<Sandbox>,
    directory: Arc<Directory>,
    watched: RwLock<HashSet<CameraKey>>,
}

impl WatchedCameras {
    pub(crate) fn new(sandbox: Arc<Sandbox>, directory: Arc<Directory>) -> Arc<Self> {
        Arc::new(Self {
            sandbox,
            directory,
            watched: RwLock::default(),
        })
    }

    /// Looks until told to stop.
    pub(crate) async fn follow(self: Arc<Self>, stop: Stop) {
        loop {
            let watched = self.look();
            *self.watched.write().unwrap_or_else(|e| e.into_inner()) = watched;
            let due = clock::now() + LOOK;
            tokio::select! {
                () = stop.cancelled() => return,
                () = clock::sleep_until(due) => {}
            }
        }
    }

    fn look(&self) -> HashSet<CameraKey> {
        let mut watched = HashSet::new();
        for commune in &self.directory.snapshot().communes {
            for plugin in self.sandbox.list(&commune.id) {
                let running = plugin.cameras.iter();
                let running = running.filter(|(_, run)| {
                    matches!(run.state, RunState::Running | RunState::Probation)
                });
                let key = |camera: &CameraId| CameraKey::new(commune.id.clone(), camera.clone());
                watched.extend(running.map(|(camera, _)| key(camera)));
            }
        }
        watched
    }
}

impl Watching for WatchedCameras {
    fn is_watched(&self, camera: &CameraKey) -> bool {
        let watched = self.watched.read().unwrap_or_else(|e| e.into_inner());
        watched.contains(camera)
    }
}

/// Tells the recordings what happens at cameras, until told to stop. What was told while the router did not run
/// comes first.
pub(crate) async fn mark(archive: Arc<Archive>, events: Arc<Events>, stop: Stop) {
    let mut news = events.store().follow();
    loop {
        match catch_up(&archive, &events).await {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, "recordings do not know of the newest events; it is tried again");
                let due = clock::now() + AGAIN;
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = clock::sleep_until(due) => continue,
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            // What it is comes from the disk: so nothing is left out, however much comes at once.
            news = news.recv() => if matches!(news, Err(RecvError::Closed)) {
                return;
            }
        }
    }
}

async fn catch_up(archive: &Arc<Archive>, events: &Arc<Events>) -> anyhow::Result<()> {
    loop {
        let (from, store) = (Arc::clone(archive), Arc::clone(events.store()));
        let read = tokio::task::spawn_blocking(move || -> anyhow::Result<Vec<Told>> {
            Ok(store.told_after(from.followed()?)?)
        });
        let told = read.await??;
        let Some(last) = told.last() else {
            return Ok(());
        };
        let seq = last.entry.seq;
        let happened = told.iter().flat_map(happened).collect();
        archive.learn(happened, seq).await?;
    }
}

/// What of it decides what is kept.
fn happened(told: &Told) -> Vec<Happened> {
    let event = &told.event;
    // What the house sees of itself is no reason to keep pictures.
    let camera = event.camera.clone().filter(|_| event.plugin != HOUSE);
    let mark = camera.map(|camera| Happened::Event(mark_of(event, camera)));
    match &told.entry.happening {
        Happening::Opened | Happening::Closed => mark.into_iter().collect(),
        Happening::Ruled {
            severity, takes, ..
        } => {
            let orders = takes
                .iter()
                .filter_map(|take| order(event, take, told.entry.at));
            let mark = mark.filter(|_| severity.is_some());
            mark.into_iter().chain(orders.map(Happened::Take)).collect()
        }
        _ => Vec::new(),
    }
}

fn mark_of(event: &Event, camera: CameraId) -> Mark {
    Mark {
        event: event.id.to_string(),
        camera: CameraKey::new(event.commune.clone(), camera),
        kind: event.kind.clone(),
        severity: event.severity,
        start: event.began,
        end: event.ended,
    }
}

/// What a policy wants to be recorded. The name is the policy's: it may be none of a camera.
fn order(event: &Event, take: &Take, at: UnixMicros) -> Option<TakeOrder> {
    let camera: CameraId = take.camera.parse().ok()?;
    let before = i64::from(take.before) * 1_000_000;
    let end = at.after(Duration::from_secs(take.after.into()));
    let mut mark = mark_of(event, camera);
    // Under a name of its own, for at its own camera the event has a mark already.
    mark.event = format!("{}/take", mark.event);
    mark.start = UnixMicros(event.began.0.saturating_sub(before));
    mark.end = Some(end);
    Some(TakeOrder {
        mark,
        until: (take.keep_days > 0).then(|| end.after(DAY * take.keep_days)),
    })
}
