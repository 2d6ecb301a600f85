//! What is written is read again; what is damaged is refused.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::access_unit::TrackKind;
use crate::codec::{AudioCodec, AudioTrack, VideoCodec, VideoParams};
use crate::h264::samples::{PPS, SPS_640X360};
use crate::{h264, h265};

fn h264_params() -> VideoParams {
    let copy = Bytes::from_static;
    h264::params(vec![copy(&SPS_640X360)], vec![copy(&PPS), copy(&PPS)]).unwrap()
}

fn h265_params() -> VideoParams {
    use h265::tests::{PPS, SPS, VPS};
    // The set ends behind the cropping in `h265::tests`; here it goes on: no cropping, 8 bits.
    let mut sps = SPS.to_vec();
    sps[22..].copy_from_slice(&[0x16, 0xC0]);
    let list = |unit: &[u8]| vec![Bytes::copy_from_slice(unit)];
    h265::params(list(&VPS), list(&sps), list(&PPS)).unwrap()
}

fn jpeg_params() -> VideoParams {
    VideoParams {
        codec: VideoCodec::Jpeg,
        vps: Vec::new(),
        sps: Vec::new(),
        pps: Vec::new(),
        width: 704,
        height: 576,
    }
}

fn audio(codec: AudioCodec, rate: u32, channels: u16) -> Mp4Track {
    let track = AudioTrack {
        codec,
        rate,
        channels,
    };
    Mp4Track::audio(&track).unwrap()
}

fn aac() -> AudioCodec {
    AudioCodec::Aac {
        config: Bytes::from_static(&[0x14, 0x08]),
    }
}

/// A track of every codec.
fn tracks() -> Vec<Mp4Track> {
    vec![
        Mp4Track::video(&h264_params()).unwrap(),
        Mp4Track::video(&h265_params()).unwrap(),
        Mp4Track::video(&jpeg_params()).unwrap(),
        audio(aac(), 16_000, 1),
        audio(AudioCodec::Opus, 48_000, 2),
        audio(AudioCodec::Pcmu, 8000, 1),
        audio(AudioCodec::Pcma, 16_000, 2),
    ]
}

#[test]
fn every_codec_has_its_name() {
    let tracks = tracks();
    let names: Vec<&str> = tracks.iter().map(Mp4Track::codecs).collect();
    let expected = [
        "avc1.42C01E",
        "hvc1.1.6.L60.90",
        "jpeg",
        "mp4a.40.2",
        "opus",
        "flac",
        "flac",
    ];
    assert_eq!(names, expected);
    let scales: Vec<u32> = tracks.iter().map(Mp4Track::timescale).collect();
    assert_eq!(
        scales,
        [90_000, 90_000, 90_000, 16_000, 48_000, 8000, 16_000]
    );
    assert_eq!(tracks[0].size(), Some((640, 360)));
    assert_eq!(tracks[2].size(), Some((704, 576)));
    assert_eq!(
        (tracks[3].size(), tracks[3].kind()),
        (None, TrackKind::Audio)
    );
}

#[test]
fn a_file_says_its_tracks() {
    let tracks = tracks();
    let mut file = init(&tracks).unwrap();
    let length = file.len();
    assert!(length < 6000, "{length}");
    file.extend_from_slice(b"and more");
    assert_eq!(read_init(&file), Ok(ReadInit { tracks, length }));
    let mut need = 0;
    while let Err(ReadError::Incomplete { need: more }) = read_init(&file[..need]) {
        assert!(more > need);
        need = more;
    }
    assert_eq!(need, length);
}

