//! JPEG as RTP carries it (RFC 2435): baseline, three components of 8 bits, chroma halved in width
//! or in both directions, and the Huffman tables of ITU-T T.81 annex K. Marker names are of T.81
//! section B.1.1.3.

mod tables;

use bytes::{BufMut, BytesMut};

pub use tables::{Quantizers, quantizers};

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOF0: u8 = 0xC0;
const DHT: u8 = 0xC4;
const SOS: u8 = 0xDA;
const DQT: u8 = 0xDB;
const DRI: u8 = 0xDD;

/// What stands at the end of every image.
pub const END: [u8; 2] = [0xFF, EOI];

/// Bytes of the longest header that [`Header::write`] makes.
pub const MAX_HEADER_BYTES: usize = 640;

/// How chroma is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// Half as wide as luma: 4:2:2.
    Wide,
    /// Half as wide and half as high: 4:2:0.
    Square,
}

/// What comes before the entropy-coded data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// How chroma is sampled.
    pub sampling: Sampling,
    /// Coded blocks between restart markers; 0 for none.
    pub restart_interval: u16,
    /// The quantization tables of luma and chroma.
    pub quantizers: Quantizers,
}

impl Header {
    /// Appends the header of an image; its entropy-coded data follows, and [`END`].
    pub fn write(&self, image: &mut BytesMut) {
        image.put_slice(&[0xFF, SOI]);
        segment(image, DQT, 2 * 65);
        for (place, table) in (0..).zip(&self.quantizers) {
            image.put_u8(place);
            image.put_slice(table);
        }
        if self.restart_interval > 0 {
            segment(image, DRI, 2);
            image.put_u16(self.restart_interval);
        }
        segment(image, SOF0, 6 + 3 * 3);
        image.put_u8(8);
        image.put_u16(self.height);
        image.put_u16(self.width);
        let luma = match self.sampling {
            Sampling::Wide => 0x21,
            Sampling::Square => 0x22,
        };
        image.put_slice(&[3, 1, luma, 0, 2, 0x11, 1, 3, 0x11, 1]);
        let tables = &tables::HUFFMAN;
        segment(image, DHT, tables.iter().map(|t| 1 + t.codes.len()).sum());
        for table in tables {
            image.put_u8(table.place);
            image.put_slice(table.codes);
        }
        segment(image, SOS, 4 + 3 * 2);
        image.put_slice(&[3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0]);
    }

    /// Reads an image that [`Header::write`] began: its header, and its entropy-coded data without
    /// [`END`]. `None` for any other.
    pub fn read(image: &[u8]) -> Option<(Self, &[u8])> {
        let mut rest = image.strip_prefix(&[0xFF, SOI])?;
        let mut header = Self {
            width: 0,
            height: 0,
            sampling: Sampling::Square,
            restart_interval: 0,
            quantizers: [[0; 64]; 2],
        };
        loop {
            let [0xFF, marker, high, low, after @ ..] = rest else {
                return None;
            };
            let length = usize::from(u16::from_be_bytes([*high, *low])).checked_sub(2)?;
            let (body, after) = after.split_at_checked(length)?;
            match *marker {
                DQT => {
                    let (luma, chroma) = body.split_at_checked(65)?;
                    header.quantizers = [table(luma)?, table(chroma)?];
                }
                DRI => header.restart_interval = u16::from_be_bytes(body.try_into().ok()?),
                SOF0 => {
                    let [8, h1, h0, w1, w0, 3, 1, luma, ..] = body else {
                        return None;
                    };
                    header.height = u16::from_be_bytes([*h1, *h0]);
                    header.width = u16::from_be_bytes([*w1, *w0]);
                    header.sampling = match luma {
                        0x21 => Sampling::Wide,
                        0x22 => Sampling::Square,
                        _ => return None,
                    };
                }
                SOS => return Some((header, after.strip_suffix(&END).unwrap_or(after))),
                _ => {}
            }
            rest = after;
        }
    }
}

fn segment(image: &mut BytesMut, marker: u8, bytes: usize) {
    image.put_slice(&[0xFF, marker]);
    image.put_u16(u16::try_from(bytes + 2).unwrap_or(u16::MAX));
}

fn table(bytes: &[u8]) -> Option<[u8; 64]> {
    bytes.split_first()?.1.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written() {
        for (sampling, restart_interval) in [(Sampling::Wide, 0), (Sampling::Square, 7)] {
            let header = Header {
                width: 640,
                height: 360,
                sampling,
                restart_interval,
                quantizers: quantizers(60),
            };
            let mut image = BytesMut::new();
            header.write(&mut image);
            assert!(image.len() <= MAX_HEADER_BYTES, "{}", image.len());
            image.put_slice(&[1, 2, 3]);
            image.put_slice(&END);
            assert_eq!(Header::read(&image), Some((header, &[1, 2, 3][..])));
        }
    }

    #[test]
    fn what_is_cut_off_is_not_read() {
        let header = Header {
            width: 16,
            height: 16,
            sampling: Sampling::Square,
            restart_interval: 1,
            quantizers: quantizers(10),
        };
        let mut image = BytesMut::new();
        header.write(&mut image);
        for end in 0..image.len() {
            assert_eq!(Header::read(&image[..end]), None, "{end}");
        }
    }
}
