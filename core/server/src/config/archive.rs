//! `[archive]` and `[camera.….archive]`: what is recorded, and how long it is kept.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use taimat_archive::{CameraArchive, CommuneArchive, Keep, Mode, Scheduled};
use taimat_base::units::ByteSize;
use taimat_base::{CameraKey, CommuneId, PluginId, Profile};
use taimat_contract::hours::Hours;
use taimat_contract::{CommuneFacts, Severity};
use toml_edit::Item;

use super::alerts::{read_days, span};
use super::camera::Camera;
use super::reader::{Reader, Section};

const DAY: f64 = 86_400.0;
/// Hours with a mode of their own, of one camera, at most.
const MAX_SCHEDULED: usize = 32;

const MODES: [(&str, Mode); 3] = [
    ("off", Mode::Off),
    ("on-event", Mode::OnEvent),
    ("continuous", Mode::Continuous),
];

const SETTINGS: [&str; 10] = [
    "mode",
    "profiles",
    "schedule",
    "keep-days",
    "keep-event-days",
    "before",
    "after",
    "severity",
    "quota",
    "storage",
];

/// How a camera is recorded, as far as it is said.
#[derive(Debug, Clone)]
struct Said {
    mode: Mode,
    profiles: Vec<Profile>,
    schedule: Vec<Scheduled>,
    keep: Keep,
    quota: Option<u64>,
}

/// Reads all of it. Where nothing is said nothing is recorded.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    root: &Section<'a>,
    commune: &CommuneId,
    cameras: &[Camera],
    plugins: &[PluginId],
    policy: Option<PluginId>,
) -> CommuneArchive {
    let mut said = Said {
        mode: Mode::Off,
        profiles: vec![Profile::Main],
        schedule: Vec::new(),
        keep: Keep::default(),
        quota: None,
    };
    let mut storage = None;
    if let Some(section) = reader.section(root, "archive", "[archive]".into()) {
        reader.only(&section, &SETTINGS);
        said = recording(reader, &section, said);
        storage = plugin(reader, &section, plugins);
    }
    // A commune's own is for all of its cameras together.
    let quota = said.quota.take();
    let sections = root.table.get("camera").and_then(Item::as_table_like);
    let mut own = Vec::new();
    for camera in cameras {
        let table = sections.and_then(|all| all.get(camera.id.as_str())?.as_table_like());
        let mut camera_said = said.clone();
        if let Some(table) = table {
            let section = Section {
                table,
                name: format!("[camera.{}]", camera.id),
                span: None,
            };
            let name = format!("[camera.{}.archive]", camera.id);
            if let Some(section) = reader.section(&section, "archive", name) {
                let known: Vec<&str> = SETTINGS.into_iter().filter(|s| *s != "storage").collect();
                reader.only(&section, &known);
                camera_said = recording(reader, &section, camera_said);
            }
        }
        let has_sub = camera.sources.iter().any(|s| s.key.profile == Profile::Sub);
        camera_said
            .profiles
            .retain(|profile| *profile == Profile::Main || has_sub);
        if camera_said.profiles.is_empty() {
            // Only the small picture was asked for, and there is none.
            camera_said.profiles.push(Profile::Main);
        }
        own.push(CameraArchive {
            camera: CameraKey::new(commune.clone(), camera.id.clone()),
            profiles: camera_said.profiles,
            mode: camera_said.mode,
            schedule: camera_said.schedule,
            keep: camera_said.keep,
            quota: camera_said.quota,
        });
    }
    CommuneArchive {
        commune: commune.clone(),
        cameras: own,
        quota,
        storage,
        policy,
        stores: Vec::new(),
        facts: Arc::new(CommuneFacts::default()),
        said: String::new(),
    }
}

