//! The router as a whole: makes all parts, wires them, reloads them, stops them in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use prometheus::Registry;
use prometheus::process_collector::ProcessCollector;
use taimat_api::{ApiState, Detections, Directory, Snapshot};
use taimat_archive::{Archive, ArchiveSurroundings};
use taimat_base::tasks::{Stop, Tasks};
use taimat_base::{CommuneId, clock};
use taimat_contract::backend::Backends;
use taimat_egress::metrics::EgressMetrics;
use taimat_egress::rtsp::{RtspConfig, RtspServer};
use taimat_egress::track::Tracks;
use taimat_egress::webrtc::Whep;
use taimat_events::{Events, Surroundings};
use taimat_hub::{Hub, Limits};
use taimat_ingest::Ingest;
use taimat_outbound::Outbound;
use taimat_sandbox::Sandbox;
use taimat_vision::Vision;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore, watch};

use crate::admin::Files;
use crate::budgets::{Budgets, check_cameras};
use crate::communes::{CommunePlace, Communes, Judgement};
use crate::config::{Commune, FolderRead};
use crate::data_folder::DataFolder;
use crate::descriptors;
use crate::exports::ExportDesk;
use crate::house::HouseConditions;
use crate::http::{self, HttpConfig, Patience};
use crate::options::{Options, public_url, refuse_exposed};
use crate::recordings::{self, WatchedCameras};
use crate::reload::{Judge, follow};
use crate::rooms::{
    HubMounts, Sinks, access, channels, communes, events, plugins, sealing, webrtc,
};
use crate::shown::{ConfigMetrics, listed};

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
    /// What is in force; held while it is taken over, so that one change comes after the other.
    communes: Mutex<Communes>,
    /// How often somebody wanted all folders to be read.
    asked: watch::Sender<u64>,
    metrics: ConfigMetrics,
    /// Descriptors that are set aside for cameras.
    for_cameras: usize,
    http: Tasks,
    background: Tasks,
    http_addr: SocketAddr,
    stop: Stop,
}

impl Router {
    /// Makes and starts everything. A commune whose folder is wrong is served as it was when it was good last, or
    /// not at all; an error if that is all of them.
    pub async fn start(options: Options) -> anyhow::Result<Arc<Self>> {
        refuse_exposed(&options)?;
        let access = Arc::new(access(&options)?);
        let registry = Registry::new();
        let mut data = DataFolder::open(options.data.clone(), &registry)?;
        let communes = communes(&options, &mut data).await?;
        let in_force = communes.in_force();
        let budgets = Budgets::divide(descriptors::raise(), &in_force, options.most, &registry)?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let config_metrics = ConfigMetrics::register(&registry)?;
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
        let own = own.chain(whep.addresses()).collect();
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
            admin: Arc::new(Files::new(communes.places())),
            directory: Arc::clone(&directory),
            registry,
            streams: budgets.streams,
            access,
        };
        let places = communes.places().to_vec();
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
            communes: Mutex::new(communes),
            asked: watch::Sender::new(0),
            metrics: config_metrics,
            for_cameras: budgets.cameras,
            http: Tasks::under(&stop),
            background: Tasks::under(&stop),
            http_addr,
            stop,
        });
        router.apply(&in_force).await;
        router.show(&*router.communes.lock().await);
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
        router.follow(places);
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

    /// Reads all folders again, whatever has changed. What is wrong with one is told, and what ran of it goes on.
    pub fn reload(&self) {
        self.asked
            .send_modify(|times| *times = times.wrapping_add(1));
    }

    /// What is in force of a commune: the same object until its folder says something else that is good.
    pub async fn in_force(&self, commune: &CommuneId) -> Option<Arc<Commune>> {
        let communes = self.communes.lock().await.in_force();
        communes.into_iter().find(|known| known.id == *commune)
    }

    /// Takes over what is in force. What has not changed is not touched.
    async fn apply(&self, communes: &[Arc<Commune>]) {
        check_cameras(self.for_cameras, communes);
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
        self.house.configure(communes);
        self.exports.configure(communes);
        let recorded = communes.iter().map(|c| c.archive.clone());
        self.archive.configure(recorded.collect());
        let channels = communes.iter().map(|c| c.channels.clone());
        self.outbound.configure(channels.collect()).await;
        let places = communes.iter().map(|c| c.places.clone()).collect();
        let backends: Arc<dyn Backends> = Arc::clone(&self.sandbox) as _;
        self.outbound.configure_places(places, &backends);
        let plugins = communes.iter().flat_map(|c| c.plugins.iter().cloned());
        self.sandbox.reconcile(plugins.collect());
    }

    /// Shows what is in force, and what is wrong.
    fn show(&self, communes: &Communes) {
        let problems = communes.problems();
        let count = i64::try_from(problems.len()).unwrap_or(i64::MAX);
        self.metrics.problems.set(count);
        let communes = communes.in_force();
        self.directory.replace(Snapshot {
            communes: communes.iter().map(|commune| listed(commune)).collect(),
            problems,
        });
    }

    /// Follows each folder for itself.
    fn follow(self: &Arc<Self>, places: Vec<CommunePlace>) {
        for (number, place) in places.into_iter().enumerate() {
            let judge: Arc<dyn Judge> = Arc::clone(self) as _;
            let asked = self.asked.subscribe();
            let span = tracing::info_span!("folder", commune = %place.id);
            self.background.spawn("folder", span, |stop| {
                follow(judge, number, place, asked, stop)
            });
        }
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

#[async_trait]
impl Judge for Router {
    async fn judge(&self, number: usize, read: FolderRead) -> Option<Instant> {
        let mut communes = self.communes.lock().await;
        let judgement = communes.judge(number, read, clock::now(), clock::wall());
        match judgement {
            Judgement::Taken => {
                self.metrics.reloads.inc();
                self.apply(&communes.in_force()).await;
            }
            // A component's file may have changed all the same.
            Judgement::Same => self.sandbox.refresh(),
            Judgement::Refused => {
                self.metrics.refused.inc();
                self.sandbox.refresh();
            }
            Judgement::Unsettled(_) => {}
        }
        self.show(&communes);
        let keep = communes.to_keep(number);
        drop(communes);
        if let Some((kept, id, text)) = keep {
            let keeping = tokio::task::spawn_blocking(move || kept.keep(&id, &text));
            if let Ok(Err(error)) = keeping.await {
                tracing::warn!(%error, "the configuration can not be kept for the next start");
            }
        }
        match judgement {
            Judgement::Unsettled(again) => Some(again),
            Judgement::Same | Judgement::Taken | Judgement::Refused => None,
        }
    }

    fn unwatched(&self, more: i64) {
        self.metrics.unwatched.add(more);
    }
}