#[test]
fn what_can_not_be_described_is_refused() {
    let mut params = h264_params();
    params.pps.clear();
    assert!(Mp4Track::video(&params).is_err());
    params.sps.clear();
    assert!(Mp4Track::video(&params).is_err());
    let mut params = jpeg_params();
    params.width = 70_000;
    assert!(Mp4Track::video(&params).is_err());
    let mut params = h264_params();
    params.pps = vec![PPS.to_vec().into(); 256];
    assert!(Mp4Track::video(&params).is_err());
    params.pps = vec![vec![0x68; 70_000].into()];
    assert!(Mp4Track::video(&params).is_err());
    assert!(init(&[]).is_err());
    assert!(init(&vec![tracks()[0].clone(); 9]).is_err());
    let times = PartTimes {
        wall: 0,
        camera: None,
    };
    assert!(part_header(0, times, &[]).is_err());
    let empty = PartTrack {
        track: 0,
        decode_time: 0,
        samples: &[],
    };
    assert!(part_header(0, times, &[empty]).is_err());
    let huge = [Sample {
        size: u32::MAX,
        duration: 0,
        shift: 0,
        sync: true,
    }];
    let huge = PartTrack {
        samples: &huge,
        ..empty
    };
    assert!(part_header(0, times, &[huge]).is_err());
}

prop_compose! {
    fn sample(variety: u32)(size in 0_u32..100_000, duration in 0..=variety, shift in 0..=variety, sync: bool) -> Sample {
        Sample { size, duration: 3600 + duration * 90, shift: shift as i32 * -3600, sync: sync || variety == 0 }
    }
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    (0_u32..3).prop_flat_map(|variety| prop::collection::vec(sample(variety), 1..80))
}

fn part() -> impl Strategy<Value = (u32, PartTimes, Vec<ReadTrack>)> {
    let track = (0_usize..8, any::<u64>(), samples());
    let track = track.prop_map(|(track, decode_time, samples)| ReadTrack {
        track,
        decode_time,
        samples,
    });
    let time = -61_000_000_000_000_i64..4_230_000_000_000_000;
    let times = (time.clone(), prop::option::of(time));
    let times = times.prop_map(|(wall, camera)| PartTimes { wall, camera });
    (any::<u32>(), times, prop::collection::vec(track, 1..4))
}

fn write(sequence: u32, times: PartTimes, tracks: &[ReadTrack]) -> Vec<u8> {
    let tracks: Vec<PartTrack<'_>> = tracks.iter().map(ReadTrack::as_part).collect();
    part_header(sequence, times, &tracks).unwrap()
}

proptest! {
    #[test]
    fn a_part_is_read_as_it_was_written((sequence, times, tracks) in part()) {
        let header = write(sequence, times, &tracks);
        let header_len = header.len();
        let payload_len = tracks.iter().flat_map(|t| &t.samples).map(|s| u64::from(s.size)).sum();
        let whole = ReadPart { sequence, times, tracks, header_len, payload_len };
        prop_assert_eq!(read_part(&header), Ok(whole));
        let mut need = 0;
        while let Err(ReadError::Incomplete { need: more }) = read_part(&header[..need]) {
            prop_assert!(more > need);
            need = more;
        }
        prop_assert_eq!(need, header_len);
    }

    /// What is read of damaged bytes is written again as it was read, or refused: there are no two
    /// ways to understand one part.
    #[test]
    fn damage_is_refused_or_harmless(
        (sequence, times, tracks) in part(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut header = write(sequence, times, &tracks);
        for (at, flip) in flips {
            *at.get_mut(&mut header) ^= flip;
        }
        if let Ok(read) = read_part(&header) {
            let again = write(read.sequence, read.times, &read.tracks);
            let again = read_part(&again);
            prop_assert_eq!(again.map(|again| again.tracks), Ok(read.tracks));
        }
        let end = cut.index(header.len());
        prop_assert!(read_part(&header[..end]).is_err());
    }

    #[test]
    fn a_damaged_beginning_is_refused_or_harmless(flips in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..6)) {
        let mut file = init(&tracks()).unwrap();
        for (at, flip) in flips {
            *at.get_mut(&mut file) ^= flip;
        }
        if let Ok(read) = read_init(&file) {
            prop_assert!(init(&read.tracks).is_ok());
        }
    }

    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        drop(read_init(&bytes));
        drop(read_part(&bytes));
    }
}
