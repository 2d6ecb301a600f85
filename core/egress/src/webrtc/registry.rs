//! Which viewer sessions there are: by the token that only their viewer knows, and by number.
//!
//! Owner: `whep` adds, the sender threads say when one is connected and take away what has ended. No more
//! are in it than may be served at a time, and an address has its share of them. Offers that nobody has
//! connected to yet have places of their own, fewer: they cost nothing to make, and each is there for
//! seconds. Some places are kept for each commune, however many watch another one. Cost: a look-up under a
//! lock, never per packet.
//! Not here: the sessions themselves, which their threads own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use taimat_base::budget::{Allotment, Cut};
use taimat_base::guarantees::Guarantees;
use taimat_base::peer::PeerNetwork;
use taimat_base::shares::{Refused, Shares};
use taimat_base::{CommuneId, SessionId};
use taimat_hub::ChannelKey;

use super::info::{SessionFigures, SessionInfo};
use super::refusal::Refusal;
use super::stun::IceCredentials;

/// What is known of a session outside its thread.
pub(super) struct RegisteredSession {
    pub(super) id: SessionId,
    /// The sender thread that owns it.
    pub(super) thread: usize,
    /// What it shows.
    pub(super) key: ChannelKey,
    /// Names its ICE session.
    pub(super) etag: String,
    /// The viewer's half of that ICE session.
    pub(super) remote: IceCredentials,
    /// The name of the media section that speaks for the transport, which fragments go under.
    pub(super) mid: String,
    pub(super) figures: Arc<SessionFigures>,
}

struct Registered {
    by_token: HashMap<String, RegisteredSession>,
    tokens: HashMap<SessionId, String>,
    /// Of all sessions. Those that are connected are settled.
    viewers: Shares,
    /// Of those that are not connected yet.
    offers: Shares,
    /// The same places as `viewers`, by what is watched.
    communes: Guarantees<CommuneId>,
}

/// A session that had to make room for another one. It is forgotten already.
pub(super) struct DisplacedSession {
    /// The sender thread that owns it.
    pub(super) thread: usize,
    pub(super) figures: Arc<SessionFigures>,
}

/// All sessions.
pub(super) struct SessionRegistry {
    viewers: Allotment,
    offers: Allotment,
    registered: Mutex<Registered>,
}

/// Why there is no room for one more.
enum NoRoom {
    /// No place for one more viewer of that address.
    Viewer(Refused),
    /// No place for one more offer of that address.
    Offer(Refused),
    /// What is left is kept for viewers of other communes.
    Commune,
}

impl Registered {
    /// Which session has to go for one more of that address, if one has to.
    fn room(&self, peer: PeerNetwork, commune: &CommuneId) -> Result<Option<SessionId>, NoRoom> {
        let viewer = self.viewers.would(peer).map_err(NoRoom::Viewer)?;
        let offer = self.offers.would(peer).map_err(NoRoom::Offer)?;
        let going = viewer.or(offer).map(SessionId);
        let session = going.and_then(|id| self.by_token.get(self.tokens.get(&id)?));
        let leaving = session.map(|session| &session.key.camera.commune);
        match self.communes.may_take(commune, leaving) {
            true => Ok(going),
            false => Err(NoRoom::Commune),
        }
    }

    fn remove(&mut self, id: SessionId) -> Option<RegisteredSession> {
        self.viewers.leave(id.0);
        self.offers.leave(id.0);
        let token = self.tokens.remove(&id)?;
        let session = self.by_token.remove(&token)?;
        self.communes.give_back(&session.key.camera.commune);
        Some(session)
    }
}

impl SessionRegistry {
    /// None yet. `viewers` has places for all sessions, `offers` for those that are not connected yet.
    pub(super) fn new(viewers: Allotment, offers: Allotment) -> Self {
        let registered = Registered {
            by_token: HashMap::new(),
            tokens: HashMap::new(),
            viewers: Shares::new(viewers.limit),
            offers: Shares::new(offers.limit),
            communes: Guarantees::new(viewers.limit),
        };
        Self {
            viewers,
            offers,
            registered: Mutex::new(registered),
        }
    }

    /// What is held after a change, for metrics.
    fn count(&self, registered: &Registered) {
        self.viewers.hold(registered.viewers.held());
        self.offers.hold(registered.offers.held());
    }

    /// Counts that there is no room for one more, and says why.
    fn refused(&self, registered: &Registered, why: &NoRoom) -> Refusal {
        match why {
            NoRoom::Viewer(why) => self.viewers.refuse(*why),
            NoRoom::Offer(why) => self.offers.refuse(*why),
            NoRoom::Commune => self.viewers.refuse(Refused::Full),
        }
        match why {
            NoRoom::Viewer(Refused::Share) | NoRoom::Offer(Refused::Share) => Refusal::Share,
            NoRoom::Viewer(Refused::Full) => Refusal::Full(registered.by_token.len()),
            // They are connected, or gone, in a moment.
            NoRoom::Offer(Refused::Full) => Refusal::Overloaded,
            NoRoom::Commune => Refusal::CommuneFull,
        }
    }

