//! One picture for people, of units that were kept.

use taimat_contract::Region;
use taimat_media::AccessUnit;

use crate::decode::Resilient;
use crate::history::{colours, encoded};
use crate::picture::Picture;

const QUALITY: u8 = 85;

/// A JPEG of the last picture that these units decode to, `width` pixels wide at most. The first is a key
/// frame. `None` if nothing can be decoded.
pub fn still(units: &[AccessUnit], width: u32) -> Option<Vec<u8>> {
    let codec = units.first()?.params.as_ref()?.codec;
    let mut decoder = Resilient::new(codec);
    let mut last: Option<Picture> = None;
    for unit in units {
        let decoded = decoder.decode(unit);
        last = decoded.pictures.into_iter().last().or(last);
    }
    let picture = last?;
    let whole = Region::whole(
        u32::try_from(picture.width).ok()?,
        u32::try_from(picture.height).ok()?,
    );
    let wide = usize::try_from(width).ok()?.max(1).min(picture.width);
    let high = (picture.height * wide / picture.width).max(1);
    encoded(&colours(&picture, whole, wide, high), wide, high, QUALITY).ok()
}
