//! At night and on holidays only alarms are told at once. What is less waits for the morning, and goes
//! out together then.

use serde::Deserialize;
use taimat_sdk::Error;
use taimat_sdk::host::commune;
use taimat_sdk::policy::{Alert, Cause, Event, Policy, Ruling, Severity, Situation, policy};
use taimat_sdk::rules::{self, Hours, Level, TimeOfDay};

/// Days that are looked at for a morning without holiday: alerts wait for 7 at most.
const MOST_DAYS: usize = 6;
/// What waits together has this name.
const DIGEST: &str = "digest";
/// What is written in the memo when something that waits has become an alarm.
const RISEN: &str = "risen";
/// Seconds until what was taken back is told anew: the least that may be asked for.
const AT_ONCE: u32 = 5;

/// What a commune may set.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    tell: Vec<String>,
    quiet: Hours,
    holidays: bool,
    morning: TimeOfDay,
    /// What is less is never told.
    at_least: Level,
    /// What is as much is told at once, at any time.
    at_once: Level,
}

impl Default for Settings {
    fn default() -> Self {
        let hours = "21:30-06:30";
        Self {
            tell: vec!["tag:duty".into()],
            // It is a part of the day: the test has read it.
            quiet: Hours::read(hours).unwrap_or_else(|_none| Hours::all_day()),
            holidays: true,
            morning: TimeOfDay { hour: 7, minute: 0 },
            at_least: Level::Notice,
            at_once: Level::Alarm,
        }
    }
}

#[derive(Debug)]
struct QuietHours(Settings);

impl QuietHours {
    fn is_quiet(&self, at: i64) -> bool {
        let local = commune::local(at);
        self.0.quiet.contain(&local) || self.0.holidays && local.holiday
    }

    /// The next morning that is no holiday.
    fn morning(&self, now: i64) -> i64 {
        let TimeOfDay { hour, minute } = self.0.morning;
        let mut at = commune::next(now, hour, minute);
        for _ in 1..MOST_DAYS {
            if !(self.0.holidays && commune::local(at).holiday) {
                break;
            }
            at = commune::next(at, hour, minute);
        }
        at
    }

    fn digest(&self, now: i64) -> Vec<Alert> {
        let not_before = self.morning(now);
        let wait = |alert: Alert| Alert {
            group: DIGEST.into(),
            not_before,
            follow: false,
            ..alert
        };
        rules::tell(&self.0.tell).into_iter().map(wait).collect()
    }
}

impl Policy for QuietHours {
    type Settings = Settings;
    const SETTINGS_SCHEMA: &'static str = include_str!("../settings.schema.json");

    fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self(settings))
    }

    fn on_event(&mut self, event: &Event, situation: &Situation) -> Result<Ruling, Error> {
        let now = situation.now;
        if let Some(answer) = &event.answered {
            // Nobody reads in the morning of what was nothing.
            let nothing = answer.false_alarm && situation.told.iter().any(is_waiting);
            return Ok(Ruling {
                suppress: nothing.then(|| format!("{}: false alarm", answer.who)),
                ..Ruling::default()
            });
        }
        let urgent = event.severity >= Severity::from(self.0.at_once);
        let waits = situation.told.iter().any(is_waiting);
        match situation.why {
            Cause::Timer if situation.memo == RISEN => Ok(Ruling {
                alerts: rules::tell(&self.0.tell),
                ..Ruling::default()
            }),
            // What waits in the digest is told no sooner by being named again: it is taken back first.
            Cause::Updated if urgent && waits => Ok(Ruling {
                suppress: Some("it has become more severe and is told by itself".into()),
                ask_again: AT_ONCE,
                memo: RISEN.into(),
                ..Ruling::default()
            }),
            Cause::Opened | Cause::Updated
                if event.severity >= self.0.at_least.into() && situation.told.is_empty() =>
            {
                let quiet = self.is_quiet(now) && !urgent;
                Ok(Ruling {
                    alerts: if quiet {
                        self.digest(now)
                    } else {
                        rules::tell(&self.0.tell)
                    },
                    memo: situation.memo.clone(),
                    ..Ruling::default()
                })
            }
            _ => Ok(Ruling {
                memo: situation.memo.clone(),
                ..Ruling::default()
            }),
        }
    }
}

fn is_waiting(told: &taimat_sdk::policy::Told) -> bool {
    told.state == taimat_sdk::policy::Delivery::Waiting
}

policy!(QuietHours);

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_sdk::policy::{Delivery, Told};
    use taimat_sdk::testing::{self, Commune};

    /// 2027-03-01 22:38:05 in Hà Nội.
    const NIGHT: i64 = 1_803_915_485_000_000;
    const HOUR: i64 = 3_600_000_000;

    fn set() -> QuietHours {
        testing::commune(Commune {
            targets: vec![testing::target("desk", &["duty"])],
            holidays: vec![(2027, 3, 2), (2027, 3, 3)],
            ..Commune::default()
        });
        QuietHours(Settings::default())
    }

    fn ask(now: i64, severity: Severity, situation: Situation) -> Ruling {
        let mut event = testing::policy_event("e1", "cho-1", "motion", now);
        event.severity = severity;
        set().on_event(&event, &situation).unwrap()
    }

    #[test]
    fn the_night_waits_for_a_morning_that_is_no_holiday() {
        let ruling = ask(NIGHT, Severity::Warning, testing::situation(NIGHT));
        assert_eq!(ruling.alerts[0].group, "digest");
        let morning = commune::local(ruling.alerts[0].not_before);
        assert_eq!((morning.day, morning.hour, morning.minute), (4, 7, 0));
        let alarm = ask(NIGHT, Severity::Alarm, testing::situation(NIGHT));
        assert_eq!(
            (alarm.alerts[0].not_before, alarm.alerts[0].follow),
            (0, true)
        );
        let evening = NIGHT - 4 * HOUR;
        let day = ask(evening, Severity::Notice, testing::situation(evening));
        assert_eq!(day.alerts[0].group, "");
        let info = ask(evening, Severity::Info, testing::situation(evening));
        assert!(info.alerts.is_empty());
    }

    #[test]
    fn what_becomes_an_alarm_does_not_wait() {
        let mut situation = testing::situation(NIGHT);
        situation.why = Cause::Updated;
        situation.told.push(Told {
            target: "desk".into(),
            at: NIGHT,
            state: Delivery::Waiting,
        });
        let risen = ask(NIGHT, Severity::Alarm, situation);
        assert!(risen.suppress.is_some() && risen.ask_again == 5);
        let mut situation = testing::situation(NIGHT);
        situation.why = Cause::Timer;
        situation.memo = risen.memo;
        assert_eq!(
            ask(NIGHT, Severity::Alarm, situation).alerts[0].target,
            "desk"
        );
    }
}
