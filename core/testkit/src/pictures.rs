//! From a viewer's RTP packets to the numbers in the pictures: depacketizes, decodes with openh264,
//! reads.

use openh264::decoder::Decoder;
use openh264::formats::YUVSource;
use taimat_media::VideoCodec;
use taimat_media::nal;
use taimat_media::rtp::Packet;
use taimat_media::rtp::depacketize::{Depacketizer, Frame};

/// Decodes H.264 and reads the numbers.
pub struct Pictures {
    depacketizer: Depacketizer,
    decoder: Decoder,
    frames: Vec<Frame>,
    /// RTP time of each picture read, and its number.
    pub seen: Vec<(u32, u32)>,
    /// Frames that came whole.
    pub whole: u32,
    /// Key frames among them.
    pub keyframes: u32,
}

impl std::fmt::Debug for Pictures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pictures")
            .field("seen", &self.seen.len())
            .finish_non_exhaustive()
    }
}

impl Pictures {
    /// Nothing seen yet.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            depacketizer: Depacketizer::video(VideoCodec::H264, &[]).trusting_markers(),
            decoder: Decoder::new()?,
            frames: Vec::new(),
            seen: Vec::new(),
            whole: 0,
            keyframes: 0,
        })
    }

    /// The next packet, in order of sequence numbers.
    pub fn push(&mut self, timestamp: u32, marker: bool, payload: &[u8]) {
        let packet = Packet {
            timestamp,
            marker,
            lost: 0,
            payload,
        };
        // Damage shows as missing numbers.
        drop(self.depacketizer.push(&packet, &mut self.frames));
        for frame in std::mem::take(&mut self.frames) {
            self.whole += 1;
            self.keyframes += u32::from(frame.is_key());
            if let Some(number) = self.decode(&frame) {
                self.seen.push((frame.timestamp, number));
            }
        }
    }

    fn decode(&mut self, frame: &Frame) -> Option<u32> {
        let mut stream = Vec::new();
        let sets = frame
            .params
            .iter()
            .filter(|_| frame.is_key())
            .flat_map(|p| p.sets().cloned());
        for unit in sets.chain(nal::units(&frame.data)) {
            stream.extend([0, 0, 0, 1]);
            stream.extend(&unit);
        }
        let picture = self.decoder.decode(&stream).ok().flatten()?;
        let (width, _) = picture.dimensions();
        let (stride, ..) = picture.strides();
        let rows = picture.y().chunks(stride).take(width / 16);
        let luma: Vec<u8> = rows.flat_map(|row| row[..width].iter().copied()).collect();
        taimat_simulate::number::read(&luma, width)
    }

    /// The numbers in the order in which they came.
    pub fn numbers(&self) -> Vec<u32> {
        self.seen.iter().map(|(_, number)| *number).collect()
    }
}