    /// From now on some places are kept for viewers of each of these communes.
    pub(super) fn keep_for(&self, communes: impl IntoIterator<Item = CommuneId>) {
        self.lock().communes.keep_for(communes);
    }

    fn lock(&self) -> MutexGuard<'_, Registered> {
        self.registered.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Whether one more of that address may come, to watch that commune.
    pub(super) fn check_room(&self, peer: PeerNetwork, commune: &CommuneId) -> Result<(), Refusal> {
        let registered = self.lock();
        let room = registered.room(peer, commune).map(drop);
        room.map_err(|why| self.refused(&registered, &why))
    }

    /// One more of that address, if there is room. Whoever had to go for it has to be told so.
    pub(super) fn add(
        &self,
        peer: PeerNetwork,
        token: String,
        session: RegisteredSession,
    ) -> Result<Option<DisplacedSession>, Refusal> {
        let mut registered = self.lock();
        let room = registered.room(peer, &session.key.camera.commune);
        let going = room.map_err(|why| self.refused(&registered, &why))?;
        // It had a place of both kinds, for whoever is not connected is the only one that may have to go.
        let going = going.and_then(|id| registered.remove(id));
        let displaced = going.map(|going| DisplacedSession {
            thread: going.thread,
            figures: going.figures,
        });
        if displaced.is_some() {
            self.offers.cut(Cut::Displaced);
        }
        registered.viewers.take(peer, session.id.0);
        registered.offers.take(peer, session.id.0);
        registered.communes.take(&session.key.camera.commune);
        registered.tokens.insert(session.id, token.clone());
        registered.by_token.insert(token, session);
        self.count(&registered);
        Ok(displaced)
    }

    /// Its viewer is there: it stays, and is no mere offer any more.
    pub(super) fn connected(&self, id: SessionId) {
        let mut registered = self.lock();
        registered.viewers.settle(id.0);
        registered.offers.leave(id.0);
        self.count(&registered);
    }

    /// It has ended.
    pub(super) fn forget(&self, id: SessionId) {
        let mut registered = self.lock();
        registered.remove(id);
        self.count(&registered);
    }

    /// What `look` sees of the session with that token.
    pub(super) fn find<T>(
        &self,
        token: &str,
        look: impl FnOnce(&RegisteredSession) -> T,
    ) -> Option<T> {
        self.lock().by_token.get(token).map(look)
    }

    /// The thread that owns the session with that number, and its figures.
    pub(super) fn by_number(&self, id: SessionId) -> Option<(usize, Arc<SessionFigures>)> {
        let registered = self.lock();
        let token = registered.tokens.get(&id)?;
        let session = registered.by_token.get(token)?;
        Some((session.thread, Arc::clone(&session.figures)))
    }

    /// Its ICE session is another one from now on. The name that fragments go under.
    pub(super) fn restarted(
        &self,
        token: &str,
        etag: &str,
        remote: IceCredentials,
    ) -> Option<String> {
        let mut registered = self.lock();
        let session = registered.by_token.get_mut(token)?;
        etag.clone_into(&mut session.etag);
        session.remote = remote;
        Some(session.mid.clone())
    }

    /// All sessions, oldest first.
    pub(super) fn list(&self) -> Vec<SessionInfo> {
        // Collected first: figures have a lock of their own.
        let sessions: Vec<(ChannelKey, Arc<SessionFigures>)> = self
            .lock()
            .by_token
            .values()
            .map(|s| (s.key.clone(), Arc::clone(&s.figures)))
            .collect();
        let infos = sessions.iter().map(|(key, figures)| figures.info(key));
        let mut list: Vec<SessionInfo> = infos.collect();
        list.sort_by_key(|s| s.id);
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};
    use taimat_base::budget::BudgetMetrics;
    use taimat_base::{CameraKey, Profile};

    fn peer(number: u8) -> PeerNetwork {
        IpAddr::from(Ipv4Addr::new(192, 0, 2, number)).into()
    }

    fn registry(viewers: usize, offers: usize) -> SessionRegistry {
        let metrics = BudgetMetrics::register(&prometheus::Registry::new()).unwrap();
        SessionRegistry::new(
            metrics.allot("viewers", viewers),
            metrics.allot("offers", offers),
        )
    }

    /// Adds one of that address that nobody has connected to, and says which had to go for it.
    fn offer(
        registry: &SessionRegistry,
        number: u8,
    ) -> Result<(SessionId, Option<SessionId>), Refusal> {
        let id = SessionId::next();
        let displaced = registry.add(peer(number), format!("token {id}"), session(id, 0))?;
        Ok((id, displaced.map(|d| d.figures.id)))
    }

