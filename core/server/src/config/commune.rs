//! `commune.toml`: what it may say, and what that means.

use std::path::{Path, PathBuf};
use std::time::Duration;

use taimat_base::redact::SourceUrl;
use taimat_base::units::Span;
use taimat_base::{CameraId, CameraKey, CommuneId, Problem, Profile, Secret};
use taimat_contract::package::PublicKey;
use taimat_hub::{ChannelKey, Limits};
use taimat_ingest::{Credentials, Mode, SourceSpec, Transport};
use taimat_sandbox::PluginSpec;
use toml_edit::{Document, Item};
use url::Url;

use super::reader::{Reader, Section, key_span};

/// Cameras in a commune at most: a file with more was not written for this.
const MAX_CAMERAS: usize = 2000;

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
}

/// A camera as the file says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Camera {
    /// Its name in URLs.
    pub id: CameraId,
    /// Its name for people.
    pub title: String,
    /// What `ingest` has to run.
    pub sources: Vec<SourceSpec>,
}

/// Reads a commune's file. Returns everything that is wrong with it, not the first only.
pub fn parse(id: CommuneId, file: &Path, text: &str) -> Result<Commune, Vec<Problem>> {
    let mut reader = Reader::new(file, text);
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let first = error.message().lines().next().unwrap_or("").to_owned();
            reader.problem(
                error.span(),
                format!("not TOML: {first}"),
                "see https://toml.io",
            );
            return Err(reader.problems);
        }
    };
    let root = Section {
        table: document.as_table(),
        name: "the file".into(),
        span: None,
    };
    reader.only(&root, &["commune", "camera", "plugin"]);
    let about = reader.section(&root, "commune", "[commune]".into());
    let (mut name, mut zone, mut keys) = (String::new(), String::new(), Vec::new());
    match about {
        Some(section) => (name, zone, keys) = read_about(&mut reader, &section),
        None if root.table.get("commune").is_none() => {
            let hint = "begin with [commune] and name = \"Phường Hòa Lạc\"";
            reader.problem(None, "there is no [commune]", hint);
        }
        None => {}
    }
    let cameras = match reader.section(&root, "camera", "[camera]".into()) {
        Some(section) => read_cameras(&mut reader, &section, &id),
        None => Vec::new(),
    };
    let ids: Vec<CameraId> = cameras.iter().map(|c| c.id.clone()).collect();
    let plugins = match reader.section(&root, "plugin", "[plugin]".into()) {
        Some(section) => super::plugin::read(&mut reader, &section, &id, &ids, &keys),
        None => Vec::new(),
    };
    if reader.problems.is_empty() {
        Ok(Commune {
            id,
            name,
            time_zone: zone,
            cameras,
            plugins,
        })
    } else {
        reader.problems.sort();
        Err(reader.problems)
    }
}

fn read_about<'a>(
    reader: &mut Reader<'a>,
    section: &Section<'a>,
) -> (String, String, Vec<PublicKey>) {
    reader.only(section, &["name", "time-zone", "trusted-keys"]);
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
    if !zone.split('/').all(part) {
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
    (name.to_owned(), zone.to_owned(), trusted)
}

fn read_cameras<'a>(
    reader: &mut Reader<'a>,
    section: &Section<'a>,
    commune: &CommuneId,
) -> Vec<Camera> {
    let mut cameras = Vec::new();
    for (key, _) in section.table.iter() {
        let span = key_span(section.table, key);
        if cameras.len() >= MAX_CAMERAS {
            let hint = "spread them over several communes";
            reader.problem(span, format!("more than {MAX_CAMERAS} cameras"), hint);
            break;
        }
        let id: CameraId = match key.parse() {
            Ok(id) => id,
            Err(error) => {
                let hint = "for example [camera.nguyen-du-1]";
                reader.problem(span, format!("camera name {key:?}: {error}"), hint);
                continue;
            }
        };
        let name = format!("[camera.{id}]");
        if let Some(section) = reader.section(section, key, name) {
            cameras.extend(read_camera(reader, &section, commune, id));
        }
    }
    cameras
}

