//! Policies and alerters outside of the router: one instance in the real sandbox, asked by who tries it
//! out. Time comes with the questions only, and so do all facts: the same questions give the same
//! answers.

use std::sync::Arc;

use taimat_base::CameraId;
use taimat_contract::alerter::{CameraState, Chores, Decision, Sent, Task, Verdict};
use taimat_contract::message::Reply;
use taimat_contract::policy::RecordingMode;
use taimat_contract::{
    Attribute, CommuneFacts, Event, Failure, Kind, Ruling, Situation, UnixMicros,
};

use crate::asked::Answers;
use crate::engine::TickingEngine;
use crate::kinds::alerter::instance::{AlerterQuestion, AlerterReply, ReadyAlerter};
use crate::kinds::policy::instance::{PolicyQuestion, PolicyReply, ReadyPolicy};
use crate::limits::LimitSettings;
use crate::load_error::LoadError;
use crate::metrics::PluginMetrics;
use crate::place::Place;
use crate::tail::{Line, Tail};
use crate::trial::{OnTrial, TrialError, load};

/// What is left of a plugin on trial beside its instance.
#[derive(Debug)]
struct Beside {
    version: String,
    metrics: Arc<PluginMetrics>,
    tail: Arc<Tail>,
    _engine: TickingEngine,
}

impl Beside {
    fn of(
        on_trial: &OnTrial,
        kind: Kind,
    ) -> Result<(String, Arc<PluginMetrics>, Arc<Tail>), LoadError> {
        let generation = &on_trial.generation;
        if generation.loaded.package.manifest.kind != kind {
            return Err(LoadError::Kind(generation.loaded.package.manifest.kind));
        }
        Ok((
            generation.version.clone(),
            Arc::clone(&generation.context.metrics),
            Arc::clone(&generation.context.tail),
        ))
    }

    /// Linear memory that the instance has.
    fn memory_bytes(&self) -> u64 {
        u64::try_from(self.metrics.memory.get()).unwrap_or(0)
    }
}

macro_rules! started {
    ($ready:ident, $kind:expr, $bytes:expr, $settings:expr, $facts:expr, $limits:expr) => {{
        let on_trial = load($bytes, $settings, $limits, &[], $facts).await?;
        let (version, metrics, tail) = Beside::of(&on_trial, $kind)?;
        let OnTrial {
            engine,
            generation,
            budget,
        } = on_trial;
        let place = Place::Commune(generation.spec.commune.clone());
        let ready = $ready::make(Arc::new(generation), place, budget).await?;
        let beside = Beside {
            version,
            metrics,
            tail,
            _engine: engine,
        };
        (ready, beside)
    }};
}

/// A policy of a commune, granted all that its manifest asks for.
#[derive(Debug)]
pub struct PolicyTrial {
    ready: ReadyPolicy,
    beside: Beside,
}

impl PolicyTrial {
    /// Loads, starts and configures a packed policy. Compiles it in this process.
    pub async fn start(
        bytes: &[u8],
        settings: &str,
        facts: &Arc<CommuneFacts>,
        limits: &LimitSettings,
    ) -> Result<Self, TrialError> {
        let (ready, beside) = started!(ReadyPolicy, Kind::Policy, bytes, settings, facts, limits);
        Ok(Self { ready, beside })
    }

    /// What follows from an event.
    pub async fn on_event(
        &mut self,
        event: &Event,
        situation: &Situation,
    ) -> Result<Ruling, Failure> {
        let about = Box::new((event.clone(), situation.clone()));
        match self.ready.answer(&PolicyQuestion::OnEvent(about)).await? {
            PolicyReply::Ruling(ruling) => Ok(ruling),
            PolicyReply::Mode(_) => Err(other_question()),
        }
    }

    /// What is recorded of a camera from then on.
    pub async fn recording(
        &mut self,
        camera: &CameraId,
        now: UnixMicros,
    ) -> Result<RecordingMode, Failure> {
        let question = PolicyQuestion::Recording(camera.clone(), now);
        match self.ready.answer(&question).await? {
            PolicyReply::Mode(mode) => Ok(mode),
            PolicyReply::Ruling(_) => Err(other_question()),
        }
    }

    /// Its version, as its manifest has it.
    pub fn version(&self) -> &str {
        &self.beside.version
    }

    /// Linear memory that it has.
    pub fn memory_bytes(&self) -> u64 {
        self.beside.memory_bytes()
    }

    /// The newest lines that it wrote.
    pub fn lines(&self) -> Vec<Line> {
        self.beside.tail.lines()
    }
}

/// An alerter of a commune, granted all that its manifest asks for.
#[derive(Debug)]
pub struct AlerterTrial {
    ready: ReadyAlerter,
    beside: Beside,
}

impl AlerterTrial {
    /// Loads, starts and configures a packed alerter. Compiles it in this process.
    pub async fn start(
        bytes: &[u8],
        settings: &str,
        facts: &Arc<CommuneFacts>,
        limits: &LimitSettings,
    ) -> Result<Self, TrialError> {
        let (ready, beside) = started!(ReadyAlerter, Kind::Alerter, bytes, settings, facts, limits);
        Ok(Self { ready, beside })
    }

    /// How it words events.
    pub async fn compose(&mut self, task: &Task) -> Result<Decision, Failure> {
        match self
            .ready
            .answer(&AlerterQuestion::Compose(task.clone()))
            .await?
        {
            AlerterReply::Decision(decision) => Ok(decision),
            _ => Err(other_question()),
        }
    }

    /// What it makes of a reply.
    pub async fn judge(
        &mut self,
        task: &Task,
        sent: &Sent,
        reply: &Reply,
    ) -> Result<Verdict, Failure> {
        let question = AlerterQuestion::Judge(task.clone(), sent.clone(), reply.clone());
        match self.ready.answer(&question).await? {
            AlerterReply::Verdict(verdict) => Ok(verdict),
            _ => Err(other_question()),
        }
    }

    /// What it wants to stand at a target without events; none when it has no such thing.
    pub async fn tend(
        &mut self,
        target: &str,
        address: &[Attribute],
        cameras: &[CameraState],
        now: UnixMicros,
    ) -> Result<Option<Chores>, Failure> {
        let question = AlerterQuestion::Tend {
            target: target.to_owned(),
            address: address.to_vec(),
            cameras: cameras.to_vec(),
            now,
        };
        match self.ready.answer(&question).await? {
            AlerterReply::Chores(chores) => Ok(chores),
            _ => Err(other_question()),
        }
    }

    /// Its version, as its manifest has it.
    pub fn version(&self) -> &str {
        &self.beside.version
    }

    /// Linear memory that it has.
    pub fn memory_bytes(&self) -> u64 {
        self.beside.memory_bytes()
    }

    /// The newest lines that it wrote.
    pub fn lines(&self) -> Vec<Line> {
        self.beside.tail.lines()
    }
}

/// Nobody has seen it: each question has its own kind of answer.
fn other_question() -> Failure {
    Failure::Said(taimat_contract::PluginError::Fatal(
        "the answer is to another question".into(),
    ))
}
