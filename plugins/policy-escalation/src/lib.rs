//! The duty desk first. If nobody answers in time, or the desk can not be reached, the deputy, and who
//! comes after.

use serde::Deserialize;
use taimat_sdk::Error;
use taimat_sdk::policy::{Cause, Event, Policy, Ruling, Severity, Situation, policy};
use taimat_sdk::rules::{self, Climb, Level};

/// One of those who are told one after the other.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Step {
    tell: Vec<String>,
    /// How long somebody may take to answer before the next is told.
    #[serde(default = "five")]
    answer_minutes: u32,
}

fn five() -> u32 {
    5
}

/// What a commune may set.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    at_least: Level,
    steps: Vec<Step>,
}

impl Default for Settings {
    fn default() -> Self {
        let step = |tag: &str| Step {
            tell: vec![format!("tag:{tag}")],
            answer_minutes: five(),
        };
        Self {
            at_least: Level::Warning,
            steps: vec![step("duty"), step("deputy")],
        }
    }
}

#[derive(Debug)]
struct Escalation(Settings);

impl Escalation {
    /// Tells who is next. Steps that tell nobody, because no target has the tag, are passed over.
    fn climb(&self, from: usize, now: i64) -> Ruling {
        let steps = self.0.steps.iter().enumerate().skip(from);
        let mut found = steps.map(|(number, step)| (number, step, rules::tell(&step.tell)));
        let Some((number, step, alerts)) = found.find(|(_, _, alerts)| !alerts.is_empty()) else {
            return Ruling {
                memo: Climb { next: from, due: 0 }.memo(),
                ..Ruling::default()
            };
        };
        let climb = match self.0.steps.len() > number + 1 {
            true => Climb::after(number + 1, step.answer_minutes, now),
            false => Climb {
                next: number + 1,
                due: 0,
            },
        };
        Ruling {
            alerts,
            ask_again: climb.wait(now),
            memo: climb.memo(),
            ..Ruling::default()
        }
    }
}

impl Policy for Escalation {
    type Settings = Settings;
    const SETTINGS_SCHEMA: &'static str = include_str!("../settings.schema.json");

    fn new(settings: Settings) -> Result<Self, Error> {
        match settings.steps.is_empty() {
            true => Err(Error::Settings("steps: at least one".into())),
            false => Ok(Self(settings)),
        }
    }

    fn on_event(&mut self, event: &Event, situation: &Situation) -> Result<Ruling, Error> {
        let now = situation.now;
        let same = Ruling {
            memo: situation.memo.clone(),
            ..Ruling::default()
        };
        if event.answered.is_some() || event.severity < Severity::from(self.0.at_least) {
            return Ok(same);
        }
        Ok(match (situation.why, Climb::read(&situation.memo)) {
            (Cause::Opened | Cause::Updated, None) => self.climb(0, now),
            (Cause::Timer, Some(climb)) if climb.is_due(now) => self.climb(climb.next, now),
            (Cause::Undelivered, Some(climb)) if climb.due != 0 => self.climb(climb.next, now),
            _ => same,
        })
    }
}

policy!(Escalation);

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_sdk::testing::{self, Commune};

    const NIGHT: i64 = 1_803_915_485_000_000;

    fn ask(why: Cause, minutes: i64, memo: &str, severity: Severity) -> Ruling {
        testing::commune(Commune {
            targets: vec![
                testing::target("desk", &["duty"]),
                testing::target("binh", &["deputy"]),
            ],
            ..Commune::default()
        });
        let mut event = testing::policy_event("e1", "cho-1", "intrusion", NIGHT);
        event.severity = severity;
        let mut situation = testing::situation(NIGHT + minutes * 60_000_000);
        situation.why = why;
        situation.memo = memo.into();
        Escalation(Settings::default())
            .on_event(&event, &situation)
            .unwrap()
    }

    fn told(ruling: &Ruling) -> Vec<&str> {
        ruling.alerts.iter().map(|a| a.target.as_str()).collect()
    }

    #[test]
    fn one_after_the_other_and_no_further() {
        let first = ask(Cause::Opened, 0, "", Severity::Warning);
        assert_eq!((told(&first), first.ask_again), (vec!["desk"], 300));
        assert!(told(&ask(Cause::Closed, 1, &first.memo, Severity::Warning)).is_empty());
        let second = ask(Cause::Timer, 5, &first.memo, Severity::Warning);
        assert_eq!((told(&second), second.ask_again), (vec!["binh"], 0));
        assert!(told(&ask(Cause::Undelivered, 6, &second.memo, Severity::Warning)).is_empty());
        let unreached = ask(Cause::Undelivered, 1, &first.memo, Severity::Warning);
        assert_eq!(told(&unreached), ["binh"]);
    }

    #[test]
    fn it_begins_when_an_event_becomes_severe_enough() {
        let notice = ask(Cause::Opened, 0, "", Severity::Notice);
        assert!(notice.alerts.is_empty() && notice.memo.is_empty());
        assert_eq!(told(&ask(Cause::Updated, 1, "", Severity::Alarm)), ["desk"]);
    }
}
