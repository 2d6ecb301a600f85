//! WHEP (draft-ietf-wish-whep-04) without HTTP: offers in, answers out, fragments, ends.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use taimat_base::tasks::{Stop, Tasks};
use taimat_base::{CameraKey, Profile, SessionId};
use taimat_hub::{Channel, ChannelKey, Hub, Status};
use taimat_media::StreamInfo;
use tokio::sync::oneshot;

use super::addresses::{advertised, bind, stand_in};
use super::command::{OnEnd, PeerRoutes, QUEUE_COMMANDS, SenderCommand};
use super::fragment;
use super::ice::IceSeed;
use super::identity::Identity;
use super::info::{EndReason, SessionInfo, Shared};
use super::negotiate::{Agreement, Local, Mismatch, agree};
use super::offer::{Offer, OfferError};
use super::receiver::ReceiverTask;
use super::session::Seed;
use super::socket::RtcSocket;
use super::stun::{IceCredentials, make_pwd, make_ufrag};
use super::worker::Worker;
use crate::live::live;
use crate::metrics::{ConnectFailure, Metrics};
use crate::track::{Track, Tracks};

/// How viewers are served.
#[derive(Debug, Clone)]
pub struct Config {
    /// UDP addresses to bind, all with the same port.
    pub bind: Vec<SocketAddr>,
    /// Addresses that viewers reach us at, if they are not those of the interfaces.
    pub public: Vec<IpAddr>,
    /// Sender threads; 0 is one per core.
    pub threads: usize,
    /// Sessions at most.
    pub max_sessions: usize,
}

/// An offer was accepted.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Names the session from now on; not guessable.
    pub token: String,
    /// The answer.
    pub sdp: String,
    /// Names the ICE session (an ETag without quotes).
    pub etag: String,
    /// The session's number.
    pub id: SessionId,
    /// The profile that is sent, which is the other one if only that can be played.
    pub profile: Profile,
}

/// Why an offer was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The offer can not be used.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// The viewer does not play what the camera sends.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// There is no such camera, or it has no such profile.
    #[error("there is no such camera, or it has no {0} profile")]
    UnknownCamera(Profile),
    /// The camera is not live.
    #[error("the camera is not live: {}", .0.cause.map_or("starting", |c| c.as_str()))]
    NotLive(Box<Status>),
    /// As many viewers as are served already watch.
    #[error("{0} viewers watch already, more are not served")]
    Full(usize),
    /// There is no such session.
    #[error("there is no such session")]
    UnknownSession,
    /// The fragment belongs to another ICE session.
    #[error("the ICE session has changed meanwhile")]
    Stale,
    /// The fragment can not be used.
    #[error("the fragment can not be used: {0}")]
    Fragment(&'static str),
    /// Something failed here.
    #[error("internal: {0}")]
    Internal(String),
}

/// What a fragment led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fragment {
    /// Candidates were taken in.
    Trickled,
    /// ICE was restarted: our half of the new session, and its ETag.
    Restarted {
        /// The fragment to answer with.
        sdp: String,
        /// The new ETag without quotes.
        etag: String,
    },
}

