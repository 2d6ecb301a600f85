//! Crossroads: a line that is crossed or a crowd is the usual there. Nobody is told before there is much
//! of it within an hour, and then once an hour at each level.

use std::collections::BTreeMap;

use serde::Deserialize;
use taimat_sdk::policy::{Cause, Event, Policy, Ruling, Severity, Situation, policy};
use taimat_sdk::rules;
use taimat_sdk::{Attribute, Error};

/// How many of a kind within an hour are worth how much.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Thresholds {
    notice: u32,
    warning: u32,
}

/// What a commune may set.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Tags of cameras at crossroads; none is all cameras.
    tags: Vec<String>,
    kinds: BTreeMap<String, Thresholds>,
    tell: Vec<String>,
    /// Whom other warnings are told.
    otherwise: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let kind = |kind: &str, notice, warning| (kind.to_owned(), Thresholds { notice, warning });
        Self {
            tags: vec!["crossroads".into()],
            kinds: BTreeMap::from([
                kind("line-crossed", 30, 90),
                kind("motion", 60, 180),
                kind("crowd", 2, 4),
                kind("traffic", 2, 4),
            ]),
            tell: vec!["tag:traffic".into()],
            otherwise: Vec::new(),
        }
    }
}

#[derive(Debug)]
struct Crossroads(Settings);

impl Thresholds {
    fn severity(self, count: u32) -> Severity {
        match count {
            many if many >= self.warning => Severity::Warning,
            some if some >= self.notice => Severity::Notice,
            _ => Severity::Info,
        }
    }
}

impl Policy for Crossroads {
    type Settings = Settings;
    const SETTINGS_SCHEMA: &'static str = include_str!("../settings.schema.json");

    fn new(settings: Settings) -> Result<Self, Error> {
        let wrong = settings.kinds.iter().find(|(_, t)| t.notice > t.warning);
        match wrong {
            None => Ok(Self(settings)),
            Some((kind, _)) => Err(Error::Settings(format!(
                "kinds.{kind}: `notice` is at most `warning`"
            ))),
        }
    }

    fn on_event(&mut self, event: &Event, situation: &Situation) -> Result<Ruling, Error> {
        if event.answered.is_some() || situation.why != Cause::Opened {
            return Ok(Ruling::default());
        }
        let thresholds = self.0.kinds.get(&event.kind);
        let own = thresholds.filter(|_| rules::tagged(&self.0.tags, &event.camera));
        let Some(thresholds) = own else {
            return Ok(Ruling {
                alerts: rules::otherwise(event, &self.0.otherwise),
                ..Ruling::default()
            });
        };
        let severity = thresholds.severity(situation.same_last_hour);
        // Others that are open may be older than an hour: they count as told too.
        let told = situation.others.iter().any(|other| {
            let same = other.kind == event.kind && other.camera == event.camera;
            same && other.told && other.severity >= severity
        });
        let loud = severity > Severity::Info && !told;
        let alerts = if loud {
            rules::tell(&self.0.tell)
        } else {
            Vec::new()
        };
        let note = loud.then(|| Attribute {
            key: "last-hour".into(),
            value: situation.same_last_hour.to_string(),
        });
        Ok(Ruling {
            severity: Some(severity),
            alerts,
            notes: note.into_iter().collect(),
            ..Ruling::default()
        })
    }
}

policy!(Crossroads);

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_sdk::policy::{Other, Phase};
    use taimat_sdk::testing::{self, Commune};

    const NIGHT: i64 = 1_803_915_485_000_000;

    fn ask(count: u32, told_before: Option<Severity>) -> Ruling {
        testing::commune(Commune {
            cameras: vec![testing::camera("nga-tu", "", &["crossroads"])],
            targets: vec![testing::target("police", &["traffic"])],
            ..Commune::default()
        });
        let event = testing::policy_event("e1", "nga-tu", "line-crossed", NIGHT);
        let mut situation = testing::situation(NIGHT);
        situation.same_last_hour = count;
        situation.others.extend(told_before.map(|severity| Other {
            id: "e0".into(),
            camera: "nga-tu".into(),
            kind: "line-crossed".into(),
            severity,
            phase: Phase::Closed,
            began: NIGHT,
            answered: false,
            told: true,
        }));
        Crossroads(Settings::default())
            .on_event(&event, &situation)
            .unwrap()
    }

    #[test]
    fn once_an_hour_at_each_level() {
        let few = ask(29, None);
        assert_eq!((few.severity, few.alerts.len()), (Some(Severity::Info), 0));
        let some = ask(30, None);
        assert_eq!(
            (some.severity, some.alerts.len()),
            (Some(Severity::Notice), 1)
        );
        assert_eq!(ask(31, Some(Severity::Notice)).alerts.len(), 0);
        let many = ask(90, Some(Severity::Notice));
        assert_eq!(
            (many.severity, many.alerts.len()),
            (Some(Severity::Warning), 1)
        );
        assert_eq!(ask(91, Some(Severity::Warning)).alerts.len(), 0);
    }

    #[test]
    fn thresholds_go_up() {
        let wrong = r#"{ "kinds": { "crowd": { "notice": 3, "warning": 2 } } }"#;
        assert!(Crossroads::new(serde_json::from_str(wrong).unwrap()).is_err());
    }
}
