//! The `Transport` header (RFC 2326 section 12.39): how packets travel, offered and agreed upon.
//!
//! Read as the field writes it: what is missing, misspelt or out of range is left out, and the rest
//! counts. Written as the field reads it.

use std::fmt;

/// Transports of one header that are looked at.
const MOST: usize = 16;

/// One way of travelling.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transport {
    /// What is sent.
    pub profile: TransportProfile,
    /// In the RTSP connection, not by UDP.
    pub tcp: bool,
    /// To a group.
    pub multicast: bool,
    /// Channels in the connection for RTP and RTCP.
    pub interleaved: Option<(u8, u8)>,
    /// The client's ports for RTP and RTCP.
    pub client_port: Option<(u16, u16)>,
    /// The server's ports.
    pub server_port: Option<(u16, u16)>,
    /// The group's ports.
    pub port: Option<(u16, u16)>,
    /// Where packets go to.
    pub destination: Option<String>,
    /// Where packets come from.
    pub source: Option<String>,
    /// How far packets go to a group.
    pub ttl: Option<u8>,
    /// The sender's number in RTP.
    pub ssrc: Option<u32>,
    /// `PLAY` if absent.
    pub mode: Option<String>,
}

/// What kind of RTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TransportProfile {
    /// Plain (RFC 3551).
    #[default]
    Avp,
    /// With early feedback (RFC 4585), otherwise the same.
    Avpf,
    /// Encrypted (RFC 3711).
    Savp,
    /// Encrypted, with early feedback (RFC 5124).
    Savpf,
}

impl TransportProfile {
    fn as_str(self) -> &'static str {
        match self {
            Self::Avp => "RTP/AVP",
            Self::Avpf => "RTP/AVPF",
            Self::Savp => "RTP/SAVP",
            Self::Savpf => "RTP/SAVPF",
        }
    }

    /// Whether packets are encrypted.
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Savp | Self::Savpf)
    }
}

impl Transport {
    /// Asks for two channels of the connection.
    pub fn interleaved(rtp: u8, rtcp: u8) -> Self {
        Self {
            tcp: true,
            interleaved: Some((rtp, rtcp)),
            ..Self::default()
        }
    }

    /// Asks for UDP to two ports of the client.
    pub fn udp(rtp: u16, rtcp: u16) -> Self {
        Self {
            client_port: Some((rtp, rtcp)),
            ..Self::default()
        }
    }

    /// Asks for UDP to a group.
    pub fn multicast() -> Self {
        Self {
            multicast: true,
            ..Self::default()
        }
    }

    /// All transports of a header that are RTP, in their order.
    pub fn parse_list(header: &str) -> Vec<Self> {
        split(header, ',')
            .filter_map(Self::parse)
            .take(MOST)
            .collect()
    }

    /// One transport; `None` if it is not RTP.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = split(text, ';').map(str::trim);
        let specifier = parts.next()?.to_ascii_uppercase();
        let mut words = specifier.split('/').map(str::trim);
        let rtp = words.next() == Some("RTP");
        let profile = match (rtp, words.next()?) {
            (true, "AVP") => TransportProfile::Avp,
            (true, "AVPF") => TransportProfile::Avpf,
            (true, "SAVP") => TransportProfile::Savp,
            (true, "SAVPF") => TransportProfile::Savpf,
            _ => return None,
        };
        let mut transport = Self {
            profile,
            tcp: words.next() == Some("TCP"),
            ..Self::default()
        };
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            transport.parameter(key.trim(), value.trim().trim_matches('"').trim());
        }
        // Some cameras forget to say TCP.
        transport.tcp |= transport.interleaved.is_some();
        Some(transport)
    }

    fn parameter(&mut self, key: &str, value: &str) {
        let text = || (!value.is_empty()).then(|| value.to_owned());
        match key.to_ascii_lowercase().as_str() {
            "multicast" => self.multicast = true,
            "interleaved" => self.interleaved = pair(value),
            "client_port" => self.client_port = pair(value),
            "server_port" => self.server_port = pair(value),
            "port" => self.port = pair(value),
            "destination" => self.destination = text(),
            "source" => self.source = text(),
            "ttl" => self.ttl = value.parse().ok(),
            "ssrc" => self.ssrc = ssrc(value),
            "mode" => self.mode = text(),
            _ => {}
        }
    }
}

impl fmt::Display for Transport {
    /// As it is written in a header.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.profile.as_str())?;
        f.write_str(if self.tcp { "/TCP" } else { "" })?;
        f.write_str(if self.multicast {
            ";multicast"
        } else {
            ";unicast"
        })?;
        let mut text = |key, value: &Option<String>| match value {
            Some(value) => write!(f, ";{key}={value}"),
            None => Ok(()),
        };
        text("destination", &self.destination)?;
        text("source", &self.source)?;
        if let Some((rtp, rtcp)) = self.interleaved {
            write!(f, ";interleaved={rtp}-{rtcp}")?;
        }
        for (key, ports) in [
            ("port", self.port),
            ("client_port", self.client_port),
            ("server_port", self.server_port),
        ] {
            if let Some((rtp, rtcp)) = ports {
                write!(f, ";{key}={rtp}-{rtcp}")?;
            }
        }
        if let Some(ttl) = self.ttl {
            write!(f, ";ttl={ttl}")?;
        }
        if let Some(ssrc) = self.ssrc {
            write!(f, ";ssrc={ssrc:08X}")?;
        }
        match &self.mode {
            Some(mode) => write!(f, ";mode=\"{mode}\""),
            None => Ok(()),
        }
    }
}

