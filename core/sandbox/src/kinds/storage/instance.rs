//! A component as a storage plugin.

use std::sync::Arc;

use async_trait::async_trait;
use taimat_contract::storage::{Placed, ReviewCause, Segment, StorageTarget};
use taimat_contract::{Failure, Placement, Review, UnixMicros};

use crate::answers::{self, Answers, asked};
use crate::bindings::v0_3::exports::taimat::plugin::storage as wire;
use crate::budget::Budget;
use crate::events;
use crate::generation::Generation;
use crate::instance::Instance;
use crate::place::Place;
use crate::seat::Making;

/// A configured storage plugin.
pub(crate) struct ReadyStorage {
    instance: Instance,
    exports: wire::Guest,
}

impl std::fmt::Debug for ReadyStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadyStorage")
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

impl ReadyStorage {
    /// Starts and configures one.
    pub(crate) fn make(
        generation: Arc<Generation>,
        place: Place,
        budget: Arc<Budget>,
    ) -> Making<Self> {
        Box::pin(async move {
            let pre = &generation.loaded.prepared.pre;
            let start = answers::start(&generation, &place, &budget, |store, instance| {
                wire::GuestIndices::new(pre)?.load(store, instance)
            });
            let (instance, exports) = start.await?;
            Ok(Self { instance, exports })
        })
    }
}

#[async_trait]
impl Answers for ReadyStorage {
    type Question = Review;
    type Reply = Vec<Placement>;

    fn instance(&mut self) -> &mut Instance {
        &mut self.instance
    }

    async fn answer(&mut self, review: &Review) -> Result<Vec<Placement>, Failure> {
        let Self { instance, exports } = self;
        let why = cause(review.why);
        let segments: Vec<_> = review.segments.iter().map(segment).collect();
        let targets: Vec<_> = review.targets.iter().map(target).collect();
        let now = review.now;
        asked!(
            instance,
            now,
            |store| exports.call_review(store, why, &segments, &targets, now.0),
            |said| {
                let said: Vec<wire::Placement> = said;
                let said = said.into_iter().map(own_placement).collect();
                Ok(review.answered(said)?)
            }
        )
    }
}

fn cause(why: ReviewCause) -> wire::Cause {
    match why {
        ReviewCause::Fresh => wire::Cause::Fresh,
        ReviewCause::Due => wire::Cause::Due,
        ReviewCause::Changed => wire::Cause::Changed,
        ReviewCause::Configured => wire::Cause::Configured,
    }
}

fn segment(segment: &Segment) -> wire::Segment {
    let placed = |copy: &Placed| wire::Placed {
        target: copy.target.clone(),
        until: copy.until.0,
        worth: copy.worth,
    };
    wire::Segment {
        id: segment.id,
        camera: segment.camera.clone(),
        start: segment.start.0,
        duration_ms: segment.duration_ms,
        size: segment.size,
        watched: segment.watched,
        kinds: segment.kinds.clone(),
        highest: segment.highest.map(events::severity),
        held: segment.held,
        keep_until: segment.keep_until.map(|at| at.0),
        copies: segment.copies.iter().map(placed).collect(),
    }
}

fn target(target: &StorageTarget) -> wire::Target {
    wire::Target {
        name: target.name.clone(),
        used: target.used,
        quota: target.quota,
        healthy: target.healthy,
    }
}

fn own_placement(placement: wire::Placement) -> Placement {
    let placed = |copy: wire::Placed| Placed {
        target: copy.target,
        until: UnixMicros(copy.until),
        worth: copy.worth,
    };
    Placement {
        id: placement.id,
        copies: placement.copies.into_iter().map(placed).collect(),
    }
}
