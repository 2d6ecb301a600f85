//! Cameras that replay a loop, behind an RTSP server.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use taimat_base::budget::{Budget, BudgetMetrics};
use taimat_base::metrics::Registry;
use taimat_base::tasks::{Stop, Tasks};
use taimat_base::{CameraId, CameraKey, CommuneId, Profile, clock};
use taimat_egress::metrics::EgressMetrics;
use taimat_egress::rtsp::{Mounts, RtspConfig, RtspServer};
use taimat_egress::track::Tracks;
use taimat_hub::{Channel, ChannelKey, Hub, Limits, SourceState, Status};
use taimat_media::codec::VIDEO_CLOCK;
use taimat_media::{
    AccessUnit, AudioCodec, AudioTrack, MediaTime, Start, StreamInfo, TrackKind, VideoCodec,
    VideoTrack,
};
use tokio::sync::watch;

use crate::encode::{EncodeError, Encoded, Encoding, encode};
use crate::scene::{Scene, SceneKind, Truth};

/// What goes wrong with a camera on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It breaks all connections, again and again, this far apart.
    Drop(Duration),
    /// It stops sending, without breaking connections.
    Stall,
    /// It sends bytes that are no video.
    Garbage,
    /// It changes between its main and its small picture size in the running stream.
    Parameters(Duration),
}

/// One camera.
#[derive(Debug, Clone)]
pub struct CameraSpec {
    /// Its name: the first part of its URL's path.
    pub id: CameraId,
    /// What it sees.
    pub scene: SceneKind,
    /// What goes wrong.
    pub fault: Fault,
}

/// A fleet.
#[derive(Debug, Clone)]
pub struct FleetConfig {
    /// Where its RTSP server listens.
    pub bind: SocketAddr,
    /// The cameras.
    pub cameras: Vec<CameraSpec>,
    /// Decides the scenes' details.
    pub seed: u64,
    /// Frames a second of the main profile.
    pub rate: u32,
    /// Length of the loop.
    pub length: Duration,
    /// The main profile.
    pub main: Encoding,
    /// The sub profile; runs at the same frame rate.
    pub sub: Option<Encoding>,
    /// Whether cameras have a microphone: a quiet G.711 tone.
    pub audio: bool,
}

/// Why a fleet could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// A scene could not be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The server could not be started.
    #[error(transparent)]
    Server(#[from] std::io::Error),
    /// Metrics could not be registered.
    #[error(transparent)]
    Metrics(#[from] taimat_base::metrics::Error),
}

/// The truth about one camera, for whoever checks detections.
#[derive(Debug, Clone, Serialize)]
struct CameraTruth<'a> {
    camera: &'a CameraId,
    scene: SceneKind,
    frames_per_second: u32,
    frames: Vec<Truth>,
}

type Loop = Arc<Vec<Encoded>>;

/// Running cameras.
#[derive(Debug)]
pub struct Fleet {
    server: Arc<RtspServer>,
    tasks: Tasks,
    faults: HashMap<CameraId, watch::Sender<Fault>>,
    scenes: Vec<(CameraId, SceneKind, Arc<Scene>)>,
}

struct FleetMounts {
    hub: Arc<Hub>,
    commune: CommuneId,
}

impl Mounts for FleetMounts {
    /// `/{camera}/main` and `/{camera}/sub`.
    fn find(&self, path: &str, _query: Option<&str>) -> Option<Arc<Channel>> {
        let (camera, profile) = path.trim_matches('/').split_once('/')?;
        let profile = Profile::ALL.into_iter().find(|p| p.as_str() == profile)?;
        let camera = CameraKey::new(self.commune.clone(), camera.parse().ok()?);
        self.hub.get(&ChannelKey::new(camera, profile))
    }
}

