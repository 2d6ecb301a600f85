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

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use taimat_simulate::{CameraSpec, Encoding, Fault, Fleet, FleetConfig, SceneKind};
use taimat_testkit::field::{self, FieldCamera};
use taimat_testkit::gstreamer::write_commune;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const RATE: u32 = 25;
const SETTLE: Duration = Duration::from_secs(4);
const RUN: Duration = Duration::from_secs(8);
/// Turns that each takes; the least of each counts, what else the machine did is in the others.
const TURNS: usize = 3;

fn main() {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
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
        let (mut cameras, address) = child(&["child-cameras".into(), count.to_string()]);
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
        let (mut camera, url) = child(&["child-field".into(), case.name.clone()]);
        let temporary = tempfile::tempdir().unwrap();
        let (mut router, port) = serve(&own, temporary.path(), &[]);
        wait_for_all(port, 0);
        std::thread::sleep(SETTLE / 4);
        let (id, empty) = (router.id(), resident_kib(router.id()));
        let (begin, before) = (Instant::now(), cpu_seconds(id));
        let section = format!("main = \"{url}\"");
        write_commune(&temporary.path().join("bench"), &[("harm", section)]).unwrap();
        let mut most = empty;
        while begin.elapsed() < RUN {
            std::thread::sleep(Duration::from_millis(50));
            most = most.max(resident_kib(id));
        }
        let cpu = (cpu_seconds(id) - before) / begin.elapsed().as_secs_f64() * 100.0;
        println!("{} | {cpu:.1} | {:.1}", case.name, (most - empty) / 1024.0);
        for process in [&mut router, &mut camera] {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

async fn field_camera(kind: &str) {
    let camera = FieldCamera::start(&field::case(kind).unwrap())
        .await
        .unwrap();
    println!("{}", camera.player_url());
    until_killed().await;
}

/// A process of this program; its first line says where it is.
fn child(args: &[String]) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    (child, line.trim().to_owned())
}

fn floor_cost(address: &str, count: usize) -> Cost {
    let (mut child, _) = child(&["child-floor".into(), address.into(), count.to_string()]);
    let cost = process_cost(child.id(), count, 0.0);
    child.kill().unwrap();
    child.wait().unwrap();
    cost
}

fn router_cost(program: &str, address: &str, count: usize) -> Cost {
    let temporary = tempfile::tempdir().unwrap();
    let empty = resident_of(program, temporary.path(), &[]);
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
    let (mut router, port) = serve(program, temporary.path(), &sections);
    wait_for_all(port, count);
    let cost = process_cost(router.id(), count, empty);
    router.kill().unwrap();
    router.wait().unwrap();
    cost
}

/// Memory of a router without cameras.
fn resident_of(program: &str, folder: &Path, cameras: &[(&str, String)]) -> f64 {
    let (mut router, port) = serve(program, folder, cameras);
    wait_for_all(port, 0);
    std::thread::sleep(Duration::from_secs(1));
    let resident = resident_kib(router.id());
    router.kill().unwrap();
    router.wait().unwrap();
    resident
}

fn serve(program: &str, folder: &Path, cameras: &[(&str, String)]) -> (Child, u16) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let commune = folder.join("bench");
    write_commune(&commune, cameras).unwrap();
    let router = Command::new(program)
        .arg("serve")
        .arg(&commune)
        .args(["--http", &format!("127.0.0.1:{port}")])
        .args(["--rtsp", "127.0.0.1:0", "--rtc", "127.0.0.1:0"])
        .arg("--data")
        .arg(folder.join("data"))
        .env("TAIMAT_LOG", "error")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    (router, port)
}

fn metrics(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(
        stream,
        "GET /metrics HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    )
    .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

fn wait_for_all(port: u16, count: usize) {
    let begin = Instant::now();
    loop {
        let text = metrics(port);
        let up = text.as_ref().map(|text| {
            let lines = text.lines().filter(|l| l.starts_with("taimat_camera_up{"));
            lines.filter(|l| l.ends_with(" 1")).count()
        });
        if up.is_some_and(|up| up >= count) {
            return;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "only {up:?} of {count} cameras are up"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn process_cost(id: u32, count: usize, without: f64) -> Cost {
    std::thread::sleep(SETTLE);
    let (begin, before) = (Instant::now(), cpu_seconds(id));
    std::thread::sleep(RUN);
    let cpu = cpu_seconds(id) - before;
    Cost {
        cpu: cpu / begin.elapsed().as_secs_f64() / count as f64 * 100.0,
        memory: (resident_kib(id) - without) / count as f64,
    }
}

/// User and system time of a process and all its threads, in nanoseconds as the scheduler counts.
fn cpu_seconds(id: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{id}/task")).unwrap();
    let one = |thread: std::io::Result<std::fs::DirEntry>| -> Option<f64> {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    threads.filter_map(one).sum::<f64>() / 1e9
}

fn resident_kib(id: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok())
        .unwrap()
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
    println!("{}", fleet.local_addr());
    until_killed().await;
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
    println!("ready");
    until_killed().await;
}

/// Children end when their parent does.
async fn until_killed() {
    std::io::stdout().flush().unwrap();
    let wait = || std::io::stdin().lock().read_until(0, &mut Vec::new());
    drop(tokio::task::spawn_blocking(wait).await);
}
