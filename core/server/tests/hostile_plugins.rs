//! Hostile plugins in the whole router, beside a healthy one, with somebody watching: what they cost
//! others is nothing. What ends each is in `taimat-sandbox`'s tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a set-up that fails fails its test, and the table is what it is run for"
)]

mod common;

use std::time::Duration;

use common::{Bench, LIMIT, main_only};
use taimat_base::clock;
use taimat_sandbox::compile::{Caps, Where};
use taimat_server::Options;
use taimat_testkit::gstreamer::write_commune;
use taimat_testkit::{GstCamera, GstOptions, eventually, plugins};

const HEALTHY: &str = r#"
[plugin.count]
component = "plugins/count.wasm"
grant = { frames = { width = 640, fps = 30 } }
"#;

/// A detector with something in it that is made to be hard to compile.
fn bomb() -> Vec<u8> {
    const LOCALS: usize = 500;
    let leb = |mut n: usize| {
        let mut bytes = Vec::new();
        loop {
            let low = (n & 0x7F) as u8;
            n >>= 7;
            bytes.push(if n > 0 { low | 0x80 } else { low });
            if n == 0 {
                return bytes;
            }
        }
    };
    let section = |id: u8, content: Vec<u8>| [vec![id], leb(content.len()), content].concat();
    // A thousand loops, one after the other, each of which changes each of 500 locals: every value
    // lives everywhere.
    let add = |local: usize| {
        let local = leb(local);
        [&[0x20], &local[..], &[0x41, 1, 0x6A, 0x21], &local].concat()
    };
    let adds: Vec<u8> = (0..LOCALS).flat_map(add).collect();
    let again = [0x20, 0, 0x0D, 0, 0x0B];
    let round = [&[0x03, 0x40], &adds[..], &again].concat();
    let body = [
        &[1],
        &leb(LOCALS)[..],
        &[0x7F],
        &round.repeat(1000),
        &[0x0B],
    ]
    .concat();
    let function = [leb(body.len()), body].concat();
    let count = 4;
    let code = [leb(count), function.repeat(count)].concat();
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, vec![1, 0x60, 0, 0]),
        section(3, [leb(count), vec![0; count]].concat()),
        section(10, code),
    ]
    .concat();
    let detector = plugins::component("example-smallest").unwrap();
    [detector, section(1, module)].concat()
}

/// A router whose compiler may take this much.
async fn start(camera: &GstCamera, caps: Caps) -> Bench {
    let taimat = env!("CARGO_BIN_EXE_taimat");
    let cameras = [("cho", main_only(&camera.url()) + HEALTHY)];
    let bench = Bench::start_with(&cameras, |options| Options {
        compile: Where::Child(taimat.into(), caps),
        ..options
    })
    .await;
    put(
        &bench,
        "count",
        &plugins::package("example-smallest").unwrap(),
    );
    bench.until("cho", "live", None).await;
    bench
}

fn put(bench: &Bench, name: &str, bytes: &[u8]) {
    let folder = bench.folder.join("plugins");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("new"), bytes).unwrap();
    std::fs::rename(folder.join("new"), folder.join(format!("{name}.wasm"))).unwrap();
}

