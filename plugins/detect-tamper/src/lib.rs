//! Cameras that are covered, turned, out of focus or frozen. See the README for settings.

use serde::Deserialize;
use taimat_sdk::kernels::difference;
use taimat_sdk::{Detection, DetectionExt, Detector, Error, Frame, Rect, Want, detector};

const WIDTH: usize = 160;
const HEIGHT: usize = 90;
/// Pixels along the edge of a part that is judged by itself, and how many of them with structure a
/// scene has to have to be judged at all.
const BLOCK: usize = 10;
const MIN_BLOCKS: u32 = 8;
/// Seconds for which it only learns.
const LEARN: f32 = 5.0;
/// Seconds between two detections of the same thing.
const REPEAT: f32 = 10.0;
/// Seconds after which something that lasts is the scene.
const ACCEPT: f32 = 300.0;

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    after_seconds: f32,
    frozen_seconds: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            after_seconds: 3.0,
            frozen_seconds: 20.0,
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tamper {
    Covered,
    Defocused,
    Moved,
    Frozen,
}

impl Tamper {
    const fn kind(self) -> &'static str {
        match self {
            Self::Covered => "tamper-covered",
            Self::Defocused => "tamper-defocused",
            Self::Moved => "tamper-moved",
            Self::Frozen => "tamper-frozen",
        }
    }
}

struct Watch {
    settings: Settings,
    /// How strong edges usually are, pixel by pixel, in 8.8 fixed point; empty at first.
    usual: Vec<u16>,
    /// Time since which it knows the scene, in microseconds.
    since: Option<i64>,
    before: Vec<u8>,
    last_change: i64,
    /// Of the last frame, or of the first tick of an instance that took a scene over and has seen none yet.
    last_frame: Option<i64>,
    /// What is wrong, since when, and when it was said last.
    wrong: Option<(Tamper, i64, Option<i64>)>,
}

/// How strong the edge at each pixel is: differences to the right and below.
fn edges(gray: &[u8]) -> Vec<u8> {
    let mut edges = vec![0; gray.len()];
    let rows = gray
        .chunks_exact(WIDTH)
        .zip(gray[WIDTH..].chunks_exact(WIDTH));
    for ((row, below), out) in rows.zip(edges.chunks_exact_mut(WIDTH)) {
        for x in 0..WIDTH - 1 {
            let across = row[x].abs_diff(row[x + 1]);
            let down = row[x].abs_diff(below[x]);
            out[x] = across.saturating_add(down);
        }
    }
    edges
}

/// A part of the picture: how strong its edges are, how strong they usually are, how much of both is
/// in the same places, and how bright it is.
struct Block {
    now: u32,
    usual: u32,
    kept: u32,
    mean: f32,
}

impl Block {
    fn of(usual: &[u16], gray: &[u8], edges: &[u8], column: usize, row: usize) -> Self {
        // Weak edges are noise.
        const STRONG: u32 = 12;
        let (mut now, mut before, mut kept) = (0, 0, 0);
        let mut sum = 0;
        for y in row * BLOCK..(row + 1) * BLOCK {
            let line = y * WIDTH + column * BLOCK..y * WIDTH + (column + 1) * BLOCK;
            let pixels = gray[line.clone()].iter();
            for ((pixel, edge), usual) in pixels.zip(&edges[line.clone()]).zip(&usual[line]) {
                let (edge, usual) = (u32::from(*edge), u32::from(*usual >> 8));
                now += edge.saturating_sub(STRONG);
                before += usual.saturating_sub(STRONG);
                kept += edge.min(usual).saturating_sub(STRONG);
                sum += u32::from(*pixel);
            }
        }
        Self {
            now,
            usual: before,
            kept,
            mean: sum as f32 / (BLOCK * BLOCK) as f32,
        }
    }
}

/// Standard deviation: what is left of a scene when nothing in it is sharp, and of a hand on the
/// lens not.
fn deviation(values: &[f32]) -> f32 {
    let count = values.len().max(1) as f32;
    let mean = values.iter().sum::<f32>() / count;
    let squares = values.iter().map(|v| (v - mean) * (v - mean));
    (squares.sum::<f32>() / count).sqrt()
}

