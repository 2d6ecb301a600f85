//! The router as a whole: makes all parts, wires them, reloads them, stops them in order.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus::process_collector::ProcessCollector;
use prometheus::{IntCounter, IntGauge, Registry};
use taimat_api::{ApiState, Detections, Directory, Snapshot};
use taimat_archive::{Archive, ArchiveSurroundings};
use taimat_base::metrics::Register;
use taimat_base::tasks::{Stop, Tasks};
use taimat_base::{CameraKey, Problem, Profile};
use taimat_contract::backend::Backends;
use taimat_egress::metrics::EgressMetrics;
use taimat_egress::rtsp::{Mounts, RtspConfig, RtspServer};
use taimat_egress::track::Tracks;
use taimat_egress::webrtc::Whep;
use taimat_events::{Events, Surroundings};
use taimat_hub::{Channel, ChannelKey, Hub, Limits};
use taimat_ingest::Ingest;
use taimat_outbound::Outbound;
use taimat_sandbox::Sandbox;
use taimat_vision::Vision;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::admin::Files;
use crate::budgets::{Budgets, check_cameras};
use crate::config::{self, Commune};
use crate::data_folder::DataFolder;
use crate::descriptors;
use crate::exports::ExportDesk;
use crate::house::HouseConditions;
use crate::http::{self, HttpConfig, Patience};
use crate::options::{Options, public_url, refuse_exposed};
use crate::recordings::{self, WatchedCameras};
use crate::reload::Folders;
use crate::rooms::{Sinks, access, channels, events, plugins, sealing, webrtc};

/// Pictures of recordings that are decoded at once: detectors need the cores, too.
const STILLS: usize = 2;

/// Folders of exports that are sent at once.
const FOLDERS: usize = 4;

/// The steps of stopping, in order. Each has its share of the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopPhase {
    /// New requests are refused.
    Http,
    /// Viewers are told goodbye (RTCP BYE, DTLS close_notify).
    Viewers,
    /// RTSP clients are disconnected.
    Rtsp,
    /// Plugins end, then the decoding for them.
    Plugins,
    /// What plugins saw until then is written down, and what is on its way may arrive.
    Events,
    /// The second that is being filled is written.
    Archive,
    /// Brokers are told that the router goes.
    Channels,
    /// Cameras are told TEARDOWN.
    Sources,
}

impl StopPhase {
    const ORDER: [Self; 8] = [
        Self::Http,
        Self::Viewers,
        Self::Rtsp,
        Self::Plugins,
        Self::Events,
        Self::Archive,
        Self::Channels,
        Self::Sources,
    ];

    const fn deadline(self) -> Duration {
        match self {
            Self::Http | Self::Channels => Duration::from_secs(1),
            Self::Viewers | Self::Rtsp | Self::Plugins | Self::Events | Self::Archive => {
                Duration::from_secs(2)
            }
            Self::Sources => Duration::from_secs(3),
        }
    }
}

#[derive(Debug)]
struct ConfigMetrics {
    problems: IntGauge,
    reloads: IntCounter,
    refused: IntCounter,
}

/// A running router.
#[derive(Debug)]
pub struct Router {
    hub: Arc<Hub>,
    ingest: Arc<Ingest>,
    whep: Arc<Whep>,
    rtsp: RtspServer,
    vision: Arc<Vision>,
    sandbox: Arc<Sandbox>,
    events: Arc<Events>,
    outbound: Arc<Outbound>,
    events_tasks: Tasks,
    archive: Arc<Archive>,
    archive_tasks: Tasks,
    exports: ExportDesk,
    data: DataFolder,
    house: Arc<HouseConditions>,
    directory: Arc<Directory>,
    metrics: ConfigMetrics,
    /// Descriptors that are set aside for cameras.
    for_cameras: usize,
    http: Tasks,
    background: Tasks,
    http_addr: SocketAddr,
    stop: Stop,
}

/// `/{commune}/{camera}[?profile=sub]`
struct HubMounts(Arc<Hub>);

