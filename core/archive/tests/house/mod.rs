//! An archive, and cameras that are recorded: their line of time is given, not waited for.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a set-up that fails fails its test; not every test needs all of it"
)]

pub(crate) mod disk;
pub(crate) mod fleet;

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use taimat_archive::{
    Archive, ArchiveSurroundings, CameraArchive, CommuneArchive, GapReason, Keep, Mode, MovieFile,
    Timeline, TroubleKind, Watching,
};
use taimat_base::metrics::Registry;
use taimat_base::tasks::Tasks;
use taimat_base::{CameraKey, CommuneId, PluginId, Profile, clock};
use taimat_contract::place::{BlobStore, Places};
use taimat_contract::policy::{Policies, Policy};
use taimat_contract::storage::{Storage, Storages};
use taimat_contract::{CommuneFacts, UnixMicros};
use taimat_hub::{Channel, ChannelKey, Cursor, Hub, Limits, Read, SourceState, Status};
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

/// Somebody who looks at a camera.
struct Viewer {
    cursor: Cursor<AccessUnit>,
    missed: u64,
    seen: u64,
}

/// A camera whose pictures are pushed by the test.
pub(crate) struct Camera {
    pub(crate) channel: Arc<Channel>,
    sent: u64,
    viewer: Option<Viewer>,
    /// When the next picture is captured.
    pub(crate) at: SystemTime,
}

impl Camera {
    /// Sends what it captures in some time, much faster than that.
    pub(crate) async fn film(&mut self, span: Duration) {
        self.film_of(&PICTURES, span).await;
    }

    /// The same, with other pictures.
    pub(crate) async fn film_of(&mut self, pictures: &[Encoded], span: Duration) {
        let count = span.as_millis() * u128::from(RATE) / 1000;
        let first = self.sent == 0;
        for n in 0..count {
            let place = usize::try_from(self.sent).unwrap() % pictures.len();
            let lasts = Duration::from_millis(1000 / u64::from(RATE));
            self.send(&pictures[place], lasts);
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
        self.send(
            &PICTURES[place],
            Duration::from_millis(1000 / u64::from(RATE)),
        );
    }

    /// Sends a picture that lasts so long.
    pub(crate) fn send(&mut self, picture: &Encoded, lasts: Duration) {
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
        self.at += lasts;
        if let Some(viewer) = &mut self.viewer {
            while let Some(read) = viewer.cursor.try_next() {
                match read {
                    Read::Item(..) => viewer.seen += 1,
                    Read::Lost(_) | Read::Closed => viewer.missed += 1,
                }
            }
        }
    }

    /// From now on somebody looks at it.
    pub(crate) fn look(&mut self) {
        let mut cursor = self.channel.read();
        // What the hub kept from before.
        while cursor.try_next().is_some() {}
        self.viewer = Some(Viewer {
            cursor,
            missed: 0,
            seen: 0,
        });
    }

    /// How many pictures whoever looks has seen, if none was missed.
    pub(crate) fn seen(&self) -> u64 {
        let viewer = self.viewer.as_ref().unwrap();
        assert_eq!(viewer.missed, 0, "whoever looks has missed something");
        viewer.seen
    }

    /// How many pictures it has sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
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
        Self::above(folder, 0, commune)
    }

