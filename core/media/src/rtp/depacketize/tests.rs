//! Pictures from packets, however a camera cuts them.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::h264::samples::{PPS, SPS_640X360, slice};
use crate::h265::tests as hevc;
use crate::nal::units;
use crate::quirk::Quirk;
use crate::start::Start;

pub(super) const IDR: u8 = 0x65;
pub(super) const P: u8 = 0x41;
const RECOVERY: [u8; 5] = [0x06, 0x06, 0x01, 0xC4, 0x80];

pub(super) struct Bench {
    depacketizer: Depacketizer,
    pub(super) out: Vec<Frame>,
    errors: Vec<DepacketizeError>,
}

impl Bench {
    fn new() -> Self {
        let sets = [Bytes::from_static(&SPS_640X360), Bytes::from_static(&PPS)];
        Self::with(VideoCodec::H264, &sets)
    }

    pub(super) fn with(codec: VideoCodec, sets: &[Bytes]) -> Self {
        Self {
            depacketizer: Depacketizer::video(codec, sets),
            out: Vec::new(),
            errors: Vec::new(),
        }
    }

    fn trusting() -> Self {
        let mut bench = Self::new();
        bench.depacketizer = bench.depacketizer.trusting_markers();
        bench
    }

    pub(super) fn lossy(
        &mut self,
        lost: u32,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
    ) -> &mut Self {
        let packet = Packet {
            timestamp,
            marker,
            lost,
            payload,
        };
        let read = self.depacketizer.push(&packet, &mut self.out);
        self.errors.extend(read.err());
        self
    }

    pub(super) fn push(&mut self, timestamp: u32, marker: bool, payload: &[u8]) -> &mut Self {
        self.lossy(0, timestamp, marker, payload)
    }

    pub(super) fn flush(&mut self) -> &mut Self {
        self.depacketizer.flush(&mut self.out);
        self
    }

    /// The units of each picture.
    pub(super) fn pictures(&self) -> Vec<Vec<Vec<u8>>> {
        let read = |frame: &Frame| units(&frame.data).map(|unit| unit.to_vec()).collect();
        self.out.iter().map(read).collect()
    }

    pub(super) fn seen(&mut self) -> Vec<Quirk> {
        let seen = self.depacketizer.quirks();
        seen.seen().map(|(quirk, _)| quirk).collect()
    }
}

/// A unit in fragments of so many bytes; `end`: the last one says so.
fn fragments(unit: &[u8], size: usize, end: bool) -> Vec<Vec<u8>> {
    let count = unit[1..].chunks(size).count();
    let each = unit[1..].chunks(size).enumerate();
    each.map(|(i, part)| {
        let start = if i == 0 { 0x80 } else { 0 };
        let end = if end && i + 1 == count { 0x40 } else { 0 };
        [&[(unit[0] & 0xE0) | 28, start | end | (unit[0] & 31)], part].concat()
    })
    .collect()
}

#[test]
fn puts_fragments_together() {
    let mut bench = Bench::trusting();
    let unit = slice(IDR, 0, 7, 0, 100);
    let parts = fragments(&unit, 30, true);
    for (i, part) in parts.iter().enumerate() {
        assert!(bench.out.is_empty());
        bench.push(9, i + 1 == parts.len(), part);
    }
    let frame = &bench.out[0];
    assert_eq!(frame.start, Some(Start::Idr));
    assert!(frame.params.is_some() && !frame.new_params && !frame.damaged);
    assert_eq!(bench.pictures(), [[unit]]);
}

#[test]
fn markers_have_to_prove_themselves() {
    let mut bench = Bench::new();
    bench.push(0, true, &slice(IDR, 0, 7, 0, 60));
    assert_eq!(bench.out.len(), 0, "not yet known");
    bench.push(1, true, &slice(P, 0, 5, 1, 60));
    assert_eq!(bench.out.len(), 1);
    bench.push(2, true, &slice(P, 0, 5, 2, 60));
    assert_eq!(bench.out.len(), 3, "from here on at once");
    bench.push(3, true, &slice(P, 0, 5, 3, 60));
    assert_eq!((bench.out.len(), bench.seen()), (4, vec![]));
    // Silence is the other proof.
    let mut bench = Bench::new();
    bench.push(0, true, &slice(IDR, 0, 7, 0, 60)).flush();
    assert_eq!(bench.out.len(), 1);
}

