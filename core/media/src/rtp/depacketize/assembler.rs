//! What H.264 and H.265 share: taking payloads apart, collecting the NAL units of one picture, and
//! noticing when the parameter sets change.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::{DepacketizeError, Frame, MAX_FRAME_BYTES};
use crate::codec::VideoParams;
use crate::h264::SpsError;
use crate::nal;
use crate::rtp::Packet;

/// What a NAL unit means to the assembler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Video parameter set.
    Vps,
    /// Sequence parameter set.
    Sps,
    /// Picture parameter set.
    Pps,
    /// Carried, and decoding can start here.
    Key,
    /// Carried.
    Other,
    /// Not worth carrying.
    Skip,
}

/// The codec's part.
pub trait Codec {
    /// Bytes of a NAL unit's header.
    const HEADER_BYTES: usize;
    /// Payload type of several units in one packet.
    const AGGREGATION: u8;
    /// Payload type of a part of a unit.
    const FRAGMENT: u8;

    /// The type of a NAL unit or payload.
    fn type_of(unit: &[u8]) -> Option<u8>;
    /// The header of the unit of type `kind` that a fragment's payload is a part of; the first
    /// [`Codec::HEADER_BYTES`] of `out` count.
    fn unit_header(payload: &[u8], kind: u8, out: &mut [u8; 2]);
    /// What a unit means.
    fn role(unit: &[u8]) -> Result<Role, DepacketizeError>;
    /// What the parameter sets say.
    fn params(sets: &Sets) -> Result<VideoParams, SpsError>;
}

/// Parameter sets by kind.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Sets {
    pub(super) vps: Vec<Bytes>,
    pub(super) sps: Vec<Bytes>,
    pub(super) pps: Vec<Bytes>,
}

impl Sets {
    fn list(&mut self, role: Role) -> Option<&mut Vec<Bytes>> {
        match role {
            Role::Vps => Some(&mut self.vps),
            Role::Sps => Some(&mut self.sps),
            Role::Pps => Some(&mut self.pps),
            _ => None,
        }
    }

    fn add(&mut self, role: Role, unit: &[u8]) {
        /// More sets of one kind than any camera has: the rest is dropped.
        const MAX_SETS: usize = 8;
        if let Some(list) = self.list(role)
            && list.len() < MAX_SETS
            && !list.iter().any(|known| known == unit)
        {
            list.push(Bytes::copy_from_slice(unit));
        }
    }