fn read_camera<'a>(
    reader: &mut Reader<'a>,
    section: &Section<'a>,
    commune: &CommuneId,
    id: CameraId,
) -> Option<Camera> {
    reader.only(
        section,
        &[
            "title",
            "main",
            "sub",
            "user",
            "password",
            "transport",
            "run",
            "linger",
            "audio",
            "connect-timeout",
            "stall-timeout",
        ],
    );
    let title = reader
        .text(section, "title")
        .unwrap_or(id.as_str())
        .to_owned();
    reader.required(section, "main", "\"rtsp://192.0.2.11/main\"");
    let main = read_url(reader, section, "main");
    let sub = read_url(reader, section, "sub");
    let credentials = read_credentials(reader, section);
    let transport = reader
        .choice(
            section,
            "transport",
            &[("tcp", Transport::Tcp), ("udp", Transport::Udp)],
        )
        .unwrap_or_default();
    let linger = duration(reader, section, "linger").unwrap_or(Duration::from_secs(10));
    let on_demand = Mode::OnDemand { linger };
    let mode = reader
        .choice(
            section,
            "run",
            &[("always", Mode::Always), ("on-demand", on_demand)],
        )
        .unwrap_or(Mode::Always);
    let audio = reader.flag(section, "audio").unwrap_or(false);
    let connect_timeout =
        duration(reader, section, "connect-timeout").unwrap_or(Duration::from_secs(5));
    let stall_timeout =
        duration(reader, section, "stall-timeout").unwrap_or(Duration::from_secs(4));
    let source = |profile, url| SourceSpec {
        key: ChannelKey::new(CameraKey::new(commune.clone(), id.clone()), profile),
        url,
        credentials: credentials.clone(),
        transport,
        mode,
        connect_timeout,
        stall_timeout,
        audio,
        limits: Limits::default(),
    };
    let mut sources = vec![source(Profile::Main, main?)];
    sources.extend(sub.map(|url| source(Profile::Sub, url)));
    Some(Camera { id, title, sources })
}

fn duration<'a>(reader: &mut Reader<'a>, section: &Section<'a>, key: &str) -> Option<Duration> {
    const LONGEST: Duration = Duration::from_secs(3600);
    let Span(value) = reader.parsed(section, key, &format!("{key} = \"5s\""))?;
    if value.is_zero() || value > LONGEST {
        let span = section.table.get(key).and_then(Item::span);
        let message = format!("`{key}` of {} has to be between 1ms and 1h", section.name);
        reader.problem(span, message, format!("{key} = \"5s\""));
        return None;
    }
    Some(value)
}

fn read_url<'a>(reader: &mut Reader<'a>, section: &Section<'a>, key: &str) -> Option<SourceUrl> {
    let url: Url = reader.parsed(section, key, "for example \"rtsp://192.0.2.11/main\"")?;
    let span = section.table.get(key).and_then(Item::span);
    if url.scheme() != "rtsp" {
        let message = format!("`{key}` of {} has scheme {:?}", section.name, url.scheme());
        reader.problem(span, message, "cameras are reached by rtsp://");
        return None;
    }
    if url.host_str().is_none_or(str::is_empty) {
        let message = format!("`{key}` of {} names no host", section.name);
        reader.problem(span, message, "for example \"rtsp://192.0.2.11/main\"");
        return None;
    }
    if !url.username().is_empty() || url.password().is_some() {
        let message = format!("`{key}` of {} has credentials in it", section.name);
        let hint = "write user = \"…\" and password = { env = \"…\" } instead";
        reader.problem(span, message, hint);
        return None;
    }
    Some(SourceUrl::new(url))
}

