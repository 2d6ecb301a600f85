//! A viewer's SDP offer (RFC 8866, RFC 8829), as far as it matters here.

use std::io::Cursor;

use rtc_sdp::description::media::MediaDescription;
use rtc_sdp::description::session::SessionDescription;

/// Longest offer that is read, in bytes. Browsers' offers for one camera have 2 to 6 KB.
pub const MAX_OFFER_BYTES: usize = 64 << 10;
/// Most media sections that are read: one camera needs two.
pub const MAX_MEDIA_SECTIONS: usize = 8;
/// Most candidates that are taken from an offer or a fragment.
pub const MAX_CANDIDATES: usize = 32;

/// Why an offer can not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// More than [`MAX_OFFER_BYTES`].
    #[error("the offer has {0} bytes, at most {MAX_OFFER_BYTES} are read")]
    TooLarge(usize),
    /// Not text.
    #[error("the offer is not UTF-8 text")]
    NotText,
    /// Not SDP.
    #[error("the offer is not SDP: {0}")]
    Syntax(String),
    /// More than [`MAX_MEDIA_SECTIONS`].
    #[error("the offer has {0} media sections, at most {MAX_MEDIA_SECTIONS} are read")]
    TooManySections(usize),
    /// No section that could carry pictures.
    #[error("the offer has no video section that can receive (recvonly or sendrecv)")]
    NoVideo,
    /// Something that every WebRTC offer has is missing.
    #[error("the offer has no a={0}")]
    Missing(&'static str),
    /// Something is there with a value that is not served.
    #[error("a={0} is not served: {1}")]
    Unsupported(&'static str, String),
}

/// A codec in an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedCodec {
    /// The RTP payload type the viewer wants it under.
    pub payload_type: u8,
    /// The encoding name in upper case.
    pub name: String,
    /// Ticks a second.
    pub clock_rate: u32,
    /// The parameters as written.
    pub fmtp: String,
}

impl OfferedCodec {
    /// A parameter's value, names compared without case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.fmtp.split(';').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A media section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaSection {
    /// `video`, `audio` or `application`.
    pub kind: String,
    /// The transport protocol as written.
    pub protocol: String,
    /// The formats as written.
    pub formats: Vec<String>,
    /// Its name in the bundle.
    pub mid: String,
    /// Whether the viewer is willing to receive.
    pub receives: bool,
    /// Whether RTP and RTCP can share a port.
    pub rtcp_mux: bool,
    /// Whether it is in the first section's bundle.
    pub bundled: bool,
    /// Codecs in the viewer's order of preference.
    pub codecs: Vec<OfferedCodec>,
    /// Header extensions: number and URI.
    pub extensions: Vec<(u8, String)>,
}

/// A viewer's offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// ICE user name fragment.
    pub ufrag: String,
    /// ICE password.
    pub pwd: String,
    /// SHA-256 fingerprint of the viewer's certificate.
    pub fingerprint: [u8; 32],
    /// Whether mixed one- and two-byte header extensions are announced.
    pub extmap_allow_mixed: bool,
    /// The media sections in order.
    pub sections: Vec<MediaSection>,
    /// Candidates, as written.
    pub candidates: Vec<String>,
}

