//! H.264 as far as a router looks into it: NAL unit types, parameter sets, the beginnings of
//! slices, where decoding can start. Section numbers are of ITU-T H.264.

#[cfg(test)]
pub(crate) mod samples;
mod sei;
mod sets;
mod slice;
mod unit;

use bytes::Bytes;

use crate::codec::{VideoCodec, VideoParams};

pub use sei::recovery_point;
pub(crate) use sei::{RECOVERY_POINT, sei_message};
pub use sets::{Pps, Sps, SpsError, picture_size};
pub use slice::{PictureId, SliceHeader};
pub use unit::{type_of, unit_type};

/// Makes parameters of the sets found in the stream; the first sequence parameter set is the one in
/// use.
pub fn params(sps: Vec<Bytes>, pps: Vec<Bytes>) -> Result<VideoParams, SpsError> {
    let first = sps.first().ok_or(SpsError::Missing)?;
    let (width, height) = picture_size(first)?;
    Ok(VideoParams {
        codec: VideoCodec::H264,
        vps: Vec::new(),
        sps,
        pps,
        width,
        height,
    })
}
