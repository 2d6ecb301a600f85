//! One instance of a component, of whatever kind: its calls are metered, bounded, and end it when
//! they pass a bound. What is called is its kind's matter.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use taimat_base::clock;
use taimat_contract::{About, Cause, Failure, PluginError};
use wasmtime::component;
use wasmtime::{Store, Trap, UpdateDeadline};

use crate::budget::Budget;
use crate::cpu::{CpuShare, Meter, Metered};
use crate::host::{HostState, InstanceContext};
use crate::lifecycle::Lifecycle;
use crate::limits::Limits;
use crate::load::Prepared;
use crate::place::Place;
use crate::tail::line;

/// Handles at once: the contract has none, language runtimes need a few.
const MAX_HANDLES: usize = 1000;

/// A call was stopped because its CPU time was used up.
#[derive(Debug, thiserror::Error)]
#[error("the call used more CPU time than granted")]
struct CpuExceeded;

/// CPU time, and time on the clock, of one call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    cpu: Duration,
    wall: Duration,
}

impl Bounds {
    /// Of instantiating, and of configuring.
    pub(crate) fn start(limits: &Limits) -> Self {
        Self {
            cpu: limits.start_cpu,
            wall: limits.start_wall,
        }
    }

    /// Of all else.
    pub(crate) fn call(limits: &Limits) -> Self {
        Self {
            cpu: limits.cpu,
            wall: limits.wall,
        }
    }
}

/// Calls something of an instance, within bounds, and takes down what it used.
macro_rules! metered {
    ($instance:expr, $bounds:expr, |$store:ident| $call:expr) => {{
        let (instance, bounds) = (&mut *$instance, $bounds);
        let begun = taimat_base::clock::thread_now();
        let meter = std::sync::Arc::clone(&instance.meter);
        instance.host().stderr.clear();
        let called = {
            let $store = &mut instance.store;
            let call = async { $call.await };
            $crate::instance::bounded(&meter, &instance.context.common.share, bounds, call).await
        };
        instance.settle(called, begun, bounds)
    }};
}
pub(crate) use metered;

/// A running component.
pub(crate) struct Instance {
    pub(crate) store: Store<HostState>,
    pub(crate) meter: Arc<Meter>,
    lifecycle: Lifecycle,
    pub(crate) context: InstanceContext,
    /// Linear memory counted in the plugin's gauge.
    counted: i64,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("plugin", &self.context.plugin)
            .finish_non_exhaustive()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.context.common.metrics.memory.sub(self.counted);
        self.context.common.metrics.instances.dec();
    }
}

impl Instance {
    /// Instantiates. Runs the component's own start code, within the limits. `bind` finds the exports
    /// of the kind.
    pub(crate) async fn start<E>(
        prepared: &Prepared,
        context: &InstanceContext,
        (place, budget): (&Place, &Arc<Budget>),
        bind: impl FnOnce(&mut Store<HostState>, &component::Instance) -> wasmtime::Result<E> + Send,
    ) -> Result<(Self, E), Failure> {
        let state = HostState::new(context, place, budget);
        let meter = Arc::clone(&state.meter);
        let mut store = Store::new(prepared.pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(context.limits.volume_bytes);
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
            let exports = bind(&mut store, &instance)?;
            let lifecycle = Lifecycle::find(&mut store, &instance, prepared.version)?;
            Ok((exports, lifecycle))
        };
        let bounds = Bounds::start(&context.limits);
        let started = bounded(&meter, &context.common.share, bounds, start).await;
        let (exports, lifecycle) = match started {
            Ok(exports) => exports,
            Err(ended) => return Err(classify(ended, &store, bounds)),
        };
        context.common.metrics.instances.inc();
        let mut instance = Self {
            store,
            meter,
            lifecycle,
            context: context.clone(),
            counted: 0,
        };
        instance.count_memory();
        Ok((instance, exports))
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.context.limits
    }

    pub(crate) fn host(&mut self) -> &mut HostState {
        self.store.data_mut()
    }

    fn count_memory(&mut self) {
        let used = i64::try_from(self.store.data().memory.used).unwrap_or(i64::MAX);
        self.context.common.metrics.memory.add(used - self.counted);
        self.counted = used;
    }

    /// After a call that began then: what it used, and what its error means.
    pub(crate) fn settle<T>(
        &mut self,
        called: Result<T, Ended>,
        begun: Instant,
        bounds: Bounds,
    ) -> Result<T, Failure> {
        let took = clock::thread_now().saturating_duration_since(begun);
        let metrics = &self.context.common.metrics;
        metrics.calls.observe(took.as_secs_f64());
        metrics.cpu.inc_by(self.meter.used().as_secs_f64());
        self.count_memory();
        called.map_err(|ended| classify(ended, &self.store, bounds))
    }

