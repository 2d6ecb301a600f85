//! From a camera's packets to access units: depacketizes, stamps, and notices what is wrong.
//!
//! Pure: takes packets and `now`, gives access units and events. What it holds survives a
//! reconnection only where that is meant: the time lines.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use taimat_hub::FaultCause;
use taimat_media::rtp::Packet;
use taimat_media::rtp::depacketize::{Depacketizer, Frame};
use taimat_media::timeline::{Noticed, Timeline};
use taimat_media::{
    AccessUnit, AudioTrack, StreamInfo, TrackKind, VideoCodec, VideoParams, VideoTrack,
};

use crate::fault::Fault;

/// So many packets in a row that make no sense, and the camera is sending something else.
const MAX_ERRORS: u32 = 100;
/// A camera that has sent no key frame by then is set up wrong, or is not what it says.
const MAX_WAIT_FOR_KEY: Duration = Duration::from_secs(20);
/// So many reordered pictures among the last 100, and the camera uses B-frames.
const B_FRAME_SIGNS: u32 = 3;

/// What the pipeline reports besides access units.
#[derive(Debug)]
pub(crate) enum Event {
    /// What the stream consists of is known, or has changed.
    Info(StreamInfo),
    /// The next access unit.
    Unit(Box<AccessUnit>),
    /// A packet that was not understood.
    BadPacket(String),
    /// The camera's clock jumped.
    Jump,
    /// The camera sends B-frames: browsers will not show them.
    BFrames,
    /// Parameter sets changed while the stream ran.
    NewParams {
        /// From this width and height, if they were known,
        from: Option<(u32, u32)>,
        /// to these.
        to: (u32, u32),
    },
}

/// Time lines that go on over reconnections.
#[derive(Debug)]
pub(crate) struct Timelines {
    video: Timeline,
    audio: Option<Timeline>,
}

impl Timelines {
    pub(crate) fn new() -> Self {
        Self {
            video: Timeline::new(taimat_media::codec::VIDEO_CLOCK),
            audio: None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Pipeline<'a> {
    codec: VideoCodec,
    video: Depacketizer,
    audio: Option<(AudioTrack, Depacketizer)>,
    timelines: &'a mut Timelines,
    params: Option<Arc<VideoParams>>,
    /// Key frames have begun to come.
    running: bool,
    started: Instant,
    errors_in_row: u32,
    last_error: String,
    /// Packets lost and not yet told to anyone.
    lost_before_start: u32,
    pictures: u32,
    reordered: u32,
    told_b_frames: bool,
    frames: Vec<Frame>,
}

impl<'a> Pipeline<'a> {
    pub(crate) fn new(
        codec: VideoCodec,
        sets: &[Bytes],
        audio: Option<AudioTrack>,
        timelines: &'a mut Timelines,
        now: Instant,
    ) -> Self {
        timelines.video.restart();
        match (&mut timelines.audio, &audio) {
            (Some(line), Some(track)) if line.rate() == track.rate => line.restart(),
            (line, Some(track)) => *line = Some(Timeline::new(track.rate)),
            (line, None) => *line = None,
        }
        Self {
            codec,
            video: Depacketizer::video(codec, sets),
            audio: audio.map(|track| {
                let depacketizer = Depacketizer::audio(&track.codec);
                (track, depacketizer)
            }),
            timelines,
            params: None,
            running: false,
            started: now,
            errors_in_row: 0,
            last_error: String::new(),
            lost_before_start: 0,
            pictures: 0,
            reordered: 0,
            told_b_frames: false,
            frames: Vec::new(),
        }
    }

    /// Whether pictures have begun to come.
    pub(crate) fn running(&self) -> bool {
        self.running
    }

    pub(crate) fn sender_report(
        &mut self,
        kind: TrackKind,
        rtp: u32,
        captured: SystemTime,
        wall: SystemTime,
    ) {
        match kind {
            TrackKind::Video => self.timelines.video.sender_report(rtp, captured, wall),
            TrackKind::Audio => {
                if let Some(line) = &mut self.timelines.audio {
                    line.sender_report(rtp, captured, wall);
                }
            }
        }
    }

    /// Takes the next packet of a track; what follows from it is appended to `events`.
    pub(crate) fn push(
        &mut self,
        kind: TrackKind,
        packet: &Packet<'_>,
        now: Instant,
        wall: SystemTime,
        events: &mut Vec<Event>,
    ) -> Result<(), Fault> {
        let mut frames = std::mem::take(&mut self.frames);
        let read = match (kind, &mut self.audio) {
            (TrackKind::Video, _) => self.video.push(packet, &mut frames),
            (TrackKind::Audio, Some((_, depacketizer))) => depacketizer.push(packet, &mut frames),
            (TrackKind::Audio, None) => Ok(()),
        };
        if !frames.is_empty() && kind == TrackKind::Video {
            self.errors_in_row = 0;
        }
        if let Err(error) = read {
            self.last_error = error.to_string();
            self.errors_in_row += 1;
            events.push(Event::BadPacket(self.last_error.clone()));
        }
        for frame in frames.drain(..) {
            match kind {
                TrackKind::Video => self.picture(frame, now, wall, events),
                TrackKind::Audio => self.sound(frame, now, wall, events),
            }
        }
        self.frames = frames;
        self.verdict(now)
    }

    fn verdict(&self, now: Instant) -> Result<(), Fault> {
        if self.errors_in_row >= MAX_ERRORS {
            let detail = format!(
                "{} packets in a row are not {}: {}",
                self.errors_in_row, self.codec, self.last_error
            );
            return Err(Fault::new(FaultCause::Garbage, detail));
        }
        let waited = now.saturating_duration_since(self.started);
        if !self.running && waited > MAX_WAIT_FOR_KEY {
            let (codec, seconds) = (self.codec, waited.as_secs());
            let detail = if codec.is_intra_only() {
                format!(
                    "no complete {codec} picture in {seconds} s; lower the camera's quality or rate"
                )
            } else {
                format!(
                    "no {codec} key frame with parameter sets in {seconds} s; shorten the camera's \
                     keyframe interval"
                )
            };
            return Err(Fault::new(FaultCause::NoKeyframe, detail));
        }
        Ok(())
    }

    fn picture(&mut self, frame: Frame, now: Instant, wall: SystemTime, events: &mut Vec<Event>) {
        self.lost_before_start = self.lost_before_start.saturating_add(frame.lost_packets);
        let startable = frame.keyframe && frame.params.is_some();
        if !self.running && !startable {
            return;
        }
        self.follow_params(&frame, events);
        self.running = true;
        let stamp = self.timelines.video.stamp(frame.timestamp, now, wall);
        self.notice(stamp.noticed, events);
        events.push(Event::Unit(Box::new(AccessUnit {
            track: TrackKind::Video,
            media_time: stamp.media_time,
            wall_time: stamp.wall_time,
            received: now,
            keyframe: startable,
            params: frame.params,
            data: frame.data,
            lost_packets: std::mem::take(&mut self.lost_before_start),
            damaged: false,
        })));
    }

    /// Tells what the stream consists of when it becomes known and when it changes.
    fn follow_params(&mut self, frame: &Frame, events: &mut Vec<Event>) {
        let Some(params) = &frame.params else { return };
        if self
            .params
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, params))
        {
            return;
        }
        if let Some(old) = self.params.replace(Arc::clone(params)) {
            events.push(Event::NewParams {
                from: Some((old.width, old.height)),
                to: (params.width, params.height),
            });
        }
        events.push(Event::Info(StreamInfo {
            video: Some(VideoTrack {
                codec: self.codec,
                params: Arc::clone(params),
            }),
            audio: self.audio.as_ref().map(|(track, _)| track.clone()),
        }));
    }

