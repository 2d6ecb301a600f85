//! Packets that are in their place and wait to be taken.

use std::collections::VecDeque;
use std::time::Instant;

use crate::rtp::header::RtpPacket;

/// Packets that wait to be popped. Whoever pushes pops until nothing comes, so there are never more
/// than the reorder buffer lets go at once; beyond that the oldest count as lost.
pub(super) const MAX_READY: usize = 4096;

/// A packet in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// What was sent.
    pub packet: RtpPacket,
    /// When it came. It may have waited for another one since.
    pub arrived: Instant,
    /// Packets that are missing right before it.
    pub lost: u32,
    /// It does not go on where the packet before it ended: source or sequence started over.
    /// How much is missing, if anything, can not be known; `lost` is 0.
    pub restarted: bool,
}

/// Packets in order that wait to be popped.
#[derive(Debug, Default)]
pub(super) struct Ready(VecDeque<Received>);

impl Ready {
    pub(super) fn push(&mut self, packet: Received) {
        if self.0.len() >= MAX_READY
            && let Some(oldest) = self.0.pop_front()
            && let Some(next) = self.0.front_mut()
        {
            next.lost = next.lost.saturating_add(oldest.lost).saturating_add(1);
            next.restarted |= oldest.restarted;
        }
        self.0.push_back(packet);
    }

    pub(super) fn pop(&mut self) -> Option<Received> {
        self.0.pop_front()
    }
}
