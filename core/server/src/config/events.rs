//! `[events]` and `[[plugin.….events]]`: when detections are an event, and how long events are kept.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use taimat_base::{CommuneId, PluginId, text};
use taimat_contract::Severity;
use taimat_events::{CommuneEvents, EventRuleChange, EventRules, Keep};
use toml_edit::Item;

use super::alerts::{self, span};
use super::reader::{Reader, Section};

/// What is kept if the file says nothing: a season, and as many as some hundred a day.
const KEEP_DAYS: f64 = 90.0;
const KEEP_COUNT: f64 = 100_000.0;
/// Rules of a plugin at most.
const MAX_RULES: usize = 64;
const DAY: f64 = 86_400.0;
/// Long enough for a camera to start anew.
const LOST_AFTER: Duration = Duration::from_secs(60);

/// What a commune's file says about events.
#[derive(Debug, Clone, PartialEq)]
pub struct EventSettings {
    /// What is kept, and when detections are an event.
    pub events: CommuneEvents,
    /// A camera has to be away for so long before that is an event.
    pub lost_after: Duration,
}

/// Reads `[events]`, and `events` of each plugin.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    root: &Section<'a>,
    commune: &CommuneId,
) -> EventSettings {
    let (mut days, mut count, mut lost) = (None, None, None);
    if let Some(section) = reader.section(root, "events", "[events]".into()) {
        reader.only(
            &section,
            &["keep-days", "keep-count", "camera-lost-after", "policy"],
        );
        days = reader.number(&section, "keep-days", 1.0..=3650.0);
        count = reader.number(&section, "keep-count", 100.0..=10_000_000.0);
        lost = span(reader, &section, "camera-lost-after", 86_400);
    }
    let plugins = root.table.get("plugin").and_then(Item::as_table_like);
    let mut rules = HashMap::new();
    let mut names = Vec::new();
    for (name, item) in plugins.into_iter().flat_map(|plugins| plugins.iter()) {
        names.extend(name.parse::<PluginId>().ok());
        if let (Ok(plugin), Some(table)) = (name.parse::<PluginId>(), item.as_table_like()) {
            let section = Section {
                table,
                name: format!("[plugin.{name}]"),
                span: item.span(),
            };
            rules.insert(plugin, read_rules(reader, &section));
        }
    }
    EventSettings {
        events: CommuneEvents {
            keep: Keep {
                commune: commune.clone(),
                time: Duration::from_secs_f64(days.unwrap_or(KEEP_DAYS) * DAY),
                count: count.unwrap_or(KEEP_COUNT) as u32,
            },
            plugins: rules,
            alerts: Arc::new(alerts::read(reader, root, &names)),
        },
        lost_after: lost.unwrap_or(LOST_AFTER),
    }
}

/// Reads `events` of a plugin's section: a list of tables, the first that names a setting decides.
fn read_rules<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> EventRules {
    let name = section.name.trim_matches(['[', ']']);
    let tables = reader.tables(section, "events", &format!("[[{name}.events]]"));
    if tables.len() > MAX_RULES {
        let message = format!("more than {MAX_RULES} `events` of {}", section.name);
        let span = section.table.get("events").and_then(Item::span);
        reader.problem(span, message, "patterns with * are for many cameras");
    }
    let rules = tables.into_iter().take(MAX_RULES);
    EventRules(rules.map(|at| read_rule(reader, &at)).collect())
}

fn read_rule<'a>(reader: &mut Reader<'a>, at: &Section<'a>) -> EventRuleChange {
    reader.only(
        at,
        &[
            "cameras",
            "kinds",
            "minimum",
            "gap",
            "cool-down",
            "merge",
            "severity",
        ],
    );
    let patterns = |reader: &mut Reader<'a>, key| -> Vec<String> {
        let item = at.table.get(key);
        let texts = item.map_or(Vec::new(), |item| reader.texts(at, key, item));
        texts.into_iter().map(|(text, _)| text).collect()
    };
    let severities = Severity::ALL.map(|severity| (severity.as_str(), severity));
    let cameras = patterns(reader, "cameras");
    let kinds = patterns(reader, "kinds");
    for kind in &kinds {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-*?".contains(c);
        if !kind.chars().all(fits) {
            let shown = text::line(kind, 40);
            let message = format!("`kinds` of {}: no kind is called {shown:?}", at.name);
            let hint = "kinds are written with a-z, 0-9 and -; * stands for any";
            reader.problem(at.table.get("kinds").and_then(Item::span), message, hint);
        }
    }
    EventRuleChange {
        cameras,
        kinds,
        minimum: span(reader, at, "minimum", 3_600),
        gap: span(reader, at, "gap", 86_400),
        cool_down: span(reader, at, "cool-down", 86_400),
        by_track: reader.choice(at, "merge", &[("track", true), ("kind", false)]),
        severity: reader.choice(at, "severity", &severities),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::commune::parse;
    use super::*;

    fn settings(text: &str) -> Result<EventSettings, Vec<String>> {
        let file = Path::new("thu/commune.toml");
        let text = format!("[commune]\nname = \"Thu\"\n{text}");
        match parse("thu".parse().unwrap(), file, &text) {
            Ok(commune) => Ok(commune.events),
            Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
        }
    }

    const PLUGIN: &str = "[plugin.motion]\ncomponent = \"plugins/a.wasm\"\n";

    #[test]
    fn rules_are_read_however_tables_are_written() {
        let tables = format!(
            "[events]\nkeep-days = 7\ncamera-lost-after = \"5s\"\n{PLUGIN}\
             [[plugin.motion.events]]\ncameras = [\"cho-*\"]\ngap = \"30s\"\nmerge = \"track\"\n\
             [[plugin.motion.events]]\nseverity = \"alarm\"\nminimum = \"0s\"\n"
        );
        let inline = format!(
            "[events]\nkeep-days = 7\ncamera-lost-after = \"5s\"\n{PLUGIN}\
             events = [{{ cameras = [\"cho-*\"], gap = \"30s\", merge = \"track\" }}, \
             {{ severity = \"alarm\", minimum = \"0s\" }}]\n"
        );
        let read = settings(&tables).unwrap();
        assert_eq!(settings(&inline).unwrap(), read);
        assert_eq!(read.lost_after, Duration::from_secs(5));
        assert_eq!(read.events.keep.time, Duration::from_secs(7 * 86_400));
        let rules = &read.events.plugins[&"motion".parse().unwrap()];
        let rule = rules.of(&"cho-2".parse().unwrap(), "motion");
        assert_eq!(
            (rule.gap, rule.minimum),
            (Duration::from_secs(30), Duration::ZERO)
        );
        assert_eq!((rule.by_track, rule.severity), (true, Severity::Alarm));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |text: &str, says: &str| {
            let problems = settings(text).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains(says), "{problems:?}");
        };
        wrong("[events]\nkeep-day = 7\n", "keep-days");
        wrong("[events]\nkeep-days = 0\n", "keep-days");
        wrong(&format!("{PLUGIN}events = 3\n"), "list of tables");
        wrong(
            &format!("{PLUGIN}events = [{{ gap = \"2000h\" }}]\n"),
            "gap",
        );
        wrong(
            &format!("{PLUGIN}events = [{{ merge = \"x\" }}]\n"),
            "merge",
        );
        wrong(
            &format!("{PLUGIN}events = [{{ kinds = [\"Chó\"] }}]\n"),
            "Chó",
        );
        wrong("[plugin.taimat]\ncomponent = \"a.wasm\"\n", "taimat");
    }
}
