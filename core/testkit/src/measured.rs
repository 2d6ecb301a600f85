//! Processes that benches measure: a router that is a process of its own, children of the bench, and what
//! they cost.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use crate::gstreamer::write_commune;

/// How long something may take to be there.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a bench was told; cargo tells each that it is one.
pub fn arguments() -> Vec<String> {
    let told = std::env::args().skip(1);
    told.filter(|argument| argument != "--bench").collect()
}

/// User and system time of a process, with its threads that have ended, in seconds; the scheduler counts
/// nanoseconds.
///
/// # Errors
/// If there is no such process.
pub fn cpu_seconds(process: u32) -> anyhow::Result<f64> {
    let id = Pid::from_raw(i32::try_from(process)?);
    let clock: ClockId = clock_getcpuclockid(id)?;
    Ok(Duration::from(clock_gettime(clock)?).as_secs_f64())
}

/// Resident memory of a process, in KiB.
///
/// # Errors
/// If there is no such process.
pub fn resident_kib(process: u32) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let number = line.and_then(|l| l.split_whitespace().next());
    Ok(number.context("no resident memory")?.parse()?)
}

/// A process of this program with these arguments; its first line after `ready` comes with it. It ends when
/// this one does if it waits by [`until_killed`].
///
/// # Errors
/// If it does not start or ends before it is ready.
pub fn child(args: &[String]) -> anyhow::Result<(Child, String)> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let out: ChildStdout = child.stdout.take().context("no output")?;
    for line in BufReader::new(out).lines() {
        if let Some(ready) = line?.strip_prefix("ready") {
            return Ok((child, ready.trim().to_owned()));
        }
    }
    anyhow::bail!("a child ended before it was ready: {args:?}");
}

/// In a child: says that it is ready, and what the parent is to know; then waits until the parent ends it or
/// is gone.
///
/// # Errors
/// If nobody reads it.
pub async fn until_killed(ready: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready {ready}")?;
    out.flush()?;
    drop(out);
    let wait = || std::io::stdin().lock().read_until(0, &mut Vec::new());
    tokio::task::spawn_blocking(wait).await??;
    Ok(())
}

/// A router of some build, as a process of its own. Ended when it is dropped.
#[derive(Debug)]
pub struct MeasuredRouter {
    process: Child,
    http: SocketAddr,
}

impl MeasuredRouter {
    /// Starts it with these cameras, in a folder that is made for it, with more arguments of `serve`.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(
        program: &str,
        folder: &Path,
        cameras: &[(&str, String)],
        more: &[&str],
    ) -> anyhow::Result<Self> {
        let free = std::net::TcpListener::bind("127.0.0.1:0")?;
        let http = free.local_addr()?;
        drop(free);
        let commune = folder.join("bench");
        write_commune(&commune, cameras)?;
        let process = Command::new(program)
            .arg("serve")
            .arg(&commune)
            .args(["--http", &http.to_string()])
            .args(["--rtsp", "127.0.0.1:0", "--rtc", "127.0.0.1:0"])
            .arg("--data")
            .arg(folder.join("data"))
            .args(more)
            .env("TAIMAT_LOG", "error")
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        Ok(Self { process, http })
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where it serves HTTP.
    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// Its CPU time so far, in seconds.
    ///
    /// # Errors
    /// If it has ended.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        cpu_seconds(self.id())
    }

    /// Its memory, in KiB.
    ///
    /// # Errors
    /// If it has ended.
    pub fn resident_kib(&self) -> anyhow::Result<f64> {
        resident_kib(self.id())
    }

    /// Sends a request that bears no body.
    ///
    /// # Errors
    /// If nobody is there.
    pub fn send(&self, method: &str, path: &str) -> anyhow::Result<TcpStream> {
        self.send_body(method, path, "")
    }

    /// Sends a request with a body of JSON.
    ///
    /// # Errors
    /// If nobody is there.
    pub fn send_body(&self, method: &str, path: &str, body: &str) -> anyhow::Result<TcpStream> {
        let mut stream = TcpStream::connect(self.http)?;
        stream.set_nodelay(true)?;
        let (host, length) = (self.http, body.len());
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(head.as_bytes())?;
        Ok(stream)
    }

    /// The body of an answer that is good.
    ///
    /// # Errors
    /// If it is none.
    pub fn get(&self, path: &str) -> anyhow::Result<String> {
        body(self.send("GET", path)?)
    }

    /// Waits until so many cameras are there.
    ///
    /// # Errors
    /// If they are not in two minutes.
    #[expect(
        clippy::disallowed_methods,
        reason = "benches measure real time, and nothing tells when a process is there"
    )]
    pub fn wait_for_cameras(&self, count: usize) -> anyhow::Result<()> {
        let begin = Instant::now();
        loop {
            let up = self.get("/metrics").ok().map(|text| {
                let lines = text.lines().filter(|l| l.starts_with("taimat_camera_up{"));
                lines.filter(|l| l.ends_with(" 1")).count()
            });
            if up.is_some_and(|up| up >= count) {
                return Ok(());
            }
            let patient = begin.elapsed() < PATIENCE;
            anyhow::ensure!(patient, "only {up:?} of {count} cameras are up");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for MeasuredRouter {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _waited = self.process.wait();
    }
}

/// The body of an answer that is good.
///
/// # Errors
/// If it is none.
pub fn body(mut answer: TcpStream) -> anyhow::Result<String> {
    let mut text = String::new();
    answer.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").context("no answer")?;
    let good = head.split(' ').nth(1).is_some_and(|s| s.starts_with('2'));
    anyhow::ensure!(good, "{text}");
    Ok(body.to_owned())
}
