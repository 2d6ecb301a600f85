//! What goes in and what comes out, on a clock that the test moves.

use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;

use super::ready::MAX_READY;
use super::*;

const UDP: Reorder = Reorder {
    wait: Duration::from_millis(60),
    packets: 64,
};

/// A reception with a clock of its own.
struct Bench {
    reception: Reception,
    now: Instant,
}

/// Number, lost, restarted.
type Out = (u16, u32, bool);

impl Bench {
    fn new(reorder: Option<Reorder>) -> Self {
        Self {
            reception: Reception::new(reorder),
            now: any_instant(),
        }
    }

    fn tcp() -> Self {
        Self::new(None)
    }

    fn udp() -> Self {
        Self::new(Some(UDP))
    }

    fn wait(&mut self, millis: u64) -> Vec<Out> {
        self.now += Duration::from_millis(millis);
        self.pop()
    }

    fn pop(&mut self) -> Vec<Out> {
        std::iter::from_fn(|| self.reception.pop(self.now))
            .map(|r| (r.packet.sequence, r.lost, r.restarted))
            .collect()
    }

    /// A packet of that source, number and time.
    fn push(&mut self, ssrc: u32, sequence: u16, timestamp: u32) -> Vec<Out> {
        let packet = RtpPacket {
            payload_type: 96,
            marker: false,
            sequence,
            timestamp,
            ssrc,
            payload: Bytes::from_static(b"payload"),
        };
        self.reception.push(packet, self.now);
        self.pop()
    }

    /// Packets of source 1, with a time that grows with the number.
    fn all(&mut self, sequences: impl IntoIterator<Item = u16>) -> Vec<Out> {
        sequences
            .into_iter()
            .flat_map(|s| self.push(1, s, u32::from(s) * 100))
            .collect()
    }

    fn count(&self, quirk: Quirk) -> u32 {
        self.reception.quirks().count(quirk)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "any instant will do to count from"
)]
fn any_instant() -> Instant {
    Instant::now()
}

/// In order and without loss.
fn plain(sequences: impl IntoIterator<Item = u16>) -> Vec<Out> {
    sequences.into_iter().map(|s| (s, 0, false)).collect()
}

#[test]
fn in_order_passes_at_once_and_over_the_end_of_numbers() {
    for mut bench in [Bench::tcp(), Bench::udp()] {
        let numbers = [65_534, 65_535, 0, 1];
        assert_eq!(bench.all(numbers), plain(numbers));
        assert_eq!(bench.reception.deadline(), None);
        assert_eq!(bench.reception.quirks(), &Quirks::default());
    }
}

#[test]
fn over_tcp_a_gap_is_a_loss_at_once() {
    let mut bench = Bench::tcp();
    let out = bench.all([1, 2, 5, 6, 3006]);
    assert_eq!(
        out[2..],
        [(5, 2, false), (6, 0, false), (3006, 2999, false)]
    );
    assert_eq!(bench.reception.statistics().lost, 3001);
}

#[test]
fn over_udp_a_gap_is_waited_for() {
    let mut bench = Bench::udp();
    assert_eq!(bench.all([1, 3, 4, 2]), plain([1, 2, 3, 4]));
    assert_eq!(bench.count(Quirk::Reordered), 1);
    // Not for ever.
    assert_eq!(bench.all([6]), []);
    let since = bench.now;
    assert_eq!(bench.wait(30), []);
    assert_eq!(bench.all([9]), []);
    assert_eq!(bench.reception.deadline(), Some(since + UDP.wait));
    assert_eq!(bench.wait(30), [(6, 1, false)]);
    assert_eq!(bench.wait(30), [(9, 2, false)]);
    assert_eq!(bench.reception.deadline(), None);
    // What comes after all is too late.
    assert_eq!(bench.all([5, 10]), plain([10]));
    let statistics = bench.reception.statistics();
    assert_eq!((statistics.lost, statistics.reordered), (3, 1));
    assert_eq!((statistics.discarded, statistics.received), (1, 8));
}

#[test]
fn a_packet_keeps_the_time_of_its_arrival() {
    let mut bench = Bench::udp();
    bench.all([1, 3]);
    let came = bench.now;
    bench.now += UDP.wait;
    assert_eq!(bench.reception.pop(bench.now).unwrap().arrived, came);
}

