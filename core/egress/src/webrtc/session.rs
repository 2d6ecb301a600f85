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
use rtc_rtcp::reception_report::ReceptionReport;
use rtc_shared::TransportProtocol;
use rtc_shared::error::Error;
use taimat_base::clock;

use super::handshake_budget::HandshakeBudget;
use super::ice::{IceEvent, IceSeed, ViewerIce};
use super::info::{EndReason, SessionFigures};
use super::media::ViewerMedia;
use super::negotiate::Agreement;
use super::outbox::{Exit, Outbox};
use super::own_socket::OwnSocket;
use super::path::Path;
use super::rtcp::{self, Feedback};
use super::seal::Srtp;
use super::stun::IceCredentials;
use super::way::Way;
use crate::metrics::ViewerMetrics;
use crate::packets::PacketBatch;
use crate::track::Track;

/// A viewer that is not connected by then will not be.
const CONNECT_DEADLINE: Duration = Duration::from_secs(15);
/// How often a sender report is sent.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);
/// rtc-dtls tells associations apart by address; ours has one, wherever ICE moves it.
const DTLS_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);
/// Errors in a handshake before it is given up.
const MAX_DTLS_ERRORS: u32 = 8;

/// What a session is made of.
pub(crate) struct SessionSeed {
    pub(crate) figures: Arc<SessionFigures>,
    pub(crate) track: Arc<Track>,
    pub(crate) agreement: Agreement,
    pub(crate) ice: IceSeed,
    pub(crate) dtls: Arc<HandshakeConfig>,
    pub(crate) metrics: ViewerMetrics,
}

#[derive(Debug, PartialEq, Eq)]
enum SessionPhase {
    Connecting,
    /// The handshake is done; the thread has yet to hook the session up to its track.
    Ready,
    Sending,
    Ended(EndReason),
}

pub(crate) struct ViewerSession {
    figures: Arc<SessionFigures>,
    pub(super) track: Arc<Track>,
    ice: ViewerIce,
    dtls: Endpoint,
    handshake: HandshakeBudget,
    provider: Arc<dyn RTCCryptoProvider>,
    /// Where media and DTLS go.
    path: Option<Path>,
    /// Its own socket, if it has one, and where that was last tried to be had.
    own: Option<OwnSocket>,
    own_tried: Option<Path>,
    srtp: Option<Srtp>,
    media: ViewerMedia,
    metrics: ViewerMetrics,
    created: Instant,
    next_report: Instant,
    dtls_errors: u32,
    phase: SessionPhase,
}

impl ViewerSession {
    /// Begins to check where the viewer can be reached.
    pub(crate) fn new(seed: SessionSeed, now: Instant) -> Result<Self, Error> {
        let provider = Arc::clone(&seed.ice.provider);
        let local = seed.ice.locals.first().copied().unwrap_or(DTLS_PEER);
        let ice = ViewerIce::new(seed.ice, now)?;
        seed.metrics.sessions.inc();
        Ok(Self {
            media: ViewerMedia::new(
                &seed.agreement,
                Arc::clone(&seed.figures),
                seed.metrics.clone(),
            ),
            figures: seed.figures,
            track: seed.track,
            ice,
            dtls: Endpoint::new(local, TransportProtocol::UDP, Some(seed.dtls)),
            handshake: HandshakeBudget::new(),
            provider,
            path: None,
            own: None,
            own_tried: None,
            srtp: None,
            metrics: seed.metrics,
            created: now,
            next_report: now + REPORT_INTERVAL,
            dtls_errors: 0,
            phase: SessionPhase::Connecting,
        })
    }

    pub(crate) fn ended(&self) -> Option<EndReason> {
        match self.phase {
            SessionPhase::Ended(reason) => Some(reason),
            _ => None,
        }
    }

    /// Whether the thread has to hook the session up to its track now; true once.
    pub(crate) fn take_ready(&mut self) -> bool {
        let ready = self.phase == SessionPhase::Ready;
        if ready {
            self.phase = SessionPhase::Sending;
        }
        ready
    }

    /// Where the session wants a socket of its own to, once it is connected; `Some` once for each path. The
    /// former one is closed.
    pub(super) fn wants_socket(&mut self) -> Option<Path> {
        let path = self.path.filter(|_| self.phase == SessionPhase::Sending);
        if path.is_none() || path == self.own_tried {
            return None;
        }
        self.own = None;
        self.own_tried = path;
        path
    }

    /// Sends by this socket from now on.
    pub(super) fn give_socket(&mut self, socket: OwnSocket) {
        self.own = Some(socket);
    }

    /// Its own socket.
    pub(super) fn own_socket(&self) -> Option<&OwnSocket> {
        self.own.as_ref()
    }

    pub(crate) fn connect_time(&self) -> Duration {
        self.figures.connect_time()
    }

