//! A decoder of what is written here, by the sections of RFC 9639; that others decode it too is a test
//! with ffmpeg and GStreamer.

use proptest::prelude::*;

use super::*;

struct Reader<'a>(&'a [u8], usize);

impl Reader<'_> {
    fn u(&mut self, bits: u32) -> u32 {
        (0..bits).fold(0, |n, _| {
            let bit = self.0[self.1 / 8] >> (7 - self.1 % 8) & 1;
            self.1 += 1;
            n << 1 | u32::from(bit)
        })
    }

    fn i(&mut self, bits: u32) -> i32 {
        (self.u(bits) << (32 - bits)) as i32 >> (32 - bits)
    }

    fn unary(&mut self) -> u32 {
        (0..).find(|_| self.u(1) == 1).unwrap()
    }

    fn number(&mut self) -> u64 {
        let first = self.u(8);
        let ones = (first as u8).leading_ones();
        let more = ones.saturating_sub(1);
        let lead = if ones == 0 {
            first
        } else {
            first & (0x7F >> ones)
        };
        (0..more).fold(u64::from(lead), |n, _| n << 6 | u64::from(self.u(8) & 0x3F))
    }

    fn subframe(&mut self, count: usize) -> Vec<i32> {
        let kind = self.u(7);
        let wasted = if self.u(1) == 1 { self.unary() + 1 } else { 0 };
        let depth = 16 - wasted;
        let mut samples: Vec<i32> = match kind {
            0 => vec![self.i(depth); count],
            1 => (0..count).map(|_| self.i(depth)).collect(),
            8..=12 => {
                let order = kind as usize - 8;
                let warm: Vec<i32> = (0..order).map(|_| self.i(depth)).collect();
                assert_eq!(self.u(2), 0);
                let partitions = 1_usize << self.u(4);
                let mut left = Vec::new();
                for partition in 0..partitions {
                    let skip = if partition == 0 { order } else { 0 };
                    let parameter = self.u(4);
                    for _ in 0..count / partitions - skip {
                        let n = self.unary() << parameter | self.u(parameter);
                        left.push((n >> 1) as i32 ^ -((n & 1) as i32));
                    }
                }
                let mut out = warm;
                for residual in left {
                    let at = |back: usize| out[out.len() - back];
                    let predicted = match order {
                        0 => 0,
                        1 => at(1),
                        2 => 2 * at(1) - at(2),
                        3 => 3 * at(1) - 3 * at(2) + at(3),
                        _ => 4 * at(1) - 6 * at(2) + 4 * at(3) - at(4),
                    };
                    out.push(predicted + residual);
                }
                out
            }
            kind => panic!("subframe of type {kind}"),
        };
        for sample in &mut samples {
            *sample <<= wasted;
        }
        samples
    }
}

/// The number and the channels of a frame.
fn decode(frame: &[u8]) -> (u64, Vec<Vec<i32>>) {
    let mut r = Reader(frame, 0);
    assert_eq!(r.u(16), 0xFFF9);
    let size = r.u(4);
    let rate = r.u(4);
    let channels = r.u(4) + 1;
    assert_eq!(r.u(4), 8);
    let number = r.number();
    let count = r.u(if size == 6 { 8 } else { 16 }) as usize + 1;
    if rate == 13 {
        assert_eq!(r.u(16), 11_025);
    } else {
        assert_eq!(rate, 4);
    }
    r.u(8);
    let samples = (0..channels).map(|_| r.subframe(count)).collect();
    let end = r.1.div_ceil(8);
    assert_eq!(end + 2, frame.len());
    (number, samples)
}

/// A byte as a sample that all 16 bits are used of.
fn wide(byte: u8) -> i16 {
    i16::from_be_bytes([byte, byte.wrapping_mul(31)])
}

#[test]
fn telephone_sound_becomes_smaller_than_its_samples() {
    let tone: Vec<u8> = (0..160)
        .map(|i| ((f64::from(i) / 9.0).sin() * 100.0) as i8 as u8)
        .collect();
    let frame = frame(&tone, (8000, 1), 5, |byte| {
        i16::from(byte.cast_signed()) * 4
    })
    .unwrap();
    assert!(frame.len() < 130, "{}", frame.len());
    let silence = super::frame(&[7; 160], (8000, 1), 5, |_| 8).unwrap();
    assert!(silence.len() < 15, "{}", silence.len());
}

#[test]
fn what_is_no_frame_is_none() {
    assert_eq!(frame(&[], (8000, 1), 0, wide), None);
    assert_eq!(frame(&[1], (8000, 2), 0, wide), None);
    assert_eq!(frame(&[1], (8000, 0), 0, wide), None);
    assert_eq!(frame(&[1; 20], (8000, 9), 0, wide), None);
    assert_eq!(frame(&vec![1; MAX_BLOCK + 1], (8000, 1), 0, wide), None);
    assert!(frame(&vec![1; MAX_BLOCK], (8000, 1), 0, wide).is_some());
    assert_eq!(stream_info(0, 1), None);
    assert_eq!(stream_info(8000, 0), None);
    assert_eq!(stream_info(8000, 9), None);
}

proptest! {
    #[test]
    fn nothing_is_lost(
        payload in prop::collection::vec(any::<u8>(), 1..700),
        channels in 1_usize..3,
        sample: u64,
        quiet in 0_u32..8,
        rate in prop::sample::select(vec![8000, 11_025]),
    ) {
        let decode_byte = |byte: u8| wide(byte) >> quiet << 2.min(quiet);
        let Some(bytes) = frame(&payload, (rate, channels), sample, decode_byte) else {
            prop_assert!(payload.len() < channels);
            return Ok(());
        };
        let (number, decoded) = decode(&bytes);
        prop_assert_eq!(number, sample & 0xF_FFFF_FFFF);
        for (channel, samples) in decoded.iter().enumerate() {
            let sent: Vec<i32> = payload.chunks_exact(channels).map(|all| decode_byte(all[channel]).into()).collect();
            prop_assert_eq!(samples, &sent);
        }
        // No worse than as it is.
        prop_assert!(bytes.len() <= 24 + 2 * payload.len());
    }
}
