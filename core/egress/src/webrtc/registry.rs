//! Which viewer sessions there are: by the token that only their viewer knows, and by number.
//!
//! Owner: `whep` adds, the sender threads take away when a session has ended. No more are in it than may
//! be served at a time: the limit stands here. Cost: a look-up under a lock, never per packet.
//! Not here: the sessions themselves, which their threads own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use taimat_base::SessionId;
use taimat_hub::ChannelKey;

use super::info::{SessionFigures, SessionInfo};
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

#[derive(Default)]
struct Registered {
    by_token: HashMap<String, RegisteredSession>,
    tokens: HashMap<SessionId, String>,
}

/// All sessions.
pub(super) struct SessionRegistry {
    max_sessions: usize,
    registered: Mutex<Registered>,
}

impl SessionRegistry {
    /// None yet, and never more than this.
    pub(super) fn new(max_sessions: usize) -> Self {
        Self {
            max_sessions,
            registered: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registered> {
        self.registered.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Whether one more may come; if not, how many there are.
    pub(super) fn check_room(&self) -> Result<(), usize> {
        self.room_in(&self.lock())
    }

    fn room_in(&self, registered: &Registered) -> Result<(), usize> {
        match registered.by_token.len() {
            sessions if sessions >= self.max_sessions => Err(sessions),
            _ => Ok(()),
        }
    }

    /// One more, if there is room; if not, how many there are.
    pub(super) fn add(&self, token: String, session: RegisteredSession) -> Result<(), usize> {
        let mut registered = self.lock();
        self.room_in(&registered)?;
        registered.tokens.insert(session.id, token.clone());
        registered.by_token.insert(token, session);
        Ok(())
    }

    /// It has ended.
    pub(super) fn forget(&self, id: SessionId) {
        let mut registered = self.lock();
        if let Some(token) = registered.tokens.remove(&id) {
            registered.by_token.remove(&token);
        }
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
    use taimat_base::{CameraKey, Profile};

    fn session(id: SessionId, thread: usize) -> RegisteredSession {
        let camera = CameraKey::new("c".parse().unwrap(), "a".parse().unwrap());
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
        let registry = SessionRegistry::new(2);
        let [a, b, c] = [(); 3].map(|()| SessionId::next());
        registry.add("token a".into(), session(a, 0)).unwrap();
        assert_eq!(registry.check_room(), Ok(()));
        registry.add("token b".into(), session(b, 1)).unwrap();
        assert_eq!(registry.check_room(), Err(2));
        assert_eq!(registry.add("token c".into(), session(c, 0)), Err(2));
        assert!(registry.by_number(c).is_none());
        registry.forget(a);
        registry.forget(a);
        assert_eq!(registry.find("token a", |s| s.id), None);
        registry.add("token c".into(), session(c, 0)).unwrap();
        let numbers: Vec<u64> = registry.list().iter().map(|s| s.id).collect();
        assert_eq!(numbers, [b.0, c.0]);
    }

    #[test]
    fn sessions_are_found_by_token_and_by_number() {
        let registry = SessionRegistry::new(10);
        let id = SessionId::next();
        registry.add("token".into(), session(id, 3)).unwrap();
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
