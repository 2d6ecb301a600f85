//! A plugin outside of the router: one instance in the real sandbox, called by who tries it out.
//!
//! Time comes from the recording only, so that the same recording gives the same answers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use taimat_base::metrics::Registry;
use taimat_base::{CameraKey, CommuneId, PluginId};
use taimat_contract::package::PublicKey;
use taimat_contract::{
    CommuneFacts, Delivery, Detection, Detector, Failure, SettingsSchema, UnixMicros, Want,
};
use wasmtime::component::Component;

use crate::budget::Budget;
use crate::compile::CompileError;
use crate::engine::TickingEngine;
use crate::generation::Generation;
use crate::host::InstanceContext;
use crate::host::channels::ChannelGrant;
use crate::host::state::StateStore;
use crate::kinds;
use crate::kinds::detector::instance::ReadyDetector;
use crate::limits::{LimitSettings, Limits};
use crate::load::{self, Loaded};
use crate::load_error::LoadError;
use crate::loading;
use crate::metrics::{PluginFamilies, PluginMetrics};
use crate::place::Place;
use crate::spec::{Grant, PluginSpec};
use crate::tail::{Line, Tail};
use taimat_base::bucket::Bucket;

/// Why a plugin can not be tried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrialError {
    /// The router would refuse the file.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It does not start, or does not take its settings.
    #[error("it does not start: {0}")]
    Start(#[from] Failure),
    /// The sandbox itself does not start.
    #[error("the sandbox: {0}")]
    Sandbox(String),
}

/// One plugin at one camera, granted all that its manifest asks for.
#[derive(Debug)]
pub struct Trial {
    ready: ReadyDetector,
    version: String,
    metrics: Arc<PluginMetrics>,
    tail: Arc<Tail>,
    _engine: TickingEngine,
}

/// A plugin that was loaded outside of the router.
pub(crate) struct OnTrial {
    pub(crate) engine: TickingEngine,
    pub(crate) generation: Generation,
    pub(crate) budget: Arc<Budget>,
}

/// Loads a packed plugin and asks it what it says of itself. Compiles it in this process.
pub(crate) async fn load(
    bytes: &[u8],
    settings: &str,
    limits: &LimitSettings,
    trusted_keys: &[PublicKey],
    facts: &Arc<CommuneFacts>,
) -> Result<OnTrial, TrialError> {
    let inside = |e: &dyn std::fmt::Display| TrialError::Sandbox(format!("{e:#}"));
    let package = load::check(bytes, trusted_keys)?;
    let rules = &kinds::served(package.manifest.kind)?.rules;
    let (surface, version) = load::admit(bytes, rules)?;
    let engine = TickingEngine::start(16).map_err(|e| inside(&e))?;
    let component = Component::new(&engine.engine, bytes)
        .map_err(|e| LoadError::Compile(CompileError::Invalid(format!("{e:#}"))))?;
    let prepared = load::link(&engine.engine, &component, &surface, version)?;
    let requests = &package.manifest.requests;
    let grant = Grant {
        frames: requests.frames.map(|f| (f.width, f.fps as f32)),
        state_bytes: requests.state.map(|s| s.0),
        channels: BTreeSet::new(),
    };
    // Nothing is sent: what they are called does not matter.
    let channels = ChannelGrant {
        kinds: requests.channels.clone(),
        names: None,
    };
    let name: PluginId = package.manifest.name.parse().map_err(|e| inside(&e))?;
    let commune: CommuneId = "trial".parse().map_err(|e| inside(&e))?;
    let camera = CameraKey::new(commune.clone(), "camera".parse().map_err(|e| inside(&e))?);
    let families = PluginFamilies::register(&Registry::new()).map_err(|e| inside(&e))?;
    let context = InstanceContext {
        tail: Arc::default(),
        metrics: Arc::new(Arc::new(families).of(&commune, &name)),
        store: Arc::new(StateStore::in_memory().map_err(|e| inside(&e))?),
        frames: grant.frames.is_some(),
        state_bytes: grant.state_bytes,
        channels: Arc::new(channels),
        facts: Arc::clone(facts),
        limits: Limits::resolve(&package.manifest, limits),
        plugin: name.clone(),
    };
    let budget = Arc::new(Budget::default());
    budget.limit(&context.limits);
    let loaded = Loaded {
        surface,
        schema: None,
        digest: package.digest,
        package: Arc::new(package),
        prepared,
        bytes: bytes.len(),
    };
    let loaded = loading::describe(loaded, &context, &commune).await;
    let generation = Generation {
        number: 1,
        version: loaded.package.manifest.version.clone(),
        share: Arc::new(Mutex::new(Bucket::new(1.0, 1.0))),
        loaded,
        spec: Arc::new(PluginSpec {
            commune,
            name,
            component: PathBuf::new(),
            enabled: true,
            cameras: vec![camera],
            settings: settings.to_owned(),
            camera_settings: BTreeMap::new(),
            grant,
            facts: Arc::clone(facts),
            limits: *limits,
            trusted_keys: trusted_keys.to_vec(),
        }),
        context,
    };
    Ok(OnTrial {
        engine,
        generation,
        budget,
    })
}

/// What the settings of a packed plugin may be, if it says so; for a commune that trusts these keys.
/// Compiles it in this process.
pub async fn settings_schema(
    bytes: &[u8],
    trusted_keys: &[PublicKey],
) -> Result<Option<Arc<SettingsSchema>>, TrialError> {
    let on_trial = load(
        bytes,
        "{}",
        &LimitSettings::default(),
        trusted_keys,
        &Arc::default(),
    )
    .await?;
    Ok(on_trial.generation.loaded.schema)
}

impl Trial {
    /// Loads, starts and configures a packed detector. Compiles it in this process.
    pub async fn start(
        bytes: &[u8],
        settings: &str,
        limits: &LimitSettings,
    ) -> Result<Self, TrialError> {
        let on_trial = load(bytes, settings, limits, &[], &Arc::default()).await?;
        let OnTrial {
            engine,
            generation,
            budget,
        } = on_trial;
        let cameras = generation.spec.cameras.first().cloned();
        let camera = cameras.ok_or_else(|| TrialError::Sandbox("no camera".into()))?;
        let (version, tail) = (
            generation.version.clone(),
            Arc::clone(&generation.context.tail),
        );
        let metrics = Arc::clone(&generation.context.metrics);
        let place = Place::Camera(camera);
        let ready = ReadyDetector::make(Arc::new(generation), place, budget).await?;
        Ok(Self {
            ready,
            version,
            metrics,
            tail,
            _engine: engine,
        })
    }

    /// What it gets to see.
    pub fn want(&self) -> Want {
        self.ready.want
    }

    /// Its version, as its manifest has it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Shows it a frame.
    pub async fn frame(&mut self, frame: &Delivery) -> Result<Vec<Detection>, Failure> {
        self.ready.detector.on_frame(frame).await
    }

    /// Tells it that time passes.
    pub async fn tick(&mut self, now: UnixMicros) -> Result<Vec<Detection>, Failure> {
        self.ready.detector.on_tick(now).await
    }

    /// State for another instance of it.
    pub async fn save(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        self.ready.detector.save().await
    }

    /// Linear memory that it has.
    pub fn memory_bytes(&self) -> u64 {
        u64::try_from(self.metrics.memory.get()).unwrap_or(0)
    }

    /// The newest lines that it wrote.
    pub fn lines(&self) -> Vec<Line> {
        self.tail.lines()
    }
}
