//! Who asks: the other end of the connection, or whom a proxy names that is believed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName};
use taimat_base::peer::{IpRange, PeerNetwork};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The other end of the connection that a request came by. Whoever serves the router puts it into each
/// request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress(pub IpAddr);

/// Who asks, as far as it can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    /// Whom it is counted as.
    pub(crate) network: PeerNetwork,
    /// By which scheme, if that is known: a proxy that is believed may not say it.
    pub(crate) scheme: Option<Scheme>,
}

/// How the client's request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Client {
    /// Of a request. A proxy of that list speaks for others: the last entry of `X-Forwarded-For` is what
    /// it has seen itself, all before it what it was told.
    pub(crate) fn of(request: &Request, proxies: &[IpRange]) -> Self {
        let peer = request.extensions().get::<PeerAddress>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
        if !proxies.iter().any(|range| range.contains(peer)) {
            return Self {
                network: peer.into(),
                scheme: Some(Scheme::Http),
            };
        }
        let headers = request.headers();
        let named = last(headers, &FORWARDED_FOR).and_then(address);
        let scheme = match last(headers, &FORWARDED_PROTO) {
            Some(scheme) if scheme.eq_ignore_ascii_case("https") => Some(Scheme::Https),
            Some(scheme) if scheme.eq_ignore_ascii_case("http") => Some(Scheme::Http),
            _ => None,
        };
        Self {
            network: named.unwrap_or(peer).into(),
            scheme,
        }
    }
}

/// The last entry of a list, over all lines of that name.
fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let line = headers.get_all(name).iter().next_back()?;
    let entry = line.to_str().ok()?.rsplit(',').next()?.trim();
    (!entry.is_empty()).then_some(entry)
}

/// An address that may have a port, and brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let with_port = text.parse::<SocketAddr>().map(|socket| socket.ip());
    bare.parse().or(with_port).ok()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn client(peer: &str, headers: &[(&'static str, &'static str)]) -> Client {
        let mut request = Request::new(Body::empty());
        let peer = PeerAddress(peer.parse().unwrap());
        request.extensions_mut().insert(peer);
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        let proxies = ["127.0.0.1".parse().unwrap()];
        Client::of(&request, &proxies)
    }

    fn network(address: &str) -> PeerNetwork {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_proxy_is_believed_only_if_it_was_named_and_only_in_its_own_words() {
        let told = [
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-for", "203.0.113.9, 192.0.2.7"),
            ("x-forwarded-proto", "https"),
        ];
        let believed = client("127.0.0.1", &told);
        assert_eq!(believed.network, network("192.0.2.7"));
        assert_eq!(believed.scheme, Some(Scheme::Https));
        let other = client("127.0.0.2", &told);
        assert_eq!(other.network, network("127.0.0.2"));
        assert_eq!(other.scheme, Some(Scheme::Http));
        let silent = client("127.0.0.1", &[]);
        assert_eq!(silent.network, network("127.0.0.1"));
        assert_eq!(silent.scheme, None);
    }

    #[test]
    fn a_proxy_may_write_ports_and_brackets_and_nonsense() {
        for (text, meant) in [
            ("192.0.2.7:4711", "192.0.2.7"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("unknown", "127.0.0.1"),
            ("192.0.2.7,", "127.0.0.1"),
        ] {
            let client = client("127.0.0.1", &[("x-forwarded-for", text)]);
            assert_eq!(client.network, network(meant), "{text}");
        }
    }
}
