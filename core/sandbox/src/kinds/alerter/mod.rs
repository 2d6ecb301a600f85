//! Alerters: one instance in a commune, asked how events are worded and what an answer means. While it
//! fails its tasks wait, which is the matter of whoever asks.

pub(crate) mod instance;
mod messages;

use std::sync::Arc;

use async_trait::async_trait;
use taimat_base::tasks::Stop;
use taimat_contract::alerter::{CameraState, Chores, Decision, Sent, Task, Verdict};
use taimat_contract::message::Reply;
use taimat_contract::{Alerter, Attribute, Kind, Unanswered, UnixMicros};

use crate::asked;
use crate::board::SharedRunStatus;
use crate::desk::Desk;
use crate::kind::{Run, ServedKind};
use crate::place::Place;
use crate::rules::KindRules;
use crate::seat::{Desired, Seat, SeatContext};
use crate::version::ContractVersion;
use instance::{AlerterQuestion, AlerterReply, ReadyAlerter, Tend};

/// Alerters.
pub(crate) const KIND: ServedKind = ServedKind {
    rules: KindRules {
        kind: Kind::Alerter,
        export: "alerter",
        world: "alerter-plugin",
        since: ContractVersion::V0_3,
        imports: &[
            "types", "log", "metrics", "state", "commune", "events", "http", "message",
        ],
    },
    places: |spec| vec![Place::Commune(spec.commune.clone())],
    run,
};

fn run(place: Place, context: SeatContext, desired: Desired, stop: Stop) -> (SharedRunStatus, Run) {
    let (seat, status) = Seat::new(place, context, ReadyAlerter::make);
    (status, Box::pin(asked::run(seat, desired, stop)))
}

/// One of a commune's alerters, for who asks.
#[derive(Debug)]
pub(crate) struct AlerterHandle(pub(crate) Arc<Desk>);

#[async_trait]
impl Alerter for AlerterHandle {
    async fn compose(&self, task: &Task) -> Result<Decision, Unanswered> {
        match self.0.ask(AlerterQuestion::Compose(task.clone())).await? {
            AlerterReply::Decision(decision) => Ok(decision),
            _ => Err(Unanswered::NotRunning),
        }
    }

    async fn judge(&self, task: &Task, sent: &Sent, reply: &Reply) -> Result<Verdict, Unanswered> {
        let question = AlerterQuestion::Judge(task.clone(), sent.clone(), reply.clone());
        match self.0.ask(question).await? {
            AlerterReply::Verdict(verdict) => Ok(verdict),
            _ => Err(Unanswered::NotRunning),
        }
    }

    async fn tend(
        &self,
        target: &str,
        address: &[Attribute],
        cameras: &[CameraState],
        now: UnixMicros,
    ) -> Result<Option<Chores>, Unanswered> {
        let question = AlerterQuestion::Tend(Tend {
            target: target.to_owned(),
            address: address.to_vec(),
            cameras: cameras.to_vec(),
            now,
        });
        match self.0.ask(question).await? {
            AlerterReply::Chores(chores) => Ok(chores),
            _ => Err(Unanswered::NotRunning),
        }
    }
}