/// The parts of a text, separators in quotes aside.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

/// `6-7`, or `6` alone, which stands for itself and the next.
fn pair<N: TryFrom<u32>>(text: &str) -> Option<(N, N)> {
    let (first, second) = text.split_once('-').unwrap_or((text, ""));
    let first: u32 = first.trim().parse().ok()?;
    let second = second.trim().parse().unwrap_or(first.saturating_add(1));
    Some((N::try_from(first).ok()?, N::try_from(second).ok()?))
}

/// Eight hexadecimal digits, or fewer, or with a mark.
fn ssrc(text: &str) -> Option<u32> {
    let digits = text.trim_start_matches("0x").trim_start_matches("0X");
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(text: &str) -> Transport {
        Transport::parse(text).unwrap()
    }

    #[test]
    fn reads_what_the_field_writes() {
        let right = Transport {
            ssrc: Some(0x1122_3344),
            ..Transport::interleaved(10, 11)
        };
        for text in [
            "RTP/AVP/TCP;unicast;interleaved=10-11;ssrc=11223344",
            " rtp/avp/tcp ; UNICAST ; Interleaved = 10 - 11 ; SSRC=0x11223344",
            "RTP/AVP;unicast;interleaved=10;ssrc= 11223344;whatever",
        ] {
            assert_eq!(one(text), right, "{text}");
        }
        let udp = one("RTP/AVP/UDP;unicast;client_port=5000-5001;server_port=6000;source=h;ssrc=x");
        assert_eq!(udp.client_port, Some((5000, 5001)));
        assert_eq!(udp.server_port, Some((6000, 6001)));
        assert_eq!(
            (udp.source.as_deref(), udp.ssrc, udp.tcp),
            (Some("h"), None, false)
        );
        assert_eq!(one("RTP/AVP;client_port=70000-70001").client_port, None);
        assert_eq!(one("RTP/AVP;interleaved=300-301").interleaved, None);
        assert_eq!(one("RTP/AVP;interleaved=255").interleaved, None);
        assert_eq!(one("RTP/AVP;server_port=65535").server_port, None);
        assert_eq!(one("RTP/AVP;port=4294967295").port, None);
        assert_eq!(one("RTP/AVP;server_port=0-1").server_port, Some((0, 1)));
        assert_eq!(one("RTP/AVPF").profile, TransportProfile::Avpf);
        assert!(one("RTP/SAVP/UDP").profile.is_secure());
        let group = one("RTP/AVP;multicast;destination=232.0.0.1;port=5000-5001;ttl=16");
        assert!(group.multicast && !group.tcp);
        assert_eq!((group.port, group.ttl), (Some((5000, 5001)), Some(16)));
        for text in [
            "",
            ";",
            "MP2T/H2221/UDP;unicast",
            "RAW/RAW/UDP",
            "RTP",
            "RTP/XYZ",
        ] {
            assert_eq!(Transport::parse(text), None, "{text}");
        }
    }

    #[test]
    fn reads_lists_in_their_order() {
        let list = Transport::parse_list(
            "RTP/AVP;unicast;mode=\"PLAY,RECORD\";client_port=4-5,x-real-rdt/mcast,RTP/AVP/TCP",
        );
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].mode.as_deref(), Some("PLAY,RECORD"));
        assert_eq!(list[0].client_port, Some((4, 5)));
        assert!(list[1].tcp);
        assert_eq!(Transport::parse_list(&"RTP/AVP,".repeat(100)).len(), MOST);
    }

    #[test]
    fn writes_what_the_field_reads() {
        for (transport, right) in [
            (
                Transport::interleaved(0, 1),
                "RTP/AVP/TCP;unicast;interleaved=0-1",
            ),
            (
                Transport::udp(5000, 5001),
                "RTP/AVP;unicast;client_port=5000-5001",
            ),
            (Transport::multicast(), "RTP/AVP;multicast"),
        ] {
            assert_eq!(transport.to_string(), right);
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again(
            tcp in any::<Option<(u8, u8)>>(),
            (client_port, server_port, port) in any::<(Option<(u16, u16)>, Option<(u16, u16)>, Option<(u16, u16)>)>(),
            (multicast, ttl, ssrc) in any::<(bool, Option<u8>, Option<u32>)>(),
            destination in prop::option::of("[a-z0-9.:]{1,20}"),
            mode in prop::option::of("[A-Z,;]{1,20}"),
        ) {
            let transport = Transport {
                tcp: tcp.is_some(),
                interleaved: tcp,
                source: destination.clone(),
                profile: TransportProfile::Avpf,
                multicast, client_port, server_port, port, destination, ttl, ssrc, mode,
            };
            let text = format!("{transport},{transport}");
            prop_assert_eq!(Transport::parse_list(&text), [transport.clone(), transport]);
        }

        #[test]
        fn never_panics(text in "(RTP/AVP|;|,|\"|=|-|interleaved|ssrc|\\PC){0,20}") {
            prop_assert!(Transport::parse_list(&text).len() <= MOST);
        }
    }
}
