//! The compiling child gives up what it does not need before it reads anything; the router makes do with little.
#![allow(clippy::unwrap_used, reason = "a set-up that fails fails its test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use taimat_testkit::eventually;

/// The smallest component.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

/// A line of `/proc/…/status`.
fn line(status: &str, name: &str) -> String {
    let mut lines = status.lines();
    let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.unwrap_or_default().trim().to_owned()
}

#[tokio::test]
async fn it_has_memory_and_its_pipes_and_still_compiles() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_taimat"))
        .arg("compile-component")
        .arg((1_u64 << 30).to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let about = |what: &str| {
        let file = format!("/proc/{}/{what}", child.id());
        std::fs::read_to_string(file).unwrap()
    };
    // It waits for the component now; what it gives up last is told by the filter of system calls.
    let limit = Duration::from_secs(20);
    let status = eventually("it is confined", limit, async || {
        let status = about("status");
        (line(&status, "Seccomp") == "2").then_some(status)
    })
    .await;
    assert_eq!(line(&status, "NoNewPrivs"), "1");
    for capabilities in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(line(&status, capabilities), "0000000000000000");
    }
    assert_eq!(line(&status, "Threads"), "1");
    let limits = about("limits");
    let limit = |name: &str| {
        let mut lines = limits.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(limit("Max open files"), "16");
    assert_eq!(limit("Max file size"), "0");
    assert_eq!(limit("Max core file size"), "0");
    assert_eq!(limit("Max data size"), (1_u64 << 30).to_string());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(EMPTY).unwrap();
    drop(stdin);
    let mut code = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut code).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(code.starts_with(b"\x7fELF"), "native code");
}

#[test]
fn with_little_address_space_it_starts_and_has_fewer_instances() {
    let place = tempfile::tempdir().unwrap();
    let commune = place.path().join("thu");
    std::fs::create_dir(&commune).unwrap();
    std::fs::write(commune.join("commune.toml"), "[commune]\nname = \"Thử\"\n").unwrap();
    // In KiB: 64 GiB.
    let serve = "ulimit -v 67108864; exec \"$0\" serve \"$1\" --data \"$2\" --http 127.0.0.1:0 \
                 --rtsp 127.0.0.1:0 --rtc 127.0.0.1:0";
    let mut router = Command::new("sh")
        .args(["-c", serve, env!("CARGO_BIN_EXE_taimat")])
        .arg(&commune)
        .arg(place.path().join("data"))
        .env("NO_COLOR", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(router.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    router.kill().unwrap();
    let mut log = String::new();
    let mut errors = router.stderr.take().unwrap();
    errors.read_to_string(&mut log).unwrap();
    router.wait().unwrap();
    assert!(
        line.starts_with("console: http://127.0.0.1:"),
        "{line}{log}"
    );
    assert!(log.contains("trying half as many"), "{log}");
}
