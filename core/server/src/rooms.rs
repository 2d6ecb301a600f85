//! Makes the router's rooms of its options, each ready to be wired to the others.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use prometheus::Registry;
use taimat_api::{Access, AllowedOrigins, Detections, HostNames, Origin};
use taimat_base::problem::Lines;
use taimat_base::tasks::Stop;
use taimat_base::{CameraKey, Profile};
use taimat_contract::{Detected, DetectionSink, FrameSource};
use taimat_egress::metrics::EgressMetrics;
use taimat_egress::rtsp::Mounts;
use taimat_egress::track::Tracks;
use taimat_egress::webrtc::{ViewerPlaces, Whep, WhepConfig};
use taimat_events::{EventStore, Events};
use taimat_hub::{Channel, ChannelKey, Hub};
use taimat_outbound::{Outbound, OutboundConfig};
use taimat_sandbox::{Sandbox, SandboxConfig};
use taimat_vision::Vision;

use crate::communes::{Communes, KeptFiles};
use crate::config::SecretPlaces;
use crate::data_folder::{DataFolder, Kept};
use crate::exports::Sealing;
use crate::options::Options;

/// Instances of plugins at most, two for one while it is exchanged. Only address space is reserved
/// for them.
const MAX_INSTANCES: u32 = 2000;

/// The side of WebRTC viewers.
pub(crate) fn webrtc(
    options: &Options,
    places: ViewerPlaces,
    hub: &Arc<Hub>,
    tracks: &Arc<Tracks>,
    metrics: &Arc<EgressMetrics>,
    stop: &Stop,
) -> anyhow::Result<Arc<Whep>> {
    let config = WhepConfig {
        bind: options.rtc.clone(),
        public: options.public.clone(),
        threads: options.sender_threads,
        places,
    };
    let (hub, tracks, metrics) = (Arc::clone(hub), Arc::clone(tracks), Arc::clone(metrics));
    let whep = Whep::start(&config, hub, tracks, metrics, stop).context("starting WebRTC")?;
    Ok(Arc::new(whep))
}

/// Who is let in by HTTP, as the options say.
pub(crate) fn access(options: &Options) -> anyhow::Result<Access> {
    let public = options.public_url.as_deref().map(Origin::of_url);
    let public = public.transpose().context("--public-url")?;
    let allowed_origins = AllowedOrigins::parse(&options.allow_origin);
    let names = HostNames::parse(&options.names).context("--name")?;
    Ok(Access {
        allowed_origins: allowed_origins.context("--allow-origin")?,
        names: names.and_of(public.as_ref()),
        public,
        trusted_proxies: options.trusted_proxies.clone(),
        ice_servers: options.ice_servers.clone(),
    })
}

/// `/{commune}/{camera}[?profile=sub]`
pub(crate) struct HubMounts(pub(crate) Arc<Hub>);

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

/// What the folders say, or what they said when they were good last.
pub(crate) async fn communes(options: &Options, data: &mut DataFolder) -> anyhow::Result<Communes> {
    let kept = data.path().map(KeptFiles::open);
    let kept = kept.and_then(|opened| {
        let failed = |error: &io::Error| {
            data.do_without(Kept::Communes, format!("the communes' files: {error}"));
        };
        opened.inspect_err(failed).ok()
    });
    let secrets = SecretPlaces::new(options.secrets.clone());
    let communes = Communes::begin(&options.folders, kept, &secrets).await;
    let problems = communes.problems();
    anyhow::ensure!(
        options.folders.is_empty() || !communes.in_force().is_empty(),
        "there is no commune that could be served; {} problem(s) in the configuration:\n{}",
        problems.len(),
        Lines(&problems)
    );
    Ok(communes)
}

/// Everybody who wants to know what plugins see.
#[derive(Debug)]
pub(crate) struct Sinks {
    pub(crate) browsers: Arc<Detections>,
    pub(crate) events: Arc<Events>,
}

impl DetectionSink for Sinks {
    fn publish(&self, detected: &Detected<'_>) {
        self.browsers.publish(detected);
        self.events.publish(detected);
    }
}

/// What signs exports.
pub(crate) fn sealing(
    data: Option<&Path>,
    registry: &Registry,
) -> anyhow::Result<Arc<dyn Sealing>> {
    #[cfg(feature = "evidence")]
    {
        let sealing = crate::sealing::KeySealing::new(data);
        sealing.announce(registry)?;
        Ok(sealing)
    }
    #[cfg(not(feature = "evidence"))]
    {
        let _unused = (data, registry);
        Ok(Arc::new(crate::exports::Unsealed(
            "this router was built without signing",
        )))
    }
}

/// The events in the data folder.
pub(crate) fn events(data: &mut DataFolder, registry: &Registry) -> anyhow::Result<Arc<Events>> {
    let kept = data.path().map(|folder| EventStore::open(Some(folder)));
    let (store, damaged) = match kept {
        Some(Ok(opened)) => opened,
        other => {
            if let Some(Err(error)) = other {
                data.do_without(Kept::Events, format!("the events: {error}"));
            }
            EventStore::open(Some(&data.scratch()?)).context("opening the events")?
        }
    };
    if let Some(aside) = damaged {
        tracing::error!(
            aside = %aside.display(),
            "the events' file was damaged; it was put aside, and a new one was begun"
        );
    }
    Ok(Arc::new(Events::new(Arc::new(store), registry)?))
}

/// What carries messages out of the house. What it has to keep is gone with the router if there is no data
/// folder.
pub(crate) fn channels(
    options: &Options,
    data: &mut DataFolder,
    own: Vec<SocketAddr>,
    registry: &Registry,
    stop: &Stop,
) -> anyhow::Result<Arc<Outbound>> {
    let config = OutboundConfig {
        allowed: options.allow_networks.clone(),
        own,
        ..OutboundConfig::default()
    };
    // Push services want an address of who answers for the router.
    let contact = options.public_url.clone();
    let config = match contact.filter(|url| url.starts_with("https:")) {
        Some(contact) => OutboundConfig { contact, ..config },
        None => config,
    };
    let folder = match data.path() {
        Some(data) => data.to_owned(),
        None => data.scratch()?,
    };
    Ok(Arc::new(Outbound::new(config, &folder, registry, stop)?))
}

/// Decoding and plugins.
pub(crate) fn plugins(
    options: &Options,
    data: Option<&Path>,
    hub: &Arc<Hub>,
    sink: Arc<Sinks>,
    registry: &Registry,
    stop: &Stop,
) -> anyhow::Result<(Arc<Vision>, Arc<Sandbox>)> {
    let vision = Vision::start(Arc::clone(hub), 0, registry, stop)?;
    let config = SandboxConfig {
        threads: 0,
        instances: MAX_INSTANCES,
        compile: options.compile.clone(),
        data: data.map(Path::to_owned),
    };
    let source: Arc<dyn FrameSource> = Arc::clone(&vision) as _;
    let sandbox = Sandbox::start(config, source, sink, registry, stop)?;
    Ok((vision, Arc::new(sandbox)))
}
