//! What taking in a camera costs, in one run, so that the machine's mood cancels out:
//!
//! - the floor: a task that asks for the same streams and does nothing but `recv`;
//! - the router: CPU time and memory of the whole process that takes the cameras in, nobody watching;
//! - if `TAIMAT_FORMER` names another build of it, that one too, in turns with the first.
//!
//! The cameras are a process of their own. Run by `cargo xtask bench ingest [-- CAMERAS…]`.
//!
//! `cargo xtask bench ingest -- hostile`: what each camera that means harm costs the whole process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark"
)]
#![allow(clippy::disallowed_methods, reason = "measures time")]

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use taimat_simulate::{CameraSpec, Encoding, Fault, Fleet, FleetConfig, SceneKind};
use taimat_testkit::field::{self, FieldCamera};
use taimat_testkit::gstreamer::write_commune;
use taimat_testkit::measured::{MeasuredRouter, child, cpu_seconds, resident_kib, until_killed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const RATE: u32 = 25;
const SETTLE: Duration = Duration::from_secs(4);
const RUN: Duration = Duration::from_secs(8);
/// Turns that each takes; the least of each counts, what else the machine did is in the others.
const TURNS: usize = 3;

fn main() {
    let args: Vec<String> = taimat_testkit::measured::arguments();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["child-cameras", count] => runtime().block_on(cameras(count.parse().unwrap())),
        ["child-floor", address, count] => {
            runtime().block_on(floor(address.parse().unwrap(), count.parse().unwrap()));
        }
        ["child-field", kind] => runtime().block_on(field_camera(kind)),
        ["hostile"] => measure_hostile(),
        ref counts => {
            let counts: Vec<usize> = counts.iter().filter_map(|c| c.parse().ok()).collect();
            measure(if counts.is_empty() {
                &[1, 50, 200]
            } else {
                &counts
            });
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[derive(Debug, Clone, Copy)]
struct Cost {
    /// Per cent of a core, a camera.
    cpu: f64,
    /// KiB of resident memory, a camera.
    memory: f64,
}

impl Cost {
    fn least(all: &[Self]) -> Self {
        let least = |of: fn(&Self) -> f64| all.iter().map(of).fold(f64::INFINITY, f64::min);
        Self {
            cpu: least(|c| c.cpu),
            memory: least(|c| c.memory),
        }
    }
}

fn measure(counts: &[usize]) {
    let own = std::env::var("TAIMAT").expect("cargo xtask bench ingest says where the router is");
    let former = std::env::var("TAIMAT_FORMER").ok();
    println!("streams: 640x360 at {RATE} fps, 500 kbit/s, RTP in the connection");
    println!("cameras | floor % | router % | KiB | former % | KiB | router/floor | router/former");
    for count in counts {
        let (mut cameras, address) = child(&["child-cameras".into(), count.to_string()]).unwrap();
        let (mut floors, mut routers, mut formers) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..TURNS {
            floors.push(floor_cost(&address, *count));
            routers.push(router_cost(&own, &address, *count));
            formers.extend(former.as_deref().map(|f| router_cost(f, &address, *count)));
        }
        cameras.kill().unwrap();
        cameras.wait().unwrap();
        let (floor, router) = (Cost::least(&floors), Cost::least(&routers));
        let (former, ratio) = if formers.is_empty() {
            ("       – |    –".to_owned(), "–".to_owned())
        } else {
            let former = Cost::least(&formers);
            let shown = format!("{:8.3} | {:4.0}", former.cpu, former.memory);
            (shown, format!("{:.2}", router.cpu / former.cpu))
        };
        println!(
            "{count:7} | {:7.3} | {:8.3} | {:4.0} | {former} | {:12.2} | {ratio}",
            floor.cpu,
            router.cpu,
            router.memory,
            router.cpu / floor.cpu,
        );
    }
}

/// Each hostile camera by itself, from the moment it is configured on, as a commune would meet it.
fn measure_hostile() {
    let own = std::env::var("TAIMAT").expect("cargo xtask bench ingest says where the router is");
    println!("kind | % of a core over {RUN:?} | MiB more at most");
    let cases = field::cases().unwrap();
    for case in cases.iter().filter(|c| c.misbehaves.hostile.is_some()) {
        let (mut camera, url) = child(&["child-field".into(), case.name.clone()]).unwrap();
        let temporary = tempfile::tempdir().unwrap();
        let router = MeasuredRouter::start(&own, temporary.path(), &[], &[]).unwrap();
        router.wait_for_cameras(0).unwrap();
        std::thread::sleep(SETTLE / 4);
        let (id, empty) = (router.id(), router.resident_kib().unwrap());
        let (begin, before) = (Instant::now(), cpu_seconds(id).unwrap());
        let section = format!("main = \"{url}\"");
        write_commune(&temporary.path().join("bench"), &[("harm", section)]).unwrap();
        let mut most = empty;
        while begin.elapsed() < RUN {
            std::thread::sleep(Duration::from_millis(50));
            most = most.max(resident_kib(id).unwrap());
        }
        let cpu = (cpu_seconds(id).unwrap() - before) / begin.elapsed().as_secs_f64() * 100.0;
        println!("{} | {cpu:.1} | {:.1}", case.name, (most - empty) / 1024.0);
        camera.kill().unwrap();
        camera.wait().unwrap();
    }
}

async fn field_camera(kind: &str) {
    let camera = FieldCamera::start(&field::case(kind).unwrap())
        .await
        .unwrap();
    until_killed(&camera.player_url()).await.unwrap();
}

fn floor_cost(address: &str, count: usize) -> Cost {
    let (mut child, _) = child(&["child-floor".into(), address.into(), count.to_string()]).unwrap();
    let cost = process_cost(child.id(), count, 0.0);
    child.kill().unwrap();
    child.wait().unwrap();
    cost
}

fn router_cost(program: &str, address: &str, count: usize) -> Cost {
    let temporary = tempfile::tempdir().unwrap();
    let empty = resident_of(program, temporary.path());
    let names: Vec<String> = (0..count).map(|i| format!("c{i}")).collect();
    let sections: Vec<(&str, String)> = names
        .iter()
        .map(|name| {
            (
                name.as_str(),
                format!("main = \"rtsp://{address}/{name}/main\""),
            )
        })
        .collect();
    let router = MeasuredRouter::start(program, temporary.path(), &sections, &[]).unwrap();
    router.wait_for_cameras(count).unwrap();
    process_cost(router.id(), count, empty)
}

/// Memory of a router without cameras.
fn resident_of(program: &str, folder: &Path) -> f64 {
    let router = MeasuredRouter::start(program, folder, &[], &[]).unwrap();
    router.wait_for_cameras(0).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    router.resident_kib().unwrap()
}

fn process_cost(id: u32, count: usize, without: f64) -> Cost {
    std::thread::sleep(SETTLE);
    let (begin, before) = (Instant::now(), cpu_seconds(id).unwrap());
    std::thread::sleep(RUN);
    let cpu = cpu_seconds(id).unwrap() - before;
    Cost {
        cpu: cpu / begin.elapsed().as_secs_f64() / count as f64 * 100.0,
        memory: (resident_kib(id).unwrap() - without) / count as f64,
    }
}

async fn cameras(count: usize) {
    let id = |i: usize| format!("c{i}").parse().unwrap();
    let fleet = Fleet::start(FleetConfig {
        bind: "127.0.0.1:0".parse().unwrap(),
        cameras: (0..count)
            .map(|i| CameraSpec {
                id: id(i),
                scene: SceneKind::Street,
                fault: Fault::None,
            })
            .collect(),
        seed: 1,
        rate: RATE,
        length: Duration::from_secs(4),
        main: Encoding {
            width: 640,
            height: 360,
            keyframe_interval: 50,
            bitrate: 500_000,
        },
        sub: None,
        audio: false,
    })
    .await
    .unwrap();
    until_killed(&fleet.local_addr().to_string()).await.unwrap();
}

/// Asks for each camera's stream in the plainest way and reads.
async fn floor(address: SocketAddr, count: usize) {
    let mut readers = tokio::task::JoinSet::new();
    for i in 0..count {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let url = format!("rtsp://{address}/c{i}/main");
        let mut buffer = vec![0; 64 << 10];
        for request in [
            format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
            format!(
                "SETUP {url}/trackID=0 RTSP/1.0\r\nCSeq: 2\r\n\
                 Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n"
            ),
            format!("PLAY {url} RTSP/1.0\r\nCSeq: 3\r\n\r\n"),
        ] {
            stream.write_all(request.as_bytes()).await.unwrap();
            assert!(stream.read(&mut buffer).await.unwrap() > 0);
        }
        readers.spawn(async move { while stream.read(&mut buffer).await.unwrap_or(0) > 0 {} });
    }
    until_killed("").await.unwrap();
}
