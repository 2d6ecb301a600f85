//! What stands before every payload (RFC 3550 5.1).

/// One RTP header, payload to follow.
pub(super) fn rtp_header(
    marker: bool,
    kind: u8,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
) -> Vec<u8> {
    let mut header = vec![0x80, u8::from(marker) << 7 | kind];
    header.extend(sequence.to_be_bytes());
    header.extend(timestamp.to_be_bytes());
    header.extend(ssrc.to_be_bytes());
    header
}