#[test]
fn a_marker_after_every_slice_tears_nothing() {
    let mut bench = Bench::new();
    let mut want = Vec::new();
    for n in 0..9 {
        let (kind, i) = if n % 4 == 0 { (IDR, 7) } else { (P, 5) };
        let picture: Vec<_> = (0..4).map(|k| slice(kind, k * 230, i, n % 4, 80)).collect();
        for unit in &picture {
            bench.push(n * 3600, true, unit);
        }
        want.push(picture);
    }
    bench.flush();
    assert_eq!(bench.pictures(), want);
    assert!(bench.out.iter().all(|frame| !frame.damaged));
    assert_eq!(bench.seen(), [Quirk::EarlyMarker]);
}

#[test]
fn a_picture_that_left_too_early_is_not_told_as_whole_twice() {
    let mut bench = Bench::trusting();
    bench.push(0, true, &slice(IDR, 0, 7, 0, 60));
    bench.push(0, true, &slice(IDR, 460, 7, 0, 60));
    bench.push(1, true, &slice(P, 0, 5, 1, 60));
    let damaged: Vec<_> = bench.out.iter().map(|frame| frame.damaged).collect();
    assert_eq!(damaged, [false, true]);
    assert_eq!(bench.out[1].start, None);
    bench.flush();
    assert_eq!(
        (bench.out.len(), bench.seen()),
        (3, vec![Quirk::EarlyMarker])
    );
}

#[test]
fn pictures_end_without_markers_and_without_time() {
    let mut bench = Bench::new();
    for n in 0..3 {
        bench.push(5, false, &slice(P, 0, 5, n, 60));
        bench.push(5, false, &slice(P, 300, 5, n, 60));
    }
    assert_eq!(bench.out.len(), 2);
    bench.flush();
    assert!(bench.pictures().iter().all(|picture| picture.len() == 2));
    assert_eq!(bench.seen(), [Quirk::NoMarker, Quirk::OddTimestamps]);
}

#[test]
fn what_stands_between_pictures_belongs_to_the_next() {
    let mut bench = Bench::new();
    bench.push(0, true, &slice(IDR, 0, 7, 0, 60));
    // With markers of their own, and the time of the picture before.
    bench
        .push(0, true, &SPS_640X360)
        .push(0, true, &PPS)
        .push(0, true, &RECOVERY);
    let unit = slice(P, 0, 7, 1, 60);
    bench.push(3600, true, &unit).flush();
    assert_eq!(bench.pictures()[1], [RECOVERY.to_vec(), unit]);
    assert_eq!(
        (bench.out[1].timestamp, bench.out[1].start),
        (3600, Some(Start::Recovery))
    );
    assert_eq!(bench.seen(), [Quirk::EarlyMarker]);
}

#[test]
fn new_sets_are_in_force_from_their_picture_on() {
    let mut bench = Bench::trusting();
    bench.push(0, true, &slice(IDR, 0, 7, 0, 60));
    let mut sps = SPS_640X360.to_vec();
    sps[3] = 0x1F;
    let mut stap = vec![0x78, 0, 15];
    stap.extend(&sps);
    stap.extend([0, 4]);
    stap.extend(PPS);
    bench.push(1, false, &stap);
    bench.push(1, true, &slice(IDR, 0, 7, 0, 60));
    let [before, after] = &bench.out[..] else {
        panic!()
    };
    assert_eq!(before.params.as_ref().unwrap().sps[0], SPS_640X360[..]);
    assert_eq!(after.params.as_ref().unwrap().sps[0], sps[..]);
    assert!(after.new_params && units(&after.data).count() == 1);
    assert_eq!(
        (after.params.as_ref().unwrap().width, bench.seen()),
        (640, vec![])
    );
}

