//! What a described sound is, and whether it is carried.

use bytes::Bytes;
use taimat_base::text;
use taimat_media::{AudioCodec, AudioTrack};

use super::no_sound::NoSound;
use crate::sdp::Format;

/// Sampling rates by their index (ISO 14496-3 table 1.18).
const AAC_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000,
    7350,
];

/// A sound that is carried.
#[derive(Debug)]
pub(super) struct Sound {
    pub(super) track: AudioTrack,
    /// Whether the camera told all that a decoder needs; else the usual was assumed.
    pub(super) told: bool,
}

pub(super) fn track(format: &Format) -> Result<Sound, NoSound> {
    let codec = match format.encoding.as_str() {
        "PCMU" => AudioCodec::Pcmu,
        "PCMA" => AudioCodec::Pcma,
        "OPUS" => AudioCodec::Opus,
        "MPEG4-GENERIC" => return aac(format),
        _ => return Err(NoSound::Unsupported(format.name())),
    };
    Ok(Sound {
        track: AudioTrack {
            codec,
            rate: format.clock_rate,
            channels: format.channels,
        },
        told: true,
    })
}

/// AAC by RFC 3640, in the only mode that cameras use, which is assumed if none is named.
fn aac(format: &Format) -> Result<Sound, NoSound> {
    let parameter = |name: &str| format.parameters.get(name).map(String::as_str);
    let mode = parameter("mode").filter(|mode| !mode.is_empty());
    let sizes = [
        ("sizelength", "13"),
        ("indexlength", "3"),
        ("indexdeltalength", "3"),
    ];
    let usual = sizes
        .iter()
        .all(|(name, usual)| parameter(name).is_none_or(|v| v.is_empty() || v == *usual));
    if mode.is_some_and(|mode| !mode.eq_ignore_ascii_case("AAC-hbr")) || !usual {
        let name = mode.map_or_else(|| format.name(), |mode| text::line(mode, 40));
        return Err(NoSound::Unsupported(name));
    }
    let config = parameter("config").and_then(hex);
    if let Some(config) = config
        && let Some((rate, channels)) = read_config(&config)
    {
        return Ok(Sound {
            track: AudioTrack {
                codec: AudioCodec::Aac { config },
                rate: match format.clock_rate {
                    0 => rate,
                    told => told,
                },
                channels: match format.channels_told {
                    true => format.channels,
                    false => channels,
                },
            },
            told: true,
        });
    }
    let config = make_config(format.clock_rate, format.channels).ok_or(NoSound::Unconfigured)?;
    Ok(Sound {
        track: AudioTrack {
            codec: AudioCodec::Aac { config },
            rate: format.clock_rate,
            channels: format.channels,
        },
        told: false,
    })
}

/// Sampling rate and channels from the beginning of an AudioSpecificConfig (ISO 14496-3 section
/// 1.6.2.1); `None` if it is cut short or can not be.
fn read_config(config: &[u8]) -> Option<(u32, u16)> {
    let [first, second, ..] = *config else {
        return None;
    };
    let bits = u16::from_be_bytes([first, second]);
    let (object_type, index, channels) = (bits >> 11, usize::from(bits >> 7 & 15), bits >> 3 & 15);
    if object_type == 0 {
        return None;
    }
    if index == 15 {
        // The rate itself, in 24 bits, and the channels after it.
        let next: &[u8; 3] = config.get(2..)?.first_chunk()?;
        let rate = u32::from_be_bytes([second, next[0], next[1], next[2]]) >> 7 & 0xFF_FFFF;
        let channels = u16::from(next[2] >> 3 & 15);
        return Some((rate, channels_of(channels)));
    }
    Some((*AAC_RATES.get(index)?, channels_of(channels)))
}

/// Channels by configuration (table 1.19).
fn channels_of(configuration: u16) -> u16 {
    match configuration {
        7 => 8,
        1..=6 => configuration,
        _ => 1,
    }
}

/// An AudioSpecificConfig of AAC-LC.
fn make_config(rate: u32, channels: u16) -> Option<Bytes> {
    const AAC_LC: u16 = 2;
    let index = AAC_RATES.iter().position(|known| *known == rate)?;
    let configuration = match channels {
        8 => 7,
        1..=6 => channels,
        _ => return None,
    };
    let bits = AAC_LC << 11 | u16::try_from(index).ok()? << 7 | configuration << 3;
    Some(Bytes::copy_from_slice(&bits.to_be_bytes()))
}

/// Hexadecimal digits, two a byte. One more at the end is padding that some cameras write.
fn hex(text: &str) -> Option<Bytes> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let bytes: Bytes = digits?
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect();
    (!bytes.is_empty()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_there_and_back() {
        for rate in AAC_RATES {
            for channels in [1, 2, 3, 4, 5, 6, 8] {
                let config = make_config(rate, channels).unwrap();
                assert_eq!(read_config(&config), Some((rate, channels)));
            }
        }
        assert_eq!(make_config(16_000, 1).unwrap()[..], [0x14, 0x08]);
        assert_eq!(make_config(9000, 1), None);
        assert_eq!(make_config(16_000, 0), None);
    }

    #[test]
    fn reads_a_rate_that_is_written_out() {
        // Type 2, index 15, 16,000, two channels.
        let bits: u64 = 2 << 35 | 15 << 31 | 16_000 << 7 | 2 << 3;
        let config = &bits.to_be_bytes()[3..];
        assert_eq!(read_config(config), Some((16_000, 2)));
        for wrong in [&[][..], &[0x14], &[0, 0], &[0x17, 0x88], &[0x16, 0x80]] {
            assert_eq!(read_config(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn reads_hexadecimal_digits() {
        assert_eq!(hex("1408").unwrap()[..], [0x14, 0x08]);
        assert_eq!(hex("14aF5").unwrap()[..], [0x14, 0xAF]);
        assert_eq!(
            (hex(""), hex("1"), hex("14 08"), hex("zz")),
            (None, None, None, None)
        );
    }
}
