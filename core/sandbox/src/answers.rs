//! An instance of a kind that is asked: what these kinds have in common. A kind adds what it asks and how
//! it reads the answers.

use std::sync::Arc;

use async_trait::async_trait;
use taimat_contract::{Failure, Want};
use wasmtime::{Store, component};

use crate::budget::Budget;
use crate::generation::Generation;
use crate::host::HostState;
use crate::instance::Instance;
use crate::place::Place;
use crate::seat::Guest;

/// An instance that answers questions.
#[async_trait]
pub(crate) trait Answers: Send + 'static {
    /// What it is asked.
    type Question: Send + Sync + 'static;
    /// What it answers.
    type Reply: Send + 'static;

    /// The instance itself.
    fn instance(&mut self) -> &mut Instance;

    /// Answers.
    async fn answer(&mut self, question: &Self::Question) -> Result<Self::Reply, Failure>;
}

#[async_trait]
impl<A: Answers> Guest for A {
    fn want(&self) -> Option<Want> {
        None
    }

    async fn save(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        self.instance().save().await
    }

    async fn load(&mut self, from_version: &str, saved: &[u8]) -> Result<(), Failure> {
        self.instance().load(from_version, saved).await
    }
}

/// Starts and configures one. What it writes to its state waits for a good answer from then on, this one
/// included. `bind` finds the exports of its kind.
pub(crate) async fn start<E>(
    generation: &Generation,
    place: &Place,
    budget: &Arc<Budget>,
    bind: impl FnOnce(&mut Store<HostState>, &component::Instance) -> wasmtime::Result<E> + Send,
) -> Result<(Instance, E), Failure> {
    let settings = generation.settings(place)?;
    let (prepared, context) = (&generation.loaded.prepared, &generation.context);
    let started = Instance::start(prepared, context, (place, budget), bind).await;
    let (mut instance, exports) = started?;
    instance.host().hold_state();
    let taken = instance.configure(settings).await;
    instance.settle_state(taken)?;
    Ok((instance, exports))
}

/// Asks an instance something at a time, reads and checks the answer, and lets its state become true with
/// a good one.
macro_rules! asked {
    ($instance:expr, $now:expr, |$store:ident| $call:expr, |$said:ident| $read:expr) => {{
        let instance = &mut *$instance;
        instance.host().time.set($now);
        let bounds = $crate::instance::Bounds::call(instance.limits());
        let called = $crate::instance::metered!(instance, bounds, |$store| $call);
        let answered = called.and_then(|said| said.map_err(taimat_contract::Failure::from));
        let read = |$said| -> Result<_, taimat_contract::Failure> { $read };
        instance.settle_state(answered.and_then(read))
    }};
}
pub(crate) use asked;
