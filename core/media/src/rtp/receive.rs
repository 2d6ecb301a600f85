//! Reception of one track: which source is followed, and its packets in their order.
//!
//! Packets go in as they come, with `now`; they come out in order, with what was lost before them.
//! Cameras change their source number, start their sequence over, say goodbye and go on, or send two
//! sources where one was described. The stream goes on over all of it; where the packets before and
//! after do not belong together, the next one is marked as `restarted`.
//! Cost: packets that come in order are moved, never copied. Memory: see [`Reorder`].

mod ready;
mod sequence;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use super::header::RtpPacket;
use super::rtcp::ReportBlock;
use crate::codec::VIDEO_CLOCK;
use crate::quirk::{Quirk, Quirks};
use ready::Ready;
use sequence::{Fit, Sequence};

pub use ready::Received;
pub use sequence::Reorder;

/// A source that was not heard for this long has ended.
const SILENCE: Duration = Duration::from_secs(1);
/// The same where a second source is known to be there: it may just be slow.
const LONG_SILENCE: Duration = Duration::from_secs(3);
/// So many packets of another source with none of the one that is followed: it has ended.
const TAKEN_OVER: u32 = 10;
/// What was received, from the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Packets of sources that were followed.
    pub received: u64,
    /// Packets that are missing.
    pub lost: u64,
    /// Packets that came after later ones and were put in their place.
    pub reordered: u64,
    /// Packets that had come before, or came too late.
    pub discarded: u64,
    /// Packets of sources that were not followed.
    pub stray: u64,
    /// Interarrival jitter in ticks of the RTP clock (RFC 3550 section 6.4.1).
    pub jitter: u32,
}

/// Reception of one track.
#[derive(Debug)]
pub struct Reception {
    reorder: Option<Reorder>,
    clock_rate: u32,
    /// What SETUP announced.
    expected: Option<u32>,
    source: Option<Source>,
    /// Packets of an unknown source since the one that is followed was heard.
    other: Option<(u32, u32)>,
    /// The source that was followed before, and until when.
    left: Option<(u32, Instant)>,
    /// A second source that is alive at the same time; it is not followed.
    rival: Option<u32>,
    ready: Ready,
    quirks: Quirks,
    statistics: Statistics,
}

/// The source that is followed.
#[derive(Debug)]
struct Source {
    ssrc: u32,
    heard: Instant,
    /// It said goodbye.
    ended: bool,
    sequence: Sequence,
    jitter: Jitter,
    /// Number of the first packet and of the highest one, counted on over 65,535.
    first: u32,
    highest: u32,
    received: u32,
    /// What was expected and received at the last receiver report.
    reported: (u32, u32),
    /// The middle of the NTP time in its last sender report, and when that came.
    sender_report: Option<(u32, Instant)>,
}

impl Source {
    fn new(packet: &RtpPacket, reorder: Option<Reorder>, now: Instant) -> Self {
        Self {
            ssrc: packet.ssrc,
            heard: now,
            ended: false,
            sequence: Sequence::new(reorder, packet.sequence),
            jitter: Jitter::new(now),
            first: packet.sequence.into(),
            highest: packet.sequence.into(),
            received: 0,
            reported: (0, 0),
            sender_report: None,
        }
    }

    /// For the report: a sequence that starts over is a new one to be counted.
    fn count(&mut self, sequence: u16, fit: Fit) {
        if fit == Fit::Restarted {
            self.first = sequence.into();
            self.highest = self.first;
            self.received = 0;
            self.reported = (0, 0);
        } else {
            let ahead = sequence.wrapping_sub((self.highest & 0xFFFF) as u16);
            if fit == Fit::Forward && ahead < 1 << 15 {
                self.highest = self.highest.wrapping_add(ahead.into());
            }
        }
        self.received = self.received.wrapping_add(1);
    }
}

impl Reception {
    /// With `reorder` for packets that travel alone (UDP); without it for a connection that keeps
    /// them in order (TCP), where a gap is a loss at once.
    pub fn new(reorder: Option<Reorder>) -> Self {
        Self {
            reorder,
            clock_rate: VIDEO_CLOCK,
            expected: None,
            source: None,
            other: None,
            left: None,
            rival: None,
            ready: Ready::default(),
            quirks: Quirks::default(),
            statistics: Statistics::default(),
        }
    }

    /// The rate of the RTP clock, for the jitter; 90 kHz if it is not set.
    #[must_use]
    pub fn with_clock_rate(mut self, ticks_per_second: u32) -> Self {
        self.clock_rate = ticks_per_second;
        self
    }

