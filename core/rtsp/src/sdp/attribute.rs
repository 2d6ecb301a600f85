//! Attributes (`a=`) of a description, as far as they are of use, in all the forms that cameras
//! give them.

use std::collections::BTreeMap;

use super::text::cut;

/// Parameters of one payload type that are kept, and how much of a name.
const MAX_PARAMETERS: usize = 64;
const MAX_NAME_CHARS: usize = 40;

/// Names that begin a parameter even without the semicolon before them.
const KNOWN_PARAMETERS: [&str; 15] = [
    "config",
    "indexdeltalength",
    "indexlength",
    "level-id",
    "mode",
    "packetization-mode",
    "profile-id",
    "profile-level-id",
    "sizelength",
    "sprop-max-don-diff",
    "sprop-parameter-sets",
    "sprop-pps",
    "sprop-sps",
    "sprop-vps",
    "streamtype",
];

/// Which way media flows, as whoever described it sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both.
    SendRecv,
    /// ONVIF: towards the camera.
    SendOnly,
    /// ONVIF: from the camera.
    RecvOnly,
    /// Neither from the camera nor to it (RFC 8866, section 6.7.4).
    Inactive,
}

/// Name in lower case and value.
pub(super) type Parameters = BTreeMap<String, String>;

/// `H264/90000`, `opus/48000/2`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RtpMap {
    /// In upper case.
    pub(super) encoding: String,
    pub(super) clock_rate: Option<u32>,
    pub(super) channels: Option<u16>,
}

#[derive(Debug)]
pub(super) enum Attribute<'a> {
    RtpMap(u8, RtpMap),
    Parameters(u8, Parameters),
    Control(&'a str),
    Direction(Direction),
    Framerate(f32),
    Tool(&'a str),
    /// Not one of ours, or empty.
    Other,
}

impl<'a> Attribute<'a> {
    /// Reads what stands behind `a=`. `None` if it is one of these and says nothing.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let is_end = |c: char| c == ':' || c.is_whitespace();
        let (name, value) = text.split_once(is_end).unwrap_or((text, ""));
        let value = value.trim();
        Some(match name.to_ascii_lowercase().as_str() {
            "rtpmap" => {
                let (payload_type, rest) = payload_type(value)?;
                Self::RtpMap(payload_type, rtp_map(rest)?)
            }
            "fmtp" => {
                let (payload_type, rest) = payload_type(value)?;
                Self::Parameters(payload_type, parameters(rest))
            }
            "control" if !value.is_empty() => Self::Control(value),
            "control" => return None,
            "sendrecv" => Self::Direction(Direction::SendRecv),
            "sendonly" => Self::Direction(Direction::SendOnly),
            "recvonly" => Self::Direction(Direction::RecvOnly),
            "inactive" => Self::Direction(Direction::Inactive),
            "framerate" | "x-framerate" => {
                let rate: f32 = value.parse().ok()?;
                Self::Framerate(Some(rate).filter(|r| r.is_finite() && *r > 0.0)?)
            }
            "tool" => Self::Tool(value),
            _ => Self::Other,
        })
    }
}

/// The number at the beginning, and what follows, whatever separates them, if anything does.
fn payload_type(value: &str) -> Option<(u8, &str)> {
    let value = value.trim_start_matches(|c: char| c == ':' || c.is_whitespace());
    let end = value
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(value.len());
    let (digits, rest) = value.split_at_checked(end)?;
    let payload_type = digits.parse().ok().filter(|number| *number < 128)?;
    let between = |c: char| matches!(c, ':' | ';' | ',') || c.is_whitespace();
    Some((payload_type, rest.trim_start_matches(between)))
}

fn rtp_map(text: &str) -> Option<RtpMap> {
    let mut parts = text.split('/').map(str::trim);
    let encoding = parts.next().filter(|encoding| !encoding.is_empty())?;
    Some(RtpMap {
        encoding: cut(encoding, MAX_NAME_CHARS).to_ascii_uppercase(),
        clock_rate: number(parts.next()),
        channels: number(parts.next()),
    })
}

