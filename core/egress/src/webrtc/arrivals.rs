//! Waits for whatever a sender thread has to do: commands, and datagrams in its viewers' own sockets.
//!
//! The sockets stand in a set of their own, within the set that is waited with: while that is taken out of it,
//! a hundred viewers' reports wake nobody, and are read together a moment later.
//!
//! Owner: a sender thread. Cost: two system calls a wake-up, one a datagram.
//! Not here: what a datagram says.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use taimat_base::SessionId;

use super::bell::Bell;
use super::own_socket::OwnSocket;

/// After viewers' datagrams were read, how long it takes until others wake the thread. A request for
/// retransmission waits this long at most.
const PAUSE: Duration = Duration::from_millis(2);
/// Sockets that are told of at once.
const EVENTS: usize = 256;
const BELL: Token = Token(0);
const SOCKETS: Token = Token(1);

/// What one thread waits for.
#[derive(Debug)]
pub(super) struct Arrivals {
    all: Poll,
    /// The viewers' sockets, by the numbers of their sessions.
    sockets: Poll,
    events: Events,
    /// While `sockets` are not within `all`: until when.
    pause: Option<Instant>,
    readable: VecDeque<SessionId>,
    /// Which of them stand in `readable`.
    known: HashMap<usize, SessionId>,
}

impl Arrivals {
    /// Nothing to wait for yet but the bell.
    pub(super) fn new() -> io::Result<(Self, Arc<Bell>)> {
        let (all, sockets) = (Poll::new()?, Poll::new()?);
        let bell = Arc::new(Bell::new(&all, BELL)?);
        let within = sockets.as_raw_fd();
        all.registry()
            .register(&mut SourceFd(&within), SOCKETS, Interest::READABLE)?;
        let arrivals = Self {
            all,
            sockets,
            events: Events::with_capacity(EVENTS),
            pause: None,
            readable: VecDeque::new(),
            known: HashMap::new(),
        };
        Ok((arrivals, bell))
    }

    /// Listens to a session's own socket. It is forgotten when it is closed.
    pub(super) fn add(&mut self, id: SessionId, socket: &OwnSocket) -> io::Result<()> {
        let token = usize::try_from(id.0).unwrap_or(usize::MAX);
        self.sockets.registry().register(
            &mut SourceFd(&socket.fd()),
            Token(token),
            Interest::READABLE,
        )?;
        self.known.insert(token, id);
        // What came before it was listened to is told of by nobody.
        self.readable.push_back(id);
        Ok(())
    }

    /// A session is gone, and its socket with it.
    pub(super) fn forget(&mut self, id: SessionId) {
        self.known
            .remove(&usize::try_from(id.0).unwrap_or(usize::MAX));
        self.readable.retain(|other| *other != id);
    }

    /// Whether something is known to be there to be read.
    pub(super) fn is_readable(&self) -> bool {
        !self.readable.is_empty()
    }

    /// Waits until the bell rings, viewers sent something, or `most` is over.
    pub(super) fn wait(&mut self, now: Instant, most: Duration) {
        let paused = self.pause.map(|until| until.saturating_duration_since(now));
        let wait = match paused {
            _ if self.is_readable() => Duration::ZERO,
            Some(left) => left.min(most),
            None => most,
        };
        if let Err(error) = self.all.poll(&mut self.events, Some(wait))
            && error.kind() != io::ErrorKind::Interrupted
        {
            tracing::error!(%error, "waiting for viewers");
        }
        let heard = self.events.iter().any(|event| event.token() == SOCKETS);
        if heard {
            self.look();
        }
    }

    /// Ends a pause that is over. Call it after waiting.
    pub(super) fn resume(&mut self, now: Instant) {
        if self.pause.is_some_and(|until| until <= now) {
            self.pause = None;
            self.listen(true);
            self.look();
        }
    }

    /// Viewers' datagrams were read: others may gather for a moment.
    pub(super) fn rest(&mut self, now: Instant) {
        if self.pause.is_none() {
            self.pause = Some(now + PAUSE);
            self.listen(false);
        }
    }

    /// The next session whose socket has something.
    pub(super) fn next(&mut self) -> Option<SessionId> {
        self.readable.pop_front()
    }

    /// How many there are now.
    pub(super) fn count(&self) -> usize {
        self.readable.len()
    }

    /// A socket was not read to its end.
    pub(super) fn again(&mut self, id: SessionId) {
        self.readable.push_back(id);
    }

    fn listen(&self, listen: bool) {
        let within = self.sockets.as_raw_fd();
        let (source, registry) = (&mut SourceFd(&within), self.all.registry());
        let changed = if listen {
            registry.register(source, SOCKETS, Interest::READABLE)
        } else {
            registry.deregister(source)
        };
        if let Err(error) = changed {
            tracing::error!(%error, "listening to viewers");
        }
    }

