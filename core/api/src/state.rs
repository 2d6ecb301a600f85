//! What requests are answered from.

use std::sync::Arc;

use prometheus::Registry;
use taimat_archive::Archive;
use taimat_egress::webrtc::Whep;
use taimat_events::Events;
use taimat_hub::Hub;
use taimat_ingest::Ingest;
use taimat_media::AccessUnit;
use taimat_outbound::Outbound;
use taimat_sandbox::Sandbox;
use tokio::sync::Semaphore;

use crate::admin::Admin;
use crate::detections::Detections;
use crate::directory::Directory;
use crate::exports::Exports;

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
    /// How requests are let in.
    pub access: Arc<Access>,
}

/// How requests are let in, until accounts exist.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Web pages of these origins may use WHEP and the API; `*` stands for all.
    pub allowed_origins: Vec<String>,
    /// Whether only this machine's names are accepted as host: a page elsewhere can not reach a
    /// server on loopback under a name of its own (DNS rebinding).
    pub loopback_only: bool,
    /// STUN and TURN servers for viewers, as `Link` headers say them.
    pub ice_servers: Vec<String>,
}
