//! A component as a `Detector`, whichever version of the contract it is for.

use std::sync::Arc;

use async_trait::async_trait;
use taimat_base::{CameraId, CameraKey, clock};
use taimat_contract::package::FramesRequest;
use taimat_contract::{
    About, BadDetection, Cause, Delivery, Detection, Detector, Failure, PluginError, UnixMicros,
    Want,
};

use crate::bindings::{v0_1, v0_2, v0_3};
use crate::budget::Budget;
use crate::generation::Generation;
use crate::instance::{Bounds, Instance, metered};
use crate::limits::Limits;
use crate::metrics::PluginMetrics;
use crate::place::Place;
use crate::seat::{Guest, Making};
use crate::tail::{Level, Tail, line};
use crate::version::ContractVersion;

enum Exports {
    V0_1(v0_1::exports::taimat::plugin::detector::Guest),
    V0_2(v0_2::exports::taimat::plugin::detector::Guest),
    V0_3(v0_3::exports::taimat::plugin::detector::Guest),
}

/// A started detector.
pub(crate) struct DetectorInstance {
    instance: Instance,
    exports: Exports,
    dropped: Dropped,
}

impl std::fmt::Debug for DetectorInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.instance.fmt(f)
    }
}

/// Calls an export of whichever version the component has.
macro_rules! call {
    ($self:ident, $bounds:expr, |$plugin:ident, $store:ident| $call:expr) => {{
        let instance = &mut $self.instance;
        match &$self.exports {
            Exports::V0_1($plugin) => metered!(instance, $bounds, |$store| $call)
                .and_then(|returned| returned.map(Into::into).map_err(Failure::from)),
            Exports::V0_2($plugin) => metered!(instance, $bounds, |$store| $call)
                .and_then(|returned| returned.map(Into::into).map_err(Failure::from)),
            Exports::V0_3($plugin) => metered!(instance, $bounds, |$store| $call)
                .and_then(|returned| returned.map(Into::into).map_err(Failure::from)),
        }
    }};
}

/// A list with its items converted.
struct Detections(Vec<Detection>);

impl<T: Into<Detection>> From<Vec<T>> for Detections {
    fn from(list: Vec<T>) -> Self {
        Self(list.into_iter().map(Into::into).collect())
    }
}

impl DetectorInstance {
    async fn start(
        generation: &Generation,
        camera: &CameraKey,
        budget: &Arc<Budget>,
    ) -> Result<Self, Failure> {
        let prepared = &generation.loaded.prepared;
        let (version, pre) = (prepared.version, &prepared.pre);
        let place = Place::Camera(camera.clone());
        let at = (&place, budget);
        let start = Instance::start(prepared, &generation.context, at, |store, instance| {
            Ok(match version {
                ContractVersion::V0_1 => Exports::V0_1(
                    v0_1::exports::taimat::plugin::detector::GuestIndices::new(pre)?
                        .load(store, instance)?,
                ),
                ContractVersion::V0_2 => Exports::V0_2(
                    v0_2::exports::taimat::plugin::detector::GuestIndices::new(pre)?
                        .load(store, instance)?,
                ),
                ContractVersion::V0_3 => Exports::V0_3(
                    v0_3::exports::taimat::plugin::detector::GuestIndices::new(pre)?
                        .load(store, instance)?,
                ),
            })
        });
        let (instance, exports) = start.await?;
        Ok(Self {
            instance,
            exports,
            dropped: Dropped {
                metrics: Arc::clone(&generation.context.common.metrics),
                tail: Arc::clone(&generation.context.common.tail),
                budget: Arc::clone(budget),
                camera: camera.camera.clone(),
            },
        })
    }

    fn starting(&self) -> Bounds {
        Bounds::start(self.instance.limits())
    }

    fn calling(&self) -> Bounds {
        Bounds::call(self.instance.limits())
    }

    /// Those that keep to the contract. A bad one is dropped and counted, and the instance, with all
    /// that it has learnt, lives; a flood ends it.
    fn checked(
        &self,
        detections: Vec<Detection>,
        now: UnixMicros,
    ) -> Result<Vec<Detection>, Failure> {
        let most = Limits::DETECTIONS_PER_CALL;
        if detections.len() > most {
            let detail = format!(
                "{} detections in one call, at most {most}",
                detections.len()
            );
            return Err(Failure::ended(Cause::Contract, detail));
        }
        let mut kept = Vec::with_capacity(detections.len());
        for detection in detections {
            match detection.checked(now) {
                Ok(good) => kept.push(good),
                Err(bad) => self.dropped.bad_detection(&bad),
            }
        }
        Ok(kept)
    }
}

