//! What stands out from the background of a camera that does not move.
//!
//! Every pixel's background is an approximate median over time: it moves towards what is there by
//! a small step, however large the difference is, so that traffic that passes leaves no trace in
//! it. It begins as the median of five pictures of the first seconds.

use crate::bindings::detector::taimat::plugin::frames::{FrameError, Plane};
use crate::frame::Frame;
use crate::geometry::Cells;
use crate::kernels;

/// Pictures of which the first background is the median, and microseconds between them.
const START: usize = 5;
const START_EVERY: i64 = 1_100_000;
/// How fast the background follows, in gray levels per second: where nothing stands out, where
/// something moves, where something stands out and stands still, and in the seconds after the
/// start, when what stands still is most likely a mistake of the start.
const FOLLOW: f32 = 1.5;
const FOLLOW_UNDER: f32 = 0.3;
const FOLLOW_STILL: f32 = 3.0;
const FOLLOW_AT_FIRST: f32 = 10.0;
const AT_FIRST: i64 = 8_000_000;
/// Part of the picture that, standing out at once, is a change of light.
const LIGHT: f32 = 0.5;
/// A cell of this many pixels a side, for a picture of this width.
const CELL: usize = 4;
const CELL_AT: usize = 320;

/// The background of one camera, and what stands out from it.
#[derive(Debug)]
pub struct Foreground {
    sensitivity: f32,
    planes: [Layer; 3],
    /// When learning began, when the last picture for the start was taken, when the last came.
    began: i64,
    taken: i64,
    last: i64,
    size: (u32, u32),
}

/// One plane.
#[derive(Debug, Default)]
struct Layer {
    start: Vec<Vec<u8>>,
    /// 8.8 fixed point; empty while starting.
    background: Vec<u16>,
    mask: Vec<u8>,
    before: Vec<u8>,
    /// Mean difference of pixels that do not stand out, in levels.
    noise: f32,
}

impl Layer {
    fn clear(&mut self) {
        *self = Self {
            noise: self.noise,
            ..Self::default()
        };
    }

    /// Takes a picture for the start; the last of them makes the background.
    fn begin(&mut self, plane: Vec<u8>) {
        self.start.push(plane);
        if let [a, b, c, d, e] = &self.start[..] {
            let median = kernels::median([a, b, c, d, e]);
            let differ: u64 = self
                .start
                .iter()
                .map(|p| kernels::difference(p, &median))
                .sum();
            self.noise = differ as f32 / (START * median.len().max(1)) as f32;
            let level = |level: &u8| (u16::from(*level) << 8) | 0x80;
            self.background = median.iter().map(level).collect();
            self.mask = vec![0; median.len()];
            self.before = e.clone();
            self.start.clear();
        }
    }

    /// Compares; says what part of the pixels stands out.
    fn compare(&mut self, plane: &[u8], base: f32, seconds: f32, at_first: bool) -> f32 {
        let step = |levels: f32| (levels * seconds * 256.0).clamp(1.0, 2560.0) as u16;
        let (follow, still) = if at_first {
            (FOLLOW_AT_FIRST, FOLLOW_AT_FIRST)
        } else {
            (FOLLOW, FOLLOW_STILL)
        };
        let found = kernels::foreground(
            plane,
            &mut self.before,
            &mut self.background,
            &mut self.mask,
            kernels::Follow {
                threshold: (base + 2.5 * self.noise).min(120.0) as u8,
                step: step(follow),
                step_under: step(FOLLOW_UNDER),
                step_still: step(still),
                same: (3.0 + 2.0 * self.noise).min(20.0) as u8,
            },
        );
        let still = plane.len() as u32 - found.differ;
        if still > 0 {
            let now = found.difference as f32 / still as f32;
            self.noise += (now - self.noise) * 0.05;
        }
        found.differ as f32 / plane.len().max(1) as f32
    }
}

impl Foreground {
    /// `sensitivity` is 0 to 1: how little has to stand out.
    pub fn new(sensitivity: f32) -> Self {
        Self {
            sensitivity,
            planes: Default::default(),
            began: 0,
            taken: i64::MIN / 2,
            last: 0,
            size: (0, 0),
        }
    }