fn seconds(from: i64, to: i64) -> f32 {
    (to - from) as f32 / 1e6
}

impl Watch {
    /// What a picture's edges say, compared with what is usual. The picture is judged in blocks, and
    /// by most of them: the clock and the name that cameras write into their picture stay what they
    /// are whatever happens to the lens.
    fn judge(&self, gray: &[u8], edges: &[u8]) -> Option<Tamper> {
        let (mut structured, mut faint, mut other) = (0, 0, 0);
        let mut flat = Vec::new();
        for row in 0..HEIGHT / BLOCK {
            for column in 0..WIDTH / BLOCK {
                let block = Block::of(&self.usual, gray, edges, column, row);
                // Without structure it says nothing.
                if block.usual < (BLOCK * BLOCK / 20) as u32 {
                    continue;
                }
                structured += 1;
                let strength = block.now as f32 / block.usual as f32;
                let agreement = block.kept as f32 / block.usual as f32;
                let within = block.kept as f32 / block.now.max(1) as f32;
                if strength < 0.08 {
                    flat.push(block.mean);
                } else if strength < 0.4 && within > 0.6 {
                    faint += 1;
                } else if agreement < 0.3 {
                    other += 1;
                }
            }
        }
        let blank = flat.len() as u32;
        let most = |count: u32| count * 10 > structured * 6;
        if structured < MIN_BLOCKS || (blank + faint + other) * 10 <= structured * 7 {
            None
        } else if most(blank) && deviation(&flat) < 10.0 {
            Some(Tamper::Covered)
        } else if most(blank + faint) {
            Some(Tamper::Defocused)
        } else {
            Some(Tamper::Moved)
        }
    }

    fn learn(&mut self, edges: &[u8], shift: u32) {
        if self.usual.len() != edges.len() {
            self.usual = edges.iter().map(|e| u16::from(*e) << 8).collect();
            return;
        }
        for (usual, now) in self.usual.iter_mut().zip(edges) {
            let step = (i32::from(*now) * 256 - i32::from(*usual)) >> shift;
            *usual = (i32::from(*usual) + step) as u16;
        }
    }

    /// Says what is wrong when it has lasted long enough and was not said lately.
    fn tell(&mut self, tamper: Option<Tamper>, now: i64) -> Option<Tamper> {
        let Some(tamper) = tamper else {
            self.wrong = None;
            return None;
        };
        let (_, since, said) = match self.wrong {
            Some(wrong) if wrong.0 == tamper => wrong,
            _ => (tamper, now, None),
        };
        let due = match said {
            None => {
                let patience = match tamper {
                    Tamper::Frozen => 0.0,
                    _ => self.settings.after_seconds,
                };
                seconds(since, now) >= patience
            }
            Some(said) => seconds(said, now) >= REPEAT,
        };
        let said = if due { Some(now) } else { said };
        self.wrong = Some((tamper, since, said));
        due.then_some(tamper)
    }

    fn detection(tamper: Tamper, at: i64) -> Detection {
        let whole = Rect {
            x: 0.0,
            y: 0.0,
            width: 1.0,
            height: 1.0,
        };
        let detection = Detection {
            kind: tamper.kind().into(),
            at,
            confidence: 0.9,
            regions: Vec::new(),
            track: None,
            text: String::new(),
            extra: Vec::new(),
        };
        detection.at(whole)
    }
}

impl Detector for Watch {
    type Settings = Settings;
    const SETTINGS_SCHEMA: &'static str = include_str!("../settings.schema.json");

    fn new(settings: Settings) -> Result<Self, Error> {
        if !(0.5..=600.0).contains(&settings.after_seconds)
            || !(2.0..=3600.0).contains(&settings.frozen_seconds)
        {
            let why = "after-seconds lies between 0.5 and 600, frozen-seconds between 2 and 3600";
            return Err(Error::Settings(why.into()));
        }
        Ok(Self {
            settings,
            usual: Vec::new(),
            since: None,
            before: Vec::new(),
            last_change: 0,
            last_frame: None,
            wrong: None,
        })
    }

