//! Loops over pixels, written so that the compiler turns them into SIMD: over slices of equal
//! length, without bounds checks inside.

use std::ops::Range;

use taimat_contract::Rect;

/// A region of a plane.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    data: &'a [u8],
    stride: usize,
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

impl<'a> Source<'a> {
    /// All of a plane without padding.
    pub fn whole(data: &'a [u8], width: usize, height: usize) -> Self {
        Self::region(data, width, 0, 0, width, height)
    }

    /// A part of a plane. It has to lie within.
    pub fn region(
        data: &'a [u8],
        stride: usize,
        x: usize,
        y: usize,
        width: usize,
        height: usize,
    ) -> Self {
        assert!(
            x + width <= stride && (y + height) * stride <= data.len(),
            "the region lies outside of its plane"
        );
        Self {
            data,
            stride,
            x,
            y,
            width,
            height,
        }
    }

    /// A row of the region, from its left edge.
    fn row(&self, y: usize) -> &'a [u8] {
        let start = (self.y + y) * self.stride + self.x;
        &self.data[start..start + self.width]
    }

    /// The region's bytes, row by row.
    pub fn copy(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.width * self.height);
        (0..self.height).for_each(|y| bytes.extend_from_slice(self.row(y)));
        bytes
    }
}

/// What part of `length` the cell `index` of `count` covers; never empty.
fn part(index: usize, count: usize, length: usize) -> Range<usize> {
    let start = index * length / count;
    let end = ((index + 1) * length).div_ceil(count).min(length);
    start..end.max(start + 1).min(length.max(1))
}

/// Scales by averaging all pixels that an output pixel covers; enlarging repeats pixels.
pub fn scale(source: Source<'_>, width: usize, height: usize) -> Vec<u8> {
    if (source.width, source.height) == (width, height) {
        return source.copy();
    }
    if source.width == 2 * width && source.height == 2 * height {
        return halve(source, width, height);
    }
    let columns: Vec<Range<usize>> = (0..width).map(|x| part(x, width, source.width)).collect();
    // Sums of rows fit 16 bits up to a height of 257 to 1, and more of them a register.
    if source.height / height.max(1) < 256 {
        averaged::<u16>(source, &columns, height)
    } else {
        averaged::<u32>(source, &columns, height)
    }
}

fn averaged<S>(source: Source<'_>, columns: &[Range<usize>], height: usize) -> Vec<u8>
where
    S: Copy + Default + From<u8> + Into<u32> + std::ops::AddAssign,
{
    let width = columns.len();
    let mut sums = vec![S::default(); source.width];
    let mut scaled = vec![0; width * height];
    let mut means: Vec<Mean> = Vec::new();
    let mut rows_before = 0;
    for (y, out) in scaled.chunks_exact_mut(width).enumerate() {
        let rows = part(y, height, source.height);
        if rows.len() != rows_before {
            rows_before = rows.len();
            let mean = |column: &Range<usize>| Mean::of(column.len() * rows_before);
            means = columns.iter().map(mean).collect();
        }
        sums.fill(S::default());
        for row in rows {
            for (sum, pixel) in sums.iter_mut().zip(source.row(row)) {
                *sum += S::from(*pixel);
            }
        }
        // The usual ratios by loops of a known length.
        match (source.width / width, source.width % width) {
            (2, 0) => columns_of::<2, S>(&sums, means[0], out),
            (3, 0) => columns_of::<3, S>(&sums, means[0], out),
            (4, 0) => columns_of::<4, S>(&sums, means[0], out),
            (6, 0) => columns_of::<6, S>(&sums, means[0], out),
            (8, 0) => columns_of::<8, S>(&sums, means[0], out),
            _ => {
                for ((out, column), mean) in out.iter_mut().zip(columns).zip(&means) {
                    let sums = sums[column.clone()].iter();
                    *out = mean.round(sums.map(|sum| (*sum).into()).sum());
                }
            }
        }
    }
    scaled
}

fn columns_of<const N: usize, S: Copy + Into<u32>>(sums: &[S], mean: Mean, out: &mut [u8]) {
    for (out, sums) in out.iter_mut().zip(sums.as_chunks::<N>().0) {
        *out = mean.round(sums.iter().map(|sum| (*sum).into()).sum());
    }
}

/// The common case, two by two.
fn halve(source: Source<'_>, width: usize, height: usize) -> Vec<u8> {
    // Two bytes as one number, which every SIMD unit can take apart.
    let pair = |bytes: &[u8; 2]| {
        let both = u16::from_le_bytes(*bytes);
        (both & 0xFF) + (both >> 8)
    };
    let mut scaled = vec![0; width * height];
    for (y, out) in scaled.chunks_exact_mut(width).enumerate() {
        let (upper, lower) = (source.row(2 * y), source.row(2 * y + 1));
        let pairs = upper
            .as_chunks::<2>()
            .0
            .iter()
            .zip(lower.as_chunks::<2>().0);
        for (pixel, (a, b)) in out.iter_mut().zip(pairs) {
            *pixel = ((pair(a) + pair(b) + 2) >> 2) as u8;
        }
    }
    scaled
}

/// Divides sums of so many pixels: by a multiplication, because a division costs as much as the rest
/// of an output pixel.
#[derive(Debug, Clone, Copy)]
struct Mean {
    count: u32,
    /// 2³² / `count`, rounded up; 0 where that would not be exact.
    inverse: u64,
}

impl Mean {
    fn of(count: usize) -> Self {
        /// `n / count` is exact for `n` ≤ 255.5 · `count` as long as `255.5 · count² < 2³²`.
        const EXACT: u32 = 4096;
        let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
        let inverse = if count < EXACT {
            (1 << 32) / u64::from(count) + 1
        } else {
            0
        };
        Self { count, inverse }
    }

    fn round(self, sum: u32) -> u8 {
        let sum = sum + self.count / 2;
        let mean = if self.inverse == 0 {
            sum / self.count
        } else {
            ((u64::from(sum) * self.inverse) >> 32) as u32
        };
        u8::try_from(mean).unwrap_or(u8::MAX)
    }
}

/// Sums over one cell of a grid.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    pixels: u64,
    luma: u64,
    squares: u64,
    change: u64,
}

