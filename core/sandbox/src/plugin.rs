//! One plugin of one commune: follows its file and what the commune says, makes generations of it,
//! and hears how they do at its places.

mod generations;
mod live;

use std::sync::Arc;
use std::time::Duration;

use taimat_base::clock;
use taimat_base::tasks::{Stop, Tasks};
use taimat_contract::Kind;
use taimat_contract::package::PackageDigest;
use tokio::sync::{Notify, mpsc, watch};

use crate::board::StatusBoard;
use crate::cpu::CpuShare;
use crate::desk::Desk;
use crate::host::{InstanceContext, PluginCommon};
use crate::load::{Loaded, Stamp};
use crate::load_error::LoadError;
use crate::loading::{self, Checked};
use crate::places::Places;
use crate::room::InstanceShare;
use crate::seat::{SeatContext, SeatReport};
use crate::services::Services;
use crate::spec::PluginSpec;
use crate::states::PluginState;
use live::LiveGeneration;

/// How soon to look again at a file that is being written.
const WRITING: Duration = Duration::from_millis(200);
/// Reports waiting for the plugin's task; further ones are dropped. None of them is the only one of
/// its kind for long, but for the last camera's `Confirmed`: without it what runs is kept for the next
/// start only when it is confirmed again.
const REPORTS: usize = 256;

/// What can be asked of a plugin from outside of its task.
#[derive(Debug)]
pub(crate) struct PluginHandle {
    pub(crate) spec: watch::Sender<Arc<PluginSpec>>,
    pub(crate) refresh: Arc<Notify>,
    pub(crate) stop: Stop,
    pub(crate) board: Arc<StatusBoard>,
    /// Where questions for it wait, if it is of a kind that is asked.
    pub(crate) desk: Arc<Desk>,
}

impl PluginHandle {
    /// Whether what runs is of this kind.
    pub(crate) fn is(&self, kind: Kind) -> bool {
        let shown = self.board.lock();
        shown.component.as_ref().is_some_and(|c| c.kind == kind)
    }
}

/// The plugin's task.
struct PluginTask {
    services: Arc<Services>,
    spec: Arc<PluginSpec>,
    board: Arc<StatusBoard>,
    tasks: Tasks,
    changes: watch::Receiver<Arc<PluginSpec>>,
    refresh: Arc<Notify>,
    reports: mpsc::Receiver<SeatReport>,
    places: Places,
    /// How many instances it may have.
    room: InstanceShare,
    /// What is all generations'.
    common: PluginCommon,
    /// What the file was like when it was last looked at.
    stamp: Option<Stamp>,
    /// The commune has said something since that what runs does not know yet.
    unheeded: bool,
    /// The file as it was then is not what runs.
    refused: bool,
    /// The file is being written: look again soon.
    again: bool,
    /// The component that is to run, and what it runs with.
    live: Option<LiveGeneration>,
    /// What ran before, until the present one has passed its probation.
    before: Option<LiveGeneration>,
    /// What is kept for the next start, if it is known.
    proven: Option<PackageDigest>,
    generations: u64,
}

/// Why a file was not loaded.
#[derive(Debug)]
enum NotLoaded {
    /// It is refused; with its digest, if it could be read.
    Refused(LoadError, Option<PackageDigest>),
    /// Something else is wanted by now.
    Unwanted,
}

/// A component that can run, and what its instances would have.
struct Ready {
    loaded: Loaded,
    context: InstanceContext,
}

/// What was begun is not wanted any more: the commune or the file says something else.
#[derive(Debug)]
struct Unwanted;

impl From<(LoadError, Option<PackageDigest>)> for NotLoaded {
    fn from((error, digest): (LoadError, Option<PackageDigest>)) -> Self {
        Self::Refused(error, digest)
    }
}

/// Starts a plugin's task.
pub(crate) fn start(services: &Arc<Services>, spec: PluginSpec, tasks: &Tasks) -> PluginHandle {
    let metrics = services.metrics.of(&spec.commune, &spec.name);
    let board = Arc::new(StatusBoard::new(&spec.name, metrics));
    let span = tracing::info_span!("plugin", commune = %spec.commune, plugin = %spec.name);
    let (reports, hears) = mpsc::channel(REPORTS);
    let desk = Arc::new(Desk::default());
    let context = SeatContext {
        plugin: spec.name.clone(),
        source: Arc::clone(&services.source),
        sink: Arc::clone(&services.sink),
        metrics: Arc::clone(&board.metrics),
        tail: Arc::clone(&board.tail),
        reports,
        desk: Arc::clone(&desk),
    };
    let common = PluginCommon {
        tail: Arc::clone(&board.tail),
        metrics: Arc::clone(&board.metrics),
        store: Arc::clone(&services.store),
        share: Arc::new(CpuShare::new()),
    };
    let spec = Arc::new(spec);
    let (specs, changes) = watch::channel(Arc::clone(&spec));
    let refresh = Arc::new(Notify::new());
    let own = Tasks::under(tasks.stop_signal());
    let plugin = PluginTask {
        services: Arc::clone(services),
        spec,
        board: Arc::clone(&board),
        tasks: own.clone(),
        changes,
        refresh: Arc::clone(&refresh),
        reports: hears,
        places: Places::new(own.clone(), Arc::clone(&board), context),
        room: InstanceShare::new(&services.room),
        common,
        stamp: None,
        unheeded: false,
        refused: false,
        again: false,
        live: None,
        before: None,
        proven: None,
        generations: 0,
    };
    let stop = own.stop_signal().clone();
    tasks.spawn("plugin", span, |_stop| plugin.run());
    PluginHandle {
        spec: specs,
        refresh,
        stop,
        board,
        desk,
    }
}

