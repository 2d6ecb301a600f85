//! Messages that the host sends for an alerter, and what comes back.
//!
//! A plugin names a channel; the channel has the address, the way to sign in, the secrets and how much
//! it may send.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::bounds::{self, OutOfBounds, TEXT_BYTES, holds, most};
use crate::detection::Attribute;

/// What kind of channel.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ChannelKind {
    /// Requests to a server.
    Http,
    /// Topics at a broker.
    Mqtt,
    /// Mails through a server.
    Mail,
    /// Bytes to a device.
    Wire,
}

impl fmt::Display for ChannelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Mqtt => "mqtt",
            Self::Mail => "mail",
            Self::Wire => "wire",
        })
    }
}

/// What goes before a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestHead {
    /// Letters A-Z, up to 16.
    pub method: String,
    /// Appended to the channel's address, with its query; up to 4 KiB.
    pub path: String,
    /// At most 32. Keys are lower case; values up to 4 KiB.
    pub headers: Vec<Attribute>,
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpResponse {
    /// 100 to 599; 0 when a backend's request had no response.
    pub status: u16,
    /// Keys in lower case; at most 64.
    pub headers: Vec<Attribute>,
    /// The first 64 KiB, or 1 MiB for a backend's list.
    pub body: Vec<u8>,
}

/// What kind of media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaKind {
    /// A JPEG of the event's best moment, up to 1 MiB.
    Picture,
    /// An MP4 of some seconds around it, up to 16 MiB.
    Clip,
}

/// Put in by the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// What.
    pub kind: MediaKind,
    /// Id of one of the task's events.
    pub event: String,
    /// Pixels, 16 to 3840; never enlarged. 0 leaves it to the host.
    pub width: u32,
    /// With its regions drawn in. Pictures only.
    pub marked: bool,
}

/// A piece of content.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chunk {
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Media.
    Media(Media),
    /// Media in Base64, for JSON.
    MediaBase64(Media),
    /// A secret of the channel, by name.
    Secret(String),
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.debug_tuple("Text").field(text).finish(),
            // A log is no place for them.
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Media(media) => f.debug_tuple("Media").field(media).finish(),
            Self::MediaBase64(media) => f.debug_tuple("MediaBase64").field(media).finish(),
            Self::Secret(name) => f.debug_tuple("Secret").field(name).finish(),
        }
    }
}

/// A field of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Empty when the field is no file.
    pub file_name: String,
    /// Empty leaves it to the host.
    pub content_type: String,
    /// At most 16.
    pub content: Vec<Chunk>,
}

/// What a request carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// One after the other, at most 64; none is no body.
    Content(Vec<Chunk>),
    /// multipart/form-data, at most 32 fields.
    Form(Vec<Field>),
    /// application/x-www-form-urlencoded, at most 32 fields, without media.
    Urlencoded(Vec<Field>),
}

/// A request by HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRequest {
    /// The channel.
    pub channel: String,
    /// What goes before the body.
    pub head: RequestHead,
    /// The body.
    pub body: Body,
}

/// Something to publish at an MQTT broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MqttPublish {
    /// The channel.
    pub channel: String,
    /// Up to 256 bytes, below the channel's prefix, without wildcards.
    pub topic: String,
    /// One after the other, at most 64.
    pub payload: Vec<Chunk>,
    /// The broker keeps it for who comes later.
    pub retain: bool,
}

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The channel.
    pub channel: String,
    /// Addresses, at most 32. The channel says which are allowed.
    pub to: Vec<String>,
    /// What it is about.
    pub subject: String,
    /// For who reads text.
    pub text: String,
    /// Empty when there is only text.
    pub html: String,
    /// At most 8; in HTML they are `cid:1`, `cid:2`, ….
    pub attached: Vec<Media>,
    /// Mails with the same one are shown as one conversation. Empty is none.
    pub thread: String,
}

/// Bytes to a device that has no better language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wire {
    /// The channel.
    pub channel: String,
    /// Up to 1500 bytes.
    pub bytes: Vec<u8>,
    /// Bytes to wait for; 0 for none, at most 1500.
    pub answer_bytes: u32,
}

/// A message on its way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outgoing {
    /// By HTTP.
    Http(HttpRequest),
    /// By MQTT.
    Mqtt(MqttPublish),
    /// By mail.
    Mail(Mail),
    /// By a bare connection.
    Wire(Wire),
}

