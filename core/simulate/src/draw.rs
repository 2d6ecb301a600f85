//! Drawing in planar YUV 4:2:0, with integers only, so that pictures are the same everywhere.

/// A picture in planar YUV 4:2:0, full chroma planes of half the size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels, even.
    pub width: usize,
    /// Height in pixels, even.
    pub height: usize,
    /// Luma.
    pub y: Vec<u8>,
    /// Chroma, blue.
    pub u: Vec<u8>,
    /// Chroma, red.
    pub v: Vec<u8>,
}

/// A colour: luma and the two chromas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Colour(pub(crate) u8, pub(crate) u8, pub(crate) u8);

impl Colour {
    pub(crate) const fn grey(luma: u8) -> Self {
        Self(luma, 128, 128)
    }
}

/// A rectangle in pixels; parts outside the picture are cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rect {
    pub(crate) x: i32,
    pub(crate) y: i32,
    pub(crate) w: i32,
    pub(crate) h: i32,
}

impl Picture {
    /// A grey picture. Odd sizes are rounded down.
    pub fn new(width: usize, height: usize) -> Self {
        let (width, height) = (width & !1, height & !1);
        let chroma = width * height / 4;
        Self {
            width,
            height,
            y: vec![128; width * height],
            u: vec![128; chroma],
            v: vec![128; chroma],
        }
    }

    /// Fills a rectangle.
    pub(crate) fn fill(&mut self, rect: Rect, colour: Colour) {
        let clamp = |value: i32, most: usize| usize::try_from(value.max(0)).unwrap_or(0).min(most);
        let (x0, x1) = (
            clamp(rect.x, self.width),
            clamp(rect.x + rect.w, self.width),
        );
        let (y0, y1) = (
            clamp(rect.y, self.height),
            clamp(rect.y + rect.h, self.height),
        );
        if x0 >= x1 || y0 >= y1 {
            return;
        }
        for row in self.y.chunks_exact_mut(self.width).take(y1).skip(y0) {
            row[x0..x1].fill(colour.0);
        }
        let half = self.width / 2;
        let rows = (y0 / 2)..(y1.div_ceil(2));
        for (plane, value) in [(&mut self.u, colour.1), (&mut self.v, colour.2)] {
            for row in plane.chunks_exact_mut(half).take(rows.end).skip(rows.start) {
                row[x0 / 2..x1.div_ceil(2)].fill(value);
            }
        }
    }

    /// Scales the light: `percent` of what it was.
    pub(crate) fn dim(&mut self, percent: u32) {
        for luma in &mut self.y {
            *luma = u8::try_from((u32::from(*luma) * percent / 100).min(255)).unwrap_or(255);
        }
    }

    /// Adds sensor noise of up to ± `strength` to the luma, from a seed.
    pub(crate) fn grain(&mut self, strength: u8, seed: u64) {
        if strength == 0 {
            return;
        }
        let mut random = Random::new(seed);
        let span = u64::from(strength) * 2 + 1;
        for block in self.y.chunks_mut(8) {
            let mut bits = random.next();
            for luma in block {
                let value = i32::from(*luma)
                    + i32::try_from((bits & 0xFF) * span / 256).unwrap_or(0)
                    - i32::from(strength);
                *luma = u8::try_from(value.clamp(0, 255)).unwrap_or(0);
                bits >>= 8;
            }
        }
    }
}

/// xorshift: the same numbers on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number from `range`.
    pub(crate) fn within(&mut self, range: std::ops::Range<i32>) -> i32 {
        let span = u64::try_from(range.end - range.start).unwrap_or(1).max(1);
        range.start + i32::try_from(self.next() % span).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_is_cut_off() {
        let mut picture = Picture::new(16, 8);
        picture.fill(
            Rect {
                x: -4,
                y: -4,
                w: 8,
                h: 8,
            },
            Colour(10, 20, 30),
        );
        assert_eq!((picture.y[0], picture.y[4], picture.u[0]), (10, 128, 20));
        picture.fill(
            Rect {
                x: 100,
                y: 0,
                w: 5,
                h: 5,
            },
            Colour::grey(0),
        );
        picture.fill(
            Rect {
                x: 14,
                y: 6,
                w: 500,
                h: 500,
            },
            Colour::grey(7),
        );
        assert_eq!(picture.y[16 * 8 - 1], 7);
    }
}
