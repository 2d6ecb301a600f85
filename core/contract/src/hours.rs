//! Hours of a day and kinds of days, on the commune's clock.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::commune::{CommuneFacts, Date};
use crate::detection::UnixMicros;

/// A part of each day, in minutes after midnight. One that ends before it begins goes over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    from: u16,
    to: u16,
}

/// Why a text is no hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("hours are written as \"22:00-05:30\"")]
pub struct BadHours;

impl FromStr for Hours {
    type Err = BadHours;

    fn from_str(text: &str) -> Result<Self, BadHours> {
        let (from, to) = text.split_once('-').ok_or(BadHours)?;
        let (from, to) = (minute(from)?, minute(to)?);
        // Nothing, or all of the day? Who means all leaves it out.
        if from == to || from == 24 * 60 {
            return Err(BadHours);
        }
        Ok(Self { from, to })
    }
}

fn minute(text: &str) -> Result<u16, BadHours> {
    let (hour, minute) = text.trim().split_once(':').ok_or(BadHours)?;
    let number = |text: &str, most: u16| {
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let number: Option<u16> = digits.then(|| text.parse().ok()).flatten();
        number.filter(|n| *n <= most).ok_or(BadHours)
    };
    let at = number(hour, 24)? * 60 + number(minute, 59)?;
    if at <= 24 * 60 { Ok(at) } else { Err(BadHours) }
}

/// Which days. A holiday is a holiday, whatever day of the week it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayKinds {
    /// Monday first.
    pub weekdays: [bool; 7],
    /// Days on which people do not work, as the commune's file has them.
    pub holidays: bool,
}

/// A moment on the commune's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// After midnight.
    minute: u16,
    today: Day,
    yesterday: Day,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Day {
    /// 0 is Monday.
    weekday: usize,
    holiday: bool,
}

impl Moment {
    /// A zone that is not known here is UTC: `commune.toml` was refused with it.
    pub fn of(at: UnixMicros, facts: &CommuneFacts) -> Self {
        let zone = TimeZone::get(&facts.time_zone).unwrap_or(TimeZone::UTC);
        let at = Timestamp::from_microsecond(at.0).unwrap_or(Timestamp::UNIX_EPOCH);
        let local = at.to_zoned(zone).datetime();
        let day = |of: jiff::civil::Date| {
            let date = Date {
                year: of.year(),
                month: of.month(),
                day: of.day(),
            };
            Day {
                weekday: usize::try_from(of.weekday().to_monday_zero_offset()).unwrap_or(0),
                holiday: facts.holidays.contains(&date),
            }
        };
        let today = local.date();
        Self {
            minute: u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute()))
                .unwrap_or(0),
            today: day(today),
            yesterday: day(today.yesterday().unwrap_or(today)),
        }
    }

    /// Whether it is within the hours of such a day. What goes over midnight belongs to the day on which
    /// it began.
    pub fn is_in(&self, hours: Option<Hours>, days: Option<DayKinds>) -> bool {
        let on = |day: Day| {
            days.is_none_or(|days| {
                if day.holiday {
                    days.holidays
                } else {
                    days.weekdays[day.weekday]
                }
            })
        };
        match hours {
            None => on(self.today),
            Some(Hours { from, to }) if from < to => {
                (from..to).contains(&self.minute) && on(self.today)
            }
            Some(Hours { from, to }) => {
                self.minute >= from && on(self.today) || self.minute < to && on(self.yesterday)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2027-01-15 08:00 UTC, a Friday: 15:00 in Hà Nội.
    const AFTERNOON: i64 = 1_800_000_000_000_000;
    const HOUR: i64 = 3_600_000_000;

    fn moment(hours_later: i64, holidays: &[(i8, i8)]) -> Moment {
        let date = |(month, day): &(i8, i8)| Date {
            year: 2027,
            month: *month,
            day: *day,
        };
        let facts = CommuneFacts {
            holidays: holidays.iter().map(date).collect(),
            ..CommuneFacts::default()
        };
        Moment::of(UnixMicros(AFTERNOON + hours_later * HOUR), &facts)
    }

    const WORKDAYS: DayKinds = DayKinds {
        weekdays: [true, true, true, true, true, false, false],
        holidays: false,
    };

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_began() {
        let night = Some("22:00-05:30".parse().unwrap());
        let on = |hours_later| moment(hours_later, &[]).is_in(night, Some(WORKDAYS));
        // Friday 15:00, 22:00; Saturday 05:00, 06:00, 22:00; Monday 04:00.
        let expected = [
            (0, false),
            (7, true),
            (14, true),
            (15, false),
            (31, false),
            (61, false),
        ];
        for (later, is) in expected {
            assert_eq!(on(later), is, "{later} h later");
        }
        assert!(moment(31, &[]).is_in(night, None));
        // Friday is a holiday: its night is none of a workday.
        assert!(!moment(7, &[(1, 15)]).is_in(night, Some(WORKDAYS)));
        let holidays = DayKinds {
            weekdays: [false; 7],
            holidays: true,
        };
        assert!(moment(14, &[(1, 15)]).is_in(night, Some(holidays)));
    }

    #[test]
    fn hours_are_read() {
        let day: Hours = "8:00-17:30".parse().unwrap();
        assert_eq!((day.from, day.to), (480, 1050));
        assert!("20:00-24:00".parse::<Hours>().is_ok());
        for bad in [
            "",
            "8-17",
            "08:00",
            "25:00-26:00",
            "24:30-1:00",
            "8:60-9:00",
            "08:00-08:00",
            "+8:00-9:00",
            "24:00-8:00",
            "008:00-9:00",
        ] {
            assert_eq!(bad.parse::<Hours>(), Err(BadHours), "{bad}");
        }
    }
}
