//! A component as a `Detector`, whichever version of the contract it is for.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use taimat_base::{CameraId, CameraKey};
use taimat_contract::{
    About, Cause, Delivery, Detection, Detector, Failure, PluginError, UnixMicros, Want,
};

use crate::bindings::{v0_1, v0_2};
use crate::budget::Budget;
use crate::generation::Generation;
use crate::instance::{Bounds, Instance, metered};
use crate::limits::Limits;
use crate::seat::Guest;
use crate::version::ContractVersion;

enum Exports {
    V0_1(v0_1::DetectorPlugin),
    V0_2(v0_2::DetectorPlugin),
}

/// A started detector.
pub(crate) struct DetectorInstance {
    instance: Instance,
    exports: Exports,
}

impl std::fmt::Debug for DetectorInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.instance.fmt(f)
    }
}

/// Calls an export of whichever version the component has. What has no error of its own returns
/// `Ok`.
macro_rules! call {
    ($self:ident, $bounds:expr, |$plugin:ident, $store:ident| $call:expr) => {{
        let instance = &mut $self.instance;
        match &$self.exports {
            Exports::V0_1($plugin) => metered!(instance, $bounds, |$store| $call)
                .and_then(|returned| returned.map(Into::into).map_err(Failure::from)),
            Exports::V0_2($plugin) => metered!(instance, $bounds, |$store| $call)
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
        let version = prepared.version;
        let place = (camera, budget);
        let start = Instance::start(prepared, &generation.context, place, |store, instance| {
            Ok(match version {
                ContractVersion::V0_1 => Exports::V0_1(v0_1::DetectorPlugin::new(store, instance)?),
                ContractVersion::V0_2 => Exports::V0_2(v0_2::DetectorPlugin::new(store, instance)?),
            })
        });
        let (instance, exports) = start.await?;
        Ok(Self { instance, exports })
    }

    fn starting(&self) -> Bounds {
        Bounds::start(self.instance.limits())
    }

    fn calling(&self) -> Bounds {
        Bounds::call(self.instance.limits())
    }

    fn checked(&self, detections: Vec<Detection>) -> Result<Vec<Detection>, Failure> {
        let most = Limits::DETECTIONS_PER_CALL;
        if detections.len() > most {
            let detail = format!(
                "{} detections in one call, at most {most}",
                detections.len()
            );
            return Err(Failure::ended(Cause::Contract, detail));
        }
        let checked = detections.into_iter().map(Detection::checked);
        let checked: Result<Vec<Detection>, _> = checked.collect();
        checked.map_err(|bad| Failure::ended(Cause::Contract, bad.to_string()))
    }
}

#[async_trait]
impl Detector for DetectorInstance {
    async fn describe(&mut self) -> Result<About, Failure> {
        let bounds = self.starting();
        call!(self, bounds, |plugin, store| async {
            let about = plugin.taimat_plugin_lifecycle().call_describe(store).await;
            about.map(Result::<_, NoError>::Ok)
        })
    }

    async fn configure(&mut self, settings: &str) -> Result<(), Failure> {
        let bounds = self.starting();
        call!(self, bounds, |plugin, store| plugin
            .taimat_plugin_lifecycle()
            .call_configure(store, settings))
    }

    async fn wants(&mut self, camera: &CameraId) -> Result<Want, Failure> {
        let bounds = self.starting();
        call!(self, bounds, |plugin, store| plugin
            .taimat_plugin_detector()
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
            async move {
                plugin
                    .taimat_plugin_detector()
                    .call_on_frame(store, &info)
                    .await
            }
        });
        self.instance.host().frames.take_back();
        self.checked(seen?.0)
    }

    async fn on_tick(&mut self, now: UnixMicros) -> Result<Vec<Detection>, Failure> {
        let bounds = self.calling();
        self.instance.host().time.set(now);
        let seen: Result<Detections, Failure> = call!(self, bounds, |plugin, store| plugin
            .taimat_plugin_detector()
            .call_on_tick(store, now.0));
        self.checked(seen?.0)
    }

    async fn save(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        self.instance.save().await
    }

    async fn load(&mut self, from_version: &str, saved: &[u8]) -> Result<(), Failure> {
        self.instance.load(from_version, saved).await
    }
}

/// For exports that have no error.
enum NoError {}

impl From<NoError> for Failure {
    fn from(never: NoError) -> Self {
        match never {}
    }
}

/// A configured detector, and what it needs to see of its camera.
#[derive(Debug)]
pub(crate) struct ReadyDetector {
    pub(crate) detector: DetectorInstance,
    pub(crate) want: Want,
}

impl ReadyDetector {
    /// Starts and configures one.
    pub(crate) fn make(
        generation: Arc<Generation>,
        camera: CameraKey,
        budget: Arc<Budget>,
    ) -> Pin<Box<dyn Future<Output = Result<Self, Failure>> + Send>> {
        Box::pin(async move {
            let mut detector = DetectorInstance::start(&generation, &camera, &budget).await?;
            detector.configure(&generation.settings).await?;
            let want = detector.wants(&camera.camera).await?;
            let want = within(want, &generation).ok_or_else(|| {
                let error = "a detector needs the grant frames = { width = …, fps = … }";
                Failure::Said(PluginError::Settings(error.into()))
            })?;
            Ok(Self { detector, want })
        })
    }
}

/// The frames that a plugin gets: what it wants, within what it asked for and what was granted.
fn within(want: Want, generation: &Generation) -> Option<Want> {
    let (width, fps) = generation.grant.frames?;
    let asked = generation.loaded.package.manifest.requests.frames?;
    Some(want.within(width.min(asked.width), fps.min(asked.fps as f32)))
}

#[async_trait]
impl Guest for ReadyDetector {
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
