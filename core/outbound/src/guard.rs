//! Where channels may lead. A name is looked up once, by us; each address that comes is judged, and the
//! connection goes to one that was judged good: a second look-up, which could answer otherwise, there is
//! not. How a number was written in the file does not matter, as only what comes of it is looked at.
//!
//! Owner: the room. Cost: one look-up a connection.
//! Not here: what a path may say (`address`), who is trusted by TLS (`tls`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use taimat_base::CommuneId;
use tokio::net::TcpStream;

use crate::failure::{Failure, Outcome};

/// A server that is up answers sooner.
const CONNECT: Duration = Duration::from_secs(5);
/// Addresses of one name that are tried at most.
const TRIED: usize = 8;

/// Finds the addresses of a name.
#[async_trait]
pub trait Resolver: Send + Sync + Debug {
    /// The addresses of a host with the port put in; a number in any spelling is its own.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// As the machine does it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// What an operator lets channels reach although it is no public address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum AllowedNetwork {
    /// All addresses that begin so: `192.0.2.0/24`.
    Network {
        /// Bits behind the prefix are 0.
        address: IpAddr,
        /// Bits that count.
        prefix: u8,
    },
    /// One port of one address, whatever else is said of it: `192.0.2.1:1883`.
    Socket(SocketAddr),
}

/// Why a text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a network is written 192.0.2.0/24 or fd00::/8, a single port 192.0.2.1:1883 or [fd00::1]:1883"
)]
pub struct NotANetwork;

impl FromStr for AllowedNetwork {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        if let Ok(socket) = text.parse::<SocketAddr>() {
            let fits = socket.port() != 0;
            return fits
                .then_some(Self::Socket(plain(socket)))
                .ok_or(NotANetwork);
        }
        let (address, prefix) = text.split_once('/').ok_or(NotANetwork)?;
        let address: IpAddr = address.parse().map_err(|_no| NotANetwork)?;
        let digits = prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix: u8 = prefix.parse().map_err(|_no| NotANetwork)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        if !digits || prefix > most || masked(address, prefix) != address {
            return Err(NotANetwork);
        }
        Ok(Self::Network { address, prefix })
    }
}

impl TryFrom<String> for AllowedNetwork {
    type Error = NotANetwork;

    fn try_from(text: String) -> Result<Self, NotANetwork> {
        text.parse()
    }
}

impl fmt::Display for AllowedNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network { address, prefix } => write!(f, "{address}/{prefix}"),
            Self::Socket(socket) => write!(f, "{socket}"),
        }
    }
}

/// The first bits of an address, the others 0.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - prefix.min(32)).unwrap_or(0);
            Ipv4Addr::from(u32::from(v4) & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - prefix.min(128)).unwrap_or(0);
            Ipv6Addr::from(u128::from(v6) & mask).into()
        }
    }
}

/// The address that is meant: IPv4 in IPv6 (RFC 4291 section 2.5.5.2) is IPv4.
fn plain(socket: SocketAddr) -> SocketAddr {
    SocketAddr::new(socket.ip().to_canonical(), socket.port())
}

/// An IPv4 address that a gateway makes of an IPv6 address (RFC 6052 section 2.1), which then is the one
/// that counts.
fn behind_gateway(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = ip.segments() else {
        return None;
    };
    Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
}

/// Networks that are not of the public net, with what they are: RFC 6890 and the registries of IANA.
const NOT_PUBLIC_4: [([u8; 4], u8, &str); 16] = [
    ([0, 0, 0, 0], 8, "this machine"),
    ([10, 0, 0, 0], 8, "private"),
    ([100, 64, 0, 0], 10, "a provider's"),
    ([127, 0, 0, 0], 8, "this machine"),
    ([169, 254, 0, 0], 16, "link-local"),
    ([172, 16, 0, 0], 12, "private"),
    ([192, 0, 0, 0], 24, "reserved"),
    ([192, 0, 2, 0], 24, "for documents"),
    ([192, 88, 99, 0], 24, "reserved"),
    ([192, 168, 0, 0], 16, "private"),
    ([198, 18, 0, 0], 15, "for benchmarks"),
    ([198, 51, 100, 0], 24, "for documents"),
    ([203, 0, 113, 0], 24, "for documents"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([240, 0, 0, 0], 4, "reserved"),
    ([255, 255, 255, 255], 32, "broadcast"),
];

/// Within 2000::/3, which is all that is public (RFC 4291, IANA); what else there is has names below.
const NOT_PUBLIC_6: [(u128, u8, &str); 4] = [
    (0x2001_0000 << 96, 23, "reserved"),
    (0x2001_0db8 << 96, 32, "for documents"),
    // IPv4 in IPv6, over relays that nobody answers for.
    (0x2002_0000 << 96, 16, "a tunnel"),
    (0x3fff_0000 << 96, 20, "for documents"),
];

/// What an address is, if it is no public one.
fn not_public(ip: IpAddr) -> Option<&'static str> {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let within = |(network, prefix, _): &&([u8; 4], u8, &str)| {
                masked(v4.into(), *prefix) == IpAddr::from(*network)
            };
            NOT_PUBLIC_4.iter().find(within).map(|(_, _, what)| *what)
        }
        IpAddr::V6(v6) => {
            if let Some(v4) = behind_gateway(v6) {
                return not_public(v4.into());
            }
            let within = |(network, prefix, _): &&(u128, u8, &str)| {
                masked(v6.into(), *prefix) == IpAddr::from(Ipv6Addr::from(*network))
            };
            if let Some((_, _, what)) = NOT_PUBLIC_6.iter().find(within) {
                return Some(what);
            }
            let first = v6.segments().first().copied().unwrap_or(0);
            match first {
                0x2000..=0x3fff => None,
                0xfc00..=0xfdff => Some("private"),
                0xfe80..=0xfebf => Some("link-local"),
                0xff00..=0xffff => Some("multicast"),
                0 if v6.is_loopback() || v6.is_unspecified() => Some("this machine"),
                _ => Some("reserved"),
            }
        }
    }
}