#[test]
fn sets_of_other_numbers_stay_and_unreadable_ones_change_nothing() {
    let mut bench = Bench::trusting();
    // pps 1, sps 0
    let other = [0x68, 0b0101_1000, 0x80];
    bench.push(0, false, &other).push(0, false, &[0x67, 0x42]);
    bench.push(0, false, &[&SPS_640X360[..], &[4]].concat());
    bench.push(0, true, &slice(IDR, 0, 7, 0, 60));
    let params = bench.out[0].params.clone().unwrap();
    assert_eq!((params.sps.len(), params.pps.len()), (1, 2));
    assert_eq!(params.sps[0], SPS_640X360[..]);
    assert_eq!(bench.seen(), [Quirk::UnreadableSets, Quirk::TrailingBytes]);
}

#[test]
fn a_byte_stream_in_one_unit_is_taken_apart() {
    let (key, code) = (slice(IDR, 0, 7, 0, 300), [0, 0, 0, 1]);
    let stream = [&SPS_640X360[..], &code, &PPS, &code[1..], &key].concat();
    for size in 1..60 {
        let mut bench = Bench::with(VideoCodec::H264, &[]);
        for part in fragments(&stream, size, true) {
            bench.push(1, false, &part);
        }
        bench.flush();
        assert_eq!(bench.pictures(), [[key.clone()]], "{size}");
        assert_eq!(bench.out[0].start, Some(Start::Idr));
        assert!(bench.errors.is_empty() && bench.seen().contains(&Quirk::StartCodes));
    }
    let mut bench = Bench::with(VideoCodec::H264, &[]);
    bench.push(1, true, &[&code[..], &stream].concat()).flush();
    assert_eq!(bench.pictures(), [[key]]);
}

#[test]
fn fragments_without_an_end_end_with_what_comes_next() {
    let mut bench = Bench::new();
    let pictures: Vec<_> = (0..4).map(|n| slice(P, 0, 5, n, 200)).collect();
    for (n, unit) in (0..).zip(&pictures) {
        let parts = fragments(unit, 50, false);
        for (i, part) in parts.iter().enumerate() {
            bench.push(n, i + 1 == parts.len(), part);
            // Empty ones.
            bench.push(n, false, &[0x7C, 0x01]);
        }
    }
    bench.push(9, true, &slice(P, 0, 5, 9, 9));
    assert_eq!(bench.pictures()[..4], pictures.map_units());
    assert!(bench.errors.is_empty() && bench.seen().contains(&Quirk::OddFragments));
}

trait MapUnits {
    fn map_units(&self) -> Vec<Vec<Vec<u8>>>;
}

impl MapUnits for Vec<Vec<u8>> {
    fn map_units(&self) -> Vec<Vec<Vec<u8>>> {
        self.iter().map(|unit| vec![unit.clone()]).collect()
    }
}

#[test]
fn a_loss_damages_its_picture_and_no_other() {
    let mut bench = Bench::trusting();
    bench.push(0, true, &slice(IDR, 0, 7, 0, 60));
    bench.push(1, false, &slice(P, 0, 5, 1, 60));
    let lost = fragments(&slice(P, 460, 5, 1, 300), 50, true);
    bench.push(1, false, &lost[0]);
    bench.lossy(2, 1, false, &lost[3]);
    bench.push(1, true, &lost[6]);
    bench.push(2, true, &slice(P, 0, 5, 2, 60));
    let told: Vec<_> = bench
        .out
        .iter()
        .map(|f| (f.damaged, f.lost_packets))
        .collect();
    assert_eq!(told, [(false, 0), (true, 2), (false, 0)]);
    assert_eq!(bench.pictures()[1].len(), 1, "what is whole of it");
    assert!(bench.errors.is_empty());
}

#[test]
fn a_damaged_key_picture_is_no_start() {
    let mut bench = Bench::trusting();
    bench.push(0, false, &slice(IDR, 0, 7, 0, 60));
    bench.lossy(1, 0, true, &slice(IDR, 600, 7, 0, 60));
    assert_eq!((bench.out[0].damaged, bench.out[0].start), (true, None));
}

