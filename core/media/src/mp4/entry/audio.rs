//! Sample entries of sound: AAC by ISO 14496-14, Opus by its encapsulation in ISOBMFF, G.711 as the
//! FLAC that [`crate::g711`] makes of it.

use super::super::boxes::{Boxes, Kind};
use super::super::error::Mp4Error;
use crate::codec::{AudioCodec, AudioTrack};
use crate::g711;

/// The clock of Opus in every file.
pub(crate) const OPUS_RATE: u32 = 48_000;
/// Bits of a decoded sample.
const SAMPLE_BITS: u16 = 16;
/// The longest AudioSpecificConfig that makes sense; the usual ones have 2 to 10 bytes.
const MAX_CONFIG: usize = 64;

/// Tags of descriptors (ISO 14496-1 section 7.2.2.1).
const ES_DESCRIPTOR: u8 = 3;
const DECODER_CONFIG: u8 = 4;
const DECODER_SPECIFIC: u8 = 5;
const SL_CONFIG: u8 = 6;
/// objectTypeIndication: audio of ISO 14496-3.
pub(crate) const MPEG4_AUDIO: u8 = 0x40;
/// streamType audio, going down, and the reserved bit.
const AUDIO_STREAM: u8 = 5 << 2 | 1;

/// The entry of a track, and its timescale.
pub(crate) fn entry(track: &AudioTrack) -> Result<(Vec<u8>, u32), Mp4Error> {
    if track.rate == 0 || track.channels == 0 {
        return Err(Mp4Error::Sound("clock or number of channels"));
    }
    let mut b = Boxes::default();
    let rate = match &track.codec {
        AudioCodec::Aac { config } => {
            if !(2..=MAX_CONFIG).contains(&config.len()) {
                return Err(Mp4Error::Sound("configuration"));
            }
            sound(&mut b, *b"mp4a", track.channels, track.rate, |b| {
                b.full(*b"esds", 0, 0, |b| es_descriptor(b, config));
            });
            track.rate
        }
        AudioCodec::Opus => {
            let channels = match track.channels {
                1 => 1,
                2 => 2,
                _ => return Err(Mp4Error::Sound("number of channels")),
            };
            sound(&mut b, *b"Opus", track.channels, OPUS_RATE, |b| {
                b.put(*b"dOps", |b| {
                    b.raw(&[0, channels]);
                    // Nothing is left out at the start: a recording begins within the stream. The
                    // rate is that of the source; no gain; one stream of one or two channels.
                    b.u16(0);
                    b.u32(OPUS_RATE);
                    b.u16(0);
                    b.u8(0);
                });
            });
            OPUS_RATE
        }
        AudioCodec::Pcmu | AudioCodec::Pcma => {
            let info = g711::stream_info(track.rate, track.channels)
                .ok_or(Mp4Error::Sound("clock or number of channels"))?;
            sound(&mut b, *b"fLaC", track.channels, track.rate, |b| {
                b.full(*b"dfLa", 0, 0, |b| {
                    // STREAMINFO, and the last block.
                    b.u8(0x80);
                    b.raw(&[0, 0, info.len() as u8]);
                    b.raw(&info);
                });
            });
            track.rate
        }
    };
    Ok((b.done("the description of the sound")?, rate))
}

fn sound(b: &mut Boxes, kind: Kind, channels: u16, rate: u32, more: impl FnOnce(&mut Boxes)) {
    b.put(kind, |b| {
        super::begin(b);
        b.zeros(8);
        b.u16(channels);
        b.u16(SAMPLE_BITS);
        b.zeros(4);
        // 16.16; a rate that has no room here stands in the codec's own box.
        b.u16(u16::try_from(rate).unwrap_or(0));
        b.u16(0);
        more(b);
    });
}

fn es_descriptor(b: &mut Boxes, config: &[u8]) {
    let specific = descriptor(DECODER_SPECIFIC, config);
    // Buffer, largest and average bit rate: not known.
    let decoder = [&[MPEG4_AUDIO, AUDIO_STREAM][..], &[0; 11], &specific].concat();
    let decoder = descriptor(DECODER_CONFIG, &decoder);
    // Predefined: as in MP4 files.
    let layer = descriptor(SL_CONFIG, &[2]);
    let stream = [&[0; 3][..], &decoder, &layer].concat();
    b.raw(&descriptor(ES_DESCRIPTOR, &stream));
}

/// A descriptor with its length in the one byte that is enough below 128 ([`MAX_CONFIG`]).
fn descriptor(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag, (body.len() & 0x7F) as u8];
    out.extend_from_slice(body);
    out
}