    fn session(id: SessionId, thread: usize) -> RegisteredSession {
        session_of("c", id, thread)
    }

    fn session_of(commune: &str, id: SessionId, thread: usize) -> RegisteredSession {
        let camera = CameraKey::new(commune.parse().unwrap(), "a".parse().unwrap());
        RegisteredSession {
            id,
            thread,
            key: ChannelKey::new(camera, Profile::Main),
            etag: "first".into(),
            remote: IceCredentials::make(0),
            mid: "video0".into(),
            figures: Arc::new(SessionFigures::new(id, "H.264")),
        }
    }

    #[test]
    fn no_more_are_taken_than_may_be_until_one_has_ended() {
        let registry = registry(2, 2);
        let (a, _) = offer(&registry, 1).unwrap();
        let commune = "c".parse().unwrap();
        registry.check_room(peer(2), &commune).unwrap();
        assert!(matches!(offer(&registry, 1), Err(Refusal::Share)));
        let (b, _) = offer(&registry, 2).unwrap();
        let full = registry.check_room(peer(3), &commune);
        assert!(matches!(full, Err(Refusal::Full(2))), "{full:?}");
        assert!(matches!(offer(&registry, 3), Err(Refusal::Full(2))));
        registry.forget(a);
        registry.forget(a);
        assert!(registry.by_number(a).is_none());
        let (c, _) = offer(&registry, 3).unwrap();
        let numbers: Vec<u64> = registry.list().iter().map(|s| s.id).collect();
        assert_eq!(numbers, [b.0, c.0]);
    }

    #[test]
    fn offers_of_one_address_leave_room_and_who_is_connected_is_no_offer() {
        let registry = registry(100, 8);
        let flood = (0..1000).filter_map(|_| offer(&registry, 1).ok());
        let flood: Vec<SessionId> = flood.map(|(id, _)| id).collect();
        assert_eq!(flood.len(), 4);
        // An office whose viewers connect one after the other.
        for _ in 0..48 {
            let (id, displaced) = offer(&registry, 2).unwrap();
            assert_eq!(displaced, None);
            registry.connected(id);
        }
        assert!(matches!(offer(&registry, 2), Err(Refusal::Share)));
        assert!(offer(&registry, 3).is_ok());
    }

    #[test]
    fn where_offers_have_no_place_left_the_newest_of_the_greediest_goes() {
        let registry = registry(100, 4);
        let (first, _) = offer(&registry, 1).unwrap();
        let (second, _) = offer(&registry, 1).unwrap();
        for number in [2, 3] {
            offer(&registry, number).unwrap();
        }
        let (_, displaced) = offer(&registry, 4).unwrap();
        assert_eq!(displaced, Some(second));
        assert!(registry.by_number(second).is_none() && registry.by_number(first).is_some());
        // It is told so by its thread, and that it ended changes nothing any more.
        registry.connected(second);
        registry.forget(second);
        assert_eq!(registry.list().len(), 4);
    }

    #[test]
    fn places_are_kept_for_a_commune_however_many_watch_another_one() {
        let registry = registry(16, 16);
        registry.keep_for(["c", "d"].map(|commune| commune.parse().unwrap()));
        let watch = |number, commune| {
            let id = SessionId::next();
            let session = session_of(commune, id, 0);
            let added = registry.add(peer(number), format!("token {id}"), session);
            registry.connected(id);
            added.map(|_displaced| id)
        };
        let watching: Vec<_> = (1..=20).map_while(|n| watch(n, "c").ok()).collect();
        assert_eq!(watching.len(), 12);
        assert!(matches!(watch(50, "c"), Err(Refusal::CommuneFull)));
        for number in 30..34 {
            assert!(watch(number, "d").is_ok(), "{number}");
        }
        assert!(matches!(watch(51, "d"), Err(Refusal::Full(16))));
        registry.forget(watching[0]);
        assert!(watch(52, "c").is_ok());
    }

    #[test]
    fn sessions_are_found_by_token_and_by_number() {
        let registry = registry(10, 10);
        let id = SessionId::next();
        let added = registry.add(peer(1), "token".into(), session(id, 3));
        assert!(added.unwrap().is_none());
        let found = registry
            .by_number(id)
            .map(|(thread, figures)| (thread, figures.id));
        assert_eq!(found, Some((3, id)));
        let remote = IceCredentials::make(1);
        let mid = registry.restarted("token", "second", remote.clone());
        assert_eq!(mid.as_deref(), Some("video0"));
        assert_eq!(registry.restarted("other", "third", remote.clone()), None);
        let known = registry.find("token", |s| (s.etag.clone(), s.remote.clone()));
        assert_eq!(known, Some(("second".to_owned(), remote)));
    }
}
