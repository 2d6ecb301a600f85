//! What one party that misbehaves costs the others: viewers of ten cameras watch, one after the other does what
//! was once enough to stop the service, and each time it is counted what the viewers lost.
//!
//! Run by `cargo xtask bench neighbours [-- ATTACK…]`. The attackers are processes of their own, which let others
//! go first, as those of another machine would.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark"
)]
#![allow(clippy::disallowed_methods, reason = "measures time")]

mod attacks;
mod stun;
mod watch;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use attacks::Attack;
use taimat_simulate::{CameraSpec, Encoding, Fault, Fleet, FleetConfig, SceneKind};
use taimat_testkit::measured::{MeasuredRouter, child, until_killed};
use watch::Watchers;

const CAMERAS: usize = 10;
const RATE: u32 = 25;
/// How long an attack goes on.
const RUN: Duration = Duration::from_secs(8);

fn name(camera: usize) -> String {
    format!("camera-{camera}")
}

fn main() {
    let args: Vec<String> = taimat_testkit::measured::arguments();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["child-cameras"] => runtime.block_on(cameras()),
        ["child-attack", attack, http, udp] => {
            let attack = Attack::named(attack).unwrap();
            attacks::run(attack, http.parse().unwrap(), udp.parse().unwrap(), RUN);
        }
        ref wanted => {
            let wanted: Vec<Attack> = wanted.iter().filter_map(|w| Attack::named(w)).collect();
            let all = Attack::ALL.to_vec();
            runtime.block_on(measure(if wanted.is_empty() { all } else { wanted }));
        }
    }
}

async fn cameras() {
    let ids: Vec<taimat_base::CameraId> = (0..CAMERAS).map(|n| name(n).parse().unwrap()).collect();
    let spec = |id: &taimat_base::CameraId| CameraSpec {
        id: id.clone(),
        scene: SceneKind::Street,
        fault: Fault::None,
    };
    let fleet = Fleet::start(FleetConfig {
        bind: "127.0.0.1:0".parse().unwrap(),
        cameras: ids.iter().map(spec).collect(),
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
    let urls: Vec<String> = ids
        .iter()
        .map(|id| fleet.url(id, taimat_base::Profile::Main))
        .collect();
    until_killed(&urls.join(" ")).await.unwrap();
}

/// What happened beside an attack.
struct Beside {
    /// A viewer that comes meanwhile gets a picture after so long.
    joined: Option<Duration>,
    /// The longest that an answer of the API took.
    answered: Option<Duration>,
}

async fn measure(attacks: Vec<Attack>) {
    let program = std::env::var("TAIMAT").expect("cargo xtask bench says where the router is");
    let (mut fleet, urls) = child(&["child-cameras".into()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let cameras: Vec<(String, String)> = urls
        .split_whitespace()
        .enumerate()
        .map(|(n, url)| (name(n), format!("main = \"{url}\"\n")))
        .collect();
    let cameras: Vec<(&str, String)> = cameras
        .iter()
        .map(|(n, c)| (n.as_str(), c.clone()))
        .collect();
    let router = MeasuredRouter::start(&program, folder.path(), &cameras, &[]).unwrap();
    router.wait_for_cameras(CAMERAS).unwrap();
    let watchers = Watchers::connect(router.http_addr(), CAMERAS).await;
    let udp = attacks::udp_address(router.http_addr());
    println!(
        "{CAMERAS} cameras, {CAMERAS} viewers\nattack | rate | packets lost | longest gap ms | a new viewer's \
         picture ms | the API's slowest answer ms | router's share of a core | attacker: what it saw"
    );
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (quiet, cpu) = turn(&router, &watchers, None, udp).await;
    report("nothing", "", &watchers, &quiet, cpu, "");
    for attack in attacks {
        let (beside, cpu) = turn(&router, &watchers, Some(attack), udp).await;
        let said = std::fs::read_to_string(attacks::result_file(router.http_addr()));
        let said = said.unwrap_or_default();
        report(
            attack.as_str(),
            attack.rate(),
            &watchers,
            &beside,
            cpu,
            said.trim(),
        );
        // What it held is let go.
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    let _ended = fleet.kill();
    let _waited = fleet.wait();
}

async fn turn(
    router: &MeasuredRouter,
    watchers: &Watchers,
    attack: Option<Attack>,
    udp: SocketAddr,
) -> (Beside, f64) {
    let http = router.http_addr();
    drop(std::fs::remove_file(attacks::result_file(http)));
    watchers.begin();
    let (begin, cpu) = (Instant::now(), router.cpu_seconds().unwrap());
    let attacker = attack.map(|attack| {
        std::process::Command::new("nice")
            .args(["-n", "10"])
            .arg(std::env::current_exe().unwrap())
            .args(["child-attack", attack.as_str()])
            .args([http.to_string(), udp.to_string()])
            .spawn()
            .unwrap()
    });
    tokio::time::sleep(RUN / 4).await;
    let joined = watch::first_picture(http, "camera-0").await;
    let mut answered = Some(Duration::ZERO);
    while begin.elapsed() < RUN {
        answered = match (answered, watch::ask(http).await) {
            (Some(longest), Some(took)) => Some(longest.max(took)),
            _ => None,
        };
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let share = (router.cpu_seconds().unwrap() - cpu) / begin.elapsed().as_secs_f64();
    watchers.end();
    if let Some(mut attacker) = attacker {
        let _ended = attacker.wait();
    }
    (Beside { joined, answered }, share)
}

fn report(attack: &str, rate: &str, watchers: &Watchers, beside: &Beside, cpu: f64, said: &str) {
    let (lost, gap) = watchers.told();
    let ms = |span: Option<Duration>| {
        span.map_or_else(|| "never".to_owned(), |span| span.as_millis().to_string())
    };
    println!(
        "{attack} | {rate} | {lost} | {} | {} | {} | {cpu:.2} | {said}",
        gap.as_millis(),
        ms(beside.joined),
        ms(beside.answered),
    );
}
