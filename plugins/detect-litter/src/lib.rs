//! What was left behind and stays. See the README for settings.

use serde::Deserialize;
use taimat_sdk::geometry::{Cells, Zone, foot, overlap};
use taimat_sdk::kernels::median;
use taimat_sdk::{Detection, DetectionExt, Detector, Error, Frame, Rect, Want, detector};

/// Cells across and down; fewer when the picture is smaller.
const COLUMNS: u32 = 80;
const ROWS: u32 = 45;
/// Pictures of which the first background is the median, and seconds between them.
const START: usize = 5;
const START_EVERY: f32 = 1.0;
/// How fast the background follows, in gray levels per second: where nothing stands out, and where
/// something moves.
const FOLLOW: f32 = 1.5;
const FOLLOW_UNDER: f32 = 0.5;
/// Seconds for which the ground has to have been seen before something can lie on it: what was
/// there from the beginning was not left.
const CLEAN: f32 = 4.0;
/// Levels within which something is the same as before.
const SAME: f32 = 7.0;
/// Seconds for which somebody may stand in front of it.
const HIDDEN: f32 = 6.0;
/// How much more structure there has to be where something was put.
const MORE_TEXTURE: f32 = 1.25;
/// Part of the picture that, changing at once, is light.
const LIGHT: f32 = 0.4;
/// Seconds between two detections of the same thing.
const REPEAT: f32 = 10.0;

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    sensitivity: f32,
    after_seconds: f32,
    accept_seconds: f32,
    min_size: f32,
    max_size: f32,
    zones: Vec<Zone>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sensitivity: 0.5,
            after_seconds: 30.0,
            accept_seconds: 1800.0,
            min_size: 0.0008,
            max_size: 0.008,
            zones: Vec::new(),
        }
    }
}

/// What is known of a cell.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    /// Its usual brightness, and how much it usually varies within.
    usual: f32,
    texture: f32,
    /// Seconds for which it looked as usual, as far as that matters.
    clean: f32,
    /// How bright what stands out is, for how many seconds it has, and for how many something else
    /// has been in front of it.
    level: f32,
    still: f32,
    hidden: f32,
}

impl Cell {
    /// Takes what the cell looks like now. Says whether something stands out.
    fn see(&mut self, mean: f32, texture: f32, change: f32, threshold: f32, seconds: f32) -> bool {
        let out = (mean - self.usual).abs() > threshold;
        let toward = |from: f32, to: f32, step: f32| from + (to - from).clamp(-step, step);
        if !out {
            self.usual = toward(self.usual, mean, FOLLOW * seconds);
            self.texture = toward(self.texture, texture, FOLLOW * seconds);
            if self.still > 0.0 && self.hidden < HIDDEN {
                // It may be gone, or something that looks like the ground is in front of it.
                self.hidden += seconds;
            } else {
                self.still = 0.0;
            }
            if self.still <= 0.0 {
                self.clean = (self.clean + seconds).min(CLEAN);
                self.hidden = 0.0;
            }
            return false;
        }
        if self.still > 0.0 && (mean - self.level).abs() <= SAME {
            self.still += seconds;
            self.hidden = 0.0;
            return true;
        }
        if self.still > 0.0 && self.hidden < HIDDEN {
            self.hidden += seconds;
            return true;
        }
        // Something new, and only if it does not move.
        self.hidden = 0.0;
        self.level = mean;
        self.still = if change <= SAME { seconds } else { 0.0 };
        if self.still <= 0.0 {
            self.usual = toward(self.usual, mean, FOLLOW_UNDER * seconds);
        }
        true
    }

    fn is_left(&self, after: f32) -> bool {
        self.still >= after && self.clean >= CLEAN
    }

    /// What lies there belongs there from now on.
    fn accept(&mut self, texture: f32) {
        (self.usual, self.texture) = (self.level, texture);
        (self.still, self.hidden) = (0.0, 0.0);
    }
}

/// Something that was found.
#[derive(Debug)]
struct Left {
    id: u64,
    place: Rect,
    since: i64,
    seen: i64,
    told: i64,
}

#[derive(Debug)]
struct Litter {
    settings: Settings,
    shape: (u32, u32),
    start: Vec<(Vec<u8>, Vec<u8>)>,
    taken: i64,
    cells: Vec<Cell>,
    last: i64,
    left: Vec<Left>,
    next: u64,
}

