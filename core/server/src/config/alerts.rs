//! `[target.…]`, `[[rule]]` and `policy` of `[events]`: who can be told, and who is told of what.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use taimat_base::PluginId;
use taimat_base::units::Span;
use taimat_contract::commune::TargetFacts;
use taimat_contract::hours::{DayKinds, Hours};
use taimat_contract::{Attribute, Severity};
use taimat_events::{AlertRule, CommuneAlerts, Escalation, LOG_ALERTER, PUSH_ALERTER, Target};
use toml_edit::Item;

use super::reader::{Reader, Section};

/// Targets, and rules, of a commune at most.
const MAX_TARGETS: usize = 64;
const MAX_RULES: usize = 200;
/// What is said of a target at most, and how long it may be, in bytes.
const MAX_ADDRESS: usize = taimat_contract::alerter::Task::MAX_ADDRESS;
const MAX_ADDRESS_BYTES: usize = 1024;
/// Whoever can not be reached for so long is given up, if the file says nothing.
const DEADLINE: Duration = Duration::from_secs(24 * 3600);
const DAY: u64 = 86_400;

/// Before a target's tag, where a rule tells all that have it.
const TAG: &str = "tag:";

/// Reads who can be told, and of what. Plugins are those that the same file names.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    root: &Section<'a>,
    plugins: &[PluginId],
) -> CommuneAlerts {
    let targets = match reader.section(root, "target", "[target]".into()) {
        Some(section) => read_targets(reader, &section, plugins),
        None => BTreeMap::new(),
    };
    let events = root.table.get("events").and_then(Item::as_table_like);
    let policy = events.and_then(|table| {
        let section = Section {
            table,
            name: "[events]".into(),
            span: None,
        };
        plugin(reader, &section, "policy", plugins)
    });
    CommuneAlerts {
        policy,
        rules: read_rules(reader, root, &targets),
        targets,
        facts: Arc::default(),
    }
}

/// What plugins may know of the targets.
pub(super) fn facts(targets: &BTreeMap<String, Target>) -> Vec<TargetFacts> {
    let facts = |(name, target): (&String, &Target)| TargetFacts {
        name: name.clone(),
        alerter: target.alerter.clone(),
        title: target.title.clone(),
        tags: target.tags.clone(),
    };
    targets.iter().map(facts).collect()
}

/// The name of a plugin of the file.
fn plugin<'a>(
    reader: &mut Reader<'a>,
    at: &Section<'a>,
    key: &str,
    plugins: &[PluginId],
) -> Option<PluginId> {
    let named = reader.text(at, key)?;
    let found = plugins.iter().find(|plugin| plugin.as_str() == named);
    if found.is_none() {
        let span = at.table.get(key).and_then(Item::span);
        let message = format!("`{key}` of {}: there is no [plugin.{named}]", at.name);
        reader.problem(span, message, known(plugins.iter().map(PluginId::as_str)));
    }
    found.cloned()
}

fn known<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.is_empty() {
        true => "there is none in this file".into(),
        false => format!("there are {}", names.join(", ")),
    }
}

fn read_targets<'a>(
    reader: &mut Reader<'a>,
    section: &Section<'a>,
    plugins: &[PluginId],
) -> BTreeMap<String, Target> {
    let mut targets = BTreeMap::new();
    for (name, item) in section.table.iter() {
        let Some(table) = item.as_table_like() else {
            let hint = format!("write [target.{name}]");
            reader.problem(
                item.span(),
                format!("`target.{name}` has to be a table"),
                hint,
            );
            continue;
        };
        let at = Section {
            table,
            name: format!("[target.{name}]"),
            span: item.span(),
        };
        // A target's name is written as a plugin's.
        if let Err(error) = name.parse::<PluginId>() {
            reader.problem(
                item.span(),
                format!("target name {name:?}: {error}"),
                "rename it",
            );
            continue;
        }
        if let Some(target) = read_target(reader, &at, name, plugins) {
            targets.insert(name.to_owned(), target);
        }
    }
    let push = targets
        .iter()
        .filter(|(_, target): &(_, &Target)| target.is_push());
    if let [first, others @ ..] = &push.map(|(name, _)| name.as_str()).collect::<Vec<_>>()[..] {
        for other in others {
            let span = section.table.get(other).and_then(Item::span);
            let message =
                format!("[target.{other}] stands for the same browsers as [target.{first}]");
            let hint = "leave out one: every browser says for itself what it wants to be told";
            reader.problem(span, message, hint);
        }
    }
    if targets.len() > MAX_TARGETS {
        let message = format!("more than {MAX_TARGETS} targets");
        reader.problem(
            section.span.clone(),
            message,
            "one target may be a group of people",
        );
    }
    targets
}

