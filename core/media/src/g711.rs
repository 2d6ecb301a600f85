//! G.711 (ITU-T G.711), and how it is kept in files that browsers play.
//!
//! No browser plays G.711 in MP4, but FLAC is played there, and loses nothing: what is kept is FLAC of
//! the decoded samples, from which the camera's very bytes can be made again, but for μ-law's two
//! zeros, which sound alike. Cost: see [`crate::flac`], some µs a packet.

use bytes::Bytes;

use crate::codec::{AudioCodec, AudioTrack};
use crate::flac;

/// One byte of μ-law (table 2a) as 16 bits: 14 significant ones and two zeros.
pub const fn decode_ulaw(byte: u8) -> i16 {
    // The line from which segments are counted: 33 of 14 bits.
    const BIAS: i16 = 33 << 2;
    let byte = !byte;
    let step = (((byte & 0xF) as i16) << 3) + BIAS;
    let magnitude = (step << (byte >> 4 & 7)) - BIAS;
    if byte & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

/// One byte of A-law (table 1a) as 16 bits: 13 significant ones and three zeros.
pub const fn decode_alaw(byte: u8) -> i16 {
    // Every other bit is sent inverted.
    let byte = byte ^ 0x55;
    let step = (((byte & 0xF) as i16) << 4) + 8;
    let magnitude = match byte >> 4 & 7 {
        0 => step,
        segment => (step + 0x100) << (segment - 1),
    };
    if byte & 0x80 == 0 {
        -magnitude
    } else {
        magnitude
    }
}

const fn table(alaw: bool) -> [i16; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = if alaw {
            decode_alaw(byte)
        } else {
            decode_ulaw(byte)
        };
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

static ULAW: [i16; 256] = table(false);
static ALAW: [i16; 256] = table(true);

/// One packet of a track of G.711 as a frame of FLAC, which is one sample in MP4 and lasts
/// `payload.len() / channels` ticks. `sample` is the place of its first sample in the stream, by which
/// frames are numbered.
///
/// `None`: the track is of another codec, or there is nothing in the packet, or more than
/// [`flac::MAX_BLOCK`].
pub fn flac(track: &AudioTrack, payload: &[u8], sample: u64) -> Option<Bytes> {
    let table = match track.codec {
        AudioCodec::Pcmu => &ULAW,
        AudioCodec::Pcma => &ALAW,
        AudioCodec::Aac { .. } | AudioCodec::Opus => return None,
    };
    let channels = usize::from(track.channels);
    flac::frame(payload, (track.rate, channels), sample, |byte| {
        table[usize::from(byte)]
    })
}

/// STREAMINFO for a track of G.711. `None`: FLAC has no such clock or number of channels.
pub fn stream_info(rate: u32, channels: u16) -> Option<[u8; 34]> {
    flac::stream_info(rate, channels)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The byte whose value is nearest, as an encoder finds it: every value stands for an interval
    /// around it, and a decoded value lies in its own.
    fn encode(value: i16, decode: fn(u8) -> i16) -> u8 {
        let distance = |byte: &u8| i32::from(value).abs_diff(i32::from(decode(*byte)));
        (0..=u8::MAX).min_by_key(distance).unwrap()
    }

    /// μ-law by its segments, A-law by its: as ITU-T G.711 tables 1 and 2 read from left to right.
    fn encode_by_segments(value: i16, alaw: bool) -> u8 {
        let positive = value >= 0;
        let magnitude = i32::from(value).unsigned_abs();
        if alaw {
            let steps = magnitude >> 4;
            let segment = (steps >> 4).checked_ilog2().map_or(0, |n| n + 1);
            let mantissa = steps >> segment.saturating_sub(1) & 0xF;
            (u8::from(positive) << 7 | (segment << 4 | mantissa) as u8) ^ 0x55
        } else {
            let biased = magnitude + 132;
            let segment = biased.ilog2() - 7;
            let mantissa = biased >> (segment + 3) & 0xF;
            !(u8::from(!positive) << 7 | (segment << 4 | mantissa) as u8)
        }
    }

    #[test]
    fn decodes_what_the_tables_say() {
        // The ends and the middle of both laws, in 14 and 13 bits (tables 2a, 2b, 1a, 1b).
        let ulaw = [
            (0x80, 8031),
            (0xFF, 0),
            (0x7F, 0),
            (0x00, -8031),
            (0xEF, 33),
            (0xFE, 2),
        ];
        for (byte, value) in ulaw {
            assert_eq!(decode_ulaw(byte), value * 4, "{byte:#x}");
        }
        let alaw = [
            (0xAA, 4032),
            (0xD5, 1),
            (0x55, -1),
            (0x2A, -4032),
            (0xC5, 33),
        ];
        for (byte, value) in alaw {
            assert_eq!(decode_alaw(byte), value * 8, "{byte:#x}");
        }
    }

    #[test]
    fn nothing_is_lost_but_the_second_zero() {
        for byte in 0..=u8::MAX {
            assert_eq!(encode_by_segments(decode_alaw(byte), true), byte, "A-law");
            assert_eq!(encode(decode_alaw(byte), decode_alaw), byte, "A-law");
            // Negative zero.
            let same = if byte == 0x7F { 0xFF } else { byte };
            assert_eq!(encode_by_segments(decode_ulaw(byte), false), same, "μ-law");
            assert_eq!(
                decode_ulaw(encode(decode_ulaw(byte), decode_ulaw)),
                decode_ulaw(byte)
            );
        }
    }
}