impl Offer {
    /// Reads an offer.
    pub fn parse(bytes: &[u8]) -> Result<Self, OfferError> {
        if bytes.len() > MAX_OFFER_BYTES {
            return Err(OfferError::TooLarge(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|_utf8| OfferError::NotText)?;
        let sections = text.lines().filter(|l| l.starts_with("m=")).count();
        if sections > MAX_MEDIA_SECTIONS {
            return Err(OfferError::TooManySections(sections));
        }
        let sdp = SessionDescription::unmarshal(&mut Cursor::new(text))
            .map_err(|e| OfferError::Syntax(e.to_string().chars().take(120).collect()))?;
        Self::read(&sdp)
    }

    fn read(sdp: &SessionDescription) -> Result<Self, OfferError> {
        let first = sdp.media_descriptions.first().ok_or(OfferError::NoVideo)?;
        let find = |key: &'static str| {
            let own = first.attribute(key).flatten();
            let session = sdp.attribute(key).map(String::as_str);
            own.or(session).ok_or(OfferError::Missing(key))
        };
        let setup = find("setup")?;
        if setup != "actpass" && setup != "active" {
            return Err(OfferError::Unsupported(
                "setup",
                setup.chars().take(20).collect(),
            ));
        }
        let bundle: Vec<&str> = sdp
            .attributes
            .iter()
            .filter(|a| a.key == "group")
            .filter_map(|a| a.value.as_deref()?.strip_prefix("BUNDLE"))
            .flat_map(str::split_whitespace)
            .collect();
        let offer = Self {
            ufrag: token("ice-ufrag", find("ice-ufrag")?, 4, 256)?,
            pwd: token("ice-pwd", find("ice-pwd")?, 22, 256)?,
            fingerprint: fingerprint(find("fingerprint")?)?,
            extmap_allow_mixed: sdp.has_attribute("extmap-allow-mixed"),
            sections: sdp
                .media_descriptions
                .iter()
                .map(|m| section(m, &bundle))
                .collect(),
            candidates: sdp
                .media_descriptions
                .iter()
                .flat_map(|m| &m.attributes)
                .filter(|a| a.key == "candidate")
                .filter_map(|a| a.value.clone())
                .take(MAX_CANDIDATES)
                .collect(),
        };
        if !offer
            .sections
            .iter()
            .any(|s| s.kind == "video" && s.receives)
        {
            return Err(OfferError::NoVideo);
        }
        Ok(offer)
    }
}

/// ICE credentials go back into SDP and STUN: only the characters of RFC 8839 section 5.4.
fn token(name: &'static str, text: &str, least: usize, most: usize) -> Result<String, OfferError> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/' || c == '-' || c == '_';
    if (least..=most).contains(&text.len()) && text.chars().all(good) {
        Ok(text.to_owned())
    } else {
        let why = format!("has to be {least} to {most} letters, digits, '+' or '/'");
        Err(OfferError::Unsupported(name, why))
    }
}

fn fingerprint(text: &str) -> Result<[u8; 32], OfferError> {
    let unsupported = || {
        let shown = text
            .split(' ')
            .next()
            .unwrap_or("")
            .chars()
            .take(20)
            .collect();
        OfferError::Unsupported("fingerprint", shown)
    };
    let (hash, value) = text.split_once(' ').ok_or_else(unsupported)?;
    if !hash.eq_ignore_ascii_case("sha-256") {
        return Err(unsupported());
    }
    let bytes: Option<Vec<u8>> = value
        .trim()
        .split(':')
        .map(|b| u8::from_str_radix(b, 16).ok())
        .collect();
    bytes
        .and_then(|b| b.try_into().ok())
        .ok_or_else(unsupported)
}

fn section(media: &MediaDescription, bundle: &[&str]) -> MediaSection {
    let mid = media.attribute("mid").flatten().unwrap_or("").to_owned();
    let good_mid = !mid.is_empty() && mid.len() <= 32 && mid.chars().all(|c| c.is_ascii_graphic());
    let sends_only = media.has_attribute("sendonly") || media.has_attribute("inactive");
    let rejected = media.media_name.port.value == 0 && !media.has_attribute("bundle-only");
    MediaSection {
        kind: media.media_name.media.clone(),
        protocol: media.media_name.protos.join("/"),
        formats: media.media_name.formats.clone(),
        bundled: bundle.contains(&mid.as_str()),
        receives: good_mid && !sends_only && !rejected,
        mid: if good_mid { mid } else { String::new() },
        rtcp_mux: media.has_attribute("rtcp-mux"),
        codecs: codecs(media),
        extensions: media
            .attributes
            .iter()
            .filter(|a| a.key == "extmap")
            .filter_map(|a| extension(a.value.as_deref()?))
            .collect(),
    }
}

/// `a=extmap:5 http://…` or `a=extmap:5/recvonly http://…` (RFC 8285 section 8).
fn extension(value: &str) -> Option<(u8, String)> {
    let (number, uri) = value.split_once(' ')?;
    let number = number.split('/').next()?.parse().ok()?;
    Some((number, uri.split(' ').next()?.to_owned()))
}

fn codecs(media: &MediaDescription) -> Vec<OfferedCodec> {
    let values = |key: &'static str| {
        media
            .attributes
            .iter()
            .filter(move |a| a.key == key)
            .filter_map(|a| a.value.as_deref()?.split_once(' '))
    };
    let number = |text: &str| text.parse::<u8>().ok().filter(|n| *n < 128);
    let mut found = Vec::new();
    for payload_type in media.media_name.formats.iter().filter_map(|f| number(f)) {
        let map = values("rtpmap")
            .find(|(n, _)| number(n) == Some(payload_type))
            .map(|(_, v)| v);
        // Static payload types need no rtpmap (RFC 3551 section 6).
        let map = map.or(match payload_type {
            0 => Some("PCMU/8000"),
            8 => Some("PCMA/8000"),
            _ => None,
        });
        let Some(map) = map else { continue };
        let mut parts = map.split('/');
        let name = parts.next().unwrap_or("").to_ascii_uppercase();
        let Some(clock_rate) = parts.next().and_then(|r| r.trim().parse().ok()) else {
            continue;
        };
        let fmtp = values("fmtp")
            .find(|(n, _)| number(n) == Some(payload_type))
            .map(|(_, v)| v);
        let fmtp = fmtp.unwrap_or("").to_owned();
        found.push(OfferedCodec {
            payload_type,
            name,
            clock_rate,
            fmtp,
        });
    }
    found
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) const CHROMIUM: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
        a=group:BUNDLE 0 1\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104 107 108\r\nc=IN IP4 0.0.0.0\r\n\
        a=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijklmn\r\n\
        a=ice-options:trickle\r\na=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\n\
        a=setup:actpass\r\na=mid:0\r\na=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay\r\n\
        a=recvonly\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
        a=rtpmap:103 H264/90000\r\na=rtcp-fb:103 nack\r\na=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r\n\
        a=rtpmap:104 rtx/90000\r\na=fmtp:104 apt=103\r\na=rtpmap:107 H264/90000\r\na=fmtp:107 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f\r\n\
        a=rtpmap:108 H264/90000\r\na=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijklmn\r\n\
        a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\n\
        a=setup:actpass\r\na=mid:1\r\na=recvonly\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n";

    #[test]
    fn reads_what_chromium_offers() {
        let offer = Offer::parse(CHROMIUM.as_bytes()).unwrap();
        assert_eq!(
            (offer.ufrag.as_str(), offer.fingerprint[31]),
            ("abcd", 0x1F)
        );
        let [video, audio] = &offer.sections[..] else {
            panic!("{offer:?}")
        };
        assert!(video.receives && video.bundled && video.rtcp_mux && audio.bundled);
        assert_eq!(video.extensions[0].0, 5);
        let h264: Vec<_> = video.codecs.iter().filter(|c| c.name == "H264").collect();
        assert_eq!(h264[0].parameter("packetization-mode"), Some("1"));
        assert_eq!(h264[2].parameter("Profile-Level-ID"), Some("64001f"));
        assert_eq!(audio.codecs[0].name, "OPUS");
    }

    #[test]
    fn says_what_is_wrong() {
        let parse = |text: &str| Offer::parse(text.as_bytes()).unwrap_err();
        assert!(matches!(parse("hello"), OfferError::Syntax(_)));
        assert_eq!(parse(&"x".repeat(1 << 20)), OfferError::TooLarge(1 << 20));
        assert_eq!(Offer::parse(&[0xFF, 0xFE]), Err(OfferError::NotText));
        let many = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n".repeat(50);
        assert_eq!(
            parse(&format!("{CHROMIUM}{many}")),
            OfferError::TooManySections(52)
        );
        assert_eq!(
            parse(&CHROMIUM.replace("m=video", "m=text")),
            OfferError::NoVideo
        );
        let sending = CHROMIUM.replace("recvonly", "sendonly");
        assert_eq!(parse(&sending), OfferError::NoVideo);
        let passive = CHROMIUM.replace("actpass", "passive");
        assert_eq!(
            parse(&passive),
            OfferError::Unsupported("setup", "passive".into())
        );
        let md5 = CHROMIUM.replace("sha-256", "md5");
        assert!(matches!(
            parse(&md5),
            OfferError::Unsupported("fingerprint", _)
        ));
        let cut = CHROMIUM.replace("a=ice-ufrag:abcd\r\n", "");
        assert_eq!(parse(&cut), OfferError::Missing("ice-ufrag"));
    }

    proptest! {
        #[test]
        fn survives_damage(
            cuts in prop::collection::vec((0..CHROMIUM.len(), any::<u8>()), 0..12),
            end in 0..CHROMIUM.len(),
        ) {
            let mut bytes = CHROMIUM.as_bytes().to_vec();
            for (at, byte) in cuts {
                bytes[at] = byte;
            }
            drop(Offer::parse(&bytes));
            bytes.truncate(end);
            drop(Offer::parse(&bytes));
        }
    }
}
