//! ICE of one viewer: an agent, the addresses that have proven to be the viewer's, and what it sends.
//!
//! Owner: a `session`, which hands in STUN messages and `now`, drains the agent after every input, and
//! learns which path was chosen. Cost: none per media packet; the agent is asked once a second while
//! connected, twenty times a second before.
//! Not here: which datagram is whose (`stun`), what goes over the path.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc_crypto::RTCCryptoProvider;
use rtc_ice::Agent;
use rtc_ice::agent::Event;
use rtc_ice::agent::agent_config::AgentConfig;
use rtc_ice::candidate::CandidateConfig;
use rtc_ice::candidate::candidate_host::CandidateHostConfig;
use rtc_ice::mdns::MulticastDnsMode;
use rtc_ice::state::ConnectionState;
use rtc_shared::error::Error;
use rtc_shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use sansio::Protocol;
use taimat_base::bucket::Bucket;

use super::candidate;
use super::offer::MAX_CANDIDATES;
use super::outbox::Outbox;
use super::path::Path;
use super::stun::{IceCredentials, nominates};

/// Silence after which the connection counts as lost, and then as gone.
const DISCONNECTED: Duration = Duration::from_secs(5);
const FAILED: Duration = Duration::from_secs(10);
/// While connecting, how often a pair is checked again.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// While connected, how often the agent is asked: it would like five times a second.
const CONNECTED_TICK: Duration = Duration::from_secs(1);
/// More viewer addresses than candidates make sense.
const MAX_PATHS: usize = 16;
/// New addresses of a viewer after so many: one a minute, as a NAT may give it. The agent keeps each, and
/// looks at all of them for each message.
const NEW_PATHS_PER_SECOND: f64 = 1.0 / 60.0;
/// Checks that go to an address that has not answered yet, as many as RFC 8489 section 6.2.1 has of a request,
/// and to all such addresses of a viewer at once and then by time: an offer can name anybody's.
const CHECKS_UNANSWERED: u32 = 7;
const CHECKS_AT_ONCE: f64 = 24.0;
const CHECKS_PER_SECOND: f64 = 0.2;
/// After a restart the agent is asked as often as while connecting, until a way is chosen, for so long.
const RESTART_DEADLINE: Duration = Duration::from_secs(15);

/// What an agent is made of.
pub(crate) struct IceSeed {
    pub(super) local: IceCredentials,
    pub(super) remote: IceCredentials,
    /// Whether we choose the way. Viewers do, except those that only answer checks.
    pub(super) controlling: bool,
    /// The viewer's candidates, as written.
    pub(super) candidates: Vec<String>,
    /// One address per socket, to stand for it towards the agent.
    pub(super) locals: Vec<SocketAddr>,
    pub(super) provider: Arc<dyn RTCCryptoProvider>,
}

/// What the agent has found out.
pub(super) enum IceEvent {
    /// The viewer has not been heard for too long, or could never be reached.
    Failed,
    /// Media and DTLS are to go here from now on; nowhere, if no socket of ours leads there.
    Selected(Option<Path>),
}

/// ICE of one viewer.
pub(super) struct ViewerIce {
    agent: Agent,
    locals: Vec<SocketAddr>,
    controlling: bool,
    /// Where the viewer's addresses were last heard, the newest address last.
    paths: Vec<Path>,
    /// How many more addresses may become known.
    new_paths: Bucket,
    /// What was sent to addresses that have not answered, and how much more may be.
    unanswered: HashMap<SocketAddr, u32>,
    checks: Bucket,
    /// A restart began then, and no way has been chosen since.
    restarting: Option<Instant>,
    /// A nomination that came before the pair was checked from our side; see [`ViewerIce::stun`].
    early_nomination: Option<(Path, Vec<u8>)>,
    next_tick: Instant,
}