impl Outgoing {
    /// What kind of channel carries it.
    pub fn kind(&self) -> ChannelKind {
        match self {
            Self::Http(_) => ChannelKind::Http,
            Self::Mqtt(_) => ChannelKind::Mqtt,
            Self::Mail(_) => ChannelKind::Mail,
            Self::Wire(_) => ChannelKind::Wire,
        }
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// A server's answer.
    Http(HttpResponse),
    /// The broker or the mail server took it, with what it said.
    Accepted(String),
    /// A device's answer.
    Bytes(Vec<u8>),
    /// Nothing that could be read as an answer, or the media are gone; with the reason.
    Failed(String),
    /// The other side, or the channel, does not take it and never will; with its words. Plugins see it as
    /// failed; what they leave to the host is given up.
    Refused(String),
}

/// Headers that are the host's: what they say is decided by the channel.
const HOSTS_HEADERS: [&str; 9] = [
    "host",
    "content-length",
    "user-agent",
    "authorization",
    "proxy-authorization",
    "cookie",
    "connection",
    "transfer-encoding",
    "te",
];

impl RequestHead {
    /// Bytes that it has, if it keeps to the contract.
    pub fn checked(&self) -> Result<usize, OutOfBounds> {
        let letters = self.method.bytes().all(|b| b.is_ascii_uppercase());
        let fits = letters && (1..=16).contains(&self.method.len());
        holds(fits, "the method", "1 to 16 letters A-Z")?;
        most("bytes of the path", self.path.len(), 4096)?;
        let plain = self.path.bytes().all(|b| b.is_ascii_graphic());
        holds(plain, "the path", "of printable ASCII without spaces")?;
        most("headers", self.headers.len(), 32)?;
        let mut bytes = self.method.len() + self.path.len();
        for Attribute { key, value } in &self.headers {
            let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
            let named = (1..=64).contains(&key.len()) && key.bytes().all(token);
            holds(
                named,
                "a header's name",
                "1 to 64 of a-z, 0-9, '-', '_' and '.'",
            )?;
            let own = !HOSTS_HEADERS.contains(&key.as_str());
            holds(
                own,
                "a header",
                "the plugin's to set: the host signs in and counts",
            )?;
            most("bytes of a header", value.len(), 4096)?;
            let line = !value.contains(char::is_control);
            holds(line, "a header's value", "one line")?;
            bytes += key.len() + value.len();
        }
        Ok(bytes)
    }
}

impl Media {
    fn checked(&self) -> Result<(), OutOfBounds> {
        most("bytes of an event's id", self.event.len(), 32)?;
        let width = self.width;
        let fits = width == 0 || (16..=3840).contains(&width);
        holds(fits, "the width of media", "0, or 16 to 3840")?;
        let marks = !self.marked || self.kind == MediaKind::Picture;
        holds(marks, "a clip", "marked: pictures are")
    }
}

/// Bytes of content, media not counted.
fn content(chunks: &[Chunk], count: usize, media: bool) -> Result<usize, OutOfBounds> {
    most("pieces of content", chunks.len(), count)?;
    let mut bytes = 0;
    for chunk in chunks {
        bytes += match chunk {
            Chunk::Text(text) => text.len(),
            Chunk::Bytes(raw) => raw.len(),
            Chunk::Secret(name) => {
                most("bytes of a secret's name", name.len(), 64)?;
                name.len()
            }
            Chunk::Media(put) | Chunk::MediaBase64(put) => {
                holds(media, "an urlencoded form", "a place for media")?;
                put.checked()?;
                0
            }
        };
    }
    Ok(bytes)
}

fn fields(fields: &[Field], media: bool) -> Result<usize, OutOfBounds> {
    most("fields of a form", fields.len(), 32)?;
    let mut bytes = 0;
    for field in fields {
        for text in [&field.name, &field.file_name, &field.content_type] {
            most("bytes of a field's words", text.len(), TEXT_BYTES)?;
            let line = !text.contains(char::is_control);
            holds(line, "a field's name or type", "one line")?;
            bytes += text.len();
        }
        bytes += content(&field.content, 16, media)?;
    }
    Ok(bytes)
}

impl Outgoing {
    /// Messages of one answer at most.
    pub const MAX_MESSAGES: usize = 16;
    /// Bytes of all messages of one answer at most, pictures and clips not counted.
    pub const MAX_BYTES: usize = 256 << 10;

    /// The channel that it goes through.
    pub fn channel(&self) -> &str {
        match self {
            Self::Http(request) => &request.channel,
            Self::Mqtt(publish) => &publish.channel,
            Self::Mail(mail) => &mail.channel,
            Self::Wire(wire) => &wire.channel,
        }
    }