    fn wants(&self, _camera: &str) -> Want {
        Want::size(WIDTH as u32 * 2, HEIGHT as u32 * 2)
            .fps(2.0)
            .history(0)
    }

    fn on_frame(&mut self, frame: &Frame) -> Result<Vec<Detection>, Error> {
        let now = frame.at();
        let gray = frame.gray(frame.whole(), WIDTH as u32, HEIGHT as u32)?;
        self.last_frame = Some(now);
        if self.before.len() != gray.len() || difference(&gray, &self.before) > 0 {
            self.last_change = now;
        }
        let edges = edges(&gray);
        self.before = gray;
        let since = *self.since.get_or_insert(now);
        if seconds(since, now) < LEARN || self.usual.len() != edges.len() {
            self.learn(&edges, 2);
            return Ok(Vec::new());
        }
        let tamper = if seconds(self.last_change, now) >= self.settings.frozen_seconds {
            Some(Tamper::Frozen)
        } else {
            self.judge(&self.before, &edges)
        };
        if tamper.is_none() {
            self.learn(&edges, 7);
        }
        let told = self.tell(tamper, now);
        if let Some((_, since, _)) = self.wrong
            && seconds(since, now) > ACCEPT
        {
            self.usual.clear();
            self.since = None;
            self.wrong = None;
        }
        Ok(told.map(|t| Self::detection(t, now)).into_iter().collect())
    }

    fn on_tick(&mut self, now: i64) -> Result<Vec<Detection>, Error> {
        // A camera that gives nothing at all.
        let last_frame = *self.last_frame.get_or_insert(now);
        let silent =
            self.since.is_some() && seconds(last_frame, now) >= self.settings.frozen_seconds;
        if !silent {
            return Ok(Vec::new());
        }
        let told = self.tell(Some(Tamper::Frozen), now);
        Ok(told.map(|t| Self::detection(t, now)).into_iter().collect())
    }

    fn save(&self) -> Vec<u8> {
        let mut saved = self.since.unwrap_or(0).to_le_bytes().to_vec();
        saved.extend(self.usual.iter().flat_map(|p| p.to_le_bytes()));
        saved
    }

    fn load(&mut self, _from_version: &str, saved: &[u8]) -> Result<(), String> {
        let (since, usual) = saved.split_first_chunk().ok_or("no time")?;
        let (usual, rest) = usual.as_chunks::<2>();
        if usual.len() != WIDTH * HEIGHT || !rest.is_empty() {
            return Err(format!("a scene of {} pixels", usual.len()));
        }
        self.since = Some(i64::from_le_bytes(*since));
        self.usual = usual.iter().map(|p| u16::from_le_bytes(*p)).collect();
        Ok(())
    }
}

