//! A sender thread: owns sessions, takes datagrams and access units, keeps time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use taimat_base::{SessionId, clock};
use taimat_hub::{Cursor, Read};
use tokio::sync::oneshot;

use super::info::EndReason;
use super::outbox::Outbox;
use super::session::{Seed, Session};
use super::socket::{Path, RtcSocket};
use crate::metrics::{DropCause, Metrics};
use crate::packets::PacketBatch;
use crate::track::{Listener, Track};

/// Commands that wait for a thread at most: more than arrive in the time a thread is busy with one
/// access unit for a thousand viewers. What does not fit is dropped and counted; the viewer's own
/// retransmissions repair that.
pub(super) const QUEUE: usize = 4096;
/// The thread wakes at least this often.
const IDLE: Duration = Duration::from_secs(1);

/// What a thread is told.
pub(super) enum Command {
    Create(Box<Seed>),
    Datagram(Path, Box<[u8]>),
    Wake(usize, Arc<Waker>),
    Candidates(SessionId, Vec<String>),
    RestartIce {
        id: SessionId,
        local: (String, String),
        remote: (String, String),
        done: oneshot::Sender<bool>,
    },
    End(SessionId, EndReason),
    Shutdown(oneshot::Sender<()>),
}

/// Which thread a viewer's address belongs to; shared by threads and receivers.
pub(super) type Routes = Arc<RwLock<HashMap<SocketAddr, usize>>>;

/// Told when a session has ended.
pub(super) type OnEnd = Arc<dyn Fn(SessionId, EndReason) + Send + Sync>;

/// Wakes a thread for a track. Several wake-ups that the thread has not yet seen are one.
pub(super) struct Waker {
    queue: SyncSender<Command>,
    metrics: Arc<Metrics>,
    pending: AtomicBool,
    retired: AtomicBool,
    this: std::sync::Weak<Waker>,
}

