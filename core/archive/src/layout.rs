//! Where recordings lie: the names alone say whose they are, and when they begin.
//!
//! `<commune>/<camera>/<profile>/<day>/<time>-<id>.mp4`, in UTC; the id is the segment's, in hexadecimal.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use taimat_base::{CameraKey, Profile};
use taimat_hub::ChannelKey;

/// What ends the names of segments.
const EXTENSION: &str = "mp4";

/// The index's file within the archive's folder.
pub(crate) const INDEX: &str = "index.db";
/// Room for the index on a disk that is full.
pub(crate) const RESERVE: &str = "reserve";
/// What `taimat archive check` found to be damaged: a line a segment, with its number.
pub(crate) const DAMAGED: &str = ".damaged";
/// Held by the router that records.
pub(crate) const LOCK: &str = "lock";

/// A stream's folder, within the archive's.
pub(crate) fn stream(key: &ChannelKey) -> PathBuf {
    let camera = &key.camera;
    [
        camera.commune.as_str(),
        camera.camera.as_str(),
        key.profile.as_str(),
    ]
    .iter()
    .collect()
}

/// A segment's file, within the archive's folder. `start` is in microseconds since 1970.
pub(crate) fn segment(key: &ChannelKey, start: i64, id: u64) -> PathBuf {
    let at = civil(start);
    let name = format!("{}-{id:x}.{EXTENSION}", at.strftime("%H%M%S.%3f"));
    stream(key).join(day(start)).join(name)
}

/// The folder of a day within a stream's.
pub(crate) fn day(start: i64) -> String {
    civil(start).strftime("%Y-%m-%d").to_string()
}

fn civil(micros: i64) -> DateTime {
    let at = Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_zoned(TimeZone::UTC).datetime()
}

/// Whose a file is, and the segment's id: none if it is no segment's.
pub(crate) fn read(within: &Path) -> Option<(ChannelKey, u64)> {
    let mut parts = within.iter().map(|part| part.to_str());
    let (commune, camera) = (parts.next()??.parse().ok()?, parts.next()??.parse().ok()?);
    let profile = profile(parts.next()??)?;
    let (_day, name) = (parts.next()??, parts.next()??);
    if parts.next().is_some() {
        return None;
    }
    let id = id(name)?;
    Some((
        ChannelKey::new(CameraKey::new(commune, camera), profile),
        id,
    ))
}

/// The segment's id in a file's name.
pub(crate) fn id(name: &str) -> Option<u64> {
    let (_time, id) = name.strip_suffix(".mp4")?.rsplit_once('-')?;
    let plain = id
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let id = u64::from_str_radix(id, 16).ok().filter(|_| plain)?;
    // Numbers of the contract are below this.
    (id < 1 << 53).then_some(id)
}

/// A profile by its word.
pub(crate) fn profile(word: &str) -> Option<Profile> {
    Profile::ALL.into_iter().find(|p| p.as_str() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ChannelKey {
        let camera = CameraKey::new("hoa-lac".parse().unwrap(), "cho".parse().unwrap());
        ChannelKey::new(camera, Profile::Sub)
    }

    #[test]
    fn a_name_says_whose_it_is_and_when_it_begins() {
        let path = segment(&key(), 1_795_718_400_250_999, 0x3f2a);
        assert_eq!(
            path,
            Path::new("hoa-lac/cho/sub/2026-11-26/184000.250-3f2a.mp4")
        );
        assert_eq!(read(&path), Some((key(), 0x3f2a)));
    }

    #[test]
    fn what_is_no_segment_is_none() {
        for path in [
            "index.db",
            "hoa-lac/cho/sub/2026-11-26/180000.250-3F2A.mp4",
            "hoa-lac/cho/sub/2026-11-26/180000.250-.mp4",
            "hoa-lac/cho/sub/2026-11-26/180000.250-3f2a.mp4.new",
            "hoa-lac/cho/third/2026-11-26/180000.250-3f2a.mp4",
            "hoa-lac/../sub/2026-11-26/180000.250-3f2a.mp4",
            "hoa-lac/cho/sub/2026-11-26/x/180000.250-3f2a.mp4",
            "hoa-lac/cho/sub/2026-11-26/180000.250-ffffffffffffffff.mp4",
        ] {
            assert_eq!(read(Path::new(path)), None, "{path}");
        }
    }

    #[test]
    fn days_of_any_clock() {
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(i64::MAX), "1970-01-01");
        assert_eq!(day(-1), "1969-12-31");
    }
}
