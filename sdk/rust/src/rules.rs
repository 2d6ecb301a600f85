//! What the rules of policies are written with: names with `*`, hours of the day, who is to be told,
//! and how far an escalation has come.

use serde::{Deserialize, Deserializer};

use crate::host::commune::{self, LocalTime};
use crate::policy::{Alert, Event, Severity};

/// Alerts of one ruling at most.
const MOST_ALERTS: usize = 32;

/// Whether a name fits a pattern, in which `*` is any text.
pub fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, behind)) => {
            let Some(rest) = name.strip_prefix(before) else {
                return false;
            };
            let mut starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            starts.any(|at| rest.get(at..).is_some_and(|rest| fits(behind, rest)))
        }
    }
}

/// Whether a name fits one of these; no patterns at all are fit by everything.
pub fn fits_any(patterns: &[String], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| fits(pattern, name))
}

/// Whether a camera has one of these tags; no tags at all are had by every camera.
pub fn tagged(tags: &[String], camera: &str) -> bool {
    tags.is_empty() || tags_of(camera).iter().any(|tag| tags.contains(tag))
}

/// A camera's tags.
pub fn tags_of(camera: &str) -> Vec<String> {
    commune::camera(camera)
        .map(|facts| facts.tags)
        .unwrap_or_default()
}

/// A part of the day: `22:00-06:00` goes over midnight, `06:00-06:00` is all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    from: TimeOfDay,
    to: TimeOfDay,
}

impl Hours {
    /// The whole day.
    pub const fn all_day() -> Self {
        let midnight = TimeOfDay { hour: 0, minute: 0 };
        Self {
            from: midnight,
            to: midnight,
        }
    }

    /// Whether the clock on the wall is within; the end is not.
    pub fn contain(self, local: &LocalTime) -> bool {
        let at = u16::from(local.hour) * 60 + u16::from(local.minute);
        let (from, to) = (self.from.minutes(), self.to.minutes());
        if from < to {
            (from..to).contains(&at)
        } else {
            at >= from || at < to
        }
    }

    /// As it is written; an error says what would be right.
    pub fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no part of the day as 22:00-06:00");
        let (from, to) = text.split_once('-').ok_or_else(wrong)?;
        Ok(Self {
            from: TimeOfDay::read(from.trim()).ok_or_else(wrong)?,
            to: TimeOfDay::read(to.trim()).ok_or_else(wrong)?,
        })
    }
}

impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A time on the clock on the wall: `07:30`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeOfDay {
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
}

impl TimeOfDay {
    /// As it is written.
    pub fn read(text: &str) -> Option<Self> {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute) = (hour.parse().ok()?, minute.parse().ok()?);
        (hour < 24 && minute < 60).then_some(Self { hour, minute })
    }

    fn minutes(self) -> u16 {
        u16::from(self.hour) * 60 + u16::from(self.minute)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom(format!("{text:?} is no time as 07:30"));
        Self::read(&text).ok_or_else(wrong)
    }
}

/// A severity as settings have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Worth keeping.
    Info,
    /// Worth a look.
    Notice,
    /// Somebody should look.
    Warning,
    /// Somebody has to act.
    Alarm,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Info => Self::Info,
            Level::Notice => Self::Notice,
            Level::Warning => Self::Warning,
            Level::Alarm => Self::Alarm,
        }
    }
}

/// The targets of these names, each once; `tag:night` is all that have the tag. Names that no target
/// has are kept: the house says of them that they are wrong.
pub fn targets(wanted: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in wanted {
        let names = match name.strip_prefix("tag:") {
            None => vec![name.clone()],
            Some(tag) => {
                let known = commune::targets().into_iter();
                let has = |tags: &[String]| tags.iter().any(|own| own == tag);
                known.filter(|t| has(&t.tags)).map(|t| t.name).collect()
            }
        };
        for name in names {
            if !found.contains(&name) && found.len() < MOST_ALERTS {
                found.push(name);
            }
        }
    }
    found
}

