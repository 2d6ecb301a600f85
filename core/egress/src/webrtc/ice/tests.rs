use std::net::UdpSocket;

use taimat_base::clock;

use super::*;
use crate::metrics::EgressMetrics;
use crate::webrtc::identity::Identity;
use crate::webrtc::socket::RtcSocket;

/// What is said to a viewer in the first moments is lost, as it is while a phone changes networks.
const NO_NETWORK: Duration = Duration::from_millis(120);

/// A viewer's agent and ours, which reach each other through loopback on a clock that the test turns.
struct Link {
    ours: ViewerIce,
    theirs: Agent,
    sockets: [RtcSocket; 1],
    viewer: UdpSocket,
    metrics: EgressMetrics,
    now: Instant,
    /// Until then the viewer hears nothing: its network is not there yet.
    deaf_until: Instant,
    connected: bool,
}

fn credentials(side: &str) -> IceCredentials {
    IceCredentials {
        ufrag: format!("{side}ufrag"),
        pwd: format!("{side}{}", "p".repeat(24)),
    }
}

fn candidate(address: SocketAddr) -> String {
    format!(
        "1 1 udp 2130706431 {} {} typ host",
        address.ip(),
        address.port()
    )
}

impl Link {
    fn new() -> Self {
        let identity = Identity::generate().unwrap();
        let registry = taimat_base::metrics::Registry::new();
        let sockets = [RtcSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap()];
        let viewer = UdpSocket::bind("127.0.0.1:0").unwrap();
        viewer.set_nonblocking(true).unwrap();
        let now = clock::thread_now();
        let local = sockets[0].local_addr();
        let seed = IceSeed {
            local: credentials("ours"),
            remote: credentials("theirs"),
            controlling: false,
            candidates: vec![candidate(viewer.local_addr().unwrap())],
            locals: vec![local],
            provider: Arc::clone(identity.provider()),
        };
        let theirs = AgentConfig {
            local_ufrag: credentials("theirs").ufrag,
            local_pwd: credentials("theirs").pwd,
            multicast_dns_mode: MulticastDnsMode::Disabled,
            check_interval: Duration::from_millis(20),
            ..AgentConfig::default()
        };
        let mut theirs =
            Agent::new(now, Arc::new(theirs), Arc::clone(identity.provider())).unwrap();
        let at = viewer.local_addr().unwrap();
        let host = CandidateHostConfig {
            base_config: CandidateConfig {
                network: "udp".into(),
                address: at.ip().to_string(),
                port: at.port(),
                component: 1,
                ..CandidateConfig::default()
            },
            ..CandidateHostConfig::default()
        };
        theirs
            .add_local_candidate(host.new_candidate_host().unwrap())
            .unwrap();
        let router = super::candidate::parse(&candidate(local)).unwrap();
        theirs.add_remote_candidate(router).unwrap();
        let IceCredentials { ufrag, pwd } = credentials("ours");
        theirs
            .start_connectivity_checks(now, true, ufrag, pwd)
            .unwrap();
        Self {
            ours: ViewerIce::new(seed, now).unwrap(),
            theirs,
            sockets,
            viewer,
            metrics: EgressMetrics::register(&registry).unwrap(),
            now,
            deaf_until: now + NO_NETWORK,
            connected: false,
        }
    }

    fn our_address(&self) -> SocketAddr {
        self.sockets[0].local_addr()
    }

    /// What the viewer's agent says goes to ours, with all that this leads to.
    fn exchange(&mut self) -> Option<Option<Path>> {
        let out = Outbox::new(&self.sockets, &self.metrics);
        let mut selected = None;
        let mut buffer = [0; 1500];
        loop {
            let mut quiet = true;
            while let Some(message) = self.theirs.poll_write() {
                quiet = false;
                let from = Path {
                    socket: 0,
                    peer: self.viewer.local_addr().unwrap(),
                    local: None,
                };
                self.ours.stun(self.now, from, &message.message);
            }
            self.ours.drain(self.now, !self.connected, &out);
            while let Some(event) = self.ours.event() {
                if let IceEvent::Selected(path) = event {
                    selected = Some(path);
                }
            }
            while let Ok(len) = self.viewer.recv(&mut buffer) {
                quiet = false;
                if self.now < self.deaf_until {
                    continue;
                }
                let message = TaggedBytesMut {
                    now: self.now,
                    transport: TransportContext {
                        local_addr: self.viewer.local_addr().unwrap(),
                        peer_addr: self.our_address(),
                        transport_protocol: TransportProtocol::UDP,
                        ecn: None,
                    },
                    message: BytesMut::from(&buffer[..len]),
                };
                drop(self.theirs.handle_read(message));
            }
            if quiet {
                return selected;
            }
        }
    }

