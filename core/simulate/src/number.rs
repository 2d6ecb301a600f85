//! A machine-readable number in the picture: a row of black and white cells at the top.
//!
//! 32 cells across the picture's width: 24 bits of the number, most significant first, then 8 bits
//! of check sum. A cell is as wide as 1/32 of the picture and half as high; it is read at its
//! middle, which survives scaling and encoding.

use crate::draw::{Colour, Picture, Rect};

/// Cells in the row.
pub const CELLS: usize = 32;

/// Height of the row for a picture of that width, in pixels.
pub const fn row_height(width: usize) -> usize {
    width / CELLS / 2
}

fn word(number: u32) -> u32 {
    let number = number & 0xFF_FFFF;
    (number << 8) | check(number)
}

/// The bytes' sum, so that an all-black or all-white row is no number.
fn check(number: u32) -> u32 {
    let [_, a, b, c] = number.to_be_bytes();
    (u32::from(a) + u32::from(b) + u32::from(c) + 0xA5) & 0xFF
}

/// Draws a number; only its low 24 bits count.
pub fn write(picture: &mut Picture, number: u32) {
    let (cell, height) = (picture.width / CELLS, row_height(picture.width));
    let word = word(number);
    let pixel = |value: usize| i32::try_from(value).unwrap_or(i32::MAX);
    for bit in 0..CELLS {
        let white = word >> (CELLS - 1 - bit) & 1 == 1;
        let rect = Rect {
            x: pixel(bit * cell),
            y: 0,
            w: pixel(cell),
            h: pixel(height),
        };
        picture.fill(rect, Colour::grey(if white { 235 } else { 16 }));
    }
}

/// Reads the number from a luma plane, if there is one.
pub fn read(luma: &[u8], width: usize) -> Option<u32> {
    let (cell, height) = (width / CELLS, row_height(width));
    let row = luma.get(height / 2 * width..)?;
    let mut word = 0_u32;
    for bit in 0..CELLS {
        let value = *row.get(bit * cell + cell / 2)?;
        word = (word << 1) | u32::from(value > 125);
    }
    let number = word >> 8;
    (check(number) == word & 0xFF).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote() {
        for width in [320, 640, 1280, 1920] {
            let mut picture = Picture::new(width, width * 9 / 16);
            assert_eq!(read(&picture.y, width), None);
            for number in [0, 1, 499, 0xFF_FFFF] {
                write(&mut picture, number);
                assert_eq!(read(&picture.y, width), Some(number));
            }
        }
    }
}
