//! The sender threads and the receivers that feed them: started together, ended together.
//!
//! Owner: `whep`. Commands go to a thread by its number and never wait for room in its queue; only the
//! end is told again and again, and only until its deadline.
//! Not here: what a thread does (`worker`), how datagrams find it (`receiver`).

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use taimat_base::clock;
use taimat_base::tasks::{Stop, Tasks};
use tokio::sync::oneshot;

use super::arrivals::Arrivals;
use super::command::{CommandQueue, QUEUE_COMMANDS, SenderCommand, SessionNews};
use super::receiver::ReceiverTask;
use super::routes::Routes;
use super::socket::RtcSocket;
use super::worker::Worker;
use crate::metrics::EgressMetrics;

/// Sender threads at most. A user name fragment has two hexadecimal digits for the thread's number.
const MAX_THREADS: usize = 64;
/// While threads are told to end: how soon a full queue is tried again, and a thread that has said its
/// goodbyes is looked at again.
const AGAIN: Duration = Duration::from_millis(10);

/// Why a thread was not told something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Untold {
    /// Its queue is full: it is too busy, and may be less so in a moment.
    Full,
    /// It is not there any more.
    Gone,
}

/// All sender threads and receivers.
pub(super) struct Senders {
    queues: Arc<[CommandQueue]>,
    routes: Arc<Routes>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    receivers: Tasks,
    next: AtomicUsize,
}

impl Senders {
    /// Starts `threads` sender threads, one per core if that is 0, and a receiver for each socket.
    /// `news` are told by the threads.
    pub(super) fn start(
        sockets: &Arc<[RtcSocket]>,
        threads: usize,
        metrics: &Arc<EgressMetrics>,
        news: &SessionNews,
        stop: &Stop,
    ) -> io::Result<Self> {
        let routes = Arc::new(Routes::default());
        let (mut queues, mut waiting, mut handles) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..thread_count(threads) {
            let (queue, commands) = sync_channel(QUEUE_COMMANDS);
            let (arrivals, bell) = Arrivals::new()?;
            queues.push(CommandQueue::new(queue, Some(Arc::clone(&bell))));
            waiting.push((commands, arrivals, bell));
        }
        let queues: Arc<[CommandQueue]> = queues.into();
        for (index, (commands, arrivals, bell)) in waiting.into_iter().enumerate() {
            let worker = Worker {
                index,
                sockets: Arc::clone(sockets),
                commands,
                bell,
                queues: Arc::clone(&queues),
                metrics: Arc::clone(metrics),
                routes: Arc::clone(&routes),
                news: news.clone(),
            };
            let thread = std::thread::Builder::new().name(format!("sender-{index}"));
            handles.push(thread.spawn(|| worker.run(arrivals))?);
        }
        let receivers = Tasks::under(stop);
        for index in 0..sockets.len() {
            let receiver = ReceiverTask {
                index,
                sockets: Arc::clone(sockets),
                queues: Arc::clone(&queues),
                routes: Arc::clone(&routes),
                metrics: Arc::clone(metrics),
            };
            receivers.spawn("webrtc-receive", tracing::Span::none(), |stop| {
                receiver.run(stop)
            });
        }
        Ok(Self {
            queues,
            routes,
            threads: Mutex::new(handles),
            receivers,
            next: AtomicUsize::new(0),
        })
    }

