//! H.264 and H.265 by libavcodec: faster, and C in front of hostile bitstreams. Behind the cargo
//! feature `libavcodec`.

use ff::codec::threading;
use ff::format::Pixel;
use ffmpeg_next as ff;
use taimat_media::VideoCodec;

use super::decoder::{DecodeFault, Decoder};
use crate::picture::Picture;

/// A libavcodec decoder. Dropping it frees what it has.
pub(super) struct Libav(ff::decoder::Video);

impl Libav {
    pub(super) fn new(codec: VideoCodec) -> Result<Self, DecodeFault> {
        // It would write about every damaged frame to standard error; what is wrong is counted.
        ff::log::set_level(ff::log::Level::Quiet);
        let id = match codec {
            VideoCodec::H264 => ff::codec::Id::H264,
            VideoCodec::H265 => ff::codec::Id::HEVC,
            VideoCodec::Jpeg => ff::codec::Id::MJPEG,
        };
        let missing = || DecodeFault::Refused(format!("this libavcodec has no {codec}"));
        let codec = ff::decoder::find(id).ok_or_else(missing)?;
        let mut context = ff::codec::Context::new_with_codec(codec);
        context.set_flags(ff::codec::Flags::LOW_DELAY);
        // The pool has a thread for every core already, and threads here would hold frames back.
        let mut threads = threading::Config::kind(threading::Type::None);
        threads.count = 1;
        context.set_threading(threads);
        Ok(Self(context.decoder().video().map_err(refused)?))
    }
}

fn refused(error: ff::Error) -> DecodeFault {
    DecodeFault::Refused(error.to_string())
}

impl Decoder for Libav {
    fn decode(&mut self, stream: &[u8]) -> Result<Vec<Picture>, DecodeFault> {
        let packet = ff::codec::packet::Packet::copy(stream);
        self.0.send_packet(&packet).map_err(refused)?;
        let mut pictures = Vec::new();
        let mut frame = ff::frame::Video::empty();
        loop {
            match self.0.receive_frame(&mut frame) {
                Ok(()) => pictures.push(picture(&frame)?),
                Err(ff::Error::Eof) => return Ok(pictures),
                Err(ff::Error::Other { errno }) if errno == ff::error::EAGAIN => {
                    return Ok(pictures);
                }
                Err(error) => return Err(refused(error)),
            }
        }
    }
}

fn picture(frame: &ff::frame::Video) -> Result<Picture, DecodeFault> {
    if !matches!(frame.format(), Pixel::YUV420P | Pixel::YUVJ420P) {
        let format = frame.format();
        return Err(DecodeFault::Refused(format!(
            "{format:?} is not 8-bit 4:2:0"
        )));
    }
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let plane = |index: usize, width: usize, height: usize| -> Vec<u8> {
        let rows = frame.data(index).chunks(frame.stride(index).max(1));
        let mut plane = Vec::with_capacity(width * height);
        for row in rows.take(height).filter_map(|row| row.get(..width)) {
            plane.extend_from_slice(row);
        }
        plane
    };
    let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
    let planes = (plane(0, width, height), plane(1, cw, ch), plane(2, cw, ch));
    Picture::new(width, height, planes.0, planes.1, planes.2)
        .ok_or(DecodeFault::Planes(width, height))
}

#[cfg(test)]
mod tests {
    use super::super::h264;
    use super::super::stream::annex_b;
    use super::*;
    use crate::decode::resilient::tests::units;

    #[test]
    fn gives_the_same_pictures_as_the_decoder_in_rust() {
        let (mut c, mut rust) = (Libav::new(VideoCodec::H264).unwrap(), h264::H264::new());
        let mut count = 0;
        for unit in units() {
            let stream = annex_b(&unit);
            let (ours, theirs) = (c.decode(&stream).unwrap(), rust.decode(&stream).unwrap());
            assert!(ours == theirs, "frame {count}");
            count += ours.len();
        }
        assert_eq!(count, 30);
    }

    #[test]
    fn damage_is_an_error_or_a_picture_and_never_more() {
        let (units, mut seed) = (units(), 7_u64);
        for _ in 0..300 {
            let mut decoder = Libav::new(VideoCodec::H264).unwrap();
            for unit in units.iter().take(3) {
                let mut stream = annex_b(unit);
                for _ in 0..20 {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let at = (seed >> 33) as usize % stream.len();
                    stream[at] ^= (seed >> 20) as u8;
                }
                drop(decoder.decode(&stream));
            }
        }
    }
}
