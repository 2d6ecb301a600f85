//! What recording costs.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use taimat_testkit::measured::{MeasuredRouter, child, cpu_seconds};

use super::cameras::url;
use super::volume::Volume;

const RATE: u32 = 25;
const SETTLE: Duration = Duration::from_secs(5);
const RUN: Duration = Duration::from_secs(20);
/// Turns that each takes; the least of each counts, what else the machine did is in the others.
const TURNS: usize = 3;

/// What some seconds of one of them cost.
#[derive(Debug, Clone, Copy)]
struct Turn {
    /// Per cent of a core, a camera.
    cpu: f64,
    /// Bytes that reached the device for each in a file of pictures.
    device: f64,
}

fn least(turns: &[Turn]) -> Turn {
    let least = |of: fn(&Turn) -> f64| turns.iter().map(of).fold(f64::INFINITY, f64::min);
    Turn {
        cpu: least(|t| t.cpu),
        device: least(|t| t.device),
    }
}

pub(crate) fn measure(counts: &[usize]) {
    let volume = Volume::new(8);
    println!(
        "streams: 1280x720 at {RATE} fps, 2 Mbit/s, RTP in the connection; CPU in % of a core a camera"
    );
    println!("cameras | of | takes in | and records | recording | device bytes a byte");
    for &count in counts {
        let (mut cameras, address) =
            child(&["child-cameras".into(), count.to_string(), RATE.to_string()]).unwrap();
        let mut all: Vec<(&str, Vec<Turn>, Vec<Turn>)> = vec![
            ("floor", Vec::new(), Vec::new()),
            ("taimat", Vec::new(), Vec::new()),
        ];
        let peer = std::env::var("MEDIAMTX").ok();
        if peer.is_some() {
            all.push(("MediaMTX", Vec::new(), Vec::new()));
        }
        for _ in 0..TURNS {
            for (who, without, with) in &mut all {
                for (records, turns) in [(false, without), (true, with)] {
                    turns.push(match *who {
                        "floor" => floor(&volume, &address, count, records),
                        "taimat" => taimat(&volume, &address, count, records),
                        _ => mediamtx(peer.as_deref().unwrap(), &volume, &address, count, records),
                    });
                    volume.clear();
                }
            }
        }
        cameras.kill().unwrap();
        cameras.wait().unwrap();
        for (who, without, with) in &all {
            let (without, with) = (least(without), least(with));
            println!(
                "{count:7} | {who:8} | {:.3} | {:.3} | {:.3} | {:.3}",
                without.cpu,
                with.cpu,
                with.cpu - without.cpu,
                with.device
            );
        }
    }
}

/// What the next seconds cost.
fn turn(process: u32, volume: &Volume, count: usize, files: &str) -> Turn {
    std::thread::sleep(SETTLE);
    let (device, bytes) = (volume.device_bytes(), volume.bytes_of(files));
    let (begin, before) = (Instant::now(), cpu_seconds(process).unwrap());
    std::thread::sleep(RUN);
    let cpu = cpu_seconds(process).unwrap() - before;
    let elapsed = begin.elapsed().as_secs_f64();
    let bytes = volume.bytes_of(files) - bytes;
    let device = volume.device_bytes() - device;
    Turn {
        cpu: cpu / elapsed / count as f64 * 100.0,
        device: device as f64 / bytes.max(1) as f64,
    }
}

fn floor(volume: &Volume, address: &str, count: usize, records: bool) -> Turn {
    let folder = volume.folder().to_str().unwrap();
    let folder = if records { folder } else { "-" };
    let args = [
        "child-floor".into(),
        address.into(),
        count.to_string(),
        folder.into(),
    ];
    let (mut floor, _) = child(&args).unwrap();
    let turn = turn(floor.id(), volume, count, "");
    floor.kill().unwrap();
    floor.wait().unwrap();
    turn
}

fn taimat(volume: &Volume, address: &str, count: usize, records: bool) -> Turn {
    let temporary = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..count).map(|i| format!("c{i}")).collect();
    let lines = |i: usize| {
        let archive = if records {
            "archive = { mode = \"continuous\" }\n"
        } else {
            ""
        };
        format!("main = \"{}\"\n{archive}", url(address, i))
    };
    let cameras: Vec<(&str, String)> = names
        .iter()
        .enumerate()
        .map(|(i, name)| (name.as_str(), lines(i)))
        .collect();
    let archive = volume.folder().join("archive");
    let more = [
        "--archive",
        archive.to_str().unwrap(),
        "--archive-floor",
        "1MiB",
    ];
    let router =
        MeasuredRouter::start(&super::router(), temporary.path(), &cameras, &more).unwrap();
    router.wait_for_cameras(count).unwrap();
    turn(router.id(), volume, count, ".mp4")
}

fn mediamtx(program: &str, volume: &Volume, address: &str, count: usize, records: bool) -> Turn {
    let temporary = tempfile::tempdir().unwrap();
    let folder = volume.folder().display();
    let mut text = format!(
        "logLevel: error\nrtmp: no\nhls: no\nwebrtc: no\nsrt: no\nrtspAddress: 127.0.0.1:0\n\
         rtspTransports: [tcp]\npathDefaults:\n  record: {records}\n  \
         recordPath: {folder}/%path/%Y-%m-%d_%H-%M-%S-%f\n  recordPartDuration: 1s\n  \
         recordSegmentDuration: 60s\npaths:\n"
    );
    for i in 0..count {
        text.push_str(&format!(
            "  c{i}:\n    source: {}\n    rtspTransport: tcp\n",
            url(address, i)
        ));
    }
    let file = temporary.path().join("mediamtx.yml");
    std::fs::write(&file, text).unwrap();
    let mut peer: Child = Command::new(program)
        .arg(&file)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let turn = turn(peer.id(), volume, count, ".mp4");
    peer.kill().unwrap();
    peer.wait().unwrap();
    turn
}
