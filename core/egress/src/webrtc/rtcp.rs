//! RTCP feedback: what viewers tell us, and that we leave. A new kind of feedback goes in here, as a
//! variant of [`Feedback`]; what a session makes of it stands in `session`.
//!
//! Cost: packets are parsed by rtc-rtcp, a few a second and viewer; what one compound packet can ask for
//! is bounded. Not here: sender reports (`crate::report`).

use std::time::Duration;

use bytes::Bytes;
use rtc_rtcp::goodbye::Goodbye;
use rtc_rtcp::packet::{Packet, marshal, unmarshal};
use rtc_rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_rtcp::receiver_report::ReceiverReport;
use rtc_rtcp::reception_report::ReceptionReport;
use rtc_rtcp::sender_report::SenderReport;
use rtc_rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;

/// Most sequence numbers taken from one compound packet: a viewer that misses more needs a key
/// frame.
const MAX_NACKS: usize = 256;

/// Says that sources end.
pub fn goodbye(ssrcs: &[u32]) -> Option<Vec<u8>> {
    let bye = Goodbye {
        sources: ssrcs.to_vec(),
        reason: Bytes::new(),
    };
    marshal(&[Box::new(bye)]).ok().map(|b| b.to_vec())
}

/// What a viewer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feedback {
    /// These packets of that source did not arrive.
    Nack(u32, Vec<u16>),
    /// A key frame of that source is needed.
    Keyframe(u32),
    /// How reception of a source goes.
    Report(ReceptionReport),
    /// It leaves.
    Bye,
}

/// Reads a compound packet. What is not understood is skipped; nothing is read after damage.
pub fn read(packet: &[u8]) -> Vec<Feedback> {
    let mut feedback = Vec::new();
    let mut nacks = 0;
    for packet in parse(packet) {
        let any = packet.as_any();
        if let Some(nack) = any.downcast_ref::<TransportLayerNack>() {
            let missing: Vec<u16> = nack
                .nacks
                .iter()
                .flat_map(|pair| pair.into_iter())
                .take(MAX_NACKS - nacks)
                .collect();
            nacks += missing.len();
            feedback.push(Feedback::Nack(nack.media_ssrc, missing));
        } else if let Some(pli) = any.downcast_ref::<PictureLossIndication>() {
            feedback.push(Feedback::Keyframe(pli.media_ssrc));
        } else if let Some(fir) = any.downcast_ref::<FullIntraRequest>() {
            feedback.extend(fir.fir.iter().take(4).map(|f| Feedback::Keyframe(f.ssrc)));
        } else if let Some(report) = any.downcast_ref::<ReceiverReport>() {
            feedback.extend(report.reports.iter().take(4).cloned().map(Feedback::Report));
        } else if let Some(report) = any.downcast_ref::<SenderReport>() {
            feedback.extend(report.reports.iter().take(4).cloned().map(Feedback::Report));
        } else if any.is::<Goodbye>() {
            feedback.push(Feedback::Bye);
        }
    }
    feedback
}

/// One packet of the compound after the other, so that what comes before damage still counts.
fn parse(mut bytes: &[u8]) -> Vec<Box<dyn Packet>> {
    let mut packets = Vec::new();
    while let Some(header) = bytes.get(..4) {
        let words = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let Some((mut one, rest)) = bytes.split_at_checked((words + 1) * 4) else {
            break;
        };
        match unmarshal(&mut one) {
            Ok(read) => packets.extend(read),
            Err(_) => break,
        }
        bytes = rest;
    }
    packets
}

/// The time from us to the viewer and back that its report tells (RFC 3550 section 6.4.1). `now` is
/// a 64-bit NTP timestamp. `None` if the viewer has not heard a report of ours, or half a minute ago.
pub fn round_trip(report: &ReceptionReport, now: u64) -> Option<Duration> {
    if report.last_sender_report == 0 {
        return None;
    }
    // The middle 32 bits: units of 1/65536 s.
    let middle = u32::try_from((now >> 16) & 0xFFFF_FFFF).unwrap_or(0);
    let trip = middle
        .wrapping_sub(report.last_sender_report)
        .wrapping_sub(report.delay);
    (trip < 30 << 16).then(|| Duration::from_micros((u64::from(trip) * 1_000_000) >> 16))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rtc_rtcp::transport_feedbacks::transport_layer_nack::NackPair;

    #[test]
    fn reads_feedback_of_all_kinds() {
        let nack = TransportLayerNack {
            sender_ssrc: 1,
            media_ssrc: 2,
            nacks: vec![NackPair {
                packet_id: 65_535,
                lost_packets: 0b101,
            }],
        };
        let pli = PictureLossIndication {
            sender_ssrc: 1,
            media_ssrc: 2,
        };
        let packets: [Box<dyn Packet>; 3] = [
            Box::new(ReceiverReport {
                ssrc: 1,
                ..ReceiverReport::default()
            }),
            Box::new(nack),
            Box::new(pli),
        ];
        let bytes = marshal(&packets).unwrap();
        let expected = [Feedback::Nack(2, vec![65_535, 0, 2]), Feedback::Keyframe(2)];
        assert_eq!(read(&bytes), expected);
    }

    #[test]
    fn a_goodbye_of_ours_is_read_as_one() {
        assert_eq!(read(&goodbye(&[9]).unwrap()), [Feedback::Bye]);
    }

    #[test]
    fn the_round_trip_is_what_is_left_of_the_time_since_our_report() {
        let half_a_second = 1 << 31;
        let now = 5_u64 << 32 | half_a_second;
        let heard = |last_sender_report, delay| ReceptionReport {
            last_sender_report,
            delay,
            ..ReceptionReport::default()
        };
        let trip = |report| round_trip(&report, now);
        let report = heard(5 << 16, 1 << 14);
        assert_eq!(trip(report), Some(Duration::from_millis(250)));
        assert_eq!(trip(heard(0, 0)), None);
        // A delay longer than the time since then: a clock that was set, or a lie.
        assert_eq!(trip(heard(5 << 16, 1 << 16)), None);
    }

    proptest! {
        #[test]
        fn never_panics_and_stays_small(
            kind in prop::sample::select(vec![200_u8, 201, 202, 203, 204, 205, 206, 207, 77]),
            count in 0_u8..32,
            body in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            read(&body);
            let words = u16::try_from(body.len() / 4).unwrap();
            let mut packet = vec![0x80 | count, kind];
            packet.extend(words.to_be_bytes());
            packet.extend(&body);
            let nacks: usize = read(&packet).iter().map(|f| match f {
                Feedback::Nack(_, list) => list.len(),
                _ => 0,
            }).sum();
            prop_assert!(nacks <= MAX_NACKS);
        }
    }
}
