//! A written month: what cameras record, what happens every day, and where copies can be. A storage plugin
//! is tried on it.

use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use taimat_base::units::{ByteSize, Span};
use taimat_contract::{Severity, UnixMicros};

use crate::commune_file::{CameraText, CommuneText, WrittenCommune};

/// Segments of a month at most: a hundred cameras and a minute each.
const MOST_SEGMENTS: u64 = 5_000_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MonthText {
    date: String,
    #[serde(default = "thirty")]
    days: u32,
    #[serde(default)]
    commune: CommuneText,
    camera: Vec<CameraText>,
    #[serde(default)]
    recording: RecordingText,
    place: Vec<PlaceText>,
    #[serde(default)]
    event: Vec<EventText>,
    #[serde(default)]
    unwatched: Vec<StretchText>,
    #[serde(default)]
    held: Vec<StretchText>,
}

fn thirty() -> u32 {
    30
}

/// `[recording]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RecordingText {
    segment: Span,
    /// Of a segment.
    size: ByteSize,
}

impl Default for RecordingText {
    /// A minute of a camera of 2 Mbit/s.
    fn default() -> Self {
        Self {
            segment: Span(Duration::from_secs(60)),
            size: ByteSize(15 << 20),
        }
    }
}

/// `[[place]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceText {
    name: String,
    quota: Option<ByteSize>,
    /// When it neither takes nor gives.
    #[serde(default)]
    away: Vec<AwayText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AwayText {
    from: String,
    to: String,
}

/// `[[event]]`: every day again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventText {
    camera: String,
    kind: String,
    #[serde(default = "notice")]
    severity: Severity,
    at: String,
    #[serde(default = "minute")]
    lasts: Span,
    /// Only on every so many days; the first is one of them.
    #[serde(default = "daily")]
    every_days: u32,
    repeat: Option<RepeatText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RepeatText {
    every: Span,
    times: u32,
}

/// `[[unwatched]]`, `[[held]]`: a stretch of a camera's time, or of all cameras'.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StretchText {
    camera: Option<String>,
    from: String,
    to: String,
}

fn notice() -> Severity {
    Severity::Notice
}

fn minute() -> Span {
    Span(Duration::from_secs(60))
}

fn daily() -> u32 {
    1
}

/// From a moment to another, which does not belong to it.
pub(crate) type Stretch = (UnixMicros, UnixMicros);

/// Where copies can be.
#[derive(Debug, Clone)]
pub(crate) struct WrittenPlace {
    pub(crate) name: String,
    pub(crate) quota: Option<u64>,
    pub(crate) away: Vec<Stretch>,
}

/// Something that happened at a camera.
#[derive(Debug, Clone)]
pub(crate) struct WrittenEvent {
    pub(crate) camera: usize,
    pub(crate) kind: String,
    pub(crate) severity: Severity,
    pub(crate) when: Stretch,
}

/// A month, read and found good.
#[derive(Debug)]
pub(crate) struct WrittenMonth {
    pub(crate) commune: WrittenCommune,
    /// From its first midnight to its last.
    pub(crate) when: Stretch,
    pub(crate) segment: Duration,
    pub(crate) size: u64,
    pub(crate) places: Vec<WrittenPlace>,
    /// By when they began.
    pub(crate) events: Vec<WrittenEvent>,
    /// With the camera, if it is about one.
    pub(crate) unwatched: Vec<(Option<usize>, Stretch)>,
    pub(crate) held: Vec<(Option<usize>, Stretch)>,
}

