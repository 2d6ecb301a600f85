//! What files of parts and movies say of a track in the same words (ISO 14496-12 chapter 8).

use super::boxes::Boxes;
use super::track::Mp4Track;
use crate::access_unit::TrackKind;

/// Enabled, and part of the movie.
const SHOWN: u32 = 3;
/// Full volume, 8.8.
const VOLUME: u16 = 0x100;
/// No language is known: "und", five bits a letter.
const LANGUAGE: u16 = 0x55C4;

/// The movie's clock: that of pictures.
pub(super) const MOVIE_TIMESCALE: u32 = crate::codec::VIDEO_CLOCK;

/// Names of tracks are their places, counted from one.
pub(super) fn track_id(b: &mut Boxes, place: usize) -> u32 {
    let place: u32 = b.fits(place);
    place.saturating_add(1)
}

/// `mvhd`; `duration` in the movie's timescale, 0 for a file of parts.
pub(super) fn movie_header(b: &mut Boxes, duration: u64, tracks: usize) {
    b.full(*b"mvhd", 1, 0, |b| {
        b.zeros(16);
        b.u32(MOVIE_TIMESCALE);
        b.u64(duration);
        // Rate 1, volume 1.
        b.u32(0x1_0000);
        b.u16(VOLUME);
        b.zeros(10);
        b.matrix();
        b.zeros(24);
        let next = track_id(b, tracks);
        b.u32(next);
    });
}

/// Durations of a track: shown, in the movie's timescale, and of its media, in its own.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Durations {
    pub(super) shown: u64,
    pub(super) media: u64,
}

/// A `trak` with one or more descriptions of one kind. `edits` writes what stands behind the header,
/// `tables` what stands in `stbl` behind the descriptions.
pub(super) fn track(
    b: &mut Boxes,
    place: usize,
    descriptions: &[Mp4Track],
    durations: Durations,
    edits: impl FnOnce(&mut Boxes),
    tables: impl FnOnce(&mut Boxes),
) {
    let Some(first) = descriptions.first() else {
        return;
    };
    let sound = first.kind() == TrackKind::Audio;
    b.put(*b"trak", |b| {
        b.full(*b"tkhd", 1, SHOWN, |b| {
            b.zeros(16);
            let id = track_id(b, place);
            b.u32(id);
            b.u32(0);
            b.u64(durations.shown);
            b.zeros(12);
            b.u16(if sound { VOLUME } else { 0 });
            b.u16(0);
            b.matrix();
            let (width, height) = first.size().unwrap_or_default();
            // 16.16
            b.u32(width << 16);
            b.u32(height << 16);
        });
        edits(b);
        b.put(*b"mdia", |b| {
            b.full(*b"mdhd", 1, 0, |b| {
                b.zeros(16);
                b.u32(first.timescale());
                b.u64(durations.media);
                b.u16(LANGUAGE);
                b.u16(0);
            });
            b.full(*b"hdlr", 0, 0, |b| {
                b.u32(0);
                b.raw(if sound { b"soun" } else { b"vide" });
                b.zeros(12);
                // A name of no letters.
                b.u8(0);
            });
            b.put(*b"minf", |b| {
                if sound {
                    b.full(*b"smhd", 0, 0, |b| b.zeros(4));
                } else {
                    b.full(*b"vmhd", 0, 1, |b| b.zeros(8));
                }
                b.put(*b"dinf", |b| {
                    b.full(*b"dref", 0, 0, |b| {
                        b.u32(1);
                        // The media are in this file.
                        b.full(*b"url ", 0, 1, |_| ());
                    });
                });
                b.put(*b"stbl", |b| {
                    b.full(*b"stsd", 0, 0, |b| {
                        b.count(descriptions.len());
                        for description in descriptions {
                            b.raw(description.entry());
                        }
                    });
                    tables(b);
                });
            });
        });
    });
}
