//! What a sample entry says to who has to choose a decoder: the kind of track, the size of its
//! pictures, its name by RFC 6381.

use super::boxes::Kind;
use super::cursor::Cursor;
use super::entry::audio::MPEG4_AUDIO;
use super::entry::{sound, visual};
use super::error::ReadError;
use crate::access_unit::TrackKind;

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) kind: TrackKind,
    pub(super) codecs: String,
    pub(super) size: Option<(u32, u32)>,
}

/// Reads a sample entry, its header included.
pub(super) fn read(entry: &[u8]) -> Result<Found, ReadError> {
    let mut cursor = Cursor(entry);
    let Some((kind, body)) = cursor.next()? else {
        return Err(ReadError::Malformed("no sample entry"));
    };
    let picture = |codecs, width, height| Found {
        kind: TrackKind::Video,
        codecs,
        size: Some((width, height)),
    };
    Ok(match &kind {
        b"avc1" => {
            let (width, height, boxes) = visual(body)?;
            picture(avc(boxes)?, width, height)
        }
        b"hvc1" => {
            let (width, height, boxes) = visual(body)?;
            picture(hevc(boxes)?, width, height)
        }
        b"jpeg" => {
            let (width, height, _) = visual(body)?;
            picture("jpeg".to_owned(), width, height)
        }
        _ => Found {
            kind: TrackKind::Audio,
            codecs: audio(kind, sound(body)?)?,
            size: None,
        },
    })
}

fn avc(boxes: Cursor<'_>) -> Result<String, ReadError> {
    let mut record = boxes.find(*b"avcC")?;
    record.u8()?;
    let (profile, compatibility, level) = (record.u8()?, record.u8()?, record.u8()?);
    Ok(format!("avc1.{profile:02X}{compatibility:02X}{level:02X}"))
}

/// ISO 14496-15 annex E.3.
fn hevc(boxes: Cursor<'_>) -> Result<String, ReadError> {
    let mut record = boxes.find(*b"hvcC")?;
    record.u8()?;
    let (profile, compatibility) = (record.u8()?, record.u32()?);
    let constraints = record.take(6)?;
    let level = record.u8()?;
    let space = ["", "A", "B", "C"][usize::from(profile >> 6)];
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    let (profile, compatibility) = (profile & 0x1F, compatibility.reverse_bits());
    let mut name = format!("hvc1.{space}{profile}.{compatibility:X}.{tier}{level}");
    let said = constraints.iter().rposition(|byte| *byte != 0);
    for byte in &constraints[..said.map_or(0, |last| last + 1)] {
        name.push_str(&format!(".{byte:X}"));
    }
    Ok(name)
}

fn audio(kind: Kind, boxes: Cursor<'_>) -> Result<String, ReadError> {
    Ok(match &kind {
        b"Opus" => "opus".to_owned(),
        b"fLaC" => "flac".to_owned(),
        b"mp4a" => {
            let mut esds = boxes.find(*b"esds")?;
            // Version and flags, then exactly what we write before the configuration: descriptors
            // with lengths of one byte.
            esds.take(4 + 2 + 3 + 2)?;
            if esds.u8()? != MPEG4_AUDIO {
                return Err(ReadError::Malformed("sound that is not AAC"));
            }
            esds.take(12 + 2)?;
            let (first, second) = (esds.u8()?, esds.u8()?);
            // audioObjectType (ISO 14496-3 section 1.6.2.1): five bits, or an escape and six more.
            let object = match first >> 3 {
                31 => 32 + ((first & 7) << 3 | second >> 5),
                object => object,
            };
            format!("mp4a.{MPEG4_AUDIO:X}.{object}")
        }
        _ => return Err(ReadError::Malformed("a codec that we do not write")),
    })
}
