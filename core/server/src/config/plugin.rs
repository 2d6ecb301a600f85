//! `[plugin.…]`: which components run at which cameras, with what settings, grants and limits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use taimat_base::units::{ByteSize, Span};
use taimat_base::{CameraId, CameraKey, CommuneId, PluginId};
use taimat_contract::package::PublicKey;
use taimat_sandbox::limits::LimitSettings;
use taimat_sandbox::{Grant, PluginSpec};
use toml_edit::{Item, Value};

use super::reader::{Reader, Section, key_span};
use super::secrets::stays;

/// Plugins in a commune at most.
const MAX_PLUGINS: usize = 64;

/// Reads `[plugin]`. Cameras are those that the same file names.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    section: &Section<'a>,
    commune: &CommuneId,
    cameras: &[CameraId],
    trusted_keys: &[PublicKey],
) -> Vec<PluginSpec> {
    let mut plugins = Vec::new();
    for (key, _) in section.table.iter() {
        let span = key_span(section.table, key);
        if plugins.len() >= MAX_PLUGINS {
            let hint = "one plugin can look at all cameras";
            reader.problem(span, format!("more than {MAX_PLUGINS} plugins"), hint);
            break;
        }
        let name: PluginId = match key.parse() {
            Ok(name) => name,
            Err(error) => {
                let hint = "for example [plugin.motion]";
                reader.problem(span, format!("plugin name {key:?}: {error}"), hint);
                continue;
            }
        };
        let taken = [
            taimat_events::HOUSE,
            taimat_events::LOG_ALERTER,
            taimat_events::PUSH_ALERTER,
        ];
        if taken.contains(&name.as_str()) {
            let hint = "the router itself bears this name; choose another";
            reader.problem(span, format!("plugin name {key:?} is taken"), hint);
            continue;
        }
        let Some(section) = reader.section(section, key, format!("[plugin.{key}]")) else {
            continue;
        };
        let spec = read_one(reader, &section, commune, &name, cameras);
        plugins.extend(spec.map(|spec| PluginSpec {
            trusted_keys: trusted_keys.to_vec(),
            ..spec
        }));
    }
    plugins
}

fn read_one<'a>(
    reader: &mut Reader<'a>,
    section: &Section<'a>,
    commune: &CommuneId,
    name: &PluginId,
    cameras: &[CameraId],
) -> Option<PluginSpec> {
    let known = [
        "component",
        "cameras",
        "settings",
        "camera",
        "grant",
        "limit",
        "enabled",
        // Read in `events.rs`.
        "events",
    ];
    reader.only(section, &known);
    let example = format!("\"plugins/{name}.wasm\"");
    let component = reader.required(section, "component", &example);
    let component = component.and_then(|path| {
        let inside = stays(path);
        if !inside {
            let span = section.table.get("component").and_then(Item::span);
            let message = format!("`component` of {} leads out of the folder", section.name);
            reader.problem(span, message, format!("component = {example}"));
        }
        let file = inside.then(|| reader.folder().join(path));
        file.iter().for_each(|file| reader.names(file.clone()));
        file
    });
    let cameras = read_cameras(reader, section, commune, cameras);
    let settings = read_settings(reader, section);
    let camera_settings = read_camera_settings(reader, section, &cameras, &settings);
    let grant = reader
        .section(section, "grant", format!("`grant` of {}", section.name))
        .map(|at| read_grant(reader, &at))
        .unwrap_or_default();
    let limits = reader
        .section(section, "limit", format!("`limit` of {}", section.name))
        .map(|at| read_limits(reader, &at))
        .unwrap_or_default();
    Some(PluginSpec {
        commune: commune.clone(),
        name: name.clone(),
        component: component?,
        enabled: reader.flag(section, "enabled").unwrap_or(true),
        cameras,
        settings: serde_json::Value::Object(settings).to_string(),
        camera_settings,
        // Filled in once all of the file is read.
        facts: Arc::default(),
        grant,
        limits,
        trusted_keys: Vec::new(),
    })
}

type Settings = serde_json::Map<String, serde_json::Value>;

fn read_settings(reader: &mut Reader<'_>, section: &Section<'_>) -> Settings {
    let Some(item) = section.table.get("settings") else {
        return Settings::new();
    };
    if let Some(serde_json::Value::Object(settings)) = json(item) {
        return settings;
    }
    let message = format!("`settings` of {} has to be a table", section.name);
    reader.problem(item.span(), message, "settings = { sensitivity = 0.6 }");
    Settings::new()
}

/// `[plugin.NAME.camera.CAMERA]`: each setting that it names takes the place of the plugin's.
fn read_camera_settings<'a>(
    reader: &mut Reader<'a>,
    section: &Section<'a>,
    cameras: &[CameraKey],
    settings: &Settings,
) -> BTreeMap<CameraId, String> {
    let mut own = BTreeMap::new();
    let name = section.name.trim_matches(['[', ']']).to_owned();
    let Some(all) = reader.section(section, "camera", format!("[{name}.camera]")) else {
        return own;
    };
    for (key, _) in all.table.iter() {
        let Some(camera) = cameras.iter().find(|c| c.camera.as_str() == key) else {
            let there: Vec<&str> = cameras.iter().take(5).map(|c| c.camera.as_str()).collect();
            let hint = match there.is_empty() {
                true => "it is at no camera".to_owned(),
                false => format!("it is at {}", there.join(", ")),
            };
            let message = format!("[{name}] is at no camera {key:?}");
            reader.problem(key_span(all.table, key), message, hint);
            continue;
        };
        let Some(at) = reader.section(&all, key, format!("[{name}.camera.{key}]")) else {
            continue;
        };
        reader.only(&at, &["settings"]);
        let mut merged = settings.clone();
        merged.extend(read_settings(reader, &at));
        let merged = serde_json::Value::Object(merged).to_string();
        own.insert(camera.camera.clone(), merged);
    }
    own
}