/// Holds connections to what is allowed.
#[derive(Debug)]
pub(crate) struct Guard {
    allowed: Vec<AllowedNetwork>,
    /// Where the router listens.
    own: Vec<SocketAddr>,
    resolver: Arc<dyn Resolver>,
    cameras: RwLock<BTreeMap<CommuneId, BTreeSet<IpAddr>>>,
}

impl Guard {
    pub(crate) fn new(
        allowed: Vec<AllowedNetwork>,
        own: Vec<SocketAddr>,
        resolver: Arc<dyn Resolver>,
    ) -> Self {
        Self {
            allowed,
            own: own.into_iter().map(plain).collect(),
            resolver,
            cameras: RwLock::default(),
        }
    }

    /// Where the communes' cameras are.
    pub(crate) fn cameras(&self, cameras: BTreeMap<CommuneId, BTreeSet<IpAddr>>) {
        *self.cameras.write().unwrap_or_else(|e| e.into_inner()) = cameras;
    }

    /// Connects for a commune. The socket's other end is an address that was judged.
    pub(crate) async fn connect(
        &self,
        commune: &CommuneId,
        host: &str,
        port: u16,
    ) -> Result<TcpStream, Failure> {
        let late = |_| Failure::new(Outcome::Late, "no connection within 5 s");
        let connecting = self.connect_in_time(commune, host, port);
        tokio::time::timeout(CONNECT, connecting)
            .await
            .map_err(late)?
    }

    async fn connect_in_time(
        &self,
        commune: &CommuneId,
        host: &str,
        port: u16,
    ) -> Result<TcpStream, Failure> {
        let looked_up = self.resolver.resolve(host, port).await;
        let addresses = looked_up.map_err(|error| {
            let text = format!("the host's name can not be looked up: {}", error.kind());
            Failure::new(Outcome::Unreachable, text)
        })?;
        let mut failure = Failure::new(Outcome::Unreachable, "the host's name has no address");
        let mut tried = 0;
        for address in addresses {
            if let Err(refused) = self.judge(commune, address) {
                // What was tried in vain says more than what was not tried.
                if tried == 0 {
                    failure = refused;
                }
                continue;
            }
            if tried == TRIED {
                break;
            }
            tried += 1;
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    let text = format!("no connection: {}", error.kind());
                    failure = Failure::new(Outcome::Unreachable, text);
                }
            }
        }
        Err(failure)
    }

    /// Whether a commune's channel may connect there.
    pub(crate) fn judge(&self, commune: &CommuneId, address: SocketAddr) -> Result<(), Failure> {
        // A zone says which link, and is no part of what is compared.
        let socket = plain(SocketAddr::new(address.ip(), address.port()));
        let meant = match socket.ip() {
            IpAddr::V6(v6) => behind_gateway(v6).map_or(socket.ip(), IpAddr::V4),
            v4 => v4,
        };
        let meant = SocketAddr::new(meant, socket.port());
        let exactly =
            |network: &AllowedNetwork| matches!(network, AllowedNetwork::Socket(s) if *s == meant);
        if self.allowed.iter().any(exactly) {
            return Ok(());
        }
        let refused = |what: &str| {
            Failure::new(Outcome::Guarded, format!("the address is {what}")).hint(format!(
                "who runs the router can allow it: --allow-network {meant}"
            ))
        };
        if self.is_own(meant) {
            return Err(refused("the router's own"));
        }
        let cameras = self.cameras.read().unwrap_or_else(|e| e.into_inner());
        let foreign =
            |(of, ips): (&CommuneId, &BTreeSet<IpAddr>)| of != commune && ips.contains(&meant.ip());
        // What both communes have is this one's too.
        let own = cameras
            .get(commune)
            .is_some_and(|ips| ips.contains(&meant.ip()));
        if !own && cameras.iter().any(foreign) {
            return Err(refused("a camera's of another commune"));
        }
        let listed = |network: &AllowedNetwork| match network {
            AllowedNetwork::Network { address, prefix } => {
                let same_family = address.is_ipv4() == meant.ip().is_ipv4();
                same_family && masked(meant.ip(), *prefix) == *address
            }
            AllowedNetwork::Socket(_) => false,
        };
        match not_public(meant.ip()) {
            Some(what) if !self.allowed.iter().any(listed) => {
                Err(refused(&format!("not a public one but {what}")))
            }
            _ => Ok(()),
        }
    }

    fn is_own(&self, socket: SocketAddr) -> bool {
        let listens = |own: &&SocketAddr| own.port() == socket.port();
        self.own.iter().filter(listens).any(|own| {
            own.ip() == socket.ip() || own.ip().is_unspecified() && is_this_machine(socket.ip())
        })
    }
}

/// Whether an address leads back to this machine.
fn is_this_machine(ip: IpAddr) -> bool {
    if ip.is_loopback() || ip.is_unspecified() {
        return true;
    }
    let interfaces = nix::ifaddrs::getifaddrs();
    interfaces.is_ok_and(|mut list| {
        list.any(|interface| {
            let address = interface.address;
            let v4 = address
                .as_ref()
                .and_then(|a| a.as_sockaddr_in())
                .map(|a| IpAddr::V4(a.ip()));
            let v6 = address
                .as_ref()
                .and_then(|a| a.as_sockaddr_in6())
                .map(|a| IpAddr::V6(a.ip()));
            v4.or(v6) == Some(ip)
        })
    })
}

#[cfg(test)]
mod tests;