    /// Looks at a frame: the cells in which something stands out. `None` while the background is
    /// being learned, at the start and after a change of light.
    pub fn look(&mut self, frame: &Frame) -> Result<Option<Cells>, FrameError> {
        let now = frame.at();
        if self.size != frame.size() {
            self.restart(frame.size());
        }
        let [luma, cb, cr] = [Plane::Luma, Plane::Cb, Plane::Cr].map(|p| frame.plane(p));
        let planes = [luma?, cb?, cr?];
        if self.planes[0].background.is_empty() {
            if self.planes[0].start.is_empty() {
                self.began = now;
            }
            if now - self.taken >= START_EVERY || now < self.taken {
                self.taken = now;
                for (layer, plane) in self.planes.iter_mut().zip(planes) {
                    layer.begin(plane);
                }
            }
            self.last = now;
            return Ok(None);
        }
        let seconds = ((now - self.last) as f32 / 1e6).clamp(0.0, 2.0);
        self.last = now;
        let at_first = now - self.began < AT_FIRST + START as i64 * START_EVERY;
        let base = 4.0 + 16.0 * (1.0 - self.sensitivity);
        // Colours differ less than light does.
        let [luma, cb, cr] = [(0, base), (1, 0.6 * base), (2, 0.6 * base)]
            .map(|(i, base)| self.planes[i].compare(&planes[i], base, seconds, at_first));
        if luma > LIGHT || cb > LIGHT || cr > LIGHT {
            self.restart(self.size);
            return Ok(None);
        }
        Ok(Some(self.cells()))
    }

    fn restart(&mut self, size: (u32, u32)) {
        self.planes.iter_mut().for_each(Layer::clear);
        self.taken = i64::MIN / 2;
        self.size = size;
    }

    /// A cell is set when a quarter of its pixels stand out in light or in colour.
    fn cells(&self) -> Cells {
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        let side = (width / CELL_AT).max(1) * CELL;
        let (columns, rows) = ((width / side).max(1), (height / side).max(1));
        let mut set = vec![false; columns * rows];
        for (layer, width, height, side) in [
            (&self.planes[0], width, height, side),
            (
                &self.planes[1],
                width.div_ceil(2),
                height.div_ceil(2),
                side / 2,
            ),
            (
                &self.planes[2],
                width.div_ceil(2),
                height.div_ceil(2),
                side / 2,
            ),
        ] {
            let counts = kernels::count(&layer.mask, width, height, side, columns, rows);
            for (set, count) in set.iter_mut().zip(counts) {
                *set |= count as usize * 4 >= side * side;
            }
        }
        let size = (side as f32 / width as f32, side as f32 / height as f32);
        Cells::sized(set, columns, size)
    }

    /// For the instance that follows: see [`Detector::save`](crate::Detector::save).
    pub fn save(&self) -> Vec<u8> {
        let mut saved = Vec::new();
        saved.extend(self.size.0.to_le_bytes());
        saved.extend(self.size.1.to_le_bytes());
        saved.extend(self.began.to_le_bytes());
        saved.extend(self.last.to_le_bytes());
        for layer in &self.planes {
            saved.extend(layer.noise.to_le_bytes());
        }
        for layer in &self.planes {
            saved.extend(
                layer
                    .background
                    .iter()
                    .flat_map(|level| level.to_le_bytes()),
            );
        }
        saved
    }

    /// Takes over what [`Foreground::save`] gave.
    pub fn load(&mut self, saved: &[u8]) -> Result<(), String> {
        let mut rest = Rest(saved);
        let size = (rest.u32()?, rest.u32()?);
        let (began, last) = (rest.i64()?, rest.i64()?);
        let noise = [rest.f32()?, rest.f32()?, rest.f32()?];
        let luma = size.0 as usize * size.1 as usize;
        let chroma = size.0.div_ceil(2) as usize * size.1.div_ceil(2) as usize;
        let (levels, odd) = rest.0.as_chunks::<2>();
        let starting = levels.is_empty() && odd.is_empty();
        if starting {
            return Ok(());
        }
        if !odd.is_empty() || levels.len() != luma + 2 * chroma {
            return Err(format!(
                "a background of {} bytes for {size:?}",
                rest.0.len()
            ));
        }
        let levels: Vec<u16> = levels.iter().map(|l| u16::from_le_bytes(*l)).collect();
        let (y, colours) = levels.split_at(luma);
        let (cb, cr) = colours.split_at(chroma);
        for (layer, (background, noise)) in self
            .planes
            .iter_mut()
            .zip([y, cb, cr].into_iter().zip(noise))
        {
            layer.start.clear();
            layer.background = background.to_vec();
            layer.mask = vec![0; background.len()];
            layer.before = vec![0; background.len()];
            layer.noise = if noise.is_finite() {
                noise.clamp(0.0, 255.0)
            } else {
                1.0
            };
        }
        (self.size, self.began, self.last) = (size, began, last);
        Ok(())
    }
}