    /// Takes the lists of `newer` where it has any.
    fn replace(&mut self, newer: Self) {
        for (mine, theirs) in [
            (&mut self.vps, newer.vps),
            (&mut self.sps, newer.sps),
            (&mut self.pps, newer.pps),
        ] {
            if !theirs.is_empty() {
                *mine = theirs;
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Assembler<C> {
    data: BytesMut,
    timestamp: Option<u32>,
    keyframe: bool,
    /// A packet of this picture was lost or not understood.
    damaged: bool,
    lost: u32,
    /// Where the length of the NAL unit that is coming in fragments stands in `data`.
    fragment: Option<usize>,
    sets: Sets,
    incoming: Sets,
    params: Option<Arc<VideoParams>>,
    codec: std::marker::PhantomData<C>,
}

impl<C: Codec> Assembler<C> {
    pub(super) fn new(described: &[Bytes]) -> Self {
        let mut sets = Sets::default();
        for unit in described {
            if let Ok(role) = C::role(unit) {
                sets.add(role, unit);
            }
        }
        let params = C::params(&sets).ok().map(Arc::new);
        Self {
            data: BytesMut::new(),
            timestamp: None,
            keyframe: false,
            damaged: false,
            lost: 0,
            fragment: None,
            sets,
            incoming: Sets::default(),
            params,
            codec: std::marker::PhantomData,
        }
    }

    /// Called first for each packet: ends the picture before, if this packet starts another one.
    pub(super) fn begin(
        &mut self,
        packet: &Packet<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), DepacketizeError> {
        let mut result = Ok(());
        if self.timestamp.is_some_and(|ts| ts != packet.timestamp) {
            // The camera sends no markers, or the last packet was lost.
            self.damaged |= packet.lost > 0;
            result = self.finish(out);
        }
        self.timestamp = Some(packet.timestamp);
        if packet.lost > 0 {
            self.lost = self.lost.saturating_add(packet.lost);
            if !self.data.is_empty() {
                self.damaged = true;
            }
        }
        result
    }

    /// A whole NAL unit.
    pub(super) fn unit(&mut self, unit: &[u8]) -> Result<(), DepacketizeError> {
        // Some cameras pack a byte stream with start codes into one "NAL unit".
        if unit.len() > 4 && unit.windows(4).any(|w| w == [0, 0, 0, 1]) {
            let mut first = true;
            let head = unit
                .windows(4)
                .position(|w| w == [0, 0, 0, 1])
                .unwrap_or(unit.len());
            if head > 0 {
                self.single(&unit[..head])?;
                first = false;
            }
            for inner in nal::split_annex_b(&unit[head..]) {
                self.single(inner)?;
                first = false;
            }
            return if first {
                Err(DepacketizeError::Truncated(unit.len()))
            } else {
                Ok(())
            };
        }
        self.single(unit)
    }

    fn single(&mut self, unit: &[u8]) -> Result<(), DepacketizeError> {
        match C::role(unit)? {
            Role::Skip => {}
            role @ (Role::Vps | Role::Sps | Role::Pps) => self.incoming.add(role, unit),
            role => {
                self.keyframe |= role == Role::Key;
                if self.data.len() + unit.len() > MAX_FRAME_BYTES {
                    return Err(DepacketizeError::TooLarge);
                }
                nal::push(&mut self.data, unit);
            }
        }
        Ok(())
    }

    /// The first fragment of a NAL unit, with its header put back together.
    pub(super) fn fragment_start(
        &mut self,
        header: &[u8],
        body: &[u8],
    ) -> Result<(), DepacketizeError> {
        self.drop_open_fragment();
        self.fragment = Some(self.data.len());
        self.data.put_u32(0);
        self.data.put_slice(header);
        self.fragment_more(body)
    }

    /// A later fragment.
    pub(super) fn fragment_more(&mut self, body: &[u8]) -> Result<(), DepacketizeError> {
        if self.fragment.is_none() {
            return Err(DepacketizeError::NoStart);
        }
        if self.data.len() + body.len() > MAX_FRAME_BYTES {
            return Err(DepacketizeError::TooLarge);
        }
        self.data.put_slice(body);
        Ok(())
    }

    /// The last fragment was added: its length is known now.
    pub(super) fn fragment_end(&mut self) -> Result<(), DepacketizeError> {
        let start = self.fragment.take().ok_or(DepacketizeError::NoStart)?;
        let unit = &self.data[start + 4..];
        let role = match C::role(unit) {
            Ok(role) => role,
            Err(error) => {
                self.data.truncate(start);
                return Err(error);
            }
        };
        match role {
            Role::Key | Role::Other => {
                self.keyframe |= role == Role::Key;
                let len = u32::try_from(unit.len()).unwrap_or(u32::MAX);
                self.data[start..start + 4].copy_from_slice(&len.to_be_bytes());
            }
            Role::Skip => self.data.truncate(start),
            Role::Vps | Role::Sps | Role::Pps => {
                self.incoming.add(role, unit);
                self.data.truncate(start);
            }
        }
        Ok(())
    }

    fn drop_open_fragment(&mut self) {
        if let Some(start) = self.fragment.take() {
            self.data.truncate(start);
            self.damaged = true;
        }
    }

    /// A packet of this picture was not understood.
    pub(super) fn damage(&mut self) {
        self.damaged = true;
    }

    /// Ends the picture.
    pub(super) fn finish(&mut self, out: &mut Vec<Frame>) -> Result<(), DepacketizeError> {
        self.drop_open_fragment();
        let Some(timestamp) = self.timestamp.take() else {
            return Ok(());
        };
        let data = self.data.split().freeze();
        let keyframe = std::mem::take(&mut self.keyframe);
        let damaged = std::mem::take(&mut self.damaged);
        let new_params = self.take_sets();
        if !data.is_empty() && !damaged {
            out.push(Frame {
                timestamp,
                keyframe,
                params: self.params.clone(),
                new_params: matches!(new_params, Ok(true)),
                data,
                lost_packets: std::mem::take(&mut self.lost),
            });
        }
        new_params.map(|_| ())
    }

    /// Puts sets that came with this picture into force; says whether they are new.
    fn take_sets(&mut self) -> Result<bool, DepacketizeError> {
        let incoming = std::mem::take(&mut self.incoming);
        if incoming == Sets::default() {
            return Ok(false);
        }
        let mut merged = self.sets.clone();
        merged.replace(incoming);
        if merged == self.sets && self.params.is_some() {
            return Ok(false);
        }
        let params = C::params(&merged)?;
        self.sets = merged;
        self.params = Some(Arc::new(params));
        Ok(true)
    }
}

/// Depacketizer for a codec of NAL units: single units, aggregates, fragments.
#[derive(Debug)]
pub struct NalDepacketizer<C>(Assembler<C>);

impl<C: Codec> NalDepacketizer<C> {
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
            // Cameras send empty packets to keep NAT mappings open.
            return Ok(());
        }
        let kind = C::type_of(payload).ok_or(DepacketizeError::Truncated(payload.len()))?;
        if kind == C::AGGREGATION {
            self.aggregate(&payload[C::HEADER_BYTES..])
        } else if kind == C::FRAGMENT {
            self.fragment(payload)
        } else {
            self.0.unit(payload)
        }
    }

    /// Units, each after its length in two bytes (RFC 6184 section 5.7.1, RFC 7798 section 4.4.2).
    fn aggregate(&mut self, mut rest: &[u8]) -> Result<(), DepacketizeError> {
        while !rest.is_empty() {
            let truncated = DepacketizeError::Truncated(rest.len());
            let (len, after) = rest.split_first_chunk::<2>().ok_or(truncated)?;
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

    /// A part of a unit (RFC 6184 section 5.8, RFC 7798 section 4.4.3).
    fn fragment(&mut self, payload: &[u8]) -> Result<(), DepacketizeError> {
        let truncated = DepacketizeError::Truncated(payload.len());
        let header = *payload.get(C::HEADER_BYTES).ok_or(truncated)?;
        let body = &payload[C::HEADER_BYTES + 1..];
        let (start, end) = (header & 0x80 != 0, header & 0x40 != 0);
        if start {
            let mut unit_header = [0; 2];
            C::unit_header(payload, header, &mut unit_header);
            self.0
                .fragment_start(&unit_header[..C::HEADER_BYTES], body)?;
        } else {
            self.0.fragment_more(body)?;
        }
        if end { self.0.fragment_end() } else { Ok(()) }
    }
}
