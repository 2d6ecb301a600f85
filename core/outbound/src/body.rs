//! Bodies: pieces of text, secrets and media, as content, as a form, percent-encoded.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rand::RngExt as _;
use taimat_base::Secret;
use taimat_contract::message::{Body, Chunk, Field, Media, MediaKind};

use crate::failure::{Failure, Outcome};

/// With pictures and clips.
pub(crate) const MAX_BYTES: usize = 20 << 20;
/// A picture is made sooner than this; so is a clip.
const MEDIA: Duration = Duration::from_secs(10);
/// RFC 3986 section 2.3: these need no escape in a form.
const FORM: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Where a secret is put, which says how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Within {
    /// Inside a text of JSON.
    Json,
    /// In a value of `application/x-www-form-urlencoded`.
    Form,
    /// As it is.
    Plain,
}

/// Puts pieces together: what is there for them, and how much room is left.
#[derive(Debug)]
pub(crate) struct Filler<'a> {
    secrets: &'a BTreeMap<String, Secret>,
    media: &'a dyn taimat_contract::channel::MediaSource,
    left: usize,
}

/// A body and its type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    pub(crate) bytes: Vec<u8>,
    /// None if there is no body, or the plugin has said it.
    pub(crate) content_type: Option<String>,
}

impl<'a> Filler<'a> {
    pub(crate) fn new(
        secrets: &'a BTreeMap<String, Secret>,
        media: &'a dyn taimat_contract::channel::MediaSource,
    ) -> Self {
        Self {
            secrets,
            media,
            left: MAX_BYTES,
        }
    }

    /// A request's body. `said` is the type that the plugin gave.
    pub(crate) async fn body(
        &mut self,
        body: &Body,
        said: Option<&str>,
    ) -> Result<Filled, Failure> {
        match body {
            Body::Content(chunks) if chunks.is_empty() => Ok(Filled {
                bytes: Vec::new(),
                content_type: None,
            }),
            Body::Content(chunks) => {
                let within = within(said, chunks);
                let bytes = self.content(chunks, within).await?;
                let content_type = said.is_none().then(|| usual(chunks, within));
                Ok(Filled {
                    bytes,
                    content_type,
                })
            }
            Body::Form(fields) => {
                let boundary = format!("taimat-{:032x}", rand::rng().random::<u128>());
                let bytes = self.form(fields, &boundary).await?;
                // The boundary is ours, so the type is too.
                let content_type = Some(format!("multipart/form-data; boundary={boundary}"));
                Ok(Filled {
                    bytes,
                    content_type,
                })
            }
            Body::Urlencoded(fields) => Ok(Filled {
                bytes: self.urlencoded(fields).await?,
                content_type: Some("application/x-www-form-urlencoded".into()),
            }),
        }
    }

