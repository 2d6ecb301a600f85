//! Rules that stand in the settings. The first that fits an event decides: how severe it is, whom to
//! tell, what to record, and who is next when nobody answers.

use serde::Deserialize;
use taimat_sdk::Error;
use taimat_sdk::host::commune;
use taimat_sdk::policy::{Cause, Event, Policy, Ruling, Situation, Take, policy};
use taimat_sdk::rules::{self, Climb, Hours, Level};

/// Days of the week as rules name them; Monday is the first.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// A day that is listed as a holiday.
const HOLIDAY: &str = "holiday";

/// Who is next, and when.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Next {
    after_minutes: u32,
    tell: Vec<String>,
}

/// One rule. What it does not say does not matter.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Rule {
    kinds: Vec<String>,
    cameras: Vec<String>,
    tags: Vec<String>,
    hours: Option<Hours>,
    days: Vec<String>,
    at_least: Option<Level>,
    confidence: f32,
    /// The severity from then on.
    severity: Option<Level>,
    /// Nobody is told, for this reason.
    silent: Option<String>,
    tell: Vec<String>,
    then: Vec<Next>,
    record_seconds: u32,
    keep_days: u32,
}

/// What a commune may set.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rules(Vec<Rule>);

impl Rule {
    fn fits(&self, event: &Event) -> bool {
        let local = commune::local(event.began);
        let weekday = usize::from(local.weekday)
            .checked_sub(1)
            .and_then(|d| DAYS.get(d));
        let named = |day: &str| self.days.iter().any(|own| own == day);
        let day = self.days.is_empty()
            || weekday.is_some_and(|day| named(day))
            || local.holiday && named(HOLIDAY);
        day && rules::fits_any(&self.kinds, &event.kind)
            && rules::fits_any(&self.cameras, &event.camera)
            && rules::tagged(&self.tags, &event.camera)
            && self.hours.is_none_or(|hours| hours.contain(&local))
            && self
                .at_least
                .is_none_or(|least| event.severity >= least.into())
            && event.best.confidence >= self.confidence
    }

    /// When it decides for the first time.
    fn begin(&self, number: usize, event: &Event, now: i64) -> Ruling {
        let climb = self.climb(0, now);
        let take = (self.record_seconds > 0 && !event.camera.is_empty()).then(|| Take {
            camera: event.camera.clone(),
            before: 30,
            after: self.record_seconds,
            keep_days: self.keep_days,
        });
        Ruling {
            severity: self.severity.map(Into::into),
            suppress: self.silent.clone(),
            alerts: rules::tell(&self.tell),
            takes: take.into_iter().collect(),
            ask_again: climb.wait(now),
            memo: memo(number, climb),
            ..Ruling::default()
        }
    }

    /// The step after so many, if there is one.
    fn climb(&self, steps: usize, now: i64) -> Climb {
        match self.then.get(steps) {
            Some(next) => Climb::after(steps, next.after_minutes, now),
            None => Climb {
                next: steps,
                due: 0,
            },
        }
    }

    /// Tells who is next.
    fn climbs(&self, number: usize, steps: usize, now: i64) -> Ruling {
        let alerts = self.then.get(steps).map(|next| rules::tell(&next.tell));
        let climb = self.climb(steps + 1, now);
        Ruling {
            alerts: alerts.unwrap_or_default(),
            ask_again: climb.wait(now),
            memo: memo(number, climb),
            ..Ruling::default()
        }
    }
}

fn memo(rule: usize, climb: Climb) -> String {
    format!("{rule}/{}", climb.memo())
}

fn remembered(memo: &str) -> Option<(usize, Climb)> {
    let (rule, climb) = memo.split_once('/')?;
    Some((rule.parse().ok()?, Climb::read(climb)?))
}

impl Policy for Rules {
    type Settings = Settings;
    const SETTINGS_SCHEMA: &'static str = include_str!("../settings.schema.json");

    fn new(settings: Settings) -> Result<Self, Error> {
        for (number, rule) in settings.rules.iter().enumerate() {
            let known = |day: &str| DAYS.contains(&day) || day == HOLIDAY;
            if let Some(day) = rule.days.iter().find(|day| !known(day)) {
                let days = DAYS.join(", ");
                return Err(Error::Settings(format!(
                    "rules[{number}].days: {day:?} is none of {days}, {HOLIDAY}"
                )));
            }
        }
        Ok(Self(settings.rules))
    }