#[test]
fn the_reorder_buffer_is_bounded() {
    let mut bench = Bench::udp();
    bench.all([0]);
    let even: Vec<u16> = (1..=65).map(|n| 2 * n).collect();
    assert_eq!(bench.all(even), [(2, 1, false)]);
    let mut bench = Bench::udp();
    bench.all([0]);
    let large = |sequence| RtpPacket {
        payload_type: 96,
        marker: false,
        sequence,
        timestamp: 0,
        ssrc: 1,
        payload: Bytes::from(vec![0; 2_000_000]),
    };
    for sequence in [2, 4] {
        bench.reception.push(large(sequence), bench.now);
    }
    assert_eq!(bench.pop(), []);
    bench.reception.push(large(6), bench.now);
    assert_eq!(bench.pop(), [(2, 1, false)]);
}

#[test]
fn whoever_does_not_pop_loses_the_oldest() {
    let mut bench = Bench::tcp();
    for sequence in 0..5000 {
        let packet = RtpPacket {
            payload_type: 96,
            marker: false,
            sequence,
            timestamp: 0,
            ssrc: 1,
            payload: Bytes::new(),
        };
        bench.reception.push(packet, bench.now);
    }
    let out = bench.pop();
    assert_eq!((out.len(), out[0]), (MAX_READY, (904, 904, false)));
}

#[test]
fn over_tcp_a_sequence_starts_over_without_delay() {
    let mut bench = Bench::tcp();
    bench.all(1000..1010);
    // Far ahead, far behind.
    assert_eq!(
        bench.all([60_000, 60_001]),
        [(60_000, 0, true), (60_001, 0, false)]
    );
    assert_eq!(bench.all([5]), [(5, 0, true)]);
    assert_eq!(bench.count(Quirk::SequenceRestart), 2);
    // A little behind may be a packet that came twice: the next one tells.
    let mut bench = Bench::tcp();
    bench.all(0..50);
    assert_eq!(bench.all([10]), []);
    assert_eq!(
        bench.all([11, 12]),
        [(10, 0, true), (11, 0, false), (12, 0, false)]
    );
}

#[test]
fn a_wrong_number_makes_nothing_late() {
    let mut bench = Bench::tcp();
    bench.all(100..110);
    assert_eq!(
        bench.all([50, 110, 110, 111, 60, 112]),
        plain([110, 111, 112])
    );
    assert_eq!(bench.reception.statistics().discarded, 3);
    assert_eq!(bench.count(Quirk::SequenceRestart), 0);
}

#[test]
fn over_tcp_numbers_may_mean_nothing() {
    let mut bench = Bench::tcp();
    let out = bench.all([7; 100]);
    assert_eq!(out.len(), 97, "three were taken for duplicates");
    assert!(out.iter().skip(2).all(|o| !o.2 && o.1 == 0));
    // Until they do again.
    assert_eq!(bench.all(8..40), plain(8..40));
    assert_eq!(bench.all([42]), [(42, 2, false)]);
}

#[test]
fn over_udp_two_packets_make_a_new_sequence() {
    let mut bench = Bench::udp();
    bench.all([1000, 1002]);
    // Ahead in time, behind in numbers; what waited comes first.
    let mut restart = bench.push(1, 500, 200_000);
    restart.extend(bench.push(1, 501, 200_000));
    assert_eq!(restart, [(1002, 1, false), (500, 0, true), (501, 0, false)]);
    assert_eq!(bench.push(1, 502, 200_000), plain([502]));
    // Too far away to be late, whatever its time.
    let mut far = bench.push(1, 40_000, 0);
    far.extend(bench.push(1, 40_001, 0));
    assert_eq!(far, [(40_000, 0, true), (40_001, 0, false)]);
}

#[test]
fn over_udp_late_packets_in_a_row_are_no_new_sequence() {
    let mut bench = Bench::udp();
    bench.all([10, 15]);
    assert_eq!(bench.wait(60), [(15, 4, false)]);
    assert_eq!(bench.all([11, 12, 13, 14, 16]), plain([16]));
    assert_eq!(bench.count(Quirk::SequenceRestart), 0);
}

#[test]
fn another_number_on_the_same_stream_costs_nothing() {
    for mut bench in [Bench::tcp(), Bench::udp()] {
        bench.all([1, 2]);
        assert_eq!(bench.push(18, 3, 300), plain([3]));
        assert_eq!(bench.push(18, 4, 300), plain([4]));
        assert_eq!(bench.count(Quirk::OtherSource), 1);
        assert_eq!(bench.reception.source(), Some(18));
    }
}

