//! Wakes a sender thread that waits for datagrams and commands at once.
//!
//! Owner: the thread; who puts a command into its queue rings. Cost: a system call only if the thread is
//! waiting, else one exchange of a flag.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use mio::{Poll, Token, Waker};

/// One thread's.
#[derive(Debug)]
pub(super) struct Bell {
    waker: Waker,
    asleep: AtomicBool,
}

impl Bell {
    /// For the thread that waits with `poll`, which gives `token` when it rang.
    pub(super) fn new(poll: &Poll, token: Token) -> io::Result<Self> {
        Ok(Self {
            waker: Waker::new(poll.registry(), token)?,
            asleep: AtomicBool::new(false),
        })
    }

    /// There is something for the thread. It must be where the thread finds it already.
    pub(super) fn ring(&self) {
        if self.asleep.swap(false, Ordering::SeqCst)
            && let Err(error) = self.waker.wake()
        {
            // It looks by itself within a second.
            tracing::debug!(%error, "a sender thread can not be woken");
        }
    }

    /// The thread is about to wait. It must look once more for what came before this, and then wait.
    pub(super) fn falls_asleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
    }

    /// The thread has found something, or waited enough.
    pub(super) fn is_awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }
}
