//! Waste dumping. Something that is left behind at night, at a camera that watches such a place, is a
//! warning when somebody or a vehicle was near in time; without, it is worth a look.

use serde::Deserialize;
use taimat_sdk::host::commune;
use taimat_sdk::policy::{Cause, Event, Policy, Ruling, Situation, Take, policy};
use taimat_sdk::rules::{self, Hours, Level};
use taimat_sdk::{Attribute, Error};

/// Seconds between two looks whether somebody came near.
const LOOK_AGAIN: u32 = 60;
/// Names of events that are written on one at most, so that a note stays a line.
const MOST_NAMED: usize = 5;

/// What a commune may set.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// Tags of cameras that watch such a place; none is all cameras.
    tags: Vec<String>,
    hours: Hours,
    litter: Vec<String>,
    somebody: Vec<String>,
    near_minutes: u32,
    tell: Vec<String>,
    keep_days: u32,
    /// Whom warnings are told that are not dumping.
    otherwise: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        Self {
            tags: words(&["dumping"]),
            hours: Hours::all_day(),
            litter: words(&["object-left", "litter"]),
            somebody: words(&["person", "vehicle", "line-crossed"]),
            near_minutes: 5,
            tell: words(&["tag:duty"]),
            keep_days: 30,
            otherwise: Vec::new(),
        }
    }
}

#[derive(Debug)]
struct Dumping(Settings);

impl Dumping {
    /// Events of somebody at the same camera, near in time.
    fn near(&self, event: &Event, situation: &Situation) -> Vec<String> {
        let most = i64::from(self.0.near_minutes) * 60_000_000;
        let somebody = |kind: &str| self.0.somebody.iter().any(|p| rules::fits(p, kind));
        let others = situation.others.iter().filter(|other| {
            let near = (other.began - event.began).abs() <= most;
            near && other.camera == event.camera && somebody(&other.kind)
        });
        others
            .take(MOST_NAMED)
            .map(|other| other.id.clone())
            .collect()
    }

    fn rule(&self, event: &Event, situation: &Situation) -> Ruling {
        let near = self.near(event, situation);
        let over = i64::from(self.0.near_minutes) * 60_000_000 <= situation.now - event.began;
        if near.is_empty() {
            // Who carried it may be seen when they leave.
            return Ruling {
                severity: over.then_some(Level::Notice.into()),
                ask_again: if over { 0 } else { LOOK_AGAIN },
                ..Ruling::default()
            };
        }
        Ruling {
            severity: Some(event.severity.max(Level::Warning.into())),
            alerts: rules::tell(&self.0.tell),
            takes: vec![Take {
                camera: event.camera.clone(),
                before: 60,
                after: 60,
                keep_days: self.0.keep_days,
            }],
            notes: vec![Attribute {
                key: "seen-with".into(),
                value: near.join(" "),
            }],
            ..Ruling::default()
        }
    }
}

impl Policy for Dumping {
    type Settings = Settings;
    const SETTINGS_SCHEMA: &'static str = include_str!("../settings.schema.json");

    fn new(settings: Settings) -> Result<Self, Error> {
        match settings.near_minutes {
            1..=60 => Ok(Self(settings)),
            other => Err(Error::Settings(format!(
                "near-minutes: {other}, 1 to 60 is right"
            ))),
        }
    }

    fn on_event(&mut self, event: &Event, situation: &Situation) -> Result<Ruling, Error> {
        let own = self.0.litter.iter().any(|p| rules::fits(p, &event.kind))
            && rules::tagged(&self.0.tags, &event.camera)
            && self.0.hours.contain(&commune::local(event.began));
        let told = !situation.told.is_empty();
        if event.answered.is_some() || told {
            return Ok(Ruling::default());
        }
        Ok(match (own, situation.why) {
            (true, Cause::Opened | Cause::Updated | Cause::Timer) => self.rule(event, situation),
            (false, Cause::Opened | Cause::Updated) => Ruling {
                alerts: rules::otherwise(event, &self.0.otherwise),
                ..Ruling::default()
            },
            _ => Ruling::default(),
        })
    }
}

policy!(Dumping);

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_sdk::policy::{Other, Phase, Severity};
    use taimat_sdk::testing::{self, Commune};

    const NIGHT: i64 = 1_803_915_485_000_000;

    fn ask(camera: &str, minutes: i64, other: Option<(&str, i64)>) -> Ruling {
        testing::commune(Commune {
            cameras: vec![testing::camera("cau", "", &["dumping"])],
            targets: vec![testing::target("desk", &["duty"])],
            ..Commune::default()
        });
        let mut event = testing::policy_event("e1", camera, "object-left", NIGHT);
        event.severity = Severity::Notice;
        let mut situation = testing::situation(NIGHT + minutes * 60_000_000);
        situation.others.extend(other.map(|(kind, minutes)| Other {
            id: "e0".into(),
            camera: "cau".into(),
            kind: kind.into(),
            severity: Severity::Info,
            phase: Phase::Closed,
            began: NIGHT + minutes * 60_000_000,
            answered: false,
            told: false,
        }));
        Dumping(Settings::default())
            .on_event(&event, &situation)
            .unwrap()
    }

    #[test]
    fn somebody_near_in_time_makes_it_a_warning() {
        let dumped = ask("cau", 0, Some(("vehicle", -2)));
        assert_eq!(dumped.severity, Some(Severity::Warning));
        assert_eq!((dumped.alerts.len(), dumped.takes.len()), (1, 1));
        assert_eq!(dumped.notes[0].value, "e0");
        for other in [None, Some(("vehicle", -6)), Some(("motion", -1))] {
            let waits = ask("cau", 0, other);
            assert_eq!((waits.alerts.len(), waits.ask_again), (0, 60));
        }
        let nobody = ask("cau", 5, None);
        assert_eq!(
            (nobody.severity, nobody.ask_again),
            (Some(Severity::Notice), 0)
        );
        assert!(ask("cho", 0, Some(("vehicle", -2))).alerts.is_empty());
    }
}
