//! Tasks with an owner, a name and an end.
//!
//! A [`Tasks`] owns what it spawned: [`Tasks::stop`] asks all of them to end and waits. Every task
//! gets the stop signal and must return when it fires; one that does not is aborted at the deadline
//! and its name is logged.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span};

/// The signal that a task has to end. Cheap to clone; children stop with their parent.
pub type Stop = CancellationToken;

/// A group of tasks with one owner.
#[derive(Debug, Clone)]
pub struct Tasks {
    stop: Stop,
    tracker: TaskTracker,
    running: Arc<Mutex<Vec<(&'static str, AbortHandle)>>>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// A group that stops only when told.
    pub fn new() -> Self {
        Self::under(&Stop::new())
    }

    /// A group that also stops when `parent` fires.
    pub fn under(parent: &Stop) -> Self {
        Self {
            stop: parent.child_token(),
            tracker: TaskTracker::new(),
            running: Arc::default(),
        }
    }

    /// The signal that this group's tasks get.
    pub fn stop_signal(&self) -> &Stop {
        &self.stop
    }

    /// Starts a task. `span` carries what its log lines are about.
    pub fn spawn<F, T>(
        &self,
        name: &'static str,
        span: Span,
        task: impl FnOnce(Stop) -> F,
    ) -> JoinHandle<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let handle = self
            .tracker
            .spawn(task(self.stop.child_token()).instrument(span));
        let mut running = self.running.lock().unwrap_or_else(|e| e.into_inner());
        // Forget the finished ones now and then: the list stays as long as what is running.
        if running.len() >= 32 && running.len().is_power_of_two() {
            running.retain(|(_, handle)| !handle.is_finished());
        }
        running.push((name, handle.abort_handle()));
        handle
    }

    /// Asks all tasks to end and waits up to `deadline`; what is left is aborted and named.
    /// Returns whether all ended by themselves.
    pub async fn stop(&self, deadline: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        let ended = tokio::time::timeout(deadline, self.tracker.wait())
            .await
            .is_ok();
        if !ended {
            let running = self.running.lock().unwrap_or_else(|e| e.into_inner());
            for (name, handle) in running.iter().filter(|(_, handle)| !handle.is_finished()) {
                tracing::warn!(task = name, "task did not end in time and was aborted");
                handle.abort();
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stops_what_it_started() {
        let tasks = Tasks::new();
        tasks.spawn("waits", Span::none(), |stop| async move {
            stop.cancelled().await
        });
        assert!(tasks.stop(Duration::from_secs(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn aborts_what_does_not_listen() {
        let tasks = Tasks::new();
        let stuck = tasks.spawn("stuck", Span::none(), |_stop| std::future::pending::<()>());
        assert!(!tasks.stop(Duration::from_secs(1)).await);
        assert!(stuck.await.unwrap_err().is_cancelled());
    }

    #[tokio::test]
    async fn stops_with_its_parent() {
        let parent = Stop::new();
        let tasks = Tasks::under(&parent);
        let task = tasks.spawn("child", Span::none(), |stop| async move {
            stop.cancelled().await
        });
        parent.cancel();
        task.await.unwrap();
    }
}
