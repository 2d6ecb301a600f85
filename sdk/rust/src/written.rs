//! The commune of a native test, in place of the host's.

use std::cell::RefCell;

use crate::bindings::taimat::plugin::commune::{CameraFacts, LocalTime, TargetFacts, Zone};

const DAY: i64 = 24 * 60 * 60;

/// A commune for native tests: what [`crate::host::commune`] answers in them.
#[derive(Debug, Clone)]
pub struct Commune {
    /// Its name for people.
    pub title: String,
    /// BCP 47.
    pub language: String,
    /// Minutes that its clock is before UTC.
    pub utc_offset: i16,
    /// Year, month and day of each.
    pub holidays: Vec<(u16, u8, u8)>,
    /// All of them.
    pub cameras: Vec<CameraFacts>,
    /// Zones, with the camera that they were drawn for.
    pub zones: Vec<(String, Zone)>,
    /// Who can be told.
    pub targets: Vec<TargetFacts>,
}

impl Default for Commune {
    /// One in Việt Nam of which nothing else is known.
    fn default() -> Self {
        Self {
            title: String::new(),
            language: "vi".into(),
            utc_offset: 7 * 60,
            holidays: Vec::new(),
            cameras: Vec::new(),
            zones: Vec::new(),
            targets: Vec::new(),
        }
    }
}

thread_local! {
    static COMMUNE: RefCell<Commune> = RefCell::default();
}

/// From now on, in this thread.
pub(crate) fn put(commune: Commune) {
    COMMUNE.with(|own| *own.borrow_mut() = commune);
}

#[cfg(not(target_family = "wasm"))]
pub(crate) fn with<R>(ask: impl FnOnce(&Commune) -> R) -> R {
    COMMUNE.with(|own| ask(&own.borrow()))
}

#[cfg_attr(
    target_family = "wasm",
    expect(dead_code, reason = "there the host answers")
)]
impl Commune {
    pub(crate) fn title(&self) -> String {
        self.title.clone()
    }

    pub(crate) fn language(&self) -> String {
        self.language.clone()
    }

    pub(crate) fn camera(&self, name: &str) -> Option<CameraFacts> {
        self.cameras.iter().find(|c| c.name == name).cloned()
    }

    pub(crate) fn cameras(&self) -> Vec<CameraFacts> {
        self.cameras.clone()
    }

    pub(crate) fn zones(&self, camera: &str) -> Vec<Zone> {
        let own = self.zones.iter().filter(|(of, _)| of == camera);
        own.map(|(_, zone)| zone.clone()).collect()
    }

    pub(crate) fn targets(&self) -> Vec<TargetFacts> {
        self.targets.clone()
    }

    pub(crate) fn local(&self, at: i64) -> LocalTime {
        let seconds = at.div_euclid(1_000_000) + i64::from(self.utc_offset) * 60;
        let (days, of_day) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        let (year, month, day) = date(days);
        let small = |n: i64| u8::try_from(n).unwrap_or(0);
        LocalTime {
            year,
            month,
            day,
            hour: small(of_day / 3600),
            minute: small(of_day / 60 % 60),
            second: small(of_day % 60),
            // 1970-01-01 was a Thursday.
            weekday: small((days + 3).rem_euclid(7) + 1),
            utc_offset: self.utc_offset,
            holiday: self.holidays.contains(&(year, month, day)),
        }
    }
}

/// Year, month and day, so many days after 1970-01-01: years are counted from March, so that the day
/// that some years have more is the last of one.
fn date(days: i64) -> (u16, u8, u8) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year + era * 400 + i64::from(month <= 2);
    let small = |n: i64| u8::try_from(n).unwrap_or(0);
    (u16::try_from(year).unwrap_or(0), small(month), small(day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(11_016), (2000, 2, 29));
        assert_eq!(date(20_878), (2027, 3, 1));
        let commune = Commune {
            holidays: vec![(2027, 3, 2)],
            ..Commune::default()
        };
        // 2027-03-01 18:00 UTC is Tuesday in Hà Nội.
        let local = commune.local((20_878 * DAY + 18 * 3600) * 1_000_000);
        assert_eq!((local.day, local.hour, local.weekday), (2, 1, 2));
        assert!(local.holiday);
    }
}
