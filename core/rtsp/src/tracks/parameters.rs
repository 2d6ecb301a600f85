//! Parameter sets from the parameters of a payload type (RFC 6184 section 8.1, RFC 7798 section
//! 7.1).

use std::collections::BTreeMap;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use taimat_media::{VideoCodec, h264, h265, nal};

/// Real descriptions have two or three.
const MAX_SETS: usize = 32;

/// Padding or not, and bits left over.
const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Sets {
    pub(super) units: Vec<Bytes>,
    /// Sets that are empty, no base64, or something else.
    pub(super) unreadable: u32,
}

pub(super) fn sets(codec: VideoCodec, parameters: &BTreeMap<String, String>) -> Sets {
    let names: &[&str] = match codec {
        VideoCodec::H264 => &["sprop-parameter-sets"],
        // The last is H.264's; some cameras use it nevertheless.
        VideoCodec::H265 => &[
            "sprop-vps",
            "sprop-sps",
            "sprop-pps",
            "sprop-parameter-sets",
        ],
        VideoCodec::Jpeg => &[],
    };
    let values = names.iter().filter_map(|name| parameters.get(*name));
    let mut sets = Sets::default();
    for text in values.flat_map(|value| value.split(',')) {
        if text.trim().is_empty() {
            continue;
        }
        let decoded = decode(text).unwrap_or_default();
        let before = sets.units.len();
        for unit in units(&decoded) {
            if is_set(codec, unit) && sets.units.len() < MAX_SETS {
                sets.units.push(Bytes::copy_from_slice(unit));
            }
        }
        sets.unreadable += u32::from(sets.units.len() == before);
    }
    // By type, as decoders want them; the camera's order within a type.
    sets.units.sort_by_key(|unit| match codec {
        VideoCodec::H265 => h265::type_of(unit),
        _ => h264::type_of(unit),
    });
    sets
}

/// One unit, or several with start codes before them.
fn units(decoded: &Bytes) -> Vec<&[u8]> {
    match decoded.as_ref() {
        [0, 0, 1, ..] | [0, 0, 0, 1, ..] => nal::split_annex_b(decoded).collect(),
        [] => Vec::new(),
        unit => vec![unit],
    }
}

fn is_set(codec: VideoCodec, unit: &[u8]) -> bool {
    let forbidden_bit = unit.first().is_none_or(|byte| byte & 0x80 != 0);
    let right_type = match codec {
        VideoCodec::H264 => matches!(
            h264::type_of(unit),
            Some(h264::unit_type::SPS | h264::unit_type::PPS)
        ),
        VideoCodec::H265 => matches!(
            h265::type_of(unit),
            Some(h265::unit_type::VPS | h265::unit_type::SPS | h265::unit_type::PPS)
        ),
        VideoCodec::Jpeg => false,
    };
    // A header alone says nothing.
    right_type && !forbidden_bit && unit.len() > 2
}

/// Base64 of either alphabet, with white space anywhere.
fn decode(text: &str) -> Option<Bytes> {
    let plain: String = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            c => c,
        })
        .collect();
    // More or less padding than there has to be is as good.
    let decoded = TOLERANT.decode(plain.trim_end_matches('=')).ok()?;
    Some(decoded.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn h264(value: &str) -> (Vec<Vec<u8>>, u32) {
        let list = BTreeMap::from([("sprop-parameter-sets".to_owned(), value.to_owned())]);
        let sets = sets(VideoCodec::H264, &list);
        (
            sets.units.iter().map(|u| u.to_vec()).collect(),
            sets.unreadable,
        )
    }

    #[test]
    fn sets_in_every_form() {
        // 67 42 00 1F FB FF and 68 CE 38 80.
        let expected = vec![
            vec![0x67, 0x42, 0, 0x1F, 0xFB, 0xFF],
            vec![0x68, 0xCE, 0x38, 0x80],
        ];
        for value in [
            "Z0IAH/v/,aM44gA==",
            "Z0IAH_v_,aM44gA",
            "Z0IAH/v/, aM44 gA=,",
            ",Z0IAH/v/,,aM44gA===",
            "aM44gA==,Z0IAH/v/",
            // Both in one, with start codes.
            "AAAAAWdCAB/7/wAAAWjOOIA=",
        ] {
            assert_eq!(h264(value), (expected.clone(), 0), "{value}");
        }
    }

    #[test]
    fn what_is_no_set_is_left_out() {
        assert_eq!(h264("AAAA,////"), (vec![], 2));
        assert_eq!(
            h264("Z0IAH/v/,!!!,ZQAA,aA=="),
            (vec![vec![0x67, 0x42, 0, 0x1F, 0xFB, 0xFF]], 3)
        );
        assert_eq!(h264(""), (vec![], 0));
        assert_eq!(h264(&"aM44gA,".repeat(100)).0.len(), MAX_SETS);
    }

    #[test]
    fn h265_in_the_order_of_decoders() {
        let list = [
            ("sprop-pps", "RAHA"),
            ("sprop-sps", "QgEB"),
            ("sprop-vps", "QAEM,RAEA"),
        ];
        let list = list.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let sets = sets(VideoCodec::H265, &BTreeMap::from(list));
        let heads: Vec<u8> = sets.units.iter().map(|u| u[0]).collect();
        assert_eq!(heads, [0x40, 0x42, 0x44, 0x44]);
        assert_eq!(sets.unreadable, 0);
    }
}
