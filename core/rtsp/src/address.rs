//! Where requests go: to the camera that we are connected to, whatever it says about itself.
//!
//! Cameras describe themselves by addresses of their inner network, of another port, with somebody's
//! password in them, or by no address at all. Of all that only path and query are taken; host and
//! port are always those that the operator wrote. Addresses are put together as text, not parsed and
//! written again: cameras compare them as text.

use std::net::{IpAddr, Ipv6Addr};

use taimat_base::redact::SourceUrl;
use url::{Host, Url};

/// Longest address that is sent: longer ones of a camera are nonsense.
const MAX_BYTES: usize = 2048;

/// What the connection to a camera is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// `rtsp://`
    Tcp,
    /// `rtsps://`
    Tls,
    /// `rtsp+http://`: a tunnel through HTTP.
    Http,
    /// `rtsp+https://`
    Https,
}

impl Carrier {
    fn of(scheme: &str) -> Option<Self> {
        match scheme.to_ascii_lowercase().as_str() {
            "rtsp" | "rtspt" | "rtspu" => Some(Self::Tcp),
            "rtsps" => Some(Self::Tls),
            "rtsp+http" => Some(Self::Http),
            "rtsp+https" => Some(Self::Https),
            _ => None,
        }
    }

    /// The port where none is written.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Tcp => 554,
            Self::Tls => 322,
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// Whether nobody on the way can read along.
    pub const fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::Https)
    }

    /// Whether RTSP travels within HTTP.
    pub const fn is_tunnel(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    /// The scheme of addresses in requests.
    const fn scheme(self) -> &'static str {
        match self {
            Self::Tls => "rtsps",
            _ => "rtsp",
        }
    }
}

/// Why an address leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a scheme of RTSP.
    #[error("the address is not one of RTSP")]
    Scheme,
    /// Nobody is named.
    #[error("the address names no host")]
    Host,
    /// The camera sends us to somebody else.
    #[error("the camera sends us to another host, which is not followed")]
    OtherHost,
    /// The camera sends us away from an encrypted connection.
    #[error("the camera sends us to an address that is not encrypted, which is not followed")]
    Downgrade,
    /// The camera sends us, and does not say where.
    #[error("the camera sends us to another address without saying which")]
    Nowhere,
}

