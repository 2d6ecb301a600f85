//! A sender thread: owns sessions, takes datagrams and access units, keeps time.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use taimat_base::{SessionId, clock};
use taimat_hub::{Cursor, Read};

use super::arrivals::Arrivals;
use super::bell::Bell;
use super::command::{CommandQueue, SenderCommand, SessionNews, TrackWaker};
use super::info::EndReason;
use super::outbox::Outbox;
use super::path::Path;
use super::routes::Routes;
use super::session::{SessionSeed, ViewerSession};
use super::socket::RtcSocket;
use super::stun::{self, IceCredentials};
use crate::metrics::{DropCause, EgressMetrics};
use crate::packets::PacketBatch;
use crate::track::Track;

/// The thread wakes at least this often, and looks at its tracks unasked: a wake-up that found its queue
/// full was dropped, and after a track's end no other one comes.
const IDLE: Duration = Duration::from_secs(1);
/// Commands that are done before timers and viewers have their turn.
const COMMANDS: usize = 256;
/// Datagrams that are taken of a viewer before the others have their turn.
const DATAGRAMS: usize = 16;
/// No viewer sends larger ones; what is longer is cut off and does not authenticate.
const DATAGRAM_BYTES: usize = 4096;

/// What a sender thread is given.
pub(super) struct Worker {
    pub(super) index: usize,
    pub(super) sockets: Arc<[RtcSocket]>,
    pub(super) commands: Receiver<SenderCommand>,
    /// Rings when there is a command.
    pub(super) bell: Arc<Bell>,
    /// Of all threads.
    pub(super) queues: Arc<[CommandQueue]>,
    pub(super) metrics: Arc<EgressMetrics>,
    pub(super) routes: Arc<Routes>,
    pub(super) news: SessionNews,
}

/// A track with sessions on this thread.
struct TrackFeed {
    track: Arc<Track>,
    cursor: Cursor<PacketBatch>,
    waker: Arc<TrackWaker>,
    sessions: Vec<SessionId>,
}

/// What a sender thread has while it runs.
struct WorkerState<'a> {
    worker: &'a Worker,
    out: Outbox<'a>,
    arrivals: Arrivals,
    /// Where datagrams are received.
    buffer: Vec<u8>,
    sessions: HashMap<SessionId, ViewerSession>,
    by_ufrag: HashMap<String, SessionId>,
    by_peer: HashMap<SocketAddr, SessionId>,
    /// By the track's address.
    feeds: HashMap<usize, TrackFeed>,
    timers: BinaryHeap<Reverse<(Instant, SessionId)>>,
    /// The time for which each session's timer stands in the heap.
    scheduled: HashMap<SessionId, Instant>,
    /// When it looks at its tracks unasked.
    look_at: Instant,
}

impl Worker {
    /// Runs until told to shut down.
    pub(super) fn run(self, arrivals: Arrivals) {
        let mut state = WorkerState::new(&self, arrivals, clock::thread_now());
        loop {
            let mut next = self.next_command(&mut state);
            for _ in 0..COMMANDS {
                match next {
                    Ok(SenderCommand::Shutdown(done)) => {
                        state.shut_down();
                        // Nobody may be waiting any more.
                        let _sent = done.send(());
                        return;
                    }
                    Ok(command) => state.command(command),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
                next = self.commands.try_recv();
            }
            let now = clock::thread_now();
            state.receive(now);
            state.run_timers(now);
            state.look_around(now);
        }
    }

    /// The next command, if there is one before anything else is due.
    fn next_command(&self, state: &mut WorkerState<'_>) -> Result<SenderCommand, TryRecvError> {
        let command = self.commands.try_recv();
        if !matches!(command, Err(TryRecvError::Empty)) {
            return command;
        }
        self.bell.falls_asleep();
        // Whoever came before that did not ring.
        let command = self.commands.try_recv();
        if matches!(command, Err(TryRecvError::Empty)) {
            let now = clock::thread_now();
            state.arrivals.wait(now, state.idle_time(now));
        }
        self.bell.is_awake();
        match command {
            Err(TryRecvError::Empty) => self.commands.try_recv(),
            other => other,
        }
    }
}

impl<'a> WorkerState<'a> {
    fn new(worker: &'a Worker, arrivals: Arrivals, now: Instant) -> Self {
        Self {
            worker,
            out: Outbox::new(&worker.sockets, &worker.metrics),
            arrivals,
            buffer: vec![0; DATAGRAM_BYTES],
            sessions: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_peer: HashMap::new(),
            feeds: HashMap::new(),
            timers: BinaryHeap::new(),
            scheduled: HashMap::new(),
            look_at: now + IDLE,
        }
    }