/// Mean, standard deviation and, against another plane of the same size, mean absolute difference
/// of `columns` × `rows` cells.
pub fn grid(
    plane: &[u8],
    against: Option<&[u8]>,
    width: usize,
    height: usize,
    columns: usize,
    rows: usize,
) -> taimat_contract::CellStats {
    assert!(plane.len() == width * height && against.is_none_or(|a| a.len() == plane.len()));
    let parts: Vec<Range<usize>> = (0..columns)
        .map(|c| c * width / columns..(c + 1) * width / columns)
        .collect();
    let mut stats = taimat_contract::CellStats::default();
    for row in 0..rows {
        let mut sums = vec![Sums::default(); columns];
        for y in row * height / rows..(row + 1) * height / rows {
            let line = &plane[y * width..(y + 1) * width];
            let other = against.map(|a| &a[y * width..(y + 1) * width]);
            for (sum, part) in sums.iter_mut().zip(&parts) {
                let cell = &line[part.clone()];
                let (luma, squares) = sums_of(cell);
                sum.pixels += cell.len() as u64;
                sum.luma += u64::from(luma);
                sum.squares += u64::from(squares);
                if let Some(other) = other {
                    sum.change += u64::from(difference(cell, &other[part.clone()]));
                }
            }
        }
        for sum in &sums {
            let n = sum.pixels.max(1);
            let mean = sum.luma as f64 / n as f64;
            let variance = (sum.squares as f64 / n as f64 - mean * mean).max(0.0);
            stats.mean.push(rounded(mean));
            stats.deviation.push(rounded(variance.sqrt()));
            if against.is_some() {
                stats.change.push(rounded(sum.change as f64 / n as f64));
            }
        }
    }
    stats
}

fn rounded(value: f64) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

/// Sum and sum of squares. A row has at most 8192 pixels: neither overflows.
fn sums_of(pixels: &[u8]) -> (u32, u32) {
    let (mut sum, mut squares) = (0_u32, 0_u32);
    for pixel in pixels {
        let value = u32::from(*pixel);
        sum += value;
        squares += value * value;
    }
    (sum, squares)
}

/// Sum of absolute differences.
pub fn difference(a: &[u8], b: &[u8]) -> u32 {
    a.iter()
        .zip(b)
        .map(|(a, b)| u32::from(a.abs_diff(*b)))
        .sum()
}

/// BT.601 with limited range, as cameras send it, to full-range RGB, three bytes a pixel. Planes
/// have the same size.
pub fn rgb(y: &[u8], cb: &[u8], cr: &[u8]) -> Vec<u8> {
    let mut out = vec![0; y.len() * 3];
    for (((pixel, y), cb), cr) in out.chunks_exact_mut(3).zip(y).zip(cb).zip(cr) {
        // 16.16 fixed point: 255/219, and the chroma factors over 224.
        let luma = (i32::from(*y) - 16) * 76_309 + 32_768;
        let (blue, red) = (i32::from(*cb) - 128, i32::from(*cr) - 128);
        let clamp = |v: i32| (v >> 16).clamp(0, 255) as u8;
        pixel[0] = clamp(luma + 104_597 * red);
        pixel[1] = clamp(luma - 25_675 * blue - 53_279 * red);
        pixel[2] = clamp(luma + 132_201 * blue);
    }
    out
}

