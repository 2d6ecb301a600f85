//! What has been sent of a track, and the sender report that says so (RFC 3550 section 6.4.1).
//!
//! Owner: whoever sends a track to one viewer, by WebRTC or RTSP. Cost per access unit: two additions.
//! Not here: when reports are sent, and how they are sealed.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rtc_rtcp::packet::marshal;
use rtc_rtcp::sender_report::SenderReport;
use rtc_rtcp::source_description::{
    SdesType, SourceDescription, SourceDescriptionChunk, SourceDescriptionItem,
};
use taimat_base::clock;
use taimat_media::time::duration_to_ticks;

use crate::packets::PacketBatch;

/// A source that has been silent for longer is reported as if it had been silent for this long: the
/// RTP clock is not carried on without end.
const MAX_SILENCE: Duration = Duration::from_secs(3600);

/// An access unit as a report needs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewestSent {
    /// RTP time under which it was sent.
    pub(crate) rtp: u32,
    /// When it was captured.
    pub(crate) captured: SystemTime,
    /// Ticks a second of the RTP clock.
    rate: u32,
}

/// What was sent of one track to one viewer.
#[derive(Debug, Default)]
pub(crate) struct SentCount {
    packets: u32,
    octets: u32,
    newest: Option<NewestSent>,
}

impl SentCount {
    /// An access unit was sent under this RTP time.
    pub(crate) fn add(&mut self, batch: &PacketBatch, rtp: u32) {
        self.packets = self.packets.wrapping_add(saturate(batch.payloads.len()));
        self.octets = self.octets.wrapping_add(saturate(batch.payloads.bytes()));
        self.newest = Some(NewestSent {
            rtp,
            captured: batch.wall_time,
            rate: batch.media_time.rate,
        });
    }

    /// The access unit that was sent last.
    pub(crate) fn newest(&self) -> Option<NewestSent> {
        self.newest
    }

    /// What a report of this source says at that time; nothing before anything was sent.
    fn state(&self, ssrc: u32, wall: SystemTime) -> Option<SentState> {
        let newest = self.newest?;
        let since = wall.duration_since(newest.captured);
        let since = since.unwrap_or(Duration::ZERO).min(MAX_SILENCE);
        let ticks = duration_to_ticks(since, newest.rate);
        Some(SentState {
            ssrc,
            ntp: clock::ntp(wall),
            rtp: newest.rtp.wrapping_add(u32::try_from(ticks).unwrap_or(0)),
            packets: self.packets,
            octets: self.octets,
        })
    }

    /// The report of this source at that time: the capture time by the camera's clock where that is
    /// known. `None` before anything was sent.
    pub(crate) fn report(&self, ssrc: u32, wall: SystemTime) -> Option<Vec<u8>> {
        write(&self.state(ssrc, wall)?)
    }
}

/// What a sender report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SentState {
    ssrc: u32,
    /// Now, as a 64-bit NTP timestamp.
    ntp: u64,
    /// Now, on the track's RTP clock.
    rtp: u32,
    packets: u32,
    /// Payload bytes.
    octets: u32,
}

/// The report with the source's name. `None` if it could not be written, which does not happen with
/// these fields.
fn write(state: &SentState) -> Option<Vec<u8>> {
    let report = SenderReport {
        ssrc: state.ssrc,
        ntp_time: state.ntp,
        rtp_time: state.rtp,
        packet_count: state.packets,
        octet_count: state.octets,
        ..SenderReport::default()
    };
    let name = SourceDescriptionItem {
        sdes_type: SdesType::SdesCname,
        text: Bytes::from_static(b"taimat"),
    };
    let names = SourceDescription {
        chunks: vec![SourceDescriptionChunk {
            source: state.ssrc,
            items: vec![name],
        }],
    };
    marshal(&[Box::new(report), Box::new(names)])
        .ok()
        .map(|b| b.to_vec())
}

fn saturate(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtc_rtcp::packet::unmarshal;

    #[test]
    fn writes_reports_that_a_library_reads() {
        let state = SentState {
            ssrc: 9,
            ntp: 1 << 40,
            rtp: 5,
            packets: 6,
            octets: 7,
        };
        let bytes = write(&state).unwrap();
        let packets = unmarshal(&mut &bytes[..]).unwrap();
        let report = packets[0].as_any().downcast_ref::<SenderReport>().unwrap();
        assert_eq!(
            (report.ssrc, report.ntp_time, report.octet_count),
            (9, 1 << 40, 7)
        );
    }

    #[test]
    fn the_rtp_clock_goes_on_from_the_newest_capture() {
        let captured = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30);
        let (rtp, rate) = (u32::MAX, 90_000);
        let sent = |newest| SentCount {
            packets: 6,
            octets: 7,
            newest,
        };
        let count = sent(Some(NewestSent {
            rtp,
            captured,
            rate,
        }));
        let rtp_after = |time| count.state(9, captured + time).unwrap().rtp;
        assert_eq!(rtp_after(Duration::ZERO), u32::MAX);
        assert_eq!(rtp_after(Duration::from_millis(40)), 3599);
        assert_eq!(rtp_after(MAX_SILENCE * 2), rtp_after(MAX_SILENCE));
        // A camera's clock may be ahead of ours.
        let early = count.state(9, captured - Duration::from_secs(1)).unwrap();
        assert_eq!((early.rtp, early.packets, early.octets), (u32::MAX, 6, 7));
        assert_eq!(sent(None).state(9, captured), None);
    }
}
