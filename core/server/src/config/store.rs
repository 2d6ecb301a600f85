//! `[store.…]`: where copies of recordings can be kept.

use std::path::PathBuf;
use std::time::Duration;

use taimat_archive::{LOCAL, StoreKind, StoreSpec};
use taimat_base::{ChannelId, CommuneId, PluginId};
use taimat_outbound::{CommunePlaces, LockMode, ObjectLock, PlaceSpec, PlaceWay, S3Spec, Trust};
use toml_edit::Item;

use super::archive::quota;
use super::channel::reading::Reading;
use super::reader::{Reader, Section};

/// Places for copies at most.
const MAX_STORES: usize = 16;
const DAY: f64 = 86_400.0;

const FOLDER: [&str; 3] = ["folder", "quota", "check-days"];
const BACKEND: [&str; 4] = ["backend", "channel", "quota", "check-days"];
const S3: [&str; 11] = [
    "s3",
    "region",
    "bucket",
    "prefix",
    "access-key",
    "secret-key",
    "path-style",
    "lock-days",
    "lock",
    "quota",
    "check-days",
];
/// Each copy is held against its hash so often, in days: a month is what rots seldom outlasts, and reading a
/// terabyte in it is less than 400 kB a second.
const CHECK_DAYS: f64 = 30.0;

/// The places of a commune: what the archive has to know of them, and how those are reached that are not
/// folders.
#[derive(Debug)]
pub(super) struct Stores {
    pub(super) specs: Vec<StoreSpec>,
    pub(super) places: CommunePlaces,
}

/// Reads `[store]`.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    root: &Section<'a>,
    commune: &CommuneId,
    plugins: &[PluginId],
    channels: &[ChannelId],
) -> Stores {
    let mut found = Stores {
        specs: Vec::new(),
        places: CommunePlaces {
            commune: commune.clone(),
            places: Vec::new(),
        },
    };
    let Some(section) = reader.section(root, "store", "[store]".into()) else {
        return found;
    };
    for (name, item) in section.table.iter() {
        let span = item.span();
        if found.specs.len() >= MAX_STORES {
            reader.problem(span, format!("more than {MAX_STORES} stores"), "use fewer");
            break;
        }
        if name.parse::<PluginId>().is_err() || name == LOCAL {
            let shown = taimat_base::text::line(name, 64);
            let message = format!("a store can not be called {shown:?}");
            let hint = "names have a-z, 0-9 and -, and \"local\" is the disk that is recorded to";
            reader.problem(span, message, hint);
            continue;
        }
        let Some(at) = reader.section(&section, name, format!("[store.{name}]")) else {
            continue;
        };
        let has = |key: &str| at.table.get(key).is_some();
        let mut missing = Vec::new();
        let (kind, way) = if has("folder") {
            reader.only(&at, &FOLDER);
            (folder(reader, &at).map(StoreKind::Folder), None)
        } else if has("backend") {
            reader.only(&at, &BACKEND);
            (
                Some(StoreKind::Reached),
                backend(reader, &at, plugins, channels),
            )
        } else if has("s3") {
            reader.only(&at, &S3);
            let mut reading = Reading {
                reader,
                at: at.clone(),
                missing: Vec::new(),
            };
            let way = s3(&mut reading);
            missing = reading.missing;
            (Some(StoreKind::Reached), way)
        } else {
            let message = format!("{} does not say where it is", at.name);
            let hint = "folder = \"/mnt/disk\", s3 = \"https://…\", or backend and channel";
            reader.problem(at.span.clone(), message, hint);
            (None, None)
        };
        let quota = quota(reader, &at);
        let days = reader.number(&at, "check-days", 0.001..=3650.0);
        let check_every = Duration::from_secs_f64(days.unwrap_or(CHECK_DAYS) * DAY);
        found.places.places.extend(way.map(|way| PlaceSpec {
            name: name.to_owned(),
            missing,
            way,
        }));
        found.specs.extend(kind.map(|kind| StoreSpec {
            name: name.to_owned(),
            kind,
            quota,
            check_every,
        }));
    }
    found
}

fn folder<'a>(reader: &mut Reader<'a>, at: &Section<'a>) -> Option<PathBuf> {
    let path = PathBuf::from(reader.text(at, "folder")?);
    if path.is_absolute() {
        return Some(path);
    }
    let span = at.table.get("folder").and_then(Item::span);
    let message = format!("`folder` of {} has to begin with /", at.name);
    reader.problem(span, message, "folder = \"/mnt/disk\"");
    None
}

fn backend<'a>(
    reader: &mut Reader<'a>,
    at: &Section<'a>,
    plugins: &[PluginId],
    channels: &[ChannelId],
) -> Option<PlaceWay> {
    let plugin = reader.text(at, "backend")?;
    reader.required(at, "channel", "\"nas\"");
    let channel = reader.text(at, "channel")?;
    let plugin_found = plugins.iter().find(|one| one.as_str() == plugin).cloned();
    let channel_found = channels.iter().find(|one| one.as_str() == channel).cloned();
    let mut named = |key: &str, kind: &str, there: bool| {
        if !there {
            let span = at.table.get(key).and_then(Item::span);
            let message = format!("`{key}` of {}: there is no such [{kind}.…]", at.name);
            reader.problem(span, message, "it stands in the same file");
        }
    };
    named("backend", "plugin", plugin_found.is_some());
    named("channel", "channel", channel_found.is_some());
    Some(PlaceWay::Backend {
        plugin: plugin_found?,
        channel: channel_found?,
    })
}

fn s3(reading: &mut Reading<'_, '_>) -> Option<PlaceWay> {
    let at = reading.at.clone();
    let endpoint = reading.reader.text(&at, "s3")?.to_owned();
    let plain = endpoint.split_once("://").is_some_and(|(scheme, rest)| {
        matches!(scheme, "http" | "https") && !rest.is_empty() && !rest.contains(['/', '@', '?'])
    });
    if !plain {
        let span = at.table.get("s3").and_then(Item::span);
        let message = format!("`s3` of {} is no address of a server", at.name);
        let hint = "s3 = \"https://s3.example.org\", without a path and without a password";
        reading.reader.problem(span, message, hint);
    }
    reading.reader.required(&at, "bucket", "\"recordings\"");
    reading.reader.required(&at, "access-key", "\"taimat\"");
    let secret_key = reading.required_secret(&at, "secret-key");
    let reader = &mut *reading.reader;
    let days = reader.number(&at, "lock-days", 1.0..=3650.0);
    let modes = [
        ("governance", LockMode::Governance),
        ("compliance", LockMode::Compliance),
    ];
    let mode = reader.choice(&at, "lock", &modes);
    let path_style = reader.flag(&at, "path-style").unwrap_or(false);
    let bucket = reader.text(&at, "bucket")?.to_owned();
    let access_key = reader.text(&at, "access-key")?.to_owned();
    let region = reader.text(&at, "region").unwrap_or("us-east-1").to_owned();
    let prefix = reader.text(&at, "prefix").unwrap_or("").to_owned();
    Some(PlaceWay::S3(Box::new(S3Spec {
        endpoint,
        region,
        bucket,
        prefix,
        access_key,
        // One that is not there is said by the place, and nothing is signed with nothing.
        secret_key: secret_key.unwrap_or_else(|| taimat_base::Secret::new(String::new())),
        path_style,
        lock: days.map(|days| ObjectLock {
            mode: mode.unwrap_or(LockMode::Governance),
            keep: Duration::from_secs_f64(days * DAY),
        }),
        trust: Trust::System,
    })))
}