    /// Bytes that it has, media not counted, if it keeps to the contract.
    pub fn checked(&self) -> Result<usize, OutOfBounds> {
        most("bytes of a channel's name", self.channel().len(), 64)?;
        Ok(match self {
            Self::Http(request) => {
                let body = match &request.body {
                    Body::Content(chunks) => content(chunks, 64, true)?,
                    Body::Form(form) => fields(form, true)?,
                    Body::Urlencoded(form) => fields(form, false)?,
                };
                request.head.checked()? + body
            }
            Self::Mqtt(publish) => {
                let topic = &publish.topic;
                most("bytes of a topic", topic.len(), 256)?;
                let plain = !topic.is_empty()
                    && !topic.contains(|c: char| c.is_control() || "+#$".contains(c));
                holds(
                    plain,
                    "a topic",
                    "one without wildcards, '$' and control characters",
                )?;
                topic.len() + content(&publish.payload, 64, true)?
            }
            Self::Mail(mail) => {
                most("addresses", mail.to.len(), 32)?;
                let lines = mail.to.iter().chain([&mail.subject, &mail.thread]);
                let mut bytes = mail.text.len() + mail.html.len();
                for text in lines {
                    most("bytes of a mail's line", text.len(), TEXT_BYTES)?;
                    let line = !text.contains(char::is_control);
                    holds(line, "an address, the subject or the thread", "one line")?;
                    bytes += text.len();
                }
                most("attachments", mail.attached.len(), 8)?;
                mail.attached.iter().try_for_each(Media::checked)?;
                bytes
            }
            Self::Wire(wire) => {
                most("bytes to a device", wire.bytes.len(), 1500)?;
                let answer = wire.answer_bytes;
                bounds::between("answer-bytes", answer, 0..=1500, "0 to 1500")?;
                wire.bytes.len()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)], path: &str) -> Outgoing {
        let header = |(key, value): &(&str, &str)| Attribute {
            key: (*key).into(),
            value: (*value).into(),
        };
        Outgoing::Http(HttpRequest {
            channel: "desk".into(),
            head: RequestHead {
                method: "POST".into(),
                path: path.into(),
                headers: headers.iter().map(header).collect(),
            },
            body: Body::Content(vec![Chunk::Text("x".repeat(10))]),
        })
    }

    #[test]
    fn a_request_does_not_sign_itself_in_and_forges_no_line() {
        assert_eq!(
            request(&[("x-a", "1")], "/hook").checked(),
            Ok(4 + 5 + 4 + 10)
        );
        for name in ["authorization", "host", "cookie", "X-Upper", ""] {
            assert!(request(&[(name, "1")], "/").checked().is_err(), "{name}");
        }
        assert!(request(&[("x-a", "1\r\nhost: b")], "/").checked().is_err());
        assert!(request(&[], "/a b").checked().is_err());
        assert!(request(&[], "/\r\n").checked().is_err());
    }

    #[test]
    fn media_belong_where_they_fit() {
        let media = |width, kind, marked| {
            Chunk::Media(Media {
                kind,
                event: "e".into(),
                width,
                marked,
            })
        };
        let sent = |chunk: Chunk| {
            let publish = MqttPublish {
                channel: "home".into(),
                topic: "taimat/a".into(),
                payload: vec![chunk],
                retain: false,
            };
            Outgoing::Mqtt(publish).checked().is_ok()
        };
        assert!(sent(media(0, MediaKind::Picture, true)));
        assert!(!sent(media(8, MediaKind::Picture, true)));
        assert!(!sent(media(640, MediaKind::Clip, true)));
        let field = Field {
            name: "photo".into(),
            file_name: String::new(),
            content_type: String::new(),
            content: vec![media(640, MediaKind::Picture, false)],
        };
        assert!(fields(std::slice::from_ref(&field), true).is_ok());
        assert!(fields(&[field], false).is_err());
    }

    #[test]
    fn topics_and_addresses_are_one_line() {
        let topic = |topic: &str| {
            let publish = MqttPublish {
                channel: "home".into(),
                topic: topic.into(),
                payload: Vec::new(),
                retain: true,
            };
            Outgoing::Mqtt(publish).checked().is_ok()
        };
        assert!(topic("hoa-lac/camera/1"));
        assert!(!topic("hoa-lac/#") && !topic("") && !topic("a\nb"));
        let mail = Outgoing::Mail(Mail {
            channel: "post".into(),
            to: vec!["a@example.org\r\nBcc: b@example.org".into()],
            subject: String::new(),
            text: String::new(),
            html: String::new(),
            attached: Vec::new(),
            thread: String::new(),
        });
        assert!(mail.checked().is_err());
    }
}