/// The digits at the beginning, unless they make 0.
fn number<T: std::str::FromStr + PartialEq + Default>(text: Option<&str>) -> Option<T> {
    let digits: String = text?.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|n| *n != T::default())
}

/// `packetization-mode=1; sprop-parameter-sets=Z0IA,aM4=`, with semicolons missing or too many. The
/// first one of a name counts, unless it is empty.
fn parameters(text: &str) -> Parameters {
    let mut list = Parameters::new();
    for part in text.split(';') {
        let mut open: Option<(String, String)> = None;
        for word in part.split_whitespace() {
            let name = word.split('=').next().unwrap_or_default();
            let begins = KNOWN_PARAMETERS
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name));
            match &mut open {
                Some((_, value)) if !begins => {
                    // "mode = AAC-hbr", "Z0IA, aM4="
                    value.push(' ');
                    value.push_str(word);
                }
                _ => {
                    keep(&mut list, open.take());
                    let (name, value) = word.split_once('=').unwrap_or((word, ""));
                    open = Some((name.to_owned(), value.to_owned()));
                }
            }
        }
        keep(&mut list, open);
    }
    list
}

fn keep(list: &mut Parameters, parameter: Option<(String, String)>) {
    let Some((name, value)) = parameter else {
        return;
    };
    let name = cut(name.trim(), MAX_NAME_CHARS).to_ascii_lowercase();
    let value = value.trim().trim_start_matches('=').trim();
    let value = value.trim_matches(['"', ',']);
    if name.is_empty() || list.len() >= MAX_PARAMETERS {
        return;
    }
    let place = list.entry(name).or_default();
    if place.is_empty() {
        place.push_str(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<(String, String)> {
        parameters(text).into_iter().collect()
    }

    #[test]
    fn parameters_in_every_form() {
        let expected = [
            ("packetization-mode".to_owned(), "1".to_owned()),
            ("sprop-parameter-sets".to_owned(), "Z0IA,aM4=".to_owned()),
        ];
        for text in [
            "packetization-mode=1;sprop-parameter-sets=Z0IA,aM4=",
            "Packetization-Mode=1; ;SPROP-parameter-sets=\"Z0IA,aM4=\";",
            ";packetization-mode = 1 ; sprop-parameter-sets= Z0IA,aM4= ",
            "packetization-mode=1 sprop-parameter-sets=Z0IA,aM4=,",
            "packetization-mode=;packetization-mode=1;sprop-parameter-sets=Z0IA,aM4=;packetization-mode=2",
        ] {
            assert_eq!(list(text), expected, "{text}");
        }
        let spaced = list("sprop-parameter-sets=Z0IA, aM4=");
        assert_eq!(spaced[0].1, "Z0IA, aM4=");
        assert_eq!(list("0-15"), [("0-15".to_owned(), String::new())]);
        assert_eq!(list(&"x1=y;x2=z;".repeat(9)).len(), 2);
    }

    #[test]
    fn payload_types_with_anything_behind() {
        for text in [
            "96 mode=1",
            " 96:mode=1",
            "96mode=1",
            "96 ; mode=1",
            "96\tmode=1",
        ] {
            assert_eq!(payload_type(text), Some((96, "mode=1")), "{text}");
        }
        for text in ["", "x", "300 a", "128", "-1 b"] {
            assert_eq!(payload_type(text), None, "{text}");
        }
    }

    #[test]
    fn maps_in_every_form() {
        let read = |text| {
            let map = rtp_map(text).unwrap();
            (map.encoding, map.clock_rate, map.channels)
        };
        assert_eq!(read("h264/90000"), ("H264".into(), Some(90_000), None));
        assert_eq!(
            read("opus / 48000 / 2 "),
            ("OPUS".into(), Some(48_000), Some(2))
        );
        assert_eq!(read("PCMA/8000/0"), ("PCMA".into(), Some(8000), None));
        assert_eq!(read("PCMA/x"), ("PCMA".into(), None, None));
        assert_eq!(rtp_map(" /90000"), None);
    }
}
