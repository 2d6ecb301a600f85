//! `[channel.…]`: what carries messages out of the house. The address's scheme says which kind it is,
//! and with it which settings there are.

mod http;
mod mail;
mod mqtt;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;

use taimat_base::{ChannelId, CommuneId, Secret, files, text};
use taimat_outbound::{Address, ChannelSpec, CommuneChannels, Login, Rate, Trust, Way};
use toml_edit::{Item, TableLike};

use super::camera::{Camera, named};
use super::reader::{Reader, Section, key_span};

/// Channels in a commune at most: each may keep a connection up.
const MAX_CHANNELS: usize = 256;
/// Secrets of a channel at most.
const MAX_SECRETS: usize = 32;
const MAX_PEM_BYTES: u64 = 1 << 20;
const SECRET_HINT: &str = "{ env = \"NAME\" } or { file = \"…\" }; never in clear";
const URL_HINT: &str = "for example \"https://api.example.org/hook\"";
const COMMON: [&str; 4] = ["url", "secrets", "rate", "ca"];

/// Reads `[channel]`.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    root: &Section<'a>,
    commune: &CommuneId,
    cameras: &[Camera],
) -> CommuneChannels {
    let mut channels = Vec::new();
    let section = reader.section(root, "channel", "[channel]".into());
    for (key, _) in section.iter().flat_map(|section| section.table.iter()) {
        let Some(section) = &section else { break };
        let span = key_span(section.table, key);
        if channels.len() >= MAX_CHANNELS {
            let hint = "several targets may share a channel";
            reader.problem(span, format!("more than {MAX_CHANNELS} channels"), hint);
            break;
        }
        let id: ChannelId = match key.parse() {
            Ok(id) => id,
            Err(error) => {
                let shown = text::line(key, 40);
                let hint = "for example [channel.telegram]";
                reader.problem(span, format!("channel name {shown:?}: {error}"), hint);
                continue;
            }
        };
        let name = format!("[channel.{id}]");
        if let Some(section) = reader.section(section, key, name) {
            channels.extend(channel(reader, &section, commune, id));
        }
    }
    let hosts = cameras.iter().flat_map(|camera| &camera.sources);
    let hosts = hosts.filter_map(|source| source.url.reveal().host_str());
    let numbers = hosts.filter_map(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
    CommuneChannels {
        commune: commune.clone(),
        channels,
        cameras: numbers.map(|ip| ip.to_canonical()).collect(),
    }
}

/// A channel's section, and what of it is not there.
struct Reading<'r, 'a> {
    reader: &'r mut Reader<'a>,
    at: Section<'a>,
    missing: Vec<String>,
}

fn channel<'a>(
    reader: &mut Reader<'a>,
    section: &Section<'a>,
    commune: &CommuneId,
    id: ChannelId,
) -> Option<ChannelSpec> {
    reader.required(section, "url", "\"https://api.example.org/hook\"");
    let address: Address = reader.parsed(section, "url", URL_HINT)?;
    let mut reading = Reading {
        reader,
        at: section.clone(),
        missing: Vec::new(),
    };
    let own: &[&str] = match address.scheme() {
        "http" | "https" => &http::SETTINGS,
        "mqtt" | "mqtts" => &mqtt::SETTINGS,
        "smtp" | "smtps" => &mail::SETTINGS,
        _ => &[],
    };
    let known: Vec<&str> = COMMON.iter().chain(own).copied().collect();
    reading.reader.only(section, &known);
    let secrets = reading.secrets();
    let span = section.table.get("url").and_then(Item::span);
    let given = section.table.get("secrets").and_then(Item::as_table_like);
    for place in address.names() {
        if given.is_none_or(|given| !given.contains_key(place)) {
            let message = format!(
                "`url` of {} has a place for a secret that is not given",
                section.name
            );
            let hint = format!("secrets = {{ {place} = {{ env = \"…\" }} }}");
            reading.reader.problem(span.clone(), message, hint);
        }
    }
    let rate = reading.rate();
    let trust = match reading.pem(&section.clone(), "ca") {
        Some(pem) => Trust::Authorities(pem),
        None => Trust::System,
    };
    let way = match address.scheme() {
        "http" | "https" => Way::Http(Box::new(reading.http())),
        "mqtt" | "mqtts" => Way::Mqtt(reading.mqtt(commune, &id)),
        "smtp" | "smtps" => Way::Mail(reading.mail(address.is_tls())?),
        _ => Way::Wire,
    };
    Some(ChannelSpec {
        id,
        address,
        secrets,
        missing: reading.missing,
        rate,
        trust,
        way,
    })
}

