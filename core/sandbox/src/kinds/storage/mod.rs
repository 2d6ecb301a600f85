//! Storage plugins: one instance in a commune, asked which copies of recordings there are to be. While it
//! fails, everything stays where it is, which is the matter of whoever asks.

pub(crate) mod instance;

use std::sync::Arc;

use async_trait::async_trait;
use taimat_base::tasks::Stop;
use taimat_contract::{Kind, Placement, Review, Storage, Unanswered};

use crate::asked;
use crate::board::SharedRunStatus;
use crate::desk::Desk;
use crate::kind::{Run, ServedKind};
use crate::place::Place;
use crate::rules::KindRules;
use crate::seat::{Desired, Seat, SeatContext};
use crate::version::ContractVersion;
use instance::ReadyStorage;

/// Storage plugins.
pub(crate) const KIND: ServedKind = ServedKind {
    rules: KindRules {
        kind: Kind::Storage,
        export: "storage",
        world: "storage-plugin",
        since: ContractVersion::V0_3,
        imports: &["types", "log", "metrics", "state", "commune"],
    },
    places: |spec| vec![Place::Commune(spec.commune.clone())],
    run,
};

fn run(place: Place, context: SeatContext, desired: Desired, stop: Stop) -> (SharedRunStatus, Run) {
    let (seat, status) = Seat::new(place, context, ReadyStorage::make);
    (status, Box::pin(asked::run(seat, desired, stop)))
}

/// One of a commune's storage plugins, for who asks.
#[derive(Debug)]
pub(crate) struct StorageHandle(pub(crate) Arc<Desk>);

#[async_trait]
impl Storage for StorageHandle {
    async fn review(&self, review: &Review) -> Result<Vec<Placement>, Unanswered> {
        // A question that the contract does not allow is the asker's fault, and costs no instance.
        review
            .checked()
            .map_err(|bad| Unanswered::Unasked(bad.to_string()))?;
        self.0.ask(review.clone()).await
    }
}