    /// The thread whose turn it is to get a session.
    pub(super) fn next(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed) % self.queues.len().max(1)
    }

    /// Tells a thread. What a viewer will say of a session leads to the thread from now on.
    pub(super) fn tell(&self, thread: usize, command: SenderCommand) -> Result<(), Untold> {
        let queue = self.queues.get(thread).ok_or(Untold::Gone)?;
        let name = match &command {
            SenderCommand::Create(seed) => Some(seed.ice.local.ufrag.clone()),
            SenderCommand::RestartIce { local, .. } => Some(local.ufrag.clone()),
            _ => None,
        };
        if let Some(name) = &name {
            self.routes.expect(name, thread);
        }
        queue.try_send(command).map_err(|error| {
            if let Some(name) = &name {
                self.routes.forget(name);
            }
            match error {
                TrySendError::Full(_) => Untold::Full,
                TrySendError::Disconnected(_) => Untold::Gone,
            }
        })
    }

    /// Ends all sessions with a goodbye, then receivers and threads. What has not ended by the
    /// deadline is left alone: nobody waits for it.
    pub(super) async fn shut_down(&self, deadline: Duration) {
        let until = clock::now() + deadline;
        for goodbye in self.tell_the_end(until).await {
            // A thread that ends without a goodbye has panicked, and has said so.
            let _said = tokio::time::timeout_at(until.into(), goodbye).await;
        }
        let left = until.saturating_duration_since(clock::now());
        self.receivers.stop(left).await;
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(|e| e.into_inner()));
        while clock::now() < until && !threads.iter().all(JoinHandle::is_finished) {
            tokio::time::sleep(AGAIN).await;
        }
        for thread in threads {
            if thread.is_finished() {
                drop(thread.join());
            } else {
                let name = thread.thread().name().unwrap_or("?");
                tracing::warn!(thread = name, "sender thread did not end in time");
            }
        }
    }

    /// Tells all threads to end, those with a full queue as soon as it has room. Where the goodbyes
    /// are heard of.
    async fn tell_the_end(&self, until: Instant) -> Vec<oneshot::Receiver<()>> {
        let mut goodbyes = Vec::new();
        let mut untold: Vec<usize> = (0..self.queues.len()).collect();
        loop {
            untold.retain(|thread| {
                let (done, said) = oneshot::channel();
                let told = self.tell(*thread, SenderCommand::Shutdown(done));
                if told.is_ok() {
                    goodbyes.push(said);
                }
                told == Err(Untold::Full)
            });
            if untold.is_empty() || clock::now() >= until {
                return goodbyes;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

fn thread_count(configured: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let wanted = if configured == 0 { cores } else { configured };
    wanted.min(MAX_THREADS)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;

    use taimat_base::SessionId;

    use super::*;
    use crate::webrtc::info::EndReason;

    const DEADLINE: Duration = Duration::from_secs(2);

    /// One thread, which has a queue for one command, and that one is there.
    fn busy(threads: Vec<JoinHandle<()>>) -> (Senders, Receiver<SenderCommand>) {
        let (queue, commands) = sync_channel(1);
        let senders = Senders {
            queues: Arc::new([CommandQueue::new(queue, None)]),
            routes: Arc::default(),
            threads: Mutex::new(threads),
            receivers: Tasks::new(),
            next: AtomicUsize::new(0),
        };
        let command = || SenderCommand::End(SessionId::next(), EndReason::Deleted);
        assert_eq!(senders.tell(0, command()), Ok(()));
        assert_eq!(senders.tell(0, command()), Err(Untold::Full));
        (senders, commands)
    }

    #[tokio::test(start_paused = true)]
    async fn a_thread_with_a_full_queue_is_told_once_it_has_room() {
        let (senders, commands) = busy(Vec::new());
        let begun = clock::now();
        let thread = async {
            tokio::time::sleep(DEADLINE / 2).await;
            assert!(matches!(commands.recv(), Ok(SenderCommand::End(..))));
            tokio::time::sleep(AGAIN * 2).await;
            let Ok(SenderCommand::Shutdown(done)) = commands.try_recv() else {
                panic!("not told");
            };
            done.send(()).unwrap();
        };
        tokio::join!(senders.shut_down(DEADLINE), thread);
        assert!(clock::now() - begun < DEADLINE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_thread_that_hangs_is_not_waited_for_beyond_the_deadline() {
        let (release, held) = sync_channel::<()>(1);
        let hangs = std::thread::spawn(move || assert!(held.recv().is_err()));
        let (senders, _commands) = busy(vec![hangs]);
        let begun = clock::now();
        senders.shut_down(DEADLINE).await;
        let took = clock::now() - begun;
        assert!((DEADLINE..DEADLINE + AGAIN * 2).contains(&took), "{took:?}");
        drop(release);
    }

    #[tokio::test(start_paused = true)]
    async fn a_thread_that_is_gone_is_not_waited_for() {
        let (senders, commands) = busy(Vec::new());
        drop(commands);
        let begun = clock::now();
        senders.shut_down(DEADLINE).await;
        assert_eq!(clock::now(), begun);
    }
}
