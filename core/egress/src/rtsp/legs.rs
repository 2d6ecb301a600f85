//! How one track's packets get to one client: interleaved in the connection, or by UDP.
//!
//! Owner: a client's session. Cost per packet: a header and a copy, by UDP a system call.
//! Not here: which way was agreed on (`transport`), how long a slow client is waited for (`connection`).

use taimat_base::clock;
use taimat_media::TrackKind;
use taimat_media::rtp::RtpHeader;

use super::transport::RtspRoute;
use crate::pace::BurstPace;
use crate::packets::PacketBatch;
use crate::report::SentCount;

/// One track to one client.
#[derive(Debug)]
pub(super) struct RtspLeg {
    route: RtspRoute,
    pub(super) ssrc: u32,
    payload_type: u8,
    sequence: u16,
    sent: SentCount,
}

impl RtspLeg {
    pub(super) fn new(route: RtspRoute, payload_type: u8) -> Self {
        Self {
            route,
            ssrc: rand::random(),
            payload_type,
            sequence: rand::random(),
            sent: SentCount::default(),
        }
    }

    /// The sequence number that comes next.
    pub(super) fn next_sequence(&self) -> u16 {
        self.sequence
    }

    /// The channels for RTP and RTCP, if it is in the connection.
    pub(super) fn channels(&self) -> Option<[u8; 2]> {
        match self.route {
            RtspRoute::Interleaved(rtp, rtcp) => Some([rtp, rtcp]),
            RtspRoute::Udp { .. } => None,
        }
    }

    /// Whether it is sent by UDP.
    pub(super) fn is_udp(&self) -> bool {
        matches!(self.route, RtspRoute::Udp { .. })
    }

    /// Sends an access unit's packets from number `from` on; interleaved ones are appended to `tcp`, by
    /// UDP as many are sent as the pace allows. Returns the number of the first that was not sent.
    pub(super) fn send(
        &mut self,
        batch: &PacketBatch,
        from: usize,
        pace: &mut BurstPace,
        tcp: &mut Vec<u8>,
    ) -> usize {
        let timestamp = batch.media_time.rtp();
        let count = batch.payloads.len();
        if from == 0 && batch.incomplete && self.sent.newest().is_some() {
            // What was lost before us is missing after us, too: players look for it here.
            self.sequence = self.sequence.wrapping_add(1);
        }
        let mut datagram = Vec::new();
        for (place, payload) in batch.payloads.iter().enumerate().skip(from) {
            if self.is_udp() && !pace.allows() {
                return place;
            }
            let marker = place + 1 == count && batch.track == TrackKind::Video;
            let header = self.header(marker, timestamp);
            match &self.route {
                RtspRoute::Interleaved(channel, _) => {
                    frame(tcp, *channel, header.len() + payload.len());
                    tcp.extend_from_slice(&header);
                    tcp.extend_from_slice(payload);
                }
                RtspRoute::Udp { rtp, .. } => {
                    datagram.clear();
                    datagram.extend_from_slice(&header);
                    datagram.extend_from_slice(payload);
                    pace.spend(datagram.len());
                    // A full buffer or a client that is gone: datagrams get lost.
                    drop(rtp.try_send(&datagram));
                }
            }
        }
        self.sent.add(batch, timestamp);
        count
    }

    fn header(&mut self, marker: bool, timestamp: u32) -> [u8; RtpHeader::BYTES] {
        let header = RtpHeader {
            extension: false,
            marker,
            payload_type: self.payload_type,
            sequence: self.sequence,
            timestamp,
            ssrc: self.ssrc,
        };
        self.sequence = self.sequence.wrapping_add(1);
        header.to_bytes()
    }

    /// Sends a sender report.
    pub(super) fn report(&self, tcp: &mut Vec<u8>) {
        let Some(report) = self.sent.report(self.ssrc, clock::wall()) else {
            return;
        };
        match &self.route {
            RtspRoute::Interleaved(_, channel) => {
                frame(tcp, *channel, report.len());
                tcp.extend_from_slice(&report);
            }
            RtspRoute::Udp { rtcp, .. } => drop(rtcp.try_send(&report)),
        }
    }

    /// Takes in what the client sent by UDP; says whether there was anything.
    pub(super) fn drain(&self) -> bool {
        let RtspRoute::Udp { rtp, rtcp } = &self.route else {
            return false;
        };
        let mut buffer = [0; 1500];
        let mut any = false;
        for socket in [rtp, rtcp] {
            // At most a few: a client that floods gets no more of our time.
            any |= (0..8)
                .take_while(|_| socket.try_recv(&mut buffer).is_ok())
                .count()
                > 0;
        }
        any
    }
}

/// The four bytes before interleaved data (RFC 2326 section 10.12).
fn frame(tcp: &mut Vec<u8>, channel: u8, len: usize) {
    tcp.extend_from_slice(&[b'$', channel]);
    tcp.extend_from_slice(&u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
}
