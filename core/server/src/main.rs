//! `taimat`, the command line.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use serde::Deserialize;
use taimat_base::Problem;
use taimat_base::peer::IpRange;
use taimat_base::problem::Lines;
use taimat_base::units::ByteSize;
use taimat_outbound::AllowedNetwork;
use taimat_sandbox::compile::{self, Where};
use taimat_server::budgets::{MAX_HTTP_CONNECTIONS, MAX_RTSP_CLIENTS, MAX_VIEWERS, Maxima};
use taimat_server::check::plugins;
#[cfg(feature = "evidence")]
use taimat_server::evidence;
use taimat_server::options::{ARCHIVE_FLOOR, rtc_addresses};
#[cfg(feature = "tools")]
use taimat_server::simulate::{self, SimulateArgs};
use taimat_server::{Options, Router, config, probe, recordings_command, report};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A media router for neighbourhood cameras
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    /// How log lines are written
    #[arg(long, global = true, value_enum, default_value = "text")]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve one or more communes
    Serve(Box<ServeArgs>),
    /// Check communes' folders and say everything that is wrong
    Check {
        /// Communes' folders
        #[arg(required = true)]
        folders: Vec<PathBuf>,
        /// Folder with communes' secrets, as the router gets it
        #[arg(long, value_name = "FOLDER", env = "TAIMAT_SECRETS")]
        secrets: Option<PathBuf>,
    },
    /// Connect to a camera once and say what it is, what it does, and what to write into commune.toml
    Probe(Box<probe::ProbeArgs>),
    /// Write what is needed to understand a fault into one file, without secrets
    Report(report::ReportArgs),
    /// Keys that sign exported clips, and checking what was signed
    #[cfg(feature = "evidence")]
    #[command(subcommand)]
    Evidence(evidence::EvidenceCommand),
    /// Look into what was recorded: check, rebuild, list, export
    #[command(subcommand)]
    Archive(recordings_command::ArchiveCommand),
    /// Run a fleet of synthetic cameras
    #[cfg(feature = "tools")]
    Simulate(Box<SimulateArgs>),
    /// Write, test, sign and look into plugins
    #[cfg(feature = "tools")]
    #[command(subcommand)]
    Plugin(taimat_author::Command),
    /// Compile a component from standard input; what the router starts for itself
    #[command(hide = true, name = compile::WORKER_ARGUMENT)]
    Compile {
        /// Memory that it may take
        memory_bytes: u64,
    },
}

/// What can be said on the command line or in a file.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct ServeArgs {
    /// Communes' folders
    folders: Vec<PathBuf>,
    /// File with these options; what the command line says comes first
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Folder with communes' secrets: COMMUNE/NAME in it is { secret = "NAME" } of that commune
    #[arg(long, value_name = "FOLDER", env = "TAIMAT_SECRETS")]
    secrets: Option<PathBuf>,
    /// Address of HTTP: console, WHEP, API, metrics [default: 127.0.0.1:8080]
    #[arg(long)]
    http: Option<SocketAddr>,
    /// UDP addresses of WebRTC, all with the same port [default: port 8189 at 127.0.0.1 and ::1,
    /// with --insecure at all addresses]
    #[arg(long, value_delimiter = ',')]
    rtc: Vec<SocketAddr>,
    /// Address of RTSP [default: 127.0.0.1:8554]
    #[arg(long)]
    rtsp: Option<SocketAddr>,
    /// Addresses that viewers reach this machine at, if not those of its interfaces
    #[arg(long, value_delimiter = ',')]
    public: Vec<IpAddr>,
    /// Where people find the console, for links in messages [default: the address of HTTP]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Names that people reach HTTP under, such as cameras.example.org. Addresses as numbers, localhost and
    /// the name in --public-url need no mention; requests under other names are refused
    #[arg(long, value_delimiter = ',')]
    name: Vec<String>,
    /// Origins whose pages may watch and read, and change nothing; * for all
    #[arg(long, value_delimiter = ',')]
    allow_origin: Vec<String>,
    /// Proxies in front that say for whom they ask (X-Forwarded-For, the last entry) and by which scheme
    /// (X-Forwarded-Proto)
    #[arg(long, value_name = "IP|CIDR", value_delimiter = ',')]
    trusted_proxy: Vec<IpRange>,
    /// STUN and TURN servers that viewers are told, such as stun:stun.example.org
    #[arg(long, value_delimiter = ',')]
    ice_server: Vec<String>,
    /// What channels may reach although it is no public address: 192.0.2.0/24, or 192.0.2.1:1883 for
    /// one port, which may be one of the router's own
    #[arg(long, value_name = "CIDR|IP:PORT", value_delimiter = ',')]
    allow_network: Vec<AllowedNetwork>,
    /// Listen elsewhere than on loopback although anybody who gets there can watch
    #[arg(long)]
    insecure: bool,
    /// Sender threads [default: one per core]
    #[arg(long)]
    sender_threads: Option<usize>,
    /// WebRTC viewers at most; one address may have half of them [default: 2000]
    #[arg(long)]
    max_viewers: Option<usize>,
    /// RTSP clients at most; one address may have half of them [default: 512]
    #[arg(long)]
    max_rtsp_clients: Option<usize>,
    /// HTTP connections at most; one address may have half of them [default: 4096]
    #[arg(long)]
    max_http_connections: Option<usize>,
    /// Folder for what is kept between runs: plugins' state and compiled code, components that proved
    /// themselves [default: taimat-data]
    #[arg(long, env = "TAIMAT_DATA")]
    data: Option<PathBuf>,
    /// Folder that cameras are recorded to, best on a disk of its own [default: archive, within the folder for
    /// what is kept]
    #[arg(long, value_name = "FOLDER")]
    archive: Option<PathBuf>,
    /// How much of that disk is left free [default: 2GiB]
    #[arg(long, value_name = "SIZE")]
    archive_floor: Option<ByteSize>,
}

