//! One instance of a component at one camera: a `Detector` whose calls are metered, bounded, and
//! end the instance when they pass a bound.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use taimat_base::{CameraId, CameraKey, clock};
use taimat_contract::{
    About, Cause, Delivery, Detection, Detector, Failure, PluginError, UnixMicros, Want,
};
use wasmtime::component::{InstancePre, TypedFunc};
use wasmtime::{Store, Trap, UpdateDeadline};

use crate::bindings::{v0_1, v0_2};
use crate::cpu::{Meter, Metered};
use crate::host::log::line;
use crate::host::{HostState, Shared};
use crate::limits::Limits;
use crate::served::Served;

/// Handles at once: the contract has none, language runtimes need a few.
const MAX_HANDLES: usize = 1000;

/// A call was stopped because its CPU time was used up.
#[derive(Debug, thiserror::Error)]
#[error("the call used more CPU time than granted")]
struct CpuExceeded;

type Save = TypedFunc<(), (Vec<u8>,)>;
type Load = TypedFunc<(String, Vec<u8>), (Result<(), String>,)>;

enum Exports {
    V0_1(v0_1::DetectorPlugin),
    V0_2(v0_2::DetectorPlugin),
}

/// A running component.
pub(crate) struct Instance {
    store: Store<HostState>,
    exports: Exports,
    handover: Option<(Save, Load)>,
    meter: Arc<Meter>,
    shared: Shared,
    /// Linear memory counted in the plugin's gauge.
    counted: i64,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("plugin", &self.shared.plugin)
            .finish_non_exhaustive()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.shared.metrics.memory.sub(self.counted);
        self.shared.metrics.instances.dec();
    }
}

/// What can be instantiated.
#[derive(Clone)]
pub(crate) struct Prepared {
    pub(crate) pre: InstancePre<HostState>,
    pub(crate) served: Served,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("served", &self.served)
            .finish_non_exhaustive()
    }
}

