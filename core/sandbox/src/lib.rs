//! Runs plugins' components safely: loads them, grants, limits, swaps.
//!
//! Owner: one [`Sandbox`] for the process, with threads of its own, so that no plugin ever holds
//! back a viewer. Every plugin has a task that loads its file; every plugin has, for each of its
//! cameras, a task that owns one instance. Cost: 56 KiB and 10–30 µs for an instance that waits; a call is
//! the component's own work and about a microsecond.
//! Not here: where frames come from, what becomes of detections, which plugins a commune has.

mod answers;
mod asked;
mod bindings;
mod board;
mod budget;
pub mod compile;
mod confine;
mod cpu;
mod desk;
mod engine;
mod events;
mod generation;
mod granted;
mod host;
mod instance;
mod kind;
mod kinds;
mod lifecycle;
pub mod limits;
mod load;
mod load_error;
mod loading;
mod metrics;
mod place;
mod places;
mod plugin;
mod probation;
mod proven;
mod review;
mod room;
mod rules;
mod seat;
mod services;
mod spec;
mod states;
mod status;
mod surface;
mod suspension;
mod tail;
#[cfg(test)]
mod testing;
mod trial;
mod trial_asked;
mod version;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use taimat_base::metrics::Registry;
use taimat_base::tasks::{Stop, Tasks};
use taimat_base::{CommuneId, PluginId};
use taimat_contract::{
    Alerter, Alerters, Backend, Backends, DetectionSink, FrameSource, Kind, Policies, Policy,
    SettingsSchema, Storage, Storages,
};
use tokio::runtime::Runtime;

use compile::{CompiledCache, Compiler, Where};
use desk::Desk;
use kinds::alerter::AlerterHandle;
use kinds::backend::BackendHandle;
use kinds::policy::PolicyHandle;
use kinds::storage::StorageHandle;
use metrics::PluginFamilies;
use plugin::PluginHandle;
use proven::ProvenComponents;
use room::InstanceRoom;
use services::Services;

pub use host::state::StateStore;
pub use load_error::LoadError;
pub use review::{Ask, Review};
pub use spec::{Grant, PluginSpec};
pub use states::{PluginState, RunState};
pub use status::{ComponentStatus, LastError, PluginStatus, RunStatus, Usage};
pub use surface::Surface;
pub use tail::{Level, Line};
pub use trial::{Trial, TrialError, settings_schema};
pub use trial_asked::{AlerterTrial, PolicyTrial, StorageTrial};
pub use version::ContractVersion;

/// How the sandbox runs.
#[derive(Debug)]
pub struct SandboxConfig {
    /// Threads that run plugins; 0 is one per core.
    pub threads: usize,
    /// Instances at most, all plugins and cameras together.
    pub instances: u32,
    /// Where components are compiled.
    pub compile: Where,
    /// Where compiled code, components that proved themselves and the plugins' state are kept; `None`
    /// keeps nothing.
    pub data: Option<PathBuf>,
}

/// Why the sandbox did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The engine refused.
    #[error("the WebAssembly engine: {0}")]
    Engine(String),
    /// Not even memory can be used for what they want to remember.
    #[error("the plugins' state: {0}")]
    State(rusqlite::Error),
    /// A metric's name is taken.
    #[error(transparent)]
    Metrics(#[from] taimat_base::metrics::Error),
    /// No threads.
    #[error("threads for plugins: {0}")]
    Threads(std::io::Error),
}

/// What is kept in the data folder, if it can be: plugins run without it.
fn usable<T, E: std::fmt::Display>(what: &str, opened: Result<T, E>) -> Option<T> {
    opened
        .inspect_err(|error| tracing::error!(%error, "{what} can not be kept between runs"))
        .ok()
}

type Key = (CommuneId, PluginId);

/// All plugins of all communes.
#[derive(Debug)]
pub struct Sandbox {
    services: Arc<Services>,
    plugins: Mutex<BTreeMap<Key, PluginHandle>>,
    tasks: Tasks,
    runtime: Mutex<Option<Runtime>>,
    handle: tokio::runtime::Handle,
    _engine: engine::TickingEngine,
}

