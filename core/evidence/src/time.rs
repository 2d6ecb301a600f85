//! Times as they are written: RFC 3339 in UTC for machines, and for X.509.

use der::DateTime;
use der::asn1::{GeneralizedTime, UtcTime};
use jiff::Timestamp;
use x509_cert::time::Time;

/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 86_400_000;

/// As `2026-11-25T07:00:00.040Z`; what is no time is written as its number.
pub(crate) fn utc(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |t| format!("{t:.3}"))
}

/// The milliseconds of a written time.
pub(crate) fn parse(text: &str) -> Option<i64> {
    text.parse().ok().map(Timestamp::as_millisecond)
}

/// For a certificate, in whole seconds: until 2049 in two digits of the year, as RFC 5280 has it.
pub(crate) fn x509(ms: i64) -> der::Result<Time> {
    let general = generalized(ms)?;
    let date = general.to_date_time();
    Ok(match UtcTime::from_date_time(date) {
        Ok(short) => short.into(),
        Err(_) => general.into(),
    })
}

/// For the extensions that have four digits always.
pub(crate) fn generalized(ms: i64) -> der::Result<GeneralizedTime> {
    let seconds = u64::try_from(ms / 1_000).map_err(|_why| der::ErrorKind::DateTime)?;
    let date = DateTime::from_unix_duration(std::time::Duration::from_secs(seconds))?;
    Ok(GeneralizedTime::from_date_time(date))
}

/// The milliseconds of a certificate's time.
pub(crate) fn x509_ms(time: Time) -> i64 {
    seconds_ms(time.to_unix_duration())
}

/// Milliseconds since 1970.
pub(crate) fn seconds_ms(since: std::time::Duration) -> i64 {
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_there_and_back() {
        let ms = 1_795_718_400_040;
        assert_eq!(utc(ms), "2026-11-26T18:40:00.040Z");
        assert_eq!(parse(&utc(ms)), Some(ms));
        assert_eq!(parse("2026-11-27T01:40:00.040+07:00"), Some(ms));
        for year in [2026, 2049, 2050, 2066] {
            let ms = parse(&format!("{year}-11-25T00:00:00Z")).unwrap();
            assert_eq!(x509_ms(x509(ms).unwrap()), ms);
            assert_eq!(matches!(x509(ms).unwrap(), Time::UtcTime(_)), year < 2050);
        }
    }
}
