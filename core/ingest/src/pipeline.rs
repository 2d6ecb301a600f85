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
mod tests;
