//! `commune.toml`: what it may say, and what that means.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use taimat_archive::CommuneArchive;
use taimat_base::files::Stamp;
use taimat_base::{CameraId, ChannelId, CommuneId, Place, PluginId, Problem};
use taimat_contract::CommuneFacts;
use taimat_contract::commune::{CameraFacts, Date, TargetFacts};
use taimat_contract::package::PublicKey;
use taimat_events::CommuneAlerts;
use taimat_outbound::{CommuneChannels, CommunePlaces};
use taimat_sandbox::PluginSpec;
use toml_edit::{Document, Item, Table};

use super::alerts;
use super::archive;
use super::camera::{self, Camera};
use super::channel;
use super::events::{self, EventSettings};
use super::reader::{Origin, Reader, Section};
use super::secrets::SecretPlaces;
use super::store;

/// A commune as its folder says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Commune {
    /// Its name in URLs: the folder's.
    pub id: CommuneId,
    /// Its name for people.
    pub name: String,
    /// Its time zone's IANA name.
    pub time_zone: String,
    /// Its cameras, in the file's order.
    pub cameras: Vec<Camera>,
    /// Its plugins.
    pub plugins: Vec<PluginSpec>,
    /// What it says about events.
    pub events: EventSettings,
    /// Its channels, in the file's order.
    pub channels: CommuneChannels,
    /// What is recorded, and how long it is kept.
    pub archive: CommuneArchive,
    /// How places for copies are reached.
    pub places: CommunePlaces,
}

/// Files that a commune's file names, as they were when it was read.
pub(crate) type Named = BTreeMap<PathBuf, Option<Stamp>>;

/// Reads a commune's file. Returns everything that is wrong with it, not the first only. Secrets that the operator
/// keeps elsewhere are looked for where systemd puts them.
pub fn parse(id: CommuneId, file: &Path, text: &str) -> Result<Commune, Vec<Problem>> {
    let origin = Origin {
        file,
        commune: &id,
        secrets: &SecretPlaces::new(None),
    };
    parse_named(origin, text).0
}

/// As [`parse`], and the other files that it names, also if something is wrong with it.
pub(crate) fn parse_named(
    origin: Origin<'_>,
    text: &str,
) -> (Result<Commune, Vec<Problem>>, Named) {
    let document = Document::parse(text);
    let mut reader = Reader::new(origin, text);
    let said = match &document {
        Ok(document) => Some(read(&mut reader, origin.commune, document.as_table())),
        Err(error) => {
            let first = error.message().lines().next().unwrap_or("").to_owned();
            let hint = "see https://toml.io";
            reader.problem(error.span(), format!("not TOML: {first}"), hint);
            None
        }
    };
    let mut problems = std::mem::take(&mut reader.problems);
    problems.sort();
    let commune = match said {
        Some(commune) if problems.is_empty() => Ok(commune),
        _ => Err(problems),
    };
    (commune, reader.files)
}

