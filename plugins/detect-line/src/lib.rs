//! Who crosses a line, and who stays in a zone. See the README for settings.

use std::collections::BTreeMap;

use serde::Deserialize;
use taimat_sdk::foreground::Foreground;
use taimat_sdk::geometry::{Direction, Line, Point, Zone, foot};
use taimat_sdk::tracks::{Track, Tracks};
use taimat_sdk::{Detection, DetectionExt, Detector, Error, Frame, Want, detector};

/// How far from a line somebody has to be to be on one side of it, as a fraction of the picture:
/// who walks along it does not cross it all the time.
const MARGIN: f32 = 0.012;
/// Lines and zones at most.
const MAX_PLACES: usize = 16;

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    sensitivity: f32,
    min_size: f32,
    lines: Vec<Crossing>,
    zones: Vec<Ground>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sensitivity: 0.5,
            min_size: 0.001,
            lines: Vec::new(),
            zones: Vec::new(),
        }
    }
}

/// A line that is not to be crossed unnoticed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Crossing {
    name: String,
    from: Point,
    to: Point,
    #[serde(default)]
    direction: Way,
}

/// Which crossings count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Way {
    #[default]
    Any,
    LeftToRight,
    RightToLeft,
}

impl Way {
    fn takes(self, direction: Direction) -> bool {
        match self {
            Self::Any => true,
            Self::LeftToRight => direction == Direction::LeftToRight,
            Self::RightToLeft => direction == Direction::RightToLeft,
        }
    }
}

/// A zone in which nobody is to stay.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Ground {
    name: String,
    area: Zone,
    #[serde(default = "two")]
    after_seconds: f32,
}

fn two() -> f32 {
    2.0
}

/// What is remembered of somebody.
#[derive(Debug)]
struct Known {
    /// Where they were last clearly on one side, line by line.
    sides: Vec<Option<Point>>,
    /// Since when they are in a zone, and whether that was told.
    inside: Vec<Option<(i64, bool)>>,
    seen: i64,
}

#[derive(Debug)]
struct Lines {
    settings: Settings,
    foreground: Foreground,
    tracks: Tracks,
    known: BTreeMap<u64, Known>,
}

fn wrong(why: impl Into<String>) -> Error {
    Error::Settings(why.into())
}

fn check(settings: &Settings) -> Result<(), Error> {
    let unit = 0.0..=1.0;
    if !unit.contains(&settings.sensitivity) || !unit.contains(&settings.min_size) {
        return Err(wrong("sensitivity and min-size lie between 0 and 1"));
    }
    if settings.lines.is_empty() && settings.zones.is_empty() {
        return Err(wrong(
            "nothing to watch; for example lines = [{ name = \"gate\", from = [0.5, 1.0], to = [0.5, 0.4] }]",
        ));
    }
    if settings.lines.len() > MAX_PLACES || settings.zones.len() > MAX_PLACES {
        return Err(wrong(format!("at most {MAX_PLACES} lines and zones")));
    }
    let names = settings.lines.iter().map(|l| &l.name);
    let names = names.chain(settings.zones.iter().map(|z| &z.name));
    if let Some(name) = names.into_iter().find(|n| n.is_empty() || n.len() > 64) {
        return Err(wrong(format!("a name has 1 to 64 bytes: {name:?}")));
    }
    for line in &settings.lines {
        let length = (line.to.0 - line.from.0).hypot(line.to.1 - line.from.1);
        if !(0.02..=2.0).contains(&length) {
            let why = "is not a line within the picture: from and to are fractions of it, apart";
            return Err(wrong(format!("{:?} {why}", line.name)));
        }
    }
    for zone in &settings.zones {
        if zone.area.0.len() < 3 {
            return Err(wrong(format!(
                "{:?}: a zone has three points at least",
                zone.name
            )));
        }
        if !(0.0..=3600.0).contains(&zone.after_seconds) {
            return Err(wrong(format!(
                "{:?}: after-seconds lies between 0 and 3600",
                zone.name
            )));
        }
    }
    Ok(())
}

