//! The demo: the example commune, simulated cameras, the console.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::console;
use crate::run::{self, cargo, command, say};

/// Options of the demo.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DemoArgs {
    /// Build without optimisation: sooner there, slower afterwards
    #[arg(long)]
    dev: bool,
    /// Stop when all cameras are live and somebody was told of something that one of them saw,
    /// with an error if that takes too long
    #[arg(long)]
    check: bool,
}

const EXAMPLE: &str = "examples/hoa-lac";
/// Plugins that the example runs.
const PLUGINS: [&str; 4] = [
    "detect-line",
    "detect-litter",
    "detect-motion",
    "detect-tamper",
];
const PAGE: &str = "http://127.0.0.1:8080/";

/// Ends with its owner.
struct ChildProcess(Child);

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // SIGTERM first: the router says goodbye to its viewers.
        let id = self.0.id().to_string();
        drop(Command::new("kill").arg(id).status());
        drop(self.0.wait());
    }
}

pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<()> {
    console::build(false)?;
    say("building taimat");
    let mut build = vec!["build", "-p", "taimat-server"];
    if !args.dev {
        build.push("--release");
    }
    cargo(&build)?;
    let profile = if args.dev { "debug" } else { "release" };
    let target = run::target()?;
    let taimat = target.join(profile).join("taimat");

    say("building the example's plugins");
    run::run(command("rustup").args(["target", "add", "wasm32-wasip2"]))?;
    for plugin in PLUGINS {
        let output = format!("{EXAMPLE}/plugins/{plugin}.wasm");
        let mut build = command(&taimat.to_string_lossy());
        build
            .args(["plugin", "build", &format!("plugins/{plugin}")])
            .args(["--profile", "plugin", "--output", &output])
            // Beside the router's own: other flags and another target would rebuild that.
            .env("CARGO_TARGET_DIR", target.join("plugins"));
        run::run(&mut build)?;
    }

    say("drawing and encoding the cameras' scenes");
    let _cameras = start(
        &taimat,
        &["simulate", "--like", EXAMPLE, "--audio"],
        "cameras:",
    )?;
    let mut router = start(&taimat, &["serve", EXAMPLE], "console:")?;
    say(&format!("open {PAGE} – stop with Ctrl-C"));
    if args.check {
        return check();
    }
    // Ctrl-C reaches the children too, by the process group; the router ends, and so do we.
    router.0.wait().map(drop).context("waiting for the router")
}

/// Starts a program and waits for the line that says that it is ready.
fn start(program: &Path, args: &[&str], ready: &str) -> anyhow::Result<ChildProcess> {
    let mut child = command(&program.to_string_lossy())
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", program.display()))?;
    let stdout = child.stdout.take().context("no stdout")?;
    let running = ChildProcess(child);
    let mut lines = BufReader::new(stdout).lines();
    let found = lines
        .by_ref()
        .map_while(Result::ok)
        .any(|line| line.starts_with(ready));
    anyhow::ensure!(
        found,
        "{} {} ended before it was ready",
        program.display(),
        args.join(" ")
    );
    Ok(running)
}

/// Asks the API until every camera of the example is live, and somebody was told of something.
fn check() -> anyhow::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "a chore at the edge")]
    let now = Instant::now;
    let deadline = now() + Duration::from_secs(30);
    // What an earlier demo left is no proof.
    let before = last_told();
    loop {
        let answer = ask("/api/v1/overview").unwrap_or_default();
        let live = answer["communes"][0]["cameras"].as_array().map(|cameras| {
            let is_live = |c: &&serde_json::Value| c["profiles"][0]["state"] == "live";
            (cameras.iter().filter(is_live).count(), cameras.len())
        });
        match live {
            Some((live, all)) if live == all && all > 0 && plugins_run() => {
                say(&format!("{live} of {all} cameras are live, plugins run"));
                break;
            }
            _ if now() > deadline => anyhow::bail!("cameras live: {live:?} after 30 s"),
            _ => std::thread::park_timeout(Duration::from_millis(200)),
        }
    }
    // Litter has to lie for a while.
    let deadline = now() + Duration::from_secs(90);
    while last_told() <= before {
        anyhow::ensure!(now() < deadline, "nobody was told of anything in 90 s");
        std::thread::park_timeout(Duration::from_millis(500));
    }
    say("somebody was told of an event");
    let deadline = now() + Duration::from_secs(20);
    while !recorded() {
        anyhow::ensure!(now() < deadline, "not every camera is recorded");
        std::thread::park_timeout(Duration::from_millis(500));
    }
    say("every camera is recorded");
    Ok(())
}

/// Whether there is something of the last ten seconds of every camera.
fn recorded() -> bool {
    let standing = ask("/api/v1/communes/hoa-lac/storage").unwrap_or_default();
    #[expect(clippy::disallowed_methods, reason = "a chore at the edge")]
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH);
    let lately = since
        .unwrap_or_default()
        .saturating_sub(Duration::from_secs(10));
    let cameras = standing["cameras"].as_array();
    cameras.is_some_and(|cameras| {
        let is_there = |c: &serde_json::Value| {
            let newest = c["newest"].as_u64().map(Duration::from_micros);
            newest.is_some_and(|newest| newest > lately)
        };
        !cameras.is_empty() && cameras.iter().all(is_there)
    })
}

/// The number of the newest message that arrived.
fn last_told() -> Option<u64> {
    let path = "/api/v1/communes/hoa-lac/deliveries?state=delivered";
    ask(path).unwrap_or_default()[0]["number"].as_u64()
}

/// Whether every plugin of the example runs.
fn plugins_run() -> bool {
    let plugins = ask("/api/v1/communes/hoa-lac/plugins").unwrap_or_default();
    plugins.as_array().is_some_and(|plugins| {
        plugins.len() == PLUGINS.len() && plugins.iter().all(|p| p["state"] == "running")
    })
}

/// Asks the router.
fn ask(path: &str) -> anyhow::Result<serde_json::Value> {
    let mut stream = TcpStream::connect("127.0.0.1:8080")?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
    Ok(serde_json::from_str(body)?)
}