    fn on_event(&mut self, event: &Event, situation: &Situation) -> Result<Ruling, Error> {
        let now = situation.now;
        let before = remembered(&situation.memo);
        let same = Ruling {
            memo: situation.memo.clone(),
            ..Ruling::default()
        };
        if event.answered.is_some() {
            return Ok(same);
        }
        let ruled = before.and_then(|(number, climb)| Some((number, self.0.get(number)?, climb)));
        match (situation.why, ruled) {
            (Cause::Timer, Some((number, rule, climb))) if climb.is_due(now) => {
                Ok(rule.climbs(number, climb.next, now))
            }
            // Who can not be reached does not answer: nobody waits for that.
            (Cause::Undelivered, Some((number, rule, climb))) if climb.due != 0 => {
                Ok(rule.climbs(number, climb.next, now))
            }
            (Cause::Opened | Cause::Updated, _) => {
                let fit = self.0.iter().position(|rule| rule.fits(event));
                match fit.and_then(|number| Some((number, self.0.get(number)?))) {
                    Some((number, rule)) if before.is_none_or(|(old, _)| number < old) => {
                        Ok(rule.begin(number, event, now))
                    }
                    _ => Ok(same),
                }
            }
            _ => Ok(same),
        }
    }
}

policy!(Rules);

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_sdk::policy::{Answer, Severity};
    use taimat_sdk::testing::{self, Commune};

    /// 2027-03-01 22:38:05 in Hà Nội, a Monday.
    const NIGHT: i64 = 1_803_915_485_000_000;

    fn rules(json: &str) -> Rules {
        testing::commune(Commune {
            cameras: vec![testing::camera("cho-1", "", &["market"])],
            ..Commune::default()
        });
        Rules::new(serde_json::from_str(json).unwrap()).unwrap()
    }

    fn told(ruling: &Ruling) -> Vec<&str> {
        ruling.alerts.iter().map(|a| a.target.as_str()).collect()
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let mut rules = rules(
            r#"{ "rules": [
                { "kinds": ["tamper-*"], "severity": "alarm", "tell": ["chief"] },
                { "tags": ["market"], "hours": "22:00-06:00", "days": ["mon"], "tell": ["duty"] },
                { "silent": "not ours" }
            ] }"#,
        );
        let situation = testing::situation(NIGHT);
        let mut ask = |camera: &str, kind: &str, at: i64| {
            let event = testing::policy_event("e1", camera, kind, at);
            rules.on_event(&event, &situation).unwrap()
        };
        let tamper = ask("cho-1", "tamper-moved", NIGHT);
        assert_eq!(
            (told(&tamper), tamper.severity),
            (vec!["chief"], Some(Severity::Alarm))
        );
        assert_eq!(told(&ask("cho-1", "motion", NIGHT)), ["duty"]);
        let tuesday = ask("cho-1", "motion", NIGHT + 86_400_000_000);
        assert_eq!(tuesday.suppress.as_deref(), Some("not ours"));
        assert!(ask("other", "motion", NIGHT).suppress.is_some());
    }

    #[test]
    fn who_is_next_is_told_until_somebody_answers() {
        let mut rules = rules(
            r#"{ "rules": [{ "tell": ["duty"], "then": [
                { "after-minutes": 5, "tell": ["deputy"] },
                { "after-minutes": 10, "tell": ["chief"] }
            ] }] }"#,
        );
        let mut event = testing::policy_event("e1", "cho-1", "motion", NIGHT);
        let mut situation = testing::situation(NIGHT);
        let mut ask = |event: &Event, why: Cause, minutes: i64, memo: &str| {
            situation.why = why;
            situation.now = NIGHT + minutes * 60_000_000;
            situation.memo = memo.into();
            rules.on_event(event, &situation).unwrap()
        };
        let first = ask(&event, Cause::Opened, 0, "");
        assert_eq!((told(&first), first.ask_again), (vec!["duty"], 300));
        let early = ask(&event, Cause::Updated, 2, &first.memo);
        assert_eq!(
            (told(&early), early.memo.as_str()),
            (vec![], first.memo.as_str())
        );
        let unreached = ask(&event, Cause::Undelivered, 2, &first.memo);
        assert_eq!(
            (told(&unreached), unreached.ask_again),
            (vec!["deputy"], 600)
        );
        let second = ask(&event, Cause::Timer, 5, &first.memo);
        assert_eq!((told(&second), second.ask_again), (vec!["deputy"], 600));
        event.answered = Some(Answer {
            who: "An".into(),
            at: NIGHT,
            false_alarm: false,
        });
        assert!(
            ask(&event, Cause::Timer, 15, &second.memo)
                .alerts
                .is_empty()
        );
    }

    #[test]
    fn a_day_that_is_none_is_named() {
        let settings = serde_json::from_str(r#"{ "rules": [{ "days": ["monday"] }] }"#);
        let refused = Rules::new(settings.unwrap()).unwrap_err();
        assert!(matches!(refused, Error::Settings(why) if why.contains("rules[0].days")));
    }
}
