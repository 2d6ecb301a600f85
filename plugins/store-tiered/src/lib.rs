//! Keeps everything for some days at the router's own place, and what matters longer, elsewhere too.
//! Where nothing was seen although somebody looked, it goes first.

use serde::Deserialize;
use taimat_sdk::Error;
use taimat_sdk::rules::{self, Level};
use taimat_sdk::storage::{DAY, Placed, Review, Segment, Severity, Storage, Target, storage};

/// A place that is fuller than so many hundredths of its quota gets no new copies if there is another.
const FULL: u64 = 95;

/// What a commune may set.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    local: String,
    local_days: u16,
    quiet_days: u16,
    important_severity: Level,
    important_kinds: Vec<String>,
    important_days: u16,
    targets: Vec<String>,
    copies: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            local: "local".into(),
            local_days: 14,
            quiet_days: 7,
            important_severity: Level::Warning,
            important_kinds: Vec::new(),
            important_days: 180,
            targets: Vec::new(),
            copies: 1,
        }
    }
}

#[derive(Debug)]
struct Tiered(Settings);

impl Tiered {
    fn is_important(&self, segment: &Segment) -> bool {
        let severe = Severity::from(self.0.important_severity);
        // No names are none, and not all.
        let names = &self.0.important_kinds;
        let named = |kind: &String| !names.is_empty() && rules::fits_any(names, kind);
        segment.highest.is_some_and(|highest| highest >= severe) || segment.kinds.iter().any(named)
    }

    /// 0 goes first. What was looked at without seeing anything is worth least; what nobody looked at may
    /// hold anything.
    fn worth(&self, segment: &Segment) -> u8 {
        let seen = match segment.highest {
            None if segment.watched => 10,
            None => 40,
            Some(Severity::Info) => 60,
            Some(Severity::Notice) => 90,
            Some(Severity::Warning) => 150,
            Some(Severity::Alarm) => 200,
        };
        match self.is_important(segment) {
            true => seen.max(120),
            false => seen,
        }
    }

    /// Where copies of what matters go: where one is already, then to places that work and have room, in
    /// the order of the settings, then to any.
    fn elsewhere<'a>(&'a self, segment: &Segment, targets: &[Target]) -> Vec<&'a str> {
        let mut ranked: Vec<(u8, &str)> = Vec::new();
        for name in &self.0.targets {
            let there = segment.copies.iter().any(|copy| copy.target == *name);
            let target = targets.iter().find(|target| target.name == *name);
            let rank = match target {
                _ if there => 0,
                Some(target) if target.healthy && has_room(target) => 1,
                Some(_) => 2,
                // Not in the commune's file any more.
                None => continue,
            };
            ranked.push((rank, name));
        }
        // Stable: of those that are equal, the first of the settings comes first.
        ranked.sort_by_key(|(rank, _)| *rank);
        let names = ranked.into_iter().map(|(_, name)| name);
        names.take(usize::from(self.0.copies)).collect()
    }
}

fn has_room(target: &Target) -> bool {
    let full = |quota: u64| target.used / FULL >= quota / 100;
    !target.quota.is_some_and(full)
}

fn days(days: u16) -> i64 {
    i64::from(days) * DAY
}

impl Storage for Tiered {
    type Settings = Settings;
    const SETTINGS_SCHEMA: &'static str = include_str!("../settings.schema.json");

    fn new(settings: Settings) -> Result<Self, Error> {
        let wrong = |what: &str| Err(Error::Settings(what.into()));
        let spans = [
            ("local-days", settings.local_days),
            ("quiet-days", settings.quiet_days),
            ("important-days", settings.important_days),
        ];
        for (name, days) in spans {
            if !(1..=3650).contains(&days) {
                return wrong(&format!("{name}: 1 to 3650"));
            }
        }
        if settings.targets.contains(&settings.local) {
            return wrong("targets: local stands beside them, and not among them");
        }
        if settings.targets.len() > 7 || !(1..=7).contains(&settings.copies) {
            return wrong("targets: 7 at most; copies: 1 to 7");
        }
        Ok(Self(settings))
    }

    fn place(
        &mut self,
        segment: &Segment,
        review: &Review<'_>,
    ) -> Result<Option<Vec<Placed>>, Error> {
        let (settings, start) = (&self.0, segment.start);
        let ordered = segment.keep_until.unwrap_or(i64::MIN);
        let worth = self.worth(segment);
        let mut copies = Vec::new();
        if self.is_important(segment) {
            let until = (start + days(settings.important_days)).max(ordered);
            let elsewhere = self.elsewhere(segment, review.targets);
            // Without a place elsewhere it stays here as long.
            let here = match elsewhere.is_empty() {
                true => until,
                false => start + days(settings.local_days),
            };
            if here > review.now {
                copies.push(Placed::at(&*settings.local, here, worth));
            }
            if until > review.now {
                let elsewhere = elsewhere.into_iter();
                copies.extend(elsewhere.map(|name| Placed::at(name, until, worth)));
            }
        } else {
            let quiet = segment.watched && segment.highest.is_none();
            let kept = match quiet {
                true => settings.quiet_days.min(settings.local_days),
                false => settings.local_days,
            };
            let until = (start + days(kept)).max(ordered);
            if until > review.now {
                copies.push(Placed::at(&*settings.local, until, worth));
            }
        }
        if copies.is_empty() && segment.held {
            // Nobody lets it go: it stays where it is, and is looked at again tomorrow.
            let stays = segment.copies.iter().map(|copy| &*copy.target);
            copies.extend(stays.map(|name| Placed::at(name, review.now + DAY, worth)));
        }
        Ok(Some(copies))
    }
}

