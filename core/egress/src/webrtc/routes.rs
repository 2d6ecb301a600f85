//! Which sender thread a datagram is for that came to the socket that all share.
//!
//! By the user name fragment that a STUN request names, once a session has told it to its viewer; by the
//! address, once that has proven to be a viewer's. What is neither's costs one look-up and no thread. Nor may
//! one viewer fill a thread's queue, in which others wait: each name and each address has a rate.
//!
//! Owner: `senders` makes it; `senders` and the threads write, the receivers and the threads ask.
//! Cost: a lock a datagram of viewers that have no socket of their own, none for media.
//! Not here: whether a datagram is genuine.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use taimat_base::bucket::Bucket;

use super::stun;
use crate::metrics::DropCause;

/// Datagrams a second that are handed over for one name or address, and at once: a viewer that connects sends
/// fewer than fifty, one without a socket of its own some hundred reports.
const RATE: f64 = 500.0;
const BURST: f64 = 500.0;

#[derive(Debug, Clone, Copy)]
struct Route {
    thread: usize,
    left: Bucket,
}

impl Route {
    fn to(thread: usize) -> Self {
        Self {
            thread,
            left: Bucket::new(RATE, BURST),
        }
    }
}

#[derive(Debug, Default)]
struct Known {
    names: HashMap<String, Route>,
    peers: HashMap<SocketAddr, Route>,
}

/// All that is known.
#[derive(Debug, Default)]
pub(super) struct Routes(Mutex<Known>);

impl Routes {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// A viewer is told this user name fragment of ours.
    pub(super) fn expect(&self, ufrag: &str, thread: usize) {
        let mut known = self.lock();
        known.names.insert(ufrag.to_owned(), Route::to(thread));
    }

    /// It names no session any more.
    pub(super) fn forget(&self, ufrag: &str) {
        self.lock().names.remove(ufrag);
    }

    /// An address has proven to be of a viewer of that thread.
    pub(super) fn learn(&self, peer: SocketAddr, thread: usize) {
        let mut known = self.lock();
        match known.peers.get_mut(&peer) {
            // What it has used up stays so.
            Some(route) => route.thread = thread,
            None => drop(known.peers.insert(peer, Route::to(thread))),
        }
    }

    /// The thread has no viewer there any more. Another one may have by now: then that stays.
    pub(super) fn leave(&self, peer: &SocketAddr, thread: usize) {
        let mut known = self.lock();
        if known.peers.get(peer).is_some_and(|r| r.thread == thread) {
            known.peers.remove(peer);
        }
    }

    /// The thread that an address belongs to.
    pub(super) fn of_peer(&self, peer: &SocketAddr) -> Option<usize> {
        self.lock().peers.get(peer).map(|route| route.thread)
    }

    /// The thread that a datagram is for.
    pub(super) fn find(
        &self,
        datagram: &[u8],
        peer: &SocketAddr,
        now: Instant,
    ) -> Result<usize, DropCause> {
        let known = &mut *self.lock();
        let named = stun::local_ufrag(datagram).and_then(|ufrag| known.names.get_mut(ufrag));
        let route = match named {
            Some(route) => route,
            None => known.peers.get_mut(peer).ok_or(DropCause::UnknownPeer)?,
        };
        if route.left.take(now) {
            Ok(route.thread)
        } else {
            Err(DropCause::Flood)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use taimat_base::clock;

    use super::super::stun::{make_ufrag, tests::request};
    use super::*;

    const MEDIA: [u8; 4] = [0x80, 200, 0, 1];

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    #[test]
    fn only_names_that_were_told_and_addresses_that_were_proven_lead_anywhere() {
        let (routes, now) = (Routes::default(), clock::now());
        let ours = make_ufrag(3);
        let check = request(&format!("{ours}:theirs"));
        let find = |datagram: &[u8], port| routes.find(datagram, &peer(port), now);
        assert_eq!(find(&check, 1), Err(DropCause::UnknownPeer));
        assert_eq!(find(&MEDIA, 1), Err(DropCause::UnknownPeer));
        routes.expect(&ours, 3);
        assert_eq!(find(&check, 1), Ok(3));
        routes.learn(peer(1), 3);
        assert_eq!(find(&MEDIA, 1), Ok(3));
        assert_eq!(find(&MEDIA, 2), Err(DropCause::UnknownPeer));
        routes.forget(&ours);
        assert_eq!(find(&check, 2), Err(DropCause::UnknownPeer));
        // What another thread has taken over stays.
        routes.learn(peer(1), 2);
        routes.leave(&peer(1), 3);
        assert_eq!(routes.of_peer(&peer(1)), Some(2));
        routes.leave(&peer(1), 2);
        assert_eq!(routes.of_peer(&peer(1)), None);
    }

    #[test]
    fn one_viewer_can_not_fill_a_threads_queue() {
        let (routes, now) = (Routes::default(), clock::now());
        let (greedy, other) = (make_ufrag(0), make_ufrag(0));
        routes.expect(&greedy, 0);
        routes.expect(&other, 0);
        let flood = request(&format!("{greedy}:x"));
        let taken = |now| {
            let all = (0..20_000_u16).map(|port| routes.find(&flood, &peer(port), now));
            all.filter(Result::is_ok).count()
        };
        assert_eq!(taken(now), 500);
        let check = request(&format!("{other}:x"));
        assert_eq!(routes.find(&check, &peer(1), now), Ok(0));
        assert_eq!(taken(now + Duration::from_secs(1)), 500);
        // Nor by telling again where it is.
        routes.learn(peer(1), 0);
        for _ in 0..1000 {
            routes.learn(peer(1), 0);
            let _taken = routes.find(&MEDIA, &peer(1), now);
        }
        assert_eq!(routes.find(&MEDIA, &peer(1), now), Err(DropCause::Flood));
    }
}
