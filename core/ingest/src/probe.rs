//! Connects to a camera once and says what it is and does, for whoever sets one up.

use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use taimat_base::clock;
use taimat_base::redact::Redactor;
use taimat_hub::FaultCause;
use taimat_media::{Quirks, Start, StreamInfo, TrackKind};
use taimat_rtsp::client::Way;
use taimat_rtsp::sdp::Description;
use taimat_rtsp::tracks::Tracks;

use crate::pipeline::{Event, Timelines};
use crate::retry::Retry;
use crate::rtsp::{self, Sink};
use crate::source::{SourceSpec, redactor};

/// What was found out about a camera.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Finding {
    /// What it calls itself.
    pub name: Option<String>,
    /// The tracks that it describes, each in a line.
    pub offered: Vec<String>,
    /// The way that its media takes.
    pub transport: Option<&'static str>,
    /// The video codec's name.
    pub codec: Option<&'static str>,
    /// Width and height of the picture.
    pub size: Option<(u32, u32)>,
    /// The sound that is carried.
    pub sound: Option<String>,
    /// Why there is none.
    pub no_sound: Option<String>,
    /// Pictures that came.
    pub pictures: u64,
    /// Pictures of which a part did not come.
    pub damaged: u64,
    /// Seconds over which they came.
    pub seconds: f64,
    /// Bytes of media.
    pub bytes: u64,
    /// Seconds from the request to the first picture that decoding can start with.
    pub first_picture_after: Option<f64>,
    /// Seconds between the last two pictures that decoding can start with.
    pub keyframe_interval: Option<f64>,
    /// Kinds of pictures that decoding can start with: `idr`, `recovery`, `refresh`, `intra`.
    pub starts: Vec<&'static str>,
    /// Whether it sends B-frames.
    pub b_frames: bool,
    /// How far its clock is ahead of ours, in seconds, if it says its time.
    pub clock_ahead: Option<f64>,
    /// What it does that no standard says, and how often: words of [`taimat_media::Quirk`].
    pub quirks: Vec<(&'static str, u32)>,
    /// What went wrong: the cause and a sentence.
    pub fault: Option<(&'static str, String)>,
}

impl Finding {
    /// Pictures a second.
    pub fn frame_rate(&self) -> Option<f64> {
        let between = self.pictures.checked_sub(1).filter(|n| *n > 0)?;
        (self.seconds > 0.0).then(|| between as f64 / self.seconds)
    }
}

struct Notes<'a> {
    found: Finding,
    redactor: &'a Redactor,
    begin: Instant,
    first: Option<Instant>,
    last_start: Option<Instant>,
    quirks: Quirks,
}

impl Sink for Notes<'_> {
    fn event(&mut self, event: Event) {
        match event {
            Event::Info(info) => self.info(&info),
            Event::NoSound(why) => {
                self.found.no_sound = Some(self.redactor.text(&why.to_string()));
                self.found.sound = None;
            }
            Event::Unit(unit) => {
                let at = unit.received;
                self.found.bytes += unit.data.len() as u64;
                if unit.track != TrackKind::Video {
                    return;
                }
                let first = *self.first.get_or_insert(at);
                self.found.pictures += 1;
                self.found.damaged += u64::from(unit.damaged);
                self.found.seconds = at.saturating_duration_since(first).as_secs_f64();
                if let Some(start) = unit.start {
                    self.start(start, at);
                }
                if let Some(camera) = unit.camera_time {
                    self.found.clock_ahead = Some(ahead(camera, clock::wall()));
                }
            }
            Event::BFrames => self.found.b_frames = true,
            Event::BadPacket(_) | Event::Jump | Event::NewParams { .. } => {}
        }
    }

    fn described(&mut self, description: &Description, tracks: &Tracks) {
        let offered = description.media.iter().map(ToString::to_string);
        self.found.offered = offered.map(|line| self.redactor.text(&line)).collect();
        let name = description.tool.as_ref().or(description.name.as_ref());
        self.found.name = name.map(|name| self.redactor.text(name));
        let why = tracks.no_sound.as_ref();
        self.found.no_sound = why.map(|why| self.redactor.text(&why.to_string()));
    }

    fn travels(&mut self, way: Way) {
        self.found.transport = Some(way.as_str());
    }

    fn quirks(&mut self, quirks: &Quirks) {
        self.quirks.merge(quirks);
    }
}

impl Notes<'_> {
    fn info(&mut self, info: &StreamInfo) {
        if let Some(video) = &info.video {
            self.found.codec = Some(video.codec.name());
            self.found.size = Some((video.params.width, video.params.height));
        }
        self.found.sound = info.audio.as_ref().map(|a| a.codec.name().to_owned());
    }

    fn start(&mut self, start: Start, at: Instant) {
        let word = start.as_str();
        if !self.found.starts.contains(&word) {
            self.found.starts.push(word);
        }
        match self.last_start.replace(at) {
            None => {
                let after = at.saturating_duration_since(self.begin);
                self.found.first_picture_after = Some(after.as_secs_f64());
            }
            Some(last) => {
                let apart = at.saturating_duration_since(last);
                self.found.keyframe_interval = Some(apart.as_secs_f64());
            }
        }
    }
}

fn ahead(camera: SystemTime, ours: SystemTime) -> f64 {
    match camera.duration_since(ours) {
        Ok(ahead) => ahead.as_secs_f64(),
        Err(behind) => -behind.duration().as_secs_f64(),
    }
}

/// Connects, watches for `watch`, disconnects. Tries the ways of transport that the router would.
pub async fn probe(spec: &SourceSpec, watch: Duration) -> Finding {
    let redactor = redactor(spec);
    let mut retry = Retry::new(spec);
    let mut timelines = Timelines::new(spec.clock);
    loop {
        let now = clock::now();
        let mut notes = Notes {
            found: Finding::default(),
            redactor: &redactor,
            begin: now,
            first: None,
            last_start: None,
            quirks: Quirks::default(),
        };
        let until = clock::sleep_until(now + watch);
        let plan = retry.plan();
        let ended = rtsp::receive(spec, &plan, &mut timelines, &mut notes, until).await;
        let mut found = notes.found;
        let seen = notes.quirks.seen();
        found.quirks = seen.map(|(quirk, count)| (quirk.as_str(), count)).collect();
        match ended {
            Err(fault) if retry.other_way(&fault) => continue,
            Err(fault) => {
                found.fault = Some((fault.cause.as_str(), redactor.text(&fault.detail)));
            }
            Ok(()) if found.pictures == 0 => {
                let detail = format!("no picture in {} s", watch.as_secs_f32());
                found.fault = Some((FaultCause::Stalled.as_str(), detail));
            }
            Ok(()) => {}
        }
        return found;
    }
}