    fn notice(&mut self, noticed: Noticed, events: &mut Vec<Event>) {
        self.pictures += 1;
        if self.pictures > 100 {
            (self.pictures, self.reordered) = (0, 0);
        }
        match noticed {
            Noticed::Regular => {}
            Noticed::Jump => events.push(Event::Jump),
            Noticed::Reordered => {
                self.reordered += 1;
                if self.reordered >= B_FRAME_SIGNS && !self.told_b_frames {
                    self.told_b_frames = true;
                    events.push(Event::BFrames);
                }
            }
        }
    }

    fn sound(&mut self, frame: Frame, now: Instant, wall: SystemTime, events: &mut Vec<Event>) {
        let Some(line) = self.timelines.audio.as_mut().filter(|_| self.running) else {
            return;
        };
        let stamp = line.stamp(frame.timestamp, now, wall);
        events.push(Event::Unit(Box::new(AccessUnit {
            track: TrackKind::Audio,
            media_time: stamp.media_time,
            wall_time: stamp.wall_time,
            received: now,
            keyframe: true,
            params: None,
            data: frame.data,
            lost_packets: frame.lost_packets,
            damaged: false,
        })));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_media::AudioCodec;

    const SPS: [u8; 15] = [
        0x67, 0x42, 0xC0, 0x1E, 0x8C, 0x8D, 0x40, 0x50, 0x17, 0xFC, 0xB0, 0x0F, 0x08, 0x84, 0x6A,
    ];
    const PPS: [u8; 4] = [0x68, 0xCE, 0x3C, 0x80];

    struct Bench<'a> {
        pipeline: Pipeline<'a>,
        now: Instant,
        wall: SystemTime,
        rtp: u32,
    }

    impl<'a> Bench<'a> {
        fn new(timelines: &'a mut Timelines, sets: &[Bytes]) -> Self {
            let now = taimat_base::clock::now();
            let audio = AudioTrack {
                codec: AudioCodec::Pcmu,
                rate: 8000,
                channels: 1,
            };
            let pipeline = Pipeline::new(VideoCodec::H264, sets, Some(audio), timelines, now);
            Self {
                pipeline,
                now,
                wall: SystemTime::UNIX_EPOCH,
                rtp: 0,
            }
        }

