//! A written day: events of a commune as people write them, in a file.

use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use taimat_base::units::Span;
use taimat_contract::event::{Answer, Phase};
use taimat_contract::{Detection, Event, Severity, UnixMicros};

use crate::commune_file::{CameraText, CommuneText, TargetText, WallClock, WrittenCommune};
use crate::virtual_router::Happening;

/// Events of a day at most, repetitions counted.
const MOST_EVENTS: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DayText {
    date: String,
    #[serde(default)]
    commune: CommuneText,
    #[serde(default)]
    camera: Vec<CameraText>,
    #[serde(default)]
    target: Vec<TargetText>,
    #[serde(default)]
    event: Vec<EventText>,
}

/// `[[event]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct EventText {
    /// Its id: 1 to 16 of 0-9 and a-z.
    id: String,
    at: String,
    #[serde(default)]
    camera: String,
    kind: String,
    #[serde(default = "notice")]
    severity: Severity,
    #[serde(default = "sure")]
    confidence: f32,
    #[serde(default)]
    text: String,
    #[serde(default = "plugin")]
    plugin: String,
    #[serde(default = "yes")]
    picture: bool,
    #[serde(default)]
    updated: Vec<UpdateText>,
    closed: Option<String>,
    #[serde(default)]
    answered: Vec<AnswerText>,
    /// The same again and again, as other events: `id` with a number behind it.
    repeat: Option<RepeatText>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateText {
    at: String,
    severity: Option<Severity>,
    confidence: Option<f32>,
    text: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct AnswerText {
    at: String,
    who: String,
    #[serde(default)]
    false_alarm: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RepeatText {
    every: String,
    times: u32,
}

fn notice() -> Severity {
    Severity::Notice
}
fn sure() -> f32 {
    0.9
}
fn plugin() -> String {
    "detector".into()
}
fn yes() -> bool {
    true
}

/// A day, read and found good.
#[derive(Debug)]
pub(crate) struct WrittenDay {
    pub(crate) commune: WrittenCommune,
    events: Vec<EventText>,
}

impl WrittenDay {
    /// Reads a day's file.
    pub(crate) fn read(text: &str) -> anyhow::Result<Self> {
        let day: DayText = toml::from_str(text)?;
        let commune = WrittenCommune::read(&day.date, day.commune, day.camera, day.target)?;
        let times = |e: &EventText| e.repeat.as_ref().map_or(1, |r| r.times as usize);
        let events: usize = day.event.iter().map(times).sum();
        anyhow::ensure!(
            events <= MOST_EVENTS,
            "a day has {MOST_EVENTS} events at most, this one {events}"
        );
        let mut ids: Vec<&str> = day.event.iter().map(|e| e.id.as_str()).collect();
        ids.sort_unstable();
        let twice = ids.windows(2).find(|pair| pair[0] == pair[1]);
        anyhow::ensure!(twice.is_none(), "two events have the same id: {twice:?}");
        Ok(Self {
            commune,
            events: day.event,
        })
    }

    /// What happens, and when, if the day is repeated so often.
    pub(crate) fn happenings(&self, days: u32) -> anyhow::Result<Vec<(UnixMicros, Happening)>> {
        let mut all = Vec::new();
        for number in 0..days {
            let clock = self.commune.clock.later(number)?;
            for event in &self.events {
                let id = |time: u32| match (number, &event.repeat) {
                    (0, None) => event.id.clone(),
                    (0, Some(_)) => format!("{}x{time}", event.id),
                    (day, None) => format!("{}d{day}", event.id),
                    (day, Some(_)) => format!("{}x{time}d{day}", event.id),
                };
                let (every, times) = repeated(event)?;
                for time in 0..times {
                    let happens = self.one(event, id(time), &clock, every * time);
                    all.extend(happens.with_context(|| format!("event {}", event.id))?);
                }
            }
        }
        Ok(all)
    }

    fn one(
        &self,
        text: &EventText,
        id: String,
        clock: &WallClock,
        later: Duration,
    ) -> anyhow::Result<Vec<(UnixMicros, Happening)>> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        anyhow::ensure!(
            (1..=32).contains(&id.len()) && id.chars().all(plain),
            "an id is 1 to 32 of a-z and 0-9: {id:?}"
        );
        let at = |time: &str| Ok::<_, anyhow::Error>(clock.moment(time)?.after(later));
        let began = at(&text.at)?;
        let camera = match text.camera.as_str() {
            "" => None,
            name => Some(self.commune.camera(name)?.name.clone()),
        };
        let event = Event {
            id: id.clone(),
            revision: 1,
            phase: Phase::Opened,
            camera,
            kind: text.kind.clone(),
            severity: text.severity,
            began,
            ended: None,
            best: Detection {
                kind: text.kind.clone(),
                at: began,
                confidence: text.confidence,
                regions: Vec::new(),
                track: None,
                text: text.text.clone(),
                extra: Vec::new(),
            },
            detections: 1,
            plugin: text.plugin.parse()?,
            picture: text.picture,
            clip: false,
            answered: None,
            extra: Vec::new(),
        };
        let mut all = vec![(began, Happening::Opens(Box::new(event)))];
        for change in &text.updated {
            let update = Happening::Updates {
                id: id.clone(),
                severity: change.severity,
                confidence: change.confidence,
                text: change.text.clone(),
            };
            all.push((at(&change.at)?, update));
        }
        if let Some(closed) = &text.closed {
            all.push((at(closed)?, Happening::Closes(id.clone())));
        }
        for answer in &text.answered {
            let when = at(&answer.at)?;
            let answer = Answer {
                who: answer.who.clone(),
                at: when,
                false_alarm: answer.false_alarm,
            };
            all.push((when, Happening::Answered(id.clone(), answer)));
        }
        let early = all.iter().find(|(when, _)| *when < began);
        anyhow::ensure!(early.is_none(), "something happens to it before it begins");
        Ok(all)
    }
}

fn repeated(event: &EventText) -> anyhow::Result<(Duration, u32)> {
    match &event.repeat {
        Some(repeat) => {
            let Span(every) = repeat.every.parse()?;
            Ok((every, repeat.times))
        }
        None => Ok((Duration::ZERO, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: &str = r#"
        date = "2027-03-01"
        [[camera]]
        name = "cho-1"
        [[event]]
        id = "a"
        at = "22:38"
        camera = "cho-1"
        kind = "motion"
        closed = "22:41"
        repeat = { every = "5min", times = 3 }
    "#;

    #[test]
    fn a_day_is_repeated_with_other_dates_and_ids() {
        let day = WrittenDay::read(DAY).unwrap();
        let all = day.happenings(2).unwrap();
        assert_eq!(all.len(), 12);
        let ids: Vec<&str> = all
            .iter()
            .filter_map(|(_, what)| match what {
                Happening::Opens(event) => Some(event.id.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(ids, ["ax0", "ax1", "ax2", "ax0d1", "ax1d1", "ax2d1"]);
        let last = day.commune.clock.shows(all[11].0);
        assert_eq!(last, "2027-03-02 22:51:00");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |from: &str, to: &str| {
            let day = WrittenDay::read(&DAY.replace(from, to))
                .and_then(|day| day.happenings(1).map(|_| ()));
            format!("{:#}", day.unwrap_err())
        };
        assert!(wrong("camera = \"cho-1\"", "camera = \"cho-2\"").contains("cho-2"));
        assert!(wrong("closed = \"22:41\"", "closed = \"22:01\"").contains("before it begins"));
        assert!(wrong("kind", "kinds").contains("kinds"));
    }
}
