//! What is counted about viewers.

use prometheus::Histogram;
use taimat_base::metrics::{
    Error, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Register, Registry,
};
use taimat_hub::ChannelKey;

/// Why a viewer could not be connected. A closed set: each is a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectFailure {
    /// The offer can not be used.
    BadOffer,
    /// The viewer plays none of the camera's codecs.
    Codec,
    /// The camera is not live.
    NotLive,
    /// Too many sessions.
    Full,
    /// Too many sessions or offers of one address.
    Share,
    /// The sender thread could not be told.
    Overloaded,
    /// No answer to connectivity checks: UDP is blocked, or the address is wrong.
    Ice,
    /// Connectivity was there, and the handshake did not finish.
    Dtls,
}

impl ConnectFailure {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::BadOffer,
        Self::Codec,
        Self::NotLive,
        Self::Full,
        Self::Share,
        Self::Overloaded,
        Self::Ice,
        Self::Dtls,
    ];

    /// The word in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadOffer => "bad_offer",
            Self::Codec => "codec",
            Self::NotLive => "not_live",
            Self::Full => "full",
            Self::Share => "share",
            Self::Overloaded => "overloaded",
            Self::Ice => "ice",
            Self::Dtls => "dtls",
        }
    }
}

/// Why something was not sent, or not taken in. A closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropCause {
    /// The kernel's send buffer was full.
    SendBuffer,
    /// The kernel refused to send.
    SendError,
    /// A sender thread was late by more than a camera's ring holds.
    SenderLate,
    /// A datagram from an address without a session.
    UnknownPeer,
    /// A datagram that is no STUN, DTLS or SRTCP packet, or that does not authenticate.
    BadDatagram,
    /// The queue of a sender thread was full.
    QueueFull,
    /// A viewer sent more than any viewer has to.
    Flood,
}

impl DropCause {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::SendBuffer,
        Self::SendError,
        Self::SenderLate,
        Self::UnknownPeer,
        Self::BadDatagram,
        Self::QueueFull,
        Self::Flood,
    ];

    /// The word in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SendBuffer => "send_buffer",
            Self::SendError => "send_error",
            Self::SenderLate => "sender_late",
            Self::UnknownPeer => "unknown_peer",
            Self::BadDatagram => "bad_datagram",
            Self::QueueFull => "queue_full",
            Self::Flood => "flood",
        }
    }
}

/// What is counted about viewers.
#[derive(Debug)]
pub struct EgressMetrics {
    pub(crate) sessions: IntGaugeVec,
    pub(crate) packets: IntCounterVec,
    pub(crate) bytes: IntCounterVec,
    pub(crate) retransmits: IntCounterVec,
    pub(crate) retransmit_misses: IntCounter,
    pub(crate) keyframe_requests: IntCounterVec,
    pub(crate) access_unit: Histogram,
    pub(crate) forward_delay: Histogram,
    pub(crate) connect: Histogram,
    pub(crate) ended: IntCounterVec,
    failures: IntCounterVec,
    drops: IntCounterVec,
    pub(crate) rtsp_sessions: IntGauge,
    pub(crate) rtsp_requests: IntCounterVec,
    pub(crate) rtsp_packets: IntCounter,
    pub(crate) gso: IntGauge,
}

impl EgressMetrics {
    /// Registers all of it.
    pub fn register(registry: &Registry) -> Result<Self, Error> {
        let r = Register(registry);
        let labels = ChannelKey::LABELS;
        let micro = [
            5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2,
        ];
        let delay = [
            1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.5,
        ];
        let connect = [
            0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
        ];
        let metrics = Self {
            sessions: r.gauges("taimat_viewer_sessions", "WebRTC viewer sessions that are connected or connecting.", &labels)?,
            packets: r.counters("taimat_viewer_packets_total", "RTP packets handed to the kernel for WebRTC viewers, retransmissions included.", &labels)?,
            bytes: r.counters("taimat_viewer_sent_bytes_total", "Bytes of those packets, SRTP tag included.", &labels)?,
            retransmits: r.counters("taimat_viewer_retransmits_total", "RTP packets sent again because a viewer asked (NACK).", &labels)?,
            retransmit_misses: r.counter("taimat_viewer_retransmit_misses_total", "Packets that were asked for again too late.")?,
            keyframe_requests: r.counters("taimat_viewer_keyframe_requests_total", "Key frames that viewers asked for (PLI, FIR).", &labels)?,
            access_unit: r.histogram("taimat_viewer_access_unit_seconds", "Time one sender thread takes to send one access unit to all its viewers.", &micro)?,
            forward_delay: r.histogram("taimat_viewer_forward_delay_seconds", "Time from an access unit's arrival until a sender thread has sent it to all its viewers.", &delay)?,
            connect: r.histogram("taimat_viewer_connect_seconds", "Time from the answer until the viewer's DTLS handshake is done.", &connect)?,
            ended: r.counters("taimat_viewer_sessions_ended_total", "Viewer sessions that ended, by reason.", &["reason"])?,
            failures: r.counters("taimat_viewer_connect_failures_total", "Viewers that could not be connected, by reason.", &["reason"])?,
            drops: r.counters("taimat_viewer_drops_total", "Datagrams not sent or not taken in, by cause.", &["cause"])?,
            rtsp_sessions: r.gauge("taimat_rtsp_sessions", "RTSP sessions that play.")?,
            rtsp_requests: r.counters("taimat_rtsp_requests_total", "RTSP requests by method and status class.", &["method", "status"])?,
            rtsp_packets: r.counter("taimat_rtsp_packets_total", "RTP packets sent to RTSP clients.")?,
            gso: r.gauge("taimat_viewer_segments_per_send", "Largest number of datagrams that the kernel takes in one call; 1 without UDP_SEGMENT.")?,
        };
        for failure in ConnectFailure::ALL {
            metrics
                .failures
                .with_label_values(&[failure.as_str()])
                .reset();
        }
        for cause in DropCause::ALL {
            metrics.drops.with_label_values(&[cause.as_str()]).reset();
        }
        Ok(metrics)
    }

    pub(crate) fn failure(&self, failure: ConnectFailure) {
        self.failures.with_label_values(&[failure.as_str()]).inc();
    }

    pub(crate) fn drop_one(&self, cause: DropCause) {
        self.dropped(cause, 1);
    }

    pub(crate) fn dropped(&self, cause: DropCause, count: u64) {
        self.drops
            .with_label_values(&[cause.as_str()])
            .inc_by(count);
    }

    pub(crate) fn viewer(&self, key: &ChannelKey) -> ViewerMetrics {
        let l = key.label_values();
        ViewerMetrics {
            sessions: self.sessions.with_label_values(&l),
            packets: self.packets.with_label_values(&l),
            bytes: self.bytes.with_label_values(&l),
            retransmits: self.retransmits.with_label_values(&l),
            retransmit_misses: self.retransmit_misses.clone(),
            keyframe_requests: self.keyframe_requests.with_label_values(&l),
        }
    }
}

/// One channel's part, looked up once per session.
#[derive(Debug, Clone)]
pub(crate) struct ViewerMetrics {
    pub(crate) sessions: IntGauge,
    pub(crate) packets: IntCounter,
    pub(crate) bytes: IntCounter,
    pub(crate) retransmits: IntCounter,
    pub(crate) retransmit_misses: IntCounter,
    pub(crate) keyframe_requests: IntCounter,
}