impl Fleet {
    /// Draws, encodes and starts. Takes a second or two of computing per scene and profile.
    pub async fn start(config: FleetConfig) -> Result<Self, FleetError> {
        let stop = Stop::new();
        let hub = Arc::new(Hub::new());
        // A simulated camera is its own process's business: its metrics are not served.
        let registry = Registry::new();
        let metrics = Arc::new(EgressMetrics::register(&registry)?);
        let limits = Limits {
            history: Duration::from_secs(1),
            ..Limits::default()
        };
        let tracks = Arc::new(Tracks::new(&stop, limits));
        let commune: CommuneId = "sim"
            .parse()
            .unwrap_or_else(|_| unreachable!("a plain word"));
        // Seconds of computing: not on a thread that others need.
        let prepared = tokio::task::spawn_blocking(move || prepare(&config).map(|p| (p, config)));
        let ((scenes, loops), config) = prepared.await.map_err(std::io::Error::other)??;

        let mounts = Arc::new(FleetMounts {
            hub: Arc::clone(&hub),
            commune: commune.clone(),
        });
        let server_config = RtspConfig {
            bind: config.bind,
            // All are the router's, from one address, which may have half of them.
            places: Budget::new(BudgetMetrics::register(&registry)?.allot("rtsp", 2 * 4096)),
        };
        let server = RtspServer::start(&server_config, mounts, tracks, metrics, &stop).await?;
        let mut fleet = Self {
            server: Arc::new(server),
            tasks: Tasks::under(&stop),
            faults: HashMap::new(),
            scenes: Vec::new(),
        };
        for (number, camera) in (0_u32..).zip(&config.cameras) {
            let fault = watch::Sender::new(camera.fault);
            let key = CameraKey::new(commune.clone(), camera.id.clone());
            for profile in Profile::ALL {
                let Some(frames) = loops.get(&(camera.scene, profile)) else {
                    continue;
                };
                let other = loops
                    .get(&(camera.scene, profile.other()))
                    .unwrap_or(frames);
                fleet.replay(Replay {
                    channel: hub.ensure(&ChannelKey::new(key.clone(), profile), limits),
                    frames: Arc::clone(frames),
                    other: Arc::clone(other),
                    rate: config.rate,
                    // Cameras of one scene show different moments of it.
                    offset: number.wrapping_mul(77),
                    audio: config.audio && profile == Profile::Main,
                    fault: fault.subscribe(),
                    server: Arc::clone(&fleet.server),
                    path: format!("/{}/{profile}", camera.id),
                });
            }
            if let Some(scene) = scenes.get(&camera.scene) {
                let listed = (camera.id.clone(), camera.scene, Arc::clone(scene));
                fleet.scenes.push(listed);
            }
            fleet.faults.insert(camera.id.clone(), fault);
        }
        Ok(fleet)
    }

    fn replay(&self, replay: Replay) {
        let span = tracing::Span::none();
        self.tasks.spawn("replay", span, |stop| replay.run(stop));
    }

    /// Where the RTSP server listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// The URL of a camera.
    pub fn url(&self, camera: &CameraId, profile: Profile) -> String {
        format!("rtsp://{}/{camera}/{profile}", self.local_addr())
    }

    /// Makes something go wrong with a camera, or right again.
    pub fn set_fault(&self, camera: &CameraId, fault: Fault) {
        if let Some(sender) = self.faults.get(camera) {
            sender.send_replace(fault);
        }
    }

    /// What is true in every camera's loop, as JSON.
    pub fn truth(&self) -> serde_json::Result<String> {
        let list: Vec<CameraTruth<'_>> = self
            .scenes
            .iter()
            .map(|(camera, kind, scene)| CameraTruth {
                camera,
                scene: *kind,
                frames_per_second: scene.rate(),
                frames: (0..scene.frames()).map(|n| scene.truth(n)).collect(),
            })
            .collect();
        serde_json::to_string(&list)
    }

    /// Ends all of it.
    pub async fn stop(&self, deadline: Duration) {
        self.server.stop(deadline).await;
        self.tasks.stop(deadline).await;
    }
}

type Prepared = (
    HashMap<SceneKind, Arc<Scene>>,
    HashMap<(SceneKind, Profile), Loop>,
);

/// Draws and encodes the loops that the cameras need, each once.
fn prepare(config: &FleetConfig) -> Result<Prepared, FleetError> {
    let frames = u32::try_from(config.length.as_millis()).unwrap_or(u32::MAX) / 1000 * config.rate;
    let (mut scenes, mut loops) = (HashMap::new(), HashMap::new());
    for camera in &config.cameras {
        let kind = camera.scene;
        if scenes.contains_key(&kind) {
            continue;
        }
        let scene = Arc::new(Scene::new(kind, config.seed, frames.max(2), config.rate));
        loops.insert(
            (kind, Profile::Main),
            Arc::new(encode(&scene, &config.main)?),
        );
        if let Some(sub) = &config.sub {
            loops.insert((kind, Profile::Sub), Arc::new(encode(&scene, sub)?));
        }
        scenes.insert(kind, scene);
    }
    Ok((scenes, loops))
}

