//! Frames of pixels: what a frame is natively, where no host has any.

use std::rc::Rc;

use crate::bindings::detector::taimat::plugin::frames::{
    CellStats, FrameError, FrameInfo, Plane, Region,
};

/// Frames in memory, the newest last.
#[derive(Debug, Clone)]
pub struct Memory {
    frames: Rc<Vec<Picture>>,
    at: usize,
}

/// A picture, 4:2:0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Light: one byte a pixel, row by row.
    pub luma: Vec<u8>,
    /// Blue difference, half as wide and high, rounded up; 128 is none.
    pub cb: Vec<u8>,
    /// Red difference.
    pub cr: Vec<u8>,
}

impl Picture {
    /// All of one brightness.
    pub fn of(width: u32, height: u32, luma: u8) -> Self {
        let chroma = (width.div_ceil(2) * height.div_ceil(2)) as usize;
        Self {
            width,
            height,
            luma: vec![luma; (width * height) as usize],
            cb: vec![128; chroma],
            cr: vec![128; chroma],
        }
    }

    /// With a rectangle drawn on it; parts outside are not drawn.
    #[must_use]
    pub fn with(mut self, x: i32, y: i32, width: i32, height: i32, luma: u8) -> Self {
        for row in y.max(0)..(y + height).min(self.height as i32) {
            for column in x.max(0)..(x + width).min(self.width as i32) {
                let index = row as usize * self.width as usize + column as usize;
                self.luma[index] = luma;
            }
        }
        self
    }

    /// With a rectangle of a colour, which leaves the light as it is.
    #[must_use]
    pub fn coloured(mut self, x: i32, y: i32, width: i32, height: i32, cb: u8, cr: u8) -> Self {
        let (columns, rows) = (
            self.width.div_ceil(2) as i32,
            self.height.div_ceil(2) as i32,
        );
        for row in (y / 2).max(0)..((y + height) / 2).min(rows) {
            for column in (x / 2).max(0)..((x + width) / 2).min(columns) {
                let index = (row * columns + column) as usize;
                (self.cb[index], self.cr[index]) = (cb, cr);
            }
        }
        self
    }

    /// With noise, the same for the same seed.
    #[must_use]
    pub fn noisy(mut self, strength: u8, seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        for pixel in &mut self.luma {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let noise = (state >> 40) as i32 % (2 * i32::from(strength) + 1) - i32::from(strength);
            *pixel = (i32::from(*pixel) + noise).clamp(0, 255) as u8;
        }
        self
    }
}

impl Memory {
    pub(crate) fn new(frames: &Rc<Vec<Picture>>, at: usize) -> Self {
        Self {
            frames: Rc::clone(frames),
            at,
        }
    }

    /// What a host would say of it, had it been captured at this moment.
    pub(crate) fn info(&self, moment: i64) -> FrameInfo {
        let picture = self.picture();
        FrameInfo {
            id: self.at as u64,
            camera: "test".into(),
            at: moment,
            width: picture.width,
            height: picture.height,
            key: self.at == 0,
            dropped_before: 0,
        }
    }

    fn picture(&self) -> &Picture {
        &self.frames[self.at]
    }

    pub(crate) fn plane(&self, plane: Plane) -> Vec<u8> {
        let picture = self.picture();
        match plane {
            Plane::Luma => picture.luma.clone(),
            Plane::Cb => picture.cb.clone(),
            Plane::Cr => picture.cr.clone(),
        }
    }

    /// The one `back` pictures before.
    pub(crate) fn previous(&self, back: u32) -> Option<Self> {
        let at = self.at.checked_sub(back as usize)?;
        Some(Self::new(&self.frames, at))
    }

    pub(crate) fn gray(
        &self,
        region: Region,
        width: u32,
        height: u32,
    ) -> Result<Vec<u8>, FrameError> {
        let picture = self.picture();
        let outside =
            region.x + region.width > picture.width || region.y + region.height > picture.height;
        if outside || region.width == 0 || region.height == 0 || width == 0 || height == 0 {
            return Err(FrameError::OutOfRange);
        }
        let mut scaled = Vec::with_capacity((width * height) as usize);
        for y in 0..height {
            for x in 0..width {
                let part = |i: u32, n: u32, length: u32| {
                    let start = i * length / n;
                    start..((i + 1) * length).div_ceil(n).max(start + 1)
                };
                let (mut sum, mut count) = (0, 0);
                for row in part(y, height, region.height) {
                    for column in part(x, width, region.width) {
                        let at = (region.y + row) * picture.width + region.x + column;
                        sum += u32::from(picture.luma[at as usize]);
                        count += 1;
                    }
                }
                scaled.push(((sum + count / 2) / count) as u8);
            }
        }
        Ok(scaled)
    }

    pub(crate) fn grid(
        &self,
        other: Option<&Self>,
        columns: u32,
        rows: u32,
    ) -> Result<CellStats, FrameError> {
        let picture = self.picture();
        let (width, height) = (picture.width, picture.height);
        if columns == 0 || rows == 0 || columns > width || rows > height {
            return Err(FrameError::OutOfRange);
        }
        let mut stats = CellStats {
            mean: Vec::new(),
            deviation: Vec::new(),
            change: Vec::new(),
        };
        for row in 0..rows {
            for column in 0..columns {
                let (mut sum, mut squares, mut change, mut count) = (0.0, 0.0, 0.0, 0.0);
                for y in row * height / rows..(row + 1) * height / rows {
                    for x in column * width / columns..(column + 1) * width / columns {
                        let at = (y * width + x) as usize;
                        let value = f64::from(picture.luma[at]);
                        sum += value;
                        squares += value * value;
                        count += 1.0;
                        if let Some(other) = other {
                            change += (value - f64::from(other.picture().luma[at])).abs();
                        }
                    }
                }
                let mean: f64 = sum / count;
                let variance: f64 = (squares / count - mean * mean).max(0.0);
                stats.mean.push(mean.round() as u8);
                stats.deviation.push(variance.sqrt().round() as u8);
                if other.is_some() {
                    stats.change.push((change / count).round() as u8);
                }
            }
        }
        Ok(stats)
    }
}
