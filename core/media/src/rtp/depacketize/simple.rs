//! Payload formats in which one packet is one frame.

use bytes::Bytes;

use super::error::DepacketizeError;
use super::frame::Frame;
use crate::rtp::packet::Packet;
use crate::start::Start;

/// Depacketizer for G.711 and Opus.
#[derive(Debug, Clone, Copy)]
pub struct Simple;

impl Simple {
    /// See [`super::Depacketizer::push`].
    pub fn push(
        &mut self,
        packet: &Packet<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), DepacketizeError> {
        if !packet.payload.is_empty() {
            out.push(Frame {
                timestamp: packet.timestamp,
                start: Some(Start::Idr),
                params: None,
                new_params: false,
                data: Bytes::copy_from_slice(packet.payload),
                lost_packets: packet.lost,
                damaged: false,
            });
        }
        Ok(())
    }
}
