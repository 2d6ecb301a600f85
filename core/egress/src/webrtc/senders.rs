//! The sender threads and the receivers that feed them: started together, ended together.
//!
//! Owner: `whep`. Commands go to a thread by its number and never wait for room in its queue.
//! Not here: what a thread does (`worker`), how datagrams find it (`receiver`).

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use taimat_base::tasks::{Stop, Tasks};
use tokio::sync::oneshot;

use super::command::{OnEnd, PeerRoutes, QUEUE_COMMANDS, SenderCommand};
use super::receiver::ReceiverTask;
use super::socket::RtcSocket;
use super::worker::Worker;
use crate::metrics::EgressMetrics;

/// Sender threads at most. A user name fragment has two hexadecimal digits for the thread's number.
const MAX_THREADS: usize = 64;

/// All sender threads and receivers.
pub(super) struct Senders {
    queues: Vec<SyncSender<SenderCommand>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    receivers: Tasks,
    next: AtomicUsize,
}

impl Senders {
    /// Starts `threads` sender threads, one per core if that is 0, and a receiver for each socket.
    /// `on_end` is called by the threads.
    pub(super) fn start(
        sockets: &Arc<[RtcSocket]>,
        threads: usize,
        metrics: &Arc<EgressMetrics>,
        on_end: &OnEnd,
        stop: &Stop,
    ) -> io::Result<Self> {
        let routes: PeerRoutes = Arc::new(RwLock::default());
        let (mut queues, mut handles) = (Vec::new(), Vec::new());
        for index in 0..thread_count(threads) {
            let (queue, commands) = sync_channel(QUEUE_COMMANDS);
            let worker = Worker {
                index,
                sockets: Arc::clone(sockets),
                commands,
                queue: queue.clone(),
                metrics: Arc::clone(metrics),
                routes: Arc::clone(&routes),
                on_end: Arc::clone(on_end),
            };
            let thread = std::thread::Builder::new().name(format!("sender-{index}"));
            handles.push(thread.spawn(|| worker.run())?);
            queues.push(queue);
        }
        let receivers = Tasks::under(stop);
        for index in 0..sockets.len() {
            let receiver = ReceiverTask {
                index,
                sockets: Arc::clone(sockets),
                queues: queues.clone(),
                routes: Arc::clone(&routes),
                metrics: Arc::clone(metrics),
            };
            receivers.spawn("webrtc-receive", tracing::Span::none(), |stop| {
                receiver.run(stop)
            });
        }
        Ok(Self {
            queues,
            threads: Mutex::new(handles),
            receivers,
            next: AtomicUsize::new(0),
        })
    }

    /// The thread whose turn it is to get a session.
    pub(super) fn next(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed) % self.queues.len().max(1)
    }

    /// Tells a thread; false if its queue is full or it has ended.
    pub(super) fn tell(&self, thread: usize, command: SenderCommand) -> bool {
        let queue = self.queues.get(thread);
        queue.is_some_and(|queue| queue.try_send(command).is_ok())
    }

    /// Ends all sessions with a goodbye, then receivers and threads.
    pub(super) async fn shut_down(&self, deadline: Duration) {
        let goodbyes: Vec<oneshot::Receiver<()>> = (0..self.queues.len())
            .filter_map(|thread| {
                let (done, finished) = oneshot::channel();
                let told = self.tell(thread, SenderCommand::Shutdown(done));
                told.then_some(finished)
            })
            .collect();
        let all = async {
            for goodbye in goodbyes {
                drop(goodbye.await);
            }
        };
        if tokio::time::timeout(deadline, all).await.is_err() {
            tracing::warn!("sender threads did not end in time");
            return;
        }
        self.receivers.stop(deadline).await;
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(|e| e.into_inner()));
        for thread in threads {
            // A thread that panicked has said so.
            drop(thread.join());
        }
    }
}

fn thread_count(configured: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let wanted = if configured == 0 { cores } else { configured };
    wanted.min(MAX_THREADS)
}
