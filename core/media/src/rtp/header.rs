//! The header of RTP packets (RFC 3550 section 5.1): read without copying what follows it, and written.

use bytes::{Buf, Bytes};

const FIXED_BYTES: usize = 12;

/// A packet as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpPacket {
    /// What the payload is; the description says which number means what.
    pub payload_type: u8,
    /// What it marks depends on the payload, mostly the end of an access unit.
    pub marker: bool,
    /// One more with each packet.
    pub sequence: u16,
    /// When the payload was sampled, on a clock whose rate the description tells.
    pub timestamp: u32,
    /// Synchronization source.
    pub ssrc: u32,
    /// What is carried, without header extension and padding. A part of the buffer it came in.
    pub payload: Bytes,
}

/// Why bytes are no RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RtpError {
    /// Ends within its header, its list of contributors, or its header extension.
    #[error("packet of {0} bytes is shorter than its header says")]
    Truncated(usize),
    /// Another version than 2: something else, or damaged.
    #[error("RTP version {0}")]
    Version(u8),
}

impl RtpPacket {
    /// Reads a packet.
    ///
    /// Padding that is announced with a length that can not be (0, or more than there is) is
    /// taken as a bit that was set by mistake: cameras do so, and the payload is whole then.
    pub fn parse(mut packet: Bytes) -> Result<Self, RtpError> {
        let truncated = RtpError::Truncated(packet.len());
        let header: &[u8; FIXED_BYTES] = packet.first_chunk().ok_or(truncated)?;
        let [first, second, s0, s1, t0, t1, t2, t3, source @ ..] = *header;
        if first >> 6 != 2 {
            return Err(RtpError::Version(first >> 6));
        }
        let mut start = FIXED_BYTES + 4 * usize::from(first & 0x0F);
        if first & 0x10 != 0 {
            let extension = packet.get(start..start + 4).ok_or(truncated)?;
            let words = u16::from_be_bytes([extension[2], extension[3]]);
            start += 4 + 4 * usize::from(words);
        }
        let payload_bytes = packet.len().checked_sub(start).ok_or(truncated)?;
        let padding = match packet.last() {
            Some(padding) if first & 0x20 != 0 && usize::from(*padding) <= payload_bytes => {
                usize::from(*padding)
            }
            _ => 0,
        };
        packet.truncate(packet.len() - padding);
        packet.advance(start);
        Ok(Self {
            payload_type: second & 0x7F,
            marker: second & 0x80 != 0,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes(source),
            payload: packet,
        })
    }
}

/// What the fixed part of a header says, to be written. No padding, no contributors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpHeader {
    /// Whether a header extension follows (RFC 3550 section 5.3.1).
    pub extension: bool,
    /// What it marks depends on the payload, mostly the end of an access unit.
    pub marker: bool,
    /// Below 128.
    pub payload_type: u8,
    /// One more with each packet.
    pub sequence: u16,
    /// When the payload was sampled, on the track's clock.
    pub timestamp: u32,
    /// Synchronization source.
    pub ssrc: u32,
}

impl RtpHeader {
    /// The fixed part's length.
    pub const BYTES: usize = FIXED_BYTES;

    /// As it is sent.
    #[inline]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let first = 0x80 | if self.extension { 0x10 } else { 0 };
        let second = self.payload_type | if self.marker { 0x80 } else { 0 };
        let [s0, s1] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [i0, i1, i2, i3] = self.ssrc.to_be_bytes();
        [first, second, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A packet with this first byte and these bytes after the fixed header.
    fn packet(first: u8, rest: &[u8]) -> Bytes {
        let mut bytes = vec![first, 0xE0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
        bytes.extend_from_slice(rest);
        bytes.into()
    }

    #[test]
    fn reads_every_field() {
        let bytes = packet(0x80, &[42, 43]);
        let read = RtpPacket::parse(bytes.clone()).unwrap();
        let expected = RtpPacket {
            payload_type: 96,
            marker: true,
            sequence: 0x0102,
            timestamp: 0x0304_0506,
            ssrc: 0x0708_090A,
            payload: Bytes::from_static(&[42, 43]),
        };
        assert_eq!(read, expected);
        assert_eq!(read.payload.as_ptr(), bytes[12..].as_ptr(), "not a copy");
    }

    #[test]
    fn leaves_out_contributors_extension_and_padding() {
        // Two contributors, an extension of one word, two bytes of padding.
        let rest = [
            0, 0, 0, 1, 0, 0, 0, 2, 0xBE, 0xDE, 0, 1, 9, 9, 9, 9, 42, 0, 2,
        ];
        let read = RtpPacket::parse(packet(0xB2, &rest)).unwrap();
        assert_eq!(&read.payload[..], &[42]);
        let only_padding = RtpPacket::parse(packet(0xA0, &[0, 0, 3])).unwrap();
        assert!(only_padding.payload.is_empty());
    }

    #[test]
    fn padding_that_can_not_be_is_payload() {
        for rest in [&[42, 0][..], &[42, 3], &[42, 255], &[]] {
            let read = RtpPacket::parse(packet(0xA0, rest)).unwrap();
            assert_eq!(&read.payload[..], rest);
        }
    }

    #[test]
    fn refuses_what_is_no_packet() {
        let parse = |bytes: Bytes| RtpPacket::parse(bytes).unwrap_err();
        assert_eq!(parse(Bytes::from_static(&[0x80])), RtpError::Truncated(1));
        assert_eq!(parse(packet(0x40, &[])), RtpError::Version(1));
        assert_eq!(parse(packet(0x81, &[1, 2])), RtpError::Truncated(14));
        assert_eq!(parse(packet(0x90, &[0, 0, 0])), RtpError::Truncated(15));
        assert_eq!(
            parse(packet(0x90, &[0, 0, 0, 1, 7])),
            RtpError::Truncated(17)
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            marker in any::<bool>(),
            payload_type in 0_u8..128,
            sequence in any::<u16>(),
            timestamp in any::<u32>(),
            ssrc in any::<u32>(),
        ) {
            let extension = false;
            let header = RtpHeader { extension, marker, payload_type, sequence, timestamp, ssrc };
            let packet = [&header.to_bytes()[..], &[42]].concat();
            let payload = Bytes::from_static(&[42]);
            let read = RtpPacket { payload_type, marker, sequence, timestamp, ssrc, payload };
            prop_assert_eq!(RtpPacket::parse(packet.into()), Ok(read.clone()));

            let header = RtpHeader { extension: true, ..header };
            let packet = [&header.to_bytes()[..], &[0xBE, 0xDE, 0, 1, 1, 2, 3, 4, 42]].concat();
            prop_assert_eq!(RtpPacket::parse(packet.into()), Ok(read));
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80), first in 0x80_u8..0xC0) {
            drop(RtpPacket::parse(bytes.clone().into()));
            let mut likely = bytes;
            if let Some(byte) = likely.first_mut() {
                *byte = first;
            }
            let len = likely.len();
            if let Ok(read) = RtpPacket::parse(likely.into()) {
                prop_assert!(read.payload.len() + FIXED_BYTES <= len);
            }
        }
    }
}
