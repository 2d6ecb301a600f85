//! A viewer's SDP offer (RFC 8866, RFC 8829), as far as it matters here.
//!
//! Attributes that an offer has once for all sections count for each that has none of its own. Which
//! section's transport counts is told by the bundle (RFC 8843): that of the section it names first,
//! wherever that stands.

use std::collections::HashSet;
use std::io::Cursor;

use rtc_sdp::description::common::Attribute;
use rtc_sdp::description::media::MediaDescription;
use rtc_sdp::description::session::SessionDescription;

use super::fingerprint::Fingerprints;

/// Longest offer that is read, in bytes. Browsers' offers for one camera have 2 to 6 KB.
pub const MAX_OFFER_BYTES: usize = 64 << 10;
/// Most media sections that are read. One camera needs two; pages that keep one connection for a
/// whole wall offer a section a tile.
pub const MAX_MEDIA_SECTIONS: usize = 32;
/// Most candidates that are taken from an offer or a fragment.
pub const MAX_CANDIDATES: usize = 32;
/// The feedback on a track that is made use of (RFC 4585, RFC 5104).
const FEEDBACK: [&str; 3] = ["nack", "nack pli", "ccm fir"];

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
    /// Name, rate and channels as written.
    pub map: String,
    /// The parameters as written.
    pub fmtp: String,
    /// Of the feedback that is made use of, what the viewer would send.
    pub feedback: Vec<&'static str>,
}

impl OfferedCodec {
    /// A parameter's value, names compared without case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.fmtp.split(';').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Whether it only repairs or redistributes what another one carries.
    pub fn is_helper(&self) -> bool {
        matches!(
            self.name.as_str(),
            "RTX" | "RED" | "ULPFEC" | "FLEXFEC-03" | "CN" | "TELEPHONE-EVENT"
        )
    }
}

/// How a viewer is reached, and how it is known to be the one that made the offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerTransport {
    /// ICE user name fragment.
    pub ufrag: String,
    /// ICE password.
    pub pwd: String,
    /// The certificates that it may show.
    pub fingerprints: Fingerprints,
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
    /// Its name in the bundle; empty if it has none.
    pub mid: String,
    /// Whether the viewer itself has switched it off.
    pub disabled: bool,
    /// Whether the viewer is willing to receive.
    pub receives: bool,
    /// Whether RTP and RTCP can share a port.
    pub rtcp_mux: bool,
    /// Whether RTCP packets may be shorter than compound ones (RFC 5506).
    pub rtcp_rsize: bool,
    /// The bundle that it is in.
    pub bundle: Option<usize>,
    /// Codecs in the viewer's order of preference.
    pub codecs: Vec<OfferedCodec>,
    /// Header extensions: number and URI.
    pub extensions: Vec<(u8, String)>,
    /// What it says of the transport, which counts if it is the first of its bundle or in none.
    transport: Result<PeerTransport, OfferError>,
    candidates: Vec<String>,
}

/// A viewer's offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Whether mixed one- and two-byte header extensions are announced.
    pub extmap_allow_mixed: bool,
    /// Whether the viewer answers checks of the way to it and makes none (RFC 8445 section 2.5).
    pub ice_lite: bool,
    /// The media sections in order.
    pub sections: Vec<MediaSection>,
    /// The names in each bundle, in their order.
    bundles: Vec<Vec<String>>,
}

