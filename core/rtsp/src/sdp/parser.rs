//! From lines to a description. What stands in one line is `attribute`'s matter, what several of them
//! say together about a payload type `format`'s.

use std::net::IpAddr;

use taimat_media::Quirk;

use super::attribute::{Attribute, Direction};
use super::description::{Connection, Description, Media, MediaKind};
use super::format::{self, Mappings};
use super::text::{cut, text};

/// Larger than any description of a camera.
pub const MAX_BYTES: usize = 1 << 20;
/// Lines of a description.
pub const MAX_LINES: usize = 4096;
/// Tracks that are kept.
pub const MAX_MEDIA: usize = 64;
/// Skipped lines that are kept for the log, and how much of each.
const MAX_SKIPPED: usize = 8;
const MAX_SKIPPED_CHARS: usize = 80;
/// Names and addresses that are kept.
const MAX_TEXT_CHARS: usize = 1024;

/// Why a description is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// It is something else, or empty.
    #[error("the description names no track")]
    NoMedia,
    /// More than [`MAX_BYTES`].
    #[error("the description of {0} bytes is larger than {MAX_BYTES}")]
    TooLarge(usize),
    /// More than [`MAX_LINES`].
    #[error("the description has more than {MAX_LINES} lines")]
    TooManyLines,
}

impl Description {
    /// Reads a description.
    pub fn parse(body: &[u8]) -> Result<Self, SdpError> {
        if body.len() > MAX_BYTES {
            return Err(SdpError::TooLarge(body.len()));
        }
        let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
        let mut parser = Parser::default();
        let lines = body
            .split(|byte| matches!(byte, b'\n' | b'\r'))
            .map(|line| line.trim_ascii_start())
            .filter(|line| line.iter().any(|byte| !matches!(byte, 0..=b' ')));
        for (index, line) in lines.enumerate() {
            if index >= MAX_LINES {
                return Err(SdpError::TooManyLines);
            }
            let text = text(line);
            if parser.line(text.trim()).is_none() {
                parser.skip(text.trim());
            }
        }
        parser.finish()
    }
}

#[derive(Default)]
struct Parser {
    description: Description,
    direction: Option<Direction>,
    connection: Option<Connection>,
    /// What is said about payload types, before the first track and by each.
    session: Mappings,
    mappings: Vec<Mappings>,
    /// Within a track that is left out.
    left_out: bool,
    seen_origin: bool,
}

impl Parser {
    /// Takes one line; `None` if it says nothing that is understood.
    fn line(&mut self, line: &str) -> Option<()> {
        let (key, value) = line.split_once('=')?;
        let mut letters = key.trim_end().chars();
        let (key, None) = (letters.next()?, letters.next()) else {
            return None;
        };
        let value = value.trim();
        let session = self.description.media.is_empty();
        match key.to_ascii_lowercase() {
            'm' => self.media(value),
            _ if self.left_out => Some(()),
            'a' => self.attribute(value),
            'c' => self.connection(value),
            'i' | 'b' | 'k' => Some(()),
            'v' => (session && value == "0").then_some(()),
            'o' => {
                let again = std::mem::replace(&mut self.seen_origin, true);
                let fields = value.split_whitespace().count();
                (session && !again && fields == 6).then_some(())
            }
            's' => {
                let first = self.description.name.is_none();
                if first && !value.is_empty() && session {
                    self.description.name = Some(cut(value, MAX_TEXT_CHARS));
                }
                (session && first).then_some(())
            }
            't' => {
                let mut times = value.split_whitespace().map(str::parse::<u64>);
                let two = matches!(
                    (times.next(), times.next(), times.next()),
                    (Some(Ok(_)), Some(Ok(_)), None)
                );
                (session && two).then_some(())
            }
            'u' | 'e' | 'p' | 'r' | 'z' => session.then_some(()),
            _ => None,
        }
    }

    fn skip(&mut self, line: &str) {
        self.description.quirks.note(Quirk::OddDescription);
        if self.description.skipped.len() < MAX_SKIPPED {
            self.description.skipped.push(cut(line, MAX_SKIPPED_CHARS));
        }
    }

