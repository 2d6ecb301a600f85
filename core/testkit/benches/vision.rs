//! What looking costs: decoders against each other, kernels against a copy of what they read, and
//! what one large camera does to fifty small ones.
//!
//! Run by `cargo xtask bench vision`; with `--libavcodec` it measures that decoder too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark"
)]
#![allow(clippy::disallowed_methods, reason = "measures time")]

use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use taimat_author::recording::{Film, Recording};
use taimat_base::metrics::Registry;
use taimat_base::tasks::Stop;
use taimat_base::{CameraKey, Profile, clock};
use taimat_contract::{FrameReader, FrameSource, UnixMicros, Want};
use taimat_hub::{Channel, ChannelKey, Hub, Limits};
use taimat_media::{AccessUnit, MediaTime, StreamInfo, VideoCodec, VideoTrack, codec::VIDEO_CLOCK};
use taimat_simulate::SceneKind;
use taimat_testkit::yard::{self, Yard};
use taimat_vision::decode::{self, Decoder};
use taimat_vision::kernels::{self, Source};
use taimat_vision::{Picture, Sampler, Vision};

const SIZES: [(usize, usize); 2] = [(640, 360), (1920, 1080)];
/// A real yard with the noise of a real sensor: size, how it is brought to it, bits a second.
const YARDS: [((usize, usize), &str, u32); 1] =
    [((640, 360), "scale=640:-2,crop=640:360", 500_000)];

fn main() {
    println!("## Decoders, CPU time of a picture");
    println!(
        "| pictures | picture | stream | Mbit/s at 10 pictures/s | decoder | µs | against H.264 in Rust |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for size in SIZES {
        decoders("drawn", size, &street(size, 4));
    }
    for (size, filter, bitrate) in YARDS {
        decoders("filmed", size, &filmed(filter, bitrate));
    }
    println!("\n## Kernels on a picture of 1920×1080, against a copy of its luma");
    println!("| kernel | µs | against the copy |\n| --- | --- | --- |");
    kernels();
    println!("\n## One camera of 3840×2160 beside fifty of 640×360, one decoder thread");
    println!(
        "| cameras | small: pictures seen, of those asked for | age when seen, median and 99 % ms | large: seen |"
    );
    println!("| --- | --- | --- | --- |");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    for large in [false, true] {
        runtime.block_on(beside(large));
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn street(size: (usize, usize), seconds: u32) -> Recording {
    let film = Film {
        size,
        rate: 10,
        seconds,
    };
    Recording::scene(SceneKind::Street, 3, film).unwrap()
}

fn filmed(filter: &'static str, bitrate: u32) -> Recording {
    let folder = tempfile::tempdir().unwrap();
    let yard = Yard {
        filter,
        rate: 10,
        bitrate: Some(bitrate),
    };
    let clip = yard::encoded(&yard, folder.path()).unwrap();
    Recording::open(clip.to_str().unwrap(), Film::default()).unwrap()
}

/// The same pictures as H.265, by ffmpeg.
fn as_h265(recording: &Recording) -> Recording {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("a.h264"), folder.path().join("a.h265"));
    let bytes: Vec<u8> = streams(recording).concat();
    std::fs::write(&from, bytes).unwrap();
    let done = Command::new("ffmpeg")
        .args(["-v", "error", "-r", "10", "-i"])
        .arg(&from)
        .args(["-c:v", "libx265", "-preset", "veryfast", "-x265-params"])
        .args(["bframes=0:keyint=20:log-level=none"])
        .arg(&to)
        .status()
        .expect("ffmpeg (Debian package ffmpeg)");
    assert!(done.success());
    Recording::open(to.to_str().unwrap(), Film::default()).unwrap()
}

fn streams(recording: &Recording) -> Vec<Vec<u8>> {
    let codec = recording.codec();
    let units = recording.units().iter();
    units
        .map(|(_, unit)| decode::stream(codec, unit).into_owned())
        .collect()
}

/// The same pictures as images.
fn as_jpeg(recording: &Recording) -> Vec<Vec<u8>> {
    recording
        .pictures()
        .map(|shown| jpeg(&shown.picture, 75))
        .collect()
}

fn jpeg(picture: &Picture, quality: u8) -> Vec<u8> {
    let (width, height) = (picture.width, picture.height);
    let chroma = |plane: &[u8]| {
        let (cw, ch) = picture.chroma_size();
        kernels::scale(Source::whole(plane, cw, ch), width, height)
    };
    let rgb = kernels::rgb(&picture.y, &chroma(&picture.cb), &chroma(&picture.cr));
    let mut image = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut image, quality);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_2_2);
    let size = (
        u16::try_from(width).unwrap(),
        u16::try_from(height).unwrap(),
    );
    encoder
        .encode(&rgb, size.0, size.1, jpeg_encoder::ColorType::Rgb)
        .unwrap();
    image
}