fn seconds(from: i64, to: i64) -> f32 {
    to.saturating_sub(from) as f32 / 1e6
}

impl Litter {
    fn restart(&mut self, shape: (u32, u32)) {
        self.shape = shape;
        self.start.clear();
        self.taken = i64::MIN;
        self.cells.clear();
        self.left.clear();
    }

    /// Takes a picture for the start.
    fn begin(&mut self, means: Vec<u8>, textures: Vec<u8>, now: i64) {
        if self.taken != i64::MIN && seconds(self.taken, now) < START_EVERY {
            return;
        }
        self.taken = now;
        self.start.push((means, textures));
        let [a, b, c, d, e] = &self.start[..] else {
            debug_assert!(self.start.len() < START);
            return;
        };
        let usual = median([&a.0, &b.0, &c.0, &d.0, &e.0]);
        let texture = median([&a.1, &b.1, &c.1, &d.1, &e.1]);
        let cell = |(usual, texture): (u8, u8)| Cell {
            usual: f32::from(usual),
            texture: f32::from(texture),
            ..Cell::default()
        };
        self.cells = usual.into_iter().zip(texture).map(cell).collect();
        self.start.clear();
        self.last = now;
    }

    /// Whether something was put there: what lies on the ground has edges that the ground has not;
    /// where something was taken away it is the other way round.
    fn was_put(&self, textures: &[u8], place: &Rect, cells: &Cells) -> bool {
        let (columns, rows) = cells.shape();
        let (width, height) = cells.cell();
        let edge =
            |v: f32, size: f32, most: usize| ((v / size).round().max(0.0) as usize).min(most);
        let (left, right) = (
            edge(place.x, width, columns).saturating_sub(1),
            (edge(place.x + place.width, width, columns) + 1).min(columns),
        );
        let (top, bottom) = (
            edge(place.y, height, rows).saturating_sub(1),
            (edge(place.y + place.height, height, rows) + 1).min(rows),
        );
        let (mut now, mut usual) = (0.0, 0.0);
        for row in top..bottom {
            for column in left..right {
                let at = row * columns + column;
                now += f32::from(textures[at]);
                usual += self.cells[at].texture;
            }
        }
        now > MORE_TEXTURE * usual
    }

    /// Groups of cells on which something was left.
    fn places(&self, textures: &[u8]) -> Vec<Rect> {
        let after = self.settings.after_seconds;
        let set = self.cells.iter().map(|c| c.is_left(after)).collect();
        let cells = Cells::new(set, self.shape.0 as usize);
        let all = (self.shape.0 * self.shape.1) as f32;
        let size = self.settings.min_size..=self.settings.max_size;
        let zones = &self.settings.zones;
        cells
            .blobs()
            .iter()
            .filter(|blob| size.contains(&(blob.cells as f32 / all)))
            .map(|blob| cells.rect(blob))
            .filter(|place| zones.is_empty() || zones.iter().any(|z| z.contains(foot(place))))
            .filter(|place| self.was_put(textures, place, &cells))
            .take(32)
            .collect()
    }

    /// Gives what lies there its number, and tells it now and then.
    fn tell(&mut self, places: Vec<Rect>, frame: &Frame) -> Vec<Detection> {
        let now = frame.at();
        let mut found = Vec::new();
        for place in places {
            let known = self
                .left
                .iter()
                .position(|l| overlap(&l.place, &place) > 0.2);
            let at = known.unwrap_or_else(|| {
                let began = now - (self.settings.after_seconds * 1e6) as i64;
                self.left.push(Left {
                    id: self.next,
                    place,
                    since: began,
                    seen: now,
                    told: i64::MIN,
                });
                self.next += 1;
                self.left.len() - 1
            });
            let left = &mut self.left[at];
            (left.place, left.seen) = (place, now);
            if left.told != i64::MIN && seconds(left.told, now) < REPEAT {
                continue;
            }
            left.told = now;
            let lies = seconds(left.since, now);
            found.push(
                frame
                    .detection("object-left", 0.8)
                    .at(place)
                    .track(left.id)
                    .extra("seconds", lies.round()),
            );
        }
        self.left.retain(|l| seconds(l.seen, now) < REPEAT * 2.0);
        found
    }
}

impl Detector for Litter {
    type Settings = Settings;
    const SETTINGS_SCHEMA: &'static str = include_str!("../settings.schema.json");

