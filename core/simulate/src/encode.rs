//! Encodes a scene once into a loop of H.264 access units.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use openh264::OpenH264API;
use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate, IntraFramePeriod, RateControlMode,
    UsageType,
};
use openh264::formats::YUVSlices;
use openh264_sys2::ENCODER_OPTION_TRACE_LEVEL;
use taimat_media::{VideoParams, h264, nal};

use crate::scene::Scene;

/// How to encode.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Encoding {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Frames between key frames.
    pub keyframe_interval: u32,
    /// Bits a second.
    pub bitrate: u32,
}

/// Why a scene could not be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The encoder refused.
    #[error("encoding {0}x{1}: {2}")]
    Encoder(usize, usize, openh264::Error),
    /// What came out can not be read back.
    #[error("the encoder's parameter sets: {0}")]
    Params(#[from] h264::SpsError),
    /// The encoder left a frame out.
    #[error("the encoder gave nothing for frame {0}")]
    Skipped(u32),
}

/// One encoded frame: what an access unit carries.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// NAL units with their lengths.
    pub data: Bytes,
    /// Whether decoding can start here.
    pub keyframe: bool,
    /// The parameter sets in force.
    pub params: Arc<VideoParams>,
}

/// Draws and encodes all frames of a scene. The first is a key frame.
pub fn encode(scene: &Scene, encoding: &Encoding) -> Result<Vec<Encoded>, EncodeError> {
    let (width, height) = (encoding.width & !1, encoding.height & !1);
    let fail = |e| EncodeError::Encoder(width, height, e);
    let config = EncoderConfig::new()
        .bitrate(BitRate::from_bps(encoding.bitrate))
        .max_frame_rate(FrameRate::from_hz(scene.rate() as f32))
        .intra_frame_period(IntraFramePeriod::from_num_frames(
            encoding.keyframe_interval,
        ))
        .rate_control_mode(RateControlMode::Bitrate)
        .usage_type(UsageType::CameraVideoRealTime)
        .complexity(Complexity::Low)
        .skip_frames(false)
        .scene_change_detect(false)
        .num_threads(1);
    let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config).map_err(fail)?;
    hush(&mut encoder);
    let mut params: Option<Arc<VideoParams>> = None;
    let mut frames = Vec::with_capacity(scene.frames() as usize);
    for number in 0..scene.frames() {
        let picture = scene.draw(number, width, height);
        let planes = (&picture.y[..], &picture.u[..], &picture.v[..]);
        let source = YUVSlices::new(planes, (width, height), (width, width / 2, width / 2));
        if number % encoding.keyframe_interval.max(1) == 0 {
            encoder.force_intra_frame();
        }
        let stream = encoder.encode(&source).map_err(fail)?.to_vec();
        let (mut sps, mut pps) = (Vec::new(), Vec::new());
        let mut data = BytesMut::new();
        let mut keyframe = false;
        for unit in nal::split_annex_b(&stream) {
            match h264::type_of(unit) {
                Some(h264::unit_type::SPS) => sps.push(Bytes::copy_from_slice(unit)),
                Some(h264::unit_type::PPS) => pps.push(Bytes::copy_from_slice(unit)),
                kind => {
                    keyframe |= kind == Some(h264::unit_type::IDR);
                    nal::push(&mut data, unit);
                }
            }
        }
        if !sps.is_empty() {
            params = Some(Arc::new(h264::params(sps, pps)?));
        }
        let params = params.clone().ok_or(EncodeError::Skipped(number))?;
        if data.is_empty() {
            return Err(EncodeError::Skipped(number));
        }
        frames.push(Encoded {
            data: data.freeze(),
            keyframe,
            params,
        });
    }
    Ok(frames)
}

/// The encoder would warn on standard error that a bit rate is not kept when no frame is left out,
/// which is meant. Its own setting takes effect after it has done so.
#[expect(unsafe_code, reason = "the wrapper has no safe way to say so in time")]
fn hush(encoder: &mut Encoder) {
    let mut nothing = 0_u32;
    // SAFETY: the option may be set at any time, and its number is read during the call.
    let _told = unsafe {
        let nothing = std::ptr::from_mut(&mut nothing).cast();
        encoder
            .raw_api()
            .set_option(ENCODER_OPTION_TRACE_LEVEL, nothing)
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::SceneKind;
    use openh264::decoder::Decoder;
    use openh264::formats::YUVSource;

    /// The number in the picture survives encoding, key frames come where they are asked for, and
    /// the rate is about the one asked for.
    #[test]
    fn a_loop_decodes_to_its_numbers() {
        let scene = Scene::new(SceneKind::Street, 1, 60, 15);
        let encoding = Encoding {
            width: 640,
            height: 360,
            keyframe_interval: 30,
            bitrate: 500_000,
        };
        let frames = encode(&scene, &encoding).unwrap();
        let keys: Vec<usize> = frames
            .iter()
            .enumerate()
            .filter(|(_, f)| f.keyframe)
            .map(|(i, _)| i)
            .collect();
        assert_eq!(keys, [0, 30]);
        assert_eq!(
            (frames[0].params.width, frames[0].params.height),
            (640, 360)
        );
        let bits: usize = frames.iter().map(|f| f.data.len() * 8).sum();
        assert!(
            (500_000..4_000_000).contains(&bits),
            "{bits} bits in four seconds"
        );

        let mut decoder = Decoder::new().unwrap();
        for (number, frame) in frames.iter().enumerate() {
            let mut stream = Vec::new();
            for set in frame.params.sets().filter(|_| frame.keyframe) {
                stream.extend([0, 0, 0, 1]);
                stream.extend(set);
            }
            for unit in nal::units(&frame.data) {
                stream.extend([0, 0, 0, 1]);
                stream.extend(&unit);
            }
            let picture = decoder.decode(&stream).unwrap().unwrap();
            let (stride, ..) = picture.strides();
            let luma: Vec<u8> = picture
                .y()
                .chunks(stride)
                .flat_map(|row| row[..640].to_vec())
                .collect();
            assert_eq!(crate::number::read(&luma, 640), Some(number as u32));
        }
    }
}