/// `user` and `password`. A secret that is not there is not a mistake in the file: the camera says
/// so, and the rest runs.
fn read_credentials<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> Credentials {
    const HINT: &str = "password = { env = \"CAMERA_PASSWORD\" } or { file = \"…\" }";
    let user = reader.text(section, "user");
    let item = section.table.get("password");
    let span = item.and_then(Item::span);
    let Some(item) = item else {
        if user.is_some() {
            let message = format!("{} has a user and no password", section.name);
            reader.problem(key_span(section.table, "user"), message, HINT);
        }
        return Credentials::None;
    };
    let Some(user) = user else {
        let message = format!("{} has a password and no user", section.name);
        reader.problem(span, message, "user = \"…\"");
        return Credentials::None;
    };
    let Some(table) = item.as_table_like() else {
        let message = format!("`password` of {} is written in clear", section.name);
        reader.problem(span, message, HINT);
        return Credentials::None;
    };
    let at = Section {
        table,
        name: format!("`password` of {}", section.name),
        span,
    };
    reader.only(&at, &["env", "file"]);
    match (reader.text(&at, "env"), reader.text(&at, "file")) {
        (Some(variable), None) => match std::env::var(variable) {
            Ok(password) => found(user, &password),
            Err(_) => Credentials::Missing(format!("environment variable {variable} is not set")),
        },
        (None, Some(file)) => {
            let path: PathBuf = reader
                .place(None)
                .file
                .parent()
                .unwrap_or(Path::new("."))
                .join(file);
            match std::fs::read_to_string(&path) {
                Ok(password) => found(user, password.trim_end_matches(['\r', '\n'])),
                Err(error) => {
                    Credentials::Missing(format!("password file {file} can not be read: {error}"))
                }
            }
        }
        _ => {
            let message = format!("{} has to name one source", at.name);
            reader.problem(at.span.clone(), message, HINT);
            Credentials::None
        }
    }
}