fn read_target<'a>(
    reader: &mut Reader<'a>,
    at: &Section<'a>,
    name: &str,
    plugins: &[PluginId],
) -> Option<Target> {
    reader.only(at, &["title", "alerter", "tags", "address", "deadline"]);
    let title = reader.text(at, "title").unwrap_or(name).to_owned();
    let named = reader.required(at, "alerter", "\"telegram\"")?;
    let alerter = match [LOG_ALERTER, PUSH_ALERTER].contains(&named) {
        true => named.parse().ok(),
        false => plugin(reader, at, "alerter", plugins),
    };
    let tags = texts(reader, at, "tags");
    let mut address = Vec::new();
    if let Some(pairs) = reader.section(at, "address", format!("`address` of {}", at.name)) {
        for (key, item) in pairs.table.iter() {
            let value = match (item.as_str(), item.as_integer(), item.as_bool()) {
                (Some(text), ..) => text.to_owned(),
                (_, Some(number), _) => number.to_string(),
                (.., Some(flag)) => flag.to_string(),
                _ => {
                    let message = format!("`{key}` of {} is no text", pairs.name);
                    reader.problem(item.span(), message, format!("{key} = \"…\""));
                    continue;
                }
            };
            if value.len() > MAX_ADDRESS_BYTES || key.len() > 64 {
                let message = format!("`{key}` of {} is too long", pairs.name);
                let hint = format!("at most {MAX_ADDRESS_BYTES} bytes");
                reader.problem(item.span(), message, hint);
            }
            address.push(Attribute {
                key: key.to_owned(),
                value,
            });
        }
        if address.len() > MAX_ADDRESS {
            let message = format!("{} has more than {MAX_ADDRESS} settings", pairs.name);
            reader.problem(pairs.span.clone(), message, "leave out what is not needed");
        }
    }
    let deadline = span(reader, at, "deadline", 30 * DAY).unwrap_or(DEADLINE);
    Some(Target {
        title,
        alerter: alerter?,
        tags,
        address,
        deadline,
    })
}

fn texts<'a>(reader: &mut Reader<'a>, at: &Section<'a>, key: &str) -> Vec<String> {
    let item = at.table.get(key);
    let texts = item.map_or(Vec::new(), |item| reader.texts(at, key, item));
    texts.into_iter().map(|(text, _)| text).collect()
}

/// A span of time of so many seconds at most.
pub(super) fn span<'a>(
    reader: &mut Reader<'a>,
    at: &Section<'a>,
    key: &str,
    most: u64,
) -> Option<Duration> {
    let span: Span = reader.parsed(at, key, &format!("{key} = \"10s\""))?;
    if span.0 > Duration::from_secs(most) {
        let place = at.table.get(key).and_then(Item::span);
        let message = format!("`{key}` of {} is too long", at.name);
        reader.problem(place, message, format!("at most {most}s"));
    }
    Some(span.0)
}

type Targets = BTreeMap<String, Target>;

fn read_rules<'a>(
    reader: &mut Reader<'a>,
    root: &Section<'a>,
    targets: &Targets,
) -> Vec<AlertRule> {
    let rules = reader.tables(root, "rule", "[[rule]]");
    if rules.len() > MAX_RULES {
        let message = format!("more than {MAX_RULES} rules");
        reader.problem(None, message, "a policy plugin may be what you want");
    }
    let rules = rules.into_iter().take(MAX_RULES);
    rules.map(|at| read_rule(reader, &at, targets)).collect()
}

