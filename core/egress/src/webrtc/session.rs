//! One viewer: ICE, DTLS, SRTP and what was sent, without sockets and clocks.
//!
//! Owner: one sender thread. Every input (a datagram, a timeout, an access unit) is followed by
//! draining all machines into the outbox: nothing waits for the next tick.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc_crypto::RTCCryptoProvider;
use rtc_dtls::config::HandshakeConfig;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_ice::Agent;
use rtc_ice::agent::Event;
use rtc_ice::agent::agent_config::AgentConfig;
use rtc_ice::candidate::CandidateConfig;
use rtc_ice::candidate::candidate_host::CandidateHostConfig;
use rtc_ice::mdns::MulticastDnsMode;
use rtc_ice::state::ConnectionState;
use rtc_shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use sansio::Protocol;
use taimat_base::clock;

use super::candidate;
use super::info::{EndReason, Shared};
use super::media::Media;
use super::negotiate::Agreement;
use super::outbox::Outbox;
use super::receiver::nominates;
use super::rtcp::{self, Feedback};
use super::seal::Srtp;
use super::socket::Path;
use crate::metrics::ViewerMetrics;
use crate::packets::PacketBatch;
use crate::track::Track;

/// A viewer that is not connected by then will not be.
const CONNECT_DEADLINE: Duration = Duration::from_secs(15);
/// ICE: silence after which the connection counts as lost, and then as gone.
const DISCONNECTED: Duration = Duration::from_secs(5);
const FAILED: Duration = Duration::from_secs(10);
/// While connected, how often the ICE agent is asked: it would like five times a second.
const CONNECTED_TICK: Duration = Duration::from_secs(1);
/// How often a sender report is sent.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);
/// rtc-dtls tells associations apart by address; ours has one, wherever ICE moves it.
const DTLS_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);
/// More viewer addresses than candidates make sense.
const MAX_PATHS: usize = 16;
/// Errors in a handshake before it is given up.
const MAX_DTLS_ERRORS: u32 = 8;

/// What a session is made of.
pub(crate) struct Seed {
    pub(crate) shared: Arc<Shared>,
    pub(crate) track: Arc<Track>,
    pub(crate) agreement: Agreement,
    pub(crate) local_ufrag: String,
    pub(crate) local_pwd: String,
    pub(crate) remote_ufrag: String,
    pub(crate) remote_pwd: String,
    pub(crate) candidates: Vec<String>,
    pub(crate) dtls: Arc<HandshakeConfig>,
    pub(crate) provider: Arc<dyn RTCCryptoProvider>,
    /// One address per socket, to stand for it towards the ICE agent.
    pub(crate) locals: Vec<SocketAddr>,
    pub(crate) metrics: ViewerMetrics,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    /// The handshake is done; the thread has yet to hook the session up to its track.
    Ready,
    Sending,
    Ended(EndReason),
}

pub(crate) struct Session {
    shared: Arc<Shared>,
    pub(super) track: Arc<Track>,
    ice: Agent,
    dtls: Endpoint,
    provider: Arc<dyn RTCCryptoProvider>,
    locals: Vec<SocketAddr>,
    /// Where viewers' addresses were last heard.
    paths: Vec<Path>,
    /// Where media and DTLS go.
    path: Option<Path>,
    srtp: Option<Srtp>,
    pub(super) media: Media,
    metrics: ViewerMetrics,
    created: Instant,
    next_ice: Instant,
    next_report: Instant,
    dtls_errors: u32,
    /// A nomination that came before the pair was checked from our side; see [`Session::stun`].
    early_nomination: Option<(Path, Vec<u8>)>,
    phase: Phase,
}

