//! A packet as depacketizers see it, in its place and without what only reception looks at.

/// What a depacketizer needs of an RTP packet (RFC 3550 section 5.1).
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// The RTP timestamp.
    pub timestamp: u32,
    /// Whether it ends an access unit.
    pub marker: bool,
    /// Packets lost right before this one.
    pub lost: u32,
    /// The payload, without header, extension and padding.
    pub payload: &'a [u8],
}