fn found(user: &str, password: &str) -> Credentials {
    Credentials::Password {
        user: user.to_owned(),
        password: Secret::new(password),
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Commune, Vec<Problem>> {
        parse(
            "hoa-lac".parse().unwrap(),
            Path::new("hoa-lac/commune.toml"),
            text,
        )
    }

    const GOOD: &str = r#"
[commune]
name = "Phường Hòa Lạc"
time-zone = "Asia/Ho_Chi_Minh"

[camera.nguyen-du-1]
title = "Nguyễn Du – ngã ba chợ"
main = "rtsp://192.0.2.11/main"
sub = "rtsp://192.0.2.11/sub"
user = "router"
password = { env = "TAIMAT_TEST_UNSET" }

[camera.cong-truong]
main = "rtsp://192.0.2.12:8554/a?b=c"
run = "on-demand"
linger = "30s"
transport = "udp"
audio = true
"#;

    #[test]
    fn reads_a_commune() {
        let commune = read(GOOD).unwrap();
        assert_eq!(
            (commune.name.as_str(), commune.cameras.len()),
            ("Phường Hòa Lạc", 2)
        );
        let [first, second] = &commune.cameras[..] else {
            panic!()
        };
        assert_eq!(first.sources.len(), 2);
        assert!(
            matches!(&first.sources[0].credentials, Credentials::Missing(why)
            if why.contains("TAIMAT_TEST_UNSET"))
        );
        let source = &second.sources[0];
        assert_eq!(
            source.mode,
            Mode::OnDemand {
                linger: Duration::from_secs(30)
            }
        );
        assert_eq!((source.transport, source.audio), (Transport::Udp, true));
        assert_eq!(second.title, "cong-truong");
    }

    #[test]
    fn all_problems_at_once_with_place_and_hint() {
        let text = r#"
[commune]
nam = "x"
[camera.a]
main = "http://h/x"
password = "hunter2"
user = "u"
[camera.B]
main = "rtsp://h/x"
[camera.c]
main = "rtsp://u:hunter2@h/x"
stall-timeout = "5 minutes"
transport = "pigeon"
audio = "yes"
titel = "x"
"#;
        let problems = read(text).unwrap_err();
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        for expected in [
            "hoa-lac/commune.toml:2:1: [commune] has no `name` (hint: name = \"Phường Hòa Lạc\")",
            "hoa-lac/commune.toml:3:1: [commune] has no setting `nam` (hint: did you mean `name`?)",
            "hoa-lac/commune.toml:5:8: `main` of [camera.a] has scheme \"http\"",
            "hoa-lac/commune.toml:6:12: `password` of [camera.a] is written in clear",
            "hoa-lac/commune.toml:8:9: camera name \"B\"",
            "hoa-lac/commune.toml:11:8: `main` of [camera.c] has credentials in it",
            "hoa-lac/commune.toml:12:17: `stall-timeout` of [camera.c]: \"minutes\" is not a unit",
            "hoa-lac/commune.toml:13:13: `transport` of [camera.c] can not be \"pigeon\" (hint: use \"tcp\" or \"udp\")",
            "hoa-lac/commune.toml:14:9: `audio` of [camera.c] has to be true or false, found a text",
            "hoa-lac/commune.toml:15:1: [camera.c] has no setting `titel` (hint: did you mean `title`?)",
        ] {
            assert!(
                shown.iter().any(|s| s.starts_with(expected)),
                "{expected}\nin {shown:#?}"
            );
        }
        assert!(!shown.iter().any(|s| s.contains("hunter2")), "{shown:#?}");
    }

    const PLUGIN: &str = r#"
[plugin.motion]
component = "plugins/detect-motion.wasm"
cameras = ["nguyen-*"]
settings = { sensitivity = 0.6, zones = [[[0, 0.5], [1, 1]]] }
grant = { frames = { width = 640, fps = 5 }, state = "1MiB" }
limit = { memory = "32MiB", call = "20ms" }
"#;

    #[test]
    fn reads_plugins() {
        let commune = read(&format!("{GOOD}{PLUGIN}")).unwrap();
        let [plugin] = &commune.plugins[..] else {
            panic!()
        };
        assert_eq!(
            plugin.component,
            Path::new("hoa-lac/plugins/detect-motion.wasm")
        );
        let cameras: Vec<&str> = plugin.cameras.iter().map(|c| c.camera.as_str()).collect();
        assert_eq!(cameras, ["nguyen-du-1"]);
        let settings = r#"{"sensitivity":0.6,"zones":[[[0,0.5],[1,1]]]}"#;
        assert_eq!(plugin.settings, settings);
        assert_eq!(plugin.grant.frames, Some((640, 5.0)));
        assert_eq!(plugin.limits.memory_bytes, Some(32 << 20));
        assert!(plugin.enabled);
    }

    #[test]
    fn what_is_wrong_with_plugins() {
        let wrong = PLUGIN
            .replace("plugins/detect-motion.wasm", "../detect-motion.wasm")
            .replace("nguyen-*", "le-loi-*")
            .replace("fps = 5", "fps = 500")
            .replace("limit =", "limits =");
        let keys = "time-zone = \"Asia/Ho_Chi_Minh\"\ntrusted-keys = [\"ed25519:x\"]";
        let good = GOOD.replace("time-zone = \"Asia/Ho_Chi_Minh\"", keys);
        let problems = read(&format!("{good}{wrong}")).unwrap_err();
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        for expected in [
            "hoa-lac/commune.toml:5:17: trusted key \"ed25519:x\"",
            "`component` of [plugin.motion] leads out of the folder",
            "no camera is \"le-loi-*\" (hint: there are nguyen-du-1, cong-truong;",
            "has to be a number (hint: between 0.01 and 60)",
            "[plugin.motion] has no setting `limits` (hint: did you mean `limit`?)",
        ] {
            assert!(
                shown.iter().any(|s| s.contains(expected)),
                "{expected}\nin {shown:#?}"
            );
        }
        assert_eq!(shown.len(), 5, "{shown:#?}");
    }

    #[test]
    fn broken_toml_has_a_place() {
        let problems = read("[commune]\nname = \n").unwrap_err();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].place.line, Some(2), "{}", problems[0]);
    }

    proptest! {
        #[test]
        fn never_panics(
            at in 0..GOOD.len(),
            junk in "[ -~\n\"\\[\\]=é]{0,12}",
            cut in 0..GOOD.len(),
        ) {
            let mut text = GOOD.to_owned();
            if text.is_char_boundary(at) {
                text.insert_str(at, &junk);
            }
            drop(read(&text));
            while !text.is_char_boundary(cut.min(text.len())) {
                text.pop();
            }
            text.truncate(cut.min(text.len()));
            drop(read(&text));
        }
    }
}
