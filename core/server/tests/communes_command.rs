//! Communes by the binary itself: a signal reads their folders, and `check` says everything.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a set-up that fails fails its test"
)]

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use taimat_testkit::eventually;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

const LIMIT: Duration = Duration::from_secs(40);
const TEXT: &str = "[commune]\nname = \"Thu\"\n[camera.a]\nmain = \"rtsp://127.0.0.1:1/a\"\n";

/// The binary itself, and where its console is.
async fn serve(arguments: &[&str]) -> (Child, String) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_taimat"))
        .arg("serve")
        .args(arguments)
        .args([
            "--http",
            "127.0.0.1:0",
            "--rtsp",
            "127.0.0.1:0",
            "--rtc",
            "127.0.0.1:0",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let page = tokio::time::timeout(LIMIT, lines.next_line())
        .await
        .unwrap();
    let page = page.unwrap().expect("it does not start");
    (process, page.strip_prefix("console: ").unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_the_folders_and_the_router_goes_on() {
    let temporary = tempfile::tempdir().unwrap();
    let at = |path: &str| temporary.path().join(path).display().to_string();
    for commune in ["dau", "thu"] {
        fs::create_dir(at(commune)).unwrap();
        fs::write(at(&format!("{commune}/commune.toml")), TEXT).unwrap();
    }
    fs::remove_file(at("dau/commune.toml")).unwrap();
    mkfifo(Path::new(&at("dau/commune.toml")), Mode::S_IRWXU).unwrap();
    // One of two folders has a pipe that nobody writes to: it starts, and it stops.
    let (mut process, page) = serve(&[&at("dau"), &at("thu"), "--data", &at("data")]).await;
    let pid = Pid::from_raw(process.id().unwrap().try_into().unwrap());
    let mut log = process.stderr.take().unwrap();
    kill(pid, Signal::SIGHUP).unwrap();
    eventually("it answers after SIGHUP", LIMIT, async || {
        let said = reqwest::get(format!("{page}api/v1/overview"))
            .await
            .ok()?
            .text()
            .await
            .ok()?;
        (said.contains("a named pipe") && said.contains("\"thu\"")).then_some(())
    })
    .await;
    kill(pid, Signal::SIGTERM).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), process.wait()).await;
    assert!(ended.unwrap().unwrap().success());
    let mut text = String::new();
    log.read_to_string(&mut text).await.unwrap();
    assert!(
        text.contains("SIGHUP") && text.contains("stopped"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_everything_that_is_wrong_and_fails() {
    let temporary = tempfile::tempdir().unwrap();
    let at = |path: &str| temporary.path().join(path).display().to_string();
    for commune in ["dau", "thu"] {
        fs::create_dir(at(commune)).unwrap();
    }
    mkfifo(Path::new(&at("dau/commune.toml")), Mode::S_IRWXU).unwrap();
    let secret = "user = \"u\"\npassword = { env = \"TAIMAT_SECRET_DAU__WORD\" }\n";
    fs::write(at("thu/commune.toml"), TEXT.to_owned() + secret).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_taimat"))
        .args(["check", &at("dau"), &at("thu")])
        .output();
    let output = tokio::time::timeout(LIMIT, run).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        said.contains("a named pipe") && said.contains("no variable of this commune"),
        "{said}"
    );
}