    /// The viewer's addresses that have proven to be its own.
    pub(crate) fn peers(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.ice.peers()
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
            Some(0..=3) => self.ice.stun(now, from, bytes),
            Some(20..=63) => self.dtls(now, from, bytes),
            Some(128..=191) => self.srtcp(now, bytes, out),
            _ => false,
        };
        self.drain(now, out);
        useful
    }

    fn is_connecting(&self) -> bool {
        self.phase == SessionPhase::Connecting
    }

    fn dtls(&mut self, now: Instant, from: Path, bytes: &[u8]) -> bool {
        if !self.ice.peers().any(|peer| peer == from.peer) {
            return false;
        }
        if self.path.is_none() {
            self.path = Some(from);
        }
        if !self.handshake.admit(bytes) {
            return false;
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
                self.srtp = Some(srtp);
                self.handshake.done();
                self.phase = SessionPhase::Ready;
                self.figures
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
                    if ssrc == self.media.video_ssrc()
                        && let Some(mut way) = Way::open(&mut self.srtp, &self.path, &self.own, out)
                    {
                        let ring = self.track.ring();
                        self.media.retransmit(&missing, ring, &mut way, now);
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

    fn report(&self, report: &ReceptionReport) {
        if report.ssrc != self.media.video_ssrc() {
            return;
        }
        self.figures.lost(report.fraction_lost);
        if let Some(time) = rtcp::round_trip(report, clock::ntp(clock::wall())) {
            self.figures.round_trip(time);
        }
    }

    /// Sends everything that the machines have to say.
    fn drain(&mut self, now: Instant, out: &Outbox<'_>) {
        self.ice.drain(now, self.is_connecting(), out);
        while let Some(event) = self.ice.event() {
            match event {
                IceEvent::Failed if self.srtp.is_some() => self.end(EndReason::Silent),
                IceEvent::Failed => self.end(EndReason::NoConnectivity),
                IceEvent::Selected(path) => self.path = path,
            }
        }
        self.drain_dtls(out);
    }

    fn drain_dtls(&mut self, out: &Outbox<'_>) {
        while let Some(message) = self.dtls.poll_transmit() {
            if let Some(path) = &self.path {
                out.datagram(Exit::new(path, self.own.as_ref()), &message.message);
            }
        }
    }

    /// When [`ViewerSession::timeout`] is to be called.
    pub(crate) fn next_timeout(&mut self) -> Instant {
        let ice = self.ice.next_timeout(self.is_connecting());
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
        if let Some(reason) = self.figures.wished_end() {
            self.end(reason);
            return;
        }
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
        self.ice.timeout(now, self.is_connecting());
        if now >= self.next_report {
            self.next_report = now + REPORT_INTERVAL;
            self.send_reports(out);
        }
        self.pump(now, out);
        self.drain(now, out);
    }

    /// Goes on with the burst; after its end the viewer learns at once what time it is.
    fn pump(&mut self, now: Instant, out: &mut Outbox<'_>) {
        if let Some(mut way) = Way::open(&mut self.srtp, &self.path, &self.own, out) {
            self.media.pump(&mut way, now);
        }
        if self.media.take_caught_up() {
            self.next_report = now + REPORT_INTERVAL;
            self.send_reports(out);
        }
    }

    fn send_reports(&mut self, out: &Outbox<'_>) {
        let wall = clock::wall();
        self.media.tell_clock();
        for report in self.media.reports(wall) {
            self.send_rtcp(&report, out);
        }
    }

    fn send_rtcp(&mut self, packet: &[u8], out: &Outbox<'_>) {
        if let (Some(srtp), Some(path)) = (&mut self.srtp, &self.path)
            && let Ok(sealed) = srtp.seal_rtcp(packet)
        {
            out.datagram(Exit::new(path, self.own.as_ref()), &sealed);
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
        self.pump(now, out);
    }

    /// The next access unit of the track.
    pub(crate) fn forward(
        &mut self,
        seq: u64,
        batch: &Arc<PacketBatch>,
        now: Instant,
        out: &mut Outbox<'_>,
    ) {
        if self.phase == SessionPhase::Sending
            && let Some(mut way) = Way::open(&mut self.srtp, &self.path, &self.own, out)
        {
            let ring = self.track.ring();
            self.media.forward(seq, batch, ring, &mut way, now);
        }
    }

    /// Candidates that came later.
    pub(crate) fn add_candidates(&mut self, texts: &[String], now: Instant, out: &Outbox<'_>) {
        self.ice.add_candidates(texts);
        self.drain(now, out);
    }

    /// New credentials on both sides (RFC 8445 section 9); media goes on meanwhile.
    pub(crate) fn restart_ice(
        &mut self,
        local: IceCredentials,
        remote: IceCredentials,
        now: Instant,
        out: &Outbox<'_>,
    ) -> Result<(), Error> {
        self.ice.restart(local, remote, now)?;
        self.drain(now, out);
        Ok(())
    }

    /// Ends the session; the thread removes it.
    pub(crate) fn end(&mut self, reason: EndReason) {
        if self.ended().is_none() {
            self.phase = SessionPhase::Ended(reason);
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
        self.drain_dtls(out);
    }
}

impl Drop for ViewerSession {
    fn drop(&mut self) {
        self.metrics.sessions.dec();
    }
}
