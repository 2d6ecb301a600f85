//! A component as an alerter.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use taimat_base::PluginId;
use taimat_contract::alerter::{CameraState, Chores, Decision, Sent, Task, Verdict};
use taimat_contract::message::{Outgoing, Reply};
use taimat_contract::{Attribute, Failure, UnixMicros, Want};

use super::messages;
use crate::asked::Answers;
use crate::bindings::v0_3::exports::taimat::plugin::{alerter as wire, upkeep};
use crate::budget::Budget;
use crate::events;
use crate::generation::Generation;
use crate::host::channels::ChannelGrant;
use crate::instance::{Bounds, Instance, metered};
use crate::place::Place;
use crate::seat::Guest;

/// What an alerter is asked.
pub(crate) enum AlerterQuestion {
    /// How events are worded.
    Compose(Task),
    /// What an answer means.
    Judge(Task, Sent, Reply),
    /// What is to stand at a target without events.
    Tend {
        target: String,
        address: Vec<Attribute>,
        cameras: Vec<CameraState>,
        now: UnixMicros,
    },
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
    channels: Arc<ChannelGrant>,
    plugin: PluginId,
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

impl ReadyAlerter {
    /// Messages go out by channels that were asked for and granted.
    fn admit<'m>(&self, messages: impl Iterator<Item = &'m Outgoing>) -> Result<(), Failure> {
        for message in messages {
            self.channels.admit(message, &self.plugin)?;
        }
        Ok(())
    }

    /// Starts and configures one.
    pub(crate) fn make(
        generation: Arc<Generation>,
        place: Place,
        budget: Arc<Budget>,
    ) -> Pin<Box<dyn Future<Output = Result<Self, Failure>> + Send>> {
        Box::pin(async move {
            let settings = generation.settings(&place)?;
            let prepared = &generation.loaded.prepared;
            let pre = &prepared.pre;
            let tends = generation.loaded.surface.exported("upkeep").is_some();
            let at = (&place, &budget);
            let start = Instance::start(prepared, &generation.context, at, |store, instance| {
                let exports = wire::GuestIndices::new(pre)?.load(&mut *store, instance)?;
                let upkeep = match tends {
                    true => Some(upkeep::GuestIndices::new(pre)?.load(&mut *store, instance)?),
                    false => None,
                };
                Ok((exports, upkeep))
            });
            let (mut instance, (exports, upkeep)) = start.await?;
            instance.host().hold_state();
            let taken = instance.configure(settings).await;
            instance.settle_state(taken)?;
            Ok(Self {
                instance,
                channels: Arc::clone(&generation.context.channels),
                plugin: generation.context.plugin.clone(),
                exports,
                upkeep,
            })
        })
    }
}

#[async_trait]
impl Answers for ReadyAlerter {
    type Question = AlerterQuestion;
    type Reply = AlerterReply;

    async fn answer(&mut self, question: &AlerterQuestion) -> Result<AlerterReply, Failure> {
        let (instance, exports) = (&mut self.instance, &self.exports);
        let bounds = Bounds::call(instance.limits());
        let answer = match question {
            AlerterQuestion::Compose(task) => {
                instance.host().time.set(task.now);
                let task = messages::task(task);
                let called = metered!(instance, bounds, |store| exports.call_compose(store, &task));
                let decided = called.and_then(|decided| decided.map_err(Failure::from));
                let checked = decided.and_then(|d| Ok(messages::decision(d).checked()?));
                checked.and_then(|decision| match &decision {
                    Decision::Send(planned) => {
                        self.admit(planned.iter().map(|p| &p.message))?;
                        Ok(AlerterReply::Decision(decision))
                    }
                    Decision::Skip(_) => Ok(AlerterReply::Decision(decision)),
                })
            }
            AlerterQuestion::Judge(task, sent, reply) => {
                instance.host().time.set(sent.at);
                let (task, sent) = (messages::task(task), messages::sent(sent));
                let reply = messages::reply(reply);
                let called = metered!(instance, bounds, |store| exports
                    .call_judge(store, &task, &sent, &reply));
                let judged = called.and_then(|judged| judged.map_err(Failure::from));
                let checked = judged.and_then(|v| Ok(messages::verdict(v).checked()?));
                checked.and_then(|verdict| match &verdict {
                    Verdict::Instead(planned) => {
                        self.admit(planned.iter().map(|p| &p.message))?;
                        Ok(AlerterReply::Verdict(verdict))
                    }
                    _ => Ok(AlerterReply::Verdict(verdict)),
                })
            }
            AlerterQuestion::Tend {
                target,
                address,
                cameras,
                now,
            } => {
                let Some(upkeep) = &self.upkeep else {
                    return Ok(AlerterReply::Chores(None));
                };
                instance.host().time.set(*now);
                let address: Vec<_> = address.iter().map(events::attribute).collect();
                let cameras: Vec<_> = cameras.iter().map(messages::camera_state).collect();
                let called = metered!(instance, bounds, |store| upkeep
                    .call_tend(store, target, &address, &cameras, now.0));
                let tended = called.and_then(|tended| tended.map_err(Failure::from));
                let checked = tended.and_then(|c| Ok(messages::chores(c).checked()?));
                checked.and_then(|chores| {
                    self.admit(chores.messages.iter())?;
                    Ok(AlerterReply::Chores(Some(chores)))
                })
            }
        };
        self.instance.settle_state(answer)
    }
}

#[async_trait]
impl Guest for ReadyAlerter {
    fn want(&self) -> Option<Want> {
        None
    }

    async fn save(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        self.instance.save().await
    }

    async fn load(&mut self, from_version: &str, saved: &[u8]) -> Result<(), Failure> {
        self.instance.load(from_version, saved).await
    }
}