impl ViewerIce {
    /// Begins to check.
    pub(super) fn new(seed: IceSeed, now: Instant) -> Result<Self, Error> {
        let config = AgentConfig {
            local_ufrag: seed.local.ufrag,
            local_pwd: seed.local.pwd,
            multicast_dns_mode: MulticastDnsMode::Disabled,
            disconnected_timeout: Some(DISCONNECTED),
            failed_timeout: Some(FAILED),
            check_interval: CHECK_INTERVAL,
            ..AgentConfig::default()
        };
        let mut agent = Agent::new(now, Arc::new(config), seed.provider)?;
        for local in &seed.locals {
            let base_config = CandidateConfig {
                network: "udp".into(),
                address: local.ip().to_string(),
                port: local.port(),
                component: 1,
                ..CandidateConfig::default()
            };
            let host = CandidateHostConfig {
                base_config,
                ..CandidateHostConfig::default()
            };
            agent.add_local_candidate(host.new_candidate_host()?)?;
        }
        for candidate in seed.candidates.iter().filter_map(|t| candidate::parse(t)) {
            agent.add_remote_candidate(candidate)?;
        }
        agent.start_connectivity_checks(
            now,
            seed.controlling,
            seed.remote.ufrag,
            seed.remote.pwd,
        )?;
        Ok(Self {
            agent,
            locals: seed.locals,
            controlling: seed.controlling,
            paths: Vec::new(),
            new_paths: Bucket::new(NEW_PATHS_PER_SECOND, MAX_PATHS as f64),
            unanswered: HashMap::new(),
            checks: Bucket::new(CHECKS_PER_SECOND, CHECKS_AT_ONCE),
            restarting: None,
            early_nomination: None,
            next_tick: now,
        })
    }

    /// The viewer's addresses that have proven to be its own.
    pub(super) fn peers(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.paths.iter().map(|p| p.peer)
    }

    /// Takes a STUN message; false if it is of no use.
    ///
    /// Chromium nominates with its very first check. The agent answers a nomination only once its
    /// own check of the pair has succeeded, a millisecond later; if it were left at that, the viewer
    /// would learn it from its next check, 50 ms later. So the early nomination is kept and handed
    /// to the agent again when the agent's check is answered.
    pub(super) fn stun(&mut self, now: Instant, from: Path, bytes: &[u8]) -> bool {
        if !self.agent_takes(now, from, bytes) {
            return false;
        }
        if self.agent.get_selected_candidate_pair().is_none() {
            if nominates(bytes) {
                self.early_nomination = Some((from, bytes.to_vec()));
            } else if let Some((path, request)) = self.early_nomination.take() {
                self.agent_takes(now, path, &request);
                if self.agent.get_selected_candidate_pair().is_none() {
                    self.early_nomination = Some((path, request));
                }
            }
        } else {
            self.early_nomination = None;
        }
        true
    }

    /// Hands a STUN message to the agent; false if it is of no use to it.
    fn agent_takes(&mut self, now: Instant, from: Path, bytes: &[u8]) -> bool {
        let Some(local_addr) = self.locals.get(from.socket).copied() else {
            return false;
        };
        let known = self.paths.iter().position(|p| p.peer == from.peer);
        let mut left = self.new_paths;
        if known.is_none() && !left.take(now) {
            return false;
        }
        let message = TaggedBytesMut {
            now,
            transport: TransportContext {
                local_addr,
                peer_addr: from.peer,
                transport_protocol: TransportProtocol::UDP,
                ecn: None,
            },
            message: BytesMut::from(bytes),
        };
        if self.agent.handle_read(message).is_err() {
            return false;
        }
        // The agent has checked the message's integrity: the address is the viewer's.
        match known.and_then(|index| self.paths.get_mut(index)) {
            Some(known) => *known = from,
            None => {
                self.new_paths = left;
                if self.paths.len() == MAX_PATHS {
                    self.paths.remove(0);
                }
                self.paths.push(from);
            }
        }
        true
    }