impl Session {
    pub(crate) fn new(seed: Seed, now: Instant) -> Result<Self, rtc_shared::error::Error> {
        let config = AgentConfig {
            local_ufrag: seed.local_ufrag,
            local_pwd: seed.local_pwd,
            multicast_dns_mode: MulticastDnsMode::Disabled,
            disconnected_timeout: Some(DISCONNECTED),
            failed_timeout: Some(FAILED),
            check_interval: Duration::from_millis(50),
            ..AgentConfig::default()
        };
        let mut ice = Agent::new(now, Arc::new(config), Arc::clone(&seed.provider))?;
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
            ice.add_local_candidate(host.new_candidate_host()?)?;
        }
        for text in &seed.candidates {
            if let Some(candidate) = candidate::parse(text) {
                ice.add_remote_candidate(candidate)?;
            }
        }
        ice.start_connectivity_checks(now, false, seed.remote_ufrag, seed.remote_pwd)?;
        let local = seed.locals.first().copied().unwrap_or(DTLS_PEER);
        seed.metrics.sessions.inc();
        Ok(Self {
            media: Media::new(
                &seed.agreement,
                Arc::clone(&seed.shared),
                seed.metrics.clone(),
            ),
            shared: seed.shared,
            track: seed.track,
            ice,
            dtls: Endpoint::new(local, TransportProtocol::UDP, Some(seed.dtls)),
            provider: seed.provider,
            locals: seed.locals,
            paths: Vec::new(),
            path: None,
            srtp: None,
            metrics: seed.metrics,
            created: now,
            next_ice: now,
            next_report: now + REPORT_INTERVAL,
            dtls_errors: 0,
            early_nomination: None,
            phase: Phase::Connecting,
        })
    }

    pub(crate) fn ended(&self) -> Option<EndReason> {
        match self.phase {
            Phase::Ended(reason) => Some(reason),
            _ => None,
        }
    }

    /// Whether the thread has to hook the session up to its track now; true once.
    pub(crate) fn take_ready(&mut self) -> bool {
        let ready = self.phase == Phase::Ready;
        if ready {
            self.phase = Phase::Sending;
        }
        ready
    }

    pub(crate) fn connect_time(&self) -> Duration {
        self.shared.connect_time()
    }

    /// The viewer's addresses that have proven to be its own.
    pub(crate) fn peers(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.paths.iter().map(|p| p.peer)
    }

    /// Takes a datagram (demultiplexed by RFC 7983). False if it was of no use.
    pub(crate) fn datagram(
        &mut self,
        now: Instant,
        from: Path,
        bytes: &[u8],
        out: &mut Outbox<'_>,
    ) -> bool {
        let useful = match bytes.first() {
            Some(0..=3) => self.stun(now, from, bytes),
            Some(20..=63) => self.dtls(now, from, bytes),
            Some(128..=191) => self.srtcp(now, bytes, out),
            _ => false,
        };
        self.drain(now, out);
        useful
    }

    fn local(&self, path: &Path) -> Option<SocketAddr> {
        self.locals.get(path.socket).copied()
    }

    /// Chromium nominates with its very first check. The agent answers a nomination only once its
    /// own check of the pair has succeeded, a millisecond later; if it were left at that, the viewer
    /// would learn it from its next check, 50 ms later. So the early nomination is kept and handed
    /// to the agent again when the agent's check is answered.
    fn stun(&mut self, now: Instant, from: Path, bytes: &[u8]) -> bool {
        if !self.agent_takes(now, from, bytes) {
            return false;
        }
        if self.ice.get_selected_candidate_pair().is_none() {
            if nominates(bytes) {
                self.early_nomination = Some((from, bytes.to_vec()));
            } else if let Some((path, request)) = self.early_nomination.take() {
                self.agent_takes(now, path, &request);
                if self.ice.get_selected_candidate_pair().is_none() {
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
        let Some(local_addr) = self.local(&from) else {
            return false;
        };
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
        if self.ice.handle_read(message).is_err() {
            return false;
        }
        // The agent has checked the message's integrity: the address is the viewer's.
        if let Some(known) = self.paths.iter_mut().find(|p| p.peer == from.peer) {
            *known = from;
        } else if self.paths.len() < MAX_PATHS {
            self.paths.push(from);
        }
        true
    }

    fn dtls(&mut self, now: Instant, from: Path, bytes: &[u8]) -> bool {
        if !self.paths.iter().any(|p| p.peer == from.peer) {
            return false;
        }
        if self.path.is_none() {
            self.path = Some(from);
        }
        let handshaking = self.srtp.is_none();
        match self.dtls.read(now, DTLS_PEER, None, BytesMut::from(bytes)) {
            Ok(events) => {
                for event in events {
                    match event {
                        EndpointEvent::HandshakeComplete => self.handshake_done(now),
                        EndpointEvent::PeerClosed => self.end(EndReason::PeerClosed),
                        _ => {}
                    }
                }
                true
            }
            Err(error) => {
                self.dtls_errors += 1;
                if handshaking {
                    tracing::debug!(%error, "handshake");
                    if self.dtls_errors >= MAX_DTLS_ERRORS {
                        self.end(EndReason::HandshakeFailed);
                    }
                }
                false
            }
        }
    }

    fn handshake_done(&mut self, now: Instant) {
        let Some(state) = self.dtls.get_connection_state(DTLS_PEER) else {
            return;
        };
        match Srtp::from_handshake(state, self.provider.crypto()) {
            Ok(srtp) => {
                self.media.tag_len(srtp.rtp.tag_len());
                self.srtp = Some(srtp);
                self.phase = Phase::Ready;
                self.shared
                    .connected(now.saturating_duration_since(self.created));
            }
            Err(error) => {
                tracing::warn!(%error, "handshake gave no usable keys");
                self.end(EndReason::HandshakeFailed);
            }
        }
    }

    fn srtcp(&mut self, now: Instant, bytes: &[u8], out: &mut Outbox<'_>) -> bool {
        let Some(srtp) = &mut self.srtp else {
            return false;
        };
        let Ok(packet) = srtp.open_rtcp(bytes) else {
            return false;
        };
        for feedback in rtcp::read(&packet) {
            match feedback {
                Feedback::Nack(ssrc, missing) => {
                    if let (Some(srtp), Some(path)) = (&mut self.srtp, &self.path)
                        && ssrc == self.media.video_ssrc()
                    {
                        let ring = self.track.ring();
                        self.media.retransmit(&missing, ring, srtp, path, now, out);
                    }
                }
                Feedback::Keyframe(ssrc) if ssrc == self.media.video_ssrc() => {
                    self.metrics.keyframe_requests.inc();
                    self.media.keyframe_wanted(self.track.ring(), now);
                }
                Feedback::Keyframe(_) => {}
                Feedback::Report(report) => self.report(&report),
                Feedback::Bye => self.end(EndReason::PeerClosed),
            }
        }
        true
    }

    fn report(&self, report: &rtc_rtcp::reception_report::ReceptionReport) {
        if report.ssrc != self.media.video_ssrc() {
            return;
        }
        self.shared.lost(report.fraction_lost);
        if report.last_sender_report != 0 {
            // RFC 3550 section 6.4.1: in units of 1/65536 s.
            let middle = (clock::ntp(clock::wall()) >> 16) & 0xFFFF_FFFF;
            let now = u32::try_from(middle).unwrap_or(0);
            let trip = now
                .wrapping_sub(report.last_sender_report)
                .wrapping_sub(report.delay);
            if trip < 30 << 16 {
                let micros = (u64::from(trip) * 1_000_000) >> 16;
                self.shared.round_trip(Duration::from_micros(micros));
            }
        }
    }

    /// Sends everything that the machines have to say.
    fn drain(&mut self, now: Instant, out: &Outbox<'_>) {
        // Triggered checks are queued for `handle_timeout`; they are due now.
        if self.ice.poll_timeout().is_some_and(|at| at <= now) && self.phase == Phase::Connecting {
            drop(self.ice.handle_timeout(now));
        }
        while let Some(message) = self.ice.poll_write() {
            let peer = message.transport.peer_addr;
            if let Some(path) = self.path_to(peer) {
                out.datagram(&path, &message.message);
            }
        }
        while let Some(tagged) = self.ice.poll_event() {
            match tagged.event {
                Event::ConnectionStateChange(ConnectionState::Failed) => {
                    let connected = self.srtp.is_some();
                    self.end(if connected {
                        EndReason::Silent
                    } else {
                        EndReason::NoConnectivity
                    });
                }
                Event::SelectedCandidatePairChange(_, remote) => {
                    self.path = self.path_to(remote.addr());
                }
                _ => {}
            }
        }
        while let Some(message) = self.dtls.poll_transmit() {
            if let Some(path) = &self.path {
                out.datagram(path, &message.message);
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

    /// When [`Session::timeout`] is to be called.
    pub(crate) fn next_timeout(&mut self) -> Instant {
        let ice = match self.phase {
            Phase::Connecting => self.ice.poll_timeout().unwrap_or(self.next_ice),
            _ => self.next_ice,
        };
        let handshake = if self.srtp.is_none() {
            self.dtls.poll_timeout(&DTLS_PEER)
        } else {
            None
        };
        let mut next = ice.min(self.next_report);
        for other in [handshake, self.media.next_pump()].into_iter().flatten() {
            next = next.min(other);
        }
        next
    }

    /// Does what is due.
    pub(crate) fn timeout(&mut self, now: Instant, out: &mut Outbox<'_>) {
        if self.srtp.is_none() {
            if now.saturating_duration_since(self.created) > CONNECT_DEADLINE {
                let reason = match self.path {
                    Some(_) => EndReason::HandshakeFailed,
                    None => EndReason::NoConnectivity,
                };
                self.end(reason);
                return;
            }
            if self.dtls.poll_timeout(&DTLS_PEER).is_some()
                && self.dtls.handle_timeout(DTLS_PEER, now).is_err()
            {
                self.end(EndReason::HandshakeFailed);
            }
        }
        if now >= self.next_ice || self.phase == Phase::Connecting {
            drop(self.ice.handle_timeout(now));
            self.next_ice = now + CONNECTED_TICK;
        }
        if now >= self.next_report {
            self.next_report = now + REPORT_INTERVAL;
            self.send_reports(out);
        }
        if let (Some(srtp), Some(path)) = (&mut self.srtp, &self.path) {
            self.media.pump(srtp, path, now, out);
        }
        self.drain(now, out);
    }

    fn send_reports(&mut self, out: &Outbox<'_>) {
        let wall = clock::wall();
        self.media.tell_clock();
        for state in self.media.sent_states(wall) {
            let Some(report) = rtcp::sender_report(&state) else {
                continue;
            };
            self.send_rtcp(&report, out);
        }
    }

    fn send_rtcp(&mut self, packet: &[u8], out: &Outbox<'_>) {
        if let (Some(srtp), Some(path)) = (&mut self.srtp, &self.path)
            && let Ok(sealed) = srtp.seal_rtcp(packet)
        {
            out.datagram(path, &sealed);
        }
    }

    /// Begins to send: first everything since the newest key frame, paced, then what comes.
    pub(crate) fn begin(
        &mut self,
        since_start: Vec<(u64, Arc<PacketBatch>)>,
        now: Instant,
        out: &mut Outbox<'_>,
    ) {
        let rate = self.track.channel().rates(now).bits_per_second;
        self.media.begin(since_start, rate, now);
        if let (Some(srtp), Some(path)) = (&mut self.srtp, &self.path) {
            self.media.pump(srtp, path, now, out);
        }
        self.send_reports(out);
    }

    /// The next access unit of the track.
    pub(crate) fn forward(
        &mut self,
        seq: u64,
        batch: &Arc<PacketBatch>,
        now: Instant,
        out: &mut Outbox<'_>,
    ) {
        if let (Some(srtp), Some(path), Phase::Sending) = (&mut self.srtp, &self.path, &self.phase)
        {
            self.media.forward(seq, batch, srtp, path, now, out);
        }
    }

    /// Candidates that came later.
    pub(crate) fn add_candidates(&mut self, texts: &[String], now: Instant, out: &Outbox<'_>) {
        for candidate in texts.iter().filter_map(|t| candidate::parse(t)) {
            if self.ice.get_remote_candidates().len() < super::offer::MAX_CANDIDATES {
                drop(self.ice.add_remote_candidate(candidate));
            }
        }
        self.drain(now, out);
    }

    /// New credentials on both sides (RFC 8445 section 9); media goes on meanwhile.
    pub(crate) fn restart_ice(
        &mut self,
        local: (String, String),
        remote: (String, String),
        now: Instant,
        out: &Outbox<'_>,
    ) -> Result<(), rtc_shared::error::Error> {
        self.ice.restart(now, local.0, local.1, true)?;
        self.ice
            .start_connectivity_checks(now, false, remote.0, remote.1)?;
        self.next_ice = now;
        self.drain(now, out);
        Ok(())
    }

    /// Ends the session; the thread removes it.
    pub(crate) fn end(&mut self, reason: EndReason) {
        if self.ended().is_none() {
            self.phase = Phase::Ended(reason);
        }
    }

    /// The last words: RTCP BYE and DTLS close_notify.
    pub(crate) fn farewell(&mut self, now: Instant, out: &Outbox<'_>) {
        if self.srtp.is_some() {
            if let Some(bye) = rtcp::goodbye(&self.media.ssrcs()) {
                self.send_rtcp(&bye, out);
            }
            drop(self.dtls.close(now));
        }
        while let Some(message) = self.dtls.poll_transmit() {
            if let Some(path) = &self.path {
                out.datagram(path, &message.message);
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.metrics.sessions.dec();
    }
}
