//! H.265 from RTP, RFC 7798: single NAL units, aggregation packets, fragmentation units. PACI and
//! decoding order numbers are not used by cameras; the first is refused.

use bytes::Bytes;

use super::assembler::{Assembler, Codec, Role, Sets};
use super::{DepacketizeError, Frame};
use crate::codec::VideoParams;
use crate::h264::SpsError;
use crate::h265::{is_random_access, params, type_of, unit_type};
use crate::rtp::Packet;

const AGGREGATION: u8 = 48;
const FRAGMENT: u8 = 49;

#[derive(Debug)]
struct Hevc;

impl Codec for Hevc {
    fn role(unit: &[u8]) -> Result<Role, DepacketizeError> {
        let kind = type_of(unit).ok_or(DepacketizeError::Truncated(unit.len()))?;
        if unit[0] & 0x80 != 0 {
            return Err(DepacketizeError::Forbidden);
        }
        Ok(match kind {
            unit_type::VPS => Role::Vps,
            unit_type::SPS => Role::Sps,
            unit_type::PPS => Role::Pps,
            unit_type::AUD | unit_type::FILLER => Role::Skip,
            kind if is_random_access(kind) => Role::Key,
            0..=47 => Role::Other,
            other => return Err(DepacketizeError::Type(other)),
        })
    }

    fn params(sets: &Sets) -> Result<VideoParams, SpsError> {
        params(sets.vps.clone(), sets.sps.clone(), sets.pps.clone())
    }
}

/// Depacketizer for H.265.
#[derive(Debug)]
pub struct H265(Assembler<Hevc>);

impl H265 {
    /// Starts with the parameter sets of the stream's description.
    pub fn new(sets: &[Bytes]) -> Self {
        Self(Assembler::new(sets))
    }

    /// See [`super::Depacketizer::push`].
    pub fn push(
        &mut self,
        packet: &Packet<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), DepacketizeError> {
        let begun = self.0.begin(packet, out);
        let read = self.payload(packet.payload);
        if read.is_err() {
            self.0.damage();
        }
        let finished = if packet.marker {
            self.0.finish(out)
        } else {
            Ok(())
        };
        begun.and(read).and(finished)
    }

    fn payload(&mut self, payload: &[u8]) -> Result<(), DepacketizeError> {
        if payload.is_empty() {
            return Ok(());
        }
        match type_of(payload).ok_or(DepacketizeError::Truncated(payload.len()))? {
            AGGREGATION => self.aggregate(&payload[2..]),
            FRAGMENT => self.fragment(payload),
            _ => self.0.unit(payload),
        }
    }

    fn aggregate(&mut self, mut rest: &[u8]) -> Result<(), DepacketizeError> {
        while !rest.is_empty() {
            let (len, after) = rest
                .split_first_chunk::<2>()
                .ok_or(DepacketizeError::Truncated(rest.len()))?;
            let len = usize::from(u16::from_be_bytes(*len));
            let unit = after
                .get(..len)
                .ok_or(DepacketizeError::Truncated(after.len()))?;
            if !unit.is_empty() {
                self.0.unit(unit)?;
            }
            rest = &after[len..];
        }
        Ok(())
    }

    fn fragment(&mut self, payload: &[u8]) -> Result<(), DepacketizeError> {
        let [first, second, header, body @ ..] = payload else {
            return Err(DepacketizeError::Truncated(payload.len()));
        };
        let (start, end) = (header & 0x80 != 0, header & 0x40 != 0);
        if start {
            let unit_header = [(first & 0x81) | ((header & 0x3F) << 1), *second];
            self.0.fragment_start(&unit_header, body)?;
        } else {
            self.0.fragment_more(body)?;
        }
        if end { self.0.fragment_end() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nal::units;

    #[test]
    fn puts_fragments_together() {
        let mut d = H265::new(&[]);
        let mut out = Vec::new();
        let mut push = |marker, payload: &[u8]| {
            d.push(
                &Packet {
                    timestamp: 1,
                    marker,
                    lost: 0,
                    payload,
                },
                &mut out,
            )
            .unwrap();
        };
        push(false, &[0x62, 0x01, 0x80 | 19, 1]);
        push(false, &[0x62, 0x01, 19, 2]);
        push(true, &[0x62, 0x01, 0x40 | 19, 3]);
        assert!(out[0].keyframe);
        assert_eq!(
            units(&out[0].data).collect::<Vec<_>>(),
            [&[0x26, 0x01, 1, 2, 3][..]]
        );
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let mut d = H265::new(&[]);
        let mut push = |payload| {
            d.push(
                &Packet {
                    timestamp: 1,
                    marker: true,
                    lost: 0,
                    payload,
                },
                &mut vec![],
            )
        };
        assert_eq!(push(&[0x64, 0x01, 0]), Err(DepacketizeError::Type(50)));
        assert_eq!(push(&[0x62, 0x01]), Err(DepacketizeError::Truncated(2)));
        assert_eq!(push(&[0x62, 0x01, 19, 2]), Err(DepacketizeError::NoStart));
    }
}
