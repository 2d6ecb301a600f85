//! The commune of a written day or of written tasks: what its plugins may know, and its clock.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;
use serde::Deserialize;
use taimat_base::units::Span;
use taimat_contract::commune::{CameraFacts, CommuneFacts, Date, TargetFacts, Zone};
use taimat_contract::{Attribute, UnixMicros};

/// `[commune]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct CommuneText {
    title: String,
    language: String,
    time_zone: String,
    holidays: Vec<String>,
}

impl Default for CommuneText {
    fn default() -> Self {
        let facts = CommuneFacts::default();
        Self {
            title: facts.title,
            language: facts.language,
            time_zone: facts.time_zone,
            holidays: Vec::new(),
        }
    }
}

/// `[[camera]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CameraText {
    name: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    owner: String,
    #[serde(default)]
    zones: Vec<ZoneText>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ZoneText {
    name: String,
    #[serde(default)]
    tags: Vec<String>,
    outline: Vec<(f32, f32)>,
}

/// `[[target]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TargetText {
    name: String,
    #[serde(default = "alerter")]
    alerter: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    tags: Vec<String>,
    /// What an alerter is told of it.
    #[serde(default)]
    address: BTreeMap<String, String>,
    /// It can not be reached: the router gives up after so long.
    undelivered: Option<String>,
}

fn alerter() -> String {
    "alerter".into()
}

/// A commune, read and found good.
#[derive(Debug)]
pub(crate) struct WrittenCommune {
    pub(crate) facts: CommuneFacts,
    /// Of each target, what an alerter is told of it.
    pub(crate) addresses: BTreeMap<String, Vec<Attribute>>,
    /// Targets that can not be reached, and how long the router tries.
    pub(crate) undelivered: BTreeMap<String, Duration>,
    pub(crate) clock: WallClock,
}

impl WrittenCommune {
    /// Reads what stands in the file; `date` is the day that times without one belong to.
    pub(crate) fn read(
        date: &str,
        commune: CommuneText,
        cameras: Vec<CameraText>,
        targets: Vec<TargetText>,
    ) -> anyhow::Result<Self> {
        let clock = WallClock::new(date, &commune.time_zone)?;
        let holidays: anyhow::Result<Vec<Date>> = commune.holidays.iter().map(|d| day(d)).collect();
        let mut addresses = BTreeMap::new();
        let mut undelivered = BTreeMap::new();
        for target in &targets {
            let address = target.address.iter().map(|(key, value)| Attribute {
                key: key.clone(),
                value: value.clone(),
            });
            addresses.insert(target.name.clone(), address.collect());
            if let Some(span) = &target.undelivered {
                let Span(span) = span
                    .parse()
                    .with_context(|| format!("target {}", target.name))?;
                undelivered.insert(target.name.clone(), span);
            }
        }
        let facts = CommuneFacts {
            title: commune.title,
            language: commune.language,
            time_zone: commune.time_zone,
            holidays: holidays?,
            cameras: cameras.into_iter().map(camera).collect::<Result<_, _>>()?,
            targets: targets.into_iter().map(target).collect::<Result<_, _>>()?,
        };
        Ok(Self {
            facts,
            addresses,
            undelivered,
            clock,
        })
    }

    /// What an alerter is told of a target.
    pub(crate) fn address(&self, target: &str) -> anyhow::Result<&Vec<Attribute>> {
        let found = self.addresses.get(target);
        found.with_context(|| format!("there is no [[target]] with the name {target:?}"))
    }

    /// The camera, if there is one of that name.
    pub(crate) fn camera(&self, name: &str) -> anyhow::Result<&CameraFacts> {
        let found = self.facts.cameras.iter().find(|c| c.name.as_str() == name);
        found.with_context(|| format!("there is no [[camera]] with the name {name:?}"))
    }
}

fn camera(text: CameraText) -> anyhow::Result<CameraFacts> {
    let zone = |zone: ZoneText| Zone {
        name: zone.name,
        tags: zone.tags,
        outline: zone.outline,
    };
    Ok(CameraFacts {
        name: text
            .name
            .parse()
            .with_context(|| format!("camera {:?}", text.name))?,
        title: titled(text.title, &text.name),
        tags: text.tags,
        owner: text.owner,
        zones: text.zones.into_iter().map(zone).collect(),
    })
}

fn target(text: TargetText) -> anyhow::Result<TargetFacts> {
    Ok(TargetFacts {
        alerter: text
            .alerter
            .parse()
            .with_context(|| format!("alerter {:?}", text.alerter))?,
        title: titled(text.title, &text.name),
        name: text.name,
        tags: text.tags,
    })
}

fn titled(title: String, name: &str) -> String {
    if title.is_empty() { name.into() } else { title }
}

fn civil_day(text: &str) -> anyhow::Result<civil::Date> {
    text.parse()
        .with_context(|| format!("{text:?} is no date as 2027-03-01"))
}

fn day(text: &str) -> anyhow::Result<Date> {
    let date = civil_day(text)?;
    Ok(Date {
        year: date.year(),
        month: date.month(),
        day: date.day(),
    })
}

/// The commune's clock on the wall.
#[derive(Debug, Clone)]
pub(crate) struct WallClock {
    date: civil::Date,
    zone: TimeZone,
}

impl WallClock {
    fn new(date: &str, zone: &str) -> anyhow::Result<Self> {
        let zone = TimeZone::get(zone).with_context(|| format!("time-zone {zone:?}"))?;
        Ok(Self {
            date: civil_day(date)?,
            zone,
        })
    }

    /// The same so many days later.
    pub(crate) fn later(&self, days: u32) -> anyhow::Result<Self> {
        let date = self.date.checked_add(jiff::Span::new().try_days(days)?)?;
        Ok(Self {
            date,
            zone: self.zone.clone(),
        })
    }

    /// A moment as people write it: `22:38`, `22:38:05`, `1d 06:00` for the day after.
    pub(crate) fn moment(&self, text: &str) -> anyhow::Result<UnixMicros> {
        let wrong = || format!("{text:?} is no time as 22:38, 22:38:05 or 1d 06:00");
        let (days, time) = match text.split_once("d ") {
            Some((days, time)) => (days.trim().parse().with_context(wrong)?, time.trim()),
            None => (0, text.trim()),
        };
        let time: civil::Time = time.parse().with_context(wrong)?;
        let date = self.later(days)?.date;
        let zoned = date.to_datetime(time).to_zoned(self.zone.clone())?;
        Ok(UnixMicros(zoned.timestamp().as_microsecond()))
    }

    /// What it shows then: `2027-03-01 22:38:05`.
    pub(crate) fn shows(&self, at: UnixMicros) -> String {
        let at = Timestamp::from_microsecond(at.0).unwrap_or(Timestamp::UNIX_EPOCH);
        let local = at.to_zoned(self.zone.clone());
        local.strftime("%Y-%m-%d %H:%M:%S").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_commune() {
        let clock = WallClock::new("2027-03-01", "Asia/Ho_Chi_Minh").unwrap();
        let at = clock.moment("22:38").unwrap();
        assert_eq!(clock.shows(at), "2027-03-01 22:38:00");
        let morning = clock.moment("1d 06:00:07").unwrap();
        assert_eq!(clock.shows(morning), "2027-03-02 06:00:07");
        let month = clock.later(30).unwrap();
        assert_eq!(
            month.shows(month.moment("00:00").unwrap()),
            "2027-03-31 00:00:00"
        );
        for wrong in ["25:00", "soon", "xd 06:00"] {
            assert!(clock.moment(wrong).is_err(), "{wrong}");
        }
    }
}