impl Lines {
    /// Which lines somebody has crossed and in which zones they have stayed too long.
    fn judge(
        settings: &Settings,
        known: &mut Known,
        track: &Track,
        frame: &Frame,
        found: &mut Vec<Detection>,
    ) {
        let here = foot(&track.rect);
        let confidence = (0.5 + track.frames as f32 * 0.05).min(0.95);
        let tell = |kind: &str, place: &str, text: String| {
            frame
                .detection(kind, confidence)
                .at(track.rect)
                .track(track.id)
                .text(text)
                .extra("place", place)
        };
        for (line, side) in settings.lines.iter().zip(&mut known.sides) {
            let edge = Line {
                from: line.from,
                to: line.to,
            };
            let length = (line.to.0 - line.from.0).hypot(line.to.1 - line.from.1);
            if (edge.side(here) / length).abs() < MARGIN {
                continue;
            }
            let before = *side;
            // Who has just appeared keeps the place where they did.
            if before.is_none() || track.is_confirmed() {
                *side = Some(here);
            }
            let Some(before) = before.filter(|_| track.is_confirmed()) else {
                continue;
            };
            if let Some(direction) = edge.crossed(before, here)
                && line.direction.takes(direction)
            {
                let way = match direction {
                    Direction::LeftToRight => "left-to-right",
                    Direction::RightToLeft => "right-to-left",
                };
                let text = format!("{}: {way}", line.name);
                found.push(tell("line-crossed", &line.name, text).extra("direction", way));
            }
        }
        for (zone, inside) in settings.zones.iter().zip(&mut known.inside) {
            if !zone.area.contains(here) {
                *inside = None;
                continue;
            }
            let (since, told) = inside.get_or_insert((frame.at(), false));
            let stayed = (frame.at() - *since) as f32 / 1e6;
            if !*told && stayed >= zone.after_seconds && track.is_confirmed() {
                *told = true;
                found.push(tell("intrusion", &zone.name, zone.name.clone()));
            }
        }
    }
}

impl Detector for Lines {
    type Settings = Settings;
    const SETTINGS_SCHEMA: &'static str = include_str!("../settings.schema.json");

    fn new(settings: Settings) -> Result<Self, Error> {
        check(&settings)?;
        Ok(Self {
            foreground: Foreground::new(settings.sensitivity),
            settings,
            tracks: Tracks::new(),
            known: BTreeMap::new(),
        })
    }

    fn wants(&self, _camera: &str) -> Want {
        Want::size(320, 320).history(0)
    }

    fn on_frame(&mut self, frame: &Frame) -> Result<Vec<Detection>, Error> {
        let Some(cells) = self.foreground.look(frame)? else {
            return Ok(Vec::new());
        };
        let (columns, rows) = cells.shape();
        let smallest = (self.settings.min_size * (columns * rows) as f32).max(1.0) as usize;
        let mut found = Vec::new();
        for track in self.tracks.follow(&cells, smallest, frame.at()) {
            let known = self.known.entry(track.id).or_insert_with(|| Known {
                sides: vec![None; self.settings.lines.len()],
                inside: vec![None; self.settings.zones.len()],
                seen: 0,
            });
            known.seen = frame.at();
            Self::judge(&self.settings, known, track, frame, &mut found);
        }
        // Longer than a track is waited for.
        let old = frame.at() - 5_000_000;
        self.known.retain(|_, known| known.seen > old);
        found.truncate(64);
        Ok(found)
    }

    fn save(&self) -> Vec<u8> {
        let mut saved = self.tracks.next_id().to_le_bytes().to_vec();
        saved.extend(self.foreground.save());
        saved
    }

    fn load(&mut self, _from_version: &str, saved: &[u8]) -> Result<(), String> {
        let (next, foreground) = saved.split_first_chunk().ok_or("no track number")?;
        self.foreground.load(foreground)?;
        self.tracks.begin_at(u64::from_le_bytes(*next));
        Ok(())
    }
}

