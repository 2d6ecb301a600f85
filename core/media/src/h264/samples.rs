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

/// A slice of a picture of [`SPS_640X360`], with `tail` bytes after its header.
pub(crate) fn slice(header: u8, first_mb: u32, kind: u32, frame_num: u32, tail: usize) -> Vec<u8> {
    let sps = Sps::read(&SPS_640X360).unwrap();
    let mut bits = String::new();
    ue(&mut bits, first_mb);
    ue(&mut bits, kind);
    ue(&mut bits, 0);
    let width = sps.frame_num_bits as usize;
    bits.push_str(&format!("{:0width$b}", frame_num % (1 << width)));
    if header & 0x1F == unit_type::IDR {
        ue(&mut bits, 0);
    }
    if let Some(order) = sps.order_bits {
        let width = order as usize;
        bits.push_str(&format!("{:0width$b}", frame_num * 2 % (1 << width)));
    }
    while !bits.len().is_multiple_of(8) {
        bits.push('1');
    }
    let body = bits.as_bytes().chunks(8);
    let body = body.map(|byte| byte.iter().fold(0, |n, bit| n << 1 | (bit - b'0')));
    let tail = (0..tail).map(|i| (i % 251 + 1) as u8);
    std::iter::once(header).chain(body).chain(tail).collect()
}