#[test]
fn over_tcp_another_source_is_followed_at_once() {
    let mut bench = Bench::tcp();
    bench.all([1, 2]);
    assert_eq!(bench.push(2, 700, 0), [(700, 0, true)]);
    assert_eq!(bench.push(2, 701, 0), plain([701]));
}

#[test]
fn over_udp_another_source_has_to_prove_itself() {
    // By what was announced,
    let mut bench = Bench::udp();
    bench.reception.expect_ssrc(Some(2));
    bench.all([1]);
    assert_eq!(bench.push(2, 700, 0), [(700, 0, true)]);
    // by the silence of the other,
    let mut bench = Bench::udp();
    bench.all([1]);
    assert_eq!(bench.push(2, 700, 0), []);
    bench.wait(1000);
    assert_eq!(bench.push(2, 701, 0), [(701, 0, true)]);
    // by its number,
    let mut bench = Bench::udp();
    bench.all([1]);
    let out: Vec<_> = (700..720).flat_map(|s| bench.push(2, s, 0)).collect();
    assert_eq!((out[0], out.len()), ((709, 0, true), 11));
    assert_eq!(bench.count(Quirk::StrayPackets), 9);
    // or by a goodbye.
    let mut bench = Bench::udp();
    bench.all([1]);
    bench.reception.goodbye(1, bench.now);
    assert!(bench.reception.ended());
    assert_eq!(bench.push(2, 700, 0), [(700, 0, true)]);
    assert_eq!(bench.count(Quirk::Goodbye), 1);
}

#[test]
fn of_two_sources_one_is_followed() {
    for mut bench in [Bench::tcp(), Bench::udp()] {
        let mut out = Vec::new();
        for turn in 0..50_u16 {
            bench.now += Duration::from_millis(40);
            // Forty packets of one, forty of the other, as two lenses with large pictures.
            for n in turn * 40..(turn + 1) * 40 {
                out.extend(bench.push(1, n, u32::from(turn) * 3600));
            }
            for n in turn * 40..(turn + 1) * 40 {
                out.extend(bench.push(2, n + 30_000, u32::from(turn) * 3600 + 7));
            }
        }
        let restarts = out.iter().filter(|o| o.2).count();
        assert_eq!(restarts, 2, "there and back once");
        assert_eq!(bench.reception.source(), Some(1));
        assert!(bench.count(Quirk::StrayPackets) > 1900);
        // The first ends: the other one is taken after all.
        bench.now += Duration::from_secs(3);
        assert_eq!(bench.push(2, 5, 0), [(5, 0, true)]);
    }
}

#[test]
fn goodbye_and_more_of_the_same() {
    let mut bench = Bench::tcp();
    bench.all([1, 2]);
    bench.reception.goodbye(1, bench.now);
    assert_eq!(bench.all([3]), plain([3]), "it goes on as if nothing was");
    assert!(!bench.reception.ended());
    bench.reception.goodbye(1, bench.now);
    assert_eq!(bench.all([9]), [(9, 0, true)]);
    assert_eq!(bench.count(Quirk::Goodbye), 2);
    bench.reception.goodbye(77, bench.now);
    assert!(!bench.reception.ended());
}

#[test]
fn reports_what_it_received() {
    let mut bench = Bench::udp();
    assert_eq!(bench.reception.report(bench.now), None);
    bench.all([65_533, 65_534, 65_535, 1]);
    bench
        .reception
        .sender_report(1, 0x0000_0001_8000_0000, bench.now);
    bench.wait(500);
    let block = bench.reception.report(bench.now).unwrap();
    assert_eq!((block.ssrc, block.highest), (1, 0x1_0001));
    assert_eq!((block.cumulative_lost, block.fraction_lost), (1, 51));
    assert_eq!((block.last_report, block.delay), (0x0001_8000, 32_768));
    bench.all([2, 3]);
    let block = bench.reception.report(bench.now).unwrap();
    assert_eq!((block.cumulative_lost, block.fraction_lost), (1, 0));
    assert_eq!(block.highest, 0x1_0003);
}