/// What the file says that decides where recordings are kept, in a digest: of places, of how long things are
/// kept, and of the plugin that is asked. Comments and the order of lines within a value do not count.
pub(super) fn said(root: &Section<'_>, storage: Option<&PluginId>) -> String {
    let mut text = String::new();
    for name in ["archive", "store"] {
        root.table
            .get(name)
            .into_iter()
            .for_each(|item| tell(name, item, &mut text));
    }
    let table = |item: &Item, name: &str| item.as_table_like().and_then(|t| t.get(name).cloned());
    let cameras = root.table.get("camera").and_then(Item::as_table_like);
    for (camera, item) in cameras.into_iter().flat_map(|all| all.iter()) {
        if let Some(own) = table(item, "archive") {
            tell(camera, &own, &mut text);
        }
    }
    let plugins = root.table.get("plugin");
    if let (Some(plugins), Some(storage)) = (plugins, storage)
        && let Some(own) = table(plugins, storage.as_str())
    {
        tell("plugin", &own, &mut text);
    }
    let digest = Sha256::digest(text);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn tell(name: &str, item: &Item, to: &mut String) {
    to.push_str(name);
    if let Some(value) = item.as_value().filter(|value| !value.is_inline_table()) {
        to.push_str(&format!("={}\n", value.clone().decorated("", "")));
    } else if let Some(table) = item.as_table_like() {
        to.push_str("{\n");
        table.iter().for_each(|(name, item)| tell(name, item, to));
        to.push_str("}\n");
    } else if let Some(tables) = item.as_array_of_tables() {
        for table in tables {
            to.push_str("[\n");
            table.iter().for_each(|(name, item)| tell(name, item, to));
            to.push_str("]\n");
        }
    }
}

fn recording<'a>(reader: &mut Reader<'a>, at: &Section<'a>, mut said: Said) -> Said {
    if let Some(mode) = reader.choice(at, "mode", &MODES) {
        said.mode = mode;
    }
    if at.table.get("profiles").is_some() {
        said.profiles = profiles(reader, at);
    }
    if at.table.get("schedule").is_some() {
        said.schedule = schedule(reader, at);
    }
    let days = |days: f64| Duration::from_secs_f64(days * DAY);
    if let Some(found) = reader.number(at, "keep-days", 0.01..=3650.0) {
        said.keep.usual = days(found);
    }
    if let Some(found) = reader.number(at, "keep-event-days", 0.01..=3650.0) {
        said.keep.events = days(found);
    }
    if let Some(before) = span(reader, at, "before", 60) {
        said.keep.before = before;
    }
    if let Some(after) = span(reader, at, "after", 600) {
        said.keep.after = after;
    }
    let severities = Severity::ALL.map(|severity| (severity.as_str(), severity));
    if let Some(severity) = reader.choice(at, "severity", &severities) {
        said.keep.severity = severity;
    }
    if let Some(quota) = quota(reader, at) {
        said.quota = Some(quota);
    }
    said
}

/// Bytes that something may have.
pub(super) fn quota<'a>(reader: &mut Reader<'a>, at: &Section<'a>) -> Option<u64> {
    let quota: ByteSize = reader.parsed(at, "quota", "quota = \"500GiB\"")?;
    Some(quota.0)
}

fn profiles<'a>(reader: &mut Reader<'a>, at: &Section<'a>) -> Vec<Profile> {
    let Some(item) = at.table.get("profiles") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (text, span) in reader.texts(at, "profiles", item) {
        match Profile::ALL.into_iter().find(|p| p.as_str() == text) {
            Some(profile) if !found.contains(&profile) => found.push(profile),
            Some(_) => {}
            None => {
                let message = format!("`profiles` of {}: no profile is {text:?}", at.name);
                reader.problem(span, message, "use \"main\" or \"sub\", or both");
            }
        }
    }
    if found.is_empty() {
        let message = format!("`profiles` of {} names none", at.name);
        let hint = "mode = \"off\" records nothing";
        reader.problem(item.span(), message, hint);
    }
    found
}

fn schedule<'a>(reader: &mut Reader<'a>, at: &Section<'a>) -> Vec<Scheduled> {
    let name = at.name.trim_matches(['[', ']']);
    let tables = reader.tables(at, "schedule", &format!("[[{name}.schedule]]"));
    if tables.len() > MAX_SCHEDULED {
        let message = format!("more than {MAX_SCHEDULED} `schedule` of {}", at.name);
        let span = at.table.get("schedule").and_then(Item::span);
        reader.problem(span, message, "the first that applies decides");
    }
    let mut all = Vec::new();
    for one in tables.into_iter().take(MAX_SCHEDULED) {
        reader.only(&one, &["hours", "days", "mode"]);
        reader.required(&one, "mode", "\"continuous\"");
        let hours = reader.parsed::<Hours>(&one, "hours", "hours = \"22:00-05:00\"");
        let days = read_days(reader, &one);
        let mode = reader.choice(&one, "mode", &MODES);
        all.extend(mode.map(|mode| Scheduled { days, hours, mode }));
    }
    all
}

