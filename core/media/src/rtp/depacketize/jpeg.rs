//! Motion JPEG from RTP, RFC 2435: whole images come out, with the header that RTP leaves away.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};

use super::error::{DepacketizeError, JpegError};
use super::frame::{Frame, MAX_FRAME_BYTES};
use crate::codec::{VideoCodec, VideoParams};
use crate::jpeg::{END, Header, MAX_HEADER_BYTES, Quantizers, Sampling, quantizers};
use crate::rtp::packet::Packet;
use crate::start::Start;

/// The main header (section 3.1) and what may follow it.
#[derive(Debug)]
struct Fragment<'a> {
    offset: usize,
    sampling: Sampling,
    restart_interval: u16,
    quality: u8,
    width: u16,
    height: u16,
    rest: &'a [u8],
}

impl<'a> Fragment<'a> {
    fn parse(payload: &'a [u8]) -> Result<Self, DepacketizeError> {
        let truncated = DepacketizeError::Truncated(payload.len());
        let (main, mut rest) = payload.split_first_chunk::<8>().ok_or(truncated.clone())?;
        let [specific, o2, o1, o0, kind, quality, width, height] = *main;
        let sampling = match kind & !0x40 {
            0 => Sampling::Wide,
            1 => Sampling::Square,
            _ => return Err(JpegError::Type(kind).into()),
        };
        if specific != 0 {
            return Err(JpegError::Interlaced.into());
        }
        if width == 0 || height == 0 {
            return Err(JpegError::Size.into());
        }
        let mut restart_interval = 0;
        if kind & 0x40 != 0 {
            // Section 3.1.7. The count would allow to show parts of an image; we want it whole.
            let (restart, after) = rest.split_first_chunk::<4>().ok_or(truncated)?;
            restart_interval = u16::from_be_bytes([restart[0], restart[1]]);
            rest = after;
        }
        Ok(Self {
            offset: usize::try_from(u32::from_be_bytes([0, o2, o1, o0])).unwrap_or(usize::MAX),
            sampling,
            restart_interval,
            quality,
            width: u16::from(width) * 8,
            height: u16::from(height) * 8,
            rest,
        })
    }
}

/// Depacketizer for Motion JPEG.
#[derive(Debug, Default)]
pub struct Jpeg {
    /// The image so far.
    data: BytesMut,
    /// Bytes of its header.
    header_bytes: usize,
    timestamp: Option<u32>,
    /// A packet of this image was lost or not understood.
    damaged: bool,
    lost: u32,
    /// Tables that a quality was given; they need not come again.
    known: BTreeMap<u8, Box<Quantizers>>,
    params: Option<Arc<VideoParams>>,
    new_params: bool,
}

impl Jpeg {
    /// See [`super::Depacketizer::push`].
    pub fn push(
        &mut self,
        packet: &Packet<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), DepacketizeError> {
        self.lost = self.lost.saturating_add(packet.lost);
        if self.timestamp.is_some_and(|ts| ts != packet.timestamp) {
            // The marker was lost, and with it the end of the image, or there are none.
            self.damaged |= packet.lost > 0;
            self.finish(out);
        }
        self.timestamp = Some(packet.timestamp);
        let read = if packet.payload.is_empty() {
            // Cameras send empty packets to keep NAT mappings open.
            Ok(())
        } else {
            self.fragment(packet.payload)
        };
        self.damaged |= read.is_err();
        if packet.marker {
            self.finish(out);
        }
        read
    }

    fn fragment(&mut self, payload: &[u8]) -> Result<(), DepacketizeError> {
        let fragment = Fragment::parse(payload)?;
        let mut scan = fragment.rest;
        if fragment.offset == 0 {
            let quantizers = self.quantizers(fragment.quality, &mut scan)?;
            self.start(&fragment, quantizers);
        } else if self.data.len() - self.header_bytes != fragment.offset {
            // What was before it is lost, which is no fault of this packet.
            self.damaged = true;
            return Ok(());
        }
        if self.data.len() + scan.len() + END.len() > MAX_FRAME_BYTES {
            return Err(DepacketizeError::TooLarge);
        }
        self.data.put_slice(scan);
        Ok(())
    }