fn read_rule<'a>(reader: &mut Reader<'a>, at: &Section<'a>, targets: &Targets) -> AlertRule {
    let settings = [
        "kinds", "cameras", "tags", "at-least", "hours", "days", "severity", "quiet", "tell",
        "follow", "group", "wait", "escalate",
    ];
    reader.only(at, &settings);
    let severities = Severity::ALL.map(|severity| (severity.as_str(), severity));
    let quiet = reader.text(at, "quiet").map(str::to_owned);
    let tell = read_tell(reader, at, targets);
    if quiet.is_some() && !tell.is_empty() {
        let span = at.table.get("tell").and_then(Item::span);
        let message = format!("{} is quiet and tells somebody", at.name);
        reader.problem(span, message, "leave out one of the two");
    }
    let group = reader.text(at, "group").unwrap_or("").to_owned();
    if group.len() > 64 {
        let span = at.table.get("group").and_then(Item::span);
        let message = format!("`group` of {} is too long", at.name);
        reader.problem(span, message, "at most 64 bytes");
    }
    let escalate = reader
        .section(at, "escalate", format!("`escalate` of {}", at.name))
        .and_then(|at| {
            reader.only(&at, &["after", "tell"]);
            reader.required(&at, "after", "\"5min\"")?;
            let after = span(reader, &at, "after", 7 * DAY)?;
            let tell = read_tell(reader, &at, targets);
            Some(Escalation { after, tell })
        });
    AlertRule {
        kinds: texts(reader, at, "kinds"),
        cameras: texts(reader, at, "cameras"),
        tags: texts(reader, at, "tags"),
        at_least: reader.choice(at, "at-least", &severities),
        hours: reader.parsed::<Hours>(at, "hours", "hours = \"22:00-05:00\""),
        days: read_days(reader, at),
        severity: reader.choice(at, "severity", &severities),
        quiet,
        tell,
        follow: reader.flag(at, "follow").unwrap_or(true),
        group,
        wait: span(reader, at, "wait", DAY).unwrap_or_default(),
        escalate,
    }
}

/// Targets by name, or by a tag that they have.
fn read_tell<'a>(reader: &mut Reader<'a>, at: &Section<'a>, targets: &Targets) -> Vec<String> {
    let Some(item) = at.table.get("tell") else {
        return Vec::new();
    };
    let mut told: Vec<String> = Vec::new();
    for (text, span) in reader.texts(at, "tell", item) {
        let named: Vec<&String> = match text.strip_prefix(TAG) {
            Some(tag) => {
                let tagged = targets
                    .iter()
                    .filter(|(_, target)| target.tags.iter().any(|t| t == tag));
                tagged.map(|(name, _)| name).collect()
            }
            None => targets.keys().filter(|name| **name == text).collect(),
        };
        if named.is_empty() {
            let message = format!("`tell` of {}: nobody is {text:?}", at.name);
            let hint = known(targets.keys().map(String::as_str));
            reader.problem(
                span,
                message,
                format!("{hint}; \"tag:duty\" is all with that tag"),
            );
        }
        told.extend(named.into_iter().cloned());
    }
    told.dedup();
    told
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Days of the week, and holidays.
pub(super) fn read_days<'a>(reader: &mut Reader<'a>, at: &Section<'a>) -> Option<DayKinds> {
    let item = at.table.get("days")?;
    let mut days = DayKinds {
        weekdays: [false; 7],
        holidays: false,
    };
    for (text, span) in reader.texts(at, "days", item) {
        match DAYS.iter().position(|day| *day == text) {
            Some(day) => days.weekdays[day] = true,
            None if text == "holidays" => days.holidays = true,
            None => {
                let message = format!("`days` of {}: no day is {text:?}", at.name);
                reader.problem(span, message, format!("{} or holidays", DAYS.join(", ")));
            }
        }
    }
    Some(days)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::commune::parse;
    use super::*;

    fn alerts(text: &str) -> Result<CommuneAlerts, Vec<String>> {
        let file = Path::new("thu/commune.toml");
        let text = format!(
            "[commune]\nname = \"Thu\"\nlanguage = \"en\"\nholidays = [\"2027-02-06\"]\n\
             [plugin.telegram]\ncomponent = \"plugins/a.wasm\"\n{text}"
        );
        match parse("thu".parse().unwrap(), file, &text) {
            Ok(commune) => Ok((*commune.events.events.alerts).clone()),
            Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
        }
    }

    const TARGETS: &str = r#"
