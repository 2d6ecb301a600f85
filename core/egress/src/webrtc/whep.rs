//! WHEP (draft-ietf-wish-whep-04) without HTTP: offers in, answers out, fragments, ends.
//!
//! Owner: `server` makes one; `api` asks it. Cost: per viewer and per request, nothing per packet.
//! Not here: which sessions there are and how many may be (`registry`), the threads that own them
//! (`senders`), what an answer says (`negotiate`).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use taimat_base::budget::Allotment;
use taimat_base::peer::PeerNetwork;
use taimat_base::tasks::Stop;
use taimat_base::{CameraKey, CommuneId, Profile, SessionId, clock};
use taimat_hub::{Channel, ChannelKey, Hub};
use taimat_media::StreamInfo;
use tokio::sync::oneshot;

use super::addresses::{Advertised, bind, stand_in};
use super::answer::LocalDescription;
use super::command::{SenderCommand, SessionNews};
use super::entity_tags::EntityTags;
use super::fragment::{self, SdpFragment};
use super::ice::IceSeed;
use super::identity::Identity;
use super::info::{EndReason, SessionFigures, SessionInfo};
use super::negotiate::{Agreement, agree};
use super::offer::{Offer, PeerTransport};
use super::refusal::Refusal;
use super::registry::{RegisteredSession, SessionRegistry};
use super::senders::{Senders, Untold};
use super::session::SessionSeed;
use super::socket::RtcSocket;
use super::stun::{IceCredentials, make_pwd, make_ufrag};
use crate::live::live;
use crate::metrics::EgressMetrics;
use crate::track::Tracks;

/// How viewers are served.
#[derive(Debug, Clone)]
pub struct WhepConfig {
    /// UDP addresses to bind, all with the same port.
    pub bind: Vec<SocketAddr>,
    /// Addresses that viewers reach us at, if they are not those of the interfaces.
    pub public: Vec<IpAddr>,
    /// Sender threads; 0 is one per core.
    pub threads: usize,
    /// How many may be served.
    pub places: ViewerPlaces,
}

/// Places for viewers.
#[derive(Debug, Clone)]
pub struct ViewerPlaces {
    /// For all sessions.
    pub sessions: Allotment,
    /// For those of them that are not connected yet.
    pub offers: Allotment,
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

/// Serves WebRTC viewers.
pub struct Whep {
    hub: Arc<Hub>,
    tracks: Arc<Tracks>,
    registry: Arc<SessionRegistry>,
    senders: Senders,
    metrics: Arc<EgressMetrics>,
    identity: Identity,
    sockets: Arc<[RtcSocket]>,
    /// What viewers are told.
    addresses: Advertised,
    /// One per socket, towards the ICE agents.
    locals: Vec<SocketAddr>,
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
        config: &WhepConfig,
        hub: Arc<Hub>,
        tracks: Arc<Tracks>,
        metrics: Arc<EgressMetrics>,
        stop: &Stop,
    ) -> io::Result<Self> {
        let identity = Identity::generate().map_err(io::Error::other)?;
        let sockets: Arc<[RtcSocket]> = bind(&config.bind)?.into();
        let bound: Vec<SocketAddr> = sockets.iter().map(RtcSocket::local_addr).collect();
        let segments = sockets.iter().map(RtcSocket::max_segments).max();
        metrics
            .gso
            .set(i64::try_from(segments.unwrap_or(1)).unwrap_or(1));
        let ViewerPlaces { sessions, offers } = config.places.clone();
        let registry = Arc::new(SessionRegistry::new(sessions, offers));
        let news = told_to(&registry);
        let senders = Senders::start(&sockets, config.threads, &metrics, &news, stop)?;
        Ok(Self {
            hub,
            tracks,
            registry,
            senders,
            metrics,
            identity,
            sockets,
            addresses: Advertised::new(&bound, &config.public, clock::now()),
            locals: bound.iter().map(|a| stand_in(*a)).collect(),
        })
    }