fn decoders(kind: &str, size: (usize, usize), recording: &Recording) {
    const ROUNDS: usize = 5;
    let sources = [
        (VideoCodec::H264, streams(recording)),
        (VideoCodec::H265, streams(&as_h265(recording))),
        (VideoCodec::Jpeg, as_jpeg(recording)),
    ];
    type Make = fn(VideoCodec) -> Box<dyn Decoder>;
    let mut makers: Vec<(&str, Make)> = vec![("Rust", decode::in_rust)];
    if decode::HAS_LIBAVCODEC {
        makers.push(("libavcodec", decode::decoder));
    }
    let mut first = None;
    for (codec, stream) in &sources {
        let bytes: usize = stream.iter().map(Vec::len).sum();
        let rate = bytes as f64 * 8.0 / stream.len() as f64 * 10.0 / 1e6;
        let mut times = vec![Vec::new(); makers.len()];
        for _ in 0..ROUNDS {
            for ((_, make), times) in makers.iter().zip(&mut times) {
                let mut decoder = make(*codec);
                let begin = clock::thread_now();
                let pictures: usize = stream
                    .iter()
                    .map(|s| decoder.decode(s).unwrap().len())
                    .sum();
                let cost = (clock::thread_now() - begin).as_secs_f64() * 1e6;
                assert!(
                    pictures + 5 > stream.len(),
                    "{pictures} of {}",
                    stream.len()
                );
                times.push(cost / pictures as f64);
            }
        }
        for ((name, _), times) in makers.iter().zip(&mut times) {
            if *codec == VideoCodec::Jpeg && *name != "Rust" {
                continue;
            }
            let cost = median(times);
            let first = *first.get_or_insert(cost);
            println!(
                "| {kind} | {}×{} | {codec} | {rate:.1} | {name} | {cost:.0} | {:.2} |",
                size.0,
                size.1,
                cost / first
            );
        }
    }
}

