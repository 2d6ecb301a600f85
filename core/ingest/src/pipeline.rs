//! From a camera's packets to access units: orders, depacketizes, stamps, notices what is wrong.
//!
//! Pure: takes packets and `now`, gives access units and events. What is meant to survive a
//! reconnection, the time lines, is passed in.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use taimat_base::clock;
use taimat_hub::FaultCause;
use taimat_media::capture::{CaptureClock, ClockTrust, Stamp};
use taimat_media::rtp::Packet;
use taimat_media::rtp::depacketize::{Depacketizer, Frame};
use taimat_media::rtp::header::RtpPacket;
use taimat_media::rtp::receive::{Reception, Reorder};
use taimat_media::rtp::rtcp::{self, Rtcp};
use taimat_media::timeline::Noticed;
use taimat_media::{
    AccessUnit, AudioTrack, Quirk, Quirks, StreamInfo, TrackKind, VideoCodec, VideoParams,
    VideoTrack,
};
use taimat_rtsp::client::Way;
use taimat_rtsp::tracks::{NoSound, Tracks};

use crate::fault::Fault;

/// So many packets in a row that make no sense, and the camera is sending something else.
const MAX_ERRORS: u32 = 100;
/// So many reordered pictures among the last 100, and the camera uses B-frames.
const B_FRAME_SIGNS: u32 = 3;
/// Key frames further apart than this are worth a word: whoever seeks in a recording, or loses a
/// packet, waits that long.
const LONG_GROUP: Duration = Duration::from_secs(10);
/// How long a missing datagram is waited for, and how many are held back meanwhile: longer than
/// switches and wireless links reorder, shorter than anybody sees.
const REORDER: Reorder = Reorder {
    wait: Duration::from_millis(60),
    packets: 256,
};
/// Packets of one picture are never so far apart: what waits for the next one to show that it is whole
/// does not wait longer.
const SILENCE: Duration = Duration::from_millis(200);
/// Reports taken from one RTCP packet's worth of time: a flood costs no more than this.
const REPORTS_PER_SECOND: u32 = 10;

/// What the pipeline reports besides access units.
#[derive(Debug)]
pub(crate) enum Event {
    /// What the stream consists of is known, or has changed.
    Info(StreamInfo),
    /// The next access unit.
    Unit(Box<AccessUnit>),
    /// The camera does not give the sound that it described.
    NoSound(NoSound),
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

/// What goes on over reconnections: the source's place in time.
#[derive(Debug)]
pub(crate) struct Timelines(CaptureClock);

impl Timelines {
    pub(crate) fn new(trust: ClockTrust) -> Self {
        Self(CaptureClock::new(trust))
    }