    /// Pieces, one after the other.
    pub(crate) async fn content(
        &mut self,
        chunks: &[Chunk],
        within: Within,
    ) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        for chunk in chunks {
            match chunk {
                Chunk::Text(text) => self.put(&mut bytes, text.as_bytes())?,
                Chunk::Bytes(raw) => self.put(&mut bytes, raw)?,
                Chunk::Media(media) => {
                    let media = self.media(media).await?;
                    self.put(&mut bytes, &media)?;
                }
                Chunk::MediaBase64(media) => {
                    let media = STANDARD.encode(self.media(media).await?);
                    self.put(&mut bytes, media.as_bytes())?;
                }
                Chunk::Secret(name) => {
                    let secret = self.secret(name, within)?;
                    self.put(&mut bytes, secret.as_bytes())?;
                }
            }
        }
        Ok(bytes)
    }

    fn put(&mut self, bytes: &mut Vec<u8>, more: &[u8]) -> Result<(), Failure> {
        let large = || Failure::new(Outcome::Unfit, "the message is larger than 20 MiB");
        self.left = self.left.checked_sub(more.len()).ok_or_else(large)?;
        bytes.extend_from_slice(more);
        Ok(())
    }

    pub(crate) async fn media(&self, media: &Media) -> Result<Vec<u8>, Failure> {
        let what = match media.kind {
            MediaKind::Picture => "picture",
            MediaKind::Clip => "clip",
        };
        let late = |_| Failure::new(Outcome::Unfit, format!("the {what} does not come"));
        let found = tokio::time::timeout(MEDIA, self.media.media(media)).await;
        found
            .map_err(late)?
            .ok_or_else(|| Failure::new(Outcome::Unfit, format!("the {what} is not there")))
    }

    fn secret(&self, name: &str, within: Within) -> Result<String, Failure> {
        let missing = || {
            let text = format!("the channel has no secret {name:?}");
            Failure::new(Outcome::Unready, text)
        };
        let secret = self.secrets.get(name).ok_or_else(missing)?.reveal();
        Ok(match within {
            Within::Plain => secret.to_owned(),
            Within::Form => utf8_percent_encode(secret, FORM).to_string(),
            Within::Json => {
                let text = serde_json::Value::from(secret).to_string();
                let inside = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
                inside.unwrap_or("").to_owned()
            }
        })
    }

    async fn form(&mut self, fields: &[Field], boundary: &str) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        for field in fields {
            let mut head = format!(
                "--{boundary}\r\ncontent-disposition: form-data; name=\"{}\"",
                quoted(&field.name)
            );
            let medium = field.content.iter().find_map(medium_of);
            if !field.file_name.is_empty() {
                head += &format!("; filename=\"{}\"", quoted(&field.file_name));
            } else if let Some(medium) = medium {
                // Servers take it for a file by its name.
                head += &format!("; filename=\"{}\"", file_name(medium));
            }
            let content_type = match medium {
                _ if !field.content_type.is_empty() => field.content_type.as_str(),
                Some(medium) => media_type(medium),
                None => "",
            };
            if !content_type.is_empty() {
                head += &format!("\r\ncontent-type: {}", one_line(content_type));
            }
            head += "\r\n\r\n";
            self.put(&mut bytes, head.as_bytes())?;
            let within = match content_type {
                "" => Within::Plain,
                said => within(Some(said), &field.content),
            };
            let content = self.content(&field.content, within).await?;
            // It was counted as it was made.
            bytes.extend(content);
            self.put(&mut bytes, b"\r\n")?;
        }
        self.put(&mut bytes, format!("--{boundary}--\r\n").as_bytes())?;
        Ok(bytes)
    }

    async fn urlencoded(&mut self, fields: &[Field]) -> Result<Vec<u8>, Failure> {
        let mut text = String::new();
        for field in fields {
            let value = self.content(&field.content, Within::Plain).await?;
            if !text.is_empty() {
                text.push('&');
            }
            text.extend(utf8_percent_encode(&field.name, FORM));
            text.push('=');
            text.extend(percent_encoding::percent_encode(&value, FORM));
        }
        Ok(text.into_bytes())
    }
}

/// How a secret is written among these pieces.
pub(crate) fn within(said: Option<&str>, chunks: &[Chunk]) -> Within {
    let essence = said.map(|said| {
        said.split(';')
            .next()
            .unwrap_or("")
            .trim()
            .to_ascii_lowercase()
    });
    match essence.as_deref() {
        Some("application/x-www-form-urlencoded") => Within::Form,
        Some(json) if json == "application/json" || json.ends_with("+json") => Within::Json,
        Some(_) => Within::Plain,
        None => match chunks.first() {
            Some(Chunk::Text(text)) if text.trim_start().starts_with(['{', '[']) => Within::Json,
            _ => Within::Plain,
        },
    }
}

/// The type of pieces if the plugin says none.
fn usual(chunks: &[Chunk], within: Within) -> String {
    match chunks {
        _ if within == Within::Json => "application/json".into(),
        [Chunk::Media(media)] => media_type(media).into(),
        [Chunk::Bytes(_)] => "application/octet-stream".into(),
        _ => "text/plain; charset=utf-8".into(),
    }
}

fn medium_of(chunk: &Chunk) -> Option<&Media> {
    match chunk {
        Chunk::Media(media) => Some(media),
        _ => None,
    }
}

pub(crate) fn media_type(media: &Media) -> &'static str {
    match media.kind {
        MediaKind::Picture => "image/jpeg",
        MediaKind::Clip => "video/mp4",
    }
}

fn file_name(media: &Media) -> &'static str {
    match media.kind {
        MediaKind::Picture => "picture.jpg",
        MediaKind::Clip => "clip.mp4",
    }
}

/// As browsers write names in forms (HTML, "multipart/form-data encoding algorithm").
fn quoted(text: &str) -> String {
    text.replace('"', "%22")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests;
