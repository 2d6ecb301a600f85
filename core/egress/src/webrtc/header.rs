//! RTP headers as a viewer gets them: the fixed part, and the playout-delay extension where the viewer
//! offered it.
//!
//! Cost: 12 or 20 bytes a packet and viewer. Not here: the payload, the seal (`way`).

use taimat_media::rtp::RtpHeader;

use super::negotiate::SendParams;

/// Minimum 0, maximum 400 ms, each of 12 bits in 10 ms units.
const PLAYOUT_DELAY: u32 = 40;
/// The extension block: one element of three bytes with a one-byte header (RFC 8285 section 4.2).
const EXTENSION_BYTES: usize = 8;

/// A packet's header, personal to a viewer.
#[derive(Debug, Clone, Copy)]
pub(super) struct ViewerHeader {
    pub(super) params: SendParams,
    pub(super) marker: bool,
    /// 48-bit index: rollover counter and sequence number.
    pub(super) index: u64,
    pub(super) timestamp: u32,
    /// The extension's number, if it was agreed on.
    pub(super) playout_delay: Option<u8>,
}

impl ViewerHeader {
    /// Its length in bytes.
    pub(super) fn len(&self) -> usize {
        match self.playout_delay {
            Some(_) => RtpHeader::BYTES + EXTENSION_BYTES,
            None => RtpHeader::BYTES,
        }
    }

    /// Appends it to a packet that begins.
    pub(super) fn write(&self, buffer: &mut Vec<u8>) {
        let [.., high, low] = self.index.to_be_bytes();
        let fixed = RtpHeader {
            extension: self.playout_delay.is_some(),
            marker: self.marker,
            payload_type: self.params.payload_type,
            sequence: u16::from_be_bytes([high, low]),
            timestamp: self.timestamp,
            ssrc: self.params.ssrc,
        };
        buffer.extend_from_slice(&fixed.to_bytes());
        if let Some(number) = self.playout_delay {
            let [_, a, b, c] = PLAYOUT_DELAY.to_be_bytes();
            buffer.extend_from_slice(&[0xBE, 0xDE, 0, 1, (number << 4) | 2, a, b, c]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_media::rtp::RtpPacket;

    #[test]
    fn is_as_long_as_it_says_and_ends_where_the_payload_begins() {
        let params = SendParams {
            payload_type: 96,
            ssrc: 7,
        };
        for playout_delay in [None, Some(5)] {
            let header = ViewerHeader {
                params,
                marker: true,
                index: 0x1_FFFE,
                timestamp: 9,
                playout_delay,
            };
            let mut packet = Vec::new();
            header.write(&mut packet);
            assert_eq!(packet.len(), header.len());
            packet.push(42);
            let read = RtpPacket::parse(packet.into()).unwrap();
            assert_eq!((read.sequence, read.ssrc, read.timestamp), (0xFFFE, 7, 9));
            assert_eq!((read.marker, &read.payload[..]), (true, &[42][..]));
        }
    }
}