#[test]
fn a_picture_that_is_lost_as_a_whole_is_told_with_the_next() {
    let mut bench = Bench::trusting();
    bench.push(0, true, &slice(IDR, 0, 7, 0, 60));
    let lost = fragments(&slice(P, 0, 5, 1, 300), 50, true);
    for part in &lost[2..] {
        bench.lossy(u32::from(part == &lost[2]) * 2, 1, part == &lost[6], part);
    }
    bench.push(2, true, &slice(P, 0, 5, 2, 60));
    let told: Vec<_> = bench
        .out
        .iter()
        .map(|f| (f.damaged, f.lost_packets))
        .collect();
    assert_eq!(told, [(false, 0), (false, 2)]);
}

#[test]
fn a_missing_first_slice_does_not_join_two_pictures() {
    let mut bench = Bench::new();
    bench.push(5, false, &slice(P, 0, 5, 1, 60));
    bench.lossy(1, 5, false, &slice(P, 460, 5, 2, 60));
    bench.push(5, false, &slice(P, 0, 5, 3, 60)).flush();
    let told: Vec<_> = bench
        .out
        .iter()
        .map(|f| (f.damaged, units(&f.data).count()))
        .collect();
    assert_eq!(told, [(true, 1), (true, 1), (false, 1)]);
}

#[test]
fn unknown_units_cost_nothing_until_there_is_nothing_else() {
    let mut bench = Bench::trusting();
    for n in 0..40 {
        for kind in [0x1F, 0x1E, 0x1A, 0x1D, 0x00, 0x02] {
            bench.push(n, false, &[kind, 1, 2, 3]);
        }
        bench.push(n, true, &slice(P, 0, 5, n, 60));
    }
    assert!(bench.out.len() == 40 && bench.out.iter().all(|frame| !frame.damaged));
    assert!(bench.errors.is_empty());
    assert_eq!(bench.seen(), [Quirk::UnknownUnits]);
    // H.265 under the name of H.264.
    let mut bench = Bench::new();
    for n in 0..200 {
        bench.push(n, false, &[0x62, 0x01, 0x93, 1, 2, 3]);
        bench.push(n, true, &[0x02, 0x01, 0xD0, 1, 2, 3]);
    }
    assert!(bench.errors.len() > 350 && bench.out.is_empty());
}

#[test]
fn names_what_is_wrong_and_goes_on() {
    let mut bench = Bench::trusting();
    bench
        .push(0, true, &[0x7C, 0x05, 3])
        .push(0, true, &[0x7C, 0x05, 3]);
    bench.push(0, true, &[0x78, 0, 9, 1]).push(0, true, &[0x7C]);
    bench.push(0, true, &[0xE5, 1]).push(0, true, &[0x65, 1]);
    let wrong = [
        DepacketizeError::NoStart,
        DepacketizeError::Truncated(1),
        DepacketizeError::Truncated(1),
        DepacketizeError::Forbidden,
        DepacketizeError::Truncated(2),
    ];
    assert_eq!(bench.errors, wrong);
    assert!(bench.out.is_empty());
    bench.push(2, true, &slice(P, 0, 5, 2, 60));
    assert_eq!((bench.out.len(), bench.out[0].lost_packets), (1, 1));
}

#[test]
fn a_picture_without_end_is_bounded() {
    let mut bench = Bench::trusting();
    let mut part = vec![0x7C, 0x85, 0x88, 0x84];
    part.resize(60_000, 7);
    bench.push(1, false, &part);
    part[1] = 0x05;
    for _ in 0..300 {
        bench.push(1, false, &part);
    }
    assert!(bench.errors.len() > 50 && bench.out.is_empty());
    assert!(
        bench
            .errors
            .iter()
            .all(|e| *e == DepacketizeError::TooLarge)
    );
    bench.push(2, true, &slice(P, 0, 5, 2, 60));
    assert_eq!(bench.out.len(), 1);
}