impl Sandbox {
    /// Starts with no plugins.
    pub fn start(
        config: SandboxConfig,
        source: Arc<dyn FrameSource>,
        sink: Arc<dyn DetectionSink>,
        registry: &Registry,
        stop: &Stop,
    ) -> Result<Self, StartError> {
        let engine = |e: wasmtime::Error| StartError::Engine(format!("{e:#}"));
        let running = engine::TickingEngine::start(config.instances).map_err(engine)?;
        let data = config.data.as_deref();
        let cache = data.and_then(|data| {
            let opened = CompiledCache::open(&data.join("compiled"), &running.engine);
            usable("compiled code", opened)
        });
        let compiler = Compiler::new(running.engine.clone(), config.compile, cache);
        let proven = data.and_then(|data| {
            let opened = ProvenComponents::open(&data.join("proven"));
            usable("components that proved themselves", opened)
        });
        let store = data.and_then(|data| {
            let opened = StateStore::open(&data.join("state.db"));
            usable("the plugins' state", opened)
        });
        let store = match store {
            Some(store) => store,
            None => StateStore::in_memory().map_err(StartError::State)?,
        };
        let mut threads = tokio::runtime::Builder::new_multi_thread();
        threads.enable_all().thread_name("plugins");
        if config.threads > 0 {
            threads.worker_threads(config.threads);
        }
        let runtime = threads.build().map_err(StartError::Threads)?;
        let services = Arc::new(Services {
            engine: running.engine.clone(),
            room: InstanceRoom::of(running.instances),
            compiler,
            proven,
            metrics: Arc::new(PluginFamilies::register(registry)?),
            store: Arc::new(store),
            source,
            sink,
        });
        Ok(Self {
            services,
            plugins: Mutex::default(),
            tasks: Tasks::under(stop),
            handle: runtime.handle().clone(),
            runtime: Mutex::new(Some(runtime)),
            _engine: running,
        })
    }

    /// Runs these plugins and no others. What has not changed is not touched; what has is loaded
    /// in the background.
    pub fn reconcile(&self, specs: Vec<PluginSpec>) {
        let _on_our_threads = self.handle.enter();
        let mut plugins = self.plugins.lock().unwrap_or_else(|e| e.into_inner());
        let key = |spec: &PluginSpec| (spec.commune.clone(), spec.name.clone());
        let wanted: Vec<Key> = specs.iter().map(key).collect();
        plugins.retain(|key, handle| {
            let stays = wanted.contains(key);
            if !stays {
                handle.stop.cancel();
                if let Some(proven) = &self.services.proven {
                    proven.forget(&key.0, &key.1);
                }
            }
            stays
        });
        for spec in specs {
            let key = key(&spec);
            match plugins.get(&key) {
                Some(handle) => {
                    handle.spec.send_if_modified(|current| {
                        let differs = **current != spec;
                        if differs {
                            *current = Arc::new(spec);
                        }
                        differs
                    });
                    // The file may have changed although the spec has not.
                    handle.refresh.notify_one();
                }
                None => {
                    let handle = plugin::start(&self.services, spec, &self.tasks);
                    plugins.insert(key, handle);
                }
            }
        }
    }

    /// Looks whether files have changed.
    pub fn refresh(&self) {
        let plugins = self.plugins.lock().unwrap_or_else(|e| e.into_inner());
        plugins
            .values()
            .for_each(|handle| handle.refresh.notify_one());
    }

    /// How a commune's plugins are doing, by name.
    pub fn list(&self, commune: &CommuneId) -> Vec<PluginStatus> {
        let plugins = self.plugins.lock().unwrap_or_else(|e| e.into_inner());
        let own = plugins.iter().filter(|((c, _), _)| c == commune);
        own.map(|(_, handle)| handle.board.status()).collect()
    }

    /// How a plugin is doing, and the newest lines of its log.
    pub fn get(&self, commune: &CommuneId, plugin: &PluginId) -> Option<(PluginStatus, Vec<Line>)> {
        let plugins = self.plugins.lock().unwrap_or_else(|e| e.into_inner());
        let handle = plugins.get(&(commune.clone(), plugin.clone()))?;
        Some((handle.board.status(), handle.board.lines()))
    }

