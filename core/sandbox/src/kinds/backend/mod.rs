//! Backends: one instance in a commune, asked which requests an operation takes and what responses mean.
//! While it fails its operations wait, which is the matter of whoever asks. It imports nothing that
//! reaches out: what it says is done by the host, by a channel that it was granted.

pub(crate) mod instance;

use std::sync::Arc;

use async_trait::async_trait;
use taimat_base::tasks::Stop;
use taimat_contract::backend::{Errand, Progress};
use taimat_contract::message::HttpResponse;
use taimat_contract::{Backend, Kind, Unanswered};

use crate::asked;
use crate::board::SharedRunStatus;
use crate::desk::Desk;
use crate::kind::{Run, ServedKind};
use crate::place::Place;
use crate::rules::KindRules;
use crate::seat::{Desired, Seat, SeatContext};
use crate::version::ContractVersion;
use instance::{BackendQuestion, ReadyBackend};

/// Backends.
pub(crate) const KIND: ServedKind = ServedKind {
    rules: KindRules {
        kind: Kind::Backend,
        export: "backend",
        world: "backend-plugin",
        since: ContractVersion::V0_3,
        imports: &["types", "log", "metrics", "state", "commune", "http"],
    },
    places: |spec| vec![Place::Commune(spec.commune.clone())],
    run,
};

fn run(place: Place, context: SeatContext, desired: Desired, stop: Stop) -> (SharedRunStatus, Run) {
    let (seat, status) = Seat::new(place, context, ReadyBackend::make);
    (status, Box::pin(asked::run(seat, desired, stop)))
}

/// One of a commune's backends, for who asks.
#[derive(Debug)]
pub(crate) struct BackendHandle(pub(crate) Arc<Desk>);

impl BackendHandle {
    async fn ask(
        &self,
        errand: &Errand,
        answered: Option<(String, HttpResponse)>,
    ) -> Result<Progress, Unanswered> {
        // A question that the contract does not allow is the asker's fault, and costs no instance.
        errand
            .checked()
            .map_err(|bad| Unanswered::Unasked(bad.to_string()))?;
        let errand = errand.clone();
        self.0.ask(BackendQuestion { errand, answered }).await
    }
}

#[async_trait]
impl Backend for BackendHandle {
    async fn begin(&self, errand: &Errand) -> Result<Progress, Unanswered> {
        self.ask(errand, None).await
    }

    async fn next(
        &self,
        errand: &Errand,
        memo: &str,
        response: &HttpResponse,
    ) -> Result<Progress, Unanswered> {
        let answered = (memo.to_owned(), response.clone());
        self.ask(errand, Some(answered)).await
    }
}
