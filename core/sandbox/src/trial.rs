//! A plugin outside of the router: one instance in the real sandbox, called by who tries it out.
//!
//! Time comes from the recording only, so that the same recording gives the same answers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use taimat_base::metrics::Registry;
use taimat_base::{CameraKey, CommuneId, PluginId};
use taimat_contract::package::PublicKey;
use taimat_contract::{
    CommuneFacts, Delivery, Detection, Detector, Failure, Kind, Manifest, SettingsSchema,
    UnixMicros, Want,
};
use wasmtime::component::Component;

use crate::budget::Budget;
use crate::compile::CompileError;
use crate::cpu::CpuShare;
use crate::engine::TickingEngine;
use crate::generation::Generation;
use crate::granted::Granted;
use crate::host::state::StateStore;
use crate::host::{InstanceContext, PluginCommon};
use crate::kinds;
use crate::kinds::detector::instance::ReadyDetector;
use crate::limits::LimitSettings;
use crate::load_error::LoadError;
use crate::loading::{self, Checked};
use crate::metrics::{PluginFamilies, PluginMetrics};
use crate::seat::Make;
use crate::spec::{Grant, PluginSpec};
use crate::tail::{Line, Tail};

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
    /// It is of another kind than was asked for.
    #[error("it is a plugin of kind {is}, and not of kind {wanted}")]
    Kind {
        /// What its manifest says.
        is: Kind,
        /// What was asked for.
        wanted: Kind,
    },
    /// The sandbox itself does not start.
    #[error("the sandbox: {0}")]
    Sandbox(String),
}

/// What is tried out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tried<'a> {
    /// The packed plugin.
    pub(crate) bytes: &'a [u8],
    /// Its settings, as JSON.
    pub(crate) settings: &'a str,
    pub(crate) limits: &'a LimitSettings,
    /// What it may know of its commune.
    pub(crate) facts: &'a Arc<CommuneFacts>,
}

fn inside(error: impl std::fmt::Display) -> TrialError {
    TrialError::Sandbox(format!("{error:#}"))
}

/// Loads a packed plugin and asks it what it says of itself. Compiles it in this process. It is granted
/// all that its manifest asks for.
async fn load(
    tried: Tried<'_>,
    trusted_keys: &[PublicKey],
) -> Result<(TickingEngine, Generation), TrialError> {
    let checked = Checked::new(&Arc::new(tried.bytes.to_vec()), trusted_keys)?;
    let engine = TickingEngine::start(16).map_err(inside)?;
    let component = Component::new(&engine.engine, tried.bytes)
        .map_err(|e| LoadError::Compile(CompileError::Invalid(format!("{e:#}"))))?;
    let loaded = checked.link(&engine.engine, &component)?;
    let manifest = &loaded.package.manifest;
    let spec = Arc::new(spec(tried, manifest)?);
    let granted = Granted::all(&manifest.requests);
    let context = InstanceContext::new(&common(&spec)?, &spec, manifest, granted);
    let loaded = loading::describe(loaded, &context, &spec.commune).await;
    Ok((engine, Generation::new(1, loaded, context, &spec)))
}

/// A plugin of a commune with one camera.
fn spec(tried: Tried<'_>, manifest: &Manifest) -> Result<PluginSpec, TrialError> {
    let name: PluginId = manifest.name.parse().map_err(inside)?;
    let commune: CommuneId = "trial".parse().map_err(inside)?;
    let camera = "camera".parse().map_err(inside)?;
    Ok(PluginSpec {
        cameras: vec![CameraKey::new(commune.clone(), camera)],
        commune,
        name,
        component: PathBuf::new(),
        enabled: true,
        settings: tried.settings.to_owned(),
        camera_settings: BTreeMap::new(),
        grant: Grant::default(),
        facts: Arc::clone(tried.facts),
        limits: *tried.limits,
        trusted_keys: Vec::new(),
    })
}

