//! `commune.toml`: what it may say, and what that means.

use std::path::Path;
use std::sync::Arc;

use taimat_archive::CommuneArchive;
use taimat_base::{CameraId, ChannelId, CommuneId, Place, PluginId, Problem};
use taimat_contract::CommuneFacts;
use taimat_contract::commune::{CameraFacts, Date, TargetFacts};
use taimat_contract::package::PublicKey;
use taimat_events::CommuneAlerts;
use taimat_outbound::{CommuneChannels, CommunePlaces};
use taimat_sandbox::PluginSpec;
use toml_edit::{Document, Item};

use super::alerts;
use super::archive;
use super::camera::{self, Camera};
use super::channel;
use super::events::{self, EventSettings};
use super::reader::{Reader, Section};
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
    let known = [
        "commune", "camera", "plugin", "events", "channel", "target", "rule", "archive", "store",
    ];
    reader.only(&root, &known);
    let about = reader.section(&root, "commune", "[commune]".into());
    let mut said = About::default();
    match about {
        Some(section) => said = read_about(&mut reader, &section),
        None if root.table.get("commune").is_none() => {
            let hint = "begin with [commune] and name = \"Phường Hòa Lạc\"";
            reader.problem(None, "there is no [commune]", hint);
        }
        None => {}
    }
    let cameras = match reader.section(&root, "camera", "[camera]".into()) {
        Some(section) => camera::read(&mut reader, &section, &id),
        None => Vec::new(),
    };
    let ids: Vec<CameraId> = cameras.iter().map(|c| c.id.clone()).collect();
    let plugins = match reader.section(&root, "plugin", "[plugin]".into()) {
        Some(section) => super::plugin::read(&mut reader, &section, &id, &ids, &said.keys),
        None => Vec::new(),
    };
    let mut events = events::read(&mut reader, &root, &id);
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
    let channels = channel::read(&mut reader, &root, &id, &cameras);
    granted_channels(&mut reader, &root, &plugins, &channels);
    let names: Vec<PluginId> = plugins.iter().map(|plugin| plugin.name.clone()).collect();
    let policy = events.events.alerts.policy.clone();
    let recorded = archive::read(&mut reader, &root, &id, &cameras, &names, policy);
    let ids: Vec<ChannelId> = channels.channels.iter().map(|c| c.id.clone()).collect();
    let stores = store::read(&mut reader, &root, &id, &names, &ids);
    let archive = CommuneArchive {
        facts: Arc::clone(&facts),
        stores: stores.specs,
        said: archive::said(&root, recorded.storage.as_ref()),
        ..recorded
    };
    if reader.problems.is_empty() {
        Ok(Commune {
            id,
            name: said.name,
            time_zone: said.zone,
            cameras,
            plugins,
            events,
            channels,
            archive,
            places: stores.places,
        })
    } else {
        reader.problems.sort();
        Err(reader.problems)
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
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;
    use taimat_ingest::{
        AfterRefusal, ClockTrust, Credentials, KeepAliveBy, Mode, Transport, Trust,
    };

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
    fn says_what_people_need_for_their_camera() {
        let text = r#"
[commune]
name = "x"
[camera.a]
main = "rtsps://192.0.2.11/main"
sub = "rtsp+http://192.0.2.11/sub"
tls = { fingerprint = "sha256:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00112233445566778899AABBCCDDEEFF" }
transport = "udp-only"
track = 2
keep-alive = "set-parameter"
keep-alive-every = "7s"
user-agent = "LibVLC"
clock = "camera"
keyframe-timeout = "70s"
wrong-password = "stop"
buffer = "64MiB"
"#;
        let commune = read(text).unwrap();
        let [main, sub] = &commune.cameras[0].sources[..] else {
            panic!()
        };
        let Trust::Fingerprint(fingerprint) = main.trust else {
            panic!("{:?}", main.trust)
        };
        assert_eq!(fingerprint[..3], [0, 0x11, 0x22]);
        assert_eq!(fingerprint[31], 0xFF);
        assert_eq!(main.transport, Transport::UdpOnly);
        assert_eq!((main.video, sub.video), (Some(1), None));
        assert_eq!(main.keep_alive.by, KeepAliveBy::SetParameter);
        assert_eq!(main.keep_alive.every, Some(Duration::from_secs(7)));
        assert_eq!(main.user_agent.as_deref(), Some("LibVLC"));
        assert_eq!(main.clock, ClockTrust::Camera);
        assert_eq!(main.keyframe_timeout, Duration::from_secs(70));
        assert_eq!(main.after_refusal, AfterRefusal::Stop);
        assert_eq!(main.limits.bytes, 64 << 20);
    }

    #[test]
    fn explains_what_is_wrong_with_a_cameras_settings() {
        let text = r#"
[commune]
name = "x"
[camera.a]
main = "rtsp://h/x"
tls = { fingerprint = "sha256:12" }
track = 0
user-agent = ""
buffer = "1KiB"
clock = "sundial"
[camera.b]
main = "rtsps://h/x"
tls = { ca = "nowhere.pem" }
[camera.c]
main = "rtsps://h/x"
tls = { ca = "a.pem", fingerprint = "b" }
"#;
        let problems = read(text).unwrap_err();
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        for expected in [
            "commune.toml:6:23: `fingerprint` of `tls` of [camera.a] is no SHA-256",
            "`track` of [camera.a] has to be a number (hint: between 1 and 16)",
            "`user-agent` of [camera.a] can not be sent",
            "`buffer` of [camera.a] has to be between 1MiB and 1GiB",
            "`clock` of [camera.a] can not be \"sundial\" (hint: use \"auto\" or \"camera\" or \"router\")",
            "`tls` of [camera.c] has to name one of the two",
        ] {
            assert!(
                shown.iter().any(|s| s.contains(expected)),
                "{expected}\nin {shown:#?}"
            );
        }
        // A file that is not there takes its camera offline, and is no mistake in this one.
        assert_eq!(shown.len(), 6, "{shown:#?}");
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
            "hoa-lac/commune.toml:13:13: `transport` of [camera.c] can not be \"pigeon\" (hint: use \"tcp\" or \"udp\" or \"tcp-only\" or \"udp-only\" or \"multicast\")",
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
    fn a_camera_has_settings_of_its_own_over_those_of_the_plugin() {
        let text = format!(
            "{GOOD}{PLUGIN}[plugin.motion.camera.nguyen-du-1]\nsettings = {{ zones = [] }}\n"
        );
        let commune = read(&text).unwrap();
        let plugin = &commune.plugins[0];
        let camera: CameraId = "nguyen-du-1".parse().unwrap();
        let merged = r#"{"sensitivity":0.6,"zones":[]}"#;
        assert_eq!(plugin.settings_at(Some(&camera)), merged);
        assert_eq!(plugin.settings_at(None), plugin.settings);
        // A mistake is found where it was written.
        let file = Path::new("hoa-lac/commune.toml");
        let motion: PluginId = "motion".parse().unwrap();
        let line = |setting: &str, camera: Option<&CameraId>| {
            let place = place_of_setting(file, &text, &motion, camera, &[setting.to_owned()]);
            text.lines()
                .nth(place.line.unwrap() - 1)
                .unwrap()
                .to_owned()
        };
        assert_eq!(line("zones", Some(&camera)), "settings = { zones = [] }");
        assert!(line("zones", None).starts_with("settings = { sensitivity"));
        assert!(line("sensitivity", Some(&camera)).starts_with("settings = { sensitivity"));
    }

    #[test]
    fn plugins_know_what_people_say_of_their_commune() {
        let drawn = "tags = [\"crossing\"]\n[camera.cong-truong.zone.gate]\ntags = [\"in\"]\n\
                     outline = [[0, 0.5], [1, 0.5], [1.0, 1.0]]\n";
        let commune = read(&format!("{GOOD}{drawn}{PLUGIN}")).unwrap();
        let facts = &commune.plugins[0].facts;
        assert_eq!(
            (facts.title.as_str(), facts.cameras.len()),
            ("Phường Hòa Lạc", 2)
        );
        let camera = &facts.cameras[1];
        assert_eq!(
            (camera.tags.len(), camera.zones[0].name.as_str()),
            (1, "gate")
        );
        assert_eq!(camera.zones[0].outline[0], (0.0, 0.5));
        let two = drawn.replace("[1.0, 1.0]", "[1.0, 1.5]");
        let problems = read(&format!("{GOOD}{two}{PLUGIN}")).unwrap_err();
        let shown = problems[0].to_string();
        let expected = "`outline` of [camera.cong-truong.zone.gate] is no polygon";
        assert!(shown.contains(expected), "{shown}");
    }

    #[test]
    fn settings_for_a_camera_where_the_plugin_is_not_are_a_mistake() {
        let text = format!("{GOOD}{PLUGIN}[plugin.motion.camera.cong-truong]\nsetting = 1\n");
        let problems = read(&text).unwrap_err();
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let expected =
            "[plugin.motion] is at no camera \"cong-truong\" (hint: it is at nguyen-du-1)";
        assert!(shown.iter().any(|s| s.contains(expected)), "{shown:#?}");
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
