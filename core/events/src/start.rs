//! Brings the room to life: one task takes detections, others ask the policies, tell the targets, and keep up
//! what stands.

use std::sync::Arc;

use taimat_base::tasks::Tasks;

use crate::outbox::{Courier, Upkeep};
use crate::room::Events;
use crate::rulings::Desk;
use crate::surroundings::Surroundings;

impl Events {
    /// Starts the tasks, once.
    pub fn run(self: &Arc<Self>, tasks: &Tasks, around: Surroundings) {
        let Some(room) = self.take_room() else {
            return;
        };
        let (events, conditions) = (Arc::clone(self), Arc::clone(&around.conditions));
        tasks.spawn("events", tracing::info_span!("events"), |stop| async move {
            room.run(&events, &*conditions, stop).await;
        });
        let desk = Desk::new(Arc::clone(self), around.clone());
        tasks.spawn("rulings", tracing::info_span!("rulings"), |stop| {
            desk.run(stop)
        });
        let courier = Courier::new(Arc::clone(self), around.clone());
        tasks.spawn("outbox", tracing::info_span!("outbox"), |stop| {
            courier.run(stop)
        });
        let upkeep = Upkeep::new(Arc::clone(self), around);
        tasks.spawn("upkeep", tracing::info_span!("upkeep"), |stop| {
            upkeep.run(stop)
        });
    }
}
