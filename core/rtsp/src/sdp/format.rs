//! Payload types: what a description says about each, put together from wherever it says it.

use super::attribute::{Parameters, RtpMap};

/// Payload types of one track that are kept.
const MAX_FORMATS: usize = 16;
/// Statements about payload types of one track that are kept.
const MAX_STATEMENTS: usize = 32;

/// A form in which a track may come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// The number in its RTP packets.
    pub payload_type: u8,
    /// The encoding's name in upper case; empty if the description does not tell.
    pub encoding: String,
    /// Ticks a second of the RTP clock, 0 if not known.
    pub clock_rate: u32,
    /// Channels; 1 if the description does not tell.
    pub channels: u16,
    /// Whether the description tells the channels, or the type is one that fixes them.
    pub channels_told: bool,
    /// Parameters (`fmtp`), names in lower case.
    pub parameters: Parameters,
}

impl Format {
    /// What to call it: its encoding, or its number.
    pub(crate) fn name(&self) -> String {
        match self.encoding.as_str() {
            "" => format!("payload type {}", self.payload_type),
            encoding => encoding.to_owned(),
        }
    }
}

/// What stands in one section about payload types.
#[derive(Debug, Default)]
pub(super) struct Mappings {
    announced: Vec<u8>,
    maps: Vec<(u8, RtpMap)>,
    parameters: Vec<(u8, Parameters)>,
}

impl Mappings {
    /// The section's first line names it.
    pub(super) fn announce(&mut self, payload_type: u8) {
        if self.announced.len() < MAX_FORMATS && !self.announced.contains(&payload_type) {
            self.announced.push(payload_type);
        }
    }

    /// `None` if there are too many of them.
    pub(super) fn map(&mut self, payload_type: u8, map: RtpMap) -> Option<()> {
        let room = self.maps.len() < MAX_STATEMENTS;
        room.then(|| self.maps.push((payload_type, map)))
    }

    /// `None` if there are too many of them.
    pub(super) fn parameters(&mut self, payload_type: u8, list: Parameters) -> Option<()> {
        let known = self.parameters.iter_mut().find(|p| p.0 == payload_type);
        if let Some((_, known)) = known {
            for (name, value) in list {
                known.entry(name).or_insert(value);
            }
            return Some(());
        }
        let room = self.parameters.len() < MAX_STATEMENTS;
        room.then(|| self.parameters.push((payload_type, list)))
    }

    fn map_of(&self, payload_type: u8) -> Option<&RtpMap> {
        let found = self.maps.iter().find(|m| m.0 == payload_type);
        found.map(|m| &m.1)
    }

    fn parameters_of(&self, payload_type: u8) -> Option<&Parameters> {
        let found = self.parameters.iter().find(|p| p.0 == payload_type);
        found.map(|p| &p.1)
    }

    /// The only map of a section whose first line names another type, or none.
    fn only_map(&self) -> Option<&RtpMap> {
        match self.maps.as_slice() {
            [(_, map)] => Some(map),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) formats: Vec<Format>,
    /// Statements that stood in a wrong place, or were found nowhere.
    pub(super) odd: u32,
}

/// The formats of one track. What its section does not say about a type of its own is looked for
/// before the first section, and in those that do not have the type themselves: some cameras write
/// it where they happen to be.
pub(super) fn resolve(session: &Mappings, all: &[Mappings], index: usize) -> Resolved {
    let own = &all[index];
    let mut odd = 0;
    let mut types = own.announced.clone();
    if types.is_empty() {
        types.extend(own.maps.iter().map(|m| m.0).take(MAX_FORMATS));
        types.dedup();
        odd += 1;
    }
    let elsewhere = |payload_type: u8| {
        let others = all.iter().enumerate();
        let others = others
            .filter(move |(at, other)| *at != index && !other.announced.contains(&payload_type));
        std::iter::once(session).chain(others.map(|(_, other)| other))
    };
    let only = types.len() == 1;
    let mut formats = Vec::with_capacity(types.len());
    for payload_type in types {
        let fixed = fixed(payload_type);
        let mut map = own.map_of(payload_type);
        if map.is_none() && fixed.is_none() {
            map = elsewhere(payload_type).find_map(|m| m.map_of(payload_type));
            // The section's first line and its map disagree about the number.
            map = map.or_else(|| own.only_map().filter(|_| only));
            odd += u32::from(map.is_some());
        }
        let mut parameters = own.parameters_of(payload_type);
        if parameters.is_none() {
            parameters = elsewhere(payload_type).find_map(|m| m.parameters_of(payload_type));
            odd += u32::from(parameters.is_some());
        }
        let parameters = parameters.cloned().unwrap_or_default();
        formats.push(format(payload_type, map, fixed, parameters));
    }
    let misplaced =
        |payload_type: u8| !own.announced.is_empty() && !own.announced.contains(&payload_type);
    let wrong = own.maps.iter().filter(|m| misplaced(m.0)).count()
        + own.parameters.iter().filter(|p| misplaced(p.0)).count();
    odd += u32::try_from(wrong).unwrap_or(u32::MAX);
    Resolved { formats, odd }
}

fn format(
    payload_type: u8,
    map: Option<&RtpMap>,
    fixed: Option<(&str, u32, u16)>,
    parameters: Parameters,
) -> Format {
    let encoding = match (map, fixed) {
        (Some(map), _) => map.encoding.clone(),
        (None, Some((name, ..))) => name.to_owned(),
        (None, None) => guess(&parameters).to_owned(),
    };
    let fixed = fixed.filter(|(name, ..)| *name == encoding);
    let clock_rate = map
        .and_then(|map| map.clock_rate)
        .or(fixed.map(|f| f.1))
        .unwrap_or_else(|| usual_rate(&encoding));
    let channels = map.and_then(|map| map.channels).or(fixed.map(|f| f.2));
    Format {
        payload_type,
        encoding,
        clock_rate,
        channels: channels.unwrap_or(1),
        channels_told: channels.is_some(),
        parameters,
    }
}

/// What an unnamed type must be to have such parameters.
fn guess(parameters: &Parameters) -> &'static str {
    let has = |name: &str| parameters.contains_key(name);
    if has("sprop-vps") || has("sprop-sps") {
        "H265"
    } else if has("sprop-parameter-sets") || has("packetization-mode") {
        "H264"
    } else if has("config") && has("sizelength") {
        "MPEG4-GENERIC"
    } else {
        ""
    }
}

fn usual_rate(encoding: &str) -> u32 {
    match encoding {
        "PCMU" | "PCMA" | "G722" | "GSM" => 8000,
        "OPUS" => 48_000,
        "H264" | "H265" | "JPEG" | "MP4V-ES" | "MP2T" | "MPV" | "MPA" => 90_000,
        _ => 0,
    }
}

/// Types with a fixed meaning (RFC 3551 section 6): name, clock, channels.
fn fixed(payload_type: u8) -> Option<(&'static str, u32, u16)> {
    Some(match payload_type {
        0 => ("PCMU", 8000, 1),
        3 => ("GSM", 8000, 1),
        4 => ("G723", 8000, 1),
        5 => ("DVI4", 8000, 1),
        8 => ("PCMA", 8000, 1),
        9 => ("G722", 8000, 1),
        10 => ("L16", 44_100, 2),
        11 => ("L16", 44_100, 1),
        14 => ("MPA", 90_000, 1),
        26 => ("JPEG", 90_000, 1),
        31 => ("H261", 90_000, 1),
        32 => ("MPV", 90_000, 1),
        33 => ("MP2T", 90_000, 1),
        34 => ("H263", 90_000, 1),
        _ => return None,
    })
}