/// Alerts for [`targets`], at once; they are told the end and the answer too.
pub fn tell(wanted: &[String]) -> Vec<Alert> {
    let alert = |target| Alert {
        follow: true,
        ..Alert::to(target)
    };
    targets(wanted).into_iter().map(alert).collect()
}

/// What a policy tells of what is not its own matter: warnings and alarms, to these.
pub fn otherwise(event: &Event, wanted: &[String]) -> Vec<Alert> {
    if event.severity < Severity::Warning || event.answered.is_some() {
        return Vec::new();
    }
    tell(wanted)
}

/// How far an escalation has come: what stands in a policy's memo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Climb {
    /// The step that is next.
    pub next: usize,
    /// When it is due, in microseconds since 1970; 0 is never.
    pub due: i64,
}

impl Climb {
    /// From the memo; none if there is none.
    pub fn read(memo: &str) -> Option<Self> {
        let (next, due) = memo.split_once(' ')?;
        Some(Self {
            next: next.parse().ok()?,
            due: due.parse().ok()?,
        })
    }

    /// For the memo.
    pub fn memo(self) -> String {
        format!("{} {}", self.next, self.due)
    }

    /// Due after so many minutes.
    pub fn after(next: usize, minutes: u32, now: i64) -> Self {
        Self {
            next,
            due: now + i64::from(minutes) * 60_000_000,
        }
    }

    /// Whether its time has come.
    pub fn is_due(self, now: i64) -> bool {
        self.due != 0 && self.due <= now
    }

    /// Seconds until it is due, as `ask_again` wants them; 0 if it never is.
    pub fn wait(self, now: i64) -> u32 {
        if self.due == 0 {
            return 0;
        }
        let seconds = ((self.due - now).max(0) + 999_999) / 1_000_000;
        u32::try_from(seconds).unwrap_or(u32::MAX).clamp(5, 604_800)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Commune};

    #[test]
    fn names_with_stars() {
        assert!(fits("cho-*", "cho-1") && fits("*", "") && fits("a*c*e", "abcde"));
        assert!(!fits("cho-*", "chợ") && !fits("a*c", "ab") && !fits("", "a"));
        assert!(fits("*é", "caffé") && fits_any(&[], "x"));
    }

    #[test]
    fn hours_over_midnight() {
        let at = |hour, minute| {
            let mut local = commune::local(0);
            (local.hour, local.minute) = (hour, minute);
            local
        };
        let night = Hours::read("22:00-06:30").unwrap();
        assert!(night.contain(&at(22, 0)) && night.contain(&at(6, 29)));
        assert!(!night.contain(&at(6, 30)) && !night.contain(&at(21, 59)));
        let noon = Hours::read("11:00 - 13:00").unwrap();
        assert!(noon.contain(&at(12, 0)) && !noon.contain(&at(13, 0)));
        assert!(Hours::read("06:00-06:00").unwrap().contain(&at(3, 0)));
        assert!(Hours::read("22-6").unwrap_err().contains("22:00-06:00"));
    }

    #[test]
    fn targets_by_name_and_tag() {
        testing::commune(Commune {
            targets: vec![
                testing::target("an", &["night"]),
                testing::target("binh", &["night"]),
            ],
            ..Commune::default()
        });
        let wanted = ["binh".to_owned(), "tag:night".to_owned(), "chi".to_owned()];
        assert_eq!(targets(&wanted), ["binh", "an", "chi"]);
    }

    #[test]
    fn an_escalation_is_remembered() {
        let climb = Climb::after(1, 5, 1_000_000);
        assert_eq!(Climb::read(&climb.memo()), Some(climb));
        assert_eq!((climb.wait(1_000_000), climb.wait(300_000_000)), (300, 5));
        assert!(climb.is_due(301_000_000) && !climb.is_due(300_000_000));
        assert_eq!(Climb { next: 1, due: 0 }.wait(0), 0);
    }
}
