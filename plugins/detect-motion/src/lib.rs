//! Movement in front of a background that is learned. See the README for settings.

use serde::Deserialize;
use taimat_sdk::geometry::{Zone, blobs, foot};
use taimat_sdk::kernels::foreground;
use taimat_sdk::{Detection, DetectionExt, Detector, Error, Frame, Want, detector};

/// The picture it works on.
const WIDTH: usize = 160;
const HEIGHT: usize = 90;
/// Pixels along a cell's edge, and cells in the picture.
const CELL: usize = 5;
const COLUMNS: usize = WIDTH / CELL;
const ROWS: usize = HEIGHT / CELL;
/// Frames for which it only learns.
const LEARN: u32 = 10;
/// Part of the picture that, changing at once, is light and not movement.
const LIGHT: f32 = 0.5;
/// Regions in one detection.
const MAX_REGIONS: usize = 8;

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    sensitivity: f32,
    min_size: f32,
    zones: Vec<Zone>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sensitivity: 0.5,
            min_size: 0.003,
            zones: Vec::new(),
        }
    }
}

struct Motion {
    settings: Settings,
    /// 8.8 fixed point; empty before the first frame.
    background: Vec<u16>,
    mask: Vec<u8>,
    /// Mean difference of pixels that do not stand out, in gray levels.
    noise: f32,
    frames: u32,
}

impl Motion {
    /// Gray levels by which a pixel has to differ: more where there is noise.
    fn threshold(&self) -> u8 {
        let base = 6.0 + 34.0 * (1.0 - self.settings.sensitivity);
        (base + 3.0 * self.noise).min(120.0) as u8
    }

    fn learn(&mut self, gray: &[u8]) {
        self.background = gray.iter().map(|p| u16::from(*p) << 8).collect();
        self.frames = 0;
    }

    /// Follows the noise slowly.
    fn watch_noise(&mut self, gray: &[u8]) {
        let mut sum = 0_u32;
        let mut count = 0_u32;
        for ((pixel, background), mask) in gray.iter().zip(&self.background).zip(&self.mask) {
            let still = u32::from(1 - *mask);
            sum += still * u32::from(pixel.abs_diff((*background >> 8) as u8));
            count += still;
        }
        if count > 0 {
            let now = sum as f32 / count as f32;
            self.noise += (now - self.noise) * 0.05;
        }
    }

    fn cells(&self) -> Vec<bool> {
        let mut counts = vec![0_u32; COLUMNS * ROWS];
        for (y, row) in self.mask.chunks_exact(WIDTH).enumerate() {
            for (x, part) in row.chunks_exact(CELL).enumerate() {
                counts[y / CELL * COLUMNS + x] += part.iter().map(|m| u32::from(*m)).sum::<u32>();
            }
        }
        // A third of a cell: an edge of something counts, a speck does not.
        counts
            .into_iter()
            .map(|n| n as usize * 3 >= CELL * CELL)
            .collect()
    }
}

impl Detector for Motion {
    type Settings = Settings;
    const SETTINGS_SCHEMA: &'static str = include_str!("../settings.schema.json");

    fn new(settings: Settings) -> Result<Self, Error> {
        let unit = 0.0..=1.0;
        if !unit.contains(&settings.sensitivity) || !unit.contains(&settings.min_size) {
            let why = "sensitivity and min-size lie between 0 and 1";
            return Err(Error::Settings(why.into()));
        }
        if settings.zones.iter().any(|zone| zone.0.len() < 3) {
            return Err(Error::Settings("a zone has three points at least".into()));
        }
        Ok(Self {
            settings,
            background: Vec::new(),
            mask: vec![0; WIDTH * HEIGHT],
            noise: 1.0,
            frames: 0,
        })
    }

    fn wants(&self, _camera: &str) -> Want {
        Want::size(WIDTH as u32 * 2, HEIGHT as u32 * 2).history(0)
    }

    fn on_frame(&mut self, frame: &Frame) -> Result<Vec<Detection>, Error> {
        let gray = frame.gray(frame.whole(), WIDTH as u32, HEIGHT as u32)?;
        if self.background.len() != gray.len() {
            self.learn(&gray);
            return Ok(Vec::new());
        }
        let threshold = self.threshold();
        // Fast at first, then slow: somebody who stands for a while is not background.
        let shift = if self.frames < LEARN { 2 } else { 6 };
        let differ = foreground(
            &gray,
            &mut self.background,
            &mut self.mask,
            threshold,
            shift,
        );
        self.watch_noise(&gray);
        self.frames = self.frames.saturating_add(1);
        if differ as f32 > LIGHT * (WIDTH * HEIGHT) as f32 {
            self.learn(&gray);
            return Ok(Vec::new());
        }
        if self.frames <= LEARN {
            return Ok(Vec::new());
        }
        let smallest = self.settings.min_size * (COLUMNS * ROWS) as f32;
        let zones = &self.settings.zones;
        let regions: Vec<_> = blobs(&self.cells(), COLUMNS)
            .into_iter()
            .filter(|blob| blob.cells as f32 >= smallest)
            .map(|blob| (blob.cells, blob.rect(COLUMNS, ROWS)))
            .filter(|(_, r)| zones.is_empty() || zones.iter().any(|z| z.contains(foot(r))))
            .take(MAX_REGIONS)
            .collect();
        let moving: usize = regions.iter().map(|(cells, _)| cells).sum();
        if moving == 0 {
            return Ok(Vec::new());
        }
        let confidence = (0.5 + moving as f32 / 40.0).min(1.0);
        let detection = frame.detection("motion", confidence);
        let detection = regions.into_iter().fold(detection, |d, (_, r)| d.at(r));
        Ok(vec![detection])
    }

