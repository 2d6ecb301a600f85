//! What the commune's file says. In the router it is asked; natively there is what
//! [`testing::commune`](crate::testing::commune) said.

use crate::bindings::taimat::plugin::commune as wire;

pub use wire::{CameraFacts, LocalTime, Point, TargetFacts, Zone};

/// Microseconds of a minute.
const MINUTE: i64 = 60_000_000;

macro_rules! asked {
    ($(#[$about:meta])* $name:ident($($argument:ident: $type:ty),*) -> $answer:ty) => {
        $(#[$about])*
        pub fn $name($($argument: $type),*) -> $answer {
            #[cfg(target_family = "wasm")]
            return wire::$name($($argument),*);
            #[cfg(not(target_family = "wasm"))]
            return crate::written::with(|commune| commune.$name($($argument),*));
        }
    };
}

asked! {
    /// Its name for people.
    title() -> String
}
asked! {
    /// BCP 47, for example `vi`.
    language() -> String
}
asked! {
    /// What the clock on the wall shows then; `at` is in microseconds since 1970.
    local(at: i64) -> LocalTime
}
asked! {
    /// A camera, if there is one of that name.
    camera(name: &str) -> Option<CameraFacts>
}
asked! {
    /// All of them, in the file's order.
    cameras() -> Vec<CameraFacts>
}
asked! {
    /// What was drawn for a camera.
    zones(camera: &str) -> Vec<Zone>
}
asked! {
    /// Who can be told.
    targets() -> Vec<TargetFacts>
}

/// A camera's name for people; its name if it has no other.
pub fn camera_title(name: &str) -> String {
    let title = camera(name).map(|facts| facts.title).unwrap_or_default();
    if title.is_empty() { name.into() } else { title }
}

/// The next moment at which the clock on the wall shows that time, later than `at`. Microseconds since
/// 1970.
pub fn next(at: i64, hour: u8, minute: u8) -> i64 {
    let local = local(at);
    let shows = i64::from(local.hour) * 60 + i64::from(local.minute);
    let wanted = i64::from(hour) * 60 + i64::from(minute);
    let ahead = match (wanted - shows).rem_euclid(24 * 60) {
        0 => 24 * 60,
        minutes => minutes,
    };
    let begun = at - at.rem_euclid(MINUTE);
    let found = begun + ahead * MINUTE;
    // The clock may be put forward or back on the way.
    let then = self::local(found);
    found + i64::from(local.utc_offset - then.utc_offset) * MINUTE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Commune};

    #[test]
    fn the_next_morning() {
        testing::commune(Commune::default());
        // 2027-03-01 22:38:05 in Hà Nội.
        let night = 1_803_915_485_000_000;
        let shown = |at: i64| {
            let at = local(at);
            (at.day, at.hour, at.minute, at.second)
        };
        assert_eq!(shown(night), (1, 22, 38, 5));
        assert_eq!(shown(next(night, 6, 0)), (2, 6, 0, 0));
        assert_eq!(shown(next(night, 22, 38)), (2, 22, 38, 0));
        assert_eq!(shown(next(night, 23, 0)), (1, 23, 0, 0));
    }
}