detector!(Watch);

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;
    use taimat_sdk::testing::{Picture, frame};

    const INTERVAL: i64 = 500_000;

    /// A street with houses; everything is shifted by `shift` to the right, and half of it down.
    fn street(shift: i32, seed: u64) -> Picture {
        let mut street = Picture::of(320, 180, 120);
        for house in 0..9 {
            let (x, y) = (house * 37 + shift, shift / 2);
            street = street
                .with(
                    x,
                    y + 20 + house * 5 % 23,
                    22,
                    70,
                    60 + (house * 31 % 90) as u8,
                )
                .with(x + 4, y + 40, 5, 8, 210)
                .with(x + 13, y + 60, 5, 8, 30);
        }
        street.with(0, 130 + shift / 2, 320, 3, 220).noisy(3, seed)
    }

    fn blurred(picture: &Picture) -> Picture {
        const REACH: i32 = 7;
        let (width, height) = (picture.width as i32, picture.height as i32);
        let mut blurred = picture.clone();
        for y in 0..height {
            for x in 0..width {
                let (mut sum, mut count) = (0_i32, 0);
                for dy in -REACH..=REACH {
                    for dx in -REACH..=REACH {
                        let (x, y) = (x + dx, y + dy);
                        if (0..width).contains(&x) && (0..height).contains(&y) {
                            sum += i32::from(picture.luma[(y * width + x) as usize]);
                            count += 1;
                        }
                    }
                }
                blurred.luma[(y * width + x) as usize] = (sum / count) as u8;
            }
        }
        blurred
    }

    /// The kinds that are told: twenty seconds of the street, then what is done to it.
    fn told(frames: usize, done: impl Fn(usize) -> Picture) -> Vec<(usize, String)> {
        let before = (0..40).map(|at| street(0, at + 1));
        let after = (0..frames).map(&done);
        let pictures: Rc<Vec<Picture>> = Rc::new(before.chain(after).collect());
        let mut watch = Watch::new(Settings::default()).unwrap();
        (0..pictures.len())
            .flat_map(|at| {
                let seen = watch.on_frame(&frame(&pictures, at, INTERVAL)).unwrap();
                seen.into_iter().map(move |d| (at, d.kind))
            })
            .collect()
    }

    #[test]
    fn nothing_to_tell() {
        // Dusk: everything gets darker, and somebody walks by.
        let dusk = |at: usize| {
            let mut picture = street(0, at as u64 + 100);
            let dim = 1.0 - at as f32 / 150.0;
            picture
                .luma
                .iter_mut()
                .for_each(|p| *p = (f32::from(*p) * dim) as u8);
            picture.with(at as i32 * 5, 90, 14, 40, 15)
        };
        assert_eq!(told(60, dusk), []);
    }

    #[test]
    fn each_kind_is_told_after_some_seconds() {
        let covered = told(20, |at| Picture::of(320, 180, 14).noisy(2, at as u64 + 1));
        assert_eq!(covered, [(46, "tamper-covered".to_owned())]);
        let moved = told(20, |at| street(19, at as u64 + 1));
        assert_eq!(moved, [(46, "tamper-moved".to_owned())]);
        let defocused = told(20, |at| blurred(&street(0, at as u64 + 1)));
        assert_eq!(defocused, [(46, "tamper-defocused".to_owned())]);
        let frozen = told(50, |_| street(0, 7));
        assert_eq!(frozen, [(80, "tamper-frozen".to_owned())]);
    }

    #[test]
    fn a_camera_that_gives_nothing_is_frozen() {
        let pictures: Rc<Vec<Picture>> = Rc::new((0..20).map(|at| street(0, at + 1)).collect());
        let mut watch = Watch::new(Settings::default()).unwrap();
        for at in 0..20 {
            watch.on_frame(&frame(&pictures, at, INTERVAL)).unwrap();
        }
        let last = 19 * INTERVAL;
        assert!(watch.on_tick(last + 19_000_000).unwrap().is_empty());
        assert_eq!(watch.on_tick(last + 21_000_000).unwrap().len(), 1);
        assert!(watch.on_tick(last + 22_000_000).unwrap().is_empty());
    }

    #[test]
    fn state_goes_on() {
        let pictures: Rc<Vec<Picture>> = Rc::new((0..40).map(|at| street(0, at + 1)).collect());
        let mut old = Watch::new(Settings::default()).unwrap();
        for at in 0..40 {
            old.on_frame(&frame(&pictures, at, INTERVAL)).unwrap();
        }
        let mut new = Watch::new(Settings::default()).unwrap();
        new.load("0.1.0", &old.save()).unwrap();
        assert_eq!(new.save(), old.save());
        // It has seen no frame yet: for how long there was none, it counts from when it is asked.
        let begin = 40 * INTERVAL;
        assert!(new.on_tick(begin).unwrap().is_empty());
        assert!(new.on_tick(begin + 19_000_000).unwrap().is_empty());
        assert_eq!(new.on_tick(begin + 20_000_000).unwrap().len(), 1);
        assert!(new.load("0.1.0", &[0; 9]).is_err());
    }
}
