//! JPEG by `zune-jpeg`.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use taimat_media::jpeg::END;

use super::decoder::{DecodeFault, Decoder, MAX_PIXELS};
use crate::picture::Picture;

/// Images stand alone: there is nothing to remember.
pub(super) struct Jpeg;

impl Decoder for Jpeg {
    fn decode(&mut self, image: &[u8]) -> Result<Vec<Picture>, DecodeFault> {
        // An image that was cut short would come out half gray: `zune-jpeg` refuses one whose data
        // runs out, if it is strict and finds no end that says that this is all. It looks at most
        // eight bytes ahead.
        let scan = image.strip_suffix(&END).unwrap_or(image);
        let padded = [scan, &[0; 8]].concat();
        let options = DecoderOptions::default()
            .set_strict_mode(true)
            .set_max_width(8192)
            .set_max_height(8192)
            .jpeg_set_out_colorspace(ColorSpace::YCbCr);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&padded[..]), options);
        let refused = |e: zune_jpeg::errors::DecodeErrors| DecodeFault::Refused(e.to_string());
        decoder.decode_headers().map_err(refused)?;
        let missing = || DecodeFault::Refused("the image has no size".into());
        let info = decoder.info().ok_or_else(missing)?;
        let (width, height) = (usize::from(info.width), usize::from(info.height));
        if width * height > MAX_PIXELS {
            return Err(DecodeFault::Size(width, height));
        }
        let pixels = decoder.decode().map_err(refused)?;
        let picture = planar(&pixels, width, height);
        Ok(vec![picture.ok_or(DecodeFault::Planes(width, height))?])
    }
}

/// From three bytes a pixel in full range, as JPEG has it, to planes in limited range, as video has
/// it: detectors see the same brightness whatever the camera sends.
fn planar(pixels: &[u8], width: usize, height: usize) -> Option<Picture> {
    if width == 0 || pixels.len() != width * height * 3 {
        return None;
    }
    let y = pixels.chunks_exact(3).map(|p| luma(p[0])).collect();
    let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
    let (mut cb, mut cr) = (Vec::with_capacity(cw * ch), Vec::with_capacity(cw * ch));
    for rows in pixels.chunks(2 * width * 3) {
        let (upper, lower) = rows.split_at(width * 3);
        // The last row of an odd height stands for two, as the last column of an odd width does.
        let lower = if lower.is_empty() { upper } else { lower };
        let (upper, right) = upper.as_chunks::<6>();
        let (lower, below) = lower.as_chunks::<6>();
        let squares = || upper.iter().zip(lower);
        cb.extend(squares().map(|(a, b)| chroma(mean([a[1], a[4], b[1], b[4]]))));
        cr.extend(squares().map(|(a, b)| chroma(mean([a[2], a[5], b[2], b[5]]))));
        if let ([_, blue, red], [_, blue_below, red_below]) = (right, below) {
            cb.push(chroma(mean([*blue, *blue, *blue_below, *blue_below])));
            cr.push(chroma(mean([*red, *red, *red_below, *red_below])));
        }
    }
    Picture::new(width, height, y, cb, cr)
}

fn mean(of: [u8; 4]) -> u8 {
    ((of.iter().map(|v| u16::from(*v)).sum::<u16>() + 2) >> 2) as u8
}

/// 0 to 255 becomes 16 to 235.
fn luma(full: u8) -> u8 {
    (((u16::from(full) * 220 + 128) >> 8) + 16) as u8
}

/// 0 to 255 becomes 16 to 240, and 128 stays.
fn chroma(full: u8) -> u8 {
    (((i16::from(full) - 128) * 225 + 128) / 256 + 128) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels;
    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

    fn image(rgb: &[u8], width: u16, height: u16, sampling: SamplingFactor) -> Vec<u8> {
        let mut jpeg = Vec::new();
        let mut encoder = Encoder::new(&mut jpeg, 95);
        encoder.set_sampling_factor(sampling);
        encoder.encode(rgb, width, height, ColorType::Rgb).unwrap();
        jpeg
    }

    /// Smooth in all directions and colours.
    fn ramp(width: usize, height: usize) -> Vec<u8> {
        let pixel = |i: usize| {
            let (x, y) = (i % width, i / width);
            [
                x * 255 / width,
                y * 255 / height,
                (x + y) * 255 / (width + height),
            ]
            .map(|v| v as u8)
        };
        (0..width * height).flat_map(pixel).collect()
    }

    #[test]
    fn colours_are_those_of_the_image() {
        for sampling in [SamplingFactor::F_2_2, SamplingFactor::F_2_1] {
            for (width, height) in [(64, 48), (33, 17)] {
                let rgb = ramp(width, height);
                let jpeg = image(&rgb, width as u16, height as u16, sampling);
                let picture = Jpeg.decode(&jpeg).unwrap().pop().unwrap();
                assert_eq!((picture.width, picture.height), (width, height));
                let whole = |plane: &[u8], index: usize| {
                    let (x, y) = (index % width, index / width);
                    plane[y / 2 * width.div_ceil(2) + x / 2]
                };
                let full = |plane: &[u8]| -> Vec<u8> {
                    (0..width * height).map(|i| whole(plane, i)).collect()
                };
                let seen = kernels::rgb(&picture.y, &full(&picture.cb), &full(&picture.cr));
                let apart: u64 = rgb
                    .iter()
                    .zip(&seen)
                    .map(|(a, b)| u64::from(a.abs_diff(*b)))
                    .sum();
                let mean = apart as f64 / rgb.len() as f64;
                assert!(mean < 5.0, "{width}x{height} {sampling:?}: {mean}");
            }
        }
    }

    #[test]
    fn ranges_end_where_video_ends() {
        assert_eq!([0, 128, 255].map(luma), [16, 126, 235]);
        assert_eq!([0, 128, 255].map(chroma), [16, 128, 240]);
    }

    #[test]
    fn a_flat_image_is_complete() {
        for width in [8, 16, 64, 320] {
            let jpeg = image(
                &vec![7; width * 16 * 3],
                width as u16,
                16,
                SamplingFactor::F_2_2,
            );
            assert!(Jpeg.decode(&jpeg).is_ok(), "{width}");
        }
    }

    #[test]
    fn an_image_that_is_cut_short_is_refused() {
        let jpeg = image(&ramp(320, 180), 320, 180, SamplingFactor::F_2_2);
        for end in [0, 2, 100, 700, jpeg.len() / 2, jpeg.len() - 2000] {
            let mut cut = jpeg[..end].to_vec();
            cut.extend([0xFF, 0xD9]);
            assert!(Jpeg.decode(&cut).is_err(), "{end}");
        }
    }

    #[test]
    fn damage_is_an_error_or_a_picture_and_never_more() {
        let (jpeg, mut seed) = (image(&ramp(64, 48), 64, 48, SamplingFactor::F_2_2), 7_u64);
        for _ in 0..3000 {
            let mut damaged = jpeg.clone();
            for _ in 0..4 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = (seed >> 33) as usize % damaged.len();
                damaged[at] = (seed >> 20) as u8;
            }
            drop(Jpeg.decode(&damaged));
        }
    }
}
