//! One plugin of one commune: loads its file, makes generations of it, runs them at its cameras.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use taimat_base::tasks::{Stop, Tasks};
use taimat_base::{CameraKey, CommuneId, clock};
use taimat_contract::Package;
use taimat_contract::package::{PackageDigest, PublicKey};
use tokio::sync::{Notify, mpsc, watch};

use crate::House;
use crate::compile::Source;
use crate::generation::{ComponentFactory, Generation};
use crate::host::Shared;
use crate::host::log::{Level, line};
use crate::limits::{Bucket, LimitSettings, Limits};
use crate::load::{self, Grant, LoadError, Loaded, Stamp, Surface};
use crate::runner::{Context, Report, Runner};
use crate::status::{ComponentStatus, Face, LastError, PluginState, RunState, RunStatus};

/// How soon to look again at a file that is being written.
const WRITING: Duration = Duration::from_millis(200);
/// How long to wait for what ran before a restart to run again.
const SETTLING: Duration = Duration::from_secs(30);
/// Reports waiting for the plugin's task; further ones are dropped, the next says the same.
const REPORTS: usize = 256;

/// What a commune says about one of its plugins.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginSpec {
    /// The commune.
    pub commune: CommuneId,
    /// The plugin's name there.
    pub name: String,
    /// Its file.
    pub component: PathBuf,
    /// Whether it is to run.
    pub enabled: bool,
    /// Where it is to run.
    pub cameras: Vec<CameraKey>,
    /// Its settings, as JSON.
    pub settings: String,
    /// What it is granted.
    pub grant: Grant,
    /// Its limits.
    pub limits: LimitSettings,
    /// Whose signatures the commune trusts; empty for not asking.
    pub trusted_keys: Vec<PublicKey>,
}

/// What can be asked of a plugin from outside of its task.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) spec: watch::Sender<Arc<PluginSpec>>,
    pub(crate) refresh: Arc<Notify>,
    pub(crate) stop: Stop,
    pub(crate) face: Arc<Face>,
}

/// The plugin's task.
struct Plugin {
    house: Arc<House>,
    spec: Arc<PluginSpec>,
    face: Arc<Face>,
    tasks: Tasks,
    reports: (mpsc::Sender<Report>, mpsc::Receiver<Report>),
    /// What the file was like when it was last looked at.
    stamp: Option<Stamp>,
    /// The commune has said something since that what runs does not know yet.
    unheeded: bool,
    /// The file as it was then is not what runs.
    refused: bool,
    /// The file is being written: look again soon.
    again: bool,
    /// The component that is to run, and what it runs with.
    running: Option<Running>,
    /// What ran before, until the present one has passed its probation.
    before: Option<Running>,
    /// What is kept for the next start, if it is known.
    kept: Option<PackageDigest>,
    generations: u64,
    runners: BTreeMap<CameraKey, Stop>,
    desired: Option<watch::Sender<Arc<Generation>>>,
}

#[derive(Clone)]
struct Running {
    loaded: Loaded,
    generation: Arc<Generation>,
    component: ComponentStatus,
    spec: Arc<PluginSpec>,
}

/// Starts a plugin's task.
pub(crate) fn start(house: &Arc<House>, spec: PluginSpec, tasks: &Tasks) -> Handle {
    let metrics = house.metrics.of(&spec.commune, &spec.name);
    let face = Arc::new(Face::new(&spec.name, metrics));
    let span = tracing::info_span!("plugin", commune = %spec.commune, plugin = spec.name);
    let (specs, mut changes) = watch::channel(Arc::new(spec));
    let refresh = Arc::new(Notify::new());
    let looks = Arc::clone(&refresh);
    let own = Tasks::under(tasks.stop_signal());
    let plugin = Plugin {
        house: Arc::clone(house),
        spec: changes.borrow_and_update().clone(),
        face: Arc::clone(&face),
        tasks: own.clone(),
        reports: mpsc::channel(REPORTS),
        stamp: None,
        unheeded: false,
        refused: false,
        again: false,
        running: None,
        before: None,
        kept: None,
        generations: 0,
        runners: BTreeMap::new(),
        desired: None,
    };
    let stop = own.stop_signal().clone();
    tasks.spawn("plugin", span, |_stop| plugin.run(changes, looks));
    Handle {
        spec: specs,
        refresh,
        stop,
        face,
    }
}

