//! Which addresses are bound, and which viewers are told.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::socket::RtcSocket;

/// Interfaces are asked for their addresses at most so often. They come and go: by DHCP, with a tunnel, with a cable.
const FRESH: Duration = Duration::from_secs(1);

/// The addresses that viewers are told.
#[derive(Debug)]
pub(super) struct Advertised {
    bound: Vec<SocketAddr>,
    public: Vec<IpAddr>,
    /// What they were, and when.
    known: Mutex<(Instant, Vec<SocketAddr>)>,
}

impl Advertised {
    pub(super) fn new(bound: &[SocketAddr], public: &[IpAddr], now: Instant) -> Self {
        Self {
            bound: bound.to_vec(),
            public: public.to_vec(),
            known: Mutex::new((now, advertised(bound, public))),
        }
    }

    /// Those of this moment.
    pub(super) fn at(&self, now: Instant) -> Vec<SocketAddr> {
        let mut known = self.known.lock().unwrap_or_else(|e| e.into_inner());
        let follows = self
            .bound
            .iter()
            .any(|address| address.ip().is_unspecified());
        if follows && now.saturating_duration_since(known.0) >= FRESH {
            *known = (now, advertised(&self.bound, &self.public));
        }
        known.1.clone()
    }
}

/// Binds all addresses to one port: the first decides it if it is given as 0.
pub(super) fn bind(addresses: &[SocketAddr]) -> io::Result<Vec<RtcSocket>> {
    let mut sockets: Vec<RtcSocket> = Vec::new();
    for address in addresses {
        let mut address = *address;
        if let (0, Some(first)) = (address.port(), sockets.first()) {
            address.set_port(first.local_addr().port());
        }
        let socket = RtcSocket::bind(address)
            .map_err(|e| io::Error::new(e.kind(), format!("binding UDP {address}: {e}")))?;
        sockets.push(socket);
    }
    Ok(sockets)
}

/// The addresses for answers: the configured public ones in front, where there are any.
fn advertised(bound: &[SocketAddr], public: &[IpAddr]) -> Vec<SocketAddr> {
    let port = bound.first().map_or(0, SocketAddr::port);
    let mut addresses: Vec<SocketAddr> =
        public.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
    for address in reachable(bound) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

/// An address that stands for a socket towards the ICE agent, which wants a specific one.
pub(super) fn stand_in(bound: SocketAddr) -> SocketAddr {
    if bound.ip().is_unspecified() {
        let ip: IpAddr = if bound.is_ipv4() {
            Ipv4Addr::new(192, 0, 2, 1).into()
        } else {
            Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, 1).into()
        };
        return SocketAddr::new(ip, bound.port());
    }
    bound
}

/// The addresses at which viewers can reach sockets bound to `bound`: themselves, or, for an
/// unspecified one, all addresses of this machine's interfaces.
fn reachable(bound: &[SocketAddr]) -> Vec<SocketAddr> {
    let interfaces = interface_addresses();
    let mut found = Vec::new();
    for address in bound {
        if !address.ip().is_unspecified() {
            found.push(*address);
            continue;
        }
        let same_family = interfaces
            .iter()
            .filter(|ip| ip.is_ipv4() == address.is_ipv4());
        found.extend(same_family.map(|ip| SocketAddr::new(*ip, address.port())));
    }
    found
}

fn interface_addresses() -> Vec<IpAddr> {
    let Ok(list) = nix::ifaddrs::getifaddrs() else {
        return vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
    };
    let mut found: Vec<IpAddr> = list
        .filter_map(|interface| {
            let address = interface.address?;
            if let Some(v4) = address.as_sockaddr_in() {
                return Some(IpAddr::V4(v4.ip()));
            }
            address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()))
        })
        .filter(|ip| match ip {
            IpAddr::V4(v4) => !v4.is_link_local(),
            // Link-local addresses need a scope that candidates can not carry.
            IpAddr::V6(v6) => !is_link_local(v6),
        })
        .collect();
    found.dedup();
    found
}

fn is_link_local(ip: &Ipv6Addr) -> bool {
    ip.segments()[0] & 0xFFC0 == 0xFE80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_port_for_both_families() {
        let loopback = ["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
        let sockets = bind(&loopback).unwrap();
        assert_eq!(
            sockets[0].local_addr().port(),
            sockets[1].local_addr().port()
        );
    }

    #[test]
    fn public_addresses_come_first() {
        let bound = ["127.0.0.1:8189".parse().unwrap()];
        let told = advertised(&bound, &["203.0.113.9".parse().unwrap()]);
        assert_eq!(told, ["203.0.113.9:8189".parse().unwrap(), bound[0]]);
    }

    #[test]
    fn interfaces_are_asked_again_and_an_address_that_was_said_is_not() {
        let now = taimat_base::clock::now();
        let gone: SocketAddr = "192.0.2.77:7".parse().unwrap();
        for (bound, follows) in [("0.0.0.0:7", true), ("127.0.0.1:7", false)] {
            let told = Advertised::new(&[bound.parse().unwrap()], &[], now);
            // As if an interface had had it then.
            told.known.lock().unwrap().1.push(gone);
            assert!(told.at(now + FRESH / 2).contains(&gone));
            assert_eq!(told.at(now + FRESH).contains(&gone), !follows, "{bound}");
            assert!(
                told.at(now + FRESH)
                    .contains(&"127.0.0.1:7".parse().unwrap())
            );
        }
    }

    #[test]
    fn lists_this_machines_addresses() {
        let found = reachable(&["0.0.0.0:7".parse().unwrap()]);
        assert!(found.contains(&"127.0.0.1:7".parse().unwrap()), "{found:?}");
        let one = ["192.0.2.1:7".parse().unwrap()];
        assert_eq!(reachable(&one), one);
    }
}
