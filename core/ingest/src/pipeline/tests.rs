//! Packets in, access units and events out, with given clocks.

use super::*;
use taimat_media::AudioCodec;
use taimat_rtsp::tracks::{AudioChoice, VideoChoice};

const SPS: [u8; 15] = [
    0x67, 0x42, 0xC0, 0x1E, 0x8C, 0x8D, 0x40, 0x50, 0x17, 0xFC, 0xB0, 0x0F, 0x08, 0x84, 0x6A,
];
const PPS: [u8; 4] = [0x68, 0xCE, 0x3C, 0x80];
/// First macroblock 0, slice type 7 (I), picture parameter set 0; the rest is never looked at.
const IDR: [u8; 4] = [0x65, 0x88, 0x80, 0x10];
/// First macroblock 0, slice type 5 (P).
const P: [u8; 4] = [0x41, 0x9A, 0x00, 0x10];

fn tracks(sets: &[&'static [u8]]) -> Tracks {
    Tracks {
        video: VideoChoice {
            media: 0,
            payload_type: 96,
            codec: VideoCodec::H264,
            clock_rate: 90_000,
            sets: sets.iter().map(|set| Bytes::from_static(set)).collect(),
        },
        audio: Some(AudioChoice {
            media: 1,
            payload_type: 0,
            track: AudioTrack {
                codec: AudioCodec::Pcmu,
                rate: 8000,
                channels: 1,
            },
        }),
        no_sound: None,
        videos: 1,
        quirks: Quirks::default(),
    }
}

const BOTH: [&[u8]; 2] = [&SPS, &PPS];
const PATIENCE: Duration = Duration::from_secs(20);

struct Bench {
    pipeline: Pipeline,
    lines: Timelines,
    now: Instant,
    wall: SystemTime,
    rtp: u32,
    sequence: [u16; 2],
}

impl Bench {
    fn new(lines: Timelines, sets: &[&'static [u8]]) -> Self {
        let now = taimat_base::clock::now();
        let mut lines = lines;
        let pipeline = Pipeline::new(&tracks(sets), &mut lines, PATIENCE, now);
        Self {
            pipeline,
            lines,
            now,
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
            rtp: 0,
            sequence: [7, 7],
        }
    }

    fn fresh(sets: &[&'static [u8]]) -> Self {
        Self::new(Timelines::new(ClockTrust::Auto), sets)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.wall += time;
    }

    /// A picture of one packet, 40 ms after the one before. A marker has to prove itself first, so
    /// the picture is told to be over.
    fn video(&mut self, payload: &[u8]) -> Result<Vec<Event>, Fault> {
        self.pass(Duration::from_millis(40));
        self.rtp = self.rtp.wrapping_add(3600);
        self.packet(TrackKind::Video, self.rtp, payload)
    }

    fn packet(
        &mut self,
        kind: TrackKind,
        timestamp: u32,
        payload: &[u8],
    ) -> Result<Vec<Event>, Fault> {
        let (index, payload_type) = match kind {
            TrackKind::Video => (0, 96),
            TrackKind::Audio => (1, 0),
        };
        let mut packet = vec![0x80, 0x80 | payload_type];
        packet.extend(self.sequence[index].to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend([0, 0, 0, payload_type]);
        packet.extend(payload);
        self.sequence[index] = self.sequence[index].wrapping_add(1);
        let mut events = Vec::new();
        let (lines, now, wall) = (&mut self.lines, self.now, self.wall);
        self.pipeline
            .push(kind, packet.into(), lines, now, wall, &mut events)?;
        if kind == TrackKind::Video {
            let later = now + SILENCE;
            self.pipeline.tick(lines, later, wall, &mut events)?;
        }
        Ok(events)
    }
}

#[test]
fn begins_with_a_key_frame_and_says_what_it_is() {
    let mut bench = Bench::fresh(&BOTH);
    assert!(bench.video(&P).unwrap().is_empty());
    let sound = bench.packet(TrackKind::Audio, 0, &[1; 160]).unwrap();
    assert!(sound.is_empty());
    let events = bench.video(&IDR).unwrap();
    let [Event::Info(info), Event::Unit(unit)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(info.video.as_ref().unwrap().params.width, 640);
    assert!(unit.starts_video() && info.audio.is_some());
    let sound = bench.packet(TrackKind::Audio, 0, &[1; 160]).unwrap();
    assert_eq!(sound.len(), 1);
}

#[test]
fn a_camera_that_lies_about_its_codec_is_garbage() {
    let mut bench = Bench::fresh(&BOTH);
    // H.265 slices, read as H.264, have types that H.264 does not have.
    let fault = (0..200)
        .find_map(|_| bench.video(&[0x7E, 1, 2, 3]).err())
        .unwrap();
    assert_eq!(fault.cause, FaultCause::Garbage);
    assert!(fault.detail.contains("not H.264"), "{fault}");
}

#[test]
fn a_stream_without_key_frames_is_named() {
    let mut bench = Bench::fresh(&BOTH);
    let fault = (0..1000).find_map(|_| bench.video(&P).err()).unwrap();
    assert_eq!(fault.cause, FaultCause::NoKeyframe);
    assert!(
        fault
            .detail
            .contains("shorten the camera's keyframe interval"),
        "{fault}"
    );
    // Where key frames come and can not be read, shorter intervals do not help.
    let mut bench = Bench::fresh(&[]);
    let fault = (0..1000).find_map(|_| bench.video(&IDR).err()).unwrap();
    assert_eq!(fault.cause, FaultCause::NoKeyframe);
    assert!(!fault.detail.contains("shorten"), "{fault}");
}

#[test]
fn notices_b_frames_and_jumps() {
    let mut bench = Bench::fresh(&BOTH);
    bench.video(&IDR).unwrap();
    let mut told = 0;
    for i in 1..30_u32 {
        bench.pass(Duration::from_millis(80));
        for rtp in [3600 + i * 7200 + 3600, 3600 + i * 7200] {
            let events = bench.packet(TrackKind::Video, rtp, &P).unwrap();
            let b_frames = events.iter().filter(|e| matches!(e, Event::BFrames));
            told += b_frames.count();
        }
    }
    assert_eq!(told, 1);
    bench.pass(Duration::from_millis(40));
    let events = bench.packet(TrackKind::Video, 0x8000_0000, &P).unwrap();
    assert!(matches!(events[0], Event::Jump), "{events:?}");
}

#[test]
fn changed_sets_are_told() {
    let mut bench = Bench::fresh(&BOTH);
    bench.video(&IDR).unwrap();
    // The same picture with another level: new sets, same size.
    let mut aggregate = vec![0x78, 0, 15];
    let mut sps = SPS;
    sps[3] = 0x1F;
    aggregate.extend(sps);
    aggregate.extend([0, 4]);
    aggregate.extend(IDR);
    let events = bench.video(&aggregate).unwrap();
    let [Event::NewParams { to, .. }, Event::Info(_), Event::Unit(_)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(*to, (640, 360));
}

#[test]
fn media_time_goes_on_over_a_reconnection() {
    let ticks = |events: Vec<Event>| match events.into_iter().last() {
        Some(Event::Unit(unit)) => unit.media_time.ticks,
        other => panic!("{other:?}"),
    };
    let mut bench = Bench::fresh(&BOTH);
    let first = ticks(bench.video(&IDR).unwrap());
    let (now, wall) = (bench.now, bench.wall);
    let mut again = Bench::new(bench.lines, &BOTH);
    (again.now, again.wall) = (now, wall);
    again.rtp = 0x7000_0000;
    assert!(ticks(again.video(&IDR).unwrap()) > first);
}

#[test]
fn sound_alone_is_no_picture() {
    let mut bench = Bench::fresh(&BOTH);
    bench.video(&IDR).unwrap();
    bench.video(&P).unwrap();
    let last = bench.pipeline.last_picture();
    for i in 0..100 {
        bench.pass(Duration::from_millis(20));
        bench.packet(TrackKind::Audio, i * 160, &[1; 160]).unwrap();
    }
    assert_eq!(bench.pipeline.last_picture(), last);
    assert!(bench.pipeline.picture_interval().is_some());
}

#[test]
fn a_torn_picture_is_passed_on_as_damaged() {
    let mut bench = Bench::fresh(&BOTH);
    bench.video(&IDR).unwrap();
    bench.sequence[0] += 1;
    let events = bench.video(&P).unwrap();
    let lost = events.iter().map(|event| match event {
        Event::Unit(unit) => unit.lost_packets,
        _ => 0,
    });
    assert_eq!(lost.sum::<u32>(), 1, "{events:?}");
}