/// What the file says, as far as it can be read; everything that is wrong with it is in the reader.
fn read<'a>(reader: &mut Reader<'a>, id: &CommuneId, table: &'a Table) -> Commune {
    let root = Section {
        table,
        name: "the file".into(),
        span: None,
    };
    let known = [
        "commune", "camera", "plugin", "events", "channel", "target", "rule", "archive", "store",
    ];
    reader.only(&root, &known);
    let about = reader.section(&root, "commune", "[commune]".into());
    let mut said = About::default();
    match about {
        Some(section) => said = read_about(reader, &section),
        None if root.table.get("commune").is_none() => {
            let hint = "begin with [commune] and name = \"Phường Hòa Lạc\"";
            reader.problem(None, "there is no [commune]", hint);
        }
        None => {}
    }
    let cameras = match reader.section(&root, "camera", "[camera]".into()) {
        Some(section) => camera::read(reader, &section, id),
        None => Vec::new(),
    };
    let ids: Vec<CameraId> = cameras.iter().map(|c| c.id.clone()).collect();
    let plugins = match reader.section(&root, "plugin", "[plugin]".into()) {
        Some(section) => super::plugin::read(reader, &section, id, &ids, &said.keys),
        None => Vec::new(),
    };
    let mut events = events::read(reader, &root, id);
    let alerts = &events.events.alerts;
    let facts = Arc::new(facts(&said, &cameras, alerts::facts(&alerts.targets)));
    events.events.alerts = Arc::new(CommuneAlerts {
        facts: Arc::clone(&facts),
        ..(**alerts).clone()
    });
    let known = |spec| PluginSpec {
        facts: Arc::clone(&facts),
        ..spec
    };
    let plugins: Vec<PluginSpec> = plugins.into_iter().map(known).collect();
    let channels = channel::read(reader, &root, id, &cameras);
    granted_channels(reader, &root, &plugins, &channels);
    let names: Vec<PluginId> = plugins.iter().map(|plugin| plugin.name.clone()).collect();
    let policy = events.events.alerts.policy.clone();
    let recorded = archive::read(reader, &root, id, &cameras, &names, policy);
    let ids: Vec<ChannelId> = channels.channels.iter().map(|c| c.id.clone()).collect();
    let stores = store::read(reader, &root, id, &names, &ids);
    let archive = CommuneArchive {
        facts: Arc::clone(&facts),
        stores: stores.specs,
        said: archive::said(&root, recorded.storage.as_ref()),
        ..recorded
    };
    Commune {
        id: id.clone(),
        name: said.name,
        time_zone: said.zone,
        cameras,
        plugins,
        events,
        channels,
        archive,
        places: stores.places,
    }
}

/// A channel that is granted has to be there.
fn granted_channels(
    reader: &mut Reader<'_>,
    root: &Section<'_>,
    plugins: &[PluginSpec],
    channels: &CommuneChannels,
) {
    for plugin in plugins {
        let own = root
            .table
            .get("plugin")
            .and_then(|all| all.get(plugin.name.as_str()));
        let span = own.and_then(|own| own.get("grant")?.get("channels")?.span());
        for name in &plugin.grant.channels {
            if channels
                .channels
                .iter()
                .all(|there| there.id.as_str() != name)
            {
                let shown = taimat_base::text::line(name, 64);
                let message = format!(
                    "`channels` in `grant` of [plugin.{}]: there is no [channel.{shown}]",
                    plugin.name
                );
                let hint = "channels stand in the same file, as [channel.NAME]";
                reader.problem(span.clone(), message, hint);
            }
        }
    }
}

/// What plugins may know of the commune.
fn facts(said: &About, cameras: &[Camera], targets: Vec<TargetFacts>) -> CommuneFacts {
    let camera = |camera: &Camera| CameraFacts {
        name: camera.id.clone(),
        title: camera.title.clone(),
        tags: camera.tags.clone(),
        owner: String::new(),
        zones: camera.zones.clone(),
    };
    CommuneFacts {
        title: said.name.clone(),
        language: said.language.clone(),
        time_zone: said.zone.clone(),
        holidays: said.holidays.clone(),
        cameras: cameras.iter().map(camera).collect(),
        targets,
    }
}

/// What `[commune]` says.
#[derive(Default)]
struct About {
    name: String,
    zone: String,
    language: String,
    holidays: Vec<Date>,
    keys: Vec<PublicKey>,
}

fn read_about<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> About {
    let known = ["name", "time-zone", "language", "holidays", "trusted-keys"];
    reader.only(section, &known);
    let name = reader
        .required(section, "name", "\"Phường Hòa Lạc\"")
        .unwrap_or("");
    let zone = reader
        .text(section, "time-zone")
        .unwrap_or("Asia/Ho_Chi_Minh");
    let part = |p: &str| {
        !p.is_empty()
            && p.chars()
                .all(|c| c.is_ascii_alphanumeric() || "_+-".contains(c))
    };
    let known = zone.split('/').all(part) && jiff::tz::TimeZone::get(zone).is_ok();
    if !known {
        let span = section.table.get("time-zone").and_then(Item::span);
        let hint = "an IANA name such as \"Asia/Ho_Chi_Minh\"";
        reader.problem(span, format!("time-zone {zone:?} is not a time zone"), hint);
    }
    let keys = section.table.get("trusted-keys");
    let keys = keys.map_or(Vec::new(), |item| {
        reader.texts(section, "trusted-keys", item)
    });
    let mut trusted = Vec::new();
    for (text, span) in keys {
        match text.parse() {
            Ok(key) => trusted.push(key),
            Err(error) => {
                let hint = "as `taimat plugin keygen` shows it";
                reader.problem(span, format!("trusted key {text:?}: {error}"), hint);
            }
        }
    }
    About {
        name: name.to_owned(),
        zone: zone.to_owned(),
        language: read_language(reader, section),
        holidays: read_holidays(reader, section),
        keys: trusted,
    }
}

