//! All channels of all communes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard};
use std::time::Duration;

use async_trait::async_trait;
use taimat_base::metrics::{Error, Registry};
use taimat_base::tasks::{Stop, Tasks};
use taimat_base::{ChannelId, CommuneId};
use taimat_contract::Backends;
use taimat_contract::channel::{Channels, Dispatch, MediaSource};
use taimat_contract::message::Reply;
use taimat_contract::place::{BlobStore, Places};
use taimat_contract::push::{Push, Pushes};
use tokio::sync::Semaphore;

use crate::channel::{Channel, ChannelMap, ChannelStatus, Sender};
use crate::exchange::Reach;
use crate::guard::{AllowedNetwork, Guard, Resolver, SystemResolver};
use crate::hidden::Hidden;
use crate::http::Http;
use crate::mail::MailChannel;
use crate::metrics::{ChannelMetrics, Kept};
use crate::mqtt::Mqtt;
use crate::oauth::Grant;
use crate::place::spec::{CommunePlaces, PlaceSpec, PlaceWay};
use crate::place::{AllPlaces, BackendPlace, S3Place, Unready};
use crate::push::WebPush;
use crate::rate::{OF_A_COMMUNE, Turns};
use crate::signature;
use crate::spec::{ChannelSpec, CommuneChannels, HttpSpec, Way};
use crate::tls::Roots;

/// What who runs the router says of all channels.
#[derive(Debug)]
pub struct OutboundConfig {
    /// What may be reached although it is not public.
    pub allowed: Vec<AllowedNetwork>,
    /// Where the router listens: nobody is let there.
    pub own: Vec<SocketAddr>,
    /// Who looks names up.
    pub resolver: Arc<dyn Resolver>,
    /// Whom a push service writes to when something is wrong with what the router sends: an address with
    /// `https:` or `mailto:`.
    pub contact: String,
}

impl Default for OutboundConfig {
    fn default() -> Self {
        Self {
            allowed: Vec::new(),
            own: Vec::new(),
            resolver: Arc::new(SystemResolver),
            // Whoever answers for the program can at least say what it is.
            contact: env!("CARGO_PKG_REPOSITORY").into(),
        }
    }
}

type Key = (CommuneId, ChannelId);

/// The channels of all communes.
#[derive(Debug)]
pub struct Outbound {
    guard: Arc<Guard>,
    folder: PathBuf,
    metrics: ChannelMetrics,
    tasks: Tasks,
    roots: Roots,
    push: WebPush,
    connections: Arc<AtomicU64>,
    /// By commune, as long as it has channels.
    turns: RwLock<BTreeMap<CommuneId, Arc<Semaphore>>>,
    channels: ChannelMap,
    places: AllPlaces,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
}

impl Outbound {
    /// No channels yet. Grants that turn are kept below `data_folder`. When `stop` fires, connections
    /// end.
    pub fn new(
        config: OutboundConfig,
        data_folder: &Path,
        registry: &Registry,
        stop: &Stop,
    ) -> Result<Self, Error> {
        let guard = Arc::new(Guard::new(config.allowed, config.own, config.resolver));
        Ok(Self {
            push: WebPush::new(data_folder, config.contact, registry)?,
            guard,
            folder: data_folder.join("channels"),
            metrics: ChannelMetrics::register(registry)?,
            tasks: Tasks::under(stop),
            roots: Roots::default(),
            connections: Arc::default(),
            turns: RwLock::default(),
            channels: ChannelMap::default(),
            places: AllPlaces::register(registry)?,
            changing: tokio::sync::Mutex::default(),
        })
    }

