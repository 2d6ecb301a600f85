//! What is decoded of a camera depends on who watches.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a set-up that fails fails its test"
)]

use std::sync::Arc;
use std::time::Duration;

use taimat_base::metrics::Registry;
use taimat_base::tasks::Stop;
use taimat_base::{CameraKey, Profile, clock};
use taimat_contract::{FrameId, FrameReader, FrameSource, Plane, Region, Want};
use taimat_hub::{Channel, ChannelKey, Hub, Limits};
use taimat_media::{
    AccessUnit, MediaTime, Start, StreamInfo, TrackKind, VideoCodec, VideoTrack, codec::VIDEO_CLOCK,
};
use taimat_simulate::{Encoded, Encoding, Scene, SceneKind, encode, number};
use taimat_vision::Vision;

const RATE: u32 = 10;
const LIMIT: Duration = Duration::from_secs(30);

struct Bench {
    hub: Arc<Hub>,
    vision: Arc<Vision>,
    registry: Registry,
    camera: CameraKey,
    frames: Vec<Encoded>,
}

impl Bench {
    /// A camera whose scene has three key frames.
    fn start() -> Self {
        let scene = Scene::new(SceneKind::Street, 5, 30, RATE);
        let encoding = Encoding {
            width: 320,
            height: 180,
            keyframe_interval: 10,
            bitrate: 400_000,
        };
        let registry = Registry::new();
        let hub = Arc::new(Hub::new());
        let vision = Vision::start(Arc::clone(&hub), 1, &registry, &Stop::new()).unwrap();
        Self {
            hub,
            vision,
            registry,
            camera: CameraKey::new("thu".parse().unwrap(), "cho".parse().unwrap()),
            frames: encode(&scene, &encoding).unwrap(),
        }
    }

    fn channel(&self, profile: Profile) -> Arc<Channel> {
        let key = ChannelKey::new(self.camera.clone(), profile);
        let channel = self.hub.ensure(&key, Limits::default());
        channel.set_info(StreamInfo {
            video: Some(VideoTrack {
                codec: VideoCodec::H264,
                params: Arc::clone(&self.frames[0].params),
            }),
            audio: None,
        });
        channel
    }

    /// Publishes the access unit of a frame.
    fn publish(&self, channel: &Channel, index: usize) {
        let frame = &self.frames[index];
        let ticks = i64::try_from(index).unwrap() * i64::from(VIDEO_CLOCK / RATE);
        channel.publish(AccessUnit {
            track: TrackKind::Video,
            media_time: MediaTime::new(ticks, VIDEO_CLOCK),
            wall_time: clock::wall(),
            received: clock::now(),
            camera_time: None,
            keyframe: frame.keyframe,
            start: frame.keyframe.then_some(Start::Idr),
            params: Some(Arc::clone(&frame.params)),
            data: frame.data.clone(),
            lost_packets: 0,
            damaged: false,
        });
    }

    fn counted(&self, metric: &str) -> f64 {
        let all = self.registry.gather();
        let family = all.iter().find(|family| family.name() == metric);
        family.map_or(0.0, |family| {
            family
                .get_metric()
                .iter()
                .map(|m| m.get_counter().get_value())
                .sum()
        })
    }
}

fn want(max_fps: f32, keyframes_only: bool) -> Want {
    Want {
        width: 320,
        height: 180,
        max_fps,
        keyframes_only,
        history: 0,
    }
}

/// The number in the next frame's picture.
async fn next(reader: &mut Box<dyn FrameReader>) -> u32 {
    let delivery = tokio::time::timeout(LIMIT, reader.next())
        .await
        .unwrap()
        .unwrap();
    let (id, width): (FrameId, u32) = (delivery.info.id, delivery.info.width);
    let strip = Region {
        x: 0,
        y: 0,
        width,
        height: 20,
    };
    let luma = delivery.frames.read_plane(id, Plane::Luma, strip).unwrap();
    number::read(&luma, width as usize).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_key_frames_costs_key_frames() {
    let bench = Bench::start();
    let channel = bench.channel(Profile::Main);
    let mut reader = bench.vision.watch(&bench.camera, &want(100.0, true));
    for index in 0..30 {
        bench.publish(&channel, index);
        if index % 10 == 0 {
            assert_eq!(next(&mut reader).await, u32::try_from(index).unwrap());
        }
    }
    bench.publish(&channel, 0);
    assert_eq!(next(&mut reader).await, 0);
    assert_eq!(bench.counted("taimat_vision_frames_decoded_total"), 4.0);
    assert_eq!(bench.counted("taimat_vision_decoder_restarts_total"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_watch_cost_one_decoder_and_the_small_picture_is_taken() {
    let bench = Bench::start();
    let (main, sub) = (bench.channel(Profile::Main), bench.channel(Profile::Sub));
    let mut fast = bench.vision.watch(&bench.camera, &want(100.0, false));
    let mut slow = bench.vision.watch(&bench.camera, &want(5.0, false));
    let mut slow_saw = Vec::new();
    for index in 0..10 {
        bench.publish(&sub, index);
        assert_eq!(next(&mut fast).await, u32::try_from(index).unwrap());
        if index % 2 == 0 {
            slow_saw.push(next(&mut slow).await);
        }
    }
    assert_eq!(slow_saw, [0, 2, 4, 6, 8]);
    assert_eq!(bench.counted("taimat_vision_frames_decoded_total"), 10.0);
    assert_eq!((main.readers(), sub.readers()), (0, 1));
    // Who does not watch any more costs nothing.
    drop((fast, slow));
    let mut readers = sub.watch_readers();
    tokio::time::timeout(LIMIT, readers.wait_for(|n| *n == 0))
        .await
        .unwrap()
        .unwrap();
}
