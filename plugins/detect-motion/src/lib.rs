//! Movement in front of a background that is learned. See the README for settings.

use serde::Deserialize;
use taimat_sdk::foreground::Foreground;
use taimat_sdk::geometry::{Zone, foot};
use taimat_sdk::{Detection, DetectionExt, Detector, Error, Frame, Want, detector};

/// Regions in one detection.
const MAX_REGIONS: usize = 16;

/// What an operator may set.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// 0 to 1: how little has to stand out.
    pub sensitivity: f32,
    /// The smallest moving area, as a fraction of the picture.
    pub min_size: f32,
    /// Width of the picture that it works on.
    pub width: u32,
    /// Where movement counts; none is everywhere.
    pub zones: Vec<Zone>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sensitivity: 0.5,
            min_size: 0.001,
            width: 320,
            zones: Vec::new(),
        }
    }
}

/// The plugin; public for the benchmark that compares it with itself as a component.
#[derive(Debug)]
pub struct Motion {
    settings: Settings,
    foreground: Foreground,
}

impl Motion {
    fn counts(&self, place: &taimat_sdk::Rect) -> bool {
        let zones = &self.settings.zones;
        zones.is_empty() || zones.iter().any(|zone| zone.contains(foot(place)))
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
        if !(160..=1280).contains(&settings.width) {
            return Err(Error::Settings("width lies between 160 and 1280".into()));
        }
        if settings.zones.iter().any(|zone| zone.0.len() < 3) {
            return Err(Error::Settings("a zone has three points at least".into()));
        }
        Ok(Self {
            foreground: Foreground::new(settings.sensitivity),
            settings,
        })
    }

    fn wants(&self, _camera: &str) -> Want {
        let width = self.settings.width;
        // As wide as that, whatever the camera's aspect ratio.
        Want::size(width, width).history(0)
    }

    fn on_frame(&mut self, frame: &Frame) -> Result<Vec<Detection>, Error> {
        let Some(cells) = self.foreground.look(frame)? else {
            return Ok(Vec::new());
        };
        let (columns, rows) = cells.shape();
        let smallest = self.settings.min_size * (columns * rows) as f32;
        let regions: Vec<_> = cells
            .blobs()
            .into_iter()
            .filter(|blob| blob.cells as f32 >= smallest)
            .map(|blob| (blob.cells, cells.rect(&blob)))
            .filter(|(_, place)| self.counts(place))
            .take(MAX_REGIONS)
            .collect();
        let moving: usize = regions.iter().map(|(cells, _)| cells).sum();
        if moving == 0 {
            return Ok(Vec::new());
        }
        let confidence = (0.5 + 15.0 * moving as f32 / (columns * rows) as f32).min(1.0);
        let detection = frame.detection("motion", confidence);
        let detection = regions.into_iter().fold(detection, |d, (_, r)| d.at(r));
        Ok(vec![detection])
    }

    fn save(&self) -> Vec<u8> {
        self.foreground.save()
    }

    fn load(&mut self, _from_version: &str, saved: &[u8]) -> Result<(), String> {
        self.foreground.load(saved)
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