impl Offer {
    /// Reads an offer.
    pub fn parse(bytes: &[u8]) -> Result<Self, OfferError> {
        if bytes.len() > MAX_OFFER_BYTES {
            return Err(OfferError::TooLarge(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|_utf8| OfferError::NotText)?;
        // Some editors and languages put a byte order mark before everything they write.
        let text = text.trim_start_matches('\u{FEFF}');
        let sections = text.lines().filter(|l| l.starts_with("m=")).count();
        if sections > MAX_MEDIA_SECTIONS {
            return Err(OfferError::TooManySections(sections));
        }
        let sdp = SessionDescription::unmarshal(&mut Cursor::new(text))
            .map_err(|e| OfferError::Syntax(e.to_string().chars().take(120).collect()))?;
        let offer = Self::read(&sdp);
        offer.check()?;
        Ok(offer)
    }

    fn read(sdp: &SessionDescription) -> Self {
        let bundles: Vec<Vec<String>> = sdp
            .attributes
            .iter()
            .filter(|a| a.key == "group")
            .filter_map(|a| a.value.as_deref()?.strip_prefix("BUNDLE"))
            .map(|mids| mids.split_whitespace().take(MAX_MEDIA_SECTIONS))
            .map(|mids| mids.map(str::to_owned).collect())
            .collect();
        let read = |media| SectionReader { sdp, media }.read(&bundles);
        Self {
            extmap_allow_mixed: sdp.has_attribute("extmap-allow-mixed"),
            ice_lite: sdp.has_attribute("ice-lite"),
            sections: sdp.media_descriptions.iter().map(read).collect(),
            bundles,
        }
    }

    /// Whether there is a section that pictures could go into, and a way to reach its viewer.
    fn check(&self) -> Result<(), OfferError> {
        let mut wrong = OfferError::NoVideo;
        for (index, section) in self.sections.iter().enumerate() {
            if section.kind != "video" || !section.receives {
                continue;
            }
            match self.transport(index) {
                Ok(_) => return Ok(()),
                Err(why) => wrong = why,
            }
        }
        Err(wrong)
    }

    /// The sections of a section's bundle in the bundle's order, without those that the viewer has
    /// switched off; the section alone if it is in none.
    pub fn bundled_with(&self, index: usize) -> Vec<usize> {
        let bundle = self.sections.get(index).and_then(|s| s.bundle);
        let Some(mids) = bundle.and_then(|bundle| self.bundles.get(bundle)) else {
            return vec![index];
        };
        let named = |mid: &String| self.sections.iter().position(|s| s.mid == *mid);
        let sections = mids.iter().filter_map(named);
        let mut members: Vec<usize> = Vec::new();
        for member in sections {
            let there = self.sections.get(member).is_some_and(|s| !s.disabled);
            if there && !members.contains(&member) {
                members.push(member);
            }
        }
        members
    }

    /// The section that speaks for a section's transport: the first of its bundle (RFC 8843 section
    /// 7.2), else one beside it that says what is needed.
    pub fn tagged(&self, index: usize) -> usize {
        let members = self.bundled_with(index);
        let speaks = |member: &&usize| {
            let section = self.sections.get(**member);
            section.is_some_and(|s| s.transport.is_ok())
        };
        let found = members.iter().find(speaks).or(members.first());
        found.copied().unwrap_or(index)
    }

    /// How the viewer of a section is reached.
    pub fn transport(&self, index: usize) -> Result<&PeerTransport, OfferError> {
        let section = self.sections.get(self.tagged(index));
        let section = section.ok_or(OfferError::NoVideo)?;
        section.transport.as_ref().map_err(Clone::clone)
    }

    /// Candidates for the transport of a section, as written. Those of other transports are of no use:
    /// their checks would carry other credentials.
    pub fn candidates(&self, index: usize) -> Vec<String> {
        let Ok(transport) = self.transport(index) else {
            return Vec::new();
        };
        let same = |s: &&MediaSection| s.transport.as_ref().is_ok_and(|t| t == transport);
        let sections = self.sections.iter().filter(same);
        let all = sections.flat_map(|s| s.candidates.iter().cloned());
        all.take(MAX_CANDIDATES).collect()
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

/// A media section, with what the session says for all of them.
struct SectionReader<'a> {
    sdp: &'a SessionDescription,
    media: &'a MediaDescription,
}

impl<'a> SectionReader<'a> {
    fn read(&self, bundles: &[Vec<String>]) -> MediaSection {
        let media = self.media;
        let mid = media.attribute("mid").flatten().unwrap_or("").to_owned();
        // It goes back into the answer.
        let good_mid = mid.len() <= 32 && mid.chars().all(|c| c.is_ascii_graphic());
        let bundle = bundles.iter().position(|mids| mids.contains(&mid));
        let disabled = media.media_name.port.value == 0 && !media.has_attribute("bundle-only");
        let own = ["sendrecv", "sendonly", "recvonly", "inactive"];
        let own = own.iter().any(|direction| media.has_attribute(direction));
        let directed = |direction: &str| match own {
            true => media.has_attribute(direction),
            false => self.sdp.has_attribute(direction),
        };
        let sends_only = directed("sendonly") || directed("inactive");
        MediaSection {
            kind: media.media_name.media.clone(),
            protocol: media.media_name.protos.join("/"),
            formats: media.media_name.formats.clone(),
            bundle: bundle.filter(|_| good_mid),
            disabled: disabled || !good_mid,
            receives: good_mid && !sends_only && !disabled,
            mid: if good_mid { mid } else { String::new() },
            rtcp_mux: self.says("rtcp-mux") || self.says("rtcp-mux-only"),
            rtcp_rsize: self.says("rtcp-rsize"),
            codecs: self.codecs(),
            extensions: self.values("extmap").filter_map(extension).collect(),
            transport: self.transport(),
            candidates: of(&media.attributes, "candidate")
                .take(MAX_CANDIDATES)
                .map(str::to_owned)
                .collect(),
        }
    }

    fn transport(&self) -> Result<PeerTransport, OfferError> {
        let find = |key: &'static str| self.values(key).next().ok_or(OfferError::Missing(key));
        let setup = find("setup")?;
        if setup != "actpass" && setup != "active" {
            let shown = setup.chars().take(20).collect();
            return Err(OfferError::Unsupported("setup", shown));
        }
        let fingerprints = Fingerprints::read(self.values("fingerprint"));
        let unsupported =
            |hash| OfferError::Unsupported("fingerprint", format!("{hash}, but SHA-256 or longer"));
        Ok(PeerTransport {
            ufrag: token("ice-ufrag", find("ice-ufrag")?, 4, 256)?,
            pwd: token("ice-pwd", find("ice-pwd")?, 22, 256)?,
            fingerprints: fingerprints
                .map_err(unsupported)?
                .ok_or(OfferError::Missing("fingerprint"))?,
        })
    }

    fn says(&self, key: &str) -> bool {
        self.media.has_attribute(key) || self.sdp.has_attribute(key)
    }

    /// An attribute's values: the section's, or those for all sections if it has none.
    fn values(&self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let own = self.media.has_attribute(key);
        let session = of(&self.sdp.attributes, key).filter(move |_| !own);
        of(&self.media.attributes, key).chain(session)
    }

    fn codecs(&self) -> Vec<OfferedCodec> {
        let pairs = |key: &'static str| {
            of(&self.media.attributes, key).filter_map(|v| v.split_once(char::is_whitespace))
        };
        let formats = &self.media.media_name.formats;
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        for payload_type in formats.iter().filter_map(|f| payload_type(f)) {
            // One look at the attributes for each type: there are 128, however long the list is.
            if !seen.insert(payload_type) {
                continue;
            }
            let of_this = |(number, value): (&'a str, &'a str)| {
                (self::payload_type(number) == Some(payload_type)).then(|| value.trim())
            };
            // Static payload types need no rtpmap (RFC 3551 section 6).
            let map = pairs("rtpmap").find_map(of_this).or(match payload_type {
                0 => Some("PCMU/8000"),
                8 => Some("PCMA/8000"),
                _ => None,
            });
            let Some(map) = map else { continue };
            let mut parts = map.split('/');
            let name = parts.next().unwrap_or("").trim().to_ascii_uppercase();
            let Some(clock_rate) = parts.next().and_then(|r| r.trim().parse().ok()) else {
                continue;
            };
            let counts =
                |number: &str| number == "*" || self::payload_type(number) == Some(payload_type);
            let asked = |known: &&str| {
                let mut offered = pairs("rtcp-fb").filter(|(number, _)| counts(number));
                offered.any(|(_, value)| value.split_whitespace().eq(known.split(' ')))
            };
            found.push(OfferedCodec {
                payload_type,
                name,
                clock_rate,
                map: map.to_owned(),
                fmtp: pairs("fmtp").find_map(of_this).unwrap_or("").to_owned(),
                feedback: FEEDBACK.into_iter().filter(asked).collect(),
            });
        }
        found
    }
}

/// The values of the attributes of that name.
fn of<'a>(attributes: &'a [Attribute], key: &'a str) -> impl Iterator<Item = &'a str> {
    let named = attributes.iter().filter(move |a| a.key == key);
    named.filter_map(|a| a.value.as_deref())
}

fn payload_type(text: &str) -> Option<u8> {
    text.parse().ok().filter(|number| *number < 128)
}

/// `a=extmap:5 http://…` or `a=extmap:5/recvonly http://…` (RFC 8285 section 8).
fn extension(value: &str) -> Option<(u8, String)> {
    let (number, uri) = value.split_once(' ')?;
    let number = number.split('/').next()?.parse().ok()?;
    Some((number, uri.split(' ').next()?.to_owned()))
}

#[cfg(test)]
pub(crate) mod tests;
