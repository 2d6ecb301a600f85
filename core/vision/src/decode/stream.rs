//! Access units as decoders take them.

use std::borrow::Cow;

use taimat_media::{AccessUnit, VideoCodec};

/// An access unit as [`super::Decoder::decode`] takes it.
pub fn stream(codec: VideoCodec, unit: &AccessUnit) -> Cow<'_, [u8]> {
    match codec {
        VideoCodec::H264 | VideoCodec::H265 => annex_b(unit).into(),
        VideoCodec::Jpeg => Cow::Borrowed(&unit.data),
    }
}

/// An access unit as a byte stream (ITU-T H.264 annex B), parameter sets before a key frame.
pub(super) fn annex_b(unit: &AccessUnit) -> Vec<u8> {
    let mut stream = Vec::with_capacity(unit.data.len() + 256);
    let mut push = |nal: &[u8]| {
        stream.extend_from_slice(&[0, 0, 0, 1]);
        stream.extend_from_slice(nal);
    };
    if unit.keyframe
        && let Some(params) = &unit.params
    {
        params.sets().for_each(|set| push(set));
    }
    taimat_media::nal::units(&unit.data).for_each(|nal| push(&nal));
    stream
}
