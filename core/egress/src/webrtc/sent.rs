//! One track to one viewer: where its numbering stands, and which access units went out under which
//! numbers, so that they can be asked for again.
//!
//! Owner: a viewer's `media`. Cost: 24 bytes an access unit that is remembered; the payloads stay in the
//! track's ring.
//! Not here: when something is sent (`media`, `pace`), how it gets out (`way`).

use std::collections::VecDeque;

use taimat_media::TrackKind;

use super::header::ViewerHeader;
use super::negotiate::SendParams;
use super::way::Way;
use crate::packets::PacketBatch;
use crate::report::SentCount;

/// Access units that are remembered for retransmission: 10 s at 25 pictures a second, 6 KiB.
const SENT_UNITS: usize = 256;

/// A track as this viewer gets it.
#[derive(Debug)]
pub(super) struct OutgoingTrack {
    pub(super) params: SendParams,
    playout_delay: Option<u8>,
    /// Index of the next packet: rollover counter and sequence number.
    next_index: u64,
    /// Added to media time to get RTP time.
    offset: u32,
    pub(super) count: SentCount,
}

impl OutgoingTrack {
    /// Nothing was sent yet. `playout_delay` is the number of that header extension, if it was agreed
    /// on for this track.
    pub(super) fn new(params: SendParams, playout_delay: Option<u8>) -> Self {
        Self {
            params,
            playout_delay,
            // RFC 3711 section 3.3.1: below 2^15, so that the receiver's guess of the rollover
            // counter is right even if the first packets are lost.
            next_index: u64::from(rand::random::<u16>() >> 1),
            offset: rand::random(),
            count: SentCount::default(),
        }
    }

    /// The RTP time that belongs to an access unit's own time.
    pub(super) fn timestamp(&self, batch: &PacketBatch) -> u32 {
        batch.media_time.rtp().wrapping_add(self.offset)
    }

    /// Sends an access unit under this RTP time. Returns the index of its first packet, and how many
    /// bytes went out.
    ///
    /// Where packets of the camera were lost, a number is left out, so that the viewer's decoder knows of
    /// the hole and asks for a key frame instead of showing what refers to nothing. One is enough, and
    /// all that a viewer asks for again in vain.
    pub(super) fn send(
        &mut self,
        batch: &PacketBatch,
        timestamp: u32,
        way: &mut Way<'_, '_>,
    ) -> (u64, usize) {
        if batch.incomplete && self.count.newest().is_some() {
            self.next_index += 1;
        }
        let first = self.next_index;
        let mut bytes = 0;
        for (index, payload) in (first..).zip(batch.payloads.iter()) {
            let header = self.header(batch, index, index - first, timestamp);
            bytes += way.send(&header, payload);
        }
        way.flush();
        self.next_index = first + batch.payloads.len() as u64;
        self.count.add(batch, timestamp);
        (first, bytes)
    }

    /// The header of an access unit's packet number `place`, the same whenever it is made.
    pub(super) fn header(
        &self,
        batch: &PacketBatch,
        index: u64,
        place: u64,
        timestamp: u32,
    ) -> ViewerHeader {
        let is_last = place + 1 == batch.payloads.len() as u64;
        ViewerHeader {
            params: self.params,
            marker: is_last && batch.track == TrackKind::Video,
            index,
            timestamp,
            playout_delay: self.playout_delay,
        }
    }

    /// The index of the packet that had this sequence number of late.
    pub(super) fn index_of(&self, sequence: u16) -> Option<u64> {
        let newest = self.next_index.checked_sub(1)?;
        let back = u64::from(u16::try_from(newest & 0xFFFF).ok()?.wrapping_sub(sequence));
        newest.checked_sub(back)
    }
}

/// An access unit that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SentUnit {
    /// Index of its first packet.
    pub(super) first: u64,
    /// Packets.
    pub(super) count: u32,
    pub(super) timestamp: u32,
    /// Its number in the track's ring.
    pub(super) seq: u64,
}

/// The access units that were sent of late, in the order of their packets.
#[derive(Debug, Default)]
pub(super) struct SentUnits(VecDeque<SentUnit>);

impl SentUnits {
    /// One more; the oldest is forgotten for it.
    pub(super) fn push(&mut self, unit: SentUnit) {
        if self.0.len() == SENT_UNITS {
            self.0.pop_front();
        }
        self.0.push_back(unit);
    }

    /// The one that was sent last.
    pub(super) fn newest(&self) -> Option<&SentUnit> {
        self.0.back()
    }

    /// The one that a packet was in.
    pub(super) fn with(&self, index: u64) -> Option<SentUnit> {
        let place = self
            .0
            .partition_point(|s| s.first + u64::from(s.count) <= index);
        let unit = *self.0.get(place)?;
        (unit.first <= index).then_some(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(next_index: u64) -> OutgoingTrack {
        let params = SendParams {
            payload_type: 96,
            ssrc: 1,
        };
        OutgoingTrack {
            next_index,
            ..OutgoingTrack::new(params, None)
        }
    }

    #[test]
    fn a_sequence_number_stands_for_the_newest_packet_that_had_it() {
        assert!(OutgoingTrack::new(track(0).params, None).next_index < 1 << 15);
        assert_eq!(track(0).index_of(0), None);
        assert_eq!(track(5).index_of(4), Some(4));
        assert_eq!(track(5).index_of(5), None, "that one was never sent");
        // Over a rollover.
        let track = track(0x1_0002);
        assert_eq!(track.index_of(1), Some(0x1_0001));
        assert_eq!(track.index_of(0xFFFF), Some(0xFFFF));
        assert_eq!(track.index_of(2), Some(2));
    }

    #[test]
    fn units_are_found_by_any_of_their_packets_until_they_are_forgotten() {
        let unit = |n: u64| SentUnit {
            first: n * 3,
            count: 3,
            timestamp: 0,
            seq: n,
        };
        let mut sent = SentUnits::default();
        assert_eq!(sent.with(0), None);
        (1..=300).for_each(|n| sent.push(unit(n)));
        assert_eq!(sent.newest(), Some(&unit(300)));
        let kept = 300 - 256;
        assert_eq!(sent.with((kept + 1) * 3), Some(unit(kept + 1)));
        assert_eq!(sent.with(302), Some(unit(100)));
        assert_eq!(sent.with((kept + 1) * 3 - 1), None);
        assert_eq!(sent.with(903), None);
    }
}
