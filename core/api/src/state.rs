//! What requests are answered from.

use std::sync::Arc;

use prometheus::Registry;
use taimat_archive::Archive;
use taimat_base::budget::{Budget, Place};
use taimat_base::peer::IpRange;
use taimat_egress::webrtc::Whep;
use taimat_events::Events;
use taimat_hub::Hub;
use taimat_ingest::Ingest;
use taimat_media::AccessUnit;
use taimat_outbound::Outbound;
use taimat_sandbox::Sandbox;
use tokio::sync::Semaphore;

use crate::admin::Admin;
use crate::client::Client;
use crate::detections::Detections;
use crate::directory::Directory;
use crate::exports::Exports;
use crate::origin::{AllowedOrigins, HostNames, Origin};
use crate::problem::ProblemJson;

/// Makes a JPEG of the last of these units, so wide at most; none if it can not be decoded.
pub type Still = fn(&[AccessUnit], u32) -> Option<Vec<u8>>;

/// Everything that requests are answered from.
#[derive(Debug, Clone)]
pub struct ApiState {
    /// The cameras' channels.
    pub hub: Arc<Hub>,
    /// The sources.
    pub ingest: Arc<Ingest>,
    /// WebRTC viewers.
    pub whep: Arc<Whep>,
    /// Plugins.
    pub sandbox: Arc<Sandbox>,
    /// What plugins see.
    pub detections: Arc<Detections>,
    /// Events.
    pub events: Arc<Events>,
    /// Makes a JPEG, so wide at most, of what was recorded.
    pub still: Still,
    /// Pictures that are made at once.
    pub stills: Arc<Semaphore>,
    /// Recordings.
    pub archive: Arc<Archive>,
    /// Who takes recordings out.
    pub exports: Arc<dyn Exports>,
    /// Folders of exports that are sent at once: each has a thread that reads for it.
    pub folders: Arc<Semaphore>,
    /// Channels.
    pub outbound: Arc<Outbound>,
    /// Who writes configuration.
    pub admin: Arc<dyn Admin>,
    /// What communes and cameras there are.
    pub directory: Arc<Directory>,
    /// All metrics.
    pub registry: Registry,
    /// Places for streams of server-sent events: each holds its connection as long as its page is open.
    pub streams: Budget,
    /// How requests are let in.
    pub access: Arc<Access>,
}

impl ApiState {
    /// A place for one more stream of server-sent events. It ends with its page, so it is never taken away.
    pub(crate) fn stream_place(&self, client: Client) -> Result<Place, ProblemJson> {
        let place = self.streams.enter(client.network);
        let place = place.map_err(ProblemJson::crowded)?;
        place.settle();
        Ok(place)
    }
}

/// How requests are let in, until accounts exist.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Web pages of these origins may use WHEP, and read the API.
    pub allowed_origins: AllowedOrigins,
    /// The names that are answered to: under others a page elsewhere could reach the router as if it were
    /// a part of it (DNS rebinding).
    pub names: HostNames,
    /// Where people find the console, if that was said: pages from there are the router's own.
    pub public: Option<Origin>,
    /// Proxies that are believed when they say for whom they ask.
    pub trusted_proxies: Vec<IpRange>,
    /// STUN and TURN servers for viewers, as `Link` headers say them.
    pub ice_servers: Vec<String>,
}
