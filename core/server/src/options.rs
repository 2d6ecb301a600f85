//! How the router is run: what the command line, or a test, says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use taimat_base::peer::IpRange;
use taimat_sandbox::compile::Where;

use crate::budgets::Maxima;

/// Bytes of the disk that is recorded to that are left free.
pub const ARCHIVE_FLOOR: u64 = 2 << 30;

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The communes' folders.
    pub folders: Vec<PathBuf>,
    /// Where the operator keeps communes' secrets: in it is a folder for each.
    pub secrets: Option<PathBuf>,
    /// Where HTTP is served.
    pub http: SocketAddr,
    /// Where WebRTC is served (UDP); all with the first one's port.
    pub rtc: Vec<SocketAddr>,
    /// Where RTSP is served.
    pub rtsp: SocketAddr,
    /// Addresses that viewers reach this machine at, if not those of its interfaces.
    pub public: Vec<IpAddr>,
    /// Where people find the console, for links in messages; without it, where HTTP is served.
    pub public_url: Option<String>,
    /// Names that HTTP is asked under, besides `localhost` and addresses as numbers.
    pub names: Vec<String>,
    /// Origins whose pages may watch and read; `*` for all.
    pub allow_origin: Vec<String>,
    /// Proxies that are believed when they say for whom they ask.
    pub trusted_proxies: Vec<IpRange>,
    /// STUN and TURN servers that viewers are told.
    pub ice_servers: Vec<String>,
    /// What channels may reach although it is no public address.
    pub allow_networks: Vec<taimat_outbound::AllowedNetwork>,
    /// Listen elsewhere than on loopback although anybody could watch.
    pub insecure: bool,
    /// Sender threads; 0 is one per core.
    pub sender_threads: usize,
    /// How many may be served at most, if there are descriptors for so many.
    pub most: Maxima,
    /// Where plugins' compiled code and state, and components that proved themselves, are kept; `None`
    /// keeps nothing.
    pub data: Option<PathBuf>,
    /// Where cameras are recorded to; without it, in `data`.
    pub archive: Option<PathBuf>,
    /// Bytes of that disk that are left free.
    pub archive_floor: u64,
    /// Where components are compiled.
    pub compile: Where,
}

impl Options {
    /// Everything on loopback, WebRTC over IPv4 and IPv6, at ports that the system chooses.
    pub fn on_loopback(folders: Vec<PathBuf>) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            folders,
            secrets: None,
            http: any,
            rtc: rtc_addresses(false, 0),
            rtsp: any,
            public: Vec::new(),
            public_url: None,
            names: Vec::new(),
            allow_origin: Vec::new(),
            trusted_proxies: Vec::new(),
            ice_servers: Vec::new(),
            allow_networks: Vec::new(),
            insecure: false,
            sender_threads: 0,
            most: Maxima::default(),
            data: None,
            archive: None,
            archive_floor: ARCHIVE_FLOOR,
            compile: Where::Here,
        }
    }

    /// The addresses that are not loopback, which need `insecure`.
    pub fn exposed(&self) -> Vec<SocketAddr> {
        let all = [self.http, self.rtsp]
            .into_iter()
            .chain(self.rtc.iter().copied());
        all.filter(|a| !a.ip().is_loopback()).collect()
    }
}

/// Where WebRTC is served if nothing else is said: IPv4 and, where this machine has it, IPv6; on
/// loopback, or `everywhere`.
pub fn rtc_addresses(everywhere: bool, port: u16) -> Vec<SocketAddr> {
    let (v4, v6) = if everywhere {
        (Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED)
    } else {
        (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST)
    };
    let mut addresses = vec![SocketAddr::from((v4, port))];
    if std::net::UdpSocket::bind(SocketAddr::from((v6, 0))).is_ok() {
        addresses.push(SocketAddr::from((v6, port)));
    }
    addresses
}

/// Until accounts exist.
pub(crate) fn refuse_exposed(options: &Options) -> anyhow::Result<()> {
    let exposed = options.exposed();
    if !exposed.is_empty() && !options.insecure {
        let list: Vec<String> = exposed.iter().map(ToString::to_string).collect();
        anyhow::bail!(
            "refusing to listen at {}: until accounts exist, anybody who reaches this address \
                 can watch. Use loopback addresses, or say --insecure if the network is yours",
            list.join(", ")
        );
    }
    Ok(())
}

/// Where people find the console.
pub(crate) fn public_url(said: &Option<String>, http: SocketAddr) -> String {
    match said {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{http}"),
    }
}
