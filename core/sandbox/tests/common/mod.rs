//! Plugins in a sandbox, with frames that the test makes.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use taimat_base::metrics::Registry;
use taimat_base::tasks::Stop;
use taimat_base::{CameraKey, clock};
use taimat_contract::{
    Delivery, Detected, Detection, DetectionSink, FrameId, FrameInfo, FrameReader, FrameSource,
    UnixMicros, Want,
};
use taimat_sandbox::compile::Where;
use taimat_sandbox::limits::LimitSettings;
use taimat_sandbox::{Grant, Line, PluginSpec, PluginStatus, Sandbox, SandboxConfig};
use taimat_testkit::{eventually, plugins};
use taimat_vision::{Frame, History, Picture};
use tokio::sync::Notify;

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Frames that wait at a detector at most; the oldest goes then.
const WAITING: usize = 1000;

/// A detector's place. Other than in the router, where the newest frame wins, frames queue up: what
/// becomes of a frame then depends on what the sandbox does and not on how busy the machine is.
#[derive(Debug, Default)]
struct Slot {
    waiting: Mutex<VecDeque<Delivery>>,
    arrived: Notify,
}

/// Frames that the test makes.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    slots: Mutex<Vec<(CameraKey, std::sync::Weak<Slot>)>>,
}

#[derive(Debug)]
struct Reader(Arc<Slot>);

#[async_trait]
impl FrameReader for Reader {
    async fn next(&mut self) -> Option<Delivery> {
        loop {
            {
                let mut waiting = self.0.waiting.lock().unwrap();
                if let Some(delivery) = waiting.pop_front() {
                    return Some(delivery);
                }
            }
            self.0.arrived.notified().await;
        }
    }
}

impl FrameSource for Feed {
    fn watch(&self, camera: &CameraKey, _want: &Want) -> Box<dyn FrameReader> {
        let slot = Arc::new(Slot::default());
        let mut slots = self.slots.lock().unwrap();
        slots.retain(|(_, slot)| slot.strong_count() > 0);
        slots.push((camera.clone(), Arc::downgrade(&slot)));
        Box::new(Reader(slot))
    }
}

impl Feed {
    /// Shows a frame to all who watch; returns to how many.
    pub(crate) fn show(&self, number: u64) -> usize {
        let slots = self.slots.lock().unwrap();
        let mut shown = 0;
        for (camera, slot) in slots.iter() {
            let Some(slot) = slot.upgrade() else { continue };
            shown += 1;
            let mut waiting = slot.waiting.lock().unwrap();
            let dropped = (waiting.len() == WAITING).then(|| waiting.pop_front());
            let info = FrameInfo {
                id: FrameId(number),
                camera: camera.camera.clone(),
                at: UnixMicros(i64::try_from(number).unwrap() * 40_000),
                width: 64,
                height: 36,
                key: number == 0,
                dropped_before: u32::from(dropped.is_some()),
            };
            let picture = Arc::new(Picture::gray(64, 36, 100));
            let frame = Arc::new(Frame {
                info: info.clone(),
                picture,
            });
            let frames = Arc::new(History::new(vec![frame]));
            waiting.push_back(Delivery { info, frames });
            drop(waiting);
            slot.arrived.notify_one();
        }
        shown
    }
}

/// Detections as they came: by camera and plugin.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<BTreeMap<(String, String), Vec<Detection>>>);

impl DetectionSink for Seen {
    fn publish(&self, detected: &Detected<'_>) {
        let key = (
            detected.camera.camera.to_string(),
            detected.plugin.to_string(),
        );
        let mut all = self.0.lock().unwrap();
        let seen = all.entry(key).or_default();
        seen.extend_from_slice(detected.detections);
    }
}

impl Seen {
    pub(crate) fn of(&self, camera: &str, plugin: &str) -> Vec<Detection> {
        let all = self.0.lock().unwrap();
        let key = (camera.to_owned(), plugin.to_owned());
        all.get(&key).cloned().unwrap_or_default()
    }
}

/// A detector that counts its frames, in this version.
pub(crate) fn version(version: &str) -> Vec<u8> {
    let text = format!("version = \"{version}\"");
    plugins::packed("example-smallest", |m| {
        m.replace("version = \"0.1.0\"", &text)
    })
    .unwrap()
}

/// A sandbox with a folder for components.
pub(crate) struct Bench {
    pub(crate) sandbox: Sandbox,
    pub(crate) feed: Arc<Feed>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) registry: Registry,
    pub(crate) folder: tempfile::TempDir,
    specs: Mutex<Vec<PluginSpec>>,
}

impl Bench {
    pub(crate) fn start() -> Self {
        Self::over(tempfile::tempdir().unwrap(), Where::Here)
    }

    /// The router ends, and starts again with the files that there are.
    pub(crate) fn restart(self) -> Self {
        self.restart_with(Where::Here)
    }