impl PluginTask {
    async fn run(mut self) {
        let stop = self.tasks.stop_signal().clone();
        self.look().await;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                changed = self.changes.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    self.heed();
                    self.look().await;
                }
                () = self.refresh.notified() => self.look().await,
                () = clock::sleep_until(clock::now() + WRITING), if self.again => {
                    self.look().await;
                }
                Some(report) = self.reports.recv() => self.heard(report).await,
            }
        }
        self.tasks.stop(Duration::from_secs(1)).await;
    }

    /// The commune has said something.
    fn heed(&mut self) {
        self.spec = self.changes.borrow_and_update().clone();
        self.unheeded = true;
    }

    /// Does what the spec and the file ask for, also what they ask for meanwhile.
    async fn look(&mut self) {
        let stop = self.tasks.stop_signal().clone();
        while self.look_once().await.is_err() && !stop.is_cancelled() {}
    }

    /// Does what the spec and the file ask for; an error if that is something else by now.
    async fn look_once(&mut self) -> Result<(), Unwanted> {
        if !self.spec.enabled {
            self.halt();
            self.set_refused(false);
            self.unheeded = false;
            self.board.lock().state = PluginState::Disabled;
            return Ok(());
        }
        let now = loading::stamp(&self.spec).await;
        let known = self.stamp.is_some() && self.stamp == now;
        // What was refused may fit what the commune says now.
        let live = self.live.as_ref().filter(|_| !self.refused);
        let same = live.is_some_and(|r| r.spec().component == self.spec.component);
        if known && (same || !self.unheeded) {
            if self.unheeded {
                self.respecify();
            }
            return Ok(());
        }
        self.again = false;
        if self.unheeded && self.has_lost_something() {
            // Not only when the file is compiled: that may take half a minute.
            self.respecify();
        }
        if self.live.is_none() {
            self.revive().await?;
        }
        self.stamp = now;
        let loaded = self.load().await;
        match &loaded {
            Ok(_) => self.set_refused(false),
            Err(NotLoaded::Unwanted) => {
                self.stamp = None;
                return Err(Unwanted);
            }
            // What goes on does so as the commune says now, or not at all.
            Err(_) if self.unheeded => self.respecify(),
            Err(_) => {}
        }
        match loaded {
            Ok(Some(ready)) => self.take_over(ready),
            Ok(None) => self.same_again(),
            Err(NotLoaded::Refused(LoadError::BeingWritten, _)) => {
                (self.stamp, self.again) = (None, true);
            }
            Err(NotLoaded::Refused(error, digest)) => self.refuse(&error.to_string(), digest),
            Err(NotLoaded::Unwanted) => {}
        }
        Ok(())
    }

    /// Reads and compiles the file; `None` when it is what runs already.
    async fn load(&mut self) -> Result<Option<Ready>, NotLoaded> {
        let (checked, stamp) = loading::read(&self.spec).await?;
        self.stamp = Some(stamp.clone());
        let digest = checked.digest();
        if self.live.as_ref().is_some_and(|r| r.digest() == digest) {
            return Ok(None);
        }
        match self.compile(checked, Some(&stamp)).await {
            Ok(Ok(ready)) => Ok(Some(ready)),
            Ok(Err(error)) => Err(NotLoaded::Refused(error, Some(digest))),
            Err(Unwanted) => Err(NotLoaded::Unwanted),
        }
    }

    /// Compiles, which takes half a minute for some languages. What the commune says meanwhile counts
    /// at once for what runs, and gives the work up if nobody wants it any more: so does another file
    /// in the place of the one of this stamp.
    async fn compile(
        &mut self,
        checked: Checked,
        stamp: Option<&Stamp>,
    ) -> Result<Result<Ready, LoadError>, Unwanted> {
        let stop = self.tasks.stop_signal().clone();
        let (services, begun) = (Arc::clone(&self.services), Arc::clone(&self.spec));
        let mut compiling = Box::pin(loading::compile(&services, &begun.commune, checked));
        let loaded = loop {
            tokio::select! {
                () = stop.cancelled() => return Err(Unwanted),
                loaded = &mut compiling => break loaded,
                changed = self.changes.changed() => {
                    if changed.is_err() {
                        return Err(Unwanted);
                    }
                    self.heed();
                    let wanted = self.spec.enabled
                        && self.spec.component == begun.component
                        && self.spec.trusted_keys == begun.trusted_keys;
                    if !wanted {
                        return Err(Unwanted);
                    }
                    self.respecify();
                }
                () = self.refresh.notified(), if stamp.is_some() => {
                    if loading::stamp(&self.spec).await.as_ref() != stamp {
                        return Err(Unwanted);
                    }
                }
                Some(report) = self.reports.recv() => self.heard(report).await,
            }
        };
        Ok(match loaded {
            Ok(loaded) => {
                let context = self.context(&loaded);
                let loaded = loading::describe(loaded, &context, &self.spec.commune).await;
                Ok(Ready { loaded, context })
            }
            Err(error) => Err(error),
        })
    }

    /// Starts what proved itself last, if the file has changed since: the file is then tried against
    /// it, like any that comes while something runs.
    async fn revive(&mut self) -> Result<(), Unwanted> {
        let loaded = match loading::proven(&self.services, &self.spec).await {
            None => return Ok(()),
            Some(Ok(checked)) => self.compile(checked, None).await?,
            Some(Err(error)) => Err(error),
        };
        match loaded {
            Ok(ready) => {
                tracing::info!(
                    "the file is not what ran last: that runs until the file has proved itself"
                );
                self.take_over(ready);
                self.settle().await;
            }
            Err(error) => tracing::warn!(%error, "what ran last can not run any more"),
        }
        Ok(())
    }
}