impl<'a> Reading<'_, 'a> {
    /// A secret. One that is not there is no mistake of the file: the channel says so.
    fn secret(&mut self, at: &Section<'a>, key: &str) -> Option<Secret> {
        let item = at.table.get(key)?;
        let table = item.as_table_like();
        self.read_secret(table, item.span(), &format!("`{key}` of {}", at.name))
    }

    fn read_secret(
        &mut self,
        table: Option<&'a dyn TableLike>,
        span: Option<std::ops::Range<usize>>,
        name: &str,
    ) -> Option<Secret> {
        let Some(table) = table else {
            // It does not say what stands there: it may be the secret.
            let message = format!("{name} is written in clear, or is no secret");
            self.reader.problem(span, message, SECRET_HINT);
            return None;
        };
        let at = Section {
            table,
            name: name.to_owned(),
            span: span.clone(),
        };
        self.reader.only(&at, &["env", "file"]);
        match named(self.reader, &at) {
            Some(Ok(secret)) if !secret.reveal().is_empty() => return Some(secret),
            Some(Ok(_)) => self.missing.push(format!("{name} is empty")),
            Some(Err(missing)) => self.missing.push(missing),
            None => {
                let message = format!("{name} has to name one source");
                self.reader.problem(span, message, SECRET_HINT);
            }
        }
        None
    }

    /// A secret that has to be there.
    fn required_secret(&mut self, at: &Section<'a>, key: &str) -> Option<Secret> {
        if at.table.get(key).is_none() {
            let message = format!("{} has no `{key}`", at.name);
            let hint = format!("{key} = {SECRET_HINT}");
            self.reader.problem(at.span.clone(), message, hint);
        }
        self.secret(at, key)
    }

    fn within(&mut self, key: &str, known: &[&str]) -> Option<Section<'a>> {
        let name = format!("`{key}` of {}", self.at.name);
        let section = self.reader.section(&self.at.clone(), key, name)?;
        self.reader.only(&section, known);
        Some(section)
    }

    fn secrets(&mut self) -> BTreeMap<String, Secret> {
        let mut secrets = BTreeMap::new();
        let name = format!("`secrets` of {}", self.at.name);
        let Some(section) = self.reader.section(&self.at.clone(), "secrets", name) else {
            return secrets;
        };
        for (key, _) in section.table.iter() {
            let span = key_span(section.table, key);
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
            if secrets.len() >= MAX_SECRETS {
                let message = format!("more than {MAX_SECRETS} secrets of {}", self.at.name);
                self.reader
                    .problem(span, message, "spread them over several channels");
                break;
            }
            if key.is_empty() || key.len() > 64 || !key.chars().all(fits) {
                let message = format!("a secret's name in {} can not be used", self.at.name);
                self.reader
                    .problem(span, message, "a-z, 0-9, - and _, at most 64");
                continue;
            }
            let secret = self.secret(&section, key);
            secrets.extend(secret.map(|secret| (key.to_owned(), secret)));
        }
        secrets
    }

    fn rate(&mut self) -> Rate {
        let usual = Rate::default();
        let Some(at) = self.within("rate", &["per-minute", "burst"]) else {
            return usual;
        };
        let per_minute = self.reader.number(&at, "per-minute", 0.1..=6000.0);
        let burst = self.reader.number(&at, "burst", 1.0..=1000.0);
        Rate {
            per_minute: per_minute.unwrap_or(usual.per_minute),
            burst: burst.unwrap_or(usual.burst),
        }
    }

    /// Certificates in a file of the commune's. One that is not there makes the channel say so.
    fn pem(&mut self, at: &Section<'a>, key: &str) -> Option<Vec<u8>> {
        let file = self.reader.text(at, key)?;
        let path = self.reader.folder().join(file);
        let read = files::read_at_most(&path, MAX_PEM_BYTES);
        let read = read.map_err(|error| format!("file {file} can not be read: {error}"));
        read.map_err(|missing| self.missing.push(missing)).ok()
    }

    fn login(&mut self) -> Option<Login> {
        let at = self.at.clone();
        let user = self.reader.text(&at, "user");
        match (user, at.table.get("password").is_some()) {
            (None, false) => None,
            (Some(user), true) => Some(Login {
                user: user.to_owned(),
                password: self.secret(&at, "password")?,
            }),
            (user, _) => {
                let (has, not) = match user {
                    Some(_) => ("user", "password"),
                    None => ("password", "user"),
                };
                let message = format!("{} has a {has} and no {not}", at.name);
                self.reader.problem(at.span, message, "write both, or none");
                None
            }
        }
    }

    /// One line of so many bytes.
    fn word(&mut self, at: &Section<'a>, key: &str, most: usize) -> Option<String> {
        let text = self.reader.text(at, key)?;
        if text.is_empty() || text.len() > most || text.chars().any(char::is_control) {
            let span = at.table.get(key).and_then(Item::span);
            let message = format!("`{key}` of {} can not be used", at.name);
            let hint = format!("one line of 1 to {most} bytes");
            self.reader.problem(span, message, hint);
            return None;
        }
        Some(text.to_owned())
    }
}
