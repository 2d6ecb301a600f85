//! A plugin outside of the router: one instance in the real sandbox, called by who tries it out.
//!
//! Time comes from the recording only, so that the same recording gives the same answers.

use std::sync::Arc;

use taimat_base::metrics::Registry;
use taimat_base::{CameraKey, CommuneId};
use taimat_contract::{Delivery, Detection, Detector, Failure, UnixMicros, Want};
use wasmtime::component::Component;

use crate::compile::CompileError;
use crate::engine::Running;
use crate::generation::{ComponentFactory, Factory};
use crate::host::Shared;
use crate::host::log::{Line, Tail};
use crate::host::state::Store;
use crate::limits::{LimitSettings, Limits};
use crate::load::{self, Grant, LoadError, Loaded, Surface};
use crate::metrics::{Metrics, PluginMetrics};

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
    detector: Box<dyn Detector>,
    want: Want,
    version: String,
    metrics: Arc<PluginMetrics>,
    tail: Arc<Tail>,
    _engine: Running,
}

impl Trial {
    /// Loads, starts and configures a packed plugin. Compiles it in this process.
    pub async fn start(
        bytes: &[u8],
        settings: &str,
        limits: &LimitSettings,
    ) -> Result<Self, TrialError> {
        let inside = |e: &dyn std::fmt::Display| TrialError::Sandbox(format!("{e:#}"));
        let package = load::check(bytes, &[])?;
        let running = Running::start(4).map_err(|e| inside(&e))?;
        let component = Component::new(&running.engine, bytes)
            .map_err(|e| LoadError::Compile(CompileError::Invalid(format!("{e:#}"))))?;
        let requests = &package.manifest.requests;
        let grant = Grant {
            frames: requests.frames.map(|f| (f.width, f.fps as f32)),
            state_bytes: requests.state.map(|s| s.0),
        };
        let name = package.manifest.name.clone();
        let prepared = load::link(&running.engine, &component, &package, &grant, &name)?;
        let commune: CommuneId = "trial".parse().map_err(|e| inside(&e))?;
        let camera = CameraKey::new(commune.clone(), "camera".parse().map_err(|e| inside(&e))?);
        let metrics = Metrics::register(&Registry::new()).map_err(|e| inside(&e))?;
        let metrics = Arc::new(Arc::new(metrics).of(&commune, &name));
        let tail = Arc::new(Tail::default());
        let shared = Shared {
            tail: Arc::clone(&tail),
            metrics: Arc::clone(&metrics),
            store: Arc::new(Store::in_memory().map_err(|e| inside(&e))?),
            state_bytes: grant.state_bytes,
            limits: Limits::resolve(&package.manifest, limits),
            plugin: name.as_str().into(),
        };
        let version = package.manifest.version.clone();
        let factory = ComponentFactory {
            loaded: Loaded {
                surface: Surface::of(&running.engine, &component),
                component,
                digest: package.digest,
                package: Arc::new(package),
                prepared,
                bytes: bytes.len(),
            },
            shared,
            settings: settings.to_owned(),
            grant,
        };
        let (detector, want) = factory.make(&camera).await?;
        Ok(Self {
            detector,
            want,
            version,
            metrics,
            tail,
            _engine: running,
        })
    }

    /// What it gets to see.
    pub fn want(&self) -> Want {
        self.want
    }

    /// Its version, as its manifest has it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Shows it a frame.
    pub async fn frame(&mut self, frame: &Delivery) -> Result<Vec<Detection>, Failure> {
        self.detector.on_frame(frame).await
    }

    /// Tells it that time passes.
    pub async fn tick(&mut self, now: UnixMicros) -> Result<Vec<Detection>, Failure> {
        self.detector.on_tick(now).await
    }

    /// State for another instance of it.
    pub async fn save(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        self.detector.save().await
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