impl Mounts for HubMounts {
    fn find(&self, path: &str, query: Option<&str>) -> Option<Arc<Channel>> {
        let (commune, camera) = path.trim_matches('/').split_once('/')?;
        let camera = CameraKey::new(commune.parse().ok()?, camera.parse().ok()?);
        let wanted = query
            .unwrap_or("")
            .split('&')
            .find_map(|q| q.strip_prefix("profile="));
        let profile = match wanted {
            None => Profile::Main,
            Some(word) => Profile::ALL.into_iter().find(|p| p.as_str() == word)?,
        };
        self.0.get(&ChannelKey::new(camera, profile))
    }
}

impl Router {
    /// Makes and starts everything. `communes` were loaded from the folders in `options`.
    pub async fn start(options: Options, communes: Vec<Commune>) -> anyhow::Result<Arc<Self>> {
        refuse_exposed(&options)?;
        let access = Arc::new(access(&options)?);
        let registry = Registry::new();
        let budgets = Budgets::divide(descriptors::raise(), &communes, options.most, &registry)?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let config_metrics = config_metrics(&registry)?;
        let stop = Stop::new();
        let hub = Arc::new(Hub::new());
        let ingest = Arc::new(Ingest::new(Arc::clone(&hub), &registry)?);
        let metrics = Arc::new(EgressMetrics::register(&registry)?);
        let tracks = Arc::new(Tracks::new(&stop, Limits::default()));
        let places = budgets.viewers;
        let whep = webrtc(&options, places, &hub, &tracks, &metrics, &stop)?;
        let rtsp_config = RtspConfig {
            bind: options.rtsp,
            places: budgets.rtsp,
        };
        let mounts = Arc::new(HubMounts(Arc::clone(&hub)));
        let rtsp = RtspServer::start(&rtsp_config, mounts, tracks, metrics, &stop).await?;
        let directory = Arc::new(Directory::default());
        let detections = Arc::new(Detections::default());
        let mut data = DataFolder::open(options.data.clone(), &registry)?;
        let events = events(&mut data, &registry)?;
        let sink = Arc::new(Sinks {
            browsers: Arc::clone(&detections),
            events: Arc::clone(&events),
        });
        let listener = TcpListener::bind(options.http).await.map_err(|e| {
            io::Error::new(e.kind(), format!("binding HTTP to {}: {e}", options.http))
        })?;
        let http_addr = listener.local_addr()?;
        let own = [http_addr, rtsp.local_addr()].into_iter();
        let own = own.chain(whep.addresses().iter().copied()).collect();
        let outbound = channels(&options, &mut data, own, &registry, &stop)?;
        let (vision, sandbox) = plugins(&options, data.path(), &hub, sink, &registry, &stop)?;
        let folder = options.archive.as_deref();
        let archive = recordings::open(folder, &mut data, options.archive_floor, &registry).await?;
        let house = Arc::new(HouseConditions::new(
            Arc::clone(&hub),
            Arc::clone(&sandbox),
            Arc::clone(&archive),
            &data,
        ));
        let sealing = sealing(data.path(), &registry)?;
        let exports = ExportDesk::new(Arc::clone(&archive), sealing);
        let state = ApiState {
            hub: Arc::clone(&hub),
            ingest: Arc::clone(&ingest),
            whep: Arc::clone(&whep),
            sandbox: Arc::clone(&sandbox),
            detections,
            events: Arc::clone(&events),
            archive: Arc::clone(&archive),
            exports: Arc::new(exports.clone()),
            folders: Arc::new(Semaphore::new(FOLDERS)),
            still: taimat_vision::still,
            stills: Arc::new(Semaphore::new(STILLS)),
            outbound: Arc::clone(&outbound),
            admin: Arc::new(Files::new(&options.folders)),
            directory: Arc::clone(&directory),
            registry,
            streams: budgets.streams,
            access,
        };
        let router = Arc::new(Self {
            hub,
            ingest,
            whep,
            rtsp,
            vision,
            sandbox,
            events,
            outbound,
            house,
            events_tasks: Tasks::under(&stop),
            archive,
            archive_tasks: Tasks::under(&stop),
            exports,
            data,
            directory,
            metrics: config_metrics,
            for_cameras: budgets.cameras,
            http: Tasks::under(&stop),
            background: Tasks::under(&stop),
            http_addr,
            stop,
        });
        let loaded = communes.clone();
        router.apply(communes).await;
        router.run_events(public_url(&options.public_url, router.http_addr));
        router.run_archive();
        let app = taimat_api::router(state);
        let http_config = HttpConfig {
            places: budgets.http,
            proxies: options.trusted_proxies.clone(),
            patience: Patience::USUAL,
        };
        let connections = router.http.clone();
        router.http.spawn("http", tracing::Span::none(), |stop| {
            http::serve(listener, app, http_config, connections, stop)
        });
        let (watched, folders) = (Arc::clone(&router), options.folders);
        router
            .background
            .spawn("reload", tracing::Span::none(), |stop| {
                reload_until(watched, folders, loaded, stop)
            });
        tracing::info!(
            http = %router.http_addr,
            rtsp = %router.rtsp.local_addr(),
            rtc = ?router.whep.addresses(),
            "taimat is running"
        );
        Ok(router)
    }