    /// Makes the channels what they are to be. What is equal is not touched: its connection stays, and
    /// so does what it has sent.
    pub async fn configure(&self, communes: Vec<CommuneChannels>) {
        let _one = self.changing.lock().await;
        let cameras = communes.iter();
        let cameras = cameras.map(|c| (c.commune.clone(), c.cameras.iter().copied().collect()));
        self.guard.cameras(cameras.collect());
        self.push.keep(&communes);
        let mut wanted = BTreeMap::new();
        for commune in communes {
            for spec in commune.channels {
                wanted.insert((commune.commune.clone(), spec.id.clone()), spec);
            }
        }
        let gone: Vec<Arc<Channel>> = {
            let mut channels = self.channels.write().unwrap_or_else(|e| e.into_inner());
            let changed = |key: &Key, channel: &Channel| wanted.get(key) != Some(&channel.spec);
            let keys = channels
                .iter()
                .filter(|(key, channel)| changed(key, channel));
            let keys: Vec<Key> = keys.map(|(key, _)| key.clone()).collect();
            keys.iter().filter_map(|key| channels.remove(key)).collect()
        };
        // Before the next begins: a broker lets only one of a name be connected.
        for channel in gone {
            channel.end().await;
        }
        let known = |key: &Key| self.channels().contains_key(key);
        let new: Vec<_> = wanted.into_iter().filter(|(key, _)| !known(key)).collect();
        for ((commune, id), spec) in new {
            let channel = Arc::new(self.channel(&commune, spec));
            let mut channels = self.channels.write().unwrap_or_else(|e| e.into_inner());
            channels.insert((commune, id), channel);
        }
        let left = |commune: &CommuneId| self.channels().keys().any(|(of, _)| of == commune);
        let mut turns = self.turns.write().unwrap_or_else(|e| e.into_inner());
        turns.retain(|commune, _| left(commune));
    }

    /// Makes the places what they are to be; `backends` knows the plugins that reach some of them. What is
    /// equal is not touched, and what is under way goes on at the place as it was.
    pub fn configure_places(&self, communes: Vec<CommunePlaces>, backends: &Arc<dyn Backends>) {
        self.places.configure(communes, |commune, spec| {
            self.store(commune, spec, backends)
        });
    }

    fn store(
        &self,
        commune: &CommuneId,
        spec: &PlaceSpec,
        backends: &Arc<dyn Backends>,
    ) -> Box<dyn BlobStore> {
        if let Some(missing) = spec.missing.first() {
            return Box::new(Unready(missing.clone()));
        }
        match &spec.way {
            PlaceWay::Backend { plugin, channel } => Box::new(BackendPlace {
                commune: commune.clone(),
                plugin: plugin.clone(),
                channel: channel.clone(),
                channels: Arc::clone(&self.channels),
                backends: Arc::clone(backends),
            }),
            PlaceWay::S3(s3) => {
                let reach = Reach {
                    guard: Arc::clone(&self.guard),
                    tasks: self.tasks.clone(),
                    commune: commune.clone(),
                };
                let tls = self.roots.config(&s3.trust, None, &[b"http/1.1"]);
                match tls.and_then(|tls| S3Place::new(s3, reach, tls)) {
                    Ok(place) => Box::new(place),
                    Err(why) => Box::new(Unready(why)),
                }
            }
        }
    }

    /// How a commune's channels are, by name.
    pub fn statuses(&self, commune: &CommuneId) -> Vec<ChannelStatus> {
        let channels: Vec<Arc<Channel>> = {
            let all = self.channels();
            let own = all.iter().filter(|((of, _), _)| of == commune);
            own.map(|(_, channel)| Arc::clone(channel)).collect()
        };
        channels.iter().map(|channel| channel.status()).collect()
    }

    /// The key that browsers ask for notifications with; it is made when somebody asks for it first. Waits
    /// for the disk.
    ///
    /// # Errors
    /// If there is none, in words for people.
    pub fn push_key(&self) -> Result<String, String> {
        self.push.public_key()
    }

    /// Ends connections in good order.
    pub async fn stop(&self, deadline: Duration) {
        self.configure(Vec::new()).await;
        self.tasks.stop(deadline).await;
    }