    /// The source that SETUP announced. A hint only: cameras announce one and send another.
    pub fn expect_ssrc(&mut self, ssrc: Option<u32>) {
        self.expected = ssrc;
    }

    /// Takes a packet that came at `now`. Pop until nothing comes afterwards.
    pub fn push(&mut self, packet: RtpPacket, now: Instant) {
        let Some(source) = &mut self.source else {
            self.follow(packet, now, false);
            return;
        };
        if source.ssrc == packet.ssrc {
            let was_ended = std::mem::take(&mut source.ended);
            if was_ended {
                self.quirks.note(Quirk::Goodbye);
            }
            source.heard = now;
            self.other = None;
            if was_ended && !source.sequence.continues(&packet) {
                self.quirks.note(Quirk::SequenceRestart);
                self.follow(packet, now, true);
            } else {
                self.take(packet, now);
            }
            return;
        }
        if self.rival != Some(packet.ssrc) && source.sequence.continues(&packet) {
            // Another number on the same stream: nothing is missing, nothing has to start over.
            self.quirks.note(Quirk::OtherSource);
            if std::mem::take(&mut source.ended) {
                self.quirks.note(Quirk::Goodbye);
            }
            source.ssrc = packet.ssrc;
            source.heard = now;
            self.other = None;
            self.take(packet, now);
            return;
        }
        if self.takes_over(packet.ssrc, now) {
            self.change(packet, now);
        } else {
            self.statistics.stray += 1;
            self.quirks.note(Quirk::StrayPackets);
        }
    }

    /// The next packet in order, if there is one at `now`.
    pub fn pop(&mut self, now: Instant) -> Option<Received> {
        if let Some(source) = &mut self.source {
            source.sequence.give_up(now, &mut self.ready);
        }
        let next = self.ready.pop()?;
        self.statistics.lost += u64::from(next.lost);
        Some(next)
    }

    /// When a packet that is missing will be given up: [`Self::pop`] gives more then.
    pub fn deadline(&self) -> Option<Instant> {
        self.source.as_ref()?.sequence.deadline()
    }

    /// The camera said that this source ends (RTCP BYE).
    pub fn goodbye(&mut self, ssrc: u32, _now: Instant) {
        if let Some(source) = self.source.as_mut().filter(|s| s.ssrc == ssrc) {
            source.ended = true;
        }
    }

    /// Whether the source said goodbye and was not heard since.
    pub fn ended(&self) -> bool {
        self.source.as_ref().is_some_and(|s| s.ended)
    }

    /// The source that is followed.
    pub fn source(&self) -> Option<u32> {
        self.source.as_ref().map(|s| s.ssrc)
    }

    /// A sender report of that source came; its time goes back in receiver reports.
    pub fn sender_report(&mut self, ssrc: u32, ntp: u64, now: Instant) {
        if let Some(source) = self.source.as_mut().filter(|s| s.ssrc == ssrc) {
            source.sender_report = Some(((ntp >> 16 & 0xFFFF_FFFF) as u32, now));
        }
    }

    /// What goes into a receiver report, and the next one counts from here. `None` before the first
    /// packet.
    pub fn report(&mut self, now: Instant) -> Option<ReportBlock> {
        let source = self.source.as_mut()?;
        let expected = source.highest.wrapping_sub(source.first).wrapping_add(1);
        let expected_now = expected.wrapping_sub(source.reported.0);
        let received_now = source.received.wrapping_sub(source.reported.1);
        source.reported = (expected, source.received);
        let lost_now = u64::from(expected_now.saturating_sub(received_now));
        let fraction = (lost_now << 8)
            .checked_div(expected_now.into())
            .unwrap_or_default();
        let lost = i64::from(expected) - i64::from(source.received);
        let (last_report, delay) = source.sender_report.map_or((0, 0), |(middle, came)| {
            let delay = now.saturating_duration_since(came).as_micros() * 65_536 / 1_000_000;
            (middle, u32::try_from(delay).unwrap_or(u32::MAX))
        });
        Some(ReportBlock {
            ssrc: source.ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            cumulative_lost: i32::try_from(lost).unwrap_or(i32::MAX),
            highest: source.highest,
            jitter: source.jitter.ticks(),
            last_report,
            delay,
        })
    }

    /// What the camera did so far that is not as it should be.
    pub fn quirks(&self) -> &Quirks {
        &self.quirks
    }

    /// The same since the last time this was called.
    pub fn take_quirks(&mut self) -> Quirks {
        self.quirks.take()
    }

