//! FLAC (RFC 9639), as far as telephone sound needs it: one frame a packet, of any length, lossless.
//!
//! Our own and not the crate `flacenc`: that searches for the best of a music file with blocks of one
//! size, in some 9,500 lines; here a packet of 20 ms has to become a frame at once, and fixed
//! predictors (section 9.2.5) give most of what there is to gain. Cost: about ten passes over the
//! samples.

mod bits;
mod residual;

use bytes::Bytes;

use bits::BitWriter;

/// The most samples of a frame, in each channel.
pub const MAX_BLOCK: usize = 65_535;
/// The least that a stream may promise (section 8.2).
const MIN_BLOCK: u16 = 16;
/// Bits of a sample.
const DEPTH: u32 = 16;
const MAX_CHANNELS: usize = 8;
/// A frame's number has so many bits.
const NUMBER_BITS: u32 = 36;

/// The metadata block STREAMINFO (section 8.2) of a stream of frames of any size. Their largest size
/// is not known when a file begins, so it is the largest that there is.
pub fn stream_info(rate: u32, channels: u16) -> Option<[u8; 34]> {
    let channels = u64::from(channels)
        .checked_sub(1)
        .filter(|n| *n < MAX_CHANNELS as u64)?;
    // 20 bits, of which 0 and above 655,350 mean nothing.
    let rate = u64::from(rate);
    if !(1..=655_350).contains(&rate) {
        return None;
    }
    let mut info = [0; 34];
    info[..2].copy_from_slice(&MIN_BLOCK.to_be_bytes());
    info[2..4].copy_from_slice(&u16::MAX.to_be_bytes());
    // Sizes of frames, number of samples, checksum: not known.
    let rest = rate << 44 | channels << 41 | u64::from(DEPTH - 1) << 36;
    info[10..18].copy_from_slice(&rest.to_be_bytes());
    Some(info)
}

/// A frame (section 9) of interleaved samples, each a byte that `decode` understands. `None`: no whole
/// sample of all channels, more than [`MAX_BLOCK`], or a number of channels that there is not.
pub(crate) fn frame(
    payload: &[u8],
    (rate, channels): (u32, usize),
    sample: u64,
    decode: impl Fn(u8) -> i16,
) -> Option<Bytes> {
    if !(1..=MAX_CHANNELS).contains(&channels) {
        return None;
    }
    let count = payload.len() / channels;
    if !(1..=MAX_BLOCK).contains(&count) {
        return None;
    }
    let mut w = BitWriter::with_capacity(24 + 2 * payload.len());
    header(&mut w, count, (rate, channels), sample);
    w.checksum_8();
    let mut samples = Vec::with_capacity(count);
    for channel in 0..channels {
        let own = payload.iter().skip(channel).step_by(channels).take(count);
        samples.clear();
        samples.extend(own.map(|byte| i32::from(decode(*byte))));
        subframe(&mut w, &mut samples);
    }
    w.align();
    w.checksum_16();
    Some(w.done())
}

/// Section 9.1. The rate is said again, although STREAMINFO has it: GStreamer's parser wants it.
fn header(w: &mut BitWriter, count: usize, (rate, channels): (u32, usize), sample: u64) {
    // The sync code, and frames of different sizes.
    w.put(0b1111_1111_1111_1001, 16);
    let less_one = (count - 1) as u32;
    let short = less_one < 256;
    // The size stands behind the number, in one byte or two.
    w.put(if short { 0b0110 } else { 0b0111 }, 4);
    let (code, rate_behind) = rate_code(rate);
    w.put(code, 4);
    w.put(channels as u32 - 1, 4);
    // 16 bits a sample.
    w.put(0b1000, 4);
    number(w, sample & ((1 << NUMBER_BITS) - 1));
    w.put(less_one, if short { 8 } else { 16 });
    if let Some(rate) = rate_behind {
        w.put(rate, 16);
    }
}

/// The code of a rate (section 9.1.2), and what stands behind the size if the code does not say all.
fn rate_code(rate: u32) -> (u32, Option<u32>) {
    const HERTZ: u32 = 0b1101;
    const IN_STREAMINFO: u32 = 0;
    match rate {
        8000 => (0b0100, None),
        16_000 => (0b0101, None),
        32_000 => (0b1000, None),
        48_000 => (0b1010, None),
        other if other <= 0xFFFF => (HERTZ, Some(other)),
        _ => (IN_STREAMINFO, None),
    }
}

/// A number as UTF-8 would write it, up to 36 bits (section 9.1.5).
fn number(w: &mut BitWriter, n: u64) {
    if n < 0x80 {
        w.put(n as u32, 8);
        return;
    }
    // With `more` bytes behind the first one there is room for 6 bits each and 6 - `more` in it.
    let room = |more: &u32| n >> (5 * more + 6) == 0;
    let more = (1..6).find(room).unwrap_or(6);
    let lead = 0xFF00_u64 >> (more + 1) & 0xFF;
    w.put((lead | n >> (6 * more)) as u32, 8);
    for place in (0..more).rev() {
        w.put(0x80 | (n >> (6 * place) & 0x3F) as u32, 8);
    }
}

/// One channel (section 9.2).
fn subframe(w: &mut BitWriter, samples: &mut [i32]) {
    const CONSTANT: u32 = 0;
    const VERBATIM: u32 = 1;
    const FIXED: u32 = 8;
    let first = samples.first().copied().unwrap_or(0);
    if samples.iter().all(|s| *s == first) {
        w.put(CONSTANT << 1, 8);
        w.signed(first, DEPTH);
        return;
    }
    // Bits that are zero in all of them: two of μ-law, three of A-law.
    let wasted = samples.iter().fold(0, |all, s| all | s).trailing_zeros();
    for sample in samples.iter_mut() {
        *sample >>= wasted;
    }
    let depth = DEPTH - wasted;
    let kind = |w: &mut BitWriter, kind: u32| {
        w.put(kind << 1 | u32::from(wasted > 0), 8);
        if wasted > 0 {
            w.put(1, wasted);
        }
    };
    let plan = residual::plan(samples);
    if plan.bits >= samples.len() as u64 * u64::from(depth) {
        kind(w, VERBATIM);
        for sample in samples {
            w.signed(*sample, depth);
        }
        return;
    }
    kind(w, FIXED | plan.order as u32);
    for sample in &samples[..plan.order] {
        w.signed(*sample, depth);
    }
    plan.write(w);
}

#[cfg(test)]
mod tests;
