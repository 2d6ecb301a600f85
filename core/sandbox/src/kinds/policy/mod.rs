//! Policies: one instance in a commune, asked what follows from an event and what is recorded. While it
//! fails, whoever asks has the answer of the built-in one.

pub(crate) mod instance;

use std::sync::Arc;

use async_trait::async_trait;
use taimat_base::CameraId;
use taimat_base::tasks::Stop;
use taimat_contract::policy::RecordingMode;
use taimat_contract::{Event, Kind, Policy, Ruling, Situation, Unanswered, UnixMicros};

use crate::asked;
use crate::board::SharedRunStatus;
use crate::desk::Desk;
use crate::kind::{Run, ServedKind};
use crate::place::Place;
use crate::rules::KindRules;
use crate::seat::{Desired, Seat, SeatContext};
use crate::version::ContractVersion;
use instance::{PolicyQuestion, PolicyReply, ReadyPolicy};

/// Policies.
pub(crate) const KIND: ServedKind = ServedKind {
    rules: KindRules {
        kind: Kind::Policy,
        export: "policy",
        world: "policy-plugin",
        since: ContractVersion::V0_3,
        imports: &["types", "log", "metrics", "state", "commune", "events"],
    },
    places: |spec| vec![Place::Commune(spec.commune.clone())],
    run,
};

fn run(place: Place, context: SeatContext, desired: Desired, stop: Stop) -> (SharedRunStatus, Run) {
    let (seat, status) = Seat::new(place, context, ReadyPolicy::make);
    (status, Box::pin(asked::run(seat, desired, stop)))
}

/// A commune's policy, for who asks.
#[derive(Debug)]
pub(crate) struct PolicyHandle(pub(crate) Arc<Desk>);

#[async_trait]
impl Policy for PolicyHandle {
    async fn on_event(&self, event: &Event, situation: &Situation) -> Result<Ruling, Unanswered> {
        let question = PolicyQuestion::OnEvent(Box::new((event.clone(), situation.clone())));
        match self.0.ask(question).await? {
            PolicyReply::Ruling(ruling) => Ok(ruling),
            PolicyReply::Mode(_) => Err(Unanswered::NotRunning),
        }
    }

    async fn recording(
        &self,
        camera: &CameraId,
        now: UnixMicros,
    ) -> Result<RecordingMode, Unanswered> {
        match self
            .0
            .ask(PolicyQuestion::Recording(camera.clone(), now))
            .await?
        {
            PolicyReply::Mode(mode) => Ok(mode),
            PolicyReply::Ruling(_) => Err(Unanswered::NotRunning),
        }
    }
}