    /// The addresses that viewers are told: those that the interfaces have by now.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.at(clock::now())
    }

    /// From now on half of the places is kept for viewers of these communes, for each the same.
    pub fn keep_places_for(&self, communes: impl IntoIterator<Item = CommuneId>) {
        self.registry.keep_for(communes);
    }

    /// Goes on as if the kernel had no UDP_SEGMENT (for benches).
    pub fn forget_segments(&self, batch_too: bool) {
        self.sockets
            .iter()
            .for_each(|s| s.forget_segments(batch_too));
    }

    /// Answers an offer that came from `peer`. With `profile` unset, the main profile is sent, or the sub
    /// profile if the viewer plays only that.
    pub async fn offer(
        &self,
        peer: PeerNetwork,
        camera: &CameraKey,
        profile: Option<Profile>,
        offer: &[u8],
    ) -> Result<Answer, Refusal> {
        let answered = self.try_offer(peer, camera, profile, offer).await;
        if let Err(refusal) = &answered
            && let Some(failure) = refusal.connect_failure()
        {
            self.metrics.failure(failure);
        }
        answered
    }

    async fn try_offer(
        &self,
        peer: PeerNetwork,
        camera: &CameraKey,
        profile: Option<Profile>,
        offer: &[u8],
    ) -> Result<Answer, Refusal> {
        let offer = Offer::parse(offer)?;
        self.registry.check_room(peer, &camera.commune)?;
        let first = profile.unwrap_or_default();
        let ssrcs = [rand::random(), rand::random()];
        let mut refusal = None;
        for profile in [first, first.other()] {
            match self.live(camera, profile).await {
                Ok((channel, info)) => match agree(&offer, &info, ssrcs) {
                    Ok(agreement) => {
                        return self.create(peer, &channel, &info, &offer, &agreement);
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
        peer: PeerNetwork,
        channel: &Arc<Channel>,
        info: &Arc<StreamInfo>,
        offer: &Offer,
        agreement: &Agreement,
    ) -> Result<Answer, Refusal> {
        let thread = self.senders.next();
        let id = SessionId::next();
        let codec = info.video.as_ref().map_or("", |v| v.codec.name());
        let figures = Arc::new(SessionFigures::new(id, codec));
        let section = agreement.video.section;
        let transport = offer.transport(section)?;
        let ice = self.ice(thread, offer, agreement, transport);
        let remote = ice.remote.clone();
        let local = LocalDescription {
            ufrag: ice.local.ufrag.clone(),
            pwd: ice.local.pwd.clone(),
            fingerprint: self.identity.fingerprint().to_owned(),
            addresses: self.addresses(),
        };
        let track = self.tracks.watch(channel, info);
        let dtls = self.identity.handshake(transport.fingerprints.clone());
        let seed = SessionSeed {
            figures: Arc::clone(&figures),
            agreement: agreement.clone(),
            ice,
            dtls: dtls.map_err(Refusal::Internal)?,
            metrics: self.metrics.viewer(track.key()),
            track,
        };
        let (token, etag) = (make_pwd(), make_ufrag(thread));
        let tagged = offer.sections.get(offer.tagged(section));
        let registered = RegisteredSession {
            id,
            thread,
            key: channel.key().clone(),
            etag: etag.clone(),
            remote,
            mid: tagged.map(|s| s.mid.clone()).unwrap_or_default(),
            figures,
        };
        // Others may have come while this one waited for its camera.
        let displaced = self.registry.add(peer, token.clone(), registered)?;
        if let Some(displaced) = displaced {
            self.end(displaced.thread, &displaced.figures, EndReason::Displaced);
        }
        if let Err(refusal) = self.tell(thread, SenderCommand::Create(Box::new(seed))) {
            self.registry.forget(id);
            return Err(refusal);
        }
        let sdp = agreement.answer(offer, &local, id.0);
        tracing::info!(session = %id, channel = %channel.key(), "viewer session created");
        Ok(Answer {
            token,
            sdp,
            etag,
            id,
            profile: channel.key().profile,
        })
    }

    /// What the agent of a new session is made of.
    fn ice(
        &self,
        thread: usize,
        offer: &Offer,
        agreement: &Agreement,
        peer: &PeerTransport,
    ) -> IceSeed {
        IceSeed {
            local: IceCredentials::make(thread),
            remote: IceCredentials {
                ufrag: peer.ufrag.clone(),
                pwd: peer.pwd.clone(),
            },
            // Who only answers checks leaves the choice of the way to us.
            controlling: offer.ice_lite,
            candidates: offer.candidates(agreement.video.section),
            locals: self.locals.clone(),
            provider: Arc::clone(self.identity.provider()),
        }
    }

    fn tell(&self, thread: usize, command: SenderCommand) -> Result<(), Refusal> {
        self.senders.tell(thread, command).map_err(|why| match why {
            Untold::Full => Refusal::Overloaded,
            Untold::Gone => Refusal::Internal("the sender thread has ended".into()),
        })
    }

    /// Takes a fragment (RFC 8840): candidates, or an ICE restart if it has other credentials than
    /// the session began with. `tag` is what the viewer believes the ICE session to be.
    pub async fn fragment(
        &self,
        token: &str,
        tag: &EntityTags,
        fragment: &str,
    ) -> Result<Fragment, Refusal> {
        let known = |s: &RegisteredSession| (s.id, s.thread, s.etag.clone(), s.remote.clone());
        let found = self.registry.find(token, known);
        let (id, thread, current, remote) = found.ok_or(Refusal::UnknownSession)?;
        if !tag.fits(&current) {
            return Err(Refusal::Stale);
        }
        let fragment = SdpFragment::read(fragment).map_err(Refusal::Fragment)?;
        match fragment.credentials {
            Some(other) if other != remote => {
                // A restart is asked for by `*` (RFC 9725 section 4.3.3). Under the session's tag these
                // are candidates that came too early or too late.
                if *tag != EntityTags::Any {
                    return Err(Refusal::Fragment(
                        "its a=ice-ufrag is of another ICE session",
                    ));
                }
                self.restart(token, id, thread, other, fragment.candidates)
                    .await
            }
            None if *tag == EntityTags::Any && fragment.candidates.is_empty() => Err(
                Refusal::Fragment("an ICE restart needs a=ice-ufrag and a=ice-pwd"),
            ),
            // The viewer says whose candidates they are: no reason to begin anew.
            _ => {
                let candidates = fragment.candidates;
                self.tell(thread, SenderCommand::Candidates(id, candidates))?;
                Ok(Fragment::Trickled)
            }
        }
    }

    async fn restart(
        &self,
        token: &str,
        id: SessionId,
        thread: usize,
        remote: IceCredentials,
        candidates: Vec<String>,
    ) -> Result<Fragment, Refusal> {
        let local = IceCredentials::make(thread);
        let (done, restarted) = oneshot::channel();
        let restart = SenderCommand::RestartIce {
            id,
            local: local.clone(),
            remote: remote.clone(),
            done,
        };
        self.tell(thread, restart)?;
        if !restarted.await.unwrap_or(false) {
            return Err(Refusal::UnknownSession);
        }
        let etag = make_ufrag(thread);
        let mid = self.registry.restarted(token, &etag, remote);
        if !candidates.is_empty() {
            self.tell(thread, SenderCommand::Candidates(id, candidates))?;
        }
        Ok(Fragment::Restarted {
            sdp: fragment::restarted(&local, &mid.unwrap_or_default(), &self.addresses()),
            etag,
        })
    }

    /// Ends a session at its viewer's wish. False if there is none of that name.
    pub fn delete(&self, token: &str) -> bool {
        let known = |s: &RegisteredSession| (s.thread, Arc::clone(&s.figures));
        let Some((thread, figures)) = self.registry.find(token, known) else {
            return false;
        };
        self.end(thread, &figures, EndReason::Deleted);
        // For its viewer it is gone with the answer, whenever its thread comes to it.
        self.registry.forget(figures.id);
        true
    }

    /// Ends a session by its number. False if there is none of that number.
    pub fn end_session(&self, id: u64, reason: EndReason) -> bool {
        let found = self.registry.by_number(SessionId(id));
        found
            .map(|(thread, figures)| self.end(thread, &figures, reason))
            .is_some()
    }

    /// The session finds out by itself within seconds; its thread, if it can be told, ends it at once.
    fn end(&self, thread: usize, figures: &SessionFigures, reason: EndReason) {
        figures.end_with(reason);
        let told = self
            .senders
            .tell(thread, SenderCommand::End(figures.id, reason));
        if let Err(why) = told {
            tracing::debug!(session = %figures.id, ?why, "ends with its next timer");
        }
    }

    /// Whether a session of that name exists, and of which camera it is.
    pub fn session_of(&self, token: &str) -> Option<ChannelKey> {
        self.registry.find(token, |s| s.key.clone())
    }

    /// All sessions, oldest first.
    pub fn sessions(&self) -> Vec<SessionInfo> {
        self.registry.list()
    }

    /// Ends all sessions with a goodbye, then the threads.
    pub async fn shut_down(&self, deadline: Duration) {
        self.senders.shut_down(deadline).await;
    }
}

/// The registry is told what becomes of sessions.
fn told_to(registry: &Arc<SessionRegistry>) -> SessionNews {
    let (connecting, ending) = (Arc::clone(registry), Arc::clone(registry));
    SessionNews {
        connected: Arc::new(move |id| connecting.connected(id)),
        ended: Arc::new(move |id, _reason| ending.forget(id)),
    }
}

#[cfg(test)]
mod tests;
