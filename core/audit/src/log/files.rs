//! The files of the log: one a year, and their order.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::AuditError;

/// The year's file.
pub(super) fn of_year(folder: &Path, year: i16) -> PathBuf {
    folder.join(format!("audit-{year:04}.jsonl"))
}

/// The years that have a file, the oldest first. Other files in the folder are not ours.
pub(super) fn years(folder: &Path) -> Result<Vec<i16>, AuditError> {
    let year = |entry: std::io::Result<fs::DirEntry>| {
        let name = entry?.file_name();
        let name = name.to_str().unwrap_or("");
        let digits = name
            .strip_prefix("audit-")
            .and_then(|n| n.strip_suffix(".jsonl"));
        Ok(digits
            .filter(|d| d.len() == 4)
            .and_then(|digits| digits.parse().ok()))
    };
    let entries = fs::read_dir(folder).map_err(AuditError::at(folder))?;
    let years: std::io::Result<Vec<Option<i16>>> = entries.map(year).collect();
    let years = years.map_err(AuditError::at(folder))?;
    let mut years: Vec<i16> = years.into_iter().flatten().collect();
    years.sort_unstable();
    Ok(years)
}

/// The year of a time, UTC.
pub(super) fn year_of(at_ms: i64) -> Result<i16, AuditError> {
    let bad = |_| AuditError::BadTime(at_ms);
    let time = jiff::Timestamp::from_millisecond(at_ms).map_err(bad)?;
    let year = time.to_zoned(jiff::tz::TimeZone::UTC).year();
    // Four digits, so that names sort as years do.
    if (1000..=9999).contains(&year) {
        Ok(year)
    } else {
        Err(AuditError::BadTime(at_ms))
    }
}