/// Waits for a word in a plugin's last error.
async fn until_it_says(bench: &Bench, plugin: &str, word: &str) -> String {
    let path = format!("/api/v1/communes/thu/plugins/{plugin}");
    let said = async || {
        let status = bench.get(&path).await;
        status["last_error"]["text"].as_str().map(str::to_owned)
    };
    let told = eventually(word, LIMIT * 2, async || {
        said().await.filter(|text| text.contains(word))
    });
    match tokio::time::timeout(LIMIT, told).await {
        Ok(text) => text,
        Err(_elapsed) => panic!("not {word:?} but {:?}", said().await),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_they_do_the_viewer_and_the_healthy_one_do_not_notice() {
    let camera = GstCamera::start(&GstOptions::default()).await.unwrap();
    let bench = start(&camera, Caps::default()).await;
    let mut client = bench.watch("cho").await;
    let counted = async || {
        bench
            .metric("taimat_plugin_detections_total", "plugin=\"count\"")
            .await
    };
    eventually("the healthy one counts", LIMIT, async || {
        (counted().await > 5.0).then_some(())
    })
    .await;
    put(
        &bench,
        "hostile",
        &plugins::package("example-hostile").unwrap(),
    );
    println!("| does | the operator reads |\n| --- | --- |");
    for (does, word) in [
        ("loop-in-frame", "of CPU time"),
        ("memory-bomb", "more memory than granted"),
        ("recursion", "out of bounds"),
        ("detections", "more memory than granted"),
        ("sleep", "took longer than"),
        ("log-flood", "of CPU time"),
        ("panic-in-frame", "unreachable"),
    ] {
        let hostile = format!(
            "[plugin.hostile]\ncomponent = \"plugins/hostile.wasm\"\nsettings = {{ does = \"{does}\" }}\n\
             grant = {{ frames = {{ width = 640, fps = 30 }}, state = \"64KiB\" }}\n"
        );
        let cameras = [("cho", main_only(&camera.url()) + HEALTHY + &hostile)];
        write_commune(&bench.folder, &cameras).unwrap();
        let text = until_it_says(&bench, "hostile", word).await;
        println!("| {does} | {text} |");
        // Gone, so that the next begins afresh.
        write_commune(
            &bench.folder,
            &[("cho", main_only(&camera.url()) + HEALTHY)],
        )
        .unwrap();
        eventually("it is gone", LIMIT, async || {
            let all = bench.get("/api/v1/communes/thu/plugins").await;
            (all.as_array()?.len() == 1).then_some(())
        })
        .await;
    }
    let before = counted().await;
    eventually("the healthy one goes on", LIMIT, async || {
        (counted().await > before + 5.0).then_some(())
    })
    .await;
    let ended = bench
        .metric("taimat_plugin_instances_ended_total", "plugin=\"count\"")
        .await;
    let loads = bench
        .metric("taimat_plugin_loads_total", "plugin=\"count\"")
        .await;
    assert_eq!((ended, loads), (0.0, 1.0));
    common::missed_nothing(&mut client).await;
    assert_eq!(
        bench
            .metric("taimat_camera_reconnects_total", "camera=\"cho\"")
            .await,
        0.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compile_bomb_costs_what_compiling_may_take() {
    let manifest = plugins::manifest("example-smallest").unwrap();
    let bomb = taimat_contract::Package::pack(&bomb(), &manifest).unwrap();
    let camera = GstCamera::start(&GstOptions::default()).await.unwrap();
    let mib = 1 << 20;
    println!("| caps | file | the operator reads | after |\n| --- | --- | --- | --- |");
    for (seconds, memory_bytes, word) in [
        (3, 2048 * mib, "compiling took longer than 3s"),
        (120, 48 * mib, "the compiler gave up"),
    ] {
        let time = Duration::from_secs(seconds);
        let bench = start(&camera, Caps { time, memory_bytes }).await;
        put(&bench, "bomb", &bomb);
        let begin = clock::now();
        let plugin = "[plugin.bomb]\ncomponent = \"plugins/bomb.wasm\"\n\
                      grant = { frames = { width = 640, fps = 30 } }\n";
        let cameras = [("cho", main_only(&camera.url()) + HEALTHY + plugin)];
        write_commune(&bench.folder, &cameras).unwrap();
        let text = until_it_says(&bench, "bomb", word).await;
        let took = (clock::now() - begin).as_millis();
        println!(
            "| {seconds} s, {} MiB | {} MiB | {text} | {took} ms |",
            memory_bytes / mib,
            bomb.len() >> 20
        );
        bench.router.stop().await;
    }
}
