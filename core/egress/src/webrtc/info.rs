//! What others may know of a session: its state and figures, why it ended, and that it is to end.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use taimat_base::{SessionId, clock};
use utoipa::ToSchema;

use crate::metrics::ConnectFailure;

/// Why a session ended. A closed set: each is a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The viewer asked for it (DELETE).
    Deleted,
    /// The viewer closed the connection.
    PeerClosed,
    /// No sign of the viewer for too long.
    Silent,
    /// No connectivity in time.
    NoConnectivity,
    /// The handshake failed or did not finish.
    HandshakeFailed,
    /// The camera was removed, or its stream changed so that viewers have to come again.
    SourceChanged,
    /// The router stops.
    Shutdown,
    /// The viewer may not watch any more.
    Revoked,
    /// It was not connected yet, its address had more than its share, and somebody else came.
    Displaced,
}

impl EndReason {
    /// The word in metrics and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::PeerClosed => "peer_closed",
            Self::Silent => "silent",
            Self::NoConnectivity => "no_connectivity",
            Self::HandshakeFailed => "handshake_failed",
            Self::SourceChanged => "source_changed",
            Self::Shutdown => "shutdown",
            Self::Revoked => "revoked",
            Self::Displaced => "displaced",
        }
    }

    /// As a reason why the viewer could not be connected, if it is one.
    pub(crate) const fn connect_failure(self) -> Option<ConnectFailure> {
        match self {
            Self::NoConnectivity => Some(ConnectFailure::Ice),
            Self::HandshakeFailed => Some(ConnectFailure::Dtls),
            Self::Displaced => Some(ConnectFailure::Share),
            _ => None,
        }
    }
}

const CONNECTING: u8 = 0;
const CONNECTED: u8 = 1;

/// What others may know of a session.
#[derive(Debug)]
pub(crate) struct SessionFigures {
    pub(crate) id: SessionId,
    pub(crate) created: SystemTime,
    pub(crate) video_codec: &'static str,
    state: AtomicU8,
    packets: AtomicU64,
    bytes: AtomicU64,
    retransmits: AtomicU64,
    fraction_lost: AtomicU8,
    rtt_micros: AtomicU32,
    connect_micros: AtomicU64,
    clock: Mutex<Option<SessionClock>>,
    /// It is to end, says somebody outside its thread.
    wish: OnceLock<EndReason>,
}

/// What ties the video's RTP time to the clock on the wall, as the newest sender report does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct SessionClock {
    /// RTP time, 90 kHz.
    pub rtp: u32,
    /// When what has that RTP time was captured, in microseconds since 1970.
    pub at: i64,
}

/// A session as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SessionInfo {
    /// Number within this run of the router.
    pub id: u64,
    /// The commune.
    pub commune: String,
    /// The camera.
    pub camera: String,
    /// Which of its encodings.
    pub profile: String,
    /// `connecting` or `connected`.
    pub state: &'static str,
    /// Since when, in seconds since 1970.
    pub created: f64,
    /// How long connecting took, in seconds.
    pub connect_seconds: Option<f64>,
    /// The video codec.
    pub codec: &'static str,
    /// Packets sent.
    pub packets: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Packets sent again.
    pub retransmits: u64,
    /// Share of packets that the viewer missed of late, 0 to 1.
    pub loss: f64,
    /// Round trip time in seconds, once known.
    pub round_trip_seconds: Option<f64>,
    /// Which RTP time was captured when, once the session is live.
    pub clock: Option<SessionClock>,
}

impl SessionFigures {
    pub(super) fn new(id: SessionId, video_codec: &'static str) -> Self {
        Self {
            id,
            created: clock::wall(),
            video_codec,
            state: AtomicU8::new(CONNECTING),
            packets: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            retransmits: AtomicU64::new(0),
            fraction_lost: AtomicU8::new(0),
            rtt_micros: AtomicU32::new(0),
            connect_micros: AtomicU64::new(0),
            clock: Mutex::default(),
            wish: OnceLock::new(),
        }
    }

    /// The session is to end. It is kept here, because the queue of the session's thread may have no
    /// room for it; the first reason stands.
    pub(super) fn end_with(&self, reason: EndReason) {
        // Somebody else has said so before.
        let _stands = self.wish.set(reason);
    }

    /// Why it is to end, if it is.
    pub(super) fn wished_end(&self) -> Option<EndReason> {
        self.wish.get().copied()
    }

    /// The handshake is done, `took` after the offer was answered.
    pub(super) fn connected(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.connect_micros.store(micros, Ordering::Relaxed);
        self.state.store(CONNECTED, Ordering::Relaxed);
    }

    /// How long connecting took.
    pub(super) fn connect_time(&self) -> Duration {
        Duration::from_micros(self.connect_micros.load(Ordering::Relaxed))
    }

    /// The share of packets that the viewer missed of late, in 1/256.
    pub(super) fn lost(&self, fraction: u8) {
        self.fraction_lost.store(fraction, Ordering::Relaxed);
    }

    /// What has this RTP time was captured then.
    pub(super) fn timed(&self, rtp: u32, at: SystemTime) {
        let at = at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let at = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
        let mut clock = self.clock.lock().unwrap_or_else(|e| e.into_inner());
        *clock = Some(SessionClock { rtp, at });
    }

    /// A round trip was measured.
    pub(super) fn round_trip(&self, time: Duration) {
        let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX).max(1);
        self.rtt_micros.store(micros, Ordering::Relaxed);
    }

    /// So many packets with so many bytes were sent.
    pub(super) fn sent(&self, packets: u64, bytes: u64) {
        self.packets.fetch_add(packets, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many of them were sent again.
    pub(super) fn sent_again(&self, packets: u64) {
        self.retransmits.fetch_add(packets, Ordering::Relaxed);
    }

    pub(super) fn info(&self, key: &taimat_hub::ChannelKey) -> SessionInfo {
        let connected = self.state.load(Ordering::Relaxed) == CONNECTED;
        let connect = self.connect_micros.load(Ordering::Relaxed);
        let rtt = self.rtt_micros.load(Ordering::Relaxed);
        SessionInfo {
            id: self.id.0,
            commune: key.camera.commune.to_string(),
            camera: key.camera.camera.to_string(),
            profile: key.profile.to_string(),
            state: if connected { "connected" } else { "connecting" },
            created: clock::unix_seconds(self.created),
            connect_seconds: connected.then_some(connect as f64 / 1e6),
            codec: self.video_codec,
            packets: self.packets.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            retransmits: self.retransmits.load(Ordering::Relaxed),
            loss: f64::from(self.fraction_lost.load(Ordering::Relaxed)) / 256.0,
            round_trip_seconds: (rtt > 0).then(|| f64::from(rtt) / 1e6),
            clock: *self.clock.lock().unwrap_or_else(|e| e.into_inner()),
        }
    }
}
