//! Pictures for messages: a JPEG made narrower.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::history::encoded;

/// Pixels of a side at most.
const MAX_SIDE: usize = 8192;
const QUALITY: u8 = 80;

/// A JPEG that is `width` pixels wide, and as high as it has to be then. One that is not wider already comes
/// back as it is. `None` if it is no JPEG. Each pixel is the mean of those that it stands for.
pub fn shrink(jpeg: &[u8], width: u32) -> Option<Vec<u8>> {
    let options = DecoderOptions::default()
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
    decoder.decode_headers().ok()?;
    let (wide, high) = decoder.dimensions()?;
    let narrow = usize::try_from(width).ok()?.max(1);
    if wide <= narrow {
        return Some(jpeg.to_vec());
    }
    let pixels = decoder.decode().ok()?;
    let low = (high * narrow / wide).max(1);
    let mut small = Vec::with_capacity(narrow * low * 3);
    // Rows and columns that each new one stands for: at least one.
    let part = |at: usize, of: usize, all: usize| {
        let from = at * all / of;
        from..((at + 1) * all / of).max(from + 1)
    };
    for row in 0..low {
        for column in 0..narrow {
            let (mut sums, mut count) = ([0_u32; 3], 0);
            for y in part(row, low, high) {
                for x in part(column, narrow, wide) {
                    let at = (y * wide + x) * 3;
                    let pixel = pixels.get(at..at + 3)?;
                    for (sum, value) in sums.iter_mut().zip(pixel) {
                        *sum += u32::from(*value);
                    }
                    count += 1;
                }
            }
            small.extend(sums.map(|sum| u8::try_from(sum / count).unwrap_or(u8::MAX)));
        }
    }
    encoded(&small, narrow, low, QUALITY).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn becomes_narrower_and_keeps_its_shape() {
        let (wide, high) = (320, 180);
        let pixels: Vec<u8> = (0..wide * high)
            .flat_map(|at| {
                if at % wide < 160 {
                    [200, 0, 0]
                } else {
                    [0, 0, 200]
                }
            })
            .collect();
        let jpeg = encoded(&pixels, wide, high, 90).unwrap();
        let small = shrink(&jpeg, 80).unwrap();
        let mut decoder = JpegDecoder::new(ZCursor::new(&small[..]));
        let pixels = decoder.decode().unwrap();
        assert_eq!(decoder.dimensions(), Some((80, 45)));
        let (left, right) = (&pixels[..3], &pixels[79 * 3..80 * 3]);
        assert!(left[0] > 180 && left[2] < 30, "{left:?}");
        assert!(right[2] > 180 && right[0] < 30, "{right:?}");
        // Never wider.
        assert_eq!(shrink(&jpeg, 320), Some(jpeg.clone()));
        assert_eq!(shrink(&jpeg, 1000), Some(jpeg));
        assert_eq!(shrink(b"no picture", 80), None);
    }
}
