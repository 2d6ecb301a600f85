//! Where a plugin runs: a task for each place, all after the same generation.

use std::collections::BTreeMap;
use std::sync::Arc;

use taimat_base::tasks::{Stop, Tasks};
use tokio::sync::watch;

use crate::board::StatusBoard;
use crate::generation::Generation;
use crate::kind::ServedKind;
use crate::place::Place;
use crate::seat::SeatContext;
use crate::status::RunStatus;

/// The places of a plugin.
#[derive(Debug)]
pub(crate) struct Places {
    tasks: Tasks,
    board: Arc<StatusBoard>,
    context: SeatContext,
    running: BTreeMap<Place, Stop>,
    desired: Option<watch::Sender<Arc<Generation>>>,
}

impl Places {
    pub(crate) fn new(tasks: Tasks, board: Arc<StatusBoard>, context: SeatContext) -> Self {
        Self {
            tasks,
            board,
            context,
            running: BTreeMap::new(),
            desired: None,
        }
    }

    /// Makes this generation the desired one at these places and at no others.
    pub(crate) fn go(
        &mut self,
        kind: &'static ServedKind,
        generation: &Arc<Generation>,
        wanted: &[Place],
    ) {
        let desired = match &self.desired {
            Some(desired) => {
                desired.send_if_modified(|current| {
                    let differs = current.number != generation.number;
                    current.clone_from(generation);
                    differs
                });
                desired.clone()
            }
            None => {
                let desired = watch::Sender::new(Arc::clone(generation));
                self.desired = Some(desired.clone());
                desired
            }
        };
        self.running.retain(|place, stop| {
            let stays = wanted.contains(place);
            if !stays {
                stop.cancel();
                self.board.lock().remove(place);
            }
            stays
        });
        for place in wanted {
            if self.running.contains_key(place) {
                continue;
            }
            let stop = self.tasks.stop_signal().child_token();
            let context = self.context.clone();
            let follow = desired.subscribe();
            let (status, run) = (kind.run)(place.clone(), context, follow, stop.clone());
            self.board.lock().insert(place, status);
            self.running.insert(place.clone(), stop);
            let span = tracing::info_span!("at", camera = place.label());
            self.tasks.spawn("plugin at its place", span, |_stop| run);
        }
    }

    /// Nothing runs anywhere.
    pub(crate) fn halt(&mut self) {
        for (place, stop) in std::mem::take(&mut self.running) {
            stop.cancel();
            self.board.lock().remove(&place);
        }
        self.desired = None;
    }

    /// Whether this holds at one place at least.
    pub(crate) fn any(&self, is: impl Fn(&RunStatus) -> bool) -> bool {
        self.board.lock().places().any(|status| {
            let status = status.lock().unwrap_or_else(|e| e.into_inner());
            is(&status)
        })
    }
}
