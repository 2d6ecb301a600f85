//! Units for tests, as a camera would send them.

use super::sets::Sps;
use super::unit::unit_type;

/// 640×360, constrained baseline.
pub(crate) const SPS_640X360: [u8; 15] = [
    0x67, 0x42, 0xC0, 0x1E, 0x8C, 0x8D, 0x40, 0x50, 0x17, 0xFC, 0xB0, 0x0F, 0x08, 0x84, 0x6A,
];
pub(crate) const PPS: [u8; 4] = [0x68, 0xCE, 0x3C, 0x80];

fn ue(bits: &mut String, value: u32) {
    let code = format!("{:b}", value + 1);
    bits.extend(std::iter::repeat_n('0', code.len() - 1));
    bits.push_str(&code);
}

/// The bytes of a string of bits, filled up with `fill`.
fn bytes(mut bits: String, fill: char) -> Vec<u8> {
    while !bits.len().is_multiple_of(8) {
        bits.push(fill);
    }
    let bytes = bits.as_bytes().chunks(8);
    bytes
        .map(|byte| byte.iter().fold(0, |n, bit| n << 1 | (bit - b'0')))
        .collect()
}

/// 720×576, main profile, pictures in fields.
pub(crate) fn sps_fields() -> Vec<u8> {
    let mut bits = String::new();
    // The set 0; 4 bits of frame_num; pic_order_cnt_type 0 with 6 bits; one reference.
    for value in [0, 0, 0, 2, 1] {
        ue(&mut bits, value);
    }
    // No gaps.
    bits.push('0');
    ue(&mut bits, 720 / 16 - 1);
    ue(&mut bits, 576 / 32 - 1);
    // Not only frames; no mixing within one; direct_8x8; no cropping; no VUI; the stop bit.
    bits.push_str("001001");
    [&[0x67, 77, 0, 30], &bytes(bits, '0')[..]].concat()
}

/// A slice of a picture of [`SPS_640X360`], with `tail` bytes after its header.
pub(crate) fn slice(header: u8, first_mb: u32, kind: u32, frame_num: u32, tail: usize) -> Vec<u8> {
    let sps = Sps::read(&SPS_640X360).unwrap();
    let order = frame_num * 2;
    write_slice(&sps, header, [first_mb, kind, frame_num, order], None, tail)
}

/// A slice of a field of [`sps_fields`].
pub(crate) fn field(header: u8, first_mb: u32, kind: u32, frame_num: u32, bottom: bool) -> Vec<u8> {
    let sps = Sps::read(&sps_fields()).unwrap();
    let order = frame_num * 2 + u32::from(bottom);
    let numbers = [first_mb, kind, frame_num, order];
    write_slice(&sps, header, numbers, Some(bottom), 60)
}

fn write_slice(
    sps: &Sps,
    header: u8,
    [first_mb, kind, frame_num, order]: [u32; 4],
    bottom: Option<bool>,
    tail: usize,
) -> Vec<u8> {
    let mut bits = String::new();
    ue(&mut bits, first_mb);
    ue(&mut bits, kind);
    ue(&mut bits, 0);
    let width = sps.frame_num_bits as usize;
    bits.push_str(&format!("{:0width$b}", frame_num % (1 << width)));
    match bottom {
        Some(bottom) => bits.push_str(if bottom { "11" } else { "10" }),
        None if sps.frames_only => {}
        None => bits.push('0'),
    }
    if header & 0x1F == unit_type::IDR {
        ue(&mut bits, 0);
    }
    if let Some(places) = sps.order_bits {
        let width = places as usize;
        bits.push_str(&format!("{:0width$b}", order % (1 << width)));
    }
    let tail = (0..tail).map(|i| (i % 251 + 1) as u8);
    let body = bytes(bits, '1').into_iter();
    std::iter::once(header).chain(body).chain(tail).collect()
}
