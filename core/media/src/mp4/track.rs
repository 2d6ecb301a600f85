//! A track as a file describes it.

use bytes::Bytes;

use super::error::{Mp4Error, ReadError};
use super::{codecs, entry, sets};
use crate::access_unit::TrackKind;
use crate::codec::{AudioTrack, VIDEO_CLOCK, VideoParams};

/// A track: its clock, and how its samples are encoded. Two are equal if a decoder that was set up
/// for one can go on with the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mp4Track {
    kind: TrackKind,
    timescale: u32,
    codecs: String,
    size: Option<(u32, u32)>,
    entry: Bytes,
}

impl Mp4Track {
    /// Pictures with these parameter sets. Samples are the access units as they are.
    pub fn video(params: &VideoParams) -> Result<Self, Mp4Error> {
        Self::described(VIDEO_CLOCK, entry::video::entry(params)?)
    }

    /// Sound. Samples are the access units as they are; but of G.711 what
    /// [`crate::g711::flac`] makes of them, because browsers play no G.711 in MP4.
    pub fn audio(track: &AudioTrack) -> Result<Self, Mp4Error> {
        let (entry, timescale) = entry::audio::entry(track)?;
        Self::described(timescale, entry)
    }

    fn described(timescale: u32, entry: Vec<u8>) -> Result<Self, Mp4Error> {
        Self::of_entry(timescale, &entry)
            .ok()
            .ok_or(Mp4Error::Mismatch("a sample entry"))
    }

    /// The track with this sample entry.
    pub(super) fn of_entry(timescale: u32, entry: &[u8]) -> Result<Self, ReadError> {
        let found = codecs::read(entry)?;
        if timescale == 0 {
            return Err(ReadError::Malformed("a clock that stands"));
        }
        Ok(Self {
            kind: found.kind,
            timescale,
            codecs: found.codecs,
            size: found.size,
            entry: Bytes::copy_from_slice(entry),
        })
    }

    /// Pictures or sound.
    pub fn kind(&self) -> TrackKind {
        self.kind
    }

    /// Ticks a second: 90000 for pictures, the sample rate for sound.
    pub fn timescale(&self) -> u32 {
        self.timescale
    }

    /// The parameter sets that its pictures were written with.
    ///
    /// # Errors
    /// If it is no track of pictures, or they can not be read.
    pub fn params(&self) -> Result<VideoParams, ReadError> {
        sets::read(&self.entry)
    }

    /// Its name for `codecs` in playlists and media types (RFC 6381). Opus and FLAC in small letters:
    /// so they are known to all browsers.
    pub fn codecs(&self) -> &str {
        &self.codecs
    }

    /// Width and height of the shown pictures in pixels.
    pub fn size(&self) -> Option<(u32, u32)> {
        self.size
    }

    pub(super) fn entry(&self) -> &[u8] {
        &self.entry
    }
}
