//! Pictures for messages.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use taimat_contract::MediaSource;
use taimat_contract::alerter::Task;
use taimat_contract::message::{Media, MediaKind};

use crate::event::EventId;
use crate::store::EventStore;
use crate::surroundings::Shrink;

/// A picture is no larger than this, in bytes; one that is, is made smaller.
const MAX_BYTES: usize = 1 << 20;

/// The pictures of a task's events.
#[derive(Debug)]
pub(super) struct TaskMedia {
    store: Arc<EventStore>,
    events: BTreeSet<String>,
    shrink: Shrink,
}

impl TaskMedia {
    pub(super) fn new(store: &Arc<EventStore>, task: &Task, shrink: Shrink) -> Self {
        Self {
            store: Arc::clone(store),
            events: task.items.iter().map(|i| i.event.id.clone()).collect(),
            shrink,
        }
    }
}

#[async_trait]
impl MediaSource for TaskMedia {
    async fn media(&self, media: &Media) -> Option<Vec<u8>> {
        if media.kind != MediaKind::Picture || !self.events.contains(&media.event) {
            return None;
        }
        let id: EventId = media.event.parse().ok()?;
        let (store, shrink) = (Arc::clone(&self.store), self.shrink);
        let (marked, width) = (media.marked, media.width);
        let made = tokio::task::spawn_blocking(move || {
            let jpeg = store.picture(id, marked).ok()?;
            let jpeg = match width {
                0 => jpeg,
                width => shrink(&jpeg, width)?,
            };
            if jpeg.len() <= MAX_BYTES {
                return Some(jpeg);
            }
            shrink(&jpeg, 1280).filter(|smaller| smaller.len() <= MAX_BYTES)
        });
        made.await.ok()?
    }
}
