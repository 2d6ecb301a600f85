//! RTP: from packets to access units and back.

pub mod depacketize;
pub mod header;
mod packet;
pub mod packetize;
pub mod receive;
pub mod rtcp;

pub use header::{RtpError, RtpHeader, RtpPacket};
pub use packet::Packet;
pub use receive::{Received, Reception, Reorder};
