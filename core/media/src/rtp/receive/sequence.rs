//! The order of one source's packets (RFC 3550 section A.1): gaps, packets that overtook each other,
//! sequences that start over.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::ready::{Ready, Received};
use crate::rtp::header::RtpPacket;

/// More packets than this are not lost in a row: the sequence started over.
const MAX_DROPOUT: u16 = 3000;
/// Over a connection nothing comes later than this; what seems to is a sequence that started over.
const MAX_MISORDER: u16 = 100;
/// Packets in a row that make a new sequence.
const NEW_SEQUENCE: usize = 2;
/// The same for packets that might just be late, all of them.
const NEW_SEQUENCE_OR_LATE: usize = 5;
/// So many packets that fit nowhere, one after the other, and the numbers mean nothing.
const MEANINGLESS: u8 = 4;
/// So many that fit, and they mean something again.
const MEANINGFUL: u8 = 16;
/// Bytes of packets that wait for a missing one.
const MAX_WAITING_BYTES: usize = 4 << 20;

/// How packets that overtake each other are put in order again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reorder {
    /// A missing packet is given up after this time.
    pub wait: Duration,
    /// Or when so many packets wait for it (or 4 MiB of them).
    pub packets: usize,
}

/// Where a packet belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// After all that came before, maybe with a gap.
    Forward,
    /// Into a gap.
    Reordered,
    /// Came before, or too late.
    Discarded,
    /// It may be the first of a new sequence; the next packets tell.
    Withheld,
    /// A new sequence has begun.
    Restarted,
}

#[derive(Debug)]
struct Held {
    packet: RtpPacket,
    arrived: Instant,
}

#[derive(Debug)]
pub(super) struct Sequence {
    reorder: Option<Reorder>,
    /// Number of the packet that is due.
    next: u16,
    /// The newest RTP time that was let through.
    newest: u32,
    /// Packets after a gap, by number.
    waiting: VecDeque<Held>,
    waiting_bytes: usize,
    /// When the gap before them is given up.
    due: Option<Instant>,
    /// Packets in a row that may begin a new sequence, at most [`NEW_SEQUENCE_OR_LATE`].
    suspects: Vec<Held>,
    /// Packets that fitted nowhere, one after the other; with `meaningless`, those that fit.
    in_row: u8,
    meaningless: bool,
    discarded: u32,
}

impl Sequence {
    pub(super) fn new(reorder: Option<Reorder>, first: u16) -> Self {
        Self {
            reorder,
            next: first,
            newest: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            due: None,
            suspects: Vec::new(),
            in_row: 0,
            meaningless: false,
            discarded: 0,
        }
    }

    /// Whether this is the packet that is due after all that came.
    pub(super) fn continues(&self, packet: &RtpPacket) -> bool {
        let due = match self.waiting.back() {
            Some(last) => last.packet.sequence.wrapping_add(1),
            None => self.next,
        };
        packet.sequence == due
    }

    /// The sequence begins with this packet.
    pub(super) fn begin(
        &mut self,
        packet: RtpPacket,
        arrived: Instant,
        restarted: bool,
        out: &mut Ready,
    ) {
        self.next = packet.sequence;
        self.newest = packet.timestamp;
        let held = Held { packet, arrived };
        self.deliver(held, 0, restarted, out);
    }

    /// Takes the next packet that came; those in order go to `out`.
    pub(super) fn push(&mut self, packet: RtpPacket, arrived: Instant, out: &mut Ready) -> Fit {
        let ahead = packet.sequence.wrapping_sub(self.next);
        let held = Held { packet, arrived };
        if self.meaningless {
            return self.push_meaningless(held, ahead, out);
        }
        if ahead <= MAX_DROPOUT {
            self.drop_suspects();
            self.in_row = 0;
            return match self.reorder {
                None => {
                    self.deliver(held, ahead.into(), false, out);
                    Fit::Forward
                }
                Some(_) if ahead == 0 => {
                    let fit = match self.waiting.is_empty() {
                        true => Fit::Forward,
                        false => Fit::Reordered,
                    };
                    self.deliver(held, 0, false, out);
                    self.drain(out);
                    fit
                }
                Some(reorder) => self.wait(held, ahead, reorder, out),
            };
        }
        let behind = ahead.wrapping_neg();
        if self.reorder.is_none() && behind > MAX_MISORDER {
            self.restart([held].into_iter(), out);
            return Fit::Restarted;
        }
        self.suspect(held, behind, out)
    }

