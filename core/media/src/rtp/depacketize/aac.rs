//! AAC from RTP, RFC 3640 in mode AAC-hbr: sizes of 13 bits, indices of 3, several frames in a
//! packet, or one frame in several packets.

use bytes::{Bytes, BytesMut};

use super::error::DepacketizeError;
use super::frame::{Frame, MAX_FRAME_BYTES};
use crate::rtp::packet::Packet;
use crate::start::Start;

/// Samples in an AAC-LC frame (ISO 14496-3 with frameLengthFlag 0).
const SAMPLES: u32 = 1024;

/// Depacketizer for AAC.
#[derive(Debug, Default)]
pub struct Aac {
    /// A frame that comes in fragments: what is there, and how long it will be.
    open: Option<(u32, usize, BytesMut)>,
}

impl Aac {
    /// See [`super::Depacketizer::push`].
    pub fn push(
        &mut self,
        packet: &Packet<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), DepacketizeError> {
        let payload = packet.payload;
        let truncated = || DepacketizeError::Truncated(payload.len());
        let (bits, rest) = payload.split_first_chunk::<2>().ok_or_else(truncated)?;
        let header_bytes = usize::from(u16::from_be_bytes(*bits)).div_ceil(8);
        let headers = rest.get(..header_bytes).ok_or_else(truncated)?;
        let mut body = &rest[header_bytes..];
        let sizes: Vec<usize> = headers
            .chunks_exact(2)
            .map(|h| usize::from(u16::from_be_bytes([h[0], h[1]]) >> 3))
            .collect();
        if packet.lost > 0 || self.open.as_ref().is_some_and(|o| o.0 != packet.timestamp) {
            self.open = None;
        }
        if let [size] = sizes[..]
            && (body.len() < size || self.open.is_some())
        {
            return self.fragment(packet, size, body, out);
        }
        let mut lost = packet.lost;
        for (size, timestamp) in sizes
            .into_iter()
            .zip((0..).map(|i| packet.timestamp.wrapping_add(i * SAMPLES)))
        {
            let data = body.get(..size).ok_or_else(truncated)?;
            out.push(frame(
                timestamp,
                Bytes::copy_from_slice(data),
                std::mem::take(&mut lost),
            ));
            body = &body[size..];
        }
        Ok(())
    }

    fn fragment(
        &mut self,
        packet: &Packet<'_>,
        size: usize,
        body: &[u8],
        out: &mut Vec<Frame>,
    ) -> Result<(), DepacketizeError> {
        let (timestamp, whole, mut data) =
            self.open
                .take()
                .unwrap_or((packet.timestamp, size, BytesMut::new()));
        if whole != size || data.len() + body.len() > whole.min(MAX_FRAME_BYTES) {
            return Err(DepacketizeError::TooLarge);
        }
        data.extend_from_slice(body);
        if data.len() == whole {
            out.push(frame(timestamp, data.freeze(), packet.lost));
        } else {
            self.open = Some((timestamp, whole, data));
        }
        Ok(())
    }
}

fn frame(timestamp: u32, data: Bytes, lost_packets: u32) -> Frame {
    Frame {
        timestamp,
        start: Some(Start::Idr),
        params: None,
        new_params: false,
        data,
        lost_packets,
        damaged: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(d: &mut Aac, payload: &[u8]) -> Result<Vec<Frame>, DepacketizeError> {
        let mut out = Vec::new();
        d.push(
            &Packet {
                timestamp: 5000,
                marker: true,
                lost: 0,
                payload,
            },
            &mut out,
        )?;
        Ok(out)
    }

    #[test]
    fn separates_frames_of_one_packet() {
        let payload = [0, 32, 0, 2 << 3, 0, 3 << 3, 1, 2, 3, 4, 5];
        let frames = push(&mut Aac::default(), &payload).unwrap();
        assert_eq!(frames.len(), 2);
        assert_eq!(
            (&frames[0].data[..], frames[0].timestamp),
            (&[1, 2][..], 5000)
        );
        assert_eq!(
            (&frames[1].data[..], frames[1].timestamp),
            (&[3, 4, 5][..], 6024)
        );
    }

    #[test]
    fn puts_fragments_together() {
        let mut d = Aac::default();
        assert_eq!(push(&mut d, &[0, 16, 0, 4 << 3, 1, 2]).unwrap().len(), 0);
        let frames = push(&mut d, &[0, 16, 0, 4 << 3, 3, 4]).unwrap();
        assert_eq!(&frames[0].data[..], &[1, 2, 3, 4]);
    }

    #[test]
    fn refuses_sizes_that_lie() {
        assert!(push(&mut Aac::default(), &[0]).is_err());
        assert!(push(&mut Aac::default(), &[0xFF, 0xFF, 0, 0]).is_err());
        assert!(push(&mut Aac::default(), &[0, 32, 0, 8 << 3, 0, 8 << 3, 1]).is_err());
    }
}