    fn new(settings: Settings) -> Result<Self, Error> {
        let wrong = |why: &str| Err(Error::Settings(why.into()));
        let unit = 0.0..=1.0;
        let units = [settings.sensitivity, settings.min_size, settings.max_size];
        if units.iter().any(|v| !unit.contains(v)) || settings.min_size > settings.max_size {
            return wrong("sensitivity, min-size and max-size lie between 0 and 1, in that order");
        }
        if !(2.0..=3600.0).contains(&settings.after_seconds)
            || !(10.0..=86_400.0).contains(&settings.accept_seconds)
            || settings.accept_seconds <= settings.after_seconds
        {
            return wrong(
                "after-seconds lies between 2 and 3600, accept-seconds between 10 and 86400 and after it",
            );
        }
        if settings.zones.iter().any(|zone| zone.0.len() < 3) {
            return wrong("a zone has three points at least");
        }
        Ok(Self {
            settings,
            shape: (0, 0),
            start: Vec::new(),
            taken: i64::MIN,
            cells: Vec::new(),
            last: 0,
            left: Vec::new(),
            next: 0,
        })
    }

    fn wants(&self, _camera: &str) -> Want {
        Want::size(320, 320).fps(2.0)
    }

    fn on_frame(&mut self, frame: &Frame) -> Result<Vec<Detection>, Error> {
        let (width, height) = frame.size();
        let shape = (COLUMNS.min(width), ROWS.min(height));
        if shape != self.shape {
            self.restart(shape);
        }
        let before = frame.previous(1);
        let stats = frame.grid(shape.0, shape.1, before.as_ref())?;
        let now = frame.at();
        if self.cells.is_empty() {
            self.begin(stats.mean, stats.deviation, now);
            return Ok(Vec::new());
        }
        let passed = seconds(self.last, now).clamp(0.0, 2.0);
        self.last = now;
        if stats.change.is_empty() {
            return Ok(Vec::new());
        }
        let threshold = 6.0 + 16.0 * (1.0 - self.settings.sensitivity);
        let mut out = 0;
        let looks = stats.mean.iter().zip(&stats.deviation).zip(&stats.change);
        for (cell, ((mean, texture), change)) in self.cells.iter_mut().zip(looks) {
            let (mean, texture) = (f32::from(*mean), f32::from(*texture));
            let is_out = cell.see(mean, texture, f32::from(*change), threshold, passed);
            out += u32::from(is_out);
            if cell.still > self.settings.accept_seconds {
                cell.accept(texture);
            }
        }
        if out as f32 > LIGHT * self.cells.len() as f32 {
            self.restart(shape);
            return Ok(Vec::new());
        }
        let places = self.places(&stats.deviation);
        Ok(self.tell(places, frame))
    }

    fn save(&self) -> Vec<u8> {
        let mut saved = Vec::new();
        saved.extend(self.shape.0.to_le_bytes());
        saved.extend(self.shape.1.to_le_bytes());
        saved.extend(self.next.to_le_bytes());
        saved.extend(self.last.to_le_bytes());
        for cell in &self.cells {
            let parts = [
                cell.usual,
                cell.texture,
                cell.clean,
                cell.level,
                cell.still,
                cell.hidden,
            ];
            saved.extend(parts.iter().flat_map(|part| part.to_le_bytes()));
        }
        saved
    }

    fn load(&mut self, _from_version: &str, saved: &[u8]) -> Result<(), String> {
        let (head, cells) = saved.split_first_chunk::<24>().ok_or("cut off")?;
        let word = |at: usize| [head[at], head[at + 1], head[at + 2], head[at + 3]];
        let long = |at: usize| {
            let (low, high) = (word(at), word(at + 4));
            u64::from(u32::from_le_bytes(low)) | u64::from(u32::from_le_bytes(high)) << 32
        };
        let shape = (u32::from_le_bytes(word(0)), u32::from_le_bytes(word(4)));
        self.next = long(8);
        if cells.is_empty() {
            return Ok(());
        }
        let (parts, odd) = cells.as_chunks::<4>();
        let (parts, more) = parts.as_chunks::<6>();
        let fits =
            shape.0 <= COLUMNS && shape.1 <= ROWS && parts.len() == (shape.0 * shape.1) as usize;
        if !fits || !odd.is_empty() || !more.is_empty() {
            return Err(format!("{} bytes for {shape:?} cells", cells.len()));
        }
        let cell = |parts: &[[u8; 4]; 6]| {
            let [usual, texture, clean, level, still, hidden] = parts.map(f32::from_le_bytes);
            Cell {
                usual,
                texture,
                clean,
                level,
                still,
                hidden,
            }
        };
        self.cells = parts.iter().map(cell).collect();
        self.shape = shape;
        self.last = long(16) as i64;
        Ok(())
    }
}

