//! `[channel.…]`: what carries messages out of the house. The address's scheme says which kind it is,
//! and with it which settings there are.

mod http;
mod mail;
mod mqtt;
pub(super) mod reading;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use taimat_base::{ChannelId, CommuneId, text};
use taimat_outbound::{Address, ChannelSpec, CommuneChannels, Trust, Way};
use toml_edit::Item;

use reading::{Reading, URL_HINT};

use super::camera::Camera;
use super::reader::{Reader, Section, key_span};

/// Channels in a commune at most: each may keep a connection up.
const MAX_CHANNELS: usize = 256;
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