    /// Brings the events to life.
    fn run_events(&self, public_url: String) {
        let around = Surroundings {
            conditions: Arc::clone(&self.house) as _,
            policies: Arc::clone(&self.sandbox) as _,
            alerters: Arc::clone(&self.sandbox) as _,
            channels: Arc::clone(&self.outbound) as _,
            pushes: Arc::clone(&self.outbound) as _,
            shrink: taimat_vision::shrink,
            public_url,
        };
        self.events.run(&self.events_tasks, around);
    }

    /// Brings the recordings to life.
    fn run_archive(&self) {
        let watching = WatchedCameras::new(Arc::clone(&self.sandbox), Arc::clone(&self.directory));
        let around = ArchiveSurroundings {
            watching: Arc::clone(&watching) as _,
            policies: Arc::clone(&self.sandbox) as _,
            storages: Arc::clone(&self.sandbox) as _,
            places: Arc::clone(&self.outbound) as _,
        };
        self.archive
            .run(&self.archive_tasks, Arc::clone(&self.hub), around);
        let span = tracing::Span::none();
        self.archive_tasks
            .spawn("watched cameras", span, |stop| watching.follow(stop));
        let (archive, events) = (Arc::clone(&self.archive), Arc::clone(&self.events));
        let span = tracing::info_span!("marks");
        self.archive_tasks.spawn("marks", span, |stop| {
            recordings::mark(archive, events, stop)
        });
    }

    /// Where HTTP is served.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// Where RTSP is served.
    pub fn rtsp_addr(&self) -> SocketAddr {
        self.rtsp.local_addr()
    }

    /// The WebRTC side, for benches.
    pub fn whep(&self) -> &Arc<Whep> {
        &self.whep
    }

    /// The plugins.
    pub fn sandbox(&self) -> &Arc<Sandbox> {
        &self.sandbox
    }

    /// The events.
    pub fn events(&self) -> &Arc<Events> {
        &self.events
    }

    /// The recordings.
    pub fn archive(&self) -> &Arc<Archive> {
        &self.archive
    }

    /// The channels.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Reads the folders again. What is wrong is told, and what ran goes on.
    pub async fn reload(&self, folders: &[PathBuf]) {
        match config::load(folders) {
            Ok(communes) => {
                self.metrics.reloads.inc();
                self.apply(communes).await;
                tracing::info!("configuration reloaded");
            }
            Err(problems) => {
                self.metrics.refused.inc();
                self.refuse(problems);
                // A component's file may have changed all the same.
                self.sandbox.refresh();
            }
        }
    }

    fn refuse(&self, problems: Vec<Problem>) {
        for problem in &problems {
            tracing::error!(%problem, "configuration not taken over; what ran goes on");
        }
        self.metrics
            .problems
            .set(i64::try_from(problems.len()).unwrap_or(i64::MAX));
        let communes = self.directory.snapshot().communes.clone();
        self.directory.replace(Snapshot { communes, problems });
    }