#[test]
fn jitter_is_measured() {
    let mut steady = Bench::udp();
    let mut uneven = Bench::udp();
    for n in 0..200_u16 {
        steady.now += Duration::from_millis(40);
        steady.push(1, n, u32::from(n) * 3600);
        uneven.now += Duration::from_millis(if n % 2 == 0 { 30 } else { 50 });
        uneven.push(1, n, u32::from(n) * 3600);
    }
    assert!(steady.reception.statistics().jitter <= 1);
    // 10 ms to and fro.
    assert!((850..=900).contains(&uneven.reception.statistics().jitter));
}

/// Numbers from 0, of which each is at most `window` places from its own, and the first comes first.
fn shuffled(window: usize) -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(0..window, 1..300).prop_map(|shifts| {
        let mut order: Vec<(usize, u16)> = shifts
            .iter()
            .enumerate()
            .map(|(place, shift)| (place + shift, place as u16))
            .collect();
        order[0].0 = 0;
        order.sort();
        order.into_iter().map(|(_, number)| number).collect()
    })
}

proptest! {
    #[test]
    fn any_order_within_the_window_comes_out_right(order in shuffled(60), start: u16) {
        let mut bench = Bench::udp();
        let numbers = order.iter().map(|n| n.wrapping_add(start));
        let out = bench.all(numbers);
        let expected = (0..order.len() as u16).map(|n| n.wrapping_add(start));
        prop_assert_eq!(out, plain(expected));
        prop_assert_eq!(bench.reception.statistics().lost, 0);
    }

    #[test]
    fn losses_are_counted_exactly(kept in prop::collection::vec(any::<bool>(), 1..300), udp: bool, start: u16) {
        let mut bench = if udp { Bench::udp() } else { Bench::tcp() };
        let sent: Vec<u16> = (0..kept.len() as u16).map(|n| n.wrapping_add(start)).collect();
        let arriving = sent.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(n, _)| *n);
        let arriving: Vec<u16> = arriving.collect();
        let mut out = bench.all(arriving.iter().copied());
        out.extend(bench.wait(60));
        prop_assert_eq!(out.iter().map(|o| o.0).collect::<Vec<_>>(), arriving.clone());
        let span = match (arriving.first(), arriving.last()) {
            (Some(first), Some(last)) => u64::from(last.wrapping_sub(*first)) + 1,
            _ => 0,
        };
        let lost: u64 = out.iter().map(|o| u64::from(o.1)).sum();
        prop_assert_eq!(lost, span - arriving.len() as u64);
        prop_assert_eq!(bench.reception.statistics().lost, lost);
        if let Some(block) = bench.reception.report(bench.now) {
            prop_assert_eq!(i64::from(block.cumulative_lost), lost as i64);
        }
    }

    /// However often a sequence starts over, everything comes out, at most four packets later.
    #[test]
    fn a_restart_withholds_a_handful(runs in prop::collection::vec((any::<u16>(), any::<u32>(), 10..60_u16), 1..8), udp: bool) {
        let mut bench = if udp { Bench::udp() } else { Bench::tcp() };
        for (start, time, len) in runs {
            let mut came = 0;
            for n in 0..len {
                bench.now += Duration::from_millis(10);
                let out = bench.push(1, start.wrapping_add(n), time.wrapping_add(u32::from(n) * 900));
                came += out.iter().filter(|o| o.0.wrapping_sub(start) <= n).count();
            }
            bench.wait(60);
            // Numbers of the run before may be waiting among them.
            prop_assert!(came + 4 >= usize::from(len), "{} of {}", came, len);
        }
    }

    #[test]
    fn never_panics_and_stays_bounded(
        packets in prop::collection::vec((0..4_u32, any::<u16>(), any::<u32>(), 0..100_u64, 0..3_u8), 0..400),
        udp: bool,
    ) {
        let mut bench = if udp { Bench::udp() } else { Bench::tcp() };
        let (mut pushed, mut popped) = (0, 0);
        for (ssrc, sequence, time, wait, act) in packets {
            match act {
                0 => bench.reception.goodbye(ssrc, bench.now),
                _ => {
                    pushed += 1;
                    popped += bench.push(ssrc, sequence % 200, time).len();
                }
            }
            popped += bench.wait(wait).len();
            bench.reception.report(bench.now);
            prop_assert!(pushed <= popped + UDP.packets + 1000);
        }
        prop_assert!(popped <= pushed);
    }
}
