//! One plugin of one commune: follows its file and what the commune says, makes generations of it,
//! and hears how they do at its places.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use taimat_base::clock;
use taimat_base::tasks::{Stop, Tasks};
use taimat_contract::Kind;
use taimat_contract::package::PackageDigest;
use tokio::sync::{Notify, mpsc, watch};

use crate::board::StatusBoard;
use crate::desk::Desk;
use crate::generation::{CpuShare, Generation};
use crate::host::InstanceContext;
use crate::host::channels::ChannelGrant;
use crate::kinds;
use crate::limits::Limits;
use crate::load::{self, Loaded, Stamp};
use crate::load_error::LoadError;
use crate::loading::{self, Checked};
use crate::places::Places;
use crate::seat::{SeatContext, SeatReport};
use crate::services::Services;
use crate::spec::PluginSpec;
use crate::states::{PluginState, RunState};
use crate::status::{ComponentStatus, LastError};
use crate::tail::{Level, line};
use taimat_base::bucket::Bucket;

/// How soon to look again at a file that is being written.
const WRITING: Duration = Duration::from_millis(200);
/// How long to wait for what ran before a restart to run again.
const SETTLING: Duration = Duration::from_secs(30);
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
    /// All generations': a new one does not begin with a full purse.
    share: CpuShare,
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

#[derive(Clone)]
struct LiveGeneration {
    generation: Arc<Generation>,
    component: ComponentStatus,
}

impl LiveGeneration {
    fn digest(&self) -> PackageDigest {
        self.generation.loaded.digest
    }

    fn spec(&self) -> &PluginSpec {
        &self.generation.spec
    }
}