struct Entry {
    id: SessionId,
    thread: usize,
    key: ChannelKey,
    etag: String,
    mid: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Registry {
    by_token: HashMap<String, Entry>,
    tokens: HashMap<SessionId, String>,
}

/// Serves WebRTC viewers.
pub struct Whep {
    hub: Arc<Hub>,
    tracks: Arc<Tracks>,
    registry: Arc<Mutex<Registry>>,
    queues: Vec<SyncSender<SenderCommand>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    tasks: Tasks,
    next_thread: AtomicUsize,
    metrics: Arc<Metrics>,
    identity: Identity,
    sockets: Arc<[RtcSocket]>,
    addresses: Vec<SocketAddr>,
    locals: Vec<SocketAddr>,
    max_sessions: usize,
}

impl std::fmt::Debug for Whep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Whep")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl Whep {
    /// Binds and starts the threads.
    pub fn start(
        config: &Config,
        hub: Arc<Hub>,
        tracks: Arc<Tracks>,
        metrics: Arc<Metrics>,
        stop: &Stop,
    ) -> io::Result<Self> {
        let identity = Identity::generate().map_err(io::Error::other)?;
        let sockets: Arc<[RtcSocket]> = bind(&config.bind)?.into();
        let bound: Vec<SocketAddr> = sockets.iter().map(RtcSocket::local_addr).collect();
        let locals = bound.iter().map(|a| stand_in(*a)).collect();
        let segments = sockets
            .iter()
            .map(RtcSocket::max_segments)
            .max()
            .unwrap_or(1);
        metrics.gso.set(i64::try_from(segments).unwrap_or(1));

        let routes: PeerRoutes = Arc::new(RwLock::default());
        let registry: Arc<Mutex<Registry>> = Arc::default();
        let on_end = forget_when_ended(&registry);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let count = if config.threads == 0 {
            cores.min(64)
        } else {
            config.threads.min(64)
        };
        let (mut queues, mut threads) = (Vec::new(), Vec::new());
        for index in 0..count {
            let (queue, commands) = sync_channel(QUEUE_COMMANDS);
            let worker = Worker {
                index,
                sockets: Arc::clone(&sockets),
                commands,
                queue: queue.clone(),
                metrics: Arc::clone(&metrics),
                routes: Arc::clone(&routes),
                on_end: Arc::clone(&on_end),
            };
            let name = format!("sender-{index}");
            threads.push(
                std::thread::Builder::new()
                    .name(name)
                    .spawn(|| worker.run())?,
            );
            queues.push(queue);
        }
        let tasks = Tasks::under(stop);
        for index in 0..sockets.len() {
            let receiver = ReceiverTask {
                index,
                sockets: Arc::clone(&sockets),
                queues: queues.clone(),
                routes: Arc::clone(&routes),
                metrics: Arc::clone(&metrics),
            };
            tasks.spawn("webrtc-receive", tracing::Span::none(), |stop| {
                receiver.run(stop)
            });
        }
        let addresses = advertised(&bound, &config.public);
        Ok(Self {
            hub,
            tracks,
            registry,
            queues,
            threads: Mutex::new(threads),
            tasks,
            next_thread: AtomicUsize::new(0),
            metrics,
            identity,
            sockets,
            addresses,
            locals,
            max_sessions: config.max_sessions,
        })
    }

    /// The addresses that viewers are told.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Goes on as if the kernel had no UDP_SEGMENT (for benches).
    pub fn forget_segments(&self, batch_too: bool) {
        self.sockets
            .iter()
            .for_each(|s| s.forget_segments(batch_too));
    }

    /// Answers an offer. With `profile` unset, the main profile is sent, or the sub profile if the
    /// viewer plays only that.
    pub async fn offer(
        &self,
        camera: &CameraKey,
        profile: Option<Profile>,
        offer: &[u8],
    ) -> Result<Answer, Refusal> {
        let answered = self.try_offer(camera, profile, offer).await;
        if let Err(refusal) = &answered {
            let failure = match refusal {
                Refusal::Offer(_) | Refusal::Mismatch(Mismatch::NoRtcpMux) => {
                    Some(ConnectFailure::BadOffer)
                }
                Refusal::Mismatch(_) => Some(ConnectFailure::Codec),
                Refusal::NotLive(_) => Some(ConnectFailure::NotLive),
                Refusal::Full(_) => Some(ConnectFailure::Full),
                _ => None,
            };
            if let Some(failure) = failure {
                self.metrics.failure(failure);
            }
        }
        answered
    }

    async fn try_offer(
        &self,
        camera: &CameraKey,
        profile: Option<Profile>,
        offer: &[u8],
    ) -> Result<Answer, Refusal> {
        let offer = Offer::parse(offer)?;
        self.check_room()?;
        let first = profile.unwrap_or_default();
        let ssrcs = [rand::random(), rand::random()];
        let mut refusal = None;
        for profile in [first, first.other()] {
            match self.live(camera, profile).await {
                Ok((channel, info)) => match agree(&offer, &info, ssrcs) {
                    Ok(agreement) => {
                        return self.create(&channel, &info, &offer, agreement, profile);
                    }
                    // The sibling may have a codec that the viewer plays.
                    Err(mismatch) => drop(refusal.get_or_insert(mismatch.into())),
                },
                Err(error) => {
                    let error = refusal.unwrap_or(error);
                    return Err(error);
                }
            }
        }
        Err(refusal.unwrap_or(Refusal::UnknownCamera(first)))
    }

