//! ICE candidates (RFC 8839): ours as text, the viewer's from text.

use std::net::{IpAddr, SocketAddr};

use rtc_ice::candidate::{Candidate, unmarshal_candidate};

/// Our host candidates as SDP writes them, IPv6 after IPv4 of the same kind. Loopback comes last: it
/// is of use only on the same machine.
pub fn describe(addresses: &[SocketAddr]) -> Vec<String> {
    let mut sorted = addresses.to_vec();
    sorted.sort_by_key(|a| (a.ip().is_loopback(), a.is_ipv6()));
    sorted
        .iter()
        .enumerate()
        .map(|(i, address)| {
            // RFC 8445 section 5.1.2.1: type preference 126 for host, then our order.
            let local_preference = 65_535_u32.saturating_sub(u32::try_from(i).unwrap_or(65_535));
            let priority = (126 << 24) | (local_preference << 8) | 255;
            let (ip, port) = (address.ip(), address.port());
            format!("{} 1 udp {priority} {ip} {port} typ host", i + 1)
        })
        .collect()
}

/// A viewer's candidate, if it is one that we can send to: UDP, an address and not a name.
pub fn parse(text: &str) -> Option<Candidate> {
    const MAX_CANDIDATE_BYTES: usize = 512;
    let text = text
        .trim()
        .strip_prefix("candidate:")
        .unwrap_or(text.trim());
    if text.len() > MAX_CANDIDATE_BYTES {
        return None;
    }
    let mut fields = text.split_whitespace();
    let (protocol, address) = (fields.nth(2)?, fields.nth(1)?);
    // Names (mDNS) are not looked up: the viewer's own checks tell us where it is.
    let ip: IpAddr = address.parse().ok()?;
    if !protocol.eq_ignore_ascii_case("udp") || ip.is_multicast() || ip.is_unspecified() {
        return None;
    }
    unmarshal_candidate(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_it_can_send_to() {
        let host = "candidate:1 1 udp 2113937151 192.0.2.7 50000 typ host generation 0";
        assert_eq!(parse(host).unwrap().port(), 50_000);
        let srflx = "2 1 UDP 1677729535 198.51.100.7 6000 typ srflx raddr 0.0.0.0 rport 0";
        assert!(parse(srflx).is_some());
        for other in [
            "candidate:1 1 udp 1 3f8c.local 50000 typ host",
            "candidate:1 1 tcp 1 192.0.2.7 9 typ host tcptype active",
            "candidate:1 1 udp 1 224.0.0.1 9 typ host",
            "",
            "candidate:",
        ] {
            assert!(parse(other).is_none(), "{other}");
        }
    }

    #[test]
    fn loopback_comes_last() {
        let addresses = ["127.0.0.1:1", "[2001:db8::1]:1", "192.0.2.1:1"];
        let described = describe(&addresses.map(|a| a.parse().unwrap()));
        assert!(described[0].contains(" 192.0.2.1 ") && described[2].contains(" 127.0.0.1 "));
        assert!(parse(&described[1]).is_some());
    }

    proptest! {
        #[test]
        fn never_panics(text in "[ -~]{0,80}", prefix in "candidate:1 1 udp [0-9]{1,12} 192.0.2.1 ") {
            drop(parse(&text));
            drop(parse(&format!("{prefix}{text}")));
        }
    }
}