/// An address to connect to. Its path and query are shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    carrier: Carrier,
    host: Host<String>,
    port: Option<u16>,
    /// As it is asked for: with `/` before it, or empty.
    path: String,
    peer: Option<IpAddr>,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}/***", self.carrier.scheme(), self.authority())
    }
}

impl Address {
    /// Takes the address that an operator wrote.
    pub fn new(url: &SourceUrl) -> Result<Self, AddressError> {
        Self::from_url(url.reveal())
    }

    fn from_url(url: &Url) -> Result<Self, AddressError> {
        let carrier = Carrier::of(url.scheme()).ok_or(AddressError::Scheme)?;
        let host = match url.host().ok_or(AddressError::Host)? {
            // The parser knows addresses of schemes that it knows, which RTSP is none of.
            Host::Domain("") => return Err(AddressError::Host),
            Host::Domain(name) => parse_host(name),
            other => other.to_owned(),
        };
        let mut path = url.path().to_owned();
        if let Some(query) = url.query() {
            path = format!("{path}?{query}");
        }
        Ok(Self {
            carrier,
            host,
            port: url.port(),
            path: encoded(&path),
            peer: None,
        })
    }

    /// What its name was resolved to: the camera may call itself so.
    #[must_use]
    pub fn with_peer(mut self, peer: IpAddr) -> Self {
        self.peer = Some(peer.to_canonical());
        self
    }

    /// What the connection is made of.
    pub fn carrier(&self) -> Carrier {
        self.carrier
    }

    /// Name or address to connect to; IPv6 without brackets.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => ip.to_string(),
        }
    }

    /// Port to connect to.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(self.carrier.default_port())
    }

    /// Host and port, as they stand in the address.
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.to_string(),
        }
    }

    /// Path and query, as they stand in the address.
    pub fn path_and_query(&self) -> &str {
        &self.path
    }

    /// What is asked for in requests.
    pub fn request_url(&self) -> String {
        self.url(&self.path)
    }

    fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.carrier.scheme(), self.authority())
    }

    /// Where a 301 or 302 leads to: another address of the same host, or of the same connection.
    pub fn redirected(&self, location: &str) -> Result<Self, AddressError> {
        let location = location.trim();
        if location.is_empty() || location.len() > MAX_BYTES {
            return Err(AddressError::Nowhere);
        }
        let Some((scheme, _)) = location.split_once("://") else {
            let mut there = self.clone();
            there.path = if location.starts_with('/') {
                encoded(location)
            } else {
                let (directory, _) = self.path.rsplit_once('/').unwrap_or_default();
                encoded(&format!("{directory}/{location}"))
            };
            return Ok(there);
        };
        let carrier = Carrier::of(scheme).ok_or(AddressError::Scheme)?;
        if self.carrier.is_encrypted() && !carrier.is_encrypted() {
            return Err(AddressError::Downgrade);
        }
        let said = Said::read(location);
        let (host, port) = split_authority(said.authority.unwrap_or(""));
        if !self.is(host) {
            return Err(AddressError::OtherHost);
        }
        Ok(Self {
            carrier,
            host: self.host.clone(),
            port: match port {
                "" => None,
                port => Some(port.parse().ok().ok_or(AddressError::Nowhere)?),
            },
            path: encoded(said.path),
            peer: self.peer,
        })
    }

    /// Whether a name in the camera's words is this camera.
    fn is(&self, host: &str) -> bool {
        let said = parse_host(host);
        let ip = match said {
            Host::Domain(_) => None,
            Host::Ipv4(ip) => Some(IpAddr::V4(ip)),
            Host::Ipv6(ip) => Some(IpAddr::V6(ip)),
        };
        said == self.host || (ip.is_some() && ip == self.peer)
    }

    /// Whether host and port in the camera's words are those of this connection.
    fn is_here(&self, authority: &str) -> bool {
        let (host, port) = split_authority(authority);
        let own = match port {
            "" => self.port() == self.carrier.default_port(),
            port => port.parse() == Ok(self.port()),
        };
        own && self.is(host)
    }
}

/// What a description's addresses are relative to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    address: Address,
    wrong: bool,
}

/// An address to ask for.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// As it is sent.
    pub url: String,
    /// The camera named another one, which leads nowhere from here.
    pub wrong: bool,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target")
            .field("wrong", &self.wrong)
            .finish_non_exhaustive()
    }
}

impl Base {
    /// The base of a description that was asked for at `address` and came with these headers.
    pub fn new(
        address: &Address,
        content_base: Option<&str>,
        content_location: Option<&str>,
    ) -> Self {
        let mut base = Self {
            address: address.clone(),
            wrong: false,
        };
        let Some(header) = content_base.or(content_location).map(str::trim) else {
            return base;
        };
        if header.is_empty() || header.len() > MAX_BYTES {
            base.wrong = true;
            return base;
        }
        let said = Said::read(header);
        base.wrong = said.odd || !said.authority.is_some_and(|at| address.is_here(at));
        // What is put together wrongly may have lost its path on the way.
        let sloppy = said.odd || said.authority.is_none();
        if !(sloppy && matches!(said.path, "" | "/")) {
            base.address.path = encoded(said.path);
        }
        base
    }

    /// Whether the camera's base was not followed as it stands.
    pub fn is_wrong(&self) -> bool {
        self.wrong
    }

    /// Where to send requests that are about all tracks, by the session's `a=control`, and those
    /// about one track, by the track's.
    pub fn control(&self, control: Option<&str>) -> Target {
        let control = control.unwrap_or("").trim();
        let base = &self.address.path;
        let target = |path: &str, wrong| Target {
            url: self.address.url(path),
            wrong,
        };
        if matches!(control, "" | "*") || control.len() > MAX_BYTES {
            return target(base, control.len() > MAX_BYTES);
        }
        if control.contains("://") {
            let said = Said::read(control);
            let here = said.authority.is_some_and(|at| self.address.is_here(at));
            let path = encoded(said.path);
            let path = if path.is_empty() { base } else { &path };
            return target(path, said.odd || !here);
        }
        let control = encoded(control);
        let directory = base.trim_end_matches('/');
        if control.starts_with('/') && !directory.is_empty() && control.starts_with(directory) {
            // The whole path.
            return target(&control, false);
        }
        // Everything else hangs behind the base, even behind its query. The standards say something
        // else, cameras do this.
        let joined = match control.chars().next() {
            Some('/') => format!("{directory}{control}"),
            Some('?') => format!("{base}{control}"),
            _ if base.ends_with('/') => format!("{base}{control}"),
            _ => format!("{base}/{control}"),
        };
        target(&joined, false)
    }
}

/// An address in a camera's words, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Said<'a> {
    /// Without user and password.
    authority: Option<&'a str>,
    /// With `/` before it, or empty; with the query.
    path: &'a str,
    /// It is not written as an address is.
    odd: bool,
}

impl<'a> Said<'a> {
    fn read(text: &'a str) -> Self {
        let mut odd = true;
        let mut rest = text;
        let mut schemes = 0;
        while let Some((scheme, after)) = rest.split_once("://")
            && !scheme.is_empty()
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '+')
        {
            schemes += 1;
            odd = schemes > 1 || Carrier::of(scheme).is_none();
            rest = after;
        }
        if schemes == 0 && rest.starts_with('/') {
            return Self {
                authority: None,
                path: rest,
                odd: false,
            };
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        // A password may have a slash in it.
        let end = match rest.rfind('@') {
            Some(at) if !rest.get(..at).is_some_and(|info| info.contains('?')) => {
                let host = rest.get(at..).unwrap_or("");
                at + host.find(['/', '?']).unwrap_or(host.len())
            }
            _ => end,
        };
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let (info, authority) = authority.rsplit_once('@').unwrap_or(("", authority));
        Self {
            authority: Some(authority).filter(|authority| !authority.is_empty()),
            path,
            odd: odd || !info.is_empty(),
        }
    }
}

/// Host and port, the latter empty if there is none.
fn split_authority(authority: &str) -> (&str, &str) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    }
}

fn parse_host(host: &str) -> Host<String> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse::<Ipv6Addr>() {
        return match IpAddr::V6(ip).to_canonical() {
            IpAddr::V4(ip) => Host::Ipv4(ip),
            IpAddr::V6(ip) => Host::Ipv6(ip),
        };
    }
    match host.parse() {
        Ok(ip) => Host::Ipv4(ip),
        Err(_) => Host::Domain(host.to_ascii_lowercase()),
    }
}

/// The same with only those characters percent-encoded that would break a request or a quoted text.
fn encoded(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for c in path.chars() {
        if c.is_ascii_graphic() && c != '"' {
            text.push(c);
            continue;
        }
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            text.push('%');
            for digit in [byte >> 4, byte & 15] {
                let digit = char::from_digit(digit.into(), 16).unwrap_or('0');
                text.push(digit.to_ascii_uppercase());
            }
        }
    }
    text
}

#[cfg(test)]
mod tests;