impl ServeArgs {
    /// Puts the file's options behind those of the command line.
    fn with_file(mut self) -> anyhow::Result<Self> {
        let Some(path) = &self.config else {
            return Ok(self);
        };
        let text =
            std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let file: Self = toml::from_str(&text).with_context(|| format!("in {}", path.display()))?;
        let or = |mine: Vec<String>, theirs| if mine.is_empty() { theirs } else { mine };
        if self.folders.is_empty() {
            let base = path.parent().unwrap_or(std::path::Path::new("."));
            self.folders = file.folders.iter().map(|f| base.join(f)).collect();
        }
        self.secrets = self.secrets.or(file.secrets);
        self.http = self.http.or(file.http);
        self.rtsp = self.rtsp.or(file.rtsp);
        if self.rtc.is_empty() {
            self.rtc = file.rtc;
        }
        if self.public.is_empty() {
            self.public = file.public;
        }
        self.public_url = self.public_url.or(file.public_url);
        self.name = or(self.name, file.name);
        self.allow_origin = or(self.allow_origin, file.allow_origin);
        if self.trusted_proxy.is_empty() {
            self.trusted_proxy = file.trusted_proxy;
        }
        self.ice_server = or(self.ice_server, file.ice_server);
        if self.allow_network.is_empty() {
            self.allow_network = file.allow_network;
        }
        self.insecure |= file.insecure;
        self.sender_threads = self.sender_threads.or(file.sender_threads);
        self.max_viewers = self.max_viewers.or(file.max_viewers);
        self.max_rtsp_clients = self.max_rtsp_clients.or(file.max_rtsp_clients);
        self.max_http_connections = self.max_http_connections.or(file.max_http_connections);
        self.data = self.data.or(file.data);
        self.archive = self.archive.or(file.archive);
        self.archive_floor = self.archive_floor.or(file.archive_floor);
        Ok(self)
    }

