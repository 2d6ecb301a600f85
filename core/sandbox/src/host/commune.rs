//! `commune`: always there. What the commune's file says; the answers change only with a new
//! generation, which is configured anew.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use taimat_contract::UnixMicros;
use taimat_contract::commune::{CameraFacts, CommuneFacts, Date};

/// An instance's part.
#[derive(Debug)]
pub(crate) struct CommuneCapability {
    facts: Arc<CommuneFacts>,
    zone: TimeZone,
}

/// A moment on the commune's clock on the wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LocalTime {
    pub(crate) year: u16,
    pub(crate) month: u8,
    pub(crate) day: u8,
    pub(crate) hour: u8,
    pub(crate) minute: u8,
    pub(crate) second: u8,
    /// 1 is Monday.
    pub(crate) weekday: u8,
    /// Minutes before UTC.
    pub(crate) utc_offset: i16,
    pub(crate) holiday: bool,
}

impl CommuneCapability {
    /// A zone that is not known here is UTC: `commune.toml` was refused with it.
    pub(super) fn new(facts: Arc<CommuneFacts>) -> Self {
        let zone = TimeZone::get(&facts.time_zone).unwrap_or(TimeZone::UTC);
        Self { facts, zone }
    }

    pub(crate) fn facts(&self) -> &CommuneFacts {
        &self.facts
    }

    pub(crate) fn camera(&self, name: &str) -> Option<&CameraFacts> {
        self.facts.cameras.iter().find(|c| c.name.as_str() == name)
    }

    /// What the clock shows then; the first moment of 1970 for one that no calendar has.
    pub(crate) fn local(&self, at: UnixMicros) -> LocalTime {
        let at = Timestamp::from_microsecond(at.0).unwrap_or(Timestamp::UNIX_EPOCH);
        let local = at.to_zoned(self.zone.clone());
        let date = Date {
            year: local.year(),
            month: local.month(),
            day: local.day(),
        };
        let small = |n: i8| u8::try_from(n).unwrap_or(0);
        LocalTime {
            year: u16::try_from(date.year).unwrap_or(0),
            month: small(date.month),
            day: small(date.day),
            hour: small(local.hour()),
            minute: small(local.minute()),
            second: small(local.second()),
            weekday: small(local.weekday().to_monday_one_offset()),
            utc_offset: i16::try_from(local.offset().seconds() / 60).unwrap_or(0),
            holiday: self.facts.holidays.contains(&date),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_on_the_wall_is_the_communes() {
        let tet = Date {
            year: 2027,
            month: 2,
            day: 6,
        };
        let at = |zone: &str, micros: i64| {
            let facts = CommuneFacts {
                time_zone: zone.into(),
                holidays: vec![tet],
                ..CommuneFacts::default()
            };
            CommuneCapability::new(Arc::new(facts)).local(UnixMicros(micros))
        };
        // 2027-02-05 18:30:15 UTC.
        let evening = 1_801_852_215_000_000;
        let local = at("Asia/Ho_Chi_Minh", evening);
        let expected = LocalTime {
            year: 2027,
            month: 2,
            day: 6,
            hour: 1,
            minute: 30,
            second: 15,
            weekday: 6,
            utc_offset: 420,
            holiday: true,
        };
        assert_eq!(local, expected);
        let utc = at("Nowhere/At_All", evening);
        assert_eq!(
            (utc.day, utc.hour, utc.utc_offset, utc.holiday),
            (5, 18, 0, false)
        );
        // A moment that no calendar has.
        assert_eq!(at("Asia/Ho_Chi_Minh", i64::MAX).year, 1970);
    }
}