detector!(Litter);

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;
    use taimat_sdk::testing::{Picture, frame};

    const INTERVAL: i64 = 500_000;

    fn quick() -> Settings {
        Settings {
            after_seconds: 5.0,
            accept_seconds: 60.0,
            ..Settings::default()
        }
    }

    /// What is told, as number of the frame and object, at two frames per second.
    fn told(frames: usize, draw: impl Fn(usize, Picture) -> Picture) -> Vec<(usize, u64)> {
        let ground = |at: usize| draw(at, Picture::of(320, 180, 120)).noisy(3, at as u64 + 1);
        let pictures: Rc<Vec<Picture>> = Rc::new((0..frames).map(ground).collect());
        let mut litter = Litter::new(quick()).unwrap();
        (0..frames)
            .flat_map(|at| {
                let found = litter.on_frame(&frame(&pictures, at, INTERVAL)).unwrap();
                found.into_iter().map(move |d| (at, d.track.unwrap()))
            })
            .collect()
    }

    fn bag(picture: Picture) -> Picture {
        picture.with(200, 130, 14, 12, 40)
    }

    #[test]
    fn what_stays_is_told_and_told_again() {
        let seen = told(100, |at, p| if at >= 40 { bag(p) } else { p });
        // It lies still in the second frame; five seconds are ten frames, ten seconds twenty.
        assert_eq!(seen, [(50, 0), (70, 0), (90, 0)]);
    }

    #[test]
    fn what_passes_or_waits_a_moment_is_not() {
        let passes = told(100, |at, p| p.with(at as i32 * 4, 100, 14, 12, 40));
        assert_eq!(passes, []);
        let waits = told(100, |at, p| if (40..47).contains(&at) { bag(p) } else { p });
        assert_eq!(waits, []);
    }

    #[test]
    fn somebody_in_front_of_it_does_not_hide_it() {
        let seen = told(70, |at, p| match at {
            0..40 => p,
            44..48 => bag(p).with(195, 110, 30, 40, 220),
            _ => bag(p),
        });
        assert_eq!(seen.first().map(|(_, id)| *id), Some(0));
        assert!((49..56).contains(&seen[0].0), "{seen:?}");
    }

    #[test]
    fn what_was_there_first_is_not_litter_when_it_goes() {
        // With structure, as things have.
        let thing = |p: Picture| bag(p).with(203, 132, 3, 8, 220).with(209, 132, 3, 8, 200);
        assert_eq!(told(100, |at, p| if at < 40 { thing(p) } else { p }), []);
        assert_eq!(told(100, |_, p| thing(p)), []);
    }

    #[test]
    fn what_stays_very_long_belongs_there() {
        let seen = told(240, |at, p| if at >= 40 { bag(p) } else { p });
        let last = seen.last().unwrap().0;
        assert!((140..170).contains(&last), "{seen:?}");
    }

    #[test]
    fn state_goes_on() {
        let draw = |at: u64| Picture::of(320, 180, 120).noisy(3, at + 1);
        let pictures: Rc<Vec<Picture>> = Rc::new((0..40).map(draw).collect());
        let mut old = Litter::new(quick()).unwrap();
        for at in 0..40 {
            old.on_frame(&frame(&pictures, at, INTERVAL)).unwrap();
        }
        old.next = 7;
        let mut new = Litter::new(quick()).unwrap();
        new.load("0.1.0", &old.save()).unwrap();
        assert_eq!(new.save(), old.save());
        assert!(new.load("0.1.0", &old.save()[..100]).is_err());
        assert!(new.load("0.1.0", &[0; 9]).is_err());
    }

    #[test]
    fn says_what_is_wrong_with_settings() {
        let wrong = Settings {
            min_size: 0.5,
            ..quick()
        };
        assert!(matches!(Litter::new(wrong), Err(Error::Settings(_))));
    }
}
