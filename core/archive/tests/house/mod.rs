//! An archive, and cameras that are recorded: their line of time is given, not waited for.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a set-up that fails fails its test; not every test needs all of it"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use taimat_archive::{
    Archive, ArchiveSurroundings, CameraArchive, CommuneArchive, Keep, Mode, Watching,
};
use taimat_base::metrics::Registry;
use taimat_base::tasks::Tasks;
use taimat_base::{CameraKey, CommuneId, PluginId, Profile, clock};
use taimat_contract::place::{BlobStore, Places};
use taimat_contract::policy::{Policies, Policy};
use taimat_contract::storage::{Storage, Storages};
use taimat_contract::{CommuneFacts, UnixMicros};
use taimat_hub::{Channel, ChannelKey, Hub, Limits, SourceState, Status};
use taimat_media::{AccessUnit, MediaTime, Start, StreamInfo, TrackKind, VideoCodec, VideoTrack};
use taimat_simulate::{Encoded, Encoding, Scene, SceneKind, encode};

/// Pictures a second.
pub(crate) const RATE: u32 = 10;

/// Three seconds, a key frame each second, small.
pub(crate) static PICTURES: LazyLock<Vec<Encoded>> = LazyLock::new(|| {
    let scene = Scene::new(SceneKind::Street, 1, 3 * RATE, RATE);
    let encoding = Encoding {
        width: 160,
        height: 90,
        keyframe_interval: RATE,
        bitrate: 100_000,
    };
    encode(&scene, &encoding).unwrap()
});

/// Everything around the archive.
#[derive(Debug)]
pub(crate) struct Around;

impl Watching for Around {
    fn is_watched(&self, _camera: &CameraKey) -> bool {
        true
    }
}

#[async_trait]
impl Policies for Around {
    fn policy(&self, _: &CommuneId, _: &PluginId) -> Option<Arc<dyn Policy>> {
        None
    }
}

impl Places for Around {
    fn place(&self, _: &CommuneId, _: &str) -> Option<Arc<dyn BlobStore>> {
        None
    }
}

impl Storages for Around {
    fn storage(&self, _: &CommuneId, _: &PluginId) -> Option<Arc<dyn Storage>> {
        None
    }
}

/// A camera whose pictures are pushed by the test.
pub(crate) struct Camera {
    pub(crate) channel: Arc<Channel>,
    sent: u64,
    /// When the next picture is captured.
    pub(crate) at: SystemTime,
}

impl Camera {
    /// Sends what it captures in some time, much faster than that.
    pub(crate) async fn film(&mut self, span: Duration) {
        let count = span.as_millis() * u128::from(RATE) / 1000;
        let first = self.sent == 0;
        for n in 0..count {
            self.picture();
            // Who has just joined begins with the newest key frame.
            let pause = match n {
                0 if first => 300,
                n if n % u128::from(RATE) == 0 => 5,
                _ => continue,
            };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Sends a picture.
    pub(crate) fn picture(&mut self) {
        let place = usize::try_from(self.sent).unwrap() % PICTURES.len();
        let picture = &PICTURES[place];
        self.channel.publish(AccessUnit {
            track: TrackKind::Video,
            media_time: MediaTime::new(i64::try_from(self.sent).unwrap() * 9000, 90_000),
            wall_time: self.at,
            camera_time: Some(self.at + Duration::from_millis(250)),
            received: clock::now(),
            keyframe: picture.keyframe,
            start: picture.keyframe.then_some(Start::Idr),
            params: Some(Arc::clone(&picture.params)),
            data: picture.data.clone(),
            lost_packets: 0,
            damaged: false,
        });
        self.sent += 1;
        self.at += Duration::from_millis(1000 / u64::from(RATE));
    }

    /// Nothing comes for some time.
    pub(crate) fn pause(&mut self, span: Duration) {
        self.at += span;
    }
}

/// An archive that records.
pub(crate) struct House {
    pub(crate) archive: Arc<Archive>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) tasks: Tasks,
    pub(crate) registry: Registry,
}

pub(crate) fn commune() -> CommuneId {
    "hoa-lac".parse().unwrap()
}

pub(crate) fn key(camera: &str) -> ChannelKey {
    let camera = CameraKey::new(commune(), camera.parse().unwrap());
    ChannelKey::new(camera, Profile::Main)
}

/// How a camera is recorded if nothing else is said.
pub(crate) fn recorded(camera: &str) -> CameraArchive {
    CameraArchive {
        camera: key(camera).camera,
        profiles: vec![Profile::Main],
        mode: Mode::Continuous,
        schedule: Vec::new(),
        keep: Keep::default(),
        quota: None,
    }
}

/// A commune whose cameras are recorded.
pub(crate) fn file(cameras: Vec<CameraArchive>) -> CommuneArchive {
    CommuneArchive {
        commune: commune(),
        cameras,
        quota: None,
        storage: None,
        policy: None,
        stores: Vec::new(),
        facts: Arc::new(CommuneFacts::default()),
        said: String::new(),
    }
}

impl House {
    /// Opens the archive in a folder and records these cameras.
    pub(crate) fn open(folder: &Path, cameras: Vec<CameraArchive>) -> Self {
        Self::with(folder, file(cameras))
    }

    pub(crate) fn with(folder: &Path, commune: CommuneArchive) -> Self {
        let registry = Registry::new();
        let archive = Arc::new(Archive::open(folder, 0, &registry).unwrap());
        let house = Self {
            archive,
            hub: Arc::new(Hub::new()),
            tasks: Tasks::new(),
            registry,
        };
        house.archive.configure(vec![commune]);
        let around = ArchiveSurroundings {
            watching: Arc::new(Around),
            policies: Arc::new(Around),
            storages: Arc::new(Around),
            places: Arc::new(Around),
        };
        house
            .archive
            .run(&house.tasks, Arc::clone(&house.hub), around);
        house
    }

    /// A camera whose first picture is captured at a time.
    pub(crate) fn camera(&self, name: &str, at: SystemTime) -> Camera {
        let channel = self.hub.ensure(&key(name), Limits::default());
        channel.set_info(StreamInfo {
            video: Some(VideoTrack {
                codec: VideoCodec::H264,
                params: Arc::clone(&PICTURES[0].params),
            }),
            audio: None,
        });
        channel.set_status(Status::new(SourceState::Live, clock::wall()));
        Camera {
            channel,
            sent: 0,
            at,
        }
    }

    /// Ends as the router does: what there is is written.
    pub(crate) async fn close(self) {
        self.tasks.stop(Duration::from_secs(5)).await;
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

/// Microseconds since 1970.
pub(crate) fn micros(at: SystemTime) -> UnixMicros {
    UnixMicros::from(at)
}

/// All files of recordings below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if path.extension().is_some_and(|e| e == "mp4") {
            all.push(path);
        }
    }
    all.sort();
    all
}

/// How many pictures ffprobe finds in a file; it may have nothing to complain about.
pub(crate) fn pictures_in(file: &Path) -> u32 {
    let out = Command::new("ffprobe")
        .args(["-v", "warning", "-count_frames", "-select_streams", "v:0"])
        .args(["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"])
        .arg(file)
        .output()
        .expect("ffprobe, of Debian's package ffmpeg");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(
        out.status.success() && said.is_empty(),
        "{}: {said}",
        file.display()
    );
    let counted = String::from_utf8_lossy(&out.stdout);
    let counted = counted.trim().trim_end_matches(',');
    counted
        .parse()
        .unwrap_or_else(|_| panic!("{}: {counted:?}", file.display()))
}