    fn options(self) -> Options {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let at = |port| SocketAddr::new(loopback.ip(), port);
        let rtc = if self.rtc.is_empty() {
            rtc_addresses(self.insecure, 8189)
        } else {
            self.rtc
        };
        Options {
            folders: self.folders,
            secrets: self.secrets,
            http: self.http.unwrap_or(at(8080)),
            rtc,
            rtsp: self.rtsp.unwrap_or(at(8554)),
            public: self.public,
            public_url: self.public_url,
            names: self.name,
            allow_origin: self.allow_origin,
            trusted_proxies: self.trusted_proxy,
            ice_servers: self.ice_server,
            allow_networks: self.allow_network,
            insecure: self.insecure,
            sender_threads: self.sender_threads.unwrap_or(0),
            most: Maxima {
                viewers: self.max_viewers.unwrap_or(MAX_VIEWERS),
                rtsp_clients: self.max_rtsp_clients.unwrap_or(MAX_RTSP_CLIENTS),
                http_connections: self.max_http_connections.unwrap_or(MAX_HTTP_CONNECTIONS),
            },
            data: Some(self.data.unwrap_or("taimat-data".into())),
            archive: self.archive,
            archive_floor: self.archive_floor.map_or(ARCHIVE_FLOOR, |size| size.0),
            // This very program, even if its file has been replaced by a newer one.
            compile: Where::Child("/proc/self/exe".into(), compile::Caps::default()),
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Command::Compile { memory_bytes } = cli.command {
        return ExitCode::from(compile::worker(memory_bytes));
    }
    start_log(cli.log_format);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let result = match cli.command {
        Command::Serve(args) => runtime.block_on(serve(*args)),
        Command::Check { folders, secrets } => runtime.block_on(check(&folders, secrets)),
        Command::Probe(args) => runtime.block_on(probe::run(*args)),
        Command::Archive(command) => {
            return match recordings_command::run(&command, &mut std::io::stdout().lock()) {
                Ok(code) => ExitCode::from(code),
                Err(error) => fail(&error),
            };
        }
        Command::Report(args) => runtime.block_on(report::run(&args)),
        #[cfg(feature = "evidence")]
        Command::Evidence(command) => return on_evidence(&command),
        #[cfg(feature = "tools")]
        Command::Simulate(args) => runtime.block_on(simulate(&args)),
        #[cfg(feature = "tools")]
        Command::Plugin(command) => taimat_author::run(&command),
        // Done before there were threads.
        Command::Compile { .. } => Ok(()),
    };
    // Blocking tasks that hang must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    let _written = writeln!(std::io::stderr(), "taimat: {error:#}");
    ExitCode::FAILURE
}

/// What could not be checked must not look like an outcome of checking.
#[cfg(feature = "evidence")]
fn on_evidence(command: &evidence::EvidenceCommand) -> ExitCode {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    match evidence::run(command, now_ms, &mut std::io::stdout()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _failed = fail(&error);
            ExitCode::from(evidence::NOT_CHECKED)
        }
    }
}

/// `TAIMAT_LOG` filters as `RUST_LOG` does elsewhere.
fn start_log(format: LogFormat) {
    // The ICE library warns about every candidate pair that is not there yet.
    let default = "info,rtc_ice=error,rtc_dtls=error";
    let filter = EnvFilter::try_from_env("TAIMAT_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}

fn told(problems: &[Problem]) -> anyhow::Error {
    let (count, lines) = (problems.len(), Lines(problems));
    anyhow::anyhow!("{count} problem(s) in the configuration:\n{lines}")
}

async fn check(folders: &[PathBuf], secrets: Option<PathBuf>) -> anyhow::Result<()> {
    let secrets = config::SecretPlaces::new(secrets);
    let communes = config::load_with(folders, &secrets).map_err(|problems| told(&problems))?;
    let problems = plugins(folders, &communes).await;
    if !problems.is_empty() {
        return Err(told(&problems));
    }
    let mut out = std::io::stdout();
    for commune in communes {
        let cameras = commune.cameras.len();
        writeln!(
            out,
            "{}: {} ({cameras} cameras): good",
            commune.id, commune.name
        )?;
    }
    Ok(())
}

async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let args = args.with_file()?;
    anyhow::ensure!(!args.folders.is_empty(), "no commune's folder was given");
    let options = args.options();
    let http = options.http;
    // Before anything else: by itself the signal ends the process.
    let mut again = signal(SignalKind::hangup())?;
    let router = Router::start(options).await?;
    let page = SocketAddr::new(http.ip(), router.http_addr().port());
    writeln!(std::io::stdout(), "console: http://{page}/")?;
    let mut told = std::pin::pin!(until_told());
    loop {
        tokio::select! {
            ended = &mut told => break ended?,
            Some(()) = again.recv() => {
                tracing::info!("SIGHUP: reading the communes' folders");
                router.reload();
            }
        }
    }
    tokio::select! {
        () = router.stop() => Ok(()),
        _ = until_told() => anyhow::bail!("told twice to stop; stopped without waiting"),
    }
}

#[cfg(feature = "tools")]
async fn simulate(args: &SimulateArgs) -> anyhow::Result<()> {
    let fleet = simulate::start(args).await?;
    until_told().await?;
    fleet.stop(Duration::from_secs(2)).await;
    Ok(())
}

/// Waits for SIGTERM or SIGINT.
async fn until_told() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
