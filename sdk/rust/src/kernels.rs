//! Loops over pixels that stay fast in a component.
//!
//! The host interrupts components by a check on every loop's back edge. A tight loop over bytes
//! pays for it with half of its speed; these do 128 bytes a turn, which the compiler turns into
//! SIMD without a branch inside.

const TURN: usize = 128;

/// Sum of absolute differences of two slices; the shorter one's length counts.
pub fn difference(a: &[u8], b: &[u8]) -> u64 {
    let (a_turns, a_rest) = a.as_chunks::<TURN>();
    let (b_turns, b_rest) = b.as_chunks::<TURN>();
    let turn = |(a, b): (&[u8; TURN], &[u8; TURN])| -> u64 {
        let mut sum = 0_u32;
        for i in 0..TURN {
            sum += u32::from(a[i].abs_diff(b[i]));
        }
        u64::from(sum)
    };
    let rest = a_rest
        .iter()
        .zip(b_rest)
        .map(|(a, b)| u64::from(a.abs_diff(*b)));
    a_turns.iter().zip(b_turns).map(turn).sum::<u64>() + rest.sum::<u64>()
}

/// The median of five pictures, pixel by pixel; the shortest one's length counts.
pub fn median(pictures: [&[u8]; 5]) -> Vec<u8> {
    let length = pictures.iter().map(|p| p.len()).min().unwrap_or(0);
    let [a, b, c, d, e] = pictures.map(|p| &p[..length]);
    let mut median = vec![0; length];
    for i in 0..length {
        // Of the first four, neither the smallest nor the largest can be it.
        let low = a[i].min(b[i]).max(c[i].min(d[i]));
        let high = a[i].max(b[i]).min(c[i].max(d[i]));
        median[i] = low.min(high).max(low.max(high).min(e[i]));
    }
    median
}

/// How [`foreground`] compares, and how the background follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Follow {
    /// Levels by which a pixel has to differ.
    pub threshold: u8,
    /// How far the background moves where nothing differs, in 1/256 of a level.
    pub step: u16,
    /// How far it moves under what differs and moves.
    pub step_under: u16,
    /// How far it moves under what differs and is the same as in the picture before.
    pub step_still: u16,
    /// Levels within which a pixel is the same as before.
    pub same: u8,
}

/// What [`foreground`] found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// Pixels that differ.
    pub differ: u32,
    /// Sum of the differences of those that do not.
    pub difference: u32,
}

/// Writes where `now` differs from the background as 1 to `mask`, moves the background, which is in
/// 8.8 fixed point, a step towards `now`, and makes `now` the picture `before`. The shortest length
/// counts.
pub fn foreground(
    now: &[u8],
    before: &mut [u8],
    background: &mut [u16],
    mask: &mut [u8],
    follow: Follow,
) -> Found {
    let whole = now
        .len()
        .min(before.len())
        .min(background.len())
        .min(mask.len());
    let turns = whole / TURN * TURN;
    let mut found = Found::default();
    let now_turns = now[..turns].as_chunks::<TURN>().0;
    let before_turns = before[..turns].as_chunks_mut::<TURN>().0;
    let background_turns = background[..turns].as_chunks_mut::<TURN>().0;
    let mask_turns = mask[..turns].as_chunks_mut::<TURN>().0;
    let pictures = now_turns.iter().zip(before_turns);
    for ((now, before), (background, mask)) in
        pictures.zip(background_turns.iter_mut().zip(mask_turns))
    {
        found.add(turn(now, before, background, mask, follow));
    }
    found.add(turn(
        &now[turns..whole],
        &mut before[turns..whole],
        &mut background[turns..whole],
        &mut mask[turns..whole],
        follow,
    ));
    found
}

impl Found {
    fn add(&mut self, other: Self) {
        self.differ += other.differ;
        self.difference += other.difference;
    }
}

/// Some pixels; where their number is known, the compiler leaves no loop.
#[inline(always)]
fn turn(
    now: &[u8],
    before: &mut [u8],
    background: &mut [u16],
    mask: &mut [u8],
    follow: Follow,
) -> Found {
    let mut found = Found::default();
    let pictures = now.iter().zip(before);
    for ((now, before), (background, mask)) in pictures.zip(background.iter_mut().zip(mask)) {
        let by = now.abs_diff((*background >> 8) as u8);
        let differs = by > follow.threshold;
        let still = now.abs_diff(*before) <= follow.same;
        *before = *now;
        *mask = u8::from(differs);
        found.differ += u32::from(differs);
        found.difference += u32::from(if differs { 0 } else { by });
        let under = if still {
            follow.step_still
        } else {
            follow.step_under
        };
        let step = if differs { under } else { follow.step };
        let target = (u16::from(*now) << 8) | 0x80;
        let up = target.saturating_sub(*background).min(step);
        let down = background.saturating_sub(target).min(step);
        *background = *background + up - down;
    }
    found
}

