//! What ONVIF's export file format tells players: who exported (`suep`), when the tracks begin (`cstb`),
//! where the camera stands (`loci`). Without ONVIF's signature, which would have to be over all bytes;
//! C2PA's is over this box too.

use crate::assertion::Assertion;
use crate::boxes::boxed;

/// Between 1904, from which MP4 counts, and 1970, in seconds.
const MP4_EPOCH: i64 = 2_082_844_800;
/// Between 1601, from which `cstb` counts, and 1970, in milliseconds.
const FILETIME_EPOCH_MS: i64 = 11_644_473_600_000;

/// The `meta` box. `tracks` are the numbers of the file's tracks.
pub(crate) fn meta(assertion: &Assertion, tracks: &[u16]) -> Vec<u8> {
    let mut body = vec![0; 4];
    body.extend(handler());
    body.extend(exporting_unit(assertion, tracks));
    body.extend(start(assertion, tracks));
    body.extend(location(assertion));
    boxed(*b"meta", &body)
}

/// Every `meta` has a handler; this one has no meaning for players.
fn handler() -> Vec<u8> {
    let mut body = vec![0; 8];
    body.extend(b"null");
    body.extend([0; 13]);
    boxed(*b"hdlr", &body)
}

/// Text with an end.
fn text(body: &mut Vec<u8>, text: &str) {
    body.extend(text.bytes().filter(|b| *b != 0));
    body.push(0);
}

fn exporting_unit(assertion: &Assertion, tracks: &[u16]) -> Vec<u8> {
    let (export, camera) = (&assertion.export, &assertion.camera);
    let mut body = vec![1, 0, 0, 0];
    text(&mut body, &export.host);
    // The unit has no page for the public, and no address on the wire that says anything.
    text(&mut body, "");
    text(&mut body, "");
    let at = u64::try_from(export.at.0.div_euclid(1_000) + MP4_EPOCH).unwrap_or(0);
    body.extend(at.to_be_bytes());
    text(&mut body, &export.by);
    body.extend(u32::try_from(tracks.len()).unwrap_or(0).to_be_bytes());
    for track in tracks {
        body.extend(track.to_be_bytes());
        text(&mut body, &camera.name);
        text(&mut body, camera.uri.as_str());
        text(&mut body, camera.mac.as_deref().unwrap_or(""));
        text(&mut body, &track.to_string());
    }
    boxed(*b"suep", &body)
}

fn start(assertion: &Assertion, tracks: &[u16]) -> Vec<u8> {
    let [from, _] = assertion.interval.covered;
    let ticks = u64::try_from(from.0 + FILETIME_EPOCH_MS).unwrap_or(0) * 10_000;
    let mut body = u32::try_from(tracks.len())
        .unwrap_or(0)
        .to_be_bytes()
        .to_vec();
    for track in tracks {
        body.extend(u32::from(*track).to_be_bytes());
        body.extend(ticks.to_be_bytes());
    }
    boxed(*b"cstb", &body)
}

/// 3GPP's box, whose numbers are 16.16.
fn location(assertion: &Assertion) -> Vec<u8> {
    let Some(place) = &assertion.camera.place else {
        return Vec::new();
    };
    // Saturates: what is no place on Earth is said as far as it can be.
    #[allow(clippy::cast_possible_truncation, reason = "`as` saturates")]
    let fixed = |degrees: f64| ((degrees * 65_536.0).round() as i32).to_be_bytes();
    let mut body = vec![0; 4];
    // ISO 639-2 in three times five bits: Vietnamese.
    let letter = |c: u8| u16::from(c - 0x60);
    let language = letter(b'v') << 10 | letter(b'i') << 5 | letter(b'e');
    body.extend(language.to_be_bytes());
    text(&mut body, &place.name);
    // The role: a place that is real.
    body.push(1);
    body.extend(fixed(place.longitude));
    body.extend(fixed(place.latitude));
    body.extend(fixed(0.0));
    text(&mut body, "earth");
    text(&mut body, "");
    boxed(*b"loci", &body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boxes::head;
    use crate::sample::assertion;

    /// The boxes in some bytes.
    fn kinds(mut bytes: &[u8]) -> Vec<[u8; 4]> {
        let mut kinds = Vec::new();
        while let Some(found) = head(bytes) {
            kinds.push(found.kind);
            bytes = &bytes[usize::try_from(found.length).unwrap()..];
        }
        assert!(bytes.is_empty());
        kinds
    }

    #[test]
    fn says_where_when_and_who() {
        let mut assertion = assertion();
        let meta = meta(&assertion, &[1, 2]);
        assert_eq!(kinds(&meta), [*b"meta"]);
        assert_eq!(kinds(&meta[12..]), [*b"hdlr", *b"suep", *b"cstb", *b"loci"]);
        let has = |text: &str| meta.windows(text.len()).any(|w| w == text.as_bytes());
        assert!(has("nguyen.van.a\0") && has("Nguyễn Du – ngã ba chợ\0"));
        assert!(!has("hunter2"));
        // 2024-11-25T00:00:00Z, in ticks of 100 ns from 1601.
        let ticks = 133_769_664_000_000_000_u64.to_be_bytes();
        assert_eq!(meta.windows(8).filter(|w| *w == ticks).count(), 2);
        assertion.camera.place = None;
        assert_eq!(kinds(&super::meta(&assertion, &[1])[12..]).len(), 3);
    }
}
