//! Sample entries: how a track's samples are encoded, with all that a decoder has to know before the
//! first one (ISO 14496-12 section 8.5.2).

pub(super) mod audio;
pub(super) mod video;

use super::boxes::Boxes;
use super::cursor::Cursor;
use super::error::ReadError;

/// Bytes of a sample entry of pictures before its boxes.
const VISUAL_BYTES: usize = 78;
/// The same of sound.
const AUDIO_BYTES: usize = 28;

/// What every sample entry begins with: nothing, and that the media are in this file.
fn begin(b: &mut Boxes) {
    b.zeros(6);
    b.u16(1);
}

/// Width, height and the boxes of an entry of pictures.
pub(super) fn visual(mut body: Cursor<'_>) -> Result<(u32, u32, Cursor<'_>), ReadError> {
    let mut fields = Cursor(body.take(VISUAL_BYTES)?);
    fields.take(24)?;
    let (width, height) = (fields.u16()?, fields.u16()?);
    Ok((width.into(), height.into(), body))
}

/// The boxes of an entry of sound.
pub(super) fn sound(mut body: Cursor<'_>) -> Result<Cursor<'_>, ReadError> {
    body.take(AUDIO_BYTES)?;
    Ok(body)
}
