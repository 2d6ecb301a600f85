//! H.265 from RTP, RFC 7798: single NAL units, aggregation packets, fragmentation units. PACI and
//! decoding order numbers are not used by cameras; the first is refused.

use super::DepacketizeError;
use super::assembler::{Codec, NalDepacketizer, Role, Sets};
use crate::codec::VideoParams;
use crate::h264::SpsError;
use crate::h265::{is_random_access, params, type_of, unit_type};

const AGGREGATION: u8 = 48;
const FRAGMENT: u8 = 49;

/// What is particular about H.265.
#[derive(Debug)]
pub struct Hevc;

impl Codec for Hevc {
    const HEADER_BYTES: usize = 2;
    const AGGREGATION: u8 = AGGREGATION;
    const FRAGMENT: u8 = FRAGMENT;

    fn type_of(unit: &[u8]) -> Option<u8> {
        type_of(unit)
    }

    fn unit_header(payload: &[u8], kind: u8, out: &mut [u8; 2]) {
        *out = [(payload[0] & 0x81) | ((kind & 0x3F) << 1), payload[1]];
    }

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
pub type H265 = NalDepacketizer<Hevc>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nal::units;
    use crate::rtp::Packet;

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
