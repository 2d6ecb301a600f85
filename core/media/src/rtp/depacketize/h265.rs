//! H.265 from RTP, RFC 7798: single NAL units, aggregation packets, fragmentation units. PACI and
//! decoding order numbers are not used by cameras; the first are skipped.

use bytes::Bytes;

use super::codec::{Codec, Role, Slice};
use super::error::DepacketizeError;
use super::payload::NalDepacketizer;
use super::sets::{SetContent, SetKind, SetReader, Sets};
use crate::codec::VideoParams;
use crate::h264::{Pps, SpsError};
use crate::h265::{
    self, Sps, is_random_access, layer_of, params, pps_ids, recovery_point, type_of, unit_type,
    vps_id,
};
use crate::start::Start;

const AGGREGATION: u8 = 48;
const FRAGMENT: u8 = 49;

/// What is particular about H.265.
#[derive(Debug)]
pub struct Hevc;

impl SetReader for Hevc {
    type Sps = Sps;

    fn read_set(kind: SetKind, unit: &[u8]) -> Option<SetContent<Sps>> {
        match kind {
            SetKind::Vps => vps_id(unit).map(SetContent::Vps),
            SetKind::Sps => {
                let sps = Sps::read(unit).ok()?;
                Some(SetContent::Sps(sps.id, sps, None))
            }
            SetKind::Pps => {
                let (id, sps) = pps_ids(unit)?;
                Some(SetContent::Pps(Pps { id, sps }))
            }
        }
    }

    fn params(vps: Vec<Bytes>, sps: Vec<Bytes>, pps: Vec<Bytes>) -> Result<VideoParams, SpsError> {
        params(vps, sps, pps)
    }
}

impl Codec for Hevc {
    const HEADER_BYTES: usize = 2;
    const AGGREGATION: u8 = AGGREGATION;
    const FRAGMENT: u8 = FRAGMENT;
    const FRAGMENT_TYPE: u8 = 0x3F;

    fn type_of(unit: &[u8]) -> Option<u8> {
        let kind = type_of(unit)?;
        // Aggregates and fragments of other layers are none of ours; their own types would be read
        // as ours. 63 is one that nothing has.
        let foreign = layer_of(unit) != Some(0) && kind >= AGGREGATION;
        Some(if foreign { 63 } else { kind })
    }

    fn unit_header(payload: &[u8], kind: u8, out: &mut [u8; 2]) {
        *out = [(payload[0] & 0x81) | (kind << 1), payload[1]];
    }

    fn role(unit: &[u8]) -> Result<Role, DepacketizeError> {
        let kind = type_of(unit).ok_or(DepacketizeError::Truncated(unit.len()))?;
        if unit[0] & 0x80 != 0 {
            return Err(DepacketizeError::Forbidden);
        }
        // The last three bits are one more than the temporal layer: zero is no header.
        if layer_of(unit) != Some(0) || unit[1] & 7 == 0 {
            return Ok(Role::Unknown);
        }
        Ok(match kind {
            unit_type::VPS => Role::Set(SetKind::Vps),
            unit_type::SPS => Role::Set(SetKind::Sps),
            unit_type::PPS => Role::Set(SetKind::Pps),
            unit_type::AUD => Role::Delimiter,
            unit_type::PREFIX_SEI => Role::Info,
            unit_type::SUFFIX_SEI => Role::Suffix,
            unit_type::END_OF_SEQUENCE..=unit_type::FILLER => Role::Skip,
            0..=unit_type::LAST_TRAILING | unit_type::FIRST_IRAP..=unit_type::LAST_IRAP => {
                Role::Slice
            }
            _ => Role::Unknown,
        })
    }

    fn slice(unit: &[u8], _: &Sets<Sps>) -> Option<Slice> {
        let (first, pps) = h265::slice(unit)?;
        let start = match type_of(unit)? {
            unit_type::CRA => Some(Start::Recovery),
            kind if is_random_access(kind) => Some(Start::Idr),
            _ => None,
        };
        // Where a slice begins stands behind what only the sets can tell the size of.
        Some(Slice {
            first,
            position: 0,
            id: None,
            pps,
            intra: start.is_some(),
            single_reference: false,
            start,
        })
    }

    fn recovery_point(unit: &[u8]) -> Option<u32> {
        recovery_point(unit)
    }
}

/// Depacketizer for H.265.
pub type H265 = NalDepacketizer<Hevc>;
