//! Pictures in two fields, each a picture of its own to the codec: what a viewer sees is the frame.

use bytes::Bytes;

use super::tests::{Bench, IDR, P};
use crate::codec::VideoCodec;
use crate::h264::samples::{PPS, field, sps_fields};
use crate::quirk::Quirk;
use crate::start::Start;

fn bench() -> Bench {
    let sets = [Bytes::from(sps_fields()), Bytes::from_static(&PPS)];
    Bench::with(VideoCodec::H264, &sets)
}

/// Frames of two fields of so many slices each, the first of them an IDR field with a field that
/// refers to it, as encoders make them.
fn frames(count: u32, slices: u32) -> Vec<[Vec<Vec<u8>>; 2]> {
    let make = |header, kind, n, bottom| {
        (0..slices)
            .map(|i| field(header, i * 45, kind, n, bottom))
            .collect()
    };
    (0..count)
        .map(|n| {
            let (header, kind) = if n == 0 { (IDR, 7) } else { (P, 5) };
            [make(header, kind, n, false), make(P, 5, n, true)]
        })
        .collect()
}

fn want(frames: &[[Vec<Vec<u8>>; 2]]) -> Vec<Vec<Vec<u8>>> {
    frames.iter().map(|fields| fields.concat()).collect()
}

#[test]
fn two_fields_of_one_time_are_one_frame() {
    for slices in [1, 3] {
        let frames = frames(6, slices);
        let mut bench = bench();
        for (n, fields) in frames.iter().enumerate() {
            let units = fields.concat();
            for (i, unit) in units.iter().enumerate() {
                bench.push(n as u32 * 3600, i + 1 == units.len(), unit);
            }
        }
        bench.flush();
        assert_eq!(bench.pictures(), want(&frames), "{slices}");
        assert_eq!(bench.out[0].start, Some(Start::Idr));
        assert!(bench.out.iter().all(|frame| !frame.damaged));
        assert_eq!(bench.seen(), []);
    }
}

#[test]
fn a_marker_after_each_field_tears_no_frame() {
    let frames = frames(6, 2);
    let mut bench = bench();
    for (n, fields) in frames.iter().enumerate() {
        for field in fields {
            for (i, unit) in field.iter().enumerate() {
                bench.push(n as u32 * 3600, i + 1 == field.len(), unit);
            }
        }
    }
    bench.flush();
    assert_eq!(bench.pictures(), want(&frames));
    assert!(bench.out.iter().all(|frame| !frame.damaged));
    assert_eq!(bench.seen(), [Quirk::EarlyMarker]);
}

#[test]
fn fields_of_their_own_times_come_each_at_its_time() {
    let frames = frames(4, 1);
    let mut bench = bench();
    for (n, fields) in frames.iter().enumerate() {
        for (k, field) in fields.iter().enumerate() {
            bench.push(n as u32 * 3600 + k as u32 * 1800, true, &field[0]);
        }
    }
    bench.flush();
    let want: Vec<_> = frames.iter().flatten().cloned().collect();
    assert_eq!(bench.pictures(), want);
    assert_eq!(bench.out[0].start, Some(Start::Idr));
    assert_eq!(bench.out[1].start, None);
    assert!(bench.out.iter().all(|frame| !frame.damaged));
    assert_eq!(bench.seen(), []);
}

#[test]
fn a_frame_that_lost_a_field_is_damaged() {
    let frames = frames(5, 1);
    let mut bench = bench();
    for (n, fields) in frames.iter().enumerate() {
        let time = n as u32 * 3600;
        bench.lossy(u32::from(n == 3), time, false, &fields[0][0]);
        // The second field of this one is what was lost.
        if n != 2 {
            bench.push(time, true, &fields[1][0]);
        }
    }
    bench.flush();
    let damaged: Vec<_> = bench.out.iter().map(|frame| frame.damaged).collect();
    assert_eq!(damaged, [false, false, true, false, false]);
    assert_eq!(bench.pictures()[2], frames[2][0]);
}