    /// How long nothing is due.
    fn idle_time(&self, now: Instant) -> Duration {
        match self.timers.peek() {
            Some(Reverse((at, _))) => at.saturating_duration_since(now).min(IDLE),
            None => IDLE,
        }
    }

    fn command(&mut self, command: SenderCommand) {
        let now = clock::thread_now();
        match command {
            SenderCommand::Create(seed) => self.create(*seed, now),
            SenderCommand::Datagram(path, bytes) => self.datagram(path, &bytes, now),
            SenderCommand::Wake(track, waker) => {
                waker.seen();
                self.forward(track);
            }
            SenderCommand::Candidates(id, texts) => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.add_candidates(&texts, now, &self.out);
                    self.settle(id, now);
                }
            }
            SenderCommand::RestartIce {
                id,
                local,
                remote,
                done,
            } => {
                let restarted = self.restart_ice(id, local, remote, now);
                let _sent = done.send(restarted);
                self.settle(id, now);
            }
            SenderCommand::End(id, reason) => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.end(reason);
                    self.settle(id, now);
                }
            }
            // Handled by `run`.
            SenderCommand::Shutdown(_) => {}
        }
    }

    fn create(&mut self, seed: SessionSeed, now: Instant) {
        let id = seed.figures.id;
        let ufrag = seed.ice.local.ufrag.clone();
        match ViewerSession::new(seed, now) {
            Ok(session) => {
                self.sessions.insert(id, session);
                self.by_ufrag.insert(ufrag, id);
                self.settle(id, now);
            }
            Err(error) => {
                tracing::error!(%error, session = %id, "session could not be made");
                self.worker.routes.forget(&ufrag);
                (self.worker.news.ended)(id, EndReason::HandshakeFailed);
            }
        }
    }

    fn restart_ice(
        &mut self,
        id: SessionId,
        local: IceCredentials,
        remote: IceCredentials,
        now: Instant,
    ) -> bool {
        let ufrag = local.ufrag.clone();
        let restarted = self
            .sessions
            .get_mut(&id)
            .is_some_and(|s| s.restart_ice(local, remote, now, &self.out).is_ok());
        if restarted {
            self.forget_names(id);
            self.by_ufrag.insert(ufrag, id);
        } else {
            self.worker.routes.forget(&ufrag);
        }
        restarted
    }

    /// Reads what viewers sent to their own sockets: a little of each.
    fn receive(&mut self, now: Instant) {
        self.arrivals.resume(now);
        let sockets = self.arrivals.count();
        for _ in 0..sockets {
            let Some(id) = self.arrivals.next() else {
                break;
            };
            if self.receive_from(id, now) {
                self.arrivals.again(id);
            }
        }
        if sockets > 0 {
            self.arrivals.rest(now);
        }
    }

    /// Whether there may be more.
    fn receive_from(&mut self, id: SessionId, now: Instant) -> bool {
        for _ in 0..DATAGRAMS {
            let session = self.sessions.get(&id);
            let Some(own) = session.and_then(ViewerSession::own_socket) else {
                return false;
            };
            let path = own.path();
            let mut bytes = std::mem::take(&mut self.buffer);
            let received = own.receive(&mut bytes);
            if let Ok((len, peer)) = received {
                let from = Path { peer, ..path };
                self.sort(id, from, bytes.get(..len).unwrap_or_default(), now);
            }
            self.buffer = bytes;
            match received {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => {
                    tracing::debug!(%error, session = %id, "receiving from a viewer");
                    return false;
                }
            }
        }
        true
    }

    /// What came to a viewer's own socket is the viewer's, but for another session of it that has the same
    /// addresses, and for what came before the socket was connected.
    fn sort(&mut self, id: SessionId, path: Path, bytes: &[u8], now: Instant) {
        let is_own = self
            .sessions
            .get(&id)
            .and_then(ViewerSession::own_socket)
            .is_some_and(|own| own.path().peer == path.peer);
        if is_own && stun::local_ufrag(bytes).is_none() {
            return self.give(id, path, bytes, now);
        }
        let thread = match self.worker.routes.find(bytes, &path.peer, now) {
            Ok(thread) => thread,
            Err(cause) => return self.worker.metrics.drop_one(cause),
        };
        if thread == self.worker.index {
            return self.datagram(path, bytes, now);
        }
        let command = || SenderCommand::Datagram(path, bytes.into());
        let queue = self.worker.queues.get(thread);
        if queue.is_none_or(|queue| queue.try_send(command()).is_err()) {
            self.worker.metrics.drop_one(DropCause::QueueFull);
        }
    }

    fn datagram(&mut self, path: Path, bytes: &[u8], now: Instant) {
        let by_ufrag = stun::local_ufrag(bytes).and_then(|u| self.by_ufrag.get(u));
        let Some(id) = by_ufrag.or_else(|| self.by_peer.get(&path.peer)).copied() else {
            self.worker.metrics.drop_one(DropCause::UnknownPeer);
            return;
        };
        self.give(id, path, bytes, now);
    }

    /// Gives a session a datagram.
    fn give(&mut self, id: SessionId, path: Path, bytes: &[u8], now: Instant) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if !session.datagram(now, path, bytes, &mut self.out) {
            self.worker.metrics.drop_one(DropCause::BadDatagram);
        }
        let is_proven = session.peers().any(|p| p == path.peer);
        if is_proven && !self.leads_here(path.peer, id, bytes) {
            self.by_peer.insert(path.peer, id);
            self.worker.routes.learn(path.peer, self.worker.index);
        }
        self.settle(id, now);
    }

    /// Whether what comes from that address finds this session. With each check of the connection, a few
    /// seconds apart, the common routes are looked at too: another thread's session may have had the
    /// address before or in between, and a session whose route is lost hears no feedback.
    fn leads_here(&self, peer: SocketAddr, id: SessionId, datagram: &[u8]) -> bool {
        if self.by_peer.get(&peer) != Some(&id) {
            return false;
        }
        if !matches!(datagram.first(), Some(0..=3)) {
            return true;
        }
        self.worker.routes.of_peer(&peer) == Some(self.worker.index)
    }

    /// After a session was given something: hooks it up, removes it, or notes when it is due.
    fn settle(&mut self, id: SessionId, now: Instant) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if session.take_ready() {
            self.worker
                .metrics
                .connect
                .observe(session.connect_time().as_secs_f64());
            (self.worker.news.connected)(id);
            self.join(id, now);
        }
        self.connect(id);
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if let Some(reason) = session.ended() {
            self.remove(id, reason, now);
            return;
        }
        let next = session.next_timeout();
        let earlier = self.scheduled.get(&id).is_none_or(|at| next < *at);
        if earlier {
            self.scheduled.insert(id, next);
            self.timers.push(Reverse((next, id)));
        }
    }

    /// Gives a connected session a socket of its own, if it wants one. Where there is none it goes on with
    /// the one that all share.
    fn connect(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let Some(path) = session.wants_socket() else {
            return;
        };
        let Some(shared) = self.worker.sockets.get(path.socket) else {
            return;
        };
        let made = shared.own(path).and_then(|own| {
            self.arrivals.add(id, &own)?;
            Ok(own)
        });
        match made {
            Ok(own) => session.give_socket(own),
            Err(error) => {
                tracing::warn!(%error, session = %id, "a viewer gets no socket of its own");
            }
        }
    }

    /// Hooks a connected session up to its track.
    fn join(&mut self, id: SessionId, now: Instant) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let key = Arc::as_ptr(&session.track) as usize;
        let feed = match self.feeds.entry(key) {
            Entry::Occupied(feed) => feed.into_mut(),
            Entry::Vacant(place) => {
                let Some(queue) = self.worker.queues.get(self.worker.index) else {
                    return;
                };
                let metrics = Arc::clone(&self.worker.metrics);
                let waker = TrackWaker::new(queue.clone(), metrics);
                place.insert(TrackFeed::new(&session.track, waker))
            }
        };
        feed.sessions.push(id);
        // What the feed's cursor has yet to read comes by itself.
        let (mut since_start, _) = feed.track.ring().since_start();
        since_start.retain(|(seq, _)| *seq < feed.cursor.position());
        session.begin(since_start, now, &mut self.out);
        if feed.track.ring().is_closed() {
            session.end(EndReason::SourceChanged);
        }
    }

    /// Sends what is new in a track to all its sessions.
    fn forward(&mut self, key: usize) {
        let Some(feed) = self.feeds.get_mut(&key) else {
            return;
        };
        let metrics = &self.worker.metrics;
        loop {
            match feed.cursor.try_next() {
                None => return,
                Some(Read::Lost(units)) => metrics.dropped(DropCause::SenderLate, units),
                Some(Read::Closed) => break,
                Some(Read::Item(seq, batch)) => {
                    let now = clock::thread_now();
                    for id in &feed.sessions {
                        if let Some(session) = self.sessions.get_mut(id) {
                            session.forward(seq, &batch, now, &mut self.out);
                        }
                    }
                    let done = clock::thread_now();
                    let seconds = |d: Duration| d.as_secs_f64();
                    metrics
                        .access_unit
                        .observe(seconds(done.saturating_duration_since(now)));
                    let delay = done.saturating_duration_since(batch.received);
                    metrics.forward_delay.observe(seconds(delay));
                }
            }
        }
        let now = clock::thread_now();
        for id in feed.sessions.clone() {
            if let Some(session) = self.sessions.get_mut(&id) {
                session.end(EndReason::SourceChanged);
            }
            self.settle(id, now);
        }
    }

    /// Sends what it was not woken for.
    fn look_around(&mut self, now: Instant) {
        if now < self.look_at {
            return;
        }
        self.look_at = now + IDLE;
        let tracks: Vec<usize> = self.feeds.keys().copied().collect();
        for track in tracks {
            self.forward(track);
        }
    }

    fn run_timers(&mut self, now: Instant) {
        while let Some(Reverse((at, id))) = self.timers.peek().copied() {
            if at > now {
                return;
            }
            self.timers.pop();
            if self.scheduled.get(&id) != Some(&at) {
                continue; // It was brought forward, or the session is gone.
            }
            self.scheduled.remove(&id);
            if let Some(session) = self.sessions.get_mut(&id) {
                session.timeout(now, &mut self.out);
                self.settle(id, now);
            }
        }
    }

    fn remove(&mut self, id: SessionId, reason: EndReason, now: Instant) {
        let Some(mut session) = self.sessions.remove(&id) else {
            return;
        };
        session.farewell(now, &self.out);
        self.arrivals.forget(id);
        self.scheduled.remove(&id);
        self.forget_names(id);
        self.forget_peers(id);
        let key = Arc::as_ptr(&session.track) as usize;
        if let Some(feed) = self.feeds.get_mut(&key) {
            feed.sessions.retain(|other| *other != id);
            if feed.sessions.is_empty() {
                feed.waker.retire();
                self.feeds.remove(&key);
            }
        }
        let metrics = &self.worker.metrics;
        metrics.ended.with_label_values(&[reason.as_str()]).inc();
        if let Some(failure) = reason.connect_failure() {
            metrics.failure(failure);
        }
        tracing::info!(session = %id, reason = reason.as_str(), "viewer session ended");
        (self.worker.news.ended)(id, reason);
    }

    /// Its viewer may be back from the same address, with a session on another thread: that route stays.
    fn forget_peers(&mut self, id: SessionId) {
        let gone = self.by_peer.extract_if(|_, owner| *owner == id);
        gone.for_each(|(peer, _)| self.worker.routes.leave(&peer, self.worker.index));
    }

    fn forget_names(&mut self, id: SessionId) {
        let gone = self.by_ufrag.extract_if(|_, owner| *owner == id);
        gone.for_each(|(ufrag, _)| self.worker.routes.forget(&ufrag));
    }

    fn shut_down(&mut self) {
        let now = clock::thread_now();
        let all: Vec<SessionId> = self.sessions.keys().copied().collect();
        for id in all {
            self.remove(id, EndReason::Shutdown, now);
        }
    }
}

impl TrackFeed {
    /// From the track's end on, woken by `waker`.
    fn new(track: &Arc<Track>, waker: Arc<TrackWaker>) -> Self {
        let cursor = track.ring().from_end();
        let listener: Arc<TrackWaker> = Arc::clone(&waker);
        track.listen(listener);
        Self {
            track: Arc::clone(track),
            cursor,
            waker,
            sessions: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