/// The language in which people are told, as BCP 47 has it.
fn read_language<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> String {
    let language = reader.text(section, "language").unwrap_or("vi");
    let part = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    if !language.split('-').all(part) {
        let span = section.table.get("language").and_then(Item::span);
        let message = format!("language {language:?} is not a language");
        reader.problem(span, message, "such as \"vi\" or \"en\"");
    }
    language.to_owned()
}

/// Days on which people do not work.
fn read_holidays<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> Vec<Date> {
    let Some(item) = section.table.get("holidays") else {
        return Vec::new();
    };
    let mut holidays = Vec::new();
    for (text, span) in reader.texts(section, "holidays", item) {
        match text.parse::<jiff::civil::Date>() {
            Ok(day) if text.len() == 10 => holidays.push(Date {
                year: day.year(),
                month: day.month(),
                day: day.day(),
            }),
            _ => {
                let message = format!("holiday {text:?} is not a day");
                reader.problem(span, message, "holidays = [\"2027-02-06\"]");
            }
        }
    }
    holidays
}

/// Where a commune's file names a plugin's component.
pub fn place_of_component(file: &Path, text: &str, plugin: &PluginId) -> Place {
    let document = Document::parse(text).ok();
    let span = document.as_ref().and_then(|document| {
        let own = document.as_item().get("plugin")?.get(plugin.as_str())?;
        own.get("component").and_then(Item::span)
    });
    match span {
        Some(span) => Place::at(file, text, span.start),
        None => Place::file(file),
    }
}

/// Where a setting of a plugin stands in a commune's file, or the nearest that is there: the way to it is
/// that of a plugin's settings, at a camera if it has its own there.
pub fn place_of_setting(
    file: &Path,
    text: &str,
    plugin: &PluginId,
    camera: Option<&CameraId>,
    setting: &[String],
) -> Place {
    let Ok(document) = Document::parse(text) else {
        return Place::file(file);
    };
    let root = document.as_item();
    let own = root.get("plugin").and_then(|all| all.get(plugin.as_str()));
    let at_camera = camera.and_then(|camera| own?.get("camera")?.get(camera.as_str()));
    let mut nearest = own.and_then(Item::span);
    let mut deepest = 0;
    for section in [own, at_camera].into_iter().flatten() {
        let Some(mut item) = section.get("settings") else {
            continue;
        };
        let mut depth = 1;
        for part in setting {
            let within = match part.parse::<usize>() {
                Ok(index) if item.is_array() || item.is_array_of_tables() => item.get(index),
                _ => item.get(part.as_str()),
            };
            let Some(within) = within else { break };
            (item, depth) = (within, depth + 1);
        }
        // What the camera has stands in front of what the plugin has everywhere.
        if depth >= deepest && item.span().is_some() {
            (nearest, deepest) = (item.span(), depth);
        }
    }
    match nearest {
        Some(span) => Place::at(file, text, span.start),
        None => Place::file(file),
    }
}

/// The fuzz harness of this parser: any bytes, no panic.
pub fn fuzz(bytes: &[u8]) {
    let Ok(id) = "fuzz".parse() else { return };
    if let Ok(text) = std::str::from_utf8(bytes) {
        drop(parse(id, Path::new("commune.toml"), text));
    }
}

#[cfg(test)]
mod tests;
