//! Says which ninth of the picture changes most. It never sees a pixel: the host makes the grid,
//! so that this costs as little in a slow language as in a fast one.

use serde::Deserialize;
use taimat_sdk::{Detection, DetectionExt, Detector, Error, Frame, Rect, Want, detector};

#[derive(Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Settings {
    /// Mean change of a cell, in gray levels.
    threshold: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self { threshold: 6 }
    }
}

struct Grid(Settings);

impl Detector for Grid {
    const SETTINGS_SCHEMA: &'static str = include_str!("../settings.schema.json");

    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self(settings))
    }

    fn wants(&self, _camera: &str) -> Want {
        Want::size(320, 180).fps(2.0)
    }

    fn on_frame(&mut self, frame: &Frame) -> Result<Vec<Detection>, Error> {
        let Some(before) = frame.previous(1) else {
            return Ok(Vec::new());
        };
        let change = frame.grid(3, 3, Some(&before))?.change;
        let most = change.iter().enumerate().max_by_key(|(_, change)| **change);
        let Some((cell, change)) = most.filter(|(_, c)| **c >= self.0.threshold) else {
            return Ok(Vec::new());
        };
        let (x, y) = ((cell % 3) as f32 / 3.0, (cell / 3) as f32 / 3.0);
        let (width, height) = (1.0 / 3.0, 1.0 / 3.0);
        let region = Rect {
            x,
            y,
            width,
            height,
        };
        Ok(vec![
            frame
                .detection("change", f32::from(*change) / 255.0)
                .at(region),
        ])
    }
}

detector!(Grid);