detector!(Lines);

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;
    use taimat_sdk::testing::{Picture, frame};

    /// Somebody whose place, in pixels of 320 × 180, is given for every frame after the thirtieth.
    fn seen(
        settings: &str,
        walk: impl Fn(i32) -> Option<(i32, i32)>,
    ) -> Vec<(usize, String, String)> {
        let draw = |at: i32| {
            let street = Picture::of(320, 180, 110);
            let street = match (at >= 30).then(|| walk(at - 30)).flatten() {
                Some((x, y)) => street.with(x, y, 16, 36, 200),
                None => street,
            };
            street.noisy(3, at as u64 + 1)
        };
        let pictures: Rc<Vec<Picture>> = Rc::new((0..100).map(draw).collect());
        let settings = serde_json::from_str(settings).unwrap();
        let mut lines = Lines::new(settings).unwrap();
        (0..pictures.len())
            .flat_map(|at| {
                let found = lines.on_frame(&frame(&pictures, at, 200_000)).unwrap();
                found.into_iter().map(move |d| (at, d.kind, d.text))
            })
            .collect()
    }

    const GATE: &str = r#"{ "lines": [{ "name": "gate", "from": [0.5, 1.0], "to": [0.5, 0.2] }] }"#;

    #[test]
    fn there_and_back_are_two_crossings() {
        let there_and_back = |at: i32| {
            Some((
                if at < 30 {
                    40 + at * 8
                } else {
                    272 - (at - 30) * 8
                },
                80,
            ))
        };
        let seen = seen(GATE, there_and_back);
        let texts: Vec<&str> = seen.iter().map(|(_, _, text)| text.as_str()).collect();
        assert_eq!(
            texts,
            ["gate: left-to-right", "gate: right-to-left"],
            "{seen:?}"
        );
        // Its middle is at 160 of 320 at the fourteenth step.
        assert!((44..=47).contains(&seen[0].0), "{seen:?}");
    }

    #[test]
    fn along_the_line_and_past_its_end_are_none() {
        // To and fro about the line, by less than the margin.
        let along = |at: i32| Some((150 + at % 3, 20 + at * 2));
        assert_eq!(seen(GATE, along), []);
        let above = |at: i32| Some((40 + at * 5, -10));
        assert_eq!(seen(GATE, above), []);
    }

    #[test]
    fn the_other_direction_does_not_count() {
        let one_way = GATE.replace("\"gate\",", "\"gate\", \"direction\": \"right-to-left\",");
        assert_eq!(seen(&one_way, |at| Some((40 + at * 8, 80))), []);
        assert_eq!(seen(&one_way, |at| Some((272 - at * 8, 80))).len(), 1);
    }

    #[test]
    fn staying_in_a_zone_is_told_once() {
        let zone = r#"{ "zones": [{ "name": "yard", "area": [[0.4, 0.3], [0.6, 0.3], [0.6, 0.9], [0.4, 0.9]], "after-seconds": 3 }] }"#;
        // Comes, stands from frame 45 on, and goes.
        let stays = |at: i32| {
            Some(match at {
                0..15 => (32 + at * 8, 80),
                15..45 => (152 + at % 2, 80),
                _ => (152 + (at - 45) * 8, 80),
            })
        };
        let told = seen(zone, stays);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(
            (told[0].1.as_str(), told[0].2.as_str()),
            ("intrusion", "yard")
        );
        // Walking through takes less.
        assert_eq!(seen(zone, |at| Some((32 + at * 8, 80))), []);
    }

    #[test]
    fn says_what_is_wrong_with_settings() {
        for (settings, word) in [
            ("{}", "nothing to watch"),
            (
                r#"{ "lines": [{ "name": "a", "from": [0.5, 0.5], "to": [0.5, 0.5] }] }"#,
                "not a line",
            ),
            (
                r#"{ "zones": [{ "name": "a", "area": [[0, 0]] }] }"#,
                "three points",
            ),
            (
                r#"{ "zones": [{ "name": "", "area": [[0, 0], [1, 1], [0, 1]] }] }"#,
                "a name",
            ),
        ] {
            let error = Lines::new(serde_json::from_str(settings).unwrap()).unwrap_err();
            assert!(
                matches!(&error, Error::Settings(why) if why.contains(word)),
                "{error:?}"
            );
        }
    }

    #[test]
    fn numbers_of_tracks_go_on() {
        let settings = || serde_json::from_str(GATE).unwrap();
        let mut old = Lines::new(settings()).unwrap();
        old.tracks.begin_at(41);
        let mut new = Lines::new(settings()).unwrap();
        new.load("0.1.0", &old.save()).unwrap();
        assert_eq!(new.tracks.next_id(), 41);
        assert!(new.load("0.1.0", &[1]).is_err());
    }
}
