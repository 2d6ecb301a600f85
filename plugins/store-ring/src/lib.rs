//! Keeps everything for some days at one place. All copies are worth the same, so that the oldest go
//! first when room runs short.

use serde::Deserialize;
use taimat_sdk::Error;
use taimat_sdk::storage::{DAY, Placed, Review, Segment, Storage, storage};

/// What every copy is worth: between what other plugins would keep last and let go first.
const WORTH: u8 = 100;

/// What a commune may set.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    target: String,
    days: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            target: "local".into(),
            days: 30,
        }
    }
}

#[derive(Debug)]
struct Ring(Settings);

impl Storage for Ring {
    type Settings = Settings;
    const SETTINGS_SCHEMA: &'static str = include_str!("../settings.schema.json");

    fn new(settings: Settings) -> Result<Self, Error> {
        if !(1..=3650).contains(&settings.days) {
            return Err(Error::Settings("days: 1 to 3650".into()));
        }
        Ok(Self(settings))
    }

    fn place(
        &mut self,
        segment: &Segment,
        review: &Review<'_>,
    ) -> Result<Option<Vec<Placed>>, Error> {
        let until = segment.start + i64::from(self.0.days) * DAY;
        let until = until.max(segment.keep_until.unwrap_or(until));
        let copies = match (until > review.now, segment.held) {
            (true, _) => vec![Placed::at(&*self.0.target, until, WORTH)],
            // Nobody lets it go; it is looked at again tomorrow.
            (false, true) => vec![Placed::at(&*self.0.target, review.now + DAY, WORTH)],
            (false, false) => Vec::new(),
        };
        Ok(Some(copies))
    }
}

storage!(Ring);

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_sdk::storage::Cause;
    use taimat_sdk::testing;

    fn placed(change: impl FnOnce(&mut Segment), age_days: i64) -> Vec<(String, i64)> {
        let mut ring = Ring::new(Settings::default()).unwrap();
        let mut segment = testing::segment(1, "gate", 0);
        change(&mut segment);
        let review = Review {
            why: Cause::Due,
            targets: &[testing::place("local")],
            now: age_days * DAY,
        };
        let copies = ring.place(&segment, &review).unwrap().unwrap();
        let copy = |copy: Placed| (copy.target, copy.until / DAY);
        copies.into_iter().map(copy).collect()
    }

    #[test]
    fn after_its_days_it_goes() {
        assert_eq!(placed(|_| {}, 0), [("local".into(), 30)]);
        assert_eq!(placed(|_| {}, 29), [("local".into(), 30)]);
        assert_eq!(placed(|_| {}, 30), []);
    }

    #[test]
    fn orders_come_before_days() {
        assert_eq!(placed(|s| s.held = true, 40), [("local".into(), 41)]);
        let ordered = |s: &mut Segment| s.keep_until = Some(50 * DAY);
        assert_eq!(placed(ordered, 40), [("local".into(), 50)]);
        assert_eq!(placed(ordered, 50), []);
        assert!(
            Ring::new(Settings {
                days: 0,
                ..Settings::default()
            })
            .is_err()
        );
    }
}
