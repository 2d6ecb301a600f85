//! H.264 from RTP, RFC 6184: single NAL units, STAP-A, FU-A. The interleaved mode is not used by
//! cameras: its packets are skipped.

use bytes::Bytes;

use super::codec::{Codec, Role, Slice};
use super::error::DepacketizeError;
use super::payload::NalDepacketizer;
use super::sets::{SetContent, SetKind, SetReader, Sets};
use crate::codec::VideoParams;
use crate::h264::{Pps, SliceHeader, Sps, SpsError, params, recovery_point, type_of, unit_type};
use crate::start::Start;

const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// What is particular about H.264.
#[derive(Debug)]
pub struct Avc;

impl SetReader for Avc {
    type Sps = Sps;

    fn read_set(kind: SetKind, unit: &[u8]) -> Option<SetContent<Sps>> {
        match kind {
            SetKind::Vps => None,
            SetKind::Sps => {
                let sps = Sps::read(unit).ok()?;
                Some(SetContent::Sps(sps.id, sps.clone(), sps.length))
            }
            SetKind::Pps => Pps::read(unit).ok().map(SetContent::Pps),
        }
    }

    fn pps_length(unit: &[u8], sps: &[u8]) -> Option<usize> {
        const HIGH: u8 = 100;
        // CAVLC 4:4:4 Intra is numbered below it.
        const CAVLC_444: u8 = 44;
        let profile = *sps.get(1)?;
        (profile < HIGH && profile != CAVLC_444)
            .then(|| Pps::length(unit))
            .flatten()
    }

    fn params(_: Vec<Bytes>, sps: Vec<Bytes>, pps: Vec<Bytes>) -> Result<VideoParams, SpsError> {
        params(sps, pps)
    }
}

impl Codec for Avc {
    const HEADER_BYTES: usize = 1;
    const AGGREGATION: u8 = STAP_A;
    const FRAGMENT: u8 = FU_A;
    const FRAGMENT_TYPE: u8 = 0x1F;

    fn type_of(unit: &[u8]) -> Option<u8> {
        type_of(unit)
    }

    fn unit_header(payload: &[u8], kind: u8, out: &mut [u8; 2]) {
        out[0] = (payload[0] & 0xE0) | kind;
    }

    fn role(unit: &[u8]) -> Result<Role, DepacketizeError> {
        let kind = type_of(unit).ok_or(DepacketizeError::Truncated(0))?;
        if unit[0] & 0x80 != 0 {
            return Err(DepacketizeError::Forbidden);
        }
        Ok(match kind {
            unit_type::SLICE | unit_type::IDR => Role::Slice,
            unit_type::SPS => Role::Set(SetKind::Sps),
            unit_type::PPS => Role::Set(SetKind::Pps),
            unit_type::SEI => Role::Info,
            unit_type::AUD => Role::Delimiter,
            // Ends, filler, and what only decoders of other layers and views look at.
            unit_type::END_OF_SEQUENCE..=unit_type::SUBSET_SPS
            | unit_type::AUXILIARY..=unit_type::DEPTH => Role::Skip,
            // Partitioned slices (2 to 4) among them: only profiles that nobody built have them,
            // while H.265 that is announced as H.264 looks like them.
            _ => Role::Unknown,
        })
    }

    fn slice(unit: &[u8], sets: &Sets<Sps>) -> Option<Slice> {
        let header = SliceHeader::read(unit)?;
        let sps = sets.sps_of(header.pps).map(|(_, sps)| sps);
        let idr = type_of(unit) == Some(unit_type::IDR);
        Some(Slice {
            first: header.first_macroblock == 0,
            position: header.first_macroblock,
            id: sps.and_then(|sps| SliceHeader::picture(unit, sps)),
            pps: header.pps,
            intra: header.intra,
            single_reference: sps.is_some_and(|sps| sps.reference_frames <= 1),
            start: idr.then_some(Start::Idr),
        })
    }

    fn recovery_point(unit: &[u8]) -> Option<u32> {
        recovery_point(unit)
    }
}

/// Depacketizer for H.264.
pub type H264 = NalDepacketizer<Avc>;