/// Median time of a run in µs.
fn timed(mut run: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..60)
        .map(|_| {
            let begin = Instant::now();
            run();
            begin.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    median(&mut times)
}

fn kernels() {
    let recording = street((1920, 1080), 1);
    let pictures: Vec<_> = recording.pictures().take(2).collect();
    let (before, now) = (&pictures[0].picture, &pictures[1].picture);
    let want = Want {
        width: 1920,
        height: 1080,
        max_fps: 100.0,
        keyframes_only: false,
        history: 1,
    };
    let sampler = Sampler::new("a".parse().unwrap(), want);
    let offer = |picture: &Arc<Picture>, at: u64| {
        sampler.offer(picture, Duration::from_millis(at), UnixMicros(0), true)
    };
    offer(before, 0).unwrap();
    let delivery = offer(now, 100).unwrap();
    let (frames, id) = (&delivery.frames, delivery.info.id);
    let earlier = frames.previous(id, 1).map(|f| f.id);
    let whole = taimat_contract::Region::whole(1920, 1080);
    let luma = Source::whole(&now.y, 1920, 1080);
    let copy = timed(|| drop(black_box(now.y.clone())));
    type Run<'a> = Box<dyn Fn() + 'a>;
    let shown: [(&str, Run<'_>); 7] = [
        (
            "scale to 640×360, all planes",
            Box::new(|| drop(black_box(now.scaled(640, 360)))),
        ),
        (
            "scale to 960×540, luma",
            Box::new(|| drop(black_box(kernels::scale(luma, 960, 540)))),
        ),
        (
            "`grid` 32×18",
            Box::new(|| drop(black_box(frames.grid(id, None, 32, 18).unwrap()))),
        ),
        (
            "`grid` 32×18 with change",
            Box::new(|| drop(black_box(frames.grid(id, earlier, 32, 18).unwrap()))),
        ),
        (
            "`gray` 320×180",
            Box::new(|| drop(black_box(frames.gray(id, whole, 320, 180).unwrap()))),
        ),
        (
            "`rgb` 320×180",
            Box::new(|| drop(black_box(frames.rgb(id, whole, 320, 180).unwrap()))),
        ),
        (
            "`jpeg` 640 wide",
            Box::new(|| drop(black_box(frames.jpeg(id, None, 640, 75).unwrap()))),
        ),
    ];
    println!("| copy of 2.07 MB | {copy:.0} | 1.00 |");
    for (name, run) in &shown {
        let cost = timed(run);
        println!("| {name} | {cost:.0} | {:.2} |", cost / copy);
    }
}

/// A camera whose recording is published over and over.
struct Playing {
    recording: Arc<Recording>,
    channel: Arc<Channel>,
    reader: Box<dyn FrameReader>,
}

impl Playing {
    fn start(hub: &Hub, vision: &Vision, name: &str, recording: &Arc<Recording>) -> Self {
        let camera = CameraKey::new("thu".parse().unwrap(), name.parse().unwrap());
        let channel = hub.ensure(
            &ChannelKey::new(camera.clone(), Profile::Main),
            Limits::default(),
        );
        let params = recording.units()[0].1.params.clone().unwrap();
        channel.set_info(StreamInfo {
            video: Some(VideoTrack {
                codec: recording.codec(),
                params,
            }),
            audio: None,
        });
        let want = Want {
            width: 320,
            height: 180,
            max_fps: 5.0,
            keyframes_only: false,
            history: 0,
        };
        Self {
            recording: Arc::clone(recording),
            channel,
            reader: vision.watch(&camera, &want),
        }
    }
}

fn publish(recording: &Recording, channel: &Channel, index: usize) {
    let units = recording.units();
    let unit = &units[index % units.len()].1;
    let ticks = i64::try_from(index).unwrap() * i64::from(VIDEO_CLOCK / 10);
    channel.publish(AccessUnit {
        media_time: MediaTime::new(ticks, VIDEO_CLOCK),
        wall_time: clock::wall(),
        received: clock::now(),
        ..unit.clone()
    });
}

async fn beside(large: bool) {
    const SMALL: usize = 50;
    const SECONDS: usize = 12;
    let small = Arc::new(street((640, 360), 4));
    let hub = Arc::new(Hub::new());
    let stop = Stop::new();
    let vision = Vision::start(Arc::clone(&hub), 1, &Registry::new(), &stop).unwrap();
    let mut cameras: Vec<Playing> = (0..SMALL)
        .map(|n| Playing::start(&hub, &vision, &format!("small-{n}"), &small))
        .collect();
    if large {
        let recording = Arc::new(street((3840, 2160), 4));
        cameras.push(Playing::start(&hub, &vision, "large", &recording));
    }
    let mut readers = Vec::new();
    let mut playing = Vec::new();
    for Playing {
        recording,
        channel,
        mut reader,
    } in cameras
    {
        readers.push(tokio::spawn(async move {
            let mut ages = Vec::new();
            while let Some(delivery) = reader.next().await {
                let age = UnixMicros::from(clock::wall()).0 - delivery.info.at.0;
                ages.push(age as f64 / 1000.0);
            }
            ages
        }));
        playing.push((recording, channel));
    }
    // Spread over the tenth of a second, as cameras are.
    let begin = Instant::now();
    let count = playing.len();
    for step in 0..SECONDS * 10 * count {
        let at = begin
            + Duration::from_millis(100) * u32::try_from(step).unwrap()
                / u32::try_from(count).unwrap();
        clock::sleep_until(at).await;
        let (recording, channel) = &playing[step % count];
        publish(recording, channel, step / count);
    }
    vision.stop(Duration::from_secs(5)).await;
    let mut ages = Vec::new();
    let mut seen_large = "–".to_owned();
    for (index, reader) in readers.into_iter().enumerate() {
        let of_camera = reader.await.unwrap();
        if index < SMALL {
            ages.extend(of_camera);
        } else {
            seen_large = of_camera.len().to_string();
        }
    }
    let asked = SMALL * SECONDS * 5;
    let seen = ages.len() as f64 * 100.0 / asked as f64;
    let middle = median(&mut ages);
    let late = ages[ages.len() * 99 / 100];
    let name = if large {
        "50 small, 1 large"
    } else {
        "50 small"
    };
    println!("| {name} | {seen:.0} % | {middle:.0}, {late:.0} | {seen_large} |");
    stop.cancel();
}