    /// The same with another compiler.
    pub(crate) fn restart_with(self, compile: Where) -> Self {
        let Self {
            sandbox, folder, ..
        } = self;
        drop(sandbox);
        Self::over(folder, compile)
    }

    fn over(folder: tempfile::TempDir, compile: Where) -> Self {
        let (feed, seen) = (Arc::new(Feed::default()), Arc::new(Seen::default()));
        let registry = Registry::new();
        let config = SandboxConfig {
            threads: 2,
            instances: 200,
            compile,
            data: Some(folder.path().join("data")),
        };
        let source: Arc<dyn FrameSource> = Arc::clone(&feed) as _;
        let sink: Arc<dyn DetectionSink> = Arc::clone(&seen) as _;
        let sandbox = Sandbox::start(config, source, sink, &registry, &Stop::new()).unwrap();
        Self {
            sandbox,
            feed,
            seen,
            registry,
            folder,
            specs: Mutex::default(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a file where plugins are, as careful people do.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let new = self.path("new");
        std::fs::write(&new, bytes).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
        self.sandbox.refresh();
    }

    /// A plugin at these cameras, with everything granted.
    pub(crate) fn spec(&self, name: &str, cameras: usize) -> PluginSpec {
        let camera = |n| CameraKey::new("thu".parse().unwrap(), format!("c{n}").parse().unwrap());
        PluginSpec {
            commune: "thu".parse().unwrap(),
            name: name.parse().unwrap(),
            component: self.path(&format!("{name}.wasm")),
            enabled: true,
            cameras: (0..cameras).map(camera).collect(),
            settings: "{}".into(),
            facts: Arc::default(),
            camera_settings: BTreeMap::new(),
            grant: Grant {
                frames: Some((640, 60.0)),
                state_bytes: Some(64 << 10),
                ..Grant::default()
            },
            limits: LimitSettings {
                cpu_share: Some(4.0),
                detections: Some(1_000_000),
                ..LimitSettings::default()
            },
            trusted_keys: Vec::new(),
        }
    }

    /// Runs a plugin beside the others, or in the place of the one of its name.
    pub(crate) fn run(&self, spec: PluginSpec) {
        let mut specs = self.specs.lock().unwrap();
        specs.retain(|s| s.name != spec.name);
        specs.push(spec);
        self.sandbox.reconcile(specs.clone());
    }

    pub(crate) fn status(&self, name: &str) -> PluginStatus {
        self.sandbox
            .get(&"thu".parse().unwrap(), &name.parse().unwrap())
            .unwrap()
            .0
    }

    /// The sum of a metric's samples.
    pub(crate) fn counted(&self, metric: &str) -> f64 {
        let all = self.registry.gather();
        let samples = all.iter().filter(|f| f.name() == metric);
        samples
            .flat_map(|family| family.get_metric())
            .map(|m| m.get_counter().get_value())
            .sum()
    }

    /// The sum of a gauge's samples that have this value of some label.
    pub(crate) fn gauge(&self, metric: &str, label: &str) -> f64 {
        let all = self.registry.gather();
        let samples = all.iter().filter(|f| f.name() == metric);
        samples
            .flat_map(|family| family.get_metric())
            .filter(|m| m.get_label().iter().any(|l| l.value() == label))
            .map(|m| m.get_gauge().get_value())
            .sum()
    }

    pub(crate) fn lines(&self, name: &str) -> Vec<Line> {
        self.sandbox
            .get(&"thu".parse().unwrap(), &name.parse().unwrap())
            .unwrap()
            .1
    }

    /// Waits for what a plugin's status has to say.
    pub(crate) async fn until<T>(
        &self,
        name: &str,
        what: &str,
        probe: impl Fn(&PluginStatus) -> Option<T>,
    ) -> T {
        let found = tokio::time::timeout(
            LIMIT,
            eventually(what, LIMIT * 2, async || probe(&self.status(name))),
        );
        match found.await {
            Ok(found) => found,
            Err(_elapsed) => {
                let (status, lines) = (self.status(name), self.lines(name));
                panic!("{name}: not {what}: {status:#?} {lines:#?}")
            }
        }
    }

    /// Shows frames at this rate until the probe gives something.
    pub(crate) async fn show_until<T>(
        &self,
        first: u64,
        fps: u32,
        mut probe: impl FnMut(u64) -> Option<T>,
    ) -> (u64, T) {
        let mut interval = tokio::time::interval(Duration::from_secs(1) / fps);
        let begin = clock::now();
        let mut number = first;
        loop {
            interval.tick().await;
            self.feed.show(number);
            number += 1;
            if let Some(found) = probe(number) {
                return (number, found);
            }
            // A hundred compilations take their time on a busy machine.
            assert!(clock::now() - begin < LIMIT * 3, "it did not come");
        }
    }
}