storage!(Tiered);

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_sdk::storage::Cause;
    use taimat_sdk::testing;

    fn settings(targets: &[&str]) -> Settings {
        Settings {
            targets: targets.iter().map(|t| (*t).into()).collect(),
            ..Settings::default()
        }
    }

    fn places(names: &[&str]) -> Vec<Target> {
        names.iter().map(|name| testing::place(name)).collect()
    }

    fn placed(
        settings: Settings,
        targets: &[Target],
        age_days: i64,
        change: impl FnOnce(&mut Segment),
    ) -> Vec<String> {
        let mut tiered = Tiered::new(settings).unwrap();
        let mut segment = testing::segment(1, "gate", 0);
        change(&mut segment);
        let review = Review {
            why: Cause::Due,
            targets,
            now: age_days * DAY,
        };
        let copies = tiered.place(&segment, &review).unwrap().unwrap();
        let said = |copy: Placed| format!("{} {} {}", copy.target, copy.until / DAY, copy.worth);
        copies.into_iter().map(said).collect()
    }

    fn alarm(segment: &mut Segment) {
        segment.highest = Some(Severity::Alarm);
        segment.kinds = vec!["litter".into()];
    }

    #[test]
    fn what_nobody_saw_goes_first_and_what_nobody_looked_at_does_not() {
        let all = places(&["local", "nas"]);
        let at = |age, change: fn(&mut Segment)| placed(settings(&["nas"]), &all, age, change);
        assert_eq!(at(0, |_| {}), ["local 7 10"]);
        assert_eq!(at(7, |_| {}), [""; 0]);
        // The detector was down: nothing seen does not mean that nothing was there.
        assert_eq!(at(7, |s| s.watched = false), ["local 14 40"]);
        let notice: fn(&mut Segment) = |s| {
            s.highest = Some(Severity::Notice);
            s.kinds = vec!["motion".into()];
        };
        assert_eq!(at(7, notice), ["local 14 90"]);
        assert_eq!(at(14, notice), [""; 0]);
    }

    #[test]
    fn what_matters_is_elsewhere_too_and_longer() {
        let all = places(&["local", "nas"]);
        let at = |age| placed(settings(&["nas"]), &all, age, alarm);
        assert_eq!(at(0), ["local 14 200", "nas 180 200"]);
        assert_eq!(at(14), ["nas 180 200"]);
        assert_eq!(at(180), [""; 0]);
        // Without such a place it stays here as long.
        let none = placed(settings(&["nas"]), &places(&["local"]), 20, alarm);
        assert_eq!(none, ["local 180 200"]);
        let by_kind = Settings {
            important_kinds: vec!["lit*".into()],
            ..settings(&["nas"])
        };
        let small = |s: &mut Segment| {
            alarm(s);
            s.highest = Some(Severity::Info);
        };
        assert_eq!(placed(by_kind, &all, 14, small), ["nas 180 120"]);
    }

    #[test]
    fn a_place_that_works_and_has_room_comes_first_and_copies_do_not_wander() {
        let mut all = places(&["local", "nas", "ward"]);
        let both = || settings(&["nas", "ward"]);
        let where_to =
            |all: &[Target], change: fn(&mut Segment)| placed(both(), all, 14, change).concat();
        assert_eq!(where_to(&all, alarm), "nas 180 200");
        all[1].healthy = false;
        assert_eq!(where_to(&all, alarm), "ward 180 200");
        let at_nas: fn(&mut Segment) = |s| {
            alarm(s);
            s.copies.push(Placed::at("nas", 0, 0));
        };
        assert_eq!(where_to(&all, at_nas), "nas 180 200");
        all[1].healthy = true;
        (all[1].used, all[1].quota) = (96 << 30, Some(100 << 30));
        assert_eq!(where_to(&all, alarm), "ward 180 200");
        all[2].healthy = false;
        assert_eq!(where_to(&all, alarm), "nas 180 200");
    }

    #[test]
    fn orders_come_before_days() {
        let all = places(&["local", "nas"]);
        let ordered: fn(&mut Segment) = |s| s.keep_until = Some(50 * DAY);
        assert_eq!(placed(settings(&[]), &all, 40, ordered), ["local 50 10"]);
        let held: fn(&mut Segment) = |s| {
            s.held = true;
            s.copies = vec![Placed::at("nas", 0, 0)];
        };
        assert_eq!(placed(settings(&["nas"]), &all, 400, held), ["nas 401 10"]);
        assert!(Tiered::new(settings(&["local"])).is_err());
    }
}