/// How many bytes of a mask of zeros and ones are 1 in each of `columns` × `rows` square cells of
/// `side` pixels, row by row from the top left. What lies outside the mask counts as 0.
pub fn count(
    mask: &[u8],
    width: usize,
    height: usize,
    side: usize,
    columns: usize,
    rows: usize,
) -> Vec<u32> {
    let mut counts = vec![0_u32; columns * rows];
    if width == 0 || side == 0 {
        return counts;
    }
    let lines = mask.chunks_exact(width).take(height.min(rows * side));
    for (y, line) in lines.enumerate() {
        let row = &mut counts[y / side * columns..][..columns];
        if side.is_multiple_of(4) {
            // Four at a time: the multiplication adds the four bytes up in the highest.
            let words = line.as_chunks::<4>().0.chunks(side / 4);
            for (count, words) in row.iter_mut().zip(words) {
                for word in words {
                    *count += u32::from_le_bytes(*word).wrapping_mul(0x0101_0101) >> 24;
                }
            }
        } else if side == 2 {
            let pairs = line.as_chunks::<2>().0;
            for (count, pair) in row.iter_mut().zip(pairs) {
                *count += u32::from(pair[0] + pair[1]);
            }
        } else {
            for (count, part) in row.iter_mut().zip(line.chunks(side)) {
                *count += part.iter().map(|m| u32::from(*m)).sum::<u32>();
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn difference_of_any_length() {
        for length in [0, 1, 127, 128, 129, 1000] {
            let (a, b) = (vec![10; length], vec![13; length]);
            assert_eq!(difference(&a, &b), 3 * length as u64);
        }
    }

    #[test]
    fn the_middle_one_of_five() {
        // Every order of five values.
        let mut orders = vec![vec![]];
        for value in [7_u8, 9, 20, 20, 250] {
            let longer = |order: Vec<u8>| {
                (0..=order.len()).map(move |at| {
                    let mut longer = order.clone();
                    longer.insert(at, value);
                    longer
                })
            };
            orders = orders.into_iter().flat_map(longer).collect();
        }
        assert_eq!(orders.len(), 120);
        for o in orders {
            let median = median([&o[..1], &o[1..2], &o[2..3], &o[3..4], &o[4..]]);
            assert_eq!(median, [20], "{o:?}");
        }
    }

    #[test]
    fn the_background_follows() {
        let follow = Follow {
            threshold: 20,
            step: 256,
            step_under: 64,
            step_still: 128,
            same: 3,
        };
        let mut background = vec![(100 << 8) | 0x80; 200];
        let (mut before, mut mask) = (vec![100; 200], vec![0; 200]);
        let mut now = vec![100; 200];
        (now[150], now[3]) = (200, 110);
        let found = foreground(&now, &mut before, &mut background, &mut mask, follow);
        assert_eq!((found.differ, found.difference), (1, 10));
        assert_eq!((mask[150], mask[149], before[150]), (1, 0, 200));
        // It has just come: a quarter of a level. It stays: half of one.
        assert_eq!(background[150], (100 << 8) | 0xC0);
        assert_eq!(background[3], (101 << 8) | 0x80);
        foreground(&now, &mut before, &mut background, &mut mask, follow);
        assert_eq!(background[150], (101 << 8) | 0x40);
        for _ in 0..200 {
            foreground(&now, &mut before, &mut background, &mut mask, follow);
        }
        assert_eq!((mask[150], background[3] >> 8), (0, 110));
    }

    #[test]
    fn counts_in_cells_of_any_side() {
        let (width, height) = (26, 13);
        let mask: Vec<u8> = (0..width * height).map(|i| u8::from(i % 3 == 0)).collect();
        for side in [1, 2, 3, 4, 8, 12] {
            let (columns, rows) = (width / side, height / side);
            let counted = count(&mask, width, height, side, columns, rows);
            for (at, counted) in counted.into_iter().enumerate() {
                let (x, y) = (at % columns * side, at / columns * side);
                let mut expected = 0;
                for row in y..y + side {
                    let line = &mask[row * width..];
                    expected += line[x..x + side].iter().map(|m| u32::from(*m)).sum::<u32>();
                }
                assert_eq!(counted, expected, "cell {at} of side {side}");
            }
        }
    }
}