    async fn apply(&self, communes: Vec<Commune>) {
        check_cameras(self.for_cameras, &communes);
        self.whep
            .keep_places_for(communes.iter().map(|commune| commune.id.clone()));
        let sources = communes
            .iter()
            .flat_map(|commune| &commune.cameras)
            .flat_map(|camera| camera.sources.iter().cloned())
            .collect();
        self.ingest.reconcile(sources).await;
        // Before the plugins, so that their detections are taken as the files say.
        let events = communes.iter().map(|c| c.events.events.clone());
        self.events.configure(events.collect());
        self.house.configure(&communes);
        self.exports.configure(&communes);
        let recorded = communes.iter().map(|c| c.archive.clone());
        self.archive.configure(recorded.collect());
        let channels = communes.iter().map(|c| c.channels.clone());
        self.outbound.configure(channels.collect()).await;
        let places = communes.iter().map(|c| c.places.clone()).collect();
        let backends: Arc<dyn Backends> = Arc::clone(&self.sandbox) as _;
        self.outbound.configure_places(places, &backends);
        let plugins = communes.iter().flat_map(|c| c.plugins.iter().cloned());
        self.sandbox.reconcile(plugins.collect());
        self.metrics.problems.set(0);
        let communes = communes.into_iter().map(listed).collect();
        self.directory.replace(Snapshot {
            communes,
            problems: Vec::new(),
        });
    }

    /// Stops everything in a fixed order: HTTP, viewers, RTSP clients, plugins, events, recordings,
    /// channels, cameras.
    pub async fn stop(&self) {
        self.background.stop(Duration::from_secs(1)).await;
        for phase in StopPhase::ORDER {
            tracing::debug!(?phase, "stopping");
            match phase {
                StopPhase::Http => drop(self.http.stop(phase.deadline()).await),
                StopPhase::Viewers => self.whep.shut_down(phase.deadline()).await,
                StopPhase::Rtsp => self.rtsp.stop(phase.deadline()).await,
                StopPhase::Plugins => {
                    self.sandbox.stop(phase.deadline() / 2).await;
                    self.vision.stop(phase.deadline() / 2).await;
                }
                StopPhase::Events => drop(self.events_tasks.stop(phase.deadline()).await),
                StopPhase::Archive => drop(self.archive_tasks.stop(phase.deadline()).await),
                StopPhase::Channels => self.outbound.stop(phase.deadline()).await,
                StopPhase::Sources => self.ingest.stop(phase.deadline()).await,
            }
        }
        self.stop.cancel();
        self.data.release();
        tracing::info!("stopped");
    }
}

/// Reloads what changes until stopped. What was loaded at the start may have changed before it was
/// watched.
async fn reload_until(
    router: Arc<Router>,
    folders: Vec<PathBuf>,
    loaded: Vec<Commune>,
    stop: Stop,
) {
    let mut folders = match Folders::watch(folders) {
        Ok(folders) => folders,
        Err(error) => {
            tracing::error!(%error, "folders can not be watched; restart after changes");
            return;
        }
    };
    if config::load(folders.paths()).ok() == Some(loaded) {
        // A component may have changed all the same.
        router.sandbox.refresh();
    } else {
        router.reload(folders.paths()).await;
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = folders.next() => {}
        }
        router.reload(folders.paths()).await;
    }
}

fn config_metrics(registry: &Registry) -> Result<ConfigMetrics, prometheus::Error> {
    let r = Register(registry);
    Ok(ConfigMetrics {
        problems: r.gauge(
            "taimat_config_problems",
            "Problems in the configuration files as they are now; 0 when they are in force.",
        )?,
        reloads: r.counter(
            "taimat_config_reloads_total",
            "Reloads that were taken over.",
        )?,
        refused: r.counter(
            "taimat_config_reloads_refused_total",
            "Reloads that were refused because of problems.",
        )?,
    })
}

fn listed(commune: Commune) -> taimat_api::Commune {
    let cameras = commune
        .cameras
        .into_iter()
        .map(|camera| taimat_api::Camera {
            has_sub: camera.sources.len() > 1,
            on_demand: camera
                .sources
                .iter()
                .any(|s| s.mode != taimat_ingest::Mode::Always),
            id: camera.id,
            title: camera.title,
        });
    taimat_api::Commune {
        cameras: cameras.collect(),
        id: commune.id,
        name: commune.name,
        time_zone: commune.time_zone,
    }
}