/// Counted and kept where nobody looks.
fn common(spec: &PluginSpec) -> Result<PluginCommon, TrialError> {
    let families = PluginFamilies::register(&Registry::new()).map_err(inside)?;
    let metrics = Arc::new(families).of(&spec.commune, &spec.name);
    Ok(PluginCommon {
        tail: Arc::default(),
        metrics: Arc::new(metrics),
        store: Arc::new(StateStore::in_memory().map_err(inside)?),
        share: Arc::new(CpuShare::new()),
    })
}

/// What the settings of a packed plugin may be, if it says so; for a commune that trusts these keys.
/// Compiles it in this process.
pub async fn settings_schema(
    bytes: &[u8],
    trusted_keys: &[PublicKey],
) -> Result<Option<Arc<SettingsSchema>>, TrialError> {
    let tried = Tried {
        bytes,
        settings: "{}",
        limits: &LimitSettings::default(),
        facts: &Arc::default(),
    };
    let (_engine, generation) = load(tried, trusted_keys).await?;
    Ok(generation.loaded.schema)
}

/// A plugin of some kind that was started outside of the router.
#[derive(Debug)]
pub(crate) struct OnTrial<G> {
    pub(crate) guest: G,
    pub(crate) version: String,
    metrics: Arc<PluginMetrics>,
    tail: Arc<Tail>,
    _engine: TickingEngine,
}

impl<G> OnTrial<G> {
    /// Loads, starts and configures one of this kind, at its first place.
    pub(crate) async fn start(
        tried: Tried<'_>,
        kind: Kind,
        make: Make<G>,
    ) -> Result<Self, TrialError> {
        let (engine, generation) = load(tried, &[]).await?;
        let is = generation.loaded.package.manifest.kind;
        if is != kind {
            return Err(TrialError::Kind { is, wanted: kind });
        }
        let places = (kinds::served(kind)?.places)(&generation.spec);
        let place = places.into_iter().next();
        let place = place.ok_or_else(|| inside("it has no place"))?;
        let budget = Arc::new(Budget::default());
        budget.limit(&generation.context.limits);
        let version = generation.version.clone();
        let PluginCommon { metrics, tail, .. } = generation.context.common.clone();
        let guest = make(Arc::new(generation), place, budget).await?;
        Ok(Self {
            guest,
            version,
            metrics,
            tail,
            _engine: engine,
        })
    }

    /// Linear memory that it has.
    pub(crate) fn memory_bytes(&self) -> u64 {
        u64::try_from(self.metrics.memory.get()).unwrap_or(0)
    }

    /// The newest lines that it wrote.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.tail.lines()
    }
}

/// One detector at one camera, granted all that its manifest asks for.
#[derive(Debug)]
pub struct Trial {
    tried: OnTrial<ReadyDetector>,
}

impl Trial {
    /// Loads, starts and configures a packed detector. Compiles it in this process.
    pub async fn start(
        bytes: &[u8],
        settings: &str,
        limits: &LimitSettings,
    ) -> Result<Self, TrialError> {
        let tried = Tried {
            bytes,
            settings,
            limits,
            facts: &Arc::default(),
        };
        let tried = OnTrial::start(tried, Kind::Detector, ReadyDetector::make).await?;
        Ok(Self { tried })
    }

    /// What it gets to see.
    pub fn want(&self) -> Want {
        self.tried.guest.want
    }

    /// Its version, as its manifest has it.
    pub fn version(&self) -> &str {
        &self.tried.version
    }

    /// Shows it a frame.
    pub async fn frame(&mut self, frame: &Delivery) -> Result<Vec<Detection>, Failure> {
        self.tried.guest.detector.on_frame(frame).await
    }

    /// Tells it that time passes.
    pub async fn tick(&mut self, now: UnixMicros) -> Result<Vec<Detection>, Failure> {
        self.tried.guest.detector.on_tick(now).await
    }

    /// State for another instance of it.
    pub async fn save(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        self.tried.guest.detector.save().await
    }

    /// Linear memory that it has.
    pub fn memory_bytes(&self) -> u64 {
        self.tried.memory_bytes()
    }

    /// The newest lines that it wrote.
    pub fn lines(&self) -> Vec<Line> {
        self.tried.lines()
    }
}