    /// Learns which sockets have something.
    fn look(&mut self) {
        loop {
            if let Err(error) = self.sockets.poll(&mut self.events, Some(Duration::ZERO)) {
                tracing::debug!(%error, "looking for viewers' datagrams");
                return;
            }
            let mut told = 0;
            for event in &self.events {
                told += 1;
                self.readable.extend(self.known.get(&event.token().0));
            }
            if told < EVENTS {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use taimat_base::clock;

    use super::super::path::Path;
    use super::super::socket::RtcSocket;
    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    /// A session's own socket, and its viewer.
    struct Viewer {
        id: SessionId,
        client: UdpSocket,
        own: OwnSocket,
    }

    fn viewer(shared: &RtcSocket, arrivals: &mut Arrivals) -> Viewer {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(shared.local_addr()).unwrap();
        let path = Path {
            socket: 0,
            peer: client.local_addr().unwrap(),
            local: None,
        };
        let own = shared.own(path).unwrap();
        let id = SessionId::next();
        arrivals.add(id, &own).unwrap();
        Viewer { id, client, own }
    }

    /// Reads a socket to its end.
    fn read(own: &OwnSocket) -> usize {
        let mut buffer = [0; 100];
        std::iter::from_fn(|| own.receive(&mut buffer).ok()).count()
    }

    #[test]
    fn tells_whose_sockets_have_something_and_lets_more_gather() {
        let shared = RtcSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (mut arrivals, _bell) = Arrivals::new().unwrap();
        let viewers: Vec<Viewer> = (0..3).map(|_| viewer(&shared, &mut arrivals)).collect();
        // Each is looked at once in any case.
        assert_eq!(arrivals.count(), 3);
        while arrivals.next().is_some() {}
        let begun = clock::now();
        viewers[1].client.send(b"a").unwrap();
        arrivals.wait(begun, LONG);
        assert_eq!(arrivals.next(), Some(viewers[1].id));
        assert_eq!(arrivals.next(), None);
        assert_eq!(read(&viewers[1].own), 1);
        arrivals.rest(begun);
        // Nobody is told of these until the pause is over, and then of all together.
        for viewer in &viewers {
            viewer.client.send(b"b").unwrap();
            viewer.client.send(b"c").unwrap();
        }
        arrivals.wait(begun, Duration::ZERO);
        arrivals.resume(begun);
        assert!(!arrivals.is_readable());
        arrivals.wait(begun, LONG);
        arrivals.resume(begun + PAUSE);
        let told: Vec<SessionId> = std::iter::from_fn(|| arrivals.next()).collect();
        assert_eq!(told.len(), 3);
        assert!(viewers.iter().all(|viewer| read(&viewer.own) == 2));
        // And then at once again.
        viewers[0].client.send(b"d").unwrap();
        arrivals.wait(begun + PAUSE, LONG);
        assert!(arrivals.is_readable());
    }

    #[test]
    fn more_sockets_than_are_told_of_at_once() {
        let shared = RtcSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (mut arrivals, _bell) = Arrivals::new().unwrap();
        let viewers: Vec<Viewer> = (0..EVENTS + 40)
            .map(|_| viewer(&shared, &mut arrivals))
            .collect();
        while arrivals.next().is_some() {}
        for viewer in &viewers {
            viewer.client.send(b"a").unwrap();
        }
        let begun = clock::now();
        let mut told = std::collections::HashSet::new();
        while told.len() < viewers.len() {
            arrivals.wait(begun, LONG);
            told.extend(std::iter::from_fn(|| arrivals.next()));
        }
    }

    #[test]
    fn who_is_gone_is_not_told_of() {
        let shared = RtcSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (mut arrivals, _bell) = Arrivals::new().unwrap();
        let (gone, stays) = (
            viewer(&shared, &mut arrivals),
            viewer(&shared, &mut arrivals),
        );
        gone.client.send(b"a").unwrap();
        stays.client.send(b"a").unwrap();
        arrivals.forget(gone.id);
        drop(gone);
        arrivals.wait(clock::now(), LONG);
        let told: Vec<SessionId> = std::iter::from_fn(|| arrivals.next()).collect();
        assert!(!told.is_empty() && told.iter().all(|id| *id == stays.id));
    }

    #[test]
    fn the_bell_ends_the_wait_and_is_not_lost_between_looking_and_waiting() {
        let (mut arrivals, bell) = Arrivals::new().unwrap();
        let begun = clock::now();
        bell.falls_asleep();
        bell.ring();
        arrivals.wait(begun, LONG);
        bell.falls_asleep();
        let other = Arc::clone(&bell);
        let rings = std::thread::spawn(move || other.ring());
        arrivals.wait(begun, LONG);
        rings.join().unwrap();
        assert!(clock::now() - begun < LONG);
    }
}
