//! H.264 from RTP, RFC 6184: single NAL units, STAP-A, FU-A. The interleaved mode is not used by
//! cameras and refused.

use super::DepacketizeError;
use super::assembler::{Codec, NalDepacketizer, Role, Sets};
use crate::codec::VideoParams;
use crate::h264::{SpsError, is_immediate_recovery_point, params, type_of, unit_type};

const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// What is particular about H.264.
#[derive(Debug)]
pub struct Avc;

impl Codec for Avc {
    const HEADER_BYTES: usize = 1;
    const AGGREGATION: u8 = STAP_A;
    const FRAGMENT: u8 = FU_A;

    fn type_of(unit: &[u8]) -> Option<u8> {
        type_of(unit)
    }

    fn unit_header(payload: &[u8], kind: u8, out: &mut [u8; 2]) {
        out[0] = (payload[0] & 0xE0) | (kind & 0x1F);
    }

    fn role(unit: &[u8]) -> Result<Role, DepacketizeError> {
        let kind = type_of(unit).ok_or(DepacketizeError::Truncated(0))?;
        if unit[0] & 0x80 != 0 {
            return Err(DepacketizeError::Forbidden);
        }
        Ok(match kind {
            unit_type::SPS => Role::Sps,
            unit_type::PPS => Role::Pps,
            unit_type::IDR => Role::Key,
            unit_type::SEI if is_immediate_recovery_point(unit) => Role::Key,
            unit_type::AUD | unit_type::FILLER => Role::Skip,
            1..=23 => Role::Other,
            other => return Err(DepacketizeError::Type(other)),
        })
    }

    fn params(sets: &Sets) -> Result<VideoParams, SpsError> {
        params(sets.sps.clone(), sets.pps.clone())
    }
}

/// Depacketizer for H.264.
pub type H264 = NalDepacketizer<Avc>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h264::tests::{PPS, SPS_640X360};
    use crate::nal::units;
    use crate::rtp::Packet;
    use bytes::Bytes;

    fn packet(timestamp: u32, marker: bool, payload: &[u8]) -> Packet<'_> {
        Packet {
            timestamp,
            marker,
            lost: 0,
            payload,
        }
    }

    fn sets() -> [Bytes; 2] {
        [Bytes::from_static(&SPS_640X360), Bytes::from_static(&PPS)]
    }

    #[test]
    fn puts_fragments_together() {
        let mut d = H264::new(&sets());
        let mut out = Vec::new();
        d.push(&packet(9, false, &[0x7C, 0x85, 1, 2]), &mut out)
            .unwrap();
        d.push(&packet(9, false, &[0x7C, 0x05, 3]), &mut out)
            .unwrap();
        assert!(out.is_empty());
        d.push(&packet(9, true, &[0x7C, 0x45, 4]), &mut out)
            .unwrap();
        let frame = &out[0];
        assert!(frame.keyframe && frame.params.is_some() && !frame.new_params);
        assert_eq!(
            units(&frame.data).collect::<Vec<_>>(),
            [&[0x65, 1, 2, 3, 4][..]]
        );
    }

    #[test]
    fn takes_parameter_sets_from_an_aggregate() {
        let mut d = H264::new(&[]);
        let mut stap = vec![0x78, 0, 15];
        stap.extend(SPS_640X360);
        stap.extend([0, 4]);
        stap.extend(PPS);
        let mut out = Vec::new();
        d.push(&packet(1, false, &stap), &mut out).unwrap();
        d.push(&packet(1, true, &[0x65, 7, 7]), &mut out).unwrap();
        let params = out[0].params.as_ref().unwrap();
        assert_eq!(
            (params.width, params.height, out[0].new_params),
            (640, 360, true)
        );
        assert_eq!(params.profile_level_id(), Some([0x42, 0xC0, 0x1E]));
        assert_eq!(
            units(&out[0].data).count(),
            1,
            "sets are not repeated in the data"
        );
    }

    #[test]
    fn a_loss_costs_its_picture_only() {
        let mut d = H264::new(&sets());
        let mut out = Vec::new();
        d.push(&packet(1, false, &[0x7C, 0x81, 1]), &mut out)
            .unwrap();
        let lossy = Packet {
            lost: 2,
            ..packet(1, true, &[0x7C, 0x41, 3])
        };
        d.push(&lossy, &mut out).unwrap();
        assert!(out.is_empty());
        d.push(&packet(2, true, &[0x41, 5]), &mut out).unwrap();
        assert_eq!((out.len(), out[0].lost_packets), (1, 2));
    }

    #[test]
    fn ends_pictures_by_timestamp_when_markers_are_missing() {
        let mut d = H264::new(&sets());
        let mut out = Vec::new();
        d.push(&packet(1, false, &[0x41, 1]), &mut out).unwrap();
        d.push(&packet(2, false, &[0x41, 2]), &mut out).unwrap();
        assert_eq!((out.len(), out[0].timestamp), (1, 1));
    }

    #[test]
    fn splits_byte_streams_inside_a_unit() {
        let mut d = H264::new(&[]);
        let mut payload = SPS_640X360.to_vec();
        payload.extend([0, 0, 0, 1]);
        payload.extend(PPS);
        payload.extend([0, 0, 0, 1, 0x65, 9, 9]);
        let mut out = Vec::new();
        d.push(&packet(1, true, &payload), &mut out).unwrap();
        assert!(out[0].keyframe && out[0].params.is_some());
    }

    #[test]
    fn names_what_is_wrong_and_goes_on() {
        let mut d = H264::new(&sets());
        let mut out = Vec::new();
        let mut push = |bytes: &[u8]| d.push(&packet(1, true, bytes), &mut out).unwrap_err();
        assert_eq!(push(&[0x7C, 0x05, 3]), DepacketizeError::NoStart);
        assert_eq!(push(&[0x78, 0, 9, 1]), DepacketizeError::Truncated(1));
        assert_eq!(push(&[0x7C]), DepacketizeError::Truncated(1));
        assert_eq!(push(&[0x1F, 1]), DepacketizeError::Type(31));
        assert_eq!(push(&[0xE5, 1]), DepacketizeError::Forbidden);
        assert!(out.is_empty());
        d.push(&packet(2, true, &[0x41, 1]), &mut out).unwrap();
        assert_eq!(out.len(), 1);
    }

    #[test]
    fn a_picture_without_end_is_bounded() {
        let mut d = H264::new(&sets());
        let mut out = Vec::new();
        let body = vec![0_u8; 60_000];
        let mut start = vec![0x7C, 0x85];
        start.extend(&body);
        d.push(&packet(1, false, &start), &mut out).unwrap();
        start[1] = 0x05;
        let refused = (0..200).filter(|_| d.push(&packet(1, false, &start), &mut out).is_err());
        assert!(refused.count() > 50);
        assert!(out.is_empty());
    }
}