[target.desk]
title = "Trực ban"
alerter = "telegram"
tags = ["duty"]
address = { chat = -1001, silent = true, topic = "a" }
deadline = "6h"
[target.diary]
alerter = "log"
"#;

    #[test]
    fn targets_and_rules_are_read() {
        let rules = r#"
[events]
policy = "telegram"
[[rule]]
kinds = ["litter"]
hours = "22:00-05:00"
days = ["sat", "holidays"]
severity = "alarm"
tell = ["tag:duty"]
follow = false
group = "night"
wait = "30s"
escalate = { after = "5min", tell = ["diary"] }
[[rule]]
quiet = "too many"
"#;
        let read = alerts(&format!("{TARGETS}{rules}")).unwrap();
        assert_eq!(read.policy.as_ref().unwrap().as_str(), "telegram");
        let desk = &read.targets["desk"];
        let pairs: Vec<_> = desk.address.iter().map(|a| (&*a.key, &*a.value)).collect();
        assert_eq!(
            pairs,
            [("chat", "-1001"), ("silent", "true"), ("topic", "a")]
        );
        assert_eq!(desk.deadline, Duration::from_secs(6 * 3600));
        assert_eq!(read.targets["diary"].alerter.as_str(), LOG_ALERTER);
        let rule = &read.rules[0];
        assert_eq!(
            (rule.tell.as_slice(), rule.follow),
            (&["desk".to_owned()][..], false)
        );
        assert_eq!(rule.escalate.as_ref().unwrap().tell, ["diary"]);
        assert!(rule.days.unwrap().weekdays[5] && rule.days.unwrap().holidays);
        assert_eq!(read.rules[1].quiet.as_deref(), Some("too many"));
        assert_eq!((read.facts.targets.len(), &*read.facts.language), (2, "en"));
        assert_eq!(read.facts.holidays.len(), 1);
    }

    #[test]
    fn browsers_are_one_line() {
        let file = Path::new("thu/commune.toml");
        let text = "target.browsers = { alerter = \"push\" }\n[commune]\nname = \"Thu\"\n";
        let commune = parse("thu".parse().unwrap(), file, text).unwrap();
        let (name, target) = commune.events.events.alerts.push_target().unwrap();
        assert_eq!((name, &*target.title), ("browsers", "browsers"));
        assert!(alerts(TARGETS).unwrap().push_target().is_none());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |text: &str, says: &str| {
            let problems = alerts(&format!("{TARGETS}{text}")).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains(says), "{problems:?}");
        };
        wrong(
            "[events]\npolicy = \"night\"\n",
            "there is no [plugin.night]",
        );
        wrong("[[rule]]\ntell = [\"boss\"]\n", "there are desk, diary");
        wrong("[[rule]]\nhours = \"22-5\"\n", "22:00-05:30");
        wrong("[[rule]]\ndays = [\"monday\"]\n", "no day is \"monday\"");
        wrong(
            "[[rule]]\nquiet = \"x\"\ntell = [\"desk\"]\n",
            "quiet and tells",
        );
        wrong("[[rule]]\nkind = [\"x\"]\n", "`kinds`");
        wrong("[target.Boss]\nalerter = \"log\"\n", "target name");
        wrong("[target.boss]\nalerter = \"mail\"\n", "[plugin.mail]");
        wrong("[rule]\ntell = []\n", "[[rule]]");
        wrong("[plugin.log]\ncomponent = \"a.wasm\"\n", "log");
        wrong("[plugin.push]\ncomponent = \"a.wasm\"\n", "push");
        let twice = "[target.a]\nalerter = \"push\"\n[target.b]\nalerter = \"push\"\n";
        wrong(
            twice,
            "[target.b] stands for the same browsers as [target.a]",
        );
    }
}