impl Instance {
    /// Instantiates. Runs the component's own start code, within the limits.
    pub(crate) async fn start(
        prepared: &Prepared,
        shared: &Shared,
        camera: &CameraKey,
    ) -> Result<Self, Failure> {
        let state = HostState::new(shared, camera);
        let meter = Arc::clone(&state.meter);
        let mut store = Store::new(prepared.pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(shared.limits.volume_bytes);
        store.set_max_component_handles(MAX_HANDLES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| {
            if store.data().meter.is_over() {
                return Err(CpuExceeded.into());
            }
            // Others get their turn every tick.
            Ok(UpdateDeadline::Yield(1))
        });
        let start = async {
            let instance = prepared.pre.instantiate_async(&mut store).await?;
            let exports = match prepared.served {
                Served::V0_1 => Exports::V0_1(v0_1::DetectorPlugin::new(&mut store, &instance)?),
                Served::V0_2 => Exports::V0_2(v0_2::DetectorPlugin::new(&mut store, &instance)?),
            };
            let name = format!("taimat:plugin/handover@{}", prepared.served.package());
            let mut handover = None;
            if let Some(interface) = instance.get_export_index(&mut store, None, &name) {
                let mut function =
                    |name| instance.get_export_index(&mut store, Some(&interface), name);
                if let (Some(save), Some(load)) = (function("save"), function("load")) {
                    handover = Some((
                        instance.get_typed_func(&mut store, save)?,
                        instance.get_typed_func(&mut store, load)?,
                    ));
                }
            }
            Ok((exports, handover))
        };
        let (cpu, wall) = (shared.limits.start_cpu, shared.limits.start_wall);
        let started = bounded(&meter, cpu, wall, start).await;
        let (exports, handover) = match started {
            Ok(exports) => exports,
            Err(ended) => return Err(classify(ended, &store, cpu, wall)),
        };
        shared.metrics.instances.inc();
        let mut instance = Self {
            store,
            exports,
            handover,
            meter,
            shared: shared.clone(),
            counted: 0,
        };
        instance.count_memory();
        Ok(instance)
    }

    fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    fn count_memory(&mut self) {
        let used = i64::try_from(self.store.data().memory.used).unwrap_or(i64::MAX);
        self.shared.metrics.memory.add(used - self.counted);
        self.counted = used;
    }

    /// After a call: what it used, and what its error means.
    fn settle<T>(
        &mut self,
        called: Result<T, Ended>,
        took: Duration,
        cpu: Duration,
        wall: Duration,
    ) -> Result<T, Failure> {
        let metrics = &self.shared.metrics;
        metrics.calls.observe(took.as_secs_f64());
        metrics.cpu.inc_by(self.meter.used().as_secs_f64());
        self.count_memory();
        called.map_err(|ended| classify(ended, &self.store, cpu, wall))
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

/// Calls an export of whichever version the component has.
macro_rules! call {
    ($self:ident, $cpu:expr, $wall:expr, |$plugin:ident, $store:ident| $call:expr) => {{
        let (cpu, wall) = ($cpu, $wall);
        let begin = clock::thread_now();
        let $store = &mut $self.store;
        let called = match &$self.exports {
            Exports::V0_1($plugin) => {
                let call = async {
                    let returned: wasmtime::Result<_> = $call.await;
                    returned
                };
                let called = bounded(&$self.meter, cpu, wall, call).await;
                called.map(|r| r.map(Into::into).map_err(Failure::from))
            }
            Exports::V0_2($plugin) => {
                let call = async {
                    let returned: wasmtime::Result<_> = $call.await;
                    returned
                };
                let called = bounded(&$self.meter, cpu, wall, call).await;
                called.map(|r| r.map(Into::into).map_err(Failure::from))
            }
        };
        let took = clock::thread_now() - begin;
        $self.settle(called, took, cpu, wall)?
    }};
}

/// A list with its items converted.
struct Detections(Vec<Detection>);

impl<T: Into<Detection>> From<Vec<T>> for Detections {
    fn from(list: Vec<T>) -> Self {
        Self(list.into_iter().map(Into::into).collect())
    }
}

#[async_trait]
impl Detector for Instance {
    async fn describe(&mut self) -> Result<About, Failure> {
        let (cpu, wall) = (self.limits().start_cpu, self.limits().start_wall);
        let about: Result<About, Failure> = call!(self, cpu, wall, |plugin, store| async {
            let about = plugin.taimat_plugin_lifecycle().call_describe(store).await;
            about.map(Result::<_, NoError>::Ok)
        });
        about
    }

    async fn configure(&mut self, settings: &str) -> Result<(), Failure> {
        let (cpu, wall) = (self.limits().start_cpu, self.limits().start_wall);
        let done: Result<(), Failure> = call!(self, cpu, wall, |plugin, store| plugin
            .taimat_plugin_lifecycle()
            .call_configure(store, settings));
        done
    }

    async fn wants(&mut self, camera: &CameraId) -> Result<Want, Failure> {
        let (cpu, wall) = (self.limits().start_cpu, self.limits().start_wall);
        let want: Result<Want, Failure> = call!(self, cpu, wall, |plugin, store| plugin
            .taimat_plugin_detector()
            .call_wants(store, camera.as_str()));
        want
    }

    async fn on_frame(&mut self, frame: &Delivery) -> Result<Vec<Detection>, Failure> {
        let (cpu, wall) = (self.limits().cpu, self.limits().wall);
        let state = self.store.data_mut();
        state.time.set(frame.info.at);
        state.frames.lend(Arc::clone(&frame.frames));
        let info = frame.info.clone();
        let seen: Result<Detections, Failure> = call!(self, cpu, wall, |plugin, store| {
            let info = info.clone().into();
            async move {
                plugin
                    .taimat_plugin_detector()
                    .call_on_frame(store, &info)
                    .await
            }
        });
        self.store.data_mut().frames.take_back();
        self.checked(seen?.0)
    }

    async fn on_tick(&mut self, now: UnixMicros) -> Result<Vec<Detection>, Failure> {
        let (cpu, wall) = (self.limits().cpu, self.limits().wall);
        self.store.data_mut().time.set(now);
        let seen: Result<Detections, Failure> = call!(self, cpu, wall, |plugin, store| plugin
            .taimat_plugin_detector()
            .call_on_tick(store, now.0));
        self.checked(seen?.0)
    }

    async fn save(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let Some((save, _)) = self.handover else {
            return Ok(None);
        };
        let (cpu, wall) = (self.limits().cpu, self.limits().wall);
        // State may be larger than what one call hands over otherwise.
        let most = self.limits().memory_bytes / 8;
        self.store.set_hostcall_fuel(most);
        let begin = clock::thread_now();
        let store = &mut self.store;
        let call = async { save.call_async(store, ()).await };
        let called = bounded(&self.meter, cpu, wall, call).await;
        let took = clock::thread_now() - begin;
        self.store
            .set_hostcall_fuel(self.shared.limits.volume_bytes);
        let (saved,) = self.settle(called, took, cpu, wall)?;
        Ok((!saved.is_empty()).then_some(saved))
    }

    async fn load(&mut self, from_version: &str, saved: &[u8]) -> Result<(), Failure> {
        let Some((_, load)) = self.handover else {
            return Ok(());
        };
        let (cpu, wall) = (self.limits().cpu, self.limits().wall);
        let begin = clock::thread_now();
        let store = &mut self.store;
        let arguments = (from_version.to_owned(), saved.to_vec());
        let call = async { load.call_async(store, arguments).await };
        let called = bounded(&self.meter, cpu, wall, call).await;
        let took = clock::thread_now() - begin;
        let (loaded,) = self.settle(called, took, cpu, wall)?;
        loaded.map_err(|why: String| Failure::Said(PluginError::Retry(line(&why))))
    }
}

/// For exports that have no error.
enum NoError {}

impl From<NoError> for Failure {
    fn from(never: NoError) -> Self {
        match never {}
    }
}

/// Why a call did not return.
enum Ended {
    Wall,
    Error(wasmtime::Error),
}

/// Runs a call within its CPU time and its time on the clock.
async fn bounded<T>(
    meter: &Arc<Meter>,
    cpu: Duration,
    wall: Duration,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> Result<T, Ended> {
    meter.arm(cpu);
    let metered = Metered {
        meter: Arc::clone(meter),
        inner: Box::pin(call),
    };
    match tokio::time::timeout(wall, metered).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Ended::Error(error)),
        Err(_elapsed) => Err(Ended::Wall),
    }
}

fn classify(ended: Ended, store: &Store<HostState>, cpu: Duration, wall: Duration) -> Failure {
    let error = match ended {
        Ended::Wall => {
            return Failure::ended(Cause::Wall, format!("the call took longer than {wall:?}"));
        }
        Ended::Error(error) => error,
    };
    if error.is::<CpuExceeded>() {
        let detail = format!("the call used more than {cpu:?} of CPU time");
        return Failure::ended(Cause::Cpu, detail);
    }
    let text = format!("{error:#}");
    if store.data().memory.refused {
        let detail = "it asked for more memory than granted; limit = { memory = \"…\" }";
        return Failure::ended(Cause::Memory, detail);
    }
    if text.contains("hostcalls has been exhausted") {
        let detail = "it handed more bytes to the host than one call may";
        return Failure::ended(Cause::Volume, detail);
    }
    // Not the backtrace: plugins are stripped, it would be numbers.
    let detail: String = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => line(&error.root_cause().to_string()),
    };
    let cause = match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => Cause::Stack,
        None if text.contains("unknown handle") || text.contains("invalid") => Cause::Contract,
        _ => Cause::Trap,
    };
    Failure::ended(cause, detail)
}
