//! What plugins cost: the boundary of the sandbox against the same code without it, cameras a core,
//! the time from a file to its effect, instances that wait.
//!
//! Run by `cargo xtask bench plugins`, which says where the router's binary is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark"
)]
#![allow(clippy::disallowed_methods, reason = "measures time")]

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use detect_motion::{Motion, Settings};
use nix::sys::resource::{UsageWho, getrusage};
use taimat_author::recording::{Film, Recording};
use taimat_author::trial::run;
use taimat_base::metrics::Registry;
use taimat_base::tasks::Stop;
use taimat_base::{CameraKey, clock};
use taimat_contract::{
    Delivery, Detected, DetectionSink, FrameReader, FrameSource, UnixMicros, Want,
};
use taimat_media::VideoCodec;
use taimat_sandbox::compile::{Caps, Where};
use taimat_sandbox::limits::LimitSettings;
use taimat_sandbox::{Grant, PluginSpec, RunState, Sandbox, SandboxConfig, Trial};
use taimat_sdk::Detector;
use taimat_sdk::testing;
use taimat_server::{Options, Router};
use taimat_simulate::{CameraSpec, Encoding, Fault, Fleet, FleetConfig, SceneKind};
use taimat_testkit::gstreamer::write_commune;
use taimat_testkit::plugins;
use taimat_testkit::yard::{self, Yard};
use taimat_vision::decode::{self, Decoder};
use taimat_vision::{Picture, Sampler};

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let single = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    println!("## detect-motion as a component against itself natively, CPU time of a frame");
    println!(
        "| picture | native µs | component µs | component / native |\n| --- | --- | --- | --- |"
    );
    for width in [320, 640] {
        single.block_on(boundary(width));
    }
    println!(
        "\n## Cameras a core: decoded, scaled, and looked at by detect-motion five times a second"
    );
    println!(
        "| pictures | sub-stream | decoder | CPU ms a second of it | cameras a core | decoding alone, ms: Rust | libavcodec |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for rate in [10, 25] {
        single.block_on(cameras("drawn", rate, &drawn(rate)));
    }
    for rate in [10, 25] {
        single.block_on(cameras("filmed", rate, &filmed(rate)));
    }
    println!("\n## From the file's landing to its generation running");
    runtime.block_on(landing());
    println!("\n## Instances that wait for frames");
    runtime.block_on(idle());
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Both in turn, so that the machine's mood cancels out.
async fn boundary(width: u32) {
    const FRAMES: usize = 60;
    const ROUNDS: usize = 9;
    let film = Film {
        size: (640, 360),
        rate: 5,
        seconds: 12,
    };
    let recording = Recording::scene(SceneKind::Street, 1, film).unwrap();
    let package = plugins::package("detect-motion").unwrap();
    let settings = format!("{{ \"width\": {width} }}");
    let mut trial = Trial::start(&package, &settings, &LimitSettings::default())
        .await
        .unwrap();
    let sampler = Sampler::new("a".parse().unwrap(), trial.want());
    let mut native = Motion::new(Settings {
        width,
        ..Settings::default()
    })
    .unwrap();
    let shown: Vec<_> = recording.pictures().take(FRAMES).collect();
    let scaled = |picture: &Arc<Picture>| {
        let size = (
            width as usize,
            width as usize * picture.height / picture.width,
        );
        let picture = picture.scaled(size.0, size.1);
        testing::Picture {
            width,
            height: size.1 as u32,
            luma: picture.y,
            cb: picture.cb,
            cr: picture.cr,
        }
    };
    let pictures: Rc<Vec<testing::Picture>> =
        Rc::new(shown.iter().map(|s| scaled(&s.picture)).collect());
    let (mut natives, mut components, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut time = Duration::ZERO;
    for _ in 0..ROUNDS {
        let (mut inside, mut outside) = (Vec::new(), Vec::new());
        for (at, shown) in shown.iter().enumerate() {
            time += Duration::from_millis(200);
            let moment = UnixMicros(i64::try_from(time.as_micros()).unwrap());
            let delivery = sampler.offer(&shown.picture, time, moment, false).unwrap();
            let begin = clock::thread_now();
            let seen = trial.frame(&delivery).await.unwrap();
            inside.push((clock::thread_now() - begin).as_secs_f64() * 1e6);
            let frame = testing::frame_at(&pictures, at, moment.0);
            let begin = clock::thread_now();
            let same = native.on_frame(&frame).unwrap();
            outside.push((clock::thread_now() - begin).as_secs_f64() * 1e6);
            let regions = |n: Option<usize>| n.unwrap_or(0);
            assert_eq!(
                regions(seen.first().map(|d| d.regions.len())),
                regions(same.first().map(|d| d.regions.len())),
                "they do the same work"
            );
        }
        let (inside, outside) = (median(&mut inside), median(&mut outside));
        natives.push(outside);
        components.push(inside);
        ratios.push(inside / outside);
    }
    println!(
        "| {width}×{} | {:.0} | {:.0} | {:.2} |",
        width * 9 / 16,
        median(&mut natives),
        median(&mut components),
        median(&mut ratios)
    );
}

fn drawn(rate: u32) -> Recording {
    let film = Film {
        size: (640, 360),
        rate,
        seconds: 20,
    };
    Recording::scene(SceneKind::Street, 1, film).unwrap()
}

/// A real yard, with the noise of a real sensor, in the bits that a sub-stream has.
fn filmed(rate: u32) -> Recording {
    let folder = tempfile::tempdir().unwrap();
    let yard = Yard {
        filter: "scale=640:-2,crop=640:360",
        rate,
        bitrate: Some(if rate > 10 { 800_000 } else { 500_000 }),
    };
    let clip = yard::encoded(&yard, folder.path()).unwrap();
    Recording::open(clip.to_str().unwrap(), Film::default()).unwrap()
}

/// CPU time of decoding a second of it, in ms.
fn decoding(recording: &Recording, make: fn(VideoCodec) -> Box<dyn Decoder>, seconds: f64) -> f64 {
    let codec = recording.codec();
    let streams = recording.units().iter();
    let streams: Vec<_> = streams
        .map(|(_, unit)| decode::stream(codec, unit))
        .collect();
    let mut times: Vec<f64> = (0..3)
        .map(|_| {
            let mut decoder = make(codec);
            let begin = cpu();
            let pictures: usize = streams
                .iter()
                .map(|stream| decoder.decode(stream).unwrap().len())
                .sum();
            assert!(pictures + 5 > streams.len(), "{pictures} pictures");
            (cpu() - begin).as_secs_f64() * 1000.0 / seconds
        })
        .collect();
    median(&mut times)
}

async fn cameras(kind: &str, rate: u32, recording: &Recording) {
    let seconds = recording.len() as f64 / f64::from(rate);
    let package = plugins::package("detect-motion").unwrap();
    let mut costs = Vec::new();
    for _ in 0..5 {
        let begin = cpu();
        let outcome = run(&package, "{}", &LimitSettings::default(), recording)
            .await
            .unwrap();
        let cost = (cpu() - begin).as_secs_f64();
        assert!(outcome.frames.len() as f64 >= 5.0 * seconds - 3.0);
        // Compiling the component is part of the run and not of the cost.
        let begin = cpu();
        drop(
            Trial::start(&package, "{}", &LimitSettings::default())
                .await
                .unwrap(),
        );
        let start = (cpu() - begin).as_secs_f64();
        costs.push((cost - start) / seconds);
    }
    let cost = median(&mut costs);
    let (decoder, libavcodec) = if decode::HAS_LIBAVCODEC {
        let alone = decoding(recording, decode::decoder, seconds);
        ("libavcodec", format!("{alone:.2}"))
    } else {
        ("Rust", "–".to_owned())
    };
    println!(
        "| {kind} | 640×360@{rate} | {decoder} | {:.2} | {:.0} | {:.2} | {libavcodec} |",
        cost * 1000.0,
        1.0 / cost,
        decoding(recording, decode::in_rust, seconds)
    );
}

/// The whole way: notify, quiet time, reading, compiling in a child, start, switch.
async fn landing() {
    const ROUNDS: u32 = 11;
    let taimat = std::env::var_os("TAIMAT").expect("TAIMAT names the router's binary");
    let fleet = Fleet::start(FleetConfig {
        bind: "127.0.0.1:0".parse().unwrap(),
        cameras: vec![CameraSpec {
            id: "cho".parse().unwrap(),
            scene: SceneKind::Street,
            fault: Fault::None,
        }],
        main: Encoding {
            width: 640,
            height: 360,
            keyframe_interval: 20,
            bitrate: 400_000,
        },
        sub: None,
        rate: 10,
        length: Duration::from_secs(10),
        seed: 1,
        audio: false,
    })
    .await
    .unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("thu");
    let main = format!(
        "main = \"rtsp://{}/cho/main\"\n[plugin.motion]\ncomponent = \"plugins/motion.wasm\"\n\
         cameras = [\"*\"]\ngrant = {{ frames = {{ width = 640, fps = 5 }} }}",
        fleet.local_addr()
    );
    write_commune(&folder, &[("cho", main)]).unwrap();
    std::fs::create_dir_all(folder.join("plugins")).unwrap();
    let options = Options {
        data: Some(temporary.path().join("data")),
        compile: Where::Child(taimat.into(), Caps::default()),
        ..Options::on_loopback(vec![folder.clone()])
    };
    let router = Router::start(options).await.unwrap();
    let url = format!(
        "http://{}/api/v1/communes/thu/plugins/motion",
        router.http_addr()
    );
    let mut times = Vec::new();
    for round in 1..=ROUNDS {
        let version = format!("version = \"1.0.{round}\"");
        let file = plugins::packed("detect-motion", |m| {
            m.replace("version = \"0.1.0\"", &version)
        })
        .unwrap();
        std::fs::write(folder.join("new"), file).unwrap();
        let begin = Instant::now();
        std::fs::rename(folder.join("new"), folder.join("plugins/motion.wasm")).unwrap();
        loop {
            let text = reqwest::get(&url).await.unwrap().text().await.unwrap();
            let plugin: serde_json::Value = serde_json::from_str(&text).unwrap();
            if plugin["cameras"]["cho"]["generation"] == round {
                break;
            }
            assert!(begin.elapsed() < Duration::from_secs(30), "{text}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        times.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    let worst = times.iter().copied().fold(0.0, f64::max);
    println!(
        "never seen before, compiled: median {:.0} ms, worst {worst:.0} ms of {ROUNDS}; 20 ms of it wait for what comes with it",
        median(&mut times)
    );
    router.stop().await;
    fleet.stop(Duration::from_secs(2)).await;
}

/// A camera that gives nothing.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl FrameReader for Nothing {
    async fn next(&mut self) -> Option<Delivery> {
        std::future::pending().await
    }
}

impl FrameSource for Nothing {
    fn watch(&self, _camera: &CameraKey, _want: &Want) -> Box<dyn FrameReader> {
        Box::new(Self)
    }
}

impl DetectionSink for Nothing {
    fn publish(&self, _detected: &Detected<'_>) {}
}

fn rss_kib() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4.0
}

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let of = |t: nix::sys::time::TimeVal| {
        Duration::new(
            t.tv_sec().try_into().unwrap(),
            u32::try_from(t.tv_usec()).unwrap() * 1000,
        )
    };
    of(usage.user_time()) + of(usage.system_time())
}

async fn idle() {
    const SPAN: Duration = Duration::from_secs(10);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("motion.wasm");
    std::fs::write(&file, plugins::package("detect-motion").unwrap()).unwrap();
    let config = SandboxConfig {
        threads: 2,
        instances: 400,
        compile: Where::Here,
        data: Some(folder.path().join("data")),
    };
    let sandbox = Sandbox::start(
        config,
        Arc::new(Nothing),
        Arc::new(Nothing),
        &Registry::new(),
        &Stop::new(),
    )
    .unwrap();
    let spec = |cameras: usize| PluginSpec {
        commune: "thu".parse().unwrap(),
        name: "motion".parse().unwrap(),
        component: file.clone(),
        enabled: true,
        cameras: (0..cameras)
            .map(|n| CameraKey::new("thu".parse().unwrap(), format!("c{n}").parse().unwrap()))
            .collect(),
        settings: "{}".into(),
        facts: std::sync::Arc::default(),
        camera_settings: std::collections::BTreeMap::new(),
        grant: Grant {
            frames: Some((640, 5.0)),
            state_bytes: None,
            ..Grant::default()
        },
        limits: LimitSettings::default(),
        trusted_keys: Vec::new(),
    };
    let mut before = (0.0, 0.0);
    for cameras in [1, 101] {
        sandbox.reconcile(vec![spec(cameras)]);
        taimat_testkit::eventually("all run", SPAN, async || {
            let status = sandbox
                .get(&"thu".parse().unwrap(), &"motion".parse().unwrap())?
                .0;
            let ready = status
                .cameras
                .values()
                .filter(|c| c.state == RunState::Running);
            (ready.count() == cameras).then_some(())
        })
        .await;
        let begin = cpu();
        tokio::time::sleep(SPAN).await;
        let now = (
            rss_kib(),
            (cpu() - begin).as_secs_f64() / SPAN.as_secs_f64(),
        );
        if cameras > 1 {
            println!(
                "a hundred of detect-motion more: {:.0} KiB each, {:.2} % of a core together",
                (now.0 - before.0) / 100.0,
                (now.1 - before.1) * 100.0
            );
        }
        before = now;
    }
    sandbox.stop(Duration::from_secs(2)).await;
}