    /// `m=video 0 RTP/AVP 96 97`. A missing port or profile is no reason to miss the rest.
    fn media(&mut self, value: &str) -> Option<()> {
        let mut words = value.split_whitespace().peekable();
        let kind = words.next()?.to_ascii_lowercase();
        if self.description.media.len() >= MAX_MEDIA {
            self.left_out = true;
            self.description.media_left_out += 1;
            return Some(());
        }
        let port = words.next().and_then(|port| {
            // "5000/2": two ports from 5000 on.
            port.split('/').next()?.parse().ok()
        });
        let profile = words.next_if(|word| word.parse::<u8>().is_err());
        let mut mappings = Mappings::default();
        let mut odd = port.is_none() || profile.is_none();
        for word in words {
            match word.parse::<u8>() {
                Ok(payload_type) if payload_type < 128 => mappings.announce(payload_type),
                _ => odd = true,
            }
        }
        self.description.media.push(Media {
            kind: match kind.as_str() {
                "video" => MediaKind::Video,
                "audio" => MediaKind::Audio,
                "application" => MediaKind::Application,
                _ => MediaKind::Other,
            },
            formats: Vec::new(),
            control: None,
            direction: None,
            connection: None,
            port: port.unwrap_or(0),
            framerate: None,
        });
        self.mappings.push(mappings);
        (!odd).then_some(())
    }

    fn attribute(&mut self, value: &str) -> Option<()> {
        let attribute = Attribute::parse(value)?;
        let mappings = self.mappings.last_mut().unwrap_or(&mut self.session);
        let media = self.description.media.last_mut();
        match attribute {
            Attribute::RtpMap(payload_type, map) => mappings.map(payload_type, map),
            Attribute::Parameters(payload_type, list) => mappings.parameters(payload_type, list),
            Attribute::Control(control) => {
                let place = match media {
                    Some(media) => &mut media.control,
                    None => &mut self.description.control,
                };
                place.get_or_insert_with(|| cut(control, MAX_TEXT_CHARS));
                Some(())
            }
            Attribute::Direction(direction) => {
                let place = match media {
                    Some(media) => &mut media.direction,
                    None => &mut self.direction,
                };
                *place = Some(direction);
                Some(())
            }
            Attribute::Framerate(rate) => {
                if let Some(media) = media {
                    media.framerate = Some(rate);
                }
                Some(())
            }
            Attribute::Tool(tool) => {
                self.description.tool = Some(cut(tool, MAX_TEXT_CHARS));
                Some(())
            }
            Attribute::Other => Some(()),
        }
    }

    /// `c=IN IP4 239.1.2.3/127`. Only the address counts, wherever it stands.
    fn connection(&mut self, value: &str) -> Option<()> {
        let found = value.split_whitespace().find_map(|word| {
            let mut parts = word.split('/');
            let address: IpAddr = parts.next()?.parse().ok()?;
            // For IPv6 what follows is a number of addresses.
            let ttl = parts.next().filter(|_| address.is_ipv4());
            let ttl = ttl.and_then(|ttl| ttl.parse().ok());
            Some(Connection { address, ttl })
        });
        // A host's name is in order, and of no use here.
        let named = value.split_whitespace().count() == 3;
        match self.description.media.last_mut() {
            Some(media) => media.connection = found.or(media.connection),
            None => self.connection = found.or(self.connection),
        }
        (found.is_some() || named).then_some(())
    }

    fn finish(mut self) -> Result<Description, SdpError> {
        if self.description.media.is_empty() {
            return Err(SdpError::NoMedia);
        }
        let mut odd = 0;
        for index in 0..self.description.media.len() {
            let resolved = format::resolve(&self.session, &self.mappings, index);
            odd += resolved.odd;
            let media = &mut self.description.media[index];
            media.formats = resolved.formats;
            media.direction = media.direction.or(self.direction);
            media.connection = media.connection.or(self.connection);
        }
        self.description.quirks.add(Quirk::OddDescription, odd);
        Ok(self.description)
    }
}
