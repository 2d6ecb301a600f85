//! What sender threads are told, by whom, and how they are found.
//!
//! Receivers, tracks and `whep` put commands into a thread's queue; the thread (`worker`) is the only
//! one that takes them out. Nobody waits for room in a queue: what does not fit is dropped and counted,
//! or told to whoever asked.
//! Not here: what a thread does with a command.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Weak};

use taimat_base::SessionId;
use tokio::sync::oneshot;

use super::bell::Bell;
use super::info::EndReason;
use super::path::Path;
use super::session::SessionSeed;
use super::stun::IceCredentials;
use crate::metrics::{DropCause, EgressMetrics};
use crate::track::{Listener, Track};

/// Commands that wait for a thread at most: more than arrive in the time a thread is busy with one
/// access unit for a thousand viewers. What does not fit is dropped and counted; the viewer's own
/// retransmissions repair that.
pub(super) const QUEUE_COMMANDS: usize = 4096;

/// What a sender thread is told.
pub(super) enum SenderCommand {
    Create(Box<SessionSeed>),
    Datagram(Path, Box<[u8]>),
    Wake(usize, Arc<TrackWaker>),
    Candidates(SessionId, Vec<String>),
    RestartIce {
        id: SessionId,
        local: IceCredentials,
        remote: IceCredentials,
        done: oneshot::Sender<bool>,
    },
    End(SessionId, EndReason),
    Shutdown(oneshot::Sender<()>),
}

/// A thread's queue, and the bell that tells the thread of it.
#[derive(Clone)]
pub(super) struct CommandQueue {
    queue: SyncSender<SenderCommand>,
    bell: Option<Arc<Bell>>,
}

impl CommandQueue {
    /// Of a thread that waits for this bell; of none in tests.
    pub(super) fn new(queue: SyncSender<SenderCommand>, bell: Option<Arc<Bell>>) -> Self {
        Self { queue, bell }
    }

    /// Tells the thread.
    pub(super) fn try_send(&self, command: SenderCommand) -> Result<(), TrySendError<()>> {
        self.queue.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => TrySendError::Full(()),
            TrySendError::Disconnected(_) => TrySendError::Disconnected(()),
        })?;
        if let Some(bell) = &self.bell {
            bell.ring();
        }
        Ok(())
    }
}

/// Who is told by the threads what becomes of sessions.
#[derive(Clone)]
pub(super) struct SessionNews {
    /// The viewer is there: the handshake is done.
    pub(super) connected: Arc<dyn Fn(SessionId) + Send + Sync>,
    /// It has ended.
    pub(super) ended: Arc<dyn Fn(SessionId, EndReason) + Send + Sync>,
}

/// Wakes a thread for a track. Several wake-ups that the thread has not yet seen are one.
pub(super) struct TrackWaker {
    queue: CommandQueue,
    metrics: Arc<EgressMetrics>,
    pending: AtomicBool,
    retired: AtomicBool,
    this: Weak<Self>,
}

impl TrackWaker {
    /// Wakes the thread that takes commands out of this queue.
    pub(super) fn new(queue: CommandQueue, metrics: Arc<EgressMetrics>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            queue,
            metrics,
            pending: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            this: Weak::clone(this),
        })
    }

    /// The thread has seen the wake-up, and looks at the track after this.
    pub(super) fn seen(&self) {
        self.pending.store(false, Ordering::Release);
    }

    /// The thread wants to hear nothing more of the track.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }
}

impl Listener for TrackWaker {
    fn wake(&self, track: &Arc<Track>) -> bool {
        if self.retired.load(Ordering::Acquire) {
            return false;
        }
        let Some(this) = self.this.upgrade() else {
            return false;
        };
        if !self.pending.swap(true, Ordering::AcqRel) {
            let command = SenderCommand::Wake(Arc::as_ptr(track) as usize, this);
            if let Err(error) = self.queue.try_send(command) {
                self.pending.store(false, Ordering::Release);
                if matches!(error, TrySendError::Full(_)) {
                    self.metrics.drop_one(DropCause::QueueFull);
                }
            }
        }
        true
    }
}
