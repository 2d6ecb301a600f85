//! From access units to RTP payloads, once per camera: every viewer gets the same payloads behind a
//! header of its own.
//!
//! A NAL unit that does not fit is cut into fragments of equal size (the last may be shorter), so
//! that the kernel can be handed a whole picture in one call (UDP_SEGMENT wants equal datagrams).

use bytes::{BufMut, Bytes, BytesMut};

use crate::access_unit::{AccessUnit, TrackKind};
use crate::codec::{AudioCodec, VideoCodec};
use crate::jpeg::{Header, Sampling};
use crate::nal;

/// The largest payload made here, in bytes. With the RTP header (12), one header extension (8), an
/// SRTP tag (16), UDP (8) and IPv6 (40) it stays under 1280, the least that any IPv6 path carries.
pub const MAX_PAYLOAD: usize = 1160;

/// The RTP payloads of one access unit, one after the other in one buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payloads {
    bytes: Bytes,
    ends: Vec<u32>,
}

impl Payloads {
    /// How many packets there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Payload `index`.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)? as usize;
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)? as usize,
            None => 0,
        };
        self.bytes.get(start..end)
    }

    /// All payloads in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|i| self.get(i).unwrap_or_default())
    }

    /// Bytes of all payloads.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

#[derive(Debug, Default)]
struct Writer {
    bytes: BytesMut,
    ends: Vec<u32>,
}

impl Writer {
    fn end_packet(&mut self) {
        self.ends
            .push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
    }

    fn packet(&mut self, payload: &[u8]) {
        self.bytes.put_slice(payload);
        self.end_packet();
    }

    fn finish(self) -> Payloads {
        Payloads {
            bytes: self.bytes.freeze(),
            ends: self.ends,
        }
    }
}

/// The payloads of a video access unit. Parameter sets go in front of key frames.
pub fn video(codec: VideoCodec, unit: &AccessUnit) -> Payloads {
    if codec == VideoCodec::Jpeg {
        return jpeg(&unit.data);
    }
    let overhead = unit.data.len() / MAX_PAYLOAD * 3 + 256;
    let mut writer = Writer {
        bytes: BytesMut::with_capacity(unit.data.len() + overhead),
        ends: Vec::new(),
    };
    if unit.keyframe
        && let Some(params) = &unit.params
    {
        let sets: Vec<&[u8]> = params.sets().map(AsRef::as_ref).collect();
        aggregate(codec, &sets, &mut writer);
    }
    for nal in nal::units(&unit.data) {
        if nal.len() <= MAX_PAYLOAD {
            writer.packet(&nal);
        } else {
            fragment(codec, &nal, &mut writer);
        }
    }
    writer.finish()
}

/// Puts small NAL units into one packet if they fit together (RFC 6184 section 5.7.1, RFC 7798
/// section 4.4.2), else each into one of its own.
fn aggregate(codec: VideoCodec, units: &[&[u8]], writer: &mut Writer) {
    let header_len = match codec {
        VideoCodec::H265 => 2,
        _ => 1,
    };
    let total: usize = header_len + units.iter().map(|u| u.len() + 2).sum::<usize>();
    if units.len() < 2 || total > MAX_PAYLOAD {
        for unit in units {
            if unit.len() <= MAX_PAYLOAD {
                writer.packet(unit);
            } else {
                fragment(codec, unit, writer);
            }
        }
        return;
    }
    match codec {
        VideoCodec::H265 => writer.bytes.put_slice(&[48 << 1, 1]),
        _ => {
            let importance = units
                .iter()
                .filter_map(|u| u.first())
                .map(|b| b & 0x60)
                .max();
            writer.bytes.put_u8(importance.unwrap_or(0) | 24);
        }
    }
    for unit in units {
        writer
            .bytes
            .put_u16(u16::try_from(unit.len()).unwrap_or(u16::MAX));
        writer.bytes.put_slice(unit);
    }
    writer.end_packet();
}

/// Cuts a NAL unit into equal fragments: FU-A (RFC 6184 section 5.8) or FU (RFC 7798 section 4.4.3).
fn fragment(codec: VideoCodec, unit: &[u8], writer: &mut Writer) {
    let (header, kind, body): (Vec<u8>, u8, &[u8]) = match (codec, unit) {
        (VideoCodec::H264, [h, body @ ..]) => (vec![(h & 0xE0) | 28], h & 0x1F, body),
        (VideoCodec::H265, [a, b, body @ ..]) => {
            (vec![(a & 0x81) | (49 << 1), *b], (a >> 1) & 0x3F, body)
        }
        _ => return,
    };
    let room = MAX_PAYLOAD - header.len() - 1;
    let pieces = body.len().div_ceil(room).max(1);
    let size = body.len().div_ceil(pieces).max(1);
    let mut chunks = body.chunks(size).peekable();
    let mut first = true;
    while let Some(chunk) = chunks.next() {
        let start = if std::mem::take(&mut first) { 0x80 } else { 0 };
        let end = if chunks.peek().is_none() { 0x40 } else { 0 };
        writer.bytes.put_slice(&header);
        writer.bytes.put_u8(start | end | kind);
        writer.bytes.put_slice(chunk);
        writer.end_packet();
    }
}