#[test]
fn h265_by_its_first_slices() {
    let sets = [&hevc::VPS[..], &hevc::SPS, &hevc::PPS].map(Bytes::copy_from_slice);
    let mut bench = Bench::with(VideoCodec::H265, &[]);
    for set in &sets {
        bench.push(0, true, set);
    }
    let first = |kind: u8| [&[kind << 1, 1, 0xE0][..], &[5; 60]].concat();
    let other = |kind: u8| [&[kind << 1, 1, 0x60][..], &[5; 60]].concat();
    bench.push(0, true, &first(19)).push(0, true, &other(19));
    bench
        .push(0, false, &first(1))
        .push(0, false, &other(1))
        .push(0, false, &[0x50, 1, 9]);
    bench.push(0, true, &first(21)).flush();
    let told: Vec<_> = bench
        .out
        .iter()
        .map(|f| (f.start, units(&f.data).count()))
        .collect();
    let want = [(Some(Start::Idr), 2), (None, 3), (Some(Start::Recovery), 1)];
    assert_eq!(told, want);
    let params = bench.out[0].params.as_ref().unwrap();
    assert_eq!((params.width, params.height), (320, 240));
    // Units of other layers are none of the picture.
    bench.push(1, false, &[0x03, 0x01, 0xE0, 1]);
    assert!(bench.errors.is_empty());
}

proptest! {
    /// However units are cut and whatever marker and time say: the pictures come out as they went
    /// in.
    #[test]
    fn pictures_come_out_as_they_went_in(
        pictures in prop::collection::vec(1_u32..5, 1..12),
        size in 1_usize..200,
        markers in 0..4,
        (ends, aggregate, still) in any::<(bool, bool, bool)>(),
    ) {
        let mut bench = Bench::new();
        let mut want = Vec::new();
        for (n, count) in (0..).zip(pictures) {
            let (kind, i) = if n == 0 { (IDR, 7) } else { (P, 5) };
            // The key picture gives a marker that comes too early away, or nothing does.
            let count = if n == 0 { count.max(2) } else { count };
            let units: Vec<_> = (0..count).map(|k| slice(kind, k * 200, i, n, 90)).collect();
            let mut packets: Vec<(bool, Vec<u8>)> = Vec::new();
            for unit in &units {
                let len = u16::try_from(unit.len()).unwrap().to_be_bytes();
                let parts = if aggregate {
                    vec![[&[0x78], &len[..], unit].concat()]
                } else {
                    fragments(unit, size, ends)
                };
                let last = parts.len() - 1;
                packets.extend(parts.into_iter().enumerate().map(|(k, part)| (k == last, part)));
            }
            let last = packets.len() - 1;
            for (k, (end, payload)) in packets.iter().enumerate() {
                let marker = match markers {
                    0 => k == last,
                    1 => *end,
                    2 => true,
                    _ => false,
                };
                bench.push(if still { 5 } else { n * 3600 }, marker, payload);
            }
            want.push(units);
        }
        // What follows ends the last of them.
        bench.push(1 << 30, true, &slice(IDR, 0, 7, 0, 9));
        prop_assert!(bench.errors.is_empty());
        prop_assert!(bench.out.iter().all(|frame| !frame.damaged));
        prop_assert_eq!(&bench.pictures()[..want.len()], &want);
    }

    /// With packets lost anywhere: what is told as whole is whole.
    #[test]
    fn nothing_torn_is_told_as_whole(
        losses in prop::collection::vec(any::<bool>(), 60),
        size in 10_usize..120,
        marked in any::<bool>(),
    ) {
        let mut bench = if marked { Bench::trusting() } else { Bench::new() };
        let mut whole = Vec::new();
        let mut losses = losses.into_iter().cycle().enumerate();
        let mut lost = 0;
        for n in 0..12 {
            let units: Vec<_> = (0..2).map(|k| slice(P, k * 400, 5, n, 200)).collect();
            let parts: Vec<_> = units.iter().flat_map(|unit| fragments(unit, size, true)).collect();
            for (k, part) in parts.iter().enumerate() {
                let (i, bad) = losses.next().unwrap();
                if bad && i % 7 == 0 {
                    lost += 1;
                    continue;
                }
                let marker = marked && k + 1 == parts.len();
                bench.lossy(std::mem::take(&mut lost), n * 3600, marker, part);
            }
            whole.push(units);
        }
        bench.flush();
        for (frame, units) in bench.out.iter().zip(bench.pictures()) {
            prop_assert!(frame.damaged || whole.contains(&units));
        }
    }
}