    /// Lets a millisecond pass, each side being called only when it wants to be.
    fn pass(&mut self) -> Option<Option<Path>> {
        let selected = self.exchange();
        self.now += Duration::from_millis(1);
        if self.ours.next_timeout(!self.connected) <= self.now {
            self.ours.timeout(self.now, !self.connected);
        }
        if self.theirs.poll_timeout().is_some_and(|at| at <= self.now) {
            drop(self.theirs.handle_timeout(self.now));
        }
        selected
    }

    /// How long it takes until a way is chosen.
    fn until_selected(&mut self) -> Duration {
        let begun = self.now;
        while self.pass().flatten().is_none() {
            assert!(
                self.now - begun < Duration::from_secs(10),
                "no way was chosen"
            );
        }
        self.connected = true;
        self.now - begun
    }
}

#[test]
fn a_restart_is_as_fast_as_the_first_connection() {
    let mut link = Link::new();
    let first = link.until_selected();
    for _ in 0..3000 {
        link.pass();
    }
    let (ours, theirs) = (credentials("new-ours"), credentials("new-theirs"));
    link.ours
        .restart(ours.clone(), theirs.clone(), link.now)
        .unwrap();
    // What is due is done at once. The viewer hears of it and begins a moment later.
    link.ours.timeout(link.now, false);
    link.deaf_until = link.now + NO_NETWORK;
    link.now += Duration::from_millis(5);
    let address = candidate(link.our_address());
    let restarted = link
        .theirs
        .restart(link.now, theirs.ufrag, theirs.pwd, true);
    restarted.unwrap();
    let router = super::candidate::parse(&address).unwrap();
    link.theirs.add_remote_candidate(router).unwrap();
    link.theirs
        .start_connectivity_checks(link.now, true, ours.ufrag, ours.pwd)
        .unwrap();
    let again = link.until_selected();
    assert!(
        again <= first + CHECK_INTERVAL * 2,
        "{again:?} after {first:?}"
    );
    // From then on it is quiet again.
    assert_eq!(link.ours.restarting, None);
    link.ours.timeout(link.now + CONNECTED_TICK, false);
    let next = link.ours.next_timeout(false);
    assert!(next >= link.now + CONNECTED_TICK, "{:?}", next - link.now);
}

#[test]
fn a_restart_that_nobody_answers_is_given_up() {
    let mut link = Link::new();
    link.until_selected();
    let now = link.now;
    link.ours
        .restart(credentials("new-ours"), credentials("new-theirs"), now)
        .unwrap();
    link.ours.timeout(now, false);
    assert!(link.ours.next_timeout(false) <= now + CHECK_INTERVAL);
    let late = now + RESTART_DEADLINE;
    link.ours.timeout(late, false);
    assert_eq!(link.ours.restarting, None);
    assert!(link.ours.next_timeout(false) > late);
}

/// As often as it changes its address, the agent is not given more to look at than it can.
#[test]
fn a_viewer_that_changes_its_address_again_and_again_is_followed_within_bounds() {
    let mut link = Link::new();
    link.until_selected();
    let mut request = None;
    while request.is_none() {
        link.now += Duration::from_millis(20);
        drop(link.theirs.handle_timeout(link.now));
        request = link.theirs.poll_write();
    }
    let request = request.unwrap().message;
    let from = |port: u16| Path {
        socket: 0,
        peer: ([127, 0, 0, 1], port).into(),
        local: None,
    };
    let taken = (1..2000)
        .filter(|port| link.ours.stun(link.now, from(*port), &request))
        .count();
    assert_eq!(taken, MAX_PATHS - 1, "one is the first address");
    assert!(link.ours.paths.len() <= MAX_PATHS);
    // In a minute there may be another one, and it is known from then on.
    let later = link.now + Duration::from_secs(61);
    assert!(link.ours.stun(later, from(3000), &request));
    assert!(!link.ours.stun(later, from(3001), &request));
    assert!(link.ours.stun(later, from(3000), &request));
    assert!(link.ours.peers().any(|peer| peer.port() == 3000));
}