/// The payloads of an image, its quantization tables in the first one (RFC 2435 section 3.1). None
/// for an image that RTP does not carry.
fn jpeg(image: &[u8]) -> Payloads {
    let mut writer = Writer::default();
    let Some((header, mut scan)) = Header::read(image) else {
        return writer.finish();
    };
    let eighths = |pixels: u16| u8::try_from(pixels.div_ceil(8)).unwrap_or(0);
    let kind = match header.sampling {
        Sampling::Wide => 0,
        Sampling::Square => 1,
    };
    let restart = header.restart_interval > 0;
    let kind = if restart { kind | 0x40 } else { kind };
    let size = [eighths(header.width), eighths(header.height)];
    let mut offset = 0_u32;
    writer
        .bytes
        .reserve(scan.len() + scan.len() / MAX_PAYLOAD * 12 + 256);
    while !scan.is_empty() {
        let start = writer.bytes.len();
        // Type-specific zero and 24 bits of offset; a quality of 255 says that tables follow.
        writer.bytes.put_u32(offset & 0x00FF_FFFF);
        writer.bytes.put_slice(&[kind, u8::MAX, size[0], size[1]]);
        if restart {
            writer.bytes.put_u16(header.restart_interval);
            // Both flags and all bits of the count: the image is to be put together whole.
            writer.bytes.put_u16(u16::MAX);
        }
        if offset == 0 {
            let tables = header.quantizers.as_flattened();
            writer.bytes.put_slice(&[0, 0, 0, 128]);
            writer.bytes.put_slice(tables);
        }
        let room = MAX_PAYLOAD - (writer.bytes.len() - start);
        let (part, after) = scan.split_at(room.min(scan.len()));
        writer.bytes.put_slice(part);
        writer.end_packet();
        offset = offset.saturating_add(u32::try_from(part.len()).unwrap_or(u32::MAX));
        scan = after;
    }
    writer.finish()
}

/// The payload of an audio access unit.
pub fn audio(codec: &AudioCodec, unit: &AccessUnit) -> Payloads {
    let mut writer = Writer::default();
    if let AudioCodec::Aac { .. } = codec {
        // RFC 3640 section 3.2.1, AAC-hbr: one header of 16 bits.
        writer.bytes.put_u16(16);
        writer
            .bytes
            .put_u16(u16::try_from(unit.data.len() << 3).unwrap_or(u16::MAX));
    }
    writer.packet(&unit.data);
    writer.finish()
}