    fn save(&self) -> Vec<u8> {
        let mut saved = self.noise.to_le_bytes().to_vec();
        saved.extend(self.background.iter().flat_map(|p| p.to_le_bytes()));
        saved
    }

    fn load(&mut self, _from_version: &str, saved: &[u8]) -> Result<(), String> {
        let (noise, background) = saved.split_first_chunk().ok_or("no noise")?;
        let (pixels, rest) = background.as_chunks::<2>();
        if pixels.len() != WIDTH * HEIGHT || !rest.is_empty() {
            return Err(format!("a background of {} bytes", background.len()));
        }
        self.noise = f32::from_le_bytes(*noise).clamp(0.0, 255.0);
        self.background = pixels.iter().map(|p| u16::from_le_bytes(*p)).collect();
        self.frames = LEARN;
        Ok(())
    }
}

detector!(Motion);

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;
    use taimat_sdk::testing::{Picture, frame};

    /// Frames of a street; somebody walks from `enters` on.
    fn street(frames: usize, enters: usize, luma: u8, noise: u8) -> Rc<Vec<Picture>> {
        let draw = |at: usize| {
            let walker = at.checked_sub(enters).map(|since| 10 + since as i32 * 6);
            let street = Picture::of(320, 180, luma);
            let street = match walker {
                Some(x) => street.with(x, 80, 16, 40, luma.saturating_add(90)),
                None => street,
            };
            street.noisy(noise, at as u64 + 1)
        };
        Rc::new((0..frames).map(draw).collect())
    }

    fn run(motion: &mut Motion, pictures: &Rc<Vec<Picture>>) -> Vec<Vec<Detection>> {
        let each = |at| motion.on_frame(&frame(pictures, at, 200_000)).unwrap();
        (0..pictures.len()).map(each).collect()
    }

    #[test]
    fn sees_a_walker_and_nothing_else() {
        for (luma, noise) in [(110, 3), (30, 12)] {
            let mut motion = Motion::new(Settings::default()).unwrap();
            let seen = run(&mut motion, &street(60, 30, luma, noise));
            assert!(seen[..30].iter().all(Vec::is_empty), "luma {luma}");
            let hits = seen[31..].iter().filter(|d| !d.is_empty()).count();
            assert!(hits >= 27, "luma {luma}: {hits} of 29");
            let region = seen[40][0].regions[0];
            // At the fortieth frame it stands at 70 of 320.
            assert!((region.x - 70.0 / 320.0).abs() < 0.06, "{region:?}");
        }
    }

    #[test]
    fn light_is_no_movement() {
        let mut pictures: Vec<Picture> = street(20, 99, 110, 2).to_vec();
        pictures.extend(street(20, 99, 180, 2).to_vec());
        let mut motion = Motion::new(Settings::default()).unwrap();
        let seen = run(&mut motion, &Rc::new(pictures));
        assert!(seen.iter().all(Vec::is_empty));
    }

    #[test]
    fn zones_leave_the_rest_out() {
        let upper = r#"{ "zones": [[[0, 0], [1, 0], [1, 0.3], [0, 0.3]]] }"#;
        let settings = serde_json::from_str(upper).unwrap();
        let mut motion = Motion::new(settings).unwrap();
        let seen = run(&mut motion, &street(60, 30, 110, 3));
        assert!(seen.iter().all(Vec::is_empty));
    }

    #[test]
    fn state_goes_on() {
        let pictures = street(60, 30, 110, 3);
        let mut old = Motion::new(Settings::default()).unwrap();
        run(&mut old, &pictures);
        let mut new = Motion::new(Settings::default()).unwrap();
        new.load("0.1.0", &old.save()).unwrap();
        let seen = new.on_frame(&frame(&pictures, 45, 200_000)).unwrap();
        assert_eq!(seen.len(), 1);
        assert!(new.load("0.1.0", &[1, 2, 3]).is_err());
    }

    #[test]
    fn says_what_is_wrong_with_settings() {
        let wrong = Settings {
            sensitivity: 2.0,
            ..Settings::default()
        };
        assert!(matches!(Motion::new(wrong), Err(Error::Settings(_))));
    }
}