    /// The tables of a quality; above 127 they come in front of the first fragment's data
    /// (sections 3.1.8 and 4.2).
    fn quantizers(
        &mut self,
        quality: u8,
        scan: &mut &[u8],
    ) -> Result<Quantizers, DepacketizeError> {
        let error = || DepacketizeError::from(JpegError::Quantizers(quality));
        match quality {
            1..=99 => return Ok(quantizers(quality)),
            128.. => {}
            _ => return Err(error()),
        }
        let truncated = || DepacketizeError::Truncated(scan.len());
        let (header, after) = scan.split_first_chunk::<4>().ok_or_else(truncated)?;
        let [_, precision, l1, l0] = *header;
        let length = usize::from(u16::from_be_bytes([l1, l0]));
        let (tables, after) = after.split_at_checked(length).ok_or_else(truncated)?;
        let tables = match tables {
            [] => return self.known.get(&quality).map(|t| **t).ok_or_else(error),
            _ if precision != 0 => return Err(error()),
            _ => tables,
        };
        let mut each = tables.chunks_exact(64).map(<[u8; 64]>::try_from);
        let luma = each.next().and_then(Result::ok).ok_or_else(error)?;
        // Some cameras send one table for all components.
        let chroma = each.next().and_then(Result::ok).unwrap_or(luma);
        *scan = after;
        if quality != u8::MAX {
            self.known.insert(quality, Box::new([luma, chroma]));
        }
        Ok([luma, chroma])
    }

    fn start(&mut self, fragment: &Fragment<'_>, quantizers: Quantizers) {
        self.data.clear();
        self.data.reserve(MAX_HEADER_BYTES);
        // What came before the first fragment belongs to no image that is still wanted.
        self.damaged = false;
        let (width, height) = (fragment.width, fragment.height);
        let header = Header {
            width,
            height,
            sampling: fragment.sampling,
            restart_interval: fragment.restart_interval,
            quantizers,
        };
        header.write(&mut self.data);
        self.header_bytes = self.data.len();
        let (width, height) = (u32::from(width), u32::from(height));
        let known = self.params.as_ref().map(|p| (p.width, p.height));
        if known != Some((width, height)) {
            self.new_params = true;
            self.params = Some(Arc::new(VideoParams {
                codec: VideoCodec::Jpeg,
                vps: Vec::new(),
                sps: Vec::new(),
                pps: Vec::new(),
                width,
                height,
            }));
        }
    }

