//! Runs plugins' components safely: loads them, grants, limits, swaps.
//!
//! Owner: one [`Sandbox`] for the process, with threads of its own, so that no plugin ever holds
//! back a viewer. Every plugin has a task that loads its file; every plugin has, for each of its
//! cameras, a task that owns one instance. Cost: 200 KiB and 10–30 µs for an instance; a call is
//! the component's own work and about a microsecond.
//! Not here: where frames come from, what becomes of detections, which plugins a commune has.

mod bindings;
pub mod compile;
mod cpu;
mod engine;
mod generation;
mod host;
mod instance;
mod kept;
pub mod limits;
mod load;
mod metrics;
mod plugin;
mod probation;
mod review;
mod runner;
mod served;
mod status;
mod suspension;
mod trial;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use taimat_base::CommuneId;
use taimat_base::metrics::Registry;
use taimat_base::tasks::{Stop, Tasks};
use taimat_contract::{DetectionSink, FrameSource};
use tokio::runtime::Runtime;
use wasmtime::Engine;

use compile::{Compiler, Where};
use kept::Kept;
use metrics::Metrics;
use plugin::Handle;

pub use host::log::{Level, Line};
pub use host::state::Store;
pub use load::{Grant, LoadError, Surface};
pub use plugin::PluginSpec;
pub use review::{Ask, Review};
pub use served::Served;
pub use status::{
    ComponentStatus, LastError, PluginState, PluginStatus, RunState, RunStatus, Usage,
};
pub use trial::{Trial, TrialError};

/// How the sandbox runs.
#[derive(Debug)]
pub struct Config {
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
    /// The folder can not be used.
    #[error("the folder for plugins' data {0}: {1}")]
    Folder(PathBuf, String),
    /// A metric's name is taken.
    #[error(transparent)]
    Metrics(#[from] taimat_base::metrics::Error),
    /// No threads.
    #[error("threads for plugins: {0}")]
    Threads(std::io::Error),
}

/// What all plugins share.
#[derive(Debug)]
pub(crate) struct House {
    engine: Engine,
    compiler: Compiler,
    kept: Option<Kept>,
    metrics: Arc<Metrics>,
    store: Arc<Store>,
    source: Arc<dyn FrameSource>,
    sink: Arc<dyn DetectionSink>,
}

type Key = (CommuneId, String);

/// All plugins of all communes.
#[derive(Debug)]
pub struct Sandbox {
    house: Arc<House>,
    plugins: Mutex<BTreeMap<Key, Handle>>,
    tasks: Tasks,
    runtime: Mutex<Option<Runtime>>,
    handle: tokio::runtime::Handle,
    _engine: engine::Running,
}

impl Sandbox {
    /// Starts with no plugins.
    pub fn start(
        config: Config,
        source: Arc<dyn FrameSource>,
        sink: Arc<dyn DetectionSink>,
        registry: &Registry,
        stop: &Stop,
    ) -> Result<Self, StartError> {
        let engine = |e: wasmtime::Error| StartError::Engine(format!("{e:#}"));
        let running = engine::Running::start(config.instances).map_err(engine)?;
        let cache = config.data.as_ref().map(|d| d.join("compiled"));
        let folder = |folder: &PathBuf, why: String| StartError::Folder(folder.clone(), why);
        let compiler = Compiler::new(running.engine.clone(), config.compile, cache.as_deref())
            .map_err(|e| folder(&cache.clone().unwrap_or_default(), e.to_string()))?;
        let kept = config.data.as_ref().map(|d| d.join("proven"));
        let kept = kept
            .map(|f| Kept::open(&f).map_err(|e| folder(&f, e.to_string())))
            .transpose()?;
        let store = match &config.data {
            Some(data) => {
                Store::open(&data.join("state.db")).map_err(|e| folder(data, e.to_string()))?
            }
            None => {
                Store::in_memory().map_err(|e| folder(&PathBuf::from(":memory:"), e.to_string()))?
            }
        };
        let mut threads = tokio::runtime::Builder::new_multi_thread();
        threads.enable_all().thread_name("plugins");
        if config.threads > 0 {
            threads.worker_threads(config.threads);
        }
        let runtime = threads.build().map_err(StartError::Threads)?;
        let house = Arc::new(House {
            engine: running.engine.clone(),
            compiler,
            kept,
            metrics: Arc::new(Metrics::register(registry)?),
            store: Arc::new(store),
            source,
            sink,
        });
        Ok(Self {
            house,
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
                if let Some(kept) = &self.house.kept {
                    kept.forget(&key.0, &key.1);
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
                    let handle = plugin::start(&self.house, spec, &self.tasks);
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
        own.map(|(_, handle)| handle.face.status()).collect()
    }

    /// How a plugin is doing, and the newest lines of its log.
    pub fn get(&self, commune: &CommuneId, plugin: &str) -> Option<(PluginStatus, Vec<Line>)> {
        let plugins = self.plugins.lock().unwrap_or_else(|e| e.into_inner());
        let handle = plugins.get(&(commune.clone(), plugin.to_owned()))?;
        Some((handle.face.status(), handle.face.lines()))
    }

    /// The file of a plugin.
    pub fn file(&self, commune: &CommuneId, plugin: &str) -> Option<PathBuf> {
        let plugins = self.plugins.lock().unwrap_or_else(|e| e.into_inner());
        let handle = plugins.get(&(commune.clone(), plugin.to_owned()))?;
        Some(handle.spec.borrow().component.clone())
    }

    /// What a file would be as a plugin, without putting it there. `None` if there is no such
    /// plugin.
    pub fn review(
        &self,
        commune: &CommuneId,
        plugin: &str,
        bytes: &[u8],
    ) -> Option<Result<Review, LoadError>> {
        let spec = {
            let plugins = self.plugins.lock().unwrap_or_else(|e| e.into_inner());
            let handle = plugins.get(&(commune.clone(), plugin.to_owned()))?;
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

/// What a component imports and exports, for who looks into a file. Compiles it.
pub fn surface(bytes: &[u8]) -> Result<Surface, LoadError> {
    let fails = |e: wasmtime::Error| compile::CompileError::Invalid(format!("{e:#}"));
    let engine = Engine::new(&engine::config(1)).map_err(fails)?;
    let component = wasmtime::component::Component::new(&engine, bytes).map_err(fails)?;
    Ok(Surface::of(&engine, &component))
}