/// Bytes that are still to be read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or("cut off")?;
        self.0 = rest;
        Ok(*bytes)
    }
    fn u32(&mut self) -> Result<u32, String> {
        self.take().map(u32::from_le_bytes)
    }
    fn i64(&mut self) -> Result<i64, String> {
        self.take().map(i64::from_le_bytes)
    }
    fn f32(&mut self) -> Result<f32, String> {
        self.take().map(f32::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Picture, frame};
    use std::rc::Rc;

    fn street(at: usize) -> Picture {
        // Something passes all the time: the background is what is behind it.
        Picture::of(320, 180, 100)
            .with((at as i32 * 24) % 320, 60, 40, 30, 180)
            .noisy(3, at as u64 + 1)
    }

    #[test]
    fn traffic_is_not_learned() {
        let pictures = Rc::new((0..60).map(street).collect::<Vec<_>>());
        let mut foreground = Foreground::new(0.5);
        for at in 0..60 {
            let cells = foreground.look(&frame(&pictures, at, 200_000)).unwrap();
            let Some(cells) = cells else {
                assert!(at < 30, "still learning at {at}");
                continue;
            };
            if at < 40 || (at * 24) % 320 > 280 {
                continue;
            }
            let blobs = cells.blobs();
            assert_eq!(blobs.len(), 1, "frame {at}: {blobs:?}");
            let x = cells.rect(&blobs[0]).x * 320.0;
            assert!((x - (at as f32 * 24.0) % 320.0).abs() < 8.0, "{x}");
        }
    }

    #[test]
    fn colour_alone_stands_out() {
        let red = |at: usize| match at {
            40.. => street(0).coloured(200, 100, 40, 40, 110, 170),
            _ => street(0),
        };
        let pictures = Rc::new((0..45).map(red).collect::<Vec<_>>());
        let mut foreground = Foreground::new(0.5);
        let mut look = |at| foreground.look(&frame(&pictures, at, 200_000)).unwrap();
        let counts: Vec<_> = (0..45)
            .map(|at| look(at).map_or(0, |cells| cells.count()))
            .collect();
        // Ten cells wide and high.
        assert_eq!((counts[39], counts[40]), (0, 100));
    }

    #[test]
    fn goes_on_where_another_was() {
        let pictures = Rc::new((0..60).map(street).collect::<Vec<_>>());
        let mut old = Foreground::new(0.5);
        for at in 0..50 {
            old.look(&frame(&pictures, at, 200_000)).unwrap();
        }
        let mut new = Foreground::new(0.5);
        new.load(&old.save()).unwrap();
        let next = frame(&pictures, 50, 200_000);
        assert_eq!(new.look(&next).unwrap(), old.look(&next).unwrap());
        assert!(new.load(&old.save()[..1000]).is_err());
        assert!(new.load(&[1]).is_err());
        assert!(new.load(&Foreground::new(0.5).save()).is_ok());
    }

    #[test]
    fn a_change_of_light_is_learned() {
        let mut pictures: Vec<Picture> = (0..30).map(street).collect();
        pictures.extend((0..30).map(|at| Picture::of(320, 180, 170).noisy(3, at + 1)));
        let pictures = Rc::new(pictures);
        let mut foreground = Foreground::new(0.5);
        let looked: Vec<_> = (0..60)
            .map(|at| foreground.look(&frame(&pictures, at, 200_000)).unwrap())
            .collect();
        assert!(looked[29].is_some() && looked[30].is_none());
        assert_eq!(looked[59].as_ref().map(Cells::count), Some(0));
    }
}