    /// What it wrote to its state since the last answer becomes true with a good one, and is forgotten
    /// with any other.
    pub(crate) fn settle_state<T>(&mut self, answer: Result<T, Failure>) -> Result<T, Failure> {
        let Ok(state) = &mut self.host().state else {
            return answer;
        };
        match answer {
            Ok(answer) => {
                state.commit().map_err(Failure::from)?;
                Ok(answer)
            }
            Err(failure) => {
                state.forget();
                Err(failure)
            }
        }
    }

    /// What it says of itself.
    pub(crate) async fn describe(&mut self) -> Result<About, Failure> {
        let (describe, bounds) = (self.lifecycle.describe, Bounds::start(self.limits()));
        let called = metered!(self, bounds, |store| describe.call_async(store, ()));
        called.map(|(about,)| about.into())
    }

    /// Takes settings, as JSON.
    pub(crate) async fn configure(&mut self, settings: &str) -> Result<(), Failure> {
        let (configure, bounds) = (self.lifecycle.configure, Bounds::start(self.limits()));
        let settings = (settings.to_owned(),);
        let (taken,) = metered!(self, bounds, |store| configure.call_async(store, settings))?;
        taken.map_err(Failure::from)
    }

    /// State for its successor.
    pub(crate) async fn save(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let Some((save, _)) = self.lifecycle.handover else {
            return Ok(None);
        };
        // State may be larger than what one call hands over otherwise.
        let most = self.limits().memory_bytes / 8;
        self.store.set_hostcall_fuel(most);
        let bounds = Bounds::call(self.limits());
        let saved = metered!(self, bounds, |store| save.call_async(store, ()));
        let usual = self.limits().volume_bytes;
        self.store.set_hostcall_fuel(usual);
        let (saved,) = saved?;
        Ok((!saved.is_empty()).then_some(saved))
    }

    /// State of the one before, of that version.
    pub(crate) async fn load(&mut self, from_version: &str, saved: &[u8]) -> Result<(), Failure> {
        let Some((_, load)) = self.lifecycle.handover else {
            return Ok(());
        };
        let bounds = Bounds::call(self.limits());
        let arguments = (from_version.to_owned(), saved.to_vec());
        let (loaded,) = metered!(self, bounds, |store| load.call_async(store, arguments))?;
        loaded.map_err(|why: String| Failure::Said(PluginError::Retry(line(&why))))
    }
}

/// Why a call did not return.
#[derive(Debug)]
pub(crate) enum Ended {
    Wall,
    Error(wasmtime::Error),
}

/// Runs a call within its CPU time and its time on the clock, and takes what it used off the plugin's
/// share: who is made again and again has less time to answer.
pub(crate) async fn bounded<T>(
    meter: &Arc<Meter>,
    share: &CpuShare,
    bounds: Bounds,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> Result<T, Ended> {
    meter.arm(bounds.cpu);
    let metered = Metered {
        meter: Arc::clone(meter),
        inner: Box::pin(call),
    };
    let called = tokio::time::timeout(bounds.wall, metered).await;
    share.spend(meter.used(), clock::now());
    match called {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Ended::Error(error)),
        Err(_elapsed) => Err(Ended::Wall),
    }
}

fn classify(ended: Ended, store: &Store<HostState>, bounds: Bounds) -> Failure {
    let Bounds { cpu, wall } = bounds;
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
    // Panics and exceptions end in a trap that says nothing: what was written before it does.
    let detail = match store.data().stderr.said() {
        Some(said) => format!("{detail}; it wrote: {said}"),
        None => detail,
    };
    let cause = match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => Cause::Stack,
        None if text.contains("unknown handle") || text.contains("invalid") => Cause::Contract,
        _ => Cause::Trap,
    };
    Failure::ended(cause, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_is_taken_off_the_share_once() {
        let (meter, share) = (Arc::new(Meter::default()), CpuShare::new());
        share.limit(1.0);
        let bounds = Bounds::start(&Limits::default());
        let work = async {
            let until = clock::thread_now() + Duration::from_millis(5);
            let mut value = 1_u64;
            while clock::thread_now() < until {
                value = std::hint::black_box(value.wrapping_mul(3));
            }
            Ok(value)
        };
        bounded(&meter, &share, bounds, work).await.unwrap();
        let (used, now) = (meter.used(), clock::now());
        assert!(used > Duration::ZERO);
        // Ten seconds' worth was there.
        share.spend(Duration::from_secs(10) - used * 3 / 2, now);
        assert!(share.has_some(now), "it was taken off once");
        share.spend(used, now);
        assert!(!share.has_some(now), "and not less");
    }
}