impl Plugin {
    async fn run(mut self, mut changes: watch::Receiver<Arc<PluginSpec>>, refresh: Arc<Notify>) {
        let stop = self.tasks.stop_signal().clone();
        self.look().await;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                changed = changes.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    self.spec = changes.borrow_and_update().clone();
                    self.unheeded = true;
                    self.look().await;
                }
                () = refresh.notified() => self.look().await,
                () = clock::sleep_until(clock::now() + WRITING), if self.again => {
                    self.look().await;
                }
                Some(report) = self.reports.1.recv() => self.heard(report).await,
            }
        }
        self.tasks.stop(Duration::from_secs(1)).await;
    }

    /// Does what the spec and the file ask for.
    async fn look(&mut self) {
        if !self.spec.enabled {
            self.halt();
            self.set_refused(false);
            self.unheeded = false;
            self.face.lock().state = PluginState::Disabled;
            return;
        }
        let now = Stamp::now(&self.spec.component);
        let known = self.stamp.is_some() && self.stamp == now;
        // What was refused may fit what the commune says now.
        let running = self.running.as_ref().filter(|_| !self.refused);
        let same = running.is_some_and(|r| r.spec.component == self.spec.component);
        if known && (same || !self.unheeded) {
            if self.unheeded {
                self.respecify();
            }
            return;
        }
        self.again = false;
        if self.running.is_none() {
            self.revive().await;
        }
        self.stamp = now;
        let loaded = self.load().await;
        match &loaded {
            Ok(_) => self.set_refused(false),
            // What goes on does so as the commune says now, or not at all.
            Err(_) if self.unheeded => self.respecify(),
            Err(_) => {}
        }
        match loaded {
            Ok(Some(loaded)) => self.take_over(loaded),
            Ok(None) => self.respecify(),
            Err((LoadError::BeingWritten, _)) => (self.stamp, self.again) = (None, true),
            Err((error, digest)) => self.refuse(&error.to_string(), digest),
        }
    }

    /// Reads and compiles the file; `None` when it is what runs already. With an error, which file it
    /// was, if it could be read.
    async fn load(&mut self) -> Result<Option<Loaded>, (LoadError, Option<PackageDigest>)> {
        let (path, trusted) = (self.spec.component.clone(), self.spec.trusted_keys.clone());
        let read = move || {
            let (bytes, stamp) = load::read(&path).map_err(|error| (error, None))?;
            let package = load::check(&bytes, &trusted).map_err(|error| match error {
                // The rest may be on its way.
                LoadError::Package(_) if stamp.is_fresh(clock::wall()) => {
                    (LoadError::BeingWritten, None)
                }
                error => (error, Some(PackageDigest::of(&bytes))),
            })?;
            Ok((bytes, package, stamp))
        };
        let read = tokio::task::spawn_blocking(read).await;
        let (bytes, package, stamp) = read.unwrap_or(Err((LoadError::BeingWritten, None)))?;
        self.stamp = Some(stamp);
        let digest = package.digest;
        if self
            .running
            .as_ref()
            .is_some_and(|r| r.loaded.digest == digest)
        {
            return Ok(None);
        }
        let loaded = self.compiled(bytes, package).await;
        loaded.map(Some).map_err(|error| (error, Some(digest)))
    }

    async fn compiled(&self, bytes: Vec<u8>, package: Package) -> Result<Loaded, LoadError> {
        let digest = package.digest;
        tracing::info!(
            digest = digest.short(),
            version = package.manifest.version,
            "loading"
        );
        let bytes = Arc::new(bytes);
        let begin = clock::now();
        let (component, source) = self.house.compiler.compile(&bytes, digest).await?;
        tracing::info!(
            digest = digest.short(),
            seconds = (clock::now() - begin).as_secs_f64(),
            cached = source == Source::Cached,
            "compiled"
        );
        let engine = &self.house.engine;
        let prepared = load::link(
            engine,
            &component,
            &package,
            &self.spec.grant,
            &self.spec.name,
        )?;
        Ok(Loaded {
            surface: Surface::of(engine, &component),
            component,
            package: Arc::new(package),
            prepared,
            digest,
            bytes: bytes.len(),
        })
    }

    /// Starts what proved itself last, if the file has changed since: the file is then tried against
    /// it, like any that comes while something runs.
    async fn revive(&mut self) {
        let (house, spec) = (Arc::clone(&self.house), Arc::clone(&self.spec));
        let read = move || {
            let bytes = house.kept.as_ref()?.other(&spec)?;
            let package = load::check(&bytes, &spec.trusted_keys);
            Some(package.map(|package| (bytes, package)))
        };
        let Ok(Some(checked)) = tokio::task::spawn_blocking(read).await else {
            return;
        };
        let loaded = match checked {
            Ok((bytes, package)) => self.compiled(bytes, package).await,
            Err(error) => Err(error),
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
    }

    /// Waits until what was taken over runs at all cameras, or does not: a runner that has nothing
    /// yet would begin with what comes next.
    async fn settle(&mut self) {
        let stop = self.tasks.stop_signal().clone();
        let deadline = clock::now() + SETTLING;
        while self.at_cameras(|status| status.state == RunState::Starting) {
            tokio::select! {
                () = stop.cancelled() => return,
                () = clock::sleep_until(deadline) => return,
                Some(report) = self.reports.1.recv() => self.heard(report).await,
            }
        }
    }

    /// Keeps what runs for the next start.
    async fn keep(&mut self) {
        let Some(digest) = self.running.as_ref().map(|r| r.loaded.digest) else {
            return;
        };
        if self.kept == Some(digest) {
            return;
        }
        let (house, spec) = (Arc::clone(&self.house), Arc::clone(&self.spec));
        let keep = move || {
            house
                .kept
                .as_ref()
                .map_or(Ok(false), |k| k.keep(&spec, digest))
        };
        match tokio::task::spawn_blocking(keep).await {
            Ok(Ok(kept)) => self.kept = kept.then_some(digest),
            Ok(Err(error)) => tracing::warn!(%error, "it can not be kept for the next start"),
            Err(_panicked) => {}
        }
    }

    fn refuse(&mut self, why: &str, digest: Option<PackageDigest>) {
        let why = &line(why);
        let digest = digest.map_or_else(|| "unread".to_owned(), |d| d.short());
        tracing::error!(digest, why, "refused");
        self.set_refused(true);
        self.face.metrics.refusals.inc();
        self.error(why);
        if self.running.is_none() {
            self.face.lock().state = PluginState::Refused;
            self.face.metrics.up.set(0);
        }
    }

    fn set_refused(&mut self, refused: bool) {
        self.refused = refused;
        self.face.lock().change_refused = refused;
        self.face.metrics.change_refused.set(i64::from(refused));
    }

    fn error(&self, why: &str) {
        self.face.tail.push(Level::Error, "", why.to_owned());
        self.face.lock().last_error = Some(LastError {
            at: clock::wall().into(),
            text: why.to_owned(),
        });
    }

    /// A new component is to run.
    fn take_over(&mut self, loaded: Loaded) {
        self.unheeded = false;
        self.face.metrics.loads.inc();
        let shared = self.shared(&loaded);
        self.generations += 1;
        let manifest = &loaded.package.manifest;
        let limits = shared.limits;
        let component = ComponentStatus {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            digest: loaded.digest.to_string(),
            signer: loaded.package.signer.map(|key| key.to_string()),
            bytes: loaded.bytes,
            contract: loaded.prepared.served,
            surface: loaded.surface.clone(),
            memory_limit_bytes: limits.memory_bytes,
            call_limit_ms: limits.cpu.as_secs_f64() * 1000.0,
            cpu_share: limits.cpu_share,
        };
        let generation = Arc::new(Generation {
            number: self.generations,
            version: manifest.version.clone(),
            recycle: limits.recycle,
            detections: limits.detections,
            // Ten seconds' worth at once: the mean counts, not the moment.
            share: Arc::new(Mutex::new(Bucket::new(
                limits.cpu_share,
                limits.cpu_share * 10.0,
            ))),
            factory: Arc::new(ComponentFactory {
                loaded: loaded.clone(),
                shared,
                settings: self.spec.settings.clone(),
                grant: self.spec.grant,
            }),
        });
        tracing::info!(
            generation = generation.number,
            version = generation.version,
            digest = loaded.digest.short(),
            "goes live"
        );
        let text = format!(
            "generation {}: version {}, {}",
            generation.number,
            generation.version,
            loaded.digest.short()
        );
        self.face.tail.push(Level::Info, "", text);
        let running = Running {
            loaded,
            generation,
            component,
            spec: Arc::clone(&self.spec),
        };
        let before = self.running.replace(running.clone());
        if before.is_some() {
            self.before = before;
        }
        self.go(&running);
    }

    fn shared(&self, loaded: &Loaded) -> Shared {
        let limits = Limits::resolve(&loaded.package.manifest, &self.spec.limits);
        let asked = loaded.package.manifest.requests.state;
        let granted = self.spec.grant.state_bytes;
        Shared {
            tail: Arc::clone(&self.face.tail),
            metrics: Arc::clone(&self.face.metrics),
            store: Arc::clone(&self.house.store),
            state_bytes: asked.zip(granted).map(|(a, g)| a.0.min(g)),
            limits,
            plugin: self.spec.name.as_str().into(),
        }
    }

    /// The file is the same and what the commune says about it may not be.
    fn respecify(&mut self) {
        self.unheeded = false;
        let Some(running) = self.running.clone() else {
            return;
        };
        let (was, is) = (&running.spec, &self.spec);
        let same = was.settings == is.settings
            && was.grant == is.grant
            && was.limits == is.limits
            && was.trusted_keys == is.trusted_keys;
        if same {
            self.go(&running);
            return;
        }
        let loaded = &running.loaded;
        let digest = loaded.digest;
        let signer = loaded.package.signer;
        let trusted = &self.spec.trusted_keys;
        if !trusted.is_empty() && !signer.is_some_and(|key| trusted.contains(&key)) {
            let why = LoadError::Untrusted(signer).to_string();
            self.halt();
            self.refuse(&why, Some(digest));
            return;
        }
        let engine = &self.house.engine;
        let linked = load::link(
            engine,
            &loaded.component,
            &loaded.package,
            &self.spec.grant,
            &self.spec.name,
        );
        match linked {
            Ok(prepared) => self.take_over(Loaded {
                prepared,
                ..loaded.clone()
            }),
            Err(error) => {
                // A grant that was taken back is not used on.
                self.halt();
                self.refuse(&error.to_string(), Some(digest));
            }
        }
    }

    /// Makes this generation the desired one at all cameras of the spec.
    fn go(&mut self, running: &Running) {
        let generation = &running.generation;
        let desired = match &self.desired {
            Some(desired) => {
                desired.send_if_modified(|current| {
                    let differs = current.number != generation.number;
                    current.clone_from(generation);
                    differs
                });
                desired.clone()
            }
            None => {
                let desired = watch::Sender::new(Arc::clone(generation));
                self.desired = Some(desired.clone());
                desired
            }
        };
        let wanted = &self.spec.cameras;
        self.runners.retain(|camera, stop| {
            let stays = wanted.contains(camera);
            if !stays {
                stop.cancel();
                self.face.lock().cameras.remove(&camera.camera);
            }
            stays
        });
        for camera in wanted {
            if self.runners.contains_key(camera) {
                continue;
            }
            let context = Context {
                plugin: self.spec.name.as_str().into(),
                source: Arc::clone(&self.house.source),
                sink: Arc::clone(&self.house.sink),
                metrics: Arc::clone(&self.face.metrics),
                tail: Arc::clone(&self.face.tail),
                reports: self.reports.0.clone(),
            };
            let (runner, status) = Runner::new(camera.clone(), context);
            self.face
                .lock()
                .cameras
                .insert(camera.camera.clone(), status);
            let stop = self.tasks.stop_signal().child_token();
            self.runners.insert(camera.clone(), stop.clone());
            let follow = desired.subscribe();
            let span = tracing::info_span!("at", camera = %camera.camera);
            self.tasks
                .spawn("plugin at camera", span, |_stop| runner.run(follow, stop));
        }
        let mut shown = self.face.lock();
        shown.state = PluginState::Running;
        shown.generation = generation.number;
        shown.component = Some(running.component.clone());
        self.face.metrics.up.set(1);
        let number = i64::try_from(generation.number).unwrap_or(i64::MAX);
        self.face.metrics.generation.set(number);
    }

    /// Nothing of it runs any more.
    fn halt(&mut self) {
        for (camera, stop) in std::mem::take(&mut self.runners) {
            stop.cancel();
            self.face.lock().cameras.remove(&camera.camera);
        }
        self.running = None;
        self.before = None;
        self.desired = None;
        self.stamp = None;
        let mut shown = self.face.lock();
        shown.generation = 0;
        shown.component = None;
        self.face.metrics.up.set(0);
    }

    /// Whether this holds at one camera at least.
    fn at_cameras(&self, is: impl Fn(&RunStatus) -> bool) -> bool {
        self.face.lock().cameras.values().any(|status| {
            let status = status.lock().unwrap_or_else(|e| e.into_inner());
            is(&status)
        })
    }

    async fn heard(&mut self, report: Report) {
        let current = self.running.as_ref().map(|r| r.generation.number);
        match report {
            Report::RolledBack { generation, why } | Report::Refused { generation, why } => {
                self.error(&format!("generation {generation}: {why}"));
                if current == Some(generation)
                    && let Some(before) = self.before.take()
                {
                    // The file stays refused until it changes.
                    let short =
                        |running: Option<&Running>| running.map(|r| r.loaded.digest.short());
                    tracing::warn!(
                        generation,
                        digest = short(self.running.as_ref()),
                        goes_on = short(Some(&before)),
                        why,
                        "taken back"
                    );
                    self.face.metrics.refusals.inc();
                    self.set_refused(true);
                    self.running = Some(before.clone());
                    self.go(&before);
                } else if current == Some(generation)
                    && !self.at_cameras(|status| status.state != RunState::Refused)
                {
                    self.face.lock().state = PluginState::Refused;
                    self.face.metrics.up.set(0);
                }
            }
            Report::Confirmed { generation } => {
                let elsewhere = self.at_cameras(|status| {
                    status.generation != generation || status.state != RunState::Running
                });
                if current == Some(generation) && !elsewhere {
                    self.before = None;
                    self.keep().await;
                }
            }
            Report::Failed { why } => self.error(&why),
        }
    }
}