        fn video(&mut self, payload: &[u8]) -> Result<Vec<Event>, Fault> {
            self.now += Duration::from_millis(40);
            self.rtp = self.rtp.wrapping_add(3600);
            self.packet(TrackKind::Video, self.rtp, payload)
        }

        fn packet(
            &mut self,
            kind: TrackKind,
            timestamp: u32,
            payload: &[u8],
        ) -> Result<Vec<Event>, Fault> {
            let mut events = Vec::new();
            let packet = Packet {
                timestamp,
                marker: true,
                lost: 0,
                payload,
            };
            self.pipeline
                .push(kind, &packet, self.now, self.wall, &mut events)?;
            Ok(events)
        }
    }

    fn sets() -> [Bytes; 2] {
        [Bytes::from_static(&SPS), Bytes::from_static(&PPS)]
    }

    #[test]
    fn begins_with_a_key_frame_and_says_what_it_is() {
        let mut timelines = Timelines::new();
        let mut bench = Bench::new(&mut timelines, &sets());
        assert!(bench.video(&[0x41, 1]).unwrap().is_empty());
        assert!(
            bench
                .packet(TrackKind::Audio, 0, &[1; 160])
                .unwrap()
                .is_empty()
        );
        let events = bench.video(&[0x65, 1]).unwrap();
        let [Event::Info(info), Event::Unit(unit)] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(info.video.as_ref().unwrap().params.width, 640);
        assert!(unit.starts_video() && info.audio.is_some());
        assert_eq!(
            bench.packet(TrackKind::Audio, 0, &[1; 160]).unwrap().len(),
            1
        );
    }

    #[test]
    fn a_camera_that_lies_about_its_codec_is_garbage() {
        let mut timelines = Timelines::new();
        let mut bench = Bench::new(&mut timelines, &sets());
        // H.265 slices, read as H.264, have types that H.264 does not have.
        let fault = (0..200)
            .find_map(|_| bench.video(&[0x7E, 1, 2, 3]).err())
            .unwrap();
        assert_eq!(fault.cause, FaultCause::Garbage);
        assert!(fault.detail.contains("not H.264"), "{fault}");
    }

    #[test]
    fn a_stream_without_key_frames_is_named() {
        let mut timelines = Timelines::new();
        let mut bench = Bench::new(&mut timelines, &[]);
        let fault = (0..1000)
            .find_map(|_| bench.video(&[0x41, 1]).err())
            .unwrap();
        assert_eq!(fault.cause, FaultCause::NoKeyframe);
    }

    #[test]
    fn notices_b_frames_and_jumps_once_each() {
        let mut timelines = Timelines::new();
        let mut bench = Bench::new(&mut timelines, &sets());
        bench.video(&[0x65, 1]).unwrap();
        let mut told = 0;
        for i in 1..30_u32 {
            bench.now += Duration::from_millis(80);
            for rtp in [i * 7200 + 3600, i * 7200] {
                let events = bench.packet(TrackKind::Video, rtp, &[0x41, 1]).unwrap();
                told += events
                    .iter()
                    .filter(|e| matches!(e, Event::BFrames))
                    .count();
            }
        }
        assert_eq!(told, 1);
        let events = bench
            .packet(TrackKind::Video, 0x8000_0000, &[0x41, 1])
            .unwrap();
        assert!(matches!(events[0], Event::Jump));
    }

    #[test]
    fn a_changed_resolution_is_told() {
        let mut timelines = Timelines::new();
        let mut bench = Bench::new(&mut timelines, &sets());
        bench.video(&[0x65, 1]).unwrap();
        // The same picture with another level: new sets, same size.
        let mut stap = vec![0x78, 0, 15];
        let mut sps = SPS;
        sps[3] = 0x1F;
        stap.extend(sps);
        stap.extend([0, 2, 0x65, 1]);
        let events = bench.video(&stap).unwrap();
        let [Event::NewParams { to, .. }, Event::Info(_), Event::Unit(_)] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(*to, (640, 360));
    }

    #[test]
    fn media_time_goes_on_over_a_reconnection() {
        let mut timelines = Timelines::new();
        let ticks = |events: Vec<Event>| match events.into_iter().last() {
            Some(Event::Unit(unit)) => unit.media_time.ticks,
            other => panic!("{other:?}"),
        };
        let first = ticks(
            Bench::new(&mut timelines, &sets())
                .video(&[0x65, 1])
                .unwrap(),
        );
        let mut again = Bench::new(&mut timelines, &sets());
        again.rtp = 0x7000_0000;
        assert!(ticks(again.video(&[0x65, 1]).unwrap()) > first);
    }
}