    /// What the settings of a plugin may be, as JSON Schema, if a component of it runs that says so.
    pub fn settings_schema(
        &self,
        commune: &CommuneId,
        plugin: &PluginId,
    ) -> Option<Arc<SettingsSchema>> {
        let plugins = self.plugins.lock().unwrap_or_else(|e| e.into_inner());
        let handle = plugins.get(&(commune.clone(), plugin.clone()))?;
        handle.board.lock().schema.clone()
    }

    /// The file of a plugin.
    pub fn file(&self, commune: &CommuneId, plugin: &PluginId) -> Option<PathBuf> {
        let plugins = self.plugins.lock().unwrap_or_else(|e| e.into_inner());
        let handle = plugins.get(&(commune.clone(), plugin.clone()))?;
        Some(handle.spec.borrow().component.clone())
    }

    /// What a file would be as a plugin, without putting it there. `None` if there is no such
    /// plugin.
    pub fn review(
        &self,
        commune: &CommuneId,
        plugin: &PluginId,
        bytes: &[u8],
    ) -> Option<Result<Review, LoadError>> {
        let spec = {
            let plugins = self.plugins.lock().unwrap_or_else(|e| e.into_inner());
            let handle = plugins.get(&(commune.clone(), plugin.clone()))?;
            Arc::clone(&handle.spec.borrow())
        };
        Some(review::review(&spec, bytes))
    }

    /// Ends all plugins.
    pub async fn stop(&self, deadline: Duration) {
        self.tasks.stop(deadline).await;
        self.end_threads();
    }

    /// Does not wait: a runtime that is dropped would, where waiting may not be allowed.
    fn end_threads(&self) {
        let mut runtime = self.runtime.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(runtime) = runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.end_threads();
    }
}

impl Sandbox {
    /// Where a plugin is asked, if it is one of this kind.
    fn desk(&self, commune: &CommuneId, name: &PluginId, kind: Kind) -> Option<Arc<Desk>> {
        let plugins = self.plugins.lock().unwrap_or_else(|e| e.into_inner());
        let handle = plugins.get(&(commune.clone(), name.clone()))?;
        handle.is(kind).then(|| Arc::clone(&handle.desk))
    }
}

impl Policies for Sandbox {
    fn policy(&self, commune: &CommuneId, name: &PluginId) -> Option<Arc<dyn Policy>> {
        let desk = self.desk(commune, name, Kind::Policy)?;
        Some(Arc::new(PolicyHandle(desk)))
    }
}

impl Alerters for Sandbox {
    fn alerter(&self, commune: &CommuneId, name: &PluginId) -> Option<Arc<dyn Alerter>> {
        let desk = self.desk(commune, name, Kind::Alerter)?;
        Some(Arc::new(AlerterHandle(desk)))
    }
}

impl Storages for Sandbox {
    fn storage(&self, commune: &CommuneId, name: &PluginId) -> Option<Arc<dyn Storage>> {
        let desk = self.desk(commune, name, Kind::Storage)?;
        Some(Arc::new(StorageHandle(desk)))
    }
}

impl Backends for Sandbox {
    fn backend(&self, commune: &CommuneId, name: &PluginId) -> Option<Arc<dyn Backend>> {
        let desk = self.desk(commune, name, Kind::Backend)?;
        Some(Arc::new(BackendHandle(desk)))
    }
}

/// What a component imports and exports, for who looks into a file.
pub fn surface(bytes: &[u8]) -> Result<Surface, LoadError> {
    Surface::read(bytes)
}

/// The world of the contract that a component is built for, if this router runs such plugins.
pub fn world(surface: &Surface) -> Result<String, LoadError> {
    let mut error = None;
    for kind in kinds::all() {
        match kind.rules.version(surface) {
            Ok(version) => {
                let (world, package) = (kind.rules.world, version.package());
                return Ok(format!("taimat:plugin/{world}@{package}"));
            }
            // One that exports it in another version says more than one that does not export it.
            Err(why @ LoadError::Version { .. }) => return Err(why),
            Err(why) => error = error.or(Some(why)),
        }
    }
    Err(error.unwrap_or_else(|| LoadError::Imports(vec!["no kind of plugins is run".into()])))
}