/// Draws a frame around a part of an RGB picture: yellow, with a dark edge so that it is seen on
/// anything.
pub fn outline(pixels: &mut [u8], width: usize, height: usize, mark: Rect) {
    const EDGE: [u8; 3] = [20, 20, 20];
    const LINE: [u8; 3] = [255, 214, 10];
    if width == 0 || height == 0 {
        return;
    }
    let at = |part: f32, size: usize| ((part * size as f32) as usize).min(size - 1);
    let thick = (width / 320).max(1);
    let (left, top) = (at(mark.x, width), at(mark.y, height));
    let right = at(mark.x + mark.width, width);
    let bottom = at(mark.y + mark.height, height);
    let mut fill = |xs: Range<usize>, ys: Range<usize>, colour: [u8; 3]| {
        for y in ys.start..ys.end.min(height) {
            let row = &mut pixels[y * width * 3..(y + 1) * width * 3];
            for pixel in row.chunks_exact_mut(3).take(xs.end).skip(xs.start) {
                pixel.copy_from_slice(&colour);
            }
        }
    };
    // The dark edge lies around the line.
    for (thick, colour) in [(thick * 2, EDGE), (thick, LINE)] {
        let (l, t) = (
            left.saturating_sub(thick / 2),
            top.saturating_sub(thick / 2),
        );
        let (r, b) = (right + thick / 2, bottom + thick / 2);
        fill(l..r + 1, t..t + thick, colour);
        fill(l..r + 1, b.saturating_sub(thick)..b + 1, colour);
        fill(l..l + thick, t..b + 1, colour);
        fill(r.saturating_sub(thick)..r + 1, t..b + 1, colour);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scales_by_averaging() {
        let plane = [10, 20, 30, 40, 10, 20, 30, 40];
        assert_eq!(scale(Source::whole(&plane, 4, 2), 2, 1), [15, 35]);
        assert_eq!(scale(Source::whole(&plane, 4, 2), 1, 1), [25]);
        assert_eq!(
            scale(Source::region(&plane, 4, 1, 0, 2, 2), 2, 2),
            [20, 30, 20, 30]
        );
        assert_eq!(
            scale(Source::whole(&[5, 9], 2, 1), 4, 2),
            [5, 5, 9, 9, 5, 5, 9, 9]
        );
    }

    #[test]
    fn grid_of_halves() {
        let plane = [0, 0, 100, 200];
        let other = [0, 10, 100, 100];
        let stats = grid(&plane, Some(&other), 4, 1, 2, 1);
        assert_eq!(stats.mean, [0, 150]);
        assert_eq!(stats.deviation, [0, 50]);
        assert_eq!(stats.change, [5, 50]);
    }

    #[test]
    fn white_black_and_red() {
        assert_eq!(
            rgb(&[235, 16], &[128, 128], &[128, 128]),
            [255, 255, 255, 0, 0, 0]
        );
        // BT.601: pure red is 81, 90, 240.
        let red = rgb(&[81], &[90], &[240]);
        assert!(red[0] >= 253 && red[1] <= 2 && red[2] <= 2, "{red:?}");
    }

    proptest! {
        #[test]
        fn scaling_is_averaging(
            (w, h) in (1_usize..50, 1_usize..50),
            (dw, dh) in prop_oneof![
                (1_usize..50, 1_usize..50),
                (1_usize..9, 1_usize..9).prop_map(|(a, b)| (a * 100, b * 100)),
            ],
            seed: u64,
        ) {
            // Hundreds stand for that part of the source.
            let ((w, h), (dw, dh)) = if dw >= 100 {
                ((w * dw / 100, h * dh / 100), (w, h))
            } else {
                ((w, h), (dw, dh))
            };
            let plane: Vec<u8> = (0..w * h)
                .map(|i| (seed.wrapping_mul(i as u64 + 1) >> 32) as u8)
                .collect();
            let exact: Vec<u8> = (0..dw * dh)
                .map(|i| {
                    let (columns, rows) = (part(i % dw, dw, w), part(i / dw, dh, h));
                    let count = columns.len() * rows.len();
                    let row = |y: usize| columns.clone().map(move |x| (x, y));
                    let sum: usize = rows
                        .flat_map(row)
                        .map(|(x, y)| usize::from(plane[y * w + x]))
                        .sum();
                    ((sum + count / 2) / count) as u8
                })
                .collect();
            prop_assert_eq!(scale(Source::whole(&plane, w, h), dw, dh), exact);
        }

        #[test]
        fn means_are_rounded(count in 1usize..10_000, part in 0u32..=10_000) {
            let count32 = u32::try_from(count).unwrap();
            let sum = u32::try_from(u64::from(count32) * 255 * u64::from(part) / 10_000).unwrap();
            let exact = (sum + count32 / 2) / count32;
            prop_assert_eq!(u32::from(Mean::of(count).round(sum)), exact);
        }

        #[test]
        fn any_size_to_any_size(w in 1usize..40, h in 1usize..40, dw in 1usize..40, dh in 1usize..40, c in 1usize..50) {
            let plane = vec![77; w * h];
            let scaled = scale(Source::whole(&plane, w, h), dw, dh);
            prop_assert!(scaled.len() == dw * dh && scaled.iter().all(|p| *p == 77));
            let stats = grid(&plane, Some(&plane), w, h, c, c);
            prop_assert_eq!(stats.change.len(), c * c);
            prop_assert!(stats.change.iter().all(|v| *v == 0));
        }
    }
}