    pub(crate) fn quirks(&mut self) -> Quirks {
        self.0.quirks()
    }
}

/// One track on its way in.
#[derive(Debug)]
struct Incoming {
    payload_type: u8,
    reception: Reception,
    depacketizer: Depacketizer,
    /// For receiver reports.
    ssrc: u32,
}

impl Incoming {
    fn new(payload_type: u8, depacketizer: Depacketizer) -> Self {
        Self {
            payload_type,
            reception: Reception::new(None),
            depacketizer,
            ssrc: rand::random(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Pipeline {
    codec: VideoCodec,
    video: Incoming,
    audio: Option<(AudioTrack, Incoming)>,
    params: Option<Arc<VideoParams>>,
    /// Pictures that decoding can start with have begun to come.
    running: bool,
    started: Instant,
    patience: Duration,
    errors_in_row: u32,
    /// Packets that were not understood since the last picture.
    errors_since_picture: u32,
    last_error: String,
    /// Packets lost and not yet told to anyone.
    lost_before_start: u32,
    packets: u64,
    pictures: u64,
    last_picture: Instant,
    interval: Option<Duration>,
    last_start: Option<Instant>,
    /// The newest picture came with parameter sets in force.
    sets_known: bool,
    window: (u32, u32),
    told_b_frames: bool,
    reports: (Instant, u32),
    /// When the last packet came, until it is certain that no picture waits for another.
    unflushed: Option<Instant>,
    quirks: Quirks,
    frames: Vec<Frame>,
}

impl Pipeline {
    /// `patience` is how long to wait for a picture that decoding can start with.
    pub(crate) fn new(
        tracks: &Tracks,
        timelines: &mut Timelines,
        patience: Duration,
        now: Instant,
    ) -> Self {
        let video = &tracks.video;
        let sound = tracks.audio.as_ref().map(|audio| audio.track.rate);
        timelines.0.restart(video.clock_rate, sound);
        let audio = tracks.audio.as_ref().map(|audio| {
            let depacketizer = Depacketizer::audio(&audio.track.codec);
            let incoming = Incoming::new(audio.payload_type, depacketizer);
            (audio.track.clone(), incoming)
        });
        Self {
            codec: video.codec,
            video: Incoming::new(
                video.payload_type,
                Depacketizer::video(video.codec, &video.sets),
            ),
            audio,
            params: None,
            running: false,
            started: now,
            patience,
            errors_in_row: 0,
            errors_since_picture: 0,
            last_error: String::new(),
            lost_before_start: 0,
            packets: 0,
            pictures: 0,
            last_picture: now,
            interval: None,
            last_start: None,
            sets_known: false,
            window: (0, 0),
            told_b_frames: false,
            reports: (now, 0),
            unflushed: None,
            quirks: Quirks::default(),
            frames: Vec::new(),
        }
    }

    /// The camera has agreed to send: waiting begins now.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.started = now;
        if self.pictures == 0 {
            self.last_picture = now;
        }
    }

    /// How a track travels: datagrams are put in order.
    pub(crate) fn travels(&mut self, kind: TrackKind, way: Way, ssrc: Option<u32>) {
        if let Some(track) = self.track(kind) {
            let reorder = (way != Way::Tcp).then_some(REORDER);
            track.reception = Reception::new(reorder);
            track.reception.expect_ssrc(ssrc);
        }
    }

    /// The camera does not give the sound that it described.
    pub(crate) fn drop_sound(&mut self, why: NoSound, events: &mut Vec<Event>) {
        self.audio = None;
        events.push(Event::NoSound(why));
    }

    /// If what comes instead of pictures is not understood: why.
    pub(crate) fn garbage(&self) -> Option<String> {
        /// Fewer may be the wreck of the last picture.
        const SIGN: u32 = 4;
        (self.errors_since_picture >= SIGN)
            .then(|| format!("what comes is not {}: {}", self.codec, self.last_error))
    }

    /// Packets of the video track so far.
    pub(crate) fn packets(&self) -> u64 {
        self.packets
    }

    /// Pictures so far, whether or not decoding can start with one.
    pub(crate) fn pictures(&self) -> u64 {
        self.pictures
    }

    /// When the last picture was there; before the first, when waiting began.
    pub(crate) fn last_picture(&self) -> Instant {
        self.last_picture
    }

    /// About how far pictures are apart, once that is known.
    pub(crate) fn picture_interval(&self) -> Option<Duration> {
        self.interval
    }

    /// When [`Pipeline::tick`] wants to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let audio = self.audio.as_ref().map(|(_, track)| track);
        let tracks = [Some(&self.video), audio].into_iter().flatten();
        let reorder = tracks.filter_map(|t| t.reception.deadline()).min();
        let silence = self.unflushed.map(|since| since + SILENCE);
        reorder.into_iter().chain(silence).min()
    }

    /// What was put up with since this was last asked.
    pub(crate) fn quirks(&mut self) -> Quirks {
        let mut quirks = self.quirks.take();
        let audio = self.audio.as_mut().map(|(_, track)| track);
        for track in [Some(&mut self.video), audio].into_iter().flatten() {
            quirks.merge(&track.reception.take_quirks());
            quirks.merge(&track.depacketizer.quirks());
        }
        quirks
    }

    /// A receiver report for a track.
    pub(crate) fn report(&mut self, kind: TrackKind, now: Instant) -> Option<Vec<u8>> {
        let track = self.track(kind)?;
        let block = track.reception.report(now)?;
        Some(rtcp::receiver_report(track.ssrc, "taimat", &[block]))
    }

    fn track(&mut self, kind: TrackKind) -> Option<&mut Incoming> {
        match kind {
            TrackKind::Video => Some(&mut self.video),
            TrackKind::Audio => self.audio.as_mut().map(|(_, track)| track),
        }
    }

    /// RTCP of a track.
    pub(crate) fn control(
        &mut self,
        kind: TrackKind,
        packet: &[u8],
        lines: &mut Timelines,
        now: Instant,
    ) {
        if now.saturating_duration_since(self.reports.0) >= Duration::from_secs(1) {
            self.reports = (now, 0);
        }
        self.reports.1 += 1;
        if self.reports.1 > REPORTS_PER_SECOND {
            return;
        }
        let Some(track) = self.track(kind) else {
            return;
        };
        for report in rtcp::read(packet) {
            match report {
                Rtcp::SenderReport { ssrc, ntp, rtp } => {
                    track.reception.sender_report(ssrc, ntp, now);
                    if let Some(captured) = clock::from_ntp(ntp) {
                        lines.0.sender_report(kind, rtp, captured, now);
                    }
                }
                Rtcp::Goodbye { ssrcs } => {
                    for ssrc in ssrcs.iter() {
                        track.reception.goodbye(ssrc, now);
                    }
                }
                Rtcp::Other => {}
            }
        }
    }

    /// Takes a packet in. An error means that the source is to be set up anew.
    pub(crate) fn push(
        &mut self,
        kind: TrackKind,
        packet: Bytes,
        lines: &mut Timelines,
        now: Instant,
        wall: SystemTime,
        events: &mut Vec<Event>,
    ) -> Result<(), Fault> {
        let packet = match RtpPacket::parse(packet) {
            Ok(packet) => packet,
            Err(error) => {
                if kind == TrackKind::Video {
                    self.not_understood(error.to_string(), events)?;
                }
                return Ok(());
            }
        };
        if kind == TrackKind::Video {
            self.packets += 1;
            self.unflushed = Some(now);
        }
        let Some(track) = self.track(kind) else {
            return Ok(());
        };
        let foreign = packet.payload_type != track.payload_type;
        track.reception.push(packet, now);
        if foreign {
            // Cameras describe one number and send another; the track is what counts.
            self.quirks.note(Quirk::StrayPackets);
        }
        self.deliver(kind, lines, now, wall, events)
    }

    /// Time has passed: what was waited for is waited for no longer.
    pub(crate) fn tick(
        &mut self,
        lines: &mut Timelines,
        now: Instant,
        wall: SystemTime,
        events: &mut Vec<Event>,
    ) -> Result<(), Fault> {
        for kind in [TrackKind::Video, TrackKind::Audio] {
            self.deliver(kind, lines, now, wall, events)?;
        }
        let silent = |since: Instant| now.saturating_duration_since(since) >= SILENCE;
        if self.unflushed.is_some_and(silent) {
            self.unflushed = None;
            let mut frames = std::mem::take(&mut self.frames);
            self.video.depacketizer.flush(&mut frames);
            for frame in frames.drain(..) {
                self.picture(frame, lines, now, wall, events);
            }
            self.frames = frames;
        }
        Ok(())
    }

    fn deliver(
        &mut self,
        kind: TrackKind,
        lines: &mut Timelines,
        now: Instant,
        wall: SystemTime,
        events: &mut Vec<Event>,
    ) -> Result<(), Fault> {
        let mut frames = std::mem::take(&mut self.frames);
        let mut result = Ok(());
        while let Some(received) = self.track(kind).and_then(|t| t.reception.pop(now)) {
            let packet = Packet {
                timestamp: received.packet.timestamp,
                marker: received.packet.marker,
                lost: received.lost,
                payload: &received.packet.payload,
            };
            let Some(track) = self.track(kind) else { break };
            if received.restarted {
                // What was under way has nothing to do with what comes.
                track.depacketizer.flush(&mut frames);
            }
            let read = track.depacketizer.push(&packet, &mut frames);
            for frame in frames.drain(..) {
                match kind {
                    TrackKind::Video => self.picture(frame, lines, now, wall, events),
                    TrackKind::Audio => self.sound(frame, lines, now, wall, events),
                }
            }
            match read {
                Ok(()) if kind == TrackKind::Video => self.errors_in_row = 0,
                Ok(()) => {}
                Err(error) if kind == TrackKind::Video => {
                    result = self.not_understood(error.to_string(), events);
                }
                // Bad sound costs the sound.
                Err(error) => events.push(Event::BadPacket(error.to_string())),
            }
            if result.is_err() {
                break;
            }
        }
        self.frames = frames;
        result.and_then(|()| self.judge(now))
    }

    fn not_understood(&mut self, why: String, events: &mut Vec<Event>) -> Result<(), Fault> {
        self.errors_in_row += 1;
        self.errors_since_picture = self.errors_since_picture.saturating_add(1);
        if self.errors_in_row > MAX_ERRORS {
            let detail = format!(
                "{MAX_ERRORS} packets in a row are not {}: {why}",
                self.codec
            );
            return Err(Fault::new(FaultCause::Garbage, detail));
        }
        self.last_error.clone_from(&why);
        events.push(Event::BadPacket(why));
        Ok(())
    }

    /// Pictures come, and none to start with.
    fn judge(&self, now: Instant) -> Result<(), Fault> {
        let waited = now.saturating_duration_since(self.started);
        if self.running || waited <= self.patience {
            return Ok(());
        }
        let (codec, seconds) = (self.codec, waited.as_secs());
        let detail = if codec.is_intra_only() {
            format!(
                "no complete {codec} picture in {seconds} s; lower the camera's quality or rate"
            )
        } else if self.pictures == 0 {
            format!(
                "no complete {codec} picture in {seconds} s; {}",
                self.last_error
            )
        } else if !self.sets_known {
            format!("no {codec} parameter sets that can be read in {seconds} s")
        } else {
            format!("no {codec} key frame in {seconds} s; shorten the camera's keyframe interval")
        };
        Err(Fault::new(FaultCause::NoKeyframe, detail))
    }

    fn count_picture(&mut self, start: bool, now: Instant) {
        if self.pictures > 0 {
            let gap = now.saturating_duration_since(self.last_picture);
            // Rises at once and falls slowly: the longest of the last ones counts.
            let before = self.interval.unwrap_or_default();
            self.interval = Some(gap.max(before.mul_f64(0.95)));
        }
        self.pictures += 1;
        self.errors_since_picture = 0;
        self.last_picture = now;
        if start {
            let apart = self.last_start.replace(now);
            if apart.is_some_and(|last| now.saturating_duration_since(last) > LONG_GROUP) {
                self.quirks.note(Quirk::LongGroups);
            }
        }
    }

    fn picture(
        &mut self,
        frame: Frame,
        lines: &mut Timelines,
        now: Instant,
        wall: SystemTime,
        events: &mut Vec<Event>,
    ) {
        self.count_picture(frame.start.is_some(), now);
        self.sets_known = frame.params.is_some();
        self.lost_before_start = self.lost_before_start.saturating_add(frame.lost_packets);
        let start = frame.start.filter(|_| frame.params.is_some());
        if !self.running && (start.is_none() || frame.damaged) {
            return;
        }
        self.follow_params(&frame, events);
        self.running = true;
        let Some(stamp) = lines.0.stamp(TrackKind::Video, frame.timestamp, now, wall) else {
            return;
        };
        self.notice(&stamp, events);
        events.push(Event::Unit(Box::new(AccessUnit {
            track: TrackKind::Video,
            media_time: stamp.media_time,
            wall_time: stamp.wall_time,
            camera_time: stamp.camera_time,
            received: now,
            keyframe: start.is_some(),
            start,
            params: frame.params,
            data: frame.data,
            lost_packets: std::mem::take(&mut self.lost_before_start),
            damaged: frame.damaged,
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

    fn notice(&mut self, stamp: &Stamp, events: &mut Vec<Event>) {
        self.window.0 += 1;
        if self.window.0 > 100 {
            self.window = (0, 0);
        }
        match stamp.noticed {
            Noticed::Regular | Noticed::Odd => {}
            Noticed::Jump => events.push(Event::Jump),
            Noticed::Reordered => {
                self.window.1 += 1;
                if self.window.1 >= B_FRAME_SIGNS && !self.told_b_frames {
                    self.told_b_frames = true;
                    events.push(Event::BFrames);
                }
            }
        }
    }

    fn sound(
        &self,
        frame: Frame,
        lines: &mut Timelines,
        now: Instant,
        wall: SystemTime,
        events: &mut Vec<Event>,
    ) {
        if !self.running {
            return;
        }
        let Some(stamp) = lines.0.stamp(TrackKind::Audio, frame.timestamp, now, wall) else {
            return;
        };
        events.push(Event::Unit(Box::new(AccessUnit {
            track: TrackKind::Audio,
            media_time: stamp.media_time,
            wall_time: stamp.wall_time,
            camera_time: stamp.camera_time,
            received: now,
            keyframe: true,
            start: None,
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
}
