//! `taimat report`: one text file to attach to a report of a fault, in which nothing secret is left
//! and which its sender can read first: versions, configuration, states, last log lines, metrics.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use taimat_base::problem::Lines;
use taimat_base::redact::SourceUrl;
use taimat_base::{Redactor, clock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::config::{self, Origin, SecretPlaces};

/// Answers of the router, and of others, take no longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of one answer at most.
const MAX_ANSWER_BYTES: u64 = 16 << 20;
/// Lines of log.
const LOG_LINES: usize = 500;
/// Of a log's end that is read.
const LOG_BYTES: u64 = 1 << 20;
/// What the running router is asked.
const QUESTIONS: [&str; 3] = ["/api/v1/overview", "/readyz", "/metrics"];

/// What can be said on the command line.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Communes' folders
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// Folder with communes' secrets, as the router has it: they are taken out
    #[arg(long, value_name = "FOLDER", env = "TAIMAT_SECRETS")]
    secrets: Option<PathBuf>,
    /// Where the running router serves HTTP
    #[arg(long, default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// File that the router's log goes to [default: the journal of the unit]
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// The router's unit in the journal
    #[arg(long, default_value = "taimat")]
    unit: String,
    /// Where to write
    #[arg(short, long, default_value = "taimat-report.txt")]
    output: PathBuf,
}

/// Collects, hides what is secret, writes. What can not be had is named in its place: a router that
/// does not run is a state too.
pub async fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let secrets = SecretPlaces::new(args.secrets.clone());
    let mut report = Report {
        redactor: redactor(&args.folders, &secrets),
        text: String::new(),
    };
    report.part("about", &about());
    for folder in &args.folders {
        let file = folder.join(config::FILE);
        let text = config::written(folder);
        let text = text.map_or_else(|problem| format!("({problem})"), |written| written.text);
        report.part(&file.display().to_string(), &text);
        report.part(&format!("files of {}", folder.display()), &files(folder));
    }
    report.part("problems", &problems(&args.folders, &secrets));
    for path in questions(&args.folders) {
        let answer = tokio::time::timeout(PATIENCE, ask(args.http, &path)).await;
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => format!("(no answer from {}: {error})", args.http),
            Err(_elapsed) => format!("(no answer from {} within {PATIENCE:?})", args.http),
        };
        report.part(&format!("GET {path}"), &answer);
    }
    report.part("log", &log(args).await);
    write(&args.output, &report.text)
        .with_context(|| format!("writing {}", args.output.display()))?;
    writeln!(
        std::io::stdout(),
        "{}: read it before you send it",
        args.output.display()
    )?;
    Ok(())
}

struct Report {
    redactor: Redactor,
    text: String,
}

impl Report {
    fn part(&mut self, name: &str, text: &str) {
        let (name, text) = (self.redactor.text(name), self.redactor.whole(text));
        // Writing into a text does not fail.
        let _written = write!(self.text, "===== {name}\n{text}\n\n");
    }
}

/// Knows what the communes' files have of secrets. They are read as they are written: a file that is
/// wrong has secrets too, and it is the one that a report is about.
fn redactor(folders: &[PathBuf], secrets: &SecretPlaces) -> Redactor {
    let mut redactor = Redactor::default();
    for folder in folders {
        let file = folder.join(config::FILE);
        let text = config::written(folder).map_or(String::new(), |written| written.text);
        if let Ok(commune) = &config::id_of(folder) {
            let origin = Origin {
                file: &file,
                commune,
                secrets,
            };
            for (user, password) in config::logins(origin, &text) {
                redactor.know_login(&user, password.reveal());
            }
        }
        // Also of those in comments, and where no address belongs.
        let addresses = text.split(|c: char| c.is_whitespace() || "\"',".contains(c));
        for address in addresses.filter(|address| address.contains("://")) {
            if let Ok(url) = address.parse() {
                redactor.know_source(&SourceUrl::new(url), None, None);
            }
        }
    }
    redactor
}

/// Only who asked for it reads it: what is left in it is still somebody's network.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    const OURS: u32 = 0o600;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(OURS)
        .open(file)?;
    // One that was there keeps its mode otherwise.
    file.set_permissions(std::fs::Permissions::from_mode(OURS))?;
    file.write_all(text.as_bytes())
}

fn about() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let first = |file: &str| read(file).lines().next().unwrap_or("").to_owned();
    let named = |file: &str, key: &str| {
        let text = read(file);
        let line = text.lines().find(|line| line.starts_with(key));
        line.unwrap_or("").to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let tools = if cfg!(feature = "tools") { "yes" } else { "no" };
    [
        format!("taimat {}, with tools: {tools}", env!("CARGO_PKG_VERSION")),
        format!("built for {}", std::env::consts::ARCH),
        first("/proc/version"),
        named("/etc/os-release", "PRETTY_NAME="),
        format!("cores: {cores}"),
        named("/proc/meminfo", "MemTotal:"),
        named("/proc/meminfo", "MemAvailable:"),
        named("/proc/self/limits", "Max open files"),
        named("/proc/self/limits", "Max address space"),
        format!("load: {}", first("/proc/loadavg")),
        format!(
            "time: {:.0} s since 1970",
            clock::unix_seconds(clock::wall())
        ),
    ]
    .join("\n")
}

/// Names, sizes and ages of what a commune's folder has.
fn files(folder: &Path) -> String {
    let mut lines = Vec::new();
    for folder in [folder.to_owned(), folder.join("plugins")] {
        let list = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in list {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            let age = metadata.modified().ok().and_then(|at| at.elapsed().ok());
            let age = age.map_or("?".into(), |age| format!("{} s", age.as_secs()));
            let name = entry.path();
            let (name, bytes) = (name.display(), metadata.len());
            lines.push(format!("{name}: {bytes} bytes, changed {age} ago"));
        }
    }
    lines.sort();
    lines.join("\n")
}

fn problems(folders: &[PathBuf], secrets: &SecretPlaces) -> String {
    match config::load_with(folders, secrets) {
        Ok(_) => "none".into(),
        Err(problems) => Lines(&problems).to_string(),
    }
}

fn questions(folders: &[PathBuf]) -> Vec<String> {
    let mut questions: Vec<String> = QUESTIONS.map(str::to_owned).to_vec();
    for folder in folders {
        if let Some(name) = config::name_of(folder) {
            questions.push(format!("/api/v1/communes/{name}/plugins"));
        }
    }
    questions
}

/// What the router answers: HTTP/1.0, so that the end of the connection is the end of the answer.
async fn ask(router: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(router).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {router}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream
        .take(MAX_ANSWER_BYTES)
        .read_to_end(&mut answer)
        .await?;
    let answer = String::from_utf8_lossy(&answer);
    Ok(match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => body.to_owned(),
        _ => answer.into_owned(),
    })
}

async fn log(args: &ReportArgs) -> String {
    if let Some(file) = &args.log {
        return last_lines(file).unwrap_or_else(|error| format!("({}: {error})", file.display()));
    }
    let journal = Command::new("journalctl")
        .args(["--unit", &args.unit, "--lines", &LOG_LINES.to_string()])
        .args(["--no-pager", "--output", "short-iso"])
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(PATIENCE, journal).await {
        Ok(Ok(output)) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).into_owned()
        }
        _ => format!(
            "(no journal of a unit {}; say where the log is with --log FILE)",
            args.unit
        ),
    }
}

fn last_lines(file: &Path) -> std::io::Result<String> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = std::fs::File::open(file)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LOG_LINES);
    Ok(lines.get(from..).unwrap_or_default().join("\n"))
}
