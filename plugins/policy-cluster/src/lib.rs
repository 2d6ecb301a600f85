//! One alert for cameras that look at the same place: when cameras with the same tag see the same kind
//! within a minute, the first tells, and the others point to it.

use serde::Deserialize;
use taimat_sdk::policy::{Cause, Event, Other, Policy, Ruling, Severity, Situation, policy};
use taimat_sdk::rules::{self, Level};
use taimat_sdk::{Attribute, Error};

/// The note that says which event tells for this one.
const NOTE: &str = "cluster";

/// What a commune may set.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// Tags that make cameras belong together; with `*`. None is every tag.
    tags: Vec<String>,
    within_seconds: u32,
    at_least: Level,
    tell: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tags: vec!["place-*".into()],
            within_seconds: 60,
            at_least: Level::Warning,
            tell: vec!["tag:duty".into()],
        }
    }
}

#[derive(Debug)]
struct Cluster(Settings);

impl Cluster {
    /// The event that tells for this one already, if there is one: the oldest.
    fn told<'a>(&self, event: &Event, situation: &'a Situation) -> Option<&'a Other> {
        let mut tags = rules::tags_of(&event.camera);
        tags.retain(|tag| rules::fits_any(&self.0.tags, tag));
        let within = i64::from(self.0.within_seconds) * 1_000_000;
        // The newest is the first of them.
        situation.others.iter().rev().find(|other| {
            let same = other.told && other.kind == event.kind && other.camera != event.camera;
            let near = (event.began - other.began).abs() <= within;
            // What is more severe than what was told is told too.
            same && near
                && other.severity >= event.severity
                && rules::tags_of(&other.camera)
                    .iter()
                    .any(|tag| tags.contains(tag))
        })
    }
}

impl Policy for Cluster {
    type Settings = Settings;
    const SETTINGS_SCHEMA: &'static str = include_str!("../settings.schema.json");

    fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self(settings))
    }

    fn on_event(&mut self, event: &Event, situation: &Situation) -> Result<Ruling, Error> {
        let due = matches!(situation.why, Cause::Opened | Cause::Updated)
            && situation.told.is_empty()
            && event.answered.is_none()
            && event.severity >= Severity::from(self.0.at_least);
        if !due {
            return Ok(Ruling::default());
        }
        let Some(first) = self.told(event, situation) else {
            return Ok(Ruling {
                alerts: rules::tell(&self.0.tell),
                ..Ruling::default()
            });
        };
        Ok(Ruling {
            suppress: Some(format!("told already: {} at {}", first.id, first.camera)),
            notes: vec![Attribute {
                key: NOTE.into(),
                value: first.id.clone(),
            }],
            ..Ruling::default()
        })
    }
}

policy!(Cluster);

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_sdk::policy::Phase;
    use taimat_sdk::testing::{self, Commune};

    const NIGHT: i64 = 1_803_915_485_000_000;

    fn ask(other: &str, kind: &str, seconds: i64, severity: Severity) -> Ruling {
        testing::commune(Commune {
            cameras: vec![
                testing::camera("cho-1", "", &["place-cho", "loud"]),
                testing::camera("cho-2", "", &["place-cho"]),
                testing::camera("cau", "", &["place-cau", "loud"]),
            ],
            targets: vec![testing::target("desk", &["duty"])],
            ..Commune::default()
        });
        let event = testing::policy_event("e2", "cho-1", "intrusion", NIGHT);
        let mut situation = testing::situation(NIGHT);
        situation.others.push(Other {
            id: "e1".into(),
            camera: other.into(),
            kind: kind.into(),
            severity,
            phase: Phase::Opened,
            began: NIGHT - seconds * 1_000_000,
            answered: false,
            told: true,
        });
        Cluster(Settings::default())
            .on_event(&event, &situation)
            .unwrap()
    }

    #[test]
    fn the_first_of_a_place_tells_for_the_others() {
        let second = ask("cho-2", "intrusion", 40, Severity::Warning);
        assert!(second.alerts.is_empty() && second.notes[0].value == "e1");
        for (camera, kind, seconds, severity) in [
            ("cau", "intrusion", 40, Severity::Warning),
            ("cho-2", "motion", 40, Severity::Warning),
            ("cho-2", "intrusion", 61, Severity::Warning),
            ("cho-2", "intrusion", 40, Severity::Notice),
        ] {
            assert_eq!(
                ask(camera, kind, seconds, severity).alerts.len(),
                1,
                "{camera} {kind}"
            );
        }
    }
}
