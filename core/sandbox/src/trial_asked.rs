//! Policies, alerters and storage plugins outside of the router: one instance in the real sandbox, asked by who tries it
//! out. Time comes with the questions only, and so do all facts: the same questions give the same
//! answers.

use std::sync::Arc;

use taimat_base::CameraId;
use taimat_contract::alerter::{CameraState, Chores, Decision, Sent, Task, Verdict};
use taimat_contract::message::Reply;
use taimat_contract::policy::RecordingMode;
use taimat_contract::{
    Attribute, CommuneFacts, Event, Failure, Kind, Placement, Review, Ruling, Situation, UnixMicros,
};

use crate::answers::Answers;
use crate::kinds::alerter::instance::{AlerterQuestion, AlerterReply, ReadyAlerter, Tend};
use crate::kinds::policy::instance::{PolicyQuestion, PolicyReply, ReadyPolicy};
use crate::kinds::storage::instance::ReadyStorage;
use crate::limits::LimitSettings;
use crate::tail::Line;
use crate::trial::{OnTrial, TrialError, Tried};

/// A policy of a commune, granted all that its manifest asks for.
#[derive(Debug)]
pub struct PolicyTrial {
    tried: OnTrial<ReadyPolicy>,
}

impl PolicyTrial {
    /// Loads, starts and configures a packed policy. Compiles it in this process.
    pub async fn start(
        bytes: &[u8],
        settings: &str,
        facts: &Arc<CommuneFacts>,
        limits: &LimitSettings,
    ) -> Result<Self, TrialError> {
        let tried = Tried {
            bytes,
            settings,
            limits,
            facts,
        };
        let tried = OnTrial::start(tried, Kind::Policy, ReadyPolicy::make).await?;
        Ok(Self { tried })
    }

    /// What follows from an event.
    pub async fn on_event(
        &mut self,
        event: &Event,
        situation: &Situation,
    ) -> Result<Ruling, Failure> {
        let about = Box::new((event.clone(), situation.clone()));
        match self
            .tried
            .guest
            .answer(&PolicyQuestion::OnEvent(about))
            .await?
        {
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
        match self.tried.guest.answer(&question).await? {
            PolicyReply::Mode(mode) => Ok(mode),
            PolicyReply::Ruling(_) => Err(other_question()),
        }
    }

    /// Its version, as its manifest has it.
    pub fn version(&self) -> &str {
        &self.tried.version
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

/// An alerter of a commune, granted all that its manifest asks for.
#[derive(Debug)]
pub struct AlerterTrial {
    tried: OnTrial<ReadyAlerter>,
}

impl AlerterTrial {
    /// Loads, starts and configures a packed alerter. Compiles it in this process.
    pub async fn start(
        bytes: &[u8],
        settings: &str,
        facts: &Arc<CommuneFacts>,
        limits: &LimitSettings,
    ) -> Result<Self, TrialError> {
        let tried = Tried {
            bytes,
            settings,
            limits,
            facts,
        };
        let tried = OnTrial::start(tried, Kind::Alerter, ReadyAlerter::make).await?;
        Ok(Self { tried })
    }

    /// How it words events.
    pub async fn compose(&mut self, task: &Task) -> Result<Decision, Failure> {
        match self
            .tried
            .guest
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
        match self.tried.guest.answer(&question).await? {
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
        let question = AlerterQuestion::Tend(Tend {
            target: target.to_owned(),
            address: address.to_vec(),
            cameras: cameras.to_vec(),
            now,
        });
        match self.tried.guest.answer(&question).await? {
            AlerterReply::Chores(chores) => Ok(chores),
            _ => Err(other_question()),
        }
    }

    /// Its version, as its manifest has it.
    pub fn version(&self) -> &str {
        &self.tried.version
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

/// A storage plugin of a commune, granted all that its manifest asks for.
#[derive(Debug)]
pub struct StorageTrial {
    tried: OnTrial<ReadyStorage>,
}

impl StorageTrial {
    /// Loads, starts and configures a packed storage plugin. Compiles it in this process.
    pub async fn start(
        bytes: &[u8],
        settings: &str,
        facts: &Arc<CommuneFacts>,
        limits: &LimitSettings,
    ) -> Result<Self, TrialError> {
        let tried = Tried {
            bytes,
            settings,
            limits,
            facts,
        };
        let tried = OnTrial::start(tried, Kind::Storage, ReadyStorage::make).await?;
        Ok(Self { tried })
    }

    /// Which copies there are to be.
    pub async fn review(&mut self, review: &Review) -> Result<Vec<Placement>, Failure> {
        self.tried.guest.answer(review).await
    }

    /// Its version, as its manifest has it.
    pub fn version(&self) -> &str {
        &self.tried.version
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

/// Nobody has seen it: each question has its own kind of answer.
fn other_question() -> Failure {
    Failure::Said(taimat_contract::PluginError::Fatal(
        "the answer is to another question".into(),
    ))
}