    /// So many bytes of the disk are left free.
    pub(crate) fn above(folder: &Path, floor: u64, commune: CommuneArchive) -> Self {
        let registry = Registry::new();
        let archive = Arc::new(Archive::open(folder, floor, &registry).unwrap());
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
            viewer: None,
            at,
        }
    }

    /// What there is of a camera between two moments.
    pub(crate) fn of(&self, camera: &str, from: SystemTime, to: SystemTime) -> Timeline {
        let timeline = self
            .archive
            .timeline(&key(camera), micros(from), micros(to));
        timeline.unwrap()
    }

    /// Parts that were lost of a camera, by the metric's reason.
    pub(crate) fn lost(&self, camera: &str, reason: GapReason) -> u64 {
        let labels = [("camera", camera), ("reason", reason.as_str())];
        let families = self.registry.gather();
        let own = families
            .iter()
            .filter(|family| family.name() == "taimat_segment_parts_lost_total")
            .flat_map(|family| family.get_metric())
            .filter(|one| {
                labels.iter().all(|(name, value)| {
                    let mut all = one.get_label().iter();
                    all.any(|label| label.name() == *name && label.value() == *value)
                })
            });
        own.map(|one| one.get_counter().get_value() as u64).sum()
    }

    /// The sum of a histogram.
    pub(crate) fn seconds(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let own = families.iter().find(|family| family.name() == name);
        own.unwrap().get_metric()[0]
            .get_histogram()
            .get_sample_sum()
    }

    /// Whether something of that kind is the matter.
    pub(crate) fn has(&self, kind: TroubleKind) -> bool {
        self.archive.troubles().iter().any(|one| one.kind == kind)
    }

    /// Ends as the router does: what there is is written.
    pub(crate) async fn close(self) {
        self.tasks.stop(Duration::from_secs(5)).await;
    }
}

/// Cameras film as time goes by, while something else happens.
pub(crate) async fn filming<T>(cameras: &mut [Camera], meanwhile: impl Future<Output = T>) -> T {
    let film = async {
        let mut beat = Beat::start();
        loop {
            cameras.iter_mut().for_each(Camera::picture);
            beat.next().await;
        }
    };
    tokio::select! {
        biased;
        done = meanwhile => done,
        () = film => unreachable!("it films as long as it is asked to"),
    }
}

/// Has cameras film so much, as fast as cameras do.
pub(crate) async fn film_for(cameras: &mut [Camera], span: Duration) {
    let mut beat = Beat::start();
    for _ in 0..span.as_millis() * u128::from(RATE) / 1000 {
        cameras.iter_mut().for_each(Camera::picture);
        beat.next().await;
    }
}

/// The rhythm of pictures, in real time: disks know no other.
pub(crate) struct Beat(tokio::time::Instant);

impl Beat {
    /// Of a picture, in time.
    pub(crate) const STEP: Duration = Duration::from_millis(1000 / RATE as u64);

    pub(crate) fn start() -> Self {
        Self(tokio::time::Instant::from_std(clock::now()))
    }

    /// Until the next picture is due.
    pub(crate) async fn next(&mut self) {
        self.0 += Self::STEP;
        tokio::time::sleep_until(self.0).await;
    }
}

/// A picture with so many bytes, or more: what is behind its own is filler, of which decoders think nothing.
pub(crate) fn with_filler(picture: &Encoded, bytes: usize) -> Encoded {
    let mut data = picture.data.to_vec();
    let bytes = bytes.max(data.len() + 5);
    let filler = bytes - data.len() - 4;
    data.extend_from_slice(&u32::try_from(filler).unwrap().to_be_bytes());
    // Type 12, and its bytes.
    data.push(12);
    data.resize(bytes, 0xFF);
    Encoded {
        data: data.into(),
        ..picture.clone()
    }
}

/// The usual pictures, each with so many bytes.
pub(crate) fn blown_up(bytes: usize) -> Vec<Encoded> {
    let all = PICTURES.iter();
    all.map(|picture| with_filler(picture, bytes)).collect()
}

/// Where nothing is, by the reasons.
pub(crate) fn gaps(timeline: &Timeline) -> Vec<GapReason> {
    timeline.gaps.iter().map(|gap| gap.reason).collect()
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..3000 {
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

/// The movie as a file, put together as it is sent.
pub(crate) fn write_movie(movie: &MovieFile, to: &Path) {
    let mut file = std::fs::File::create(to).unwrap();
    file.write_all(&movie.movie.header(&[], &[])).unwrap();
    for piece in &movie.pieces {
        let mut from = std::fs::File::open(&piece.path).unwrap();
        from.seek(SeekFrom::Start(piece.offset)).unwrap();
        std::io::copy(&mut from.take(piece.bytes), &mut file).unwrap();
    }
}

/// How many pictures ffprobe finds in a file; it may have nothing to complain about.
pub(crate) fn pictures_in(file: &Path) -> u32 {
    taimat_testkit::movies::pictures_in(file).unwrap()
}