    fn check_room(&self) -> Result<(), Refusal> {
        let sessions = self.lock().by_token.len();
        if sessions >= self.max_sessions {
            return Err(Refusal::Full(sessions));
        }
        Ok(())
    }

    /// The channel once its pictures come.
    async fn live(
        &self,
        camera: &CameraKey,
        profile: Profile,
    ) -> Result<(Arc<Channel>, Arc<StreamInfo>), Refusal> {
        let key = ChannelKey::new(camera.clone(), profile);
        let channel = self.hub.get(&key).ok_or(Refusal::UnknownCamera(profile))?;
        match live(&channel).await {
            Ok(info) => Ok((channel, info)),
            Err(status) => Err(Refusal::NotLive(status)),
        }
    }

    fn create(
        &self,
        channel: &Arc<Channel>,
        info: &Arc<StreamInfo>,
        offer: &Offer,
        agreement: Agreement,
        profile: Profile,
    ) -> Result<Answer, Refusal> {
        let fail = |e: String| Refusal::Internal(e);
        let thread = self.next_thread.fetch_add(1, Ordering::Relaxed) % self.queues.len().max(1);
        let queue = self
            .queues
            .get(thread)
            .ok_or_else(|| fail("no sender thread".into()))?;
        let id = SessionId::next();
        let codec = info.video.as_ref().map_or("", |v| v.codec.name());
        let shared = Arc::new(Shared::new(id, codec));
        let ice = IceSeed {
            local: IceCredentials::make(thread),
            remote: IceCredentials {
                ufrag: offer.ufrag.clone(),
                pwd: offer.pwd.clone(),
            },
            candidates: offer.candidates.clone(),
            locals: self.locals.clone(),
            provider: Arc::clone(self.identity.provider()),
        };
        let local = Local {
            ufrag: ice.local.ufrag.clone(),
            pwd: ice.local.pwd.clone(),
            fingerprint: self.identity.fingerprint().to_owned(),
            addresses: self.addresses.clone(),
        };
        let track: Arc<Track> = self.tracks.watch(channel, info);
        let seed = Seed {
            shared: Arc::clone(&shared),
            agreement: agreement.clone(),
            ice,
            dtls: self.identity.handshake(offer.fingerprint).map_err(fail)?,
            metrics: self.metrics.viewer(track.key()),
            track,
        };
        let token = make_pwd();
        let etag = make_ufrag(thread);
        let entry = Entry {
            id,
            thread,
            key: channel.key().clone(),
            etag: etag.clone(),
            mid: offer
                .sections
                .first()
                .map(|s| s.mid.clone())
                .unwrap_or_default(),
            shared,
        };
        {
            let mut registry = self.lock();
            // Others may have come while this one waited for its camera.
            let sessions = registry.by_token.len();
            if sessions >= self.max_sessions {
                return Err(Refusal::Full(sessions));
            }
            registry.tokens.insert(id, token.clone());
            registry.by_token.insert(token.clone(), entry);
        }
        if queue
            .try_send(SenderCommand::Create(Box::new(seed)))
            .is_err()
        {
            forget(&mut self.lock(), id);
            return Err(fail("the sender thread is overloaded".into()));
        }
        let sdp = agreement.answer(offer, &local, id.0);
        tracing::info!(session = %id, channel = %channel.key(), "viewer session created");
        Ok(Answer {
            token,
            sdp,
            etag,
            id,
            profile,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Takes a fragment (RFC 8840): candidates, or an ICE restart if it has other credentials than
    /// before. `etag` is what the viewer believes the ICE session to be; `None` stands for any.
    pub async fn fragment(
        &self,
        token: &str,
        etag: Option<&str>,
        fragment: &str,
    ) -> Result<Fragment, Refusal> {
        let (id, thread, current, mid) = {
            let registry = self.lock();
            let entry = registry
                .by_token
                .get(token)
                .ok_or(Refusal::UnknownSession)?;
            (
                entry.id,
                entry.thread,
                entry.etag.clone(),
                entry.mid.clone(),
            )
        };
        if etag.is_some_and(|etag| etag != current) {
            return Err(Refusal::Stale);
        }
        let queue = self.queues.get(thread).ok_or(Refusal::UnknownSession)?;
        let overloaded = || Refusal::Internal("the sender thread is overloaded".into());
        let candidates = fragment::candidates(fragment);
        // With `*` as entity tag the viewer asks for a restart (RFC 9725 section 4.3.3).
        if etag.is_none() {
            let remote = fragment::credentials(fragment).map_err(Refusal::Fragment)?;
            let local = IceCredentials::make(thread);
            let (done, restarted) = oneshot::channel();
            let restart = SenderCommand::RestartIce {
                id,
                local: local.clone(),
                remote,
                done,
            };
            queue.try_send(restart).map_err(|_full| overloaded())?;
            if !restarted.await.unwrap_or(false) {
                return Err(Refusal::UnknownSession);
            }
            let etag = make_ufrag(thread);
            if let Some(entry) = self.lock().by_token.get_mut(token) {
                entry.etag.clone_from(&etag);
            }
            if !candidates.is_empty() {
                queue
                    .try_send(SenderCommand::Candidates(id, candidates))
                    .map_err(|_full| overloaded())?;
            }
            return Ok(Fragment::Restarted {
                sdp: fragment::restarted(&local, &mid, &self.addresses),
                etag,
            });
        }
        queue
            .try_send(SenderCommand::Candidates(id, candidates))
            .map_err(|_full| overloaded())?;
        Ok(Fragment::Trickled)
    }

    /// Ends a session at its viewer's wish. False if there is none of that name.
    pub fn delete(&self, token: &str) -> bool {
        let found = self.lock().by_token.get(token).map(|e| (e.id, e.thread));
        found.is_some_and(|(id, thread)| self.end(id, thread, EndReason::Deleted))
    }

    fn end(&self, id: SessionId, thread: usize, reason: EndReason) -> bool {
        let queue = self.queues.get(thread);
        queue.is_some_and(|q| q.try_send(SenderCommand::End(id, reason)).is_ok())
    }

    /// Ends a session by its number.
    pub fn end_session(&self, id: u64, reason: EndReason) -> bool {
        let id = SessionId(id);
        let thread = {
            let registry = self.lock();
            registry
                .tokens
                .get(&id)
                .and_then(|t| registry.by_token.get(t))
                .map(|e| e.thread)
        };
        thread.is_some_and(|thread| self.end(id, thread, reason))
    }

    /// Whether a session of that name exists, and of which camera it is.
    pub fn session_of(&self, token: &str) -> Option<ChannelKey> {
        self.lock().by_token.get(token).map(|e| e.key.clone())
    }

    /// All sessions, oldest first.
    pub fn sessions(&self) -> Vec<SessionInfo> {
        let mut list: Vec<SessionInfo> = self
            .lock()
            .by_token
            .values()
            .map(|e| e.shared.info(&e.key))
            .collect();
        list.sort_by_key(|s| s.id);
        list
    }

    /// Ends all sessions with a goodbye, then the threads.
    pub async fn shut_down(&self, deadline: Duration) {
        let goodbyes: Vec<oneshot::Receiver<()>> = self
            .queues
            .iter()
            .filter_map(|queue| {
                let (done, finished) = oneshot::channel();
                queue
                    .try_send(SenderCommand::Shutdown(done))
                    .ok()
                    .map(|()| finished)
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
        self.tasks.stop(deadline).await;
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(|e| e.into_inner()));
        for thread in threads {
            // A thread that panicked has said so.
            drop(thread.join());
        }
    }
}

fn forget(registry: &mut Registry, id: SessionId) {
    if let Some(token) = registry.tokens.remove(&id) {
        registry.by_token.remove(&token);
    }
}

fn forget_when_ended(registry: &Arc<Mutex<Registry>>) -> OnEnd {
    let registry = Arc::clone(registry);
    Arc::new(move |id, _reason| {
        forget(&mut registry.lock().unwrap_or_else(|e| e.into_inner()), id);
    })
}