/// One camera's profile, replaying.
struct Replay {
    channel: Arc<Channel>,
    frames: Loop,
    other: Loop,
    rate: u32,
    offset: u32,
    audio: bool,
    fault: watch::Receiver<Fault>,
    server: Arc<RtspServer>,
    path: String,
}

impl Replay {
    async fn run(self, stop: Stop) {
        let begin = clock::now();
        let wall = clock::wall();
        if let Some(first) = self.frames.first() {
            self.describe(first);
        }
        self.channel
            .set_status(Status::new(SourceState::Live, wall));
        let step = Duration::from_secs(1) / self.rate;
        let mut dropped = begin;
        for number in 0_u32.. {
            let due = begin + step * number;
            tokio::select! {
                () = clock::sleep_until(due) => {}
                () = stop.cancelled() => return,
            }
            let fault = *self.fault.borrow();
            let loop_now = match fault {
                Fault::Stall => continue,
                Fault::Drop(every) if due.saturating_duration_since(dropped) >= every => {
                    dropped = due;
                    self.server.drop_clients(&self.path);
                    continue;
                }
                Fault::Parameters(every) if phase(number, step, every) % 2 == 1 => &self.other,
                _ => &self.frames,
            };
            self.publish(loop_now, number, due, wall + step * number, fault);
        }
    }

    /// The frame that the camera begins with: the key frame before its offset.
    fn start(&self) -> u32 {
        let count = u32::try_from(self.frames.len()).unwrap_or(1).max(1);
        let offset = self.offset % count;
        let keys = (0..=offset).rev();
        let is_key = |n: &u32| self.frames.get(*n as usize).is_some_and(|f| f.keyframe);
        keys.into_iter().find(is_key).unwrap_or(0)
    }

    fn publish(&self, frames: &Loop, number: u32, now: Instant, wall: SystemTime, fault: Fault) {
        let count = u32::try_from(frames.len()).unwrap_or(1).max(1);
        let place = number.wrapping_add(self.start()) % count;
        let Some(frame) = frames.get(place as usize) else {
            return;
        };
        self.describe(frame);
        let ticks = i64::from(number) * i64::from(VIDEO_CLOCK / self.rate);
        let mut data = frame.data.clone();
        if fault == Fault::Garbage {
            // Types that no codec has, and lengths that are right: the RTP layer is fine.
            let mut garbage = bytes::BytesMut::new();
            taimat_media::nal::push(&mut garbage, &[0x1F; 400]);
            data = garbage.freeze();
        }
        self.channel.publish(AccessUnit {
            track: TrackKind::Video,
            media_time: MediaTime::new(ticks, VIDEO_CLOCK),
            wall_time: wall,
            received: now,
            camera_time: None,
            keyframe: frame.keyframe,
            start: frame.keyframe.then_some(Start::Idr),
            params: Some(Arc::clone(&frame.params)),
            data,
            lost_packets: 0,
            damaged: false,
        });
        if self.audio {
            self.publish_tone(number, now, wall);
        }
    }

    /// A quiet tone of about 400 Hz, 8000 samples a second, as many as fit a frame's time.
    fn publish_tone(&self, number: u32, now: Instant, wall: SystemTime) {
        let samples = i64::from(8000 / self.rate);
        let first = i64::from(number) * samples;
        let tone: Vec<u8> = (first..first + samples)
            .map(|n| if n % 20 < 10 { 0xD8 } else { 0x58 })
            .collect();
        self.channel.publish(AccessUnit {
            track: TrackKind::Audio,
            media_time: MediaTime::new(first, 8000),
            wall_time: wall,
            received: now,
            camera_time: None,
            keyframe: true,
            start: None,
            params: None,
            data: tone.into(),
            lost_packets: 0,
            damaged: false,
        });
    }

    fn describe(&self, frame: &Encoded) {
        let known = self.channel.info();
        let same = known
            .as_ref()
            .and_then(|i| i.video.as_ref())
            .map(|v| &v.params);
        if frame.keyframe && same != Some(&frame.params) {
            let track = VideoTrack {
                codec: VideoCodec::H264,
                params: Arc::clone(&frame.params),
            };
            let audio = AudioTrack {
                codec: AudioCodec::Pcmu,
                rate: 8000,
                channels: 1,
            };
            self.channel.set_info(StreamInfo {
                video: Some(track),
                audio: self.audio.then_some(audio),
            });
        }
    }
}

/// How many times `every` has passed.
fn phase(number: u32, step: Duration, every: Duration) -> u128 {
    (step * number).as_millis() / every.as_millis().max(1)
}