/// The cameras that the patterns name; `*` stands for any characters.
fn read_cameras<'a>(
    reader: &mut Reader<'a>,
    section: &Section<'a>,
    commune: &CommuneId,
    cameras: &[CameraId],
) -> Vec<CameraKey> {
    let patterns = match section.table.get("cameras") {
        None => vec![("*".to_owned(), None)],
        Some(item) => reader.texts(section, "cameras", item),
    };
    let mut chosen: Vec<&CameraId> = Vec::new();
    for (pattern, span) in patterns {
        let matcher = wildmatch::WildMatch::new(&pattern);
        let before = chosen.len();
        chosen.extend(cameras.iter().filter(|c| matcher.matches(c.as_str())));
        if chosen.len() == before && !cameras.is_empty() {
            let names: Vec<&str> = cameras.iter().take(5).map(CameraId::as_str).collect();
            let hint = format!(
                "there are {}; * stands for any characters",
                names.join(", ")
            );
            let message = format!("`cameras` of {}: no camera is {pattern:?}", section.name);
            reader.problem(span, message, hint);
        }
    }
    chosen.sort();
    chosen.dedup();
    let key = |camera: &CameraId| CameraKey::new(commune.clone(), camera.clone());
    chosen.into_iter().map(key).collect()
}

fn read_grant<'a>(reader: &mut Reader<'a>, at: &Section<'a>) -> Grant {
    reader.only(at, &["frames", "state", "channels"]);
    let frames = reader.section(at, "frames", format!("`frames` in {}", at.name));
    let frames = frames.and_then(|at| {
        reader.only(&at, &["width", "fps"]);
        let width = reader.number(&at, "width", 16.0..=3840.0)?;
        let fps = reader.number(&at, "fps", 0.01..=60.0)?;
        Some((width as u32, fps as f32))
    });
    let state: Option<ByteSize> = reader.parsed(at, "state", "state = \"1MiB\"");
    let channels = at.table.get("channels");
    let channels = channels.map_or(Vec::new(), |item| reader.texts(at, "channels", item));
    Grant {
        frames,
        state_bytes: state.map(|s| s.0),
        channels: channels.into_iter().map(|(name, _)| name).collect(),
    }
}

fn read_limits<'a>(reader: &mut Reader<'a>, at: &Section<'a>) -> LimitSettings {
    reader.only(
        at,
        &[
            "memory",
            "call",
            "wall",
            "cpu-share",
            "log-lines",
            "detections",
            "recycle",
        ],
    );
    let memory: Option<ByteSize> = reader.parsed(at, "memory", "memory = \"32MiB\"");
    let span = |reader: &mut Reader<'a>, key| -> Option<Duration> {
        let span: Span = reader.parsed(at, key, &format!("{key} = \"20ms\""))?;
        Some(span.0)
    };
    LimitSettings {
        memory_bytes: memory.map(|m| m.0),
        cpu: span(reader, "call"),
        wall: span(reader, "wall"),
        cpu_share: reader.number(at, "cpu-share", 0.001..=64.0),
        log_lines: reader
            .number(at, "log-lines", 0.0..=1000.0)
            .map(|n| n as u32),
        detections: reader.number(at, "detections", 1.0..=1e6).map(|n| n as u32),
        recycle: reader.number(at, "recycle", 0.0..=1e12).map(|n| n as u64),
    }
}

/// A TOML value as JSON.
fn json(item: &Item) -> Option<serde_json::Value> {
    match item {
        Item::Value(value) => value_json(value),
        Item::Table(table) => {
            let pair = |(key, item): (&str, &Item)| Some((key.to_owned(), json(item)?));
            table.iter().map(pair).collect()
        }
        Item::ArrayOfTables(tables) => {
            let one = |table: &toml_edit::Table| json(&Item::Table(table.clone()));
            tables.iter().map(one).collect()
        }
        Item::None => None,
    }
}

fn value_json(value: &Value) -> Option<serde_json::Value> {
    Some(match value {
        Value::String(text) => text.value().as_str().into(),
        Value::Integer(number) => (*number.value()).into(),
        Value::Float(number) => (*number.value()).into(),
        Value::Boolean(flag) => (*flag.value()).into(),
        Value::Datetime(time) => time.value().to_string().into(),
        Value::Array(array) => array.iter().map(value_json).collect::<Option<_>>()?,
        Value::InlineTable(table) => {
            let pair = |(key, value): (&str, &Value)| Some((key.to_owned(), value_json(value)?));
            table.iter().map(pair).collect::<Option<_>>()?
        }
    })
}