    /// Gives up gaps that were waited for long enough.
    pub(super) fn give_up(&mut self, now: Instant, out: &mut Ready) {
        while self.due.is_some_and(|due| due <= now) {
            self.skip_gap(out);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Everything that waits, with the gaps between.
    pub(super) fn flush(&mut self, out: &mut Ready) {
        while !self.waiting.is_empty() {
            self.skip_gap(out);
        }
        self.drop_suspects();
    }

    /// Packets that were thrown away since the last time this was asked.
    pub(super) fn take_discarded(&mut self) -> u32 {
        std::mem::take(&mut self.discarded)
    }

    fn deliver(&mut self, held: Held, lost: u32, restarted: bool, out: &mut Ready) {
        let Held { packet, arrived } = held;
        self.next = packet.sequence.wrapping_add(1);
        if packet.timestamp.wrapping_sub(self.newest).cast_signed() > 0 || restarted {
            self.newest = packet.timestamp;
        }
        out.push(Received {
            packet,
            arrived,
            lost,
            restarted,
        });
    }

    /// Keeps a packet that came before others.
    fn wait(&mut self, held: Held, ahead: u16, reorder: Reorder, out: &mut Ready) -> Fit {
        let next = self.next;
        let place = self
            .waiting
            .partition_point(|h| h.packet.sequence.wrapping_sub(next) < ahead);
        let after = self.waiting.get(place);
        if after.is_some_and(|h| h.packet.sequence == held.packet.sequence) {
            self.discarded += 1;
            return Fit::Discarded;
        }
        let fit = match after {
            Some(_) => Fit::Reordered,
            None => Fit::Forward,
        };
        let due = held.arrived + reorder.wait;
        self.due = Some(self.due.map_or(due, |first| first.min(due)));
        self.waiting_bytes += held.packet.payload.len();
        self.waiting.insert(place, held);
        while self.waiting.len() > reorder.packets || self.waiting_bytes > MAX_WAITING_BYTES {
            self.skip_gap(out);
        }
        fit
    }

    /// The packets that are missing first are lost.
    fn skip_gap(&mut self, out: &mut Ready) {
        if let Some(held) = self.waiting.pop_front() {
            self.waiting_bytes -= held.packet.payload.len();
            let lost = held.packet.sequence.wrapping_sub(self.next);
            self.deliver(held, lost.into(), false, out);
        }
        self.drain(out);
    }

    /// Lets through what has no gap before it any more.
    fn drain(&mut self, out: &mut Ready) {
        while let Some(held) = self
            .waiting
            .pop_front_if(|held| held.packet.sequence == self.next)
        {
            self.waiting_bytes -= held.packet.payload.len();
            self.deliver(held, 0, false, out);
        }
        let first = self.waiting.iter().map(|held| held.arrived).min();
        self.due = first
            .zip(self.reorder)
            .map(|(first, reorder)| first + reorder.wait);
    }

    /// A packet that is late, came twice, or begins a new sequence: the next ones tell.
    fn suspect(&mut self, held: Held, behind: u16, out: &mut Ready) -> Fit {
        let in_row = self
            .suspects
            .last()
            .is_some_and(|last| last.packet.sequence.wrapping_add(1) == held.packet.sequence);
        if !in_row {
            self.drop_suspects();
            self.in_row = self.in_row.saturating_add(1);
            if self.reorder.is_none() && self.in_row >= MEANINGLESS {
                self.meaningless = true;
                self.in_row = 0;
                self.deliver(held, 0, true, out);
                return Fit::Restarted;
            }
        }
        // Late packets are older than what was let through; the network can delay several in a row.
        let older = held
            .packet
            .timestamp
            .wrapping_sub(self.newest)
            .cast_signed()
            <= 0;
        let late = self.reorder.is_some() && behind <= MAX_DROPOUT && older;
        self.suspects.push(held);
        let enough = match late {
            true => NEW_SEQUENCE_OR_LATE,
            false => NEW_SEQUENCE,
        };
        if self.suspects.len() < enough {
            return Fit::Withheld;
        }
        let suspects = std::mem::take(&mut self.suspects);
        self.restart(suspects.into_iter(), out);
        Fit::Restarted
    }

    fn restart(&mut self, packets: impl Iterator<Item = Held>, out: &mut Ready) {
        self.flush(out);
        self.in_row = 0;
        for (index, held) in packets.enumerate() {
            self.deliver(held, 0, index == 0, out);
        }
    }

    /// Over a connection the order is certain, whatever the numbers say.
    fn push_meaningless(&mut self, held: Held, ahead: u16, out: &mut Ready) -> Fit {
        self.in_row = match ahead {
            0 => self.in_row + 1,
            _ => 0,
        };
        self.meaningless = self.in_row < MEANINGFUL;
        if !self.meaningless {
            self.in_row = 0;
        }
        self.deliver(held, 0, false, out);
        Fit::Forward
    }

    fn drop_suspects(&mut self) {
        self.discarded += u32::try_from(self.suspects.len()).unwrap_or(u32::MAX);
        self.suspects.clear();
    }
}
