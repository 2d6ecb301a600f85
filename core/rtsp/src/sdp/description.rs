//! What a description says, after everything in it was put together.

use std::fmt;
use std::net::IpAddr;

use taimat_media::Quirks;

use super::attribute::Direction;
use super::format::Format;

/// What a camera says it can send.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Description {
    /// Its tracks, at most [`super::MAX_MEDIA`].
    pub media: Vec<Media>,
    /// Tracks beyond that.
    pub media_left_out: usize,
    /// Address for the session as a whole (`a=control`).
    pub control: Option<String>,
    /// The session's name (`s=`), often the brand.
    pub name: Option<String>,
    /// What made the description (`a=tool`).
    pub tool: Option<String>,
    /// Some of the lines that were skipped, cut short, as the camera sent them: to be redacted by
    /// whoever shows them.
    pub skipped: Vec<String>,
    /// What is odd about it.
    pub quirks: Quirks,
}

/// What kind of thing a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Mostly metadata.
    Application,
    /// Text and whatever else there is.
    Other,
}

impl MediaKind {
    /// The word in SDP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Application => "application",
            Self::Other => "other",
        }
    }
}

/// Where a track is sent by multicast (`c=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Connection {
    /// The address; unspecified or the camera's own unless it is multicast.
    pub address: IpAddr,
    /// Hops that packets live.
    pub ttl: Option<u8>,
}

/// One track.
#[derive(Debug, Clone, PartialEq)]
pub struct Media {
    /// What it carries.
    pub kind: MediaKind,
    /// The forms in which it may come, at most 16, the camera's favourite first.
    pub formats: Vec<Format>,
    /// Its address for SETUP, absolute or relative.
    pub control: Option<String>,
    /// Which way it flows, if the camera says so here or for the whole session.
    pub direction: Option<Direction>,
    /// Where it is sent by multicast, here or for the whole session.
    pub connection: Option<Connection>,
    /// The UDP port, mostly 0.
    pub port: u16,
    /// Pictures a second, if it says.
    pub framerate: Option<f32>,
}

impl Media {
    /// The group it is sent to, if it is sent by multicast.
    pub fn multicast(&self) -> Option<Connection> {
        self.connection.filter(|c| c.address.is_multicast())
    }
}

impl fmt::Display for Media {
    /// In a line, for people: `video H264/90000, audio PCMA/8000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        for (i, format) in self.formats.iter().enumerate() {
            f.write_str(if i == 0 { " " } else { " or " })?;
            match format.encoding.as_str() {
                "" => write!(f, "payload type {}", format.payload_type)?,
                encoding => write!(f, "{encoding}/{}", format.clock_rate)?,
            }
        }
        if self.direction == Some(Direction::SendOnly) {
            f.write_str(", towards the camera")?;
        }
        Ok(())
    }
}