/// Why a file was not loaded.
#[derive(Debug)]
enum NotLoaded {
    /// It is refused; with its digest, if it could be read.
    Refused(LoadError, Option<PackageDigest>),
    /// Something else is wanted by now.
    Unwanted,
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
        share: Arc::new(Mutex::new(Bucket::new(0.0, 0.0))),
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
        let now = Stamp::now(&self.spec.component);
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
            Ok(Some(loaded)) => self.take_over(loaded),
            Ok(None) => self.respecify(),
            Err(NotLoaded::Refused(LoadError::BeingWritten, _)) => {
                (self.stamp, self.again) = (None, true);
            }
            Err(NotLoaded::Refused(error, digest)) => self.refuse(&error.to_string(), digest),
            Err(NotLoaded::Unwanted) => {}
        }
        Ok(())
    }

    /// Reads and compiles the file; `None` when it is what runs already.
    async fn load(&mut self) -> Result<Option<Loaded>, NotLoaded> {
        let (checked, stamp) = loading::read(&self.spec).await?;
        self.stamp = Some(stamp.clone());
        let digest = checked.digest();
        if self.live.as_ref().is_some_and(|r| r.digest() == digest) {
            return Ok(None);
        }
        match self.compile(checked, Some(&stamp)).await {
            Ok(Ok(loaded)) => Ok(Some(loaded)),
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
    ) -> Result<Result<Loaded, LoadError>, Unwanted> {
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
                    if Stamp::now(&self.spec.component).as_ref() != stamp {
                        return Err(Unwanted);
                    }
                }
                Some(report) = self.reports.recv() => self.heard(report).await,
            }
        };
        Ok(match loaded {
            Ok(loaded) => {
                let context = self.context(&loaded);
                Ok(loading::describe(loaded, &context, &self.spec.commune).await)
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
            Ok(loaded) => {
                tracing::info!(
                    "the file is not what ran last: that runs until the file has proved itself"
                );
                self.take_over(loaded);
                self.settle().await;
            }
            Err(error) => tracing::warn!(%error, "what ran last can not run any more"),
        }
        Ok(())
    }

    /// Waits until what was taken over runs at all cameras, or does not: a runner that has nothing
    /// yet would begin with what comes next.
    async fn settle(&mut self) {
        let stop = self.tasks.stop_signal().clone();
        let deadline = clock::now() + SETTLING;
        while self.places.any(|status| status.state == RunState::Starting) {
            tokio::select! {
                () = stop.cancelled() => return,
                () = clock::sleep_until(deadline) => return,
                Some(report) = self.reports.recv() => self.heard(report).await,
            }
        }
    }

    /// Keeps what runs for the next start.
    async fn keep(&mut self) {
        let Some(digest) = self.live.as_ref().map(LiveGeneration::digest) else {
            return;
        };
        if self.proven == Some(digest) {
            return;
        }
        let (services, spec) = (Arc::clone(&self.services), Arc::clone(&self.spec));
        let keep = move || match &services.proven {
            Some(proven) => proven.keep(&spec, digest),
            None => Ok(false),
        };
        match tokio::task::spawn_blocking(keep).await {
            Ok(Ok(kept)) => self.proven = kept.then_some(digest),
            Ok(Err(error)) => tracing::warn!(%error, "it can not be kept for the next start"),
            Err(_panicked) => {}
        }
    }

    fn refuse(&mut self, why: &str, digest: Option<PackageDigest>) {
        let why = &line(why);
        let digest = digest.map_or_else(|| "unread".to_owned(), |d| d.short());
        tracing::error!(digest, why, "refused");
        self.set_refused(true);
        self.board.metrics.refusals.inc();
        self.error(why);
        if self.live.is_none() {
            self.board.lock().state = PluginState::Refused;
            self.board.metrics.up.set(0);
        }
    }

    fn set_refused(&mut self, refused: bool) {
        self.refused = refused;
        self.board.lock().change_refused = refused;
        self.board.metrics.change_refused.set(i64::from(refused));
    }

    fn error(&self, why: &str) {
        self.board.tail.push(Level::Error, "", why.to_owned());
        self.board.lock().last_error = Some(LastError {
            at: clock::wall().into(),
            text: why.to_owned(),
        });
    }

    /// A new component is to run.
    fn take_over(&mut self, loaded: Loaded) {
        self.unheeded = false;
        self.board.metrics.loads.inc();
        let context = self.context(&loaded);
        let limits = context.limits;
        self.generations += 1;
        // Ten seconds' worth at once: the mean counts, not the moment.
        self.share
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .limit(limits.cpu_share, limits.cpu_share * 10.0);
        let component = component(&loaded, &limits);
        let generation = Arc::new(Generation {
            number: self.generations,
            version: component.version.clone(),
            share: Arc::clone(&self.share),
            loaded,
            context,
            spec: Arc::clone(&self.spec),
        });
        let digest = generation.loaded.digest.short();
        let (number, version) = (generation.number, &generation.version);
        tracing::info!(generation = number, version, digest, "goes live");
        let text = format!("generation {number}: version {version}, {digest}");
        self.board.tail.push(Level::Info, "", text);
        let grant = &self.spec.grant;
        for missing in load::ungranted(&generation.loaded.package, grant, &self.spec.name) {
            tracing::warn!("{missing}");
            self.board.tail.push(Level::Warn, "", missing);
        }
        let live = LiveGeneration {
            generation,
            component,
        };
        let before = self.live.replace(live.clone());
        if before.is_some() {
            self.before = before;
        }
        self.go(&live);
    }

    fn context(&self, loaded: &Loaded) -> InstanceContext {
        let requests = &loaded.package.manifest.requests;
        let (asked, granted) = (requests.state, self.spec.grant.state_bytes);
        InstanceContext {
            tail: Arc::clone(&self.board.tail),
            metrics: Arc::clone(&self.board.metrics),
            store: Arc::clone(&self.services.store),
            frames: requests.frames.is_some() && self.spec.grant.frames.is_some(),
            state_bytes: asked.zip(granted).map(|(a, g)| a.0.min(g)),
            channels: Arc::new(ChannelGrant {
                kinds: requests.channels.clone(),
                names: Some(self.spec.grant.channels.clone()),
            }),
            facts: Arc::clone(&self.spec.facts),
            limits: Limits::resolve(&loaded.package.manifest, &self.spec.limits),
            plugin: self.spec.name.clone(),
        }
    }

    /// The file is the same and what the commune says about it may not be.
    fn respecify(&mut self) {
        self.unheeded = false;
        let Some(live) = self.live.clone() else {
            return;
        };
        let (was, is) = (live.spec(), &self.spec);
        // Who does not ask about the commune need not be made anew when something about it changes.
        let asks = live.generation.loaded.surface.imports_interface("commune");
        let same = was.settings == is.settings
            && (!asks || was.facts == is.facts)
            && was.camera_settings == is.camera_settings
            && was.grant == is.grant
            && was.limits == is.limits
            && was.trusted_keys == is.trusted_keys;
        if same {
            self.go(&live);
            return;
        }
        let loaded = live.generation.loaded.clone();
        // A grant or a trust that was taken back is not used on, not even by one that is fallen back
        // on.
        if let Err(error) = loading::trusted(&self.spec, &loaded) {
            self.halt();
            self.refuse(&error.to_string(), Some(live.digest()));
            return;
        }
        if self.spec.grant.takes_back(&live.spec().grant) {
            let stamp = self.stamp.take();
            self.halt();
            self.stamp = stamp;
        }
        self.take_over(loaded);
    }

    /// Makes this generation the desired one at all places that the commune says.
    fn go(&mut self, live: &LiveGeneration) {
        let generation = &live.generation;
        let Ok(kind) = kinds::served(generation.loaded.package.manifest.kind) else {
            return;
        };
        self.places.go(kind, generation, &(kind.places)(&self.spec));
        let mut shown = self.board.lock();
        shown.state = PluginState::Running;
        shown.generation = generation.number;
        shown.component = Some(live.component.clone());
        shown.schema.clone_from(&generation.loaded.schema);
        self.board.metrics.up.set(1);
        let number = i64::try_from(generation.number).unwrap_or(i64::MAX);
        self.board.metrics.generation.set(number);
    }

    /// Nothing of it runs any more.
    fn halt(&mut self) {
        self.places.halt();
        self.live = None;
        self.before = None;
        self.stamp = None;
        let mut shown = self.board.lock();
        shown.generation = 0;
        shown.component = None;
        shown.schema = None;
        self.board.metrics.up.set(0);
    }

    async fn heard(&mut self, report: SeatReport) {
        let current = self.live.as_ref().map(|r| r.generation.number);
        match report {
            SeatReport::RolledBack { generation, why }
            | SeatReport::Refused { generation, why } => {
                self.error(&format!("generation {generation}: {why}"));
                if current == Some(generation)
                    && let Some(before) = self.before.take()
                {
                    // The file stays refused until it changes.
                    let short =
                        |live: Option<&LiveGeneration>| live.map(|live| live.digest().short());
                    tracing::warn!(
                        generation,
                        digest = short(self.live.as_ref()),
                        goes_on = short(Some(&before)),
                        why,
                        "taken back"
                    );
                    self.board.metrics.refusals.inc();
                    self.set_refused(true);
                    self.live = Some(before.clone());
                    self.go(&before);
                } else if current == Some(generation)
                    && !self.places.any(|status| status.state != RunState::Refused)
                {
                    self.board.lock().state = PluginState::Refused;
                    self.board.metrics.up.set(0);
                }
            }
            SeatReport::Confirmed { generation } => {
                let elsewhere = self.places.any(|status| {
                    status.generation != generation || status.state != RunState::Running
                });
                if current == Some(generation) && !elsewhere {
                    self.before = None;
                    self.keep().await;
                }
            }
            SeatReport::Failed { why } => self.error(&why),
        }
    }
}

/// What others get to know of a component.
fn component(loaded: &Loaded, limits: &Limits) -> ComponentStatus {
    let manifest = &loaded.package.manifest;
    ComponentStatus {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        kind: manifest.kind,
        digest: loaded.digest.to_string(),
        signer: loaded.package.signer.map(|key| key.to_string()),
        bytes: loaded.bytes,
        contract: loaded.prepared.version,
        surface: loaded.surface.clone(),
        memory_limit_bytes: limits.memory_bytes,
        call_limit_ms: limits.cpu.as_secs_f64() * 1000.0,
        cpu_share: limits.cpu_share,
    }
}