/// The payloads of an access unit of either kind; audio without a track has none.
pub fn payloads(
    unit: &AccessUnit,
    video_codec: VideoCodec,
    audio_codec: Option<&AudioCodec>,
) -> Payloads {
    match (unit.track, audio_codec) {
        (TrackKind::Video, _) => video(video_codec, unit),
        (TrackKind::Audio, Some(codec)) => audio(codec, unit),
        (TrackKind::Audio, None) => Writer::default().finish(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::VideoParams;
    use crate::h264;
    use crate::jpeg::quantizers;
    use crate::rtp::Packet;
    use crate::rtp::depacketize::{Depacketizer, Frame};
    use crate::start::Start;
    use crate::time::MediaTime;
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::time::{Instant, SystemTime};

    #[expect(clippy::disallowed_methods, reason = "an arbitrary origin")]
    fn unit(nals: &[Vec<u8>], keyframe: bool, params: Option<Arc<VideoParams>>) -> AccessUnit {
        let mut data = BytesMut::new();
        for nal in nals {
            nal::push(&mut data, nal);
        }
        AccessUnit {
            track: TrackKind::Video,
            media_time: MediaTime::new(0, 90_000),
            wall_time: SystemTime::UNIX_EPOCH,
            received: Instant::now(),
            camera_time: None,
            keyframe,
            start: keyframe.then_some(Start::Idr),
            params,
            data: data.freeze(),
            lost_packets: 0,
            damaged: false,
        }
    }

    #[test]
    fn fragments_are_equal_so_that_the_kernel_can_cut() {
        let nal: Vec<u8> = std::iter::once(0x65)
            .chain((0..10_000).map(|i| i as u8))
            .collect();
        let payloads = video(VideoCodec::H264, &unit(&[nal], false, None));
        let sizes: Vec<_> = payloads.iter().map(<[u8]>::len).collect();
        let (last, full) = sizes.split_last().unwrap();
        assert!(full.iter().all(|s| *s == full[0]) && last <= &full[0]);
        assert!(
            full[0] <= MAX_PAYLOAD && full[0] - last < full.len() + 1,
            "{sizes:?}"
        );
    }

    /// What a receiver makes of the payloads of one access unit.
    fn received(codec: VideoCodec, payloads: &Payloads) -> Vec<Frame> {
        let mut depacketizer = Depacketizer::video(codec, &[]).trusting_markers();
        let mut out = Vec::new();
        for (i, payload) in payloads.iter().enumerate() {
            assert!(payload.len() <= MAX_PAYLOAD);
            let packet = Packet {
                timestamp: 1,
                marker: i + 1 == payloads.len(),
                lost: 0,
                payload,
            };
            depacketizer.push(&packet, &mut out).unwrap();
        }
        out
    }

    proptest! {
        /// An image comes out as it went in.
        #[test]
        fn round_trip_of_an_image(
            wide in any::<bool>(),
            restart_interval in 0_u16..3,
            quality in 1_u8..100,
            (width, height) in (1_u16..=255, 1_u16..=255),
            length in 1_usize..5000,
        ) {
            let header = Header {
                width: width * 8,
                height: height * 8,
                sampling: if wide { Sampling::Wide } else { Sampling::Square },
                restart_interval,
                quantizers: quantizers(quality),
            };
            let mut image = BytesMut::new();
            header.write(&mut image);
            image.extend((0..length).map(|i| (i % 251) as u8));
            image.put_slice(&crate::jpeg::END);
            let out = received(VideoCodec::Jpeg, &jpeg(&image));
            prop_assert_eq!(out.len(), 1);
            prop_assert_eq!(&out[0].data, &image);
        }

        /// What is packetized comes out of the depacketizer as it went in.
        #[test]
        fn round_trip(
            h265 in any::<bool>(),
            key in any::<bool>(),
            sizes in prop::collection::vec(3_usize..5000, 1..4),
        ) {
            let codec = if h265 { VideoCodec::H265 } else { VideoCodec::H264 };
            let nals: Vec<Vec<u8>> = (0_u32..).zip(sizes).map(|(n, size)| {
                let first = if n == 0 { 0xE0 } else { 0x60 };
                match (h265, key) {
                    (false, true) => h264::samples::slice(0x65, n * 9, 7, 0, size),
                    (false, false) => h264::samples::slice(0x41, n * 9, 5, 1, size),
                    (true, true) => [&[0x26, 1, first][..], &vec![5; size]].concat(),
                    (true, false) => [&[0x02, 1, first][..], &vec![5; size]].concat(),
                }
            }).collect();
            let params = h264::params(
                vec![Bytes::from_static(&h264::samples::SPS_640X360)],
                vec![Bytes::from_static(&h264::samples::PPS)],
            ).ok().filter(|_| !h265).map(Arc::new);
            let unit = unit(&nals, key, params.clone());
            let out = received(codec, &video(codec, &unit));
            prop_assert_eq!(out.len(), 1);
            prop_assert_eq!(&out[0].data, &unit.data);
            prop_assert_eq!(out[0].start, unit.start.filter(|_| !h265));
            if key {
                prop_assert_eq!(&out[0].params, &params);
            }
        }

        #[test]
        fn depacketizers_survive_anything(
            which in 0..5,
            packets in prop::collection::vec(
                (any::<u8>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..60)), 0..30),
        ) {
            let mut depacketizer = match which {
                0 => Depacketizer::video(VideoCodec::H264, &[]),
                1 => Depacketizer::video(VideoCodec::H265, &[]),
                4 => Depacketizer::video(VideoCodec::Jpeg, &[]),
                2 => Depacketizer::audio(&AudioCodec::Aac { config: Bytes::new() }),
                _ => Depacketizer::audio(&AudioCodec::Opus),
            };
            let mut out = Vec::new();
            for (ts, marker, payload) in &packets {
                let packet = Packet {
                    timestamp: u32::from(ts / 64),
                    marker: *marker,
                    lost: u32::from(ts % 7 == 0),
                    payload,
                };
                drop(depacketizer.push(&packet, &mut out));
            }
            for frame in out {
                nal::units(&frame.data).count();
            }
        }
    }
}
