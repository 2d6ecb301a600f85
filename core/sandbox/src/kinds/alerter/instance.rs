//! A component as an alerter.

use std::sync::Arc;

use async_trait::async_trait;
use taimat_base::PluginId;
use taimat_contract::alerter::{CameraState, Chores, Decision, Planned, Sent, Task, Verdict};
use taimat_contract::message::{Outgoing, Reply};
use taimat_contract::{Attribute, Failure, UnixMicros};

use super::messages;
use crate::answers::{self, Answers, asked};
use crate::bindings::v0_3::exports::taimat::plugin::{alerter as wire, upkeep};
use crate::budget::Budget;
use crate::events;
use crate::generation::Generation;
use crate::granted::Granted;
use crate::instance::Instance;
use crate::place::Place;
use crate::seat::Making;

/// What an alerter is asked.
pub(crate) enum AlerterQuestion {
    /// How events are worded.
    Compose(Task),
    /// What an answer means.
    Judge(Task, Sent, Reply),
    /// What is to stand at a target without events.
    Tend(Tend),
}

/// A target without events.
pub(crate) struct Tend {
    pub(crate) target: String,
    pub(crate) address: Vec<Attribute>,
    pub(crate) cameras: Vec<CameraState>,
    pub(crate) now: UnixMicros,
}

/// What it answers, to each.
pub(crate) enum AlerterReply {
    Decision(Decision),
    Verdict(Verdict),
    Chores(Option<Chores>),
}

/// A configured alerter.
pub(crate) struct ReadyAlerter {
    instance: Instance,
    sends: Sends,
    exports: wire::Guest,
    upkeep: Option<upkeep::Guest>,
}

impl std::fmt::Debug for ReadyAlerter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadyAlerter")
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

/// Messages go out by channels that were asked for and granted.
struct Sends {
    granted: Arc<Granted>,
    plugin: PluginId,
}

impl Sends {
    fn admit<'m>(&self, messages: impl IntoIterator<Item = &'m Outgoing>) -> Result<(), Failure> {
        for message in messages {
            self.granted.channels.admit(message, &self.plugin)?;
        }
        Ok(())
    }

    fn admit_planned(&self, planned: &[Planned]) -> Result<(), Failure> {
        self.admit(planned.iter().map(|planned| &planned.message))
    }
}

impl ReadyAlerter {
    /// Starts and configures one.
    pub(crate) fn make(
        generation: Arc<Generation>,
        place: Place,
        budget: Arc<Budget>,
    ) -> Making<Self> {
        Box::pin(async move {
            let pre = &generation.loaded.prepared.pre;
            let tends = generation.loaded.surface.exported("upkeep").is_some();
            let start = answers::start(&generation, &place, &budget, |store, instance| {
                let exports = wire::GuestIndices::new(pre)?.load(&mut *store, instance)?;
                let upkeep = match tends {
                    true => Some(upkeep::GuestIndices::new(pre)?.load(&mut *store, instance)?),
                    false => None,
                };
                Ok((exports, upkeep))
            });
            let (instance, (exports, upkeep)) = start.await?;
            Ok(Self {
                instance,
                sends: Sends {
                    granted: Arc::clone(&generation.context.granted),
                    plugin: generation.context.plugin.clone(),
                },
                exports,
                upkeep,
            })
        })
    }
}

impl ReadyAlerter {
    async fn compose(&mut self, task: &Task) -> Result<Decision, Failure> {
        let Self {
            instance,
            sends,
            exports,
            ..
        } = self;
        let (now, task) = (task.now, messages::task(task));
        asked!(
            instance,
            now,
            |store| exports.call_compose(store, &task),
            |said| {
                let decision = messages::decision(said).checked()?;
                if let Decision::Send(planned) = &decision {
                    sends.admit_planned(planned)?;
                }
                Ok(decision)
            }
        )
    }

    async fn judge(&mut self, task: &Task, sent: &Sent, reply: &Reply) -> Result<Verdict, Failure> {
        let Self {
            instance,
            sends,
            exports,
            ..
        } = self;
        let now = sent.at;
        let (task, sent) = (messages::task(task), messages::sent(sent));
        let reply = messages::reply(reply);
        asked!(
            instance,
            now,
            |store| exports.call_judge(store, &task, &sent, &reply),
            |said| {
                let verdict = messages::verdict(said).checked()?;
                if let Verdict::Instead(planned) = &verdict {
                    sends.admit_planned(planned)?;
                }
                Ok(verdict)
            }
        )
    }

    async fn tend(&mut self, about: &Tend) -> Result<Option<Chores>, Failure> {
        let Self {
            instance,
            sends,
            upkeep,
            ..
        } = self;
        let Some(upkeep) = upkeep else {
            return Ok(None);
        };
        let (target, now) = (&about.target, about.now);
        let address: Vec<_> = about.address.iter().map(events::attribute).collect();
        let cameras: Vec<_> = about.cameras.iter().map(messages::camera_state).collect();
        asked!(
            instance,
            now,
            |store| upkeep.call_tend(store, target, &address, &cameras, now.0),
            |said| {
                let chores = messages::chores(said).checked()?;
                sends.admit(&chores.messages)?;
                Ok(Some(chores))
            }
        )
    }
}

#[async_trait]
impl Answers for ReadyAlerter {
    type Question = AlerterQuestion;
    type Reply = AlerterReply;

    fn instance(&mut self) -> &mut Instance {
        &mut self.instance
    }

    async fn answer(&mut self, question: &AlerterQuestion) -> Result<AlerterReply, Failure> {
        Ok(match question {
            AlerterQuestion::Compose(task) => AlerterReply::Decision(self.compose(task).await?),
            AlerterQuestion::Judge(task, sent, reply) => {
                AlerterReply::Verdict(self.judge(task, sent, reply).await?)
            }
            AlerterQuestion::Tend(about) => AlerterReply::Chores(self.tend(about).await?),
        })
    }
}