impl Listener for Waker {
    fn wake(&self, track: &Arc<Track>) -> bool {
        if self.retired.load(Ordering::Acquire) {
            return false;
        }
        let Some(this) = self.this.upgrade() else {
            return false;
        };
        if !self.pending.swap(true, Ordering::AcqRel) {
            let command = Command::Wake(Arc::as_ptr(track) as usize, this);
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

/// A track with sessions on this thread.
struct Feed {
    track: Arc<Track>,
    cursor: Cursor<PacketBatch>,
    waker: Arc<Waker>,
    sessions: Vec<SessionId>,
}

pub(super) struct Worker {
    pub(super) index: usize,
    pub(super) sockets: Arc<[RtcSocket]>,
    pub(super) commands: Receiver<Command>,
    pub(super) queue: SyncSender<Command>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) routes: Routes,
    pub(super) on_end: OnEnd,
}

struct State {
    sessions: HashMap<SessionId, Session>,
    by_ufrag: HashMap<String, SessionId>,
    by_peer: HashMap<SocketAddr, SessionId>,
    feeds: HashMap<usize, Feed>,
    timers: BinaryHeap<Reverse<(Instant, SessionId)>>,
    /// The time for which each session's timer stands in the heap.
    scheduled: HashMap<SessionId, Instant>,
}

impl Worker {
    /// Runs until told to shut down.
    pub(super) fn run(self) {
        let sockets = Arc::clone(&self.sockets);
        let metrics = Arc::clone(&self.metrics);
        let mut out = Outbox::new(&sockets, &metrics);
        let mut state = State {
            sessions: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_peer: HashMap::new(),
            feeds: HashMap::new(),
            timers: BinaryHeap::new(),
            scheduled: HashMap::new(),
        };
        loop {
            let now = clock::thread_now();
            let wait = match state.timers.peek() {
                Some(Reverse((at, _))) => at.saturating_duration_since(now).min(IDLE),
                None => IDLE,
            };
            match self.commands.recv_timeout(wait) {
                Ok(Command::Shutdown(done)) => {
                    self.shut_down(&mut state, &out);
                    // Nobody may be waiting any more.
                    let _sent = done.send(());
                    return;
                }
                Ok(command) => self.command(&mut state, command, &mut out),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.run_timers(&mut state, &mut out);
        }
    }

    fn command(&self, state: &mut State, command: Command, out: &mut Outbox<'_>) {
        let now = clock::thread_now();
        match command {
            Command::Create(seed) => self.create(state, *seed, now, out),
            Command::Datagram(path, bytes) => self.datagram(state, path, &bytes, now, out),
            Command::Wake(track, waker) => {
                waker.pending.store(false, Ordering::Release);
                self.forward(state, track, out);
            }
            Command::Candidates(id, texts) => {
                if let Some(session) = state.sessions.get_mut(&id) {
                    session.add_candidates(&texts, now, out);
                    self.settle(state, id, now, out);
                }
            }
            Command::RestartIce {
                id,
                local,
                remote,
                done,
            } => {
                let ufrag = local.0.clone();
                let restarted = state
                    .sessions
                    .get_mut(&id)
                    .is_some_and(|s| s.restart_ice(local, remote, now, out).is_ok());
                if restarted {
                    state.by_ufrag.retain(|_, owner| *owner != id);
                    state.by_ufrag.insert(ufrag, id);
                }
                let _sent = done.send(restarted);
                self.settle(state, id, now, out);
            }
            Command::End(id, reason) => {
                if let Some(session) = state.sessions.get_mut(&id) {
                    session.end(reason);
                    self.settle(state, id, now, out);
                }
            }
            // Handled by `run`.
            Command::Shutdown(_) => {}
        }
    }

    fn create(&self, state: &mut State, seed: Seed, now: Instant, out: &mut Outbox<'_>) {
        let id = seed.shared.id;
        let ufrag = seed.local_ufrag.clone();
        match Session::new(seed, now) {
            Ok(session) => {
                state.sessions.insert(id, session);
                state.by_ufrag.insert(ufrag, id);
                self.settle(state, id, now, out);
            }
            Err(error) => {
                tracing::error!(%error, session = %id, "session could not be made");
                (self.on_end)(id, EndReason::HandshakeFailed);
            }
        }
    }

    fn datagram(
        &self,
        state: &mut State,
        path: Path,
        bytes: &[u8],
        now: Instant,
        out: &mut Outbox<'_>,
    ) {
        let by_ufrag = super::receiver::local_ufrag(bytes).and_then(|u| state.by_ufrag.get(u));
        let Some(id) = by_ufrag.or_else(|| state.by_peer.get(&path.peer)).copied() else {
            self.metrics.drop_one(DropCause::UnknownPeer);
            return;
        };
        let Some(session) = state.sessions.get_mut(&id) else {
            return;
        };
        if !session.datagram(now, path, bytes, out) {
            self.metrics.drop_one(DropCause::BadDatagram);
        }
        if state.by_peer.get(&path.peer) != Some(&id) && session.peers().any(|p| p == path.peer) {
            state.by_peer.insert(path.peer, id);
            let mut routes = self.routes.write().unwrap_or_else(|e| e.into_inner());
            routes.insert(path.peer, self.index);
        }
        self.settle(state, id, now, out);
    }

    /// After a session was given something: hooks it up, removes it, or notes when it is due.
    fn settle(&self, state: &mut State, id: SessionId, now: Instant, out: &mut Outbox<'_>) {
        let Some(session) = state.sessions.get_mut(&id) else {
            return;
        };
        if session.take_ready() {
            self.metrics
                .connect
                .observe(session.connect_time().as_secs_f64());
            self.join(state, id, now, out);
        }
        let Some(session) = state.sessions.get_mut(&id) else {
            return;
        };
        if let Some(reason) = session.ended() {
            self.remove(state, id, reason, now, out);
            return;
        }
        let next = session.next_timeout();
        let earlier = state.scheduled.get(&id).is_none_or(|at| next < *at);
        if earlier {
            state.scheduled.insert(id, next);
            state.timers.push(Reverse((next, id)));
        }
    }

    /// Hooks a connected session up to its track.
    fn join(&self, state: &mut State, id: SessionId, now: Instant, out: &mut Outbox<'_>) {
        let Some(session) = state.sessions.get_mut(&id) else {
            return;
        };
        let key = Arc::as_ptr(&session.track) as usize;
        let feed = state.feeds.entry(key).or_insert_with(|| {
            let track = Arc::clone(&session.track);
            let waker = Arc::new_cyclic(|this| Waker {
                queue: self.queue.clone(),
                metrics: Arc::clone(&self.metrics),
                pending: AtomicBool::new(false),
                retired: AtomicBool::new(false),
                this: std::sync::Weak::clone(this),
            });
            let cursor = track.ring().from_end();
            let listener: Arc<Waker> = Arc::clone(&waker);
            track.listen(listener);
            Feed {
                track,
                cursor,
                waker,
                sessions: Vec::new(),
            }
        });
        feed.sessions.push(id);
        // What the feed's cursor has yet to read comes by itself.
        let (mut since_start, _) = feed.track.ring().since_start();
        since_start.retain(|(seq, _)| *seq < feed.cursor.position());
        session.begin(since_start, now, out);
        if feed.track.ring().is_closed() {
            session.end(EndReason::SourceChanged);
        }
    }

    fn forward(&self, state: &mut State, key: usize, out: &mut Outbox<'_>) {
        let Some(feed) = state.feeds.get_mut(&key) else {
            return;
        };
        loop {
            match feed.cursor.try_next() {
                None => return,
                Some(Read::Lost(units)) => self.metrics.dropped(DropCause::SenderLate, units),
                Some(Read::Closed) => break,
                Some(Read::Item(seq, batch)) => {
                    let now = clock::thread_now();
                    for id in &feed.sessions {
                        if let Some(session) = state.sessions.get_mut(id) {
                            session.forward(seq, &batch, now, out);
                        }
                    }
                    let done = clock::thread_now();
                    let seconds = |d: Duration| d.as_secs_f64();
                    self.metrics
                        .access_unit
                        .observe(seconds(done.saturating_duration_since(now)));
                    let delay = done.saturating_duration_since(batch.received);
                    self.metrics.forward_delay.observe(seconds(delay));
                }
            }
        }
        let now = clock::thread_now();
        for id in feed.sessions.clone() {
            if let Some(session) = state.sessions.get_mut(&id) {
                session.end(EndReason::SourceChanged);
            }
            self.settle(state, id, now, out);
        }
    }

    fn run_timers(&self, state: &mut State, out: &mut Outbox<'_>) {
        let now = clock::thread_now();
        while let Some(Reverse((at, id))) = state.timers.peek().copied() {
            if at > now {
                return;
            }
            state.timers.pop();
            if state.scheduled.get(&id) != Some(&at) {
                continue; // It was brought forward, or the session is gone.
            }
            state.scheduled.remove(&id);
            if let Some(session) = state.sessions.get_mut(&id) {
                session.timeout(now, out);
                self.settle(state, id, now, out);
            }
        }
    }

    fn remove(
        &self,
        state: &mut State,
        id: SessionId,
        reason: EndReason,
        now: Instant,
        out: &Outbox<'_>,
    ) {
        let Some(mut session) = state.sessions.remove(&id) else {
            return;
        };
        session.farewell(now, out);
        state.scheduled.remove(&id);
        state.by_ufrag.retain(|_, owner| *owner != id);
        {
            let mut routes = self.routes.write().unwrap_or_else(|e| e.into_inner());
            state.by_peer.retain(|peer, owner| {
                let stays = *owner != id;
                if !stays {
                    routes.remove(peer);
                }
                stays
            });
        }
        let key = Arc::as_ptr(&session.track) as usize;
        if let Some(feed) = state.feeds.get_mut(&key) {
            feed.sessions.retain(|other| *other != id);
            if feed.sessions.is_empty() {
                feed.waker.retired.store(true, Ordering::Release);
                state.feeds.remove(&key);
            }
        }
        self.metrics
            .ended
            .with_label_values(&[reason.as_str()])
            .inc();
        if let Some(failure) = reason.connect_failure() {
            self.metrics.failure(failure);
        }
        tracing::info!(session = %id, reason = reason.as_str(), "viewer session ended");
        (self.on_end)(id, reason);
    }

    fn shut_down(&self, state: &mut State, out: &Outbox<'_>) {
        let now = clock::thread_now();
        let all: Vec<SessionId> = state.sessions.keys().copied().collect();
        for id in all {
            self.remove(state, id, EndReason::Shutdown, now, out);
        }
    }
}