impl WrittenMonth {
    /// Reads a month's file; it is repeated so `often`.
    pub(crate) fn read(text: &str, often: u32) -> anyhow::Result<Self> {
        let month: MonthText = toml::from_str(text)?;
        let commune = WrittenCommune::read(&month.date, month.commune, month.camera, Vec::new())?;
        let days = month.days.saturating_mul(often);
        anyhow::ensure!((1..=3660).contains(&days), "days: 1 to 3660, not {days}");
        let clock = &commune.clock;
        let Span(segment) = month.recording.segment;
        let seconds = segment.as_secs();
        anyhow::ensure!((1..=3600).contains(&seconds), "segment: 1s to 1h");
        let cameras = commune.facts.cameras.len();
        let segments = u64::from(days) * 86_400 / seconds * cameras as u64;
        anyhow::ensure!(
            segments <= MOST_SEGMENTS,
            "{segments} segments, {MOST_SEGMENTS} at most: fewer days or cameras, or longer segments"
        );
        let index = |name: &str| {
            let mut named = commune.facts.cameras.iter();
            let found = named.position(|camera| camera.name.as_str() == name);
            found.with_context(|| format!("there is no [[camera]] with the name {name:?}"))
        };
        let stretch = |from: &str, to: &str| {
            let when = (clock.moment(from)?, clock.moment(to)?);
            anyhow::ensure!(when.0 < when.1, "{from} is not before {to}");
            Ok::<Stretch, anyhow::Error>(when)
        };
        let stretches = |texts: &[StretchText]| -> anyhow::Result<Vec<_>> {
            let one = |text: &StretchText| {
                let camera = text.camera.as_deref().map(index).transpose()?;
                Ok((camera, stretch(&text.from, &text.to)?))
            };
            texts.iter().map(one).collect()
        };
        let place = |place: PlaceText| {
            let away = place.away.iter().map(|away| stretch(&away.from, &away.to));
            Ok(WrittenPlace {
                quota: place.quota.map(|size| size.0),
                away: away.collect::<anyhow::Result<_>>()?,
                name: place.name,
            })
        };
        let places: anyhow::Result<Vec<WrittenPlace>> =
            month.place.into_iter().map(place).collect();
        let places = places?;
        let named: std::collections::BTreeSet<&str> =
            places.iter().map(|place| place.name.as_str()).collect();
        anyhow::ensure!(
            named.len() == places.len(),
            "two [[place]]s have the same name"
        );
        let mut events = Vec::new();
        for event in &month.event {
            let camera = index(&event.camera)?;
            anyhow::ensure!(event.every_days > 0, "every_days: 1 at least");
            let Span(lasts) = event.lasts;
            let (every, times) = match &event.repeat {
                Some(RepeatText { every, times }) => (every.0, *times),
                None => (Duration::ZERO, 1),
            };
            for day in (0..days).step_by(event.every_days as usize) {
                let began = clock.later(day)?.moment(&event.at)?;
                for time in 0..times {
                    let began = began.after(every * time);
                    events.push(WrittenEvent {
                        camera,
                        kind: event.kind.clone(),
                        severity: event.severity,
                        when: (began, began.after(lasts)),
                    });
                }
            }
        }
        events.sort_by_key(|event| event.when.0);
        let when = (clock.moment("00:00")?, clock.later(days)?.moment("00:00")?);
        let (unwatched, held) = (stretches(&month.unwatched)?, stretches(&month.held)?);
        Ok(Self {
            when,
            segment,
            size: month.recording.size.0,
            places,
            events,
            unwatched,
            held,
            commune,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONTH: &str = r#"
        date = "2027-03-01"
        days = 10
        [[camera]]
        name = "gate"
        [[place]]
        name = "local"
        quota = "100GiB"
        away = [{ from = "1d 00:00", to = "2d 00:00" }]
        [[event]]
        camera = "gate"
        kind = "litter"
        at = "22:38"
        every_days = 4
        repeat = { every = "10min", times = 2 }
        [[held]]
        from = "3d 00:00"
        to = "3d 01:00"
    "#;

    #[test]
    fn a_month_is_days_with_what_happens_on_each() {
        let month = WrittenMonth::read(MONTH, 1).unwrap();
        assert_eq!(
            month.when.1.since(month.when.0),
            Duration::from_secs(10 * 86_400)
        );
        // On the first, the fifth and the ninth day.
        assert_eq!(month.events.len(), 6);
        assert_eq!(month.places[0].quota, Some(100 << 30));
        assert_eq!(WrittenMonth::read(MONTH, 3).unwrap().events.len(), 16);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |from: &str, to: &str| {
            let month = WrittenMonth::read(&MONTH.replace(from, to), 1);
            format!("{:#}", month.unwrap_err())
        };
        assert!(wrong("camera = \"gate\"", "camera = \"yard\"").contains("yard"));
        assert!(wrong("to = \"3d 01:00\"", "to = \"2d 01:00\"").contains("not before"));
        assert!(wrong("days = 10", "days = 0").contains("1 to 3660"));
        assert!(wrong("kind", "kinds").contains("kinds"));
        assert!(wrong("\"100GiB\"", "\"much\"").contains("much"));
    }
}
