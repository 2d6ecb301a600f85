//! Threads that decode. A fixed number; who comes next is decided by [`Fair`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use taimat_base::clock;
use tokio::sync::oneshot;

use crate::fair::Fair;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Debug, Default)]
struct DecodeQueue {
    queue: Mutex<Queue>,
    ready: Condvar,
}

#[derive(Default)]
struct Queue {
    /// At most one job per owner, so it is as long as there are cameras.
    jobs: Fair<Job>,
    closed: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

/// Decoder threads.
#[derive(Debug)]
pub(crate) struct Pool {
    shared: Arc<DecodeQueue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    next_owner: AtomicU64,
}

/// A camera's place in the queue.
#[derive(Debug)]
pub(crate) struct Place {
    shared: Arc<DecodeQueue>,
    owner: u64,
}

impl Pool {
    pub(crate) fn start(threads: usize) -> Self {
        let shared = Arc::new(DecodeQueue::default());
        let run = |index: usize| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("decode-{index}"))
                .spawn(move || work(&shared))
                .map_err(|error| tracing::error!(%error, "a decoder thread can not be started"))
                .ok()
        };
        let threads = (0..threads.max(1)).filter_map(run).collect();
        Self {
            shared,
            threads: Mutex::new(threads),
            next_owner: AtomicU64::new(0),
        }
    }

    pub(crate) fn place(&self) -> Place {
        Place {
            shared: Arc::clone(&self.shared),
            owner: self.next_owner.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared
            .queue
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .closed = true;
        self.shared.ready.notify_all();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(|e| e.into_inner()));
        for thread in threads {
            // What a job panicked about has been said; the rest of the pool is going too.
            let _ended = thread.join();
        }
    }
}

impl Place {
    /// Runs a job when it is this camera's turn. `None` when the pool has gone, or the job panicked.
    #[expect(
        clippy::needless_pass_by_ref_mut,
        reason = "so that a camera has one job at a time"
    )]
    pub(crate) async fn run<T: Send + 'static>(
        &mut self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (tell, done) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Nobody waits any more when the camera was let go.
            let _told = tell.send(job());
        });
        {
            let mut queue = self.shared.queue.lock().unwrap_or_else(|e| e.into_inner());
            let refused = queue.jobs.push(self.owner, job);
            debug_assert!(refused.is_none(), "`&mut self` lets one job wait");
        }
        self.shared.ready.notify_one();
        done.await.ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queue = self.shared.queue.lock().unwrap_or_else(|e| e.into_inner());
        queue.jobs.remove(self.owner);
    }
}

fn work(shared: &DecodeQueue) {
    loop {
        let mut queue = shared.queue.lock().unwrap_or_else(|e| e.into_inner());
        let (owner, job) = loop {
            if queue.closed {
                return;
            }
            match queue.jobs.pop() {
                Some(next) => break next,
                None => queue = shared.ready.wait(queue).unwrap_or_else(|e| e.into_inner()),
            }
        };
        drop(queue);
        let begin = clock::thread_now();
        // Decoders' panics are caught where they are counted; this keeps the thread in any case.
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
            tracing::error!("a job of the decoder threads panicked");
        }
        let cost = clock::thread_now() - begin;
        let mut queue = shared.queue.lock().unwrap_or_else(|e| e.into_inner());
        queue.jobs.charge(owner, cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn runs_jobs_and_survives_panics() {
        let pool = Pool::start(2);
        let mut place = pool.place();
        assert_eq!(place.run(|| 6 * 7).await, Some(42));
        assert_eq!(place.run(|| panic!("on purpose")).await, None::<()>);
        assert_eq!(place.run(|| 1).await, Some(1));
    }
}