    /// What was received so far.
    pub fn statistics(&self) -> Statistics {
        Statistics {
            jitter: self.source.as_ref().map_or(0, |s| s.jitter.ticks()),
            ..self.statistics
        }
    }

    /// Gives a packet of the source that is followed its place.
    fn take(&mut self, packet: RtpPacket, now: Instant) {
        let Some(source) = &mut self.source else {
            return;
        };
        self.statistics.received += 1;
        source.jitter.heard(packet.timestamp, now, self.clock_rate);
        let sequence = packet.sequence;
        let fit = source.sequence.push(packet, now, &mut self.ready);
        source.count(sequence, fit);
        match fit {
            Fit::Forward => {}
            Fit::Reordered => {
                self.statistics.reordered += 1;
                self.quirks.note(Quirk::Reordered);
            }
            Fit::Restarted => self.quirks.note(Quirk::SequenceRestart),
            Fit::Discarded | Fit::Withheld => {}
        }
        self.statistics.discarded += u64::from(source.sequence.take_discarded());
    }

    /// Follows a source from this packet on.
    fn follow(&mut self, packet: RtpPacket, now: Instant, restarted: bool) {
        if let Some(mut before) = self.source.take() {
            before.sequence.flush(&mut self.ready);
            self.statistics.discarded += u64::from(before.sequence.take_discarded());
        }
        self.other = None;
        self.statistics.received += 1;
        let mut source = Source::new(&packet, self.reorder, now);
        source.jitter.heard(packet.timestamp, now, self.clock_rate);
        source.received = 1;
        source
            .sequence
            .begin(packet, now, restarted, &mut self.ready);
        self.source = Some(source);
    }

    /// Another source is followed from now on.
    fn change(&mut self, packet: RtpPacket, now: Instant) {
        let before = self.source.as_ref().map(|s| (s.ssrc, s.ended));
        // Back to one that was left a moment ago: it never ended, so there are two of them.
        let back = self
            .left
            .is_some_and(|(ssrc, at)| ssrc == packet.ssrc && alive(at, now, SILENCE));
        self.rival = before.map(|b| b.0).filter(|_| back);
        self.left = before.map(|(ssrc, _)| (ssrc, now));
        self.quirks.note(Quirk::OtherSource);
        if before.is_some_and(|(_, ended)| ended) {
            self.quirks.note(Quirk::Goodbye);
        }
        self.follow(packet, now, true);
    }

    /// Whether a source that is not followed has taken the place of the one that is.
    fn takes_over(&mut self, ssrc: u32, now: Instant) -> bool {
        let Some(source) = &self.source else {
            return true;
        };
        if self.rival == Some(ssrc) {
            return source.ended || !alive(source.heard, now, LONG_SILENCE);
        }
        let packets = match self.other {
            Some((other, packets)) if other == ssrc => packets + 1,
            _ => 1,
        };
        self.other = Some((ssrc, packets));
        // A connection keeps the order: nothing of the old one is still under way.
        let ordered = self.reorder.is_none();
        let announced = self.expected == Some(ssrc) && self.rival.is_none();
        let returns = self
            .left
            .is_some_and(|(left, at)| left == ssrc && alive(at, now, SILENCE));
        source.ended
            || !alive(source.heard, now, SILENCE)
            || packets >= TAKEN_OVER
            || (ordered && self.rival.is_none())
            || announced
            || returns
    }
}

fn alive(heard: Instant, now: Instant, silence: Duration) -> bool {
    now.saturating_duration_since(heard) < silence
}

/// How unevenly packets come (RFC 3550 section A.8).
#[derive(Debug)]
struct Jitter {
    epoch: Instant,
    transit: Option<u32>,
    /// In 16ths of a tick.
    scaled: u32,
}

impl Jitter {
    fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            transit: None,
            scaled: 0,
        }
    }

    fn heard(&mut self, timestamp: u32, now: Instant, clock_rate: u32) {
        let since = now.saturating_duration_since(self.epoch);
        let micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let ticks = micros.wrapping_mul(clock_rate.into()) / 1_000_000;
        let transit = ((ticks & 0xFFFF_FFFF) as u32).wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let apart = transit.wrapping_sub(before).cast_signed().unsigned_abs();
            // A clock that was set is no jitter.
            if apart < clock_rate.saturating_mul(10) {
                let settled = self.scaled.saturating_add(8) >> 4;
                self.scaled = self.scaled.saturating_add(apart).saturating_sub(settled);
            }
        }
    }

    fn ticks(&self) -> u32 {
        self.scaled >> 4
    }
}
