//! H.264 from RTP, RFC 6184: single NAL units, STAP-A, FU-A. The interleaved mode is not used by
//! cameras and refused.

use bytes::Bytes;

use super::assembler::{Assembler, Codec, Role, Sets};
use super::{DepacketizeError, Frame};
use crate::codec::VideoParams;
use crate::h264::{SpsError, is_immediate_recovery_point, params, type_of, unit_type};
use crate::rtp::Packet;

const STAP_A: u8 = 24;
const FU_A: u8 = 28;

#[derive(Debug)]
struct Avc;

impl Codec for Avc {
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
#[derive(Debug)]
pub struct H264(Assembler<Avc>);

impl H264 {
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
        let Some(kind) = type_of(payload) else {
            // Cameras send empty packets to keep NAT mappings open.
            return Ok(());
        };
        match kind {
            STAP_A => self.aggregate(&payload[1..]),
            FU_A => self.fragment(payload),
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
        let [indicator, header, body @ ..] = payload else {
            return Err(DepacketizeError::Truncated(payload.len()));
        };
        let (start, end) = (header & 0x80 != 0, header & 0x40 != 0);
        if start {
            self.0
                .fragment_start(&[(indicator & 0xE0) | (header & 0x1F)], body)?;
        } else {
            self.0.fragment_more(body)?;
        }
        if end { self.0.fragment_end() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h264::tests::{PPS, SPS_640X360};
    use crate::nal::units;

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