    /// Ends the image.
    fn finish(&mut self, out: &mut Vec<Frame>) {
        let timestamp = self.timestamp.take();
        let mut data = self.data.split();
        let damaged = std::mem::take(&mut self.damaged);
        let header_bytes = std::mem::take(&mut self.header_bytes);
        let begun = data.len() > header_bytes;
        let Some(timestamp) = timestamp.filter(|_| begun && !damaged) else {
            // Each image stands alone: a damaged one is worth nothing, but is told of.
            self.lost = self.lost.max(u32::from(begun));
            return;
        };
        if !data.ends_with(&END) {
            data.put_slice(&END);
        }
        out.push(Frame {
            timestamp,
            start: Some(Start::Idr),
            params: self.params.clone(),
            new_params: std::mem::take(&mut self.new_params),
            data: data.freeze(),
            lost_packets: std::mem::take(&mut self.lost),
            damaged: false,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fragment of a picture of 32 by 16.
    fn payload(kind: u8, quality: u8, offset: u8, rest: &[u8]) -> Vec<u8> {
        [&[0, 0, 0, offset, kind, quality, 4, 2], rest].concat()
    }

    fn push(jpeg: &mut Jpeg, timestamp: u32, marker: bool, payload: &[u8]) -> Vec<Frame> {
        let mut out = Vec::new();
        let packet = Packet {
            timestamp,
            marker,
            lost: 0,
            payload,
        };
        jpeg.push(&packet, &mut out).unwrap();
        out
    }

    fn refused(payload: &[u8]) -> DepacketizeError {
        let packet = Packet {
            timestamp: 1,
            marker: true,
            lost: 0,
            payload,
        };
        let mut out = Vec::new();
        let error = Jpeg::default().push(&packet, &mut out).unwrap_err();
        assert!(out.is_empty());
        error
    }

    #[test]
    fn fragments_become_an_image() {
        let mut jpeg = Jpeg::default();
        assert!(push(&mut jpeg, 1, false, &payload(1, 60, 0, &[1, 2])).is_empty());
        let frames = push(&mut jpeg, 1, true, &payload(1, 60, 2, &[3]));
        let (header, scan) = Header::read(&frames[0].data).unwrap();
        assert_eq!(scan, [1, 2, 3]);
        assert_eq!((header.width, header.height), (32, 16));
        assert_eq!(header.quantizers, quantizers(60));
        assert!(frames[0].is_key() && frames[0].new_params);
        let again = push(&mut jpeg, 2, true, &payload(1, 60, 0, &[4, 0xFF, 0xD9]));
        assert!(!again[0].new_params && again[0].data.ends_with(&[4, 0xFF, 0xD9]));
    }

    #[test]
    fn a_missing_fragment_costs_its_image() {
        let mut jpeg = Jpeg::default();
        // We may come when an image is under way.
        assert!(push(&mut jpeg, 0, true, &payload(1, 60, 9, &[1])).is_empty());
        push(&mut jpeg, 1, false, &payload(1, 60, 0, &[1, 2]));
        assert!(push(&mut jpeg, 1, true, &payload(1, 60, 9, &[3])).is_empty());
        assert_eq!(push(&mut jpeg, 2, true, &payload(1, 60, 0, &[1])).len(), 1);
        // The marker was lost with the end.
        push(&mut jpeg, 3, false, &payload(1, 60, 0, &[1]));
        let mut out = Vec::new();
        let next = payload(1, 60, 0, &[2]);
        let packet = Packet {
            timestamp: 4,
            marker: true,
            lost: 1,
            payload: &next,
        };
        jpeg.push(&packet, &mut out).unwrap();
        assert_eq!(
            (out.len(), out[0].timestamp, out[0].lost_packets),
            (1, 4, 1)
        );
    }

    #[test]
    fn tables_come_once_and_are_kept() {
        let mut jpeg = Jpeg::default();
        let tables = [[7; 64], [9; 64]];
        let with = [&[0, 0, 0, 128], tables.as_flattened(), &[1]].concat();
        let frames = push(&mut jpeg, 1, true, &payload(0, 200, 0, &with));
        let (header, scan) = Header::read(&frames[0].data).unwrap();
        assert_eq!((header.quantizers, scan), (tables, &[1][..]));
        assert_eq!(header.sampling, Sampling::Wide);
        let without = payload(0, 200, 0, &[0, 0, 0, 0, 2]);
        let frames = push(&mut jpeg, 2, true, &without);
        assert_eq!(Header::read(&frames[0].data).unwrap().0.quantizers, tables);
        let unknown = refused(&payload(0, 201, 0, &[0, 0, 0, 0, 2]));
        assert_eq!(unknown, JpegError::Quantizers(201).into());
    }

    #[test]
    fn restart_markers_are_announced() {
        let mut jpeg = Jpeg::default();
        let rest = [0, 5, 0xFF, 0xFF, 1, 2];
        let frames = push(&mut jpeg, 1, true, &payload(0x41, 60, 0, &rest));
        let (header, scan) = Header::read(&frames[0].data).unwrap();
        assert_eq!((header.restart_interval, scan), (5, &[1, 2][..]));
    }

    #[test]
    fn says_what_it_does_not_carry() {
        let wide = [0, 0, 0, 0, 1, 60, 0, 2, 1];
        assert_eq!(refused(&wide), JpegError::Size.into());
        assert_eq!(refused(&payload(2, 60, 0, &[1])), JpegError::Type(2).into());
        let field = [1, 0, 0, 0, 1, 60, 4, 2, 1];
        assert_eq!(refused(&field), JpegError::Interlaced.into());
        assert_eq!(
            refused(&payload(1, 0, 0, &[1])),
            JpegError::Quantizers(0).into()
        );
        assert_eq!(refused(&[0; 5]), DepacketizeError::Truncated(5));
    }
}
