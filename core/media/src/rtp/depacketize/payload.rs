//! Taking payloads apart: single units, aggregates, fragments. What each unit means is left to the
//! assembler, so that it is one rule for all of them.

use bytes::Bytes;

use super::assembler::Assembler;
use super::codec::{Codec, Role};
use super::error::DepacketizeError;
use super::frame::Frame;
use crate::rtp::packet::Packet;
use crate::{Quirk, Quirks};

/// Depacketizer for a codec of NAL units.
#[derive(Debug)]
pub struct NalDepacketizer<C: Codec> {
    assembler: Assembler<C>,
    /// Fragments that are left out, because their beginning is missing or nobody knows their type:
    /// those with this timestamp were told of.
    skipping: Option<u32>,
}

impl<C: Codec> NalDepacketizer<C> {
    /// Starts with the parameter sets of the stream's description.
    pub fn new(sets: &[Bytes]) -> Self {
        Self {
            assembler: Assembler::new(sets),
            skipping: None,
        }
    }

    /// See [`super::Depacketizer::trusting_markers`].
    pub fn trust_markers(&mut self) {
        self.assembler.trust_markers();
    }

    /// See [`super::Depacketizer::push`].
    pub fn push(
        &mut self,
        packet: &Packet<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), DepacketizeError> {
        if self.assembler.begin_packet(packet) {
            self.skipping = Some(packet.timestamp);
        }
        let read = self.payload(packet, out);
        // Units of unknown types cost nothing, even where they come in such numbers that they are
        // told of.
        if !matches!(read, Ok(()) | Err(DepacketizeError::Type(_))) {
            self.assembler.damage();
        }
        let ended = if packet.marker {
            self.assembler.marker(out)
        } else {
            Ok(())
        };
        read.and(ended)
    }

    /// See [`super::Depacketizer::flush`].
    pub fn flush(&mut self, out: &mut Vec<Frame>) {
        self.assembler.flush(out);
    }

    /// See [`super::Depacketizer::quirks`].
    pub fn quirks(&mut self) -> Quirks {
        self.assembler.quirks.take()
    }

    fn payload(
        &mut self,
        packet: &Packet<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), DepacketizeError> {
        let payload = packet.payload;
        if payload.is_empty() {
            // Cameras send empty packets to keep NAT mappings open.
            return Ok(());
        }
        if payload.starts_with(&[0, 0, 1]) || payload.starts_with(&[0, 0, 0, 1]) {
            return self.whole(payload, out);
        }
        let kind = C::type_of(payload).ok_or(DepacketizeError::Truncated(payload.len()))?;
        if kind == C::AGGREGATION {
            self.aggregate(&payload[C::HEADER_BYTES..], out)
        } else if kind == C::FRAGMENT {
            self.fragment(packet.timestamp, payload, out)
        } else {
            self.whole(payload, out)
        }
    }

    fn whole(&mut self, unit: &[u8], out: &mut Vec<Frame>) -> Result<(), DepacketizeError> {
        let ended = self.assembler.end_fragment(out);
        if C::role(unit) == Ok(Role::Unknown) && unit.first() != Some(&0) {
            let kind = C::type_of(unit).unwrap_or_default();
            return ended.and(self.assembler.unknown(kind));
        }
        self.assembler.open();
        let added = self.assembler.append(unit, out);
        let closed = self.assembler.close(out);
        ended.and(added).and(closed)
    }

    /// Units, each after its length in two bytes (RFC 6184 section 5.7.1, RFC 7798 section 4.4.2).
    fn aggregate(&mut self, mut rest: &[u8], out: &mut Vec<Frame>) -> Result<(), DepacketizeError> {
        let mut result = Ok(());
        while !rest.is_empty() {
            let truncated = DepacketizeError::Truncated(rest.len());
            let (len, after) = rest.split_first_chunk::<2>().ok_or(truncated)?;
            let len = usize::from(u16::from_be_bytes(*len));
            let unit = after
                .get(..len)
                .ok_or(DepacketizeError::Truncated(after.len()))?;
            if !unit.is_empty() {
                result = result.and(self.whole(unit, out));
            }
            rest = &after[len..];
        }
        result
    }

    /// A part of a unit (RFC 6184 section 5.8, RFC 7798 section 4.4.3).
    fn fragment(
        &mut self,
        timestamp: u32,
        payload: &[u8],
        out: &mut Vec<Frame>,
    ) -> Result<(), DepacketizeError> {
        const START: u8 = 0x80;
        const END: u8 = 0x40;
        let truncated = DepacketizeError::Truncated(payload.len());
        let header = *payload.get(C::HEADER_BYTES).ok_or(truncated)?;
        let body = &payload[C::HEADER_BYTES + 1..];
        let kind = header & C::FRAGMENT_TYPE;
        let mut unit_header = [0; 2];
        C::unit_header(payload, kind, &mut unit_header);
        let unit_header = &unit_header[..C::HEADER_BYTES];
        if header & START != 0 {
            let ended = self.assembler.end_fragment(out);
            self.skipping = None;
            // Type 0 may be the first byte of a start code.
            if C::role(unit_header)? == Role::Unknown && kind != 0 {
                self.skipping = Some(timestamp);
                return ended.and(self.assembler.unknown(kind));
            }
            ended?;
            self.assembler.open();
            self.assembler.append(unit_header, out)?;
            if header & END != 0 {
                self.assembler.quirks.note(Quirk::OddFragments);
            }
        } else if !self.assembler.goes_on(unit_header) {
            // One that lost its beginning is told of once, or a large picture would look like a
            // hundred faults.
            if self.assembler.is_full() {
                return Err(DepacketizeError::TooLarge);
            }
            if self.skipping.replace(timestamp) == Some(timestamp) {
                return Ok(());
            }
            return Err(DepacketizeError::NoStart);
        }
        self.assembler.append(body, out)?;
        if header & END != 0 {
            self.assembler.close(out)?;
        }
        Ok(())
    }
}