    fn channels(&self) -> RwLockReadGuard<'_, BTreeMap<Key, Arc<Channel>>> {
        self.channels.read().unwrap_or_else(|e| e.into_inner())
    }

    fn channel(&self, commune: &CommuneId, spec: ChannelSpec) -> Channel {
        let span = tracing::info_span!("channel", %commune, channel = %spec.id);
        let _within = span.enter();
        let reach = Reach {
            guard: Arc::clone(&self.guard),
            tasks: self.tasks.clone(),
            commune: commune.clone(),
        };
        let kept = match &spec.way {
            Way::Http(http) => Kept {
                connection: false,
                grant: http.oauth2.is_some(),
            },
            Way::Mqtt(_) => Kept {
                connection: true,
                grant: false,
            },
            Way::Mail(_) | Way::Wire => Kept {
                connection: false,
                grant: false,
            },
        };
        let metrics = Arc::new(self.metrics.of(commune, &spec.id, kept));
        let hidden = Arc::new(Hidden::new(spec.redactor()));
        let sender = match spec.missing.first() {
            Some(missing) => Err(missing.clone()),
            None => self.sender(&spec, &reach, &hidden, &metrics),
        };
        let sender = sender.unwrap_or_else(Sender::Unready);
        let turns = {
            let mut turns = self.turns.write().unwrap_or_else(|e| e.into_inner());
            let commune = turns.entry(commune.clone());
            let commune = commune.or_insert_with(|| Arc::new(Semaphore::new(OF_A_COMMUNE)));
            Turns::new(spec.rate, Arc::clone(commune))
        };
        Channel::new(spec, sender, turns, reach, hidden, metrics)
    }

    fn sender(
        &self,
        spec: &ChannelSpec,
        reach: &Reach,
        hidden: &Arc<Hidden>,
        metrics: &Arc<crate::metrics::OfAChannel>,
    ) -> Result<Sender, String> {
        let name = |name: &&str| !spec.secrets.contains_key(*name);
        if let Some(missing) = spec.address.names().find(name) {
            return Err(format!(
                "the address has a place for {{{missing}}}, and there is no such secret"
            ));
        }
        let identity = match &spec.way {
            Way::Http(http) => http.identity.as_ref(),
            Way::Mqtt(_) | Way::Mail(_) | Way::Wire => None,
        };
        let protocols: &[&[u8]] = match &spec.way {
            Way::Http(_) => &[b"h2", b"http/1.1"],
            Way::Mqtt(_) | Way::Mail(_) | Way::Wire => &[],
        };
        let tls = self.roots.config(&spec.trust, identity, protocols)?;
        let address = spec.address.clone();
        let reach = reach.clone();
        Ok(match &spec.way {
            Way::Http(http) => {
                if !http.webhook.iter().all(signature::fits) {
                    return Err("a webhook-secret is not whsec_ and Base64".into());
                }
                Sender::Http(Box::new(Http {
                    grant: self.grant(spec, http, &reach, &tls, hidden),
                    address,
                    secrets: spec.secrets.clone(),
                    spec: HttpSpec::clone(http),
                    reach,
                    tls,
                    hidden: Arc::clone(hidden),
                }))
            }
            Way::Mqtt(mqtt) => {
                let connections = Arc::clone(&self.connections);
                let watch = Arc::clone(metrics) as Arc<dyn crate::mqtt::Watch>;
                Sender::Mqtt(Mqtt::start(
                    address,
                    mqtt.clone(),
                    reach,
                    tls,
                    connections,
                    watch,
                ))
            }
            Way::Mail(mail) => Sender::Mail(Box::new(MailChannel {
                id: spec.id.clone(),
                address,
                spec: mail.clone(),
                trust: spec.trust.clone(),
                reach,
                tls,
            })),
            Way::Wire => Sender::Wire,
        })
    }

    fn grant(
        &self,
        spec: &ChannelSpec,
        http: &HttpSpec,
        reach: &Reach,
        tls: &Arc<rustls::ClientConfig>,
        hidden: &Arc<Hidden>,
    ) -> Option<Grant> {
        let grant = http.oauth2.clone()?;
        // Neither of the two has a dot in it.
        let file = self
            .folder
            .join(format!("{}.{}.json", reach.commune, spec.id));
        let secrets = spec.secrets.clone();
        let (tls, hidden) = (Arc::clone(tls), Arc::clone(hidden));
        Some(Grant::new(grant, secrets, file, reach.clone(), tls, hidden))
    }
}

#[async_trait]
impl Pushes for Outbound {
    async fn push(&self, push: Push<'_>) -> Reply {
        let reach = Reach {
            guard: Arc::clone(&self.guard),
            tasks: self.tasks.clone(),
            commune: push.commune.clone(),
        };
        self.push.send(&reach, &self.roots, push).await
    }
}

impl Places for Outbound {
    fn place(&self, commune: &CommuneId, name: &str) -> Option<Arc<dyn BlobStore>> {
        self.places.get(commune, name)
    }
}

#[async_trait]
impl Channels for Outbound {
    async fn send(&self, dispatch: Dispatch<'_>, media: &dyn MediaSource) -> Reply {
        let name = dispatch.message.channel();
        let channel = name.parse::<ChannelId>().ok().and_then(|id| {
            let key = (dispatch.commune.clone(), id);
            self.channels().get(&key).map(Arc::clone)
        });
        match channel {
            Some(channel) => channel.send(dispatch, media).await,
            None => Reply::Failed("the commune has no channel of this name".into()),
        }
    }

    fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}