/// Where an instance's bad detections are counted, and told.
#[derive(Debug)]
struct Dropped {
    metrics: Arc<PluginMetrics>,
    tail: Arc<Tail>,
    budget: Arc<Budget>,
    camera: CameraId,
}

impl Dropped {
    fn bad_detection(&self, bad: &BadDetection) {
        self.metrics.detections_bad.inc();
        let Some(unsaid) = self.budget.bad_detection(clock::now()) else {
            return;
        };
        let before = match unsaid {
            0 => String::new(),
            more => format!(" (and {more} more since the last line about it)"),
        };
        let text = line(&format!("a detection was dropped: {bad}{before}"));
        tracing::warn!(camera = %self.camera, "{text}");
        self.tail.push(Level::Warn, self.camera.as_str(), text);
    }
}

#[async_trait]
impl Detector for DetectorInstance {
    async fn describe(&mut self) -> Result<About, Failure> {
        self.instance.describe().await
    }

    async fn configure(&mut self, settings: &str) -> Result<(), Failure> {
        self.instance.configure(settings).await
    }

    async fn wants(&mut self, camera: &CameraId) -> Result<Want, Failure> {
        let bounds = self.starting();
        call!(self, bounds, |plugin, store| plugin
            .call_wants(store, camera.as_str()))
    }

    async fn on_frame(&mut self, frame: &Delivery) -> Result<Vec<Detection>, Failure> {
        let bounds = self.calling();
        let host = self.instance.host();
        host.time.set(frame.info.at);
        host.frames.lend(Arc::clone(&frame.frames));
        let info = frame.info.clone();
        let seen: Result<Detections, Failure> = call!(self, bounds, |plugin, store| {
            let info = info.clone().into();
            async move { plugin.call_on_frame(store, &info).await }
        });
        self.instance.host().frames.take_back();
        self.checked(seen?.0, frame.info.at)
    }

    async fn on_tick(&mut self, now: UnixMicros) -> Result<Vec<Detection>, Failure> {
        let bounds = self.calling();
        self.instance.host().time.set(now);
        let seen: Result<Detections, Failure> = call!(self, bounds, |plugin, store| plugin
            .call_on_tick(store, now.0));
        self.checked(seen?.0, now)
    }

    async fn save(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        self.instance.save().await
    }

    async fn load(&mut self, from_version: &str, saved: &[u8]) -> Result<(), Failure> {
        self.instance.load(from_version, saved).await
    }
}

/// A configured detector, and what it needs to see of its camera.
#[derive(Debug)]
pub(crate) struct ReadyDetector<D = DetectorInstance> {
    pub(crate) detector: D,
    pub(crate) want: Want,
}

impl ReadyDetector {
    /// Starts and configures one.
    pub(crate) fn make(
        generation: Arc<Generation>,
        place: Place,
        budget: Arc<Budget>,
    ) -> Making<Self> {
        Box::pin(async move {
            let Place::Camera(camera) = &place else {
                let why = "a detector is at a camera";
                return Err(Failure::Said(PluginError::Settings(why.into())));
            };
            let granted = generation.context.granted.frames;
            let (width, fps) = granted.ok_or_else(|| frameless(&generation))?;
            let settings = generation.settings(&place)?;
            let mut detector = DetectorInstance::start(&generation, camera, &budget).await?;
            detector.configure(settings).await?;
            let want = detector.wants(&camera.camera).await?;
            let want = want.within(width, fps);
            Ok(Self { detector, want })
        })
    }
}

/// A detector without frames would run and see nothing.
fn frameless(generation: &Generation) -> Failure {
    let plugin = &generation.context.plugin;
    let why = match generation.loaded.package.manifest.requests.frames {
        Some(FramesRequest { width, fps }) => format!(
            "a detector needs frames; add to [plugin.{plugin}]: \
             grant = {{ frames = {{ width = {width}, fps = {fps} }} }}"
        ),
        None => "a detector needs frames and its manifest does not ask for it; its author has to \
                 add frames = { width = 640, fps = 5 } to [requests]"
            .to_owned(),
    };
    Failure::Said(PluginError::Settings(why))
}

#[async_trait]
impl<D: Detector + 'static> Guest for ReadyDetector<D> {
    fn want(&self) -> Option<Want> {
        Some(self.want)
    }

    async fn save(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        self.detector.save().await
    }

    async fn load(&mut self, from_version: &str, saved: &[u8]) -> Result<(), Failure> {
        self.detector.load(from_version, saved).await
    }
}