    /// Candidates that came later.
    pub(super) fn add_candidates(&mut self, texts: &[String]) {
        for candidate in texts.iter().filter_map(|t| candidate::parse(t)) {
            if self.agent.get_remote_candidates().len() < MAX_CANDIDATES {
                drop(self.agent.add_remote_candidate(candidate));
            }
        }
    }

    /// New credentials on both sides (RFC 8445 section 9).
    pub(super) fn restart(
        &mut self,
        local: IceCredentials,
        remote: IceCredentials,
        now: Instant,
    ) -> Result<(), Error> {
        self.agent.restart(now, local.ufrag, local.pwd, true)?;
        self.agent
            .start_connectivity_checks(now, self.controlling, remote.ufrag, remote.pwd)?;
        self.next_tick = now;
        self.early_nomination = None;
        self.restarting = Some(now);
        self.unanswered.clear();
        self.new_paths = Bucket::new(NEW_PATHS_PER_SECOND, MAX_PATHS as f64);
        Ok(())
    }

    /// Whether the agent has checks to make that somebody waits for.
    fn is_checking(&self, connecting: bool, now: Instant) -> bool {
        let restarting = self
            .restarting
            .is_some_and(|at| now.saturating_duration_since(at) < RESTART_DEADLINE);
        connecting || restarting
    }

    /// When [`ViewerIce::timeout`] is to be called.
    pub(super) fn next_timeout(&mut self, connecting: bool) -> Instant {
        let check = (connecting || self.restarting.is_some())
            .then(|| self.agent.poll_timeout())
            .flatten();
        check.unwrap_or(self.next_tick)
    }

    /// Does what is due.
    pub(super) fn timeout(&mut self, now: Instant, connecting: bool) {
        let checking = self.is_checking(connecting, now);
        if !checking {
            self.restarting = None;
        }
        if now >= self.next_tick || checking {
            drop(self.agent.handle_timeout(now));
            self.next_tick = now + CONNECTED_TICK;
        }
    }

    /// Sends everything that the agent has to say; then [`ViewerIce::event`] is to be asked.
    pub(super) fn drain(&mut self, now: Instant, connecting: bool, out: &Outbox<'_>) {
        // Triggered checks are queued for `handle_timeout`; they are due now.
        let checking = self.is_checking(connecting, now);
        if checking && self.agent.poll_timeout().is_some_and(|at| at <= now) {
            drop(self.agent.handle_timeout(now));
        }
        while let Some(message) = self.agent.poll_write() {
            let peer = message.transport.peer_addr;
            if self.may_send(peer, now)
                && let Some(path) = self.path_to(peer)
            {
                out.datagram(&path, &message.message);
            }
        }
    }

    /// Whether something may be sent there: to the viewer's own addresses always, elsewhere a few checks.
    fn may_send(&mut self, peer: SocketAddr, now: Instant) -> bool {
        if self.peers().any(|own| own == peer) {
            return true;
        }
        let sent = self.unanswered.get(&peer).copied().unwrap_or(0);
        if sent >= CHECKS_UNANSWERED || !self.checks.take(now) {
            return false;
        }
        self.unanswered.insert(peer, sent + 1);
        true
    }

    /// The next thing that the agent has found out.
    pub(super) fn event(&mut self) -> Option<IceEvent> {
        loop {
            match self.agent.poll_event()?.event {
                Event::ConnectionStateChange(ConnectionState::Failed) => {
                    return Some(IceEvent::Failed);
                }
                Event::SelectedCandidatePairChange(_, remote) => {
                    self.restarting = None;
                    return Some(IceEvent::Selected(self.path_to(remote.addr())));
                }
                _ => {}
            }
        }
    }

    fn path_to(&self, peer: SocketAddr) -> Option<Path> {
        if let Some(known) = self.paths.iter().find(|p| p.peer == peer) {
            return Some(*known);
        }
        let socket = self
            .locals
            .iter()
            .position(|l| l.is_ipv4() == peer.is_ipv4())?;
        Some(Path {
            socket,
            peer,
            local: None,
        })
    }
}

#[cfg(test)]
mod tests;
