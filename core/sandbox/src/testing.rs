//! What tests of places need: generations of a component that nobody calls, and a plugin around them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use taimat_base::CameraKey;
use taimat_base::metrics::Registry;
use taimat_contract::{Delivery, Detected, DetectionSink, FrameReader, FrameSource, Package, Want};
use tokio::sync::mpsc;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::cpu::CpuShare;
use crate::engine;
use crate::generation::Generation;
use crate::granted::Granted;
use crate::host::state::StateStore;
use crate::host::{InstanceContext, PluginCommon};
use crate::limits::LimitSettings;
use crate::load::Loaded;
use crate::loading::Checked;
use crate::metrics::PluginFamilies;
use crate::place::Place;
use crate::seat::{SeatContext, SeatReport};
use crate::spec::{Grant, PluginSpec};

/// A component that a test of another version keeps.
const COMPONENT: &[u8] = include_bytes!("../tests/data/detector-0.1.wasm");

/// Compiled once for all tests.
fn loaded() -> Loaded {
    static LOADED: OnceLock<Loaded> = OnceLock::new();
    let load = || {
        let manifest = "[plugin]\nname = \"a\"\nversion = \"1.0.0\"\nkind = \"detector\"\n";
        let packed = Arc::new(Package::pack(COMPONENT, manifest).unwrap());
        let engine = Engine::new(&engine::config(1)).unwrap();
        let component = Component::new(&engine, packed.as_slice()).unwrap();
        let checked = Checked::new(&packed, &[]).unwrap();
        checked.link(&engine, &component).unwrap()
    };
    LOADED.get_or_init(load).clone()
}

/// Frames without end, each there at once.
#[derive(Debug)]
pub(crate) struct Flood(pub(crate) Delivery);

#[async_trait::async_trait]
impl FrameReader for Flood {
    async fn next(&mut self) -> Option<Delivery> {
        Some(self.0.clone())
    }
}

/// Gives such frames.
#[derive(Debug)]
pub(crate) struct FloodSource(pub(crate) Delivery);

impl FrameSource for FloodSource {
    fn watch(&self, _camera: &CameraKey, _want: &Want) -> Box<dyn FrameReader> {
        Box::new(Flood(self.0.clone()))
    }
}

#[derive(Debug)]
struct Nowhere;

impl DetectionSink for Nowhere {
    fn publish(&self, _detected: &Detected<'_>) {}
}

/// A plugin whose places are tested.
pub(crate) struct TestPlugin {
    pub(crate) context: SeatContext,
    pub(crate) reports: mpsc::Receiver<SeatReport>,
    common: PluginCommon,
    spec: Arc<PluginSpec>,
}

impl TestPlugin {
    /// Whose instances are replaced after so many calls.
    pub(crate) fn new(source: Arc<dyn FrameSource>, recycle: u64) -> Self {
        let spec = PluginSpec {
            commune: "thu".parse().unwrap(),
            name: "a".parse().unwrap(),
            component: PathBuf::new(),
            enabled: true,
            cameras: Vec::new(),
            settings: "{}".into(),
            camera_settings: BTreeMap::new(),
            grant: Grant::default(),
            facts: Arc::default(),
            limits: LimitSettings {
                recycle: Some(recycle),
                ..LimitSettings::default()
            },
            trusted_keys: Vec::new(),
        };
        let families = PluginFamilies::register(&Registry::new()).unwrap();
        let common = PluginCommon {
            tail: Arc::default(),
            metrics: Arc::new(Arc::new(families).of(&spec.commune, &spec.name)),
            store: Arc::new(StateStore::in_memory().unwrap()),
            share: Arc::new(CpuShare::new()),
        };
        common.share.limit(1.0);
        let (report, reports) = mpsc::channel(1000);
        Self {
            context: SeatContext {
                plugin: spec.name.clone(),
                source,
                sink: Arc::new(Nowhere),
                metrics: Arc::clone(&common.metrics),
                tail: Arc::clone(&common.tail),
                reports: report,
                desk: Arc::default(),
            },
            reports,
            common,
            spec: Arc::new(spec),
        }
    }

    pub(crate) fn generation(&self, number: u64) -> Arc<Generation> {
        let loaded = loaded();
        let manifest = &loaded.package.manifest;
        let context = InstanceContext::new(&self.common, &self.spec, manifest, Granted::default());
        Arc::new(Generation::new(number, loaded, context, &self.spec))
    }

    pub(crate) fn place(camera: &str) -> Place {
        let commune = "thu".parse().unwrap();
        Place::Camera(CameraKey::new(commune, camera.parse().unwrap()))
    }
}
