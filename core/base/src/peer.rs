//! Whom a client is counted as, and which addresses somebody named.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// Who has a share of what is limited. An IPv4 address, or the /64 that an IPv6 address is in: a line at
/// home has so many addresses of that network that each of them alone says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PeerNetwork {
    /// An address; also one that is written as IPv6 (`::ffff:192.0.2.1`).
    V4(Ipv4Addr),
    /// The first 64 bits.
    V6(u64),
    /// Nobody's neighbour, with a number of its own: a proxy's connection, which carries many.
    Alone(u64),
}

impl From<IpAddr> for PeerNetwork {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [high, ..] = split(address.to_bits());
                Self::V6(high)
            }
        }
    }
}

/// The upper and the lower half.
fn split(bits: u128) -> [u64; 2] {
    let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
    [half(bits >> 64), half(bits)]
}

/// An address, or all whose first bits are the same: `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpRange {
    first: IpAddr,
    bits: u32,
}

/// A text that is no range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address (192.0.2.1) or the first of a network (192.0.2.0/24)")]
pub struct NotARange;

impl IpRange {
    /// Whether the address is in it. One of IPv4 that is written as IPv6 is the same address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let differ = first.to_bits() ^ address.to_bits();
                differ.leading_zeros() >= self.bits
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let differ = first.to_bits() ^ address.to_bits();
                differ.leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

impl FromStr for IpRange {
    type Err = NotARange;

    fn from_str(text: &str) -> Result<Self, NotARange> {
        let (first, bits) = match text.split_once('/') {
            Some((first, bits)) => (first, Some(bits)),
            None => (text, None),
        };
        let first: IpAddr = first.parse().map_err(|_no| NotARange)?;
        let first = first.to_canonical();
        let most = if first.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => {
                bits.parse().map_err(|_no| NotARange)?
            }
            Some(_) => return Err(NotARange),
            None => most,
        };
        let zeros = match first {
            IpAddr::V4(first) => first.to_bits().trailing_zeros(),
            IpAddr::V6(first) => first.to_bits().trailing_zeros(),
        };
        // What is not the first of its network was meant otherwise, most likely.
        if bits > most || zeros < most - bits {
            return Err(NotARange);
        }
        Ok(Self { first, bits })
    }
}

impl TryFrom<String> for IpRange {
    type Error = NotARange;

    fn try_from(text: String) -> Result<Self, NotARange> {
        text.parse()
    }
}

impl<'de> serde::Deserialize<'de> for IpRange {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> PeerNetwork {
        PeerNetwork::from(address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn neighbours_in_a_home_network_are_one_and_a_mapped_address_is_what_it_maps() {
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
        assert_eq!(peer("192.0.2.1"), peer("::ffff:192.0.2.1"));
        assert_eq!(peer("2001:db8:1:2::1"), peer("2001:db8:1:2:ffff::9"));
        assert_ne!(peer("2001:db8:1:2::1"), peer("2001:db8:1:3::1"));
    }

    #[test]
    fn a_range_has_what_begins_alike() {
        let range = |text: &str| text.parse::<IpRange>().unwrap();
        let has =
            |text: &str, address: &str| range(text).contains(address.parse::<IpAddr>().unwrap());
        assert!(has("127.0.0.1", "127.0.0.1") && !has("127.0.0.1", "127.0.0.2"));
        assert!(has("127.0.0.0/8", "127.9.9.9") && !has("127.0.0.0/8", "128.0.0.1"));
        assert!(has("127.0.0.1", "::ffff:127.0.0.1"));
        assert!(has("2001:db8::/32", "2001:db8:9::1") && !has("2001:db8::/32", "2001:db9::"));
        assert!(has("0.0.0.0/0", "8.8.8.8") && !has("0.0.0.0/0", "::1"));
        for wrong in [
            "",
            "a",
            "127.0.0.1/8",
            "1.2.3.4/33",
            "1.2.3.4/+1",
            "1.2.3.0/",
            "::1/64",
        ] {
            assert_eq!(wrong.parse::<IpRange>(), Err(NotARange), "{wrong}");
        }
    }
}
