//! What H.264 and H.265 share: collecting the NAL units of one picture, and noticing when the
//! parameter sets change.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::{DepacketizeError, Frame, MAX_FRAME_BYTES};
use crate::codec::VideoParams;
use crate::h264::SpsError;
use crate::nal;
use crate::rtp::Packet;

/// What a NAL unit means to the assembler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Vps,
    Sps,
    Pps,
    /// Carried, and decoding can start here.
    Key,
    /// Carried.
    Other,
    /// Not worth carrying.
    Skip,
}

/// The codec's part.
pub(super) trait Codec {
    fn role(unit: &[u8]) -> Result<Role, DepacketizeError>;
    fn params(sets: &Sets) -> Result<VideoParams, SpsError>;
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Sets {
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