fn plugin<'a>(reader: &mut Reader<'a>, at: &Section<'a>, plugins: &[PluginId]) -> Option<PluginId> {
    let named = reader.text(at, "storage")?;
    let found = plugins.iter().find(|plugin| plugin.as_str() == named);
    if found.is_none() {
        let span = at.table.get("storage").and_then(Item::span);
        let shown = taimat_base::text::line(named, 64);
        let message = format!("`storage` of {}: there is no [plugin.{shown}]", at.name);
        reader.problem(
            span,
            message,
            "name a plugin of this file that decides about storage",
        );
    }
    found.cloned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use taimat_archive::StoreKind;

    use super::super::commune::parse;
    use super::*;

    fn archive(text: &str) -> Result<CommuneArchive, Vec<String>> {
        let file = Path::new("thu/commune.toml");
        let text = format!(
            "[commune]\nname = \"Thu\"\n[camera.cho]\nmain = \"rtsp://192.0.2.1/a\"\n\
             [camera.cau]\nmain = \"rtsp://192.0.2.2/a\"\nsub = \"rtsp://192.0.2.2/b\"\n\
             [plugin.tiers]\ncomponent = \"plugins/a.wasm\"\n{text}"
        );
        match parse("thu".parse().unwrap(), file, &text) {
            Ok(commune) => Ok(commune.archive),
            Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn nothing_is_recorded_unless_it_is_said() {
        let archive = archive("").unwrap();
        assert_eq!(archive.cameras.len(), 2);
        assert!(
            archive
                .cameras
                .iter()
                .all(|camera| camera.mode == Mode::Off)
        );
    }

    #[test]
    fn a_camera_says_what_the_commune_does_not() {
        let archive = archive(
            "[archive]\nmode = \"continuous\"\nprofiles = [\"main\", \"sub\"]\nkeep-days = 7\n\
             quota = \"10GiB\"\nstorage = \"tiers\"\n[camera.cho.archive]\nmode = \"on-event\"\n\
             quota = \"1GiB\"\nbefore = \"5s\"\nseverity = \"warning\"\n\
             [[camera.cho.archive.schedule]]\nhours = \"22:00-05:00\"\ndays = [\"sat\"]\nmode = \"continuous\"\n\
             [store.usb]\nfolder = \"/mnt/usb\"\nquota = \"100GiB\"\n",
        )
        .unwrap();
        let [cho, cau] = &archive.cameras[..] else {
            panic!("{archive:?}");
        };
        assert_eq!((cho.mode, cau.mode), (Mode::OnEvent, Mode::Continuous));
        assert_eq!(cho.profiles, [Profile::Main]);
        assert_eq!(cau.profiles, [Profile::Main, Profile::Sub]);
        assert_eq!(cho.keep.usual, Duration::from_secs(7 * 86_400));
        assert_eq!(cho.keep.before, Duration::from_secs(5));
        assert_eq!(cho.schedule.len(), 1);
        assert_eq!(
            (cho.quota, cau.quota, archive.quota),
            (Some(1 << 30), None, Some(10 << 30))
        );
        assert_eq!(archive.storage.unwrap().as_str(), "tiers");
        assert_eq!(archive.stores[0].kind, StoreKind::Folder("/mnt/usb".into()));
        assert_eq!(
            archive.stores[0].check_every,
            Duration::from_secs(30 * 86_400)
        );
    }

    #[test]
    fn what_decides_where_things_are_kept_is_told_apart_and_nothing_else_is() {
        let file = "[archive]\nkeep-days = 7 # a week\nstorage = \"tiers\"\n\
            [store.usb]\nfolder = \"/mnt/usb\"\n";
        let said = |text: &str| archive(text).unwrap().said;
        let first = said(file);
        assert_eq!(first.len(), 64);
        for same in [
            file.replace("# a week", "# seven"),
            format!("{file}[plugin.other]\ncomponent = \"plugins/b.wasm\"\n"),
            format!("{file}\n\n"),
        ] {
            assert_eq!(said(&same), first, "{same}");
        }
        for other in [
            file.replace("= 7", "= 8"),
            file.replace("/mnt/usb", "/mnt/disk"),
            file.replace("storage = \"tiers\"\n", ""),
            format!("{file}quota = \"1GiB\"\n"),
            format!("{file}[camera.cho.archive]\nkeep-days = 2\n"),
            format!("{file}[[archive.schedule]]\nhours = \"22:00-05:00\"\nmode = \"off\"\n"),
            format!("{file}[plugin.tiers.settings]\nlocal-days = 3\n"),
        ] {
            assert_ne!(said(&other), first, "{other}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        for (text, expected) in [
            (
                "[archive]\nmode = \"always\"\n",
                "`mode` of [archive] can not be \"always\"",
            ),
            (
                "[archive]\nprofiles = []\n",
                "`profiles` of [archive] names none",
            ),
            ("[archive]\nquota = \"5TB\"\n", "B, KiB, MiB, GiB"),
            (
                "[archive]\nstorage = \"nobody\"\n",
                "there is no [plugin.nobody]",
            ),
            ("[camera.cho.archive]\nstorage = \"tiers\"\n", "storage"),
            (
                "[[archive.schedule]]\nhours = \"22:00\"\nmode = \"off\"\n",
                "22:00-05:30",
            ),
            (
                "[store.local]\nfolder = \"/mnt\"\n",
                "can not be called \"local\"",
            ),
            ("[store.usb]\n", "does not say where it is"),
            ("[store.usb]\nfolder = \"mnt\"\n", "has to begin with /"),
        ] {
            let problems = archive(text).unwrap_err().join("\n");
            assert!(problems.contains(expected), "{text}: {problems}");
        }
    }
}
