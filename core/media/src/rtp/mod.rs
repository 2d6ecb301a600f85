//! RTP: from packets to access units and back.

pub mod depacketize;
pub mod header;
pub mod packetize;
pub mod receive;
pub mod rtcp;

pub use header::{RtpError, RtpHeader, RtpPacket};
pub use receive::{Received, Reception, Reorder};

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
